"""The methods of the field as plain functions on NumPy, ASE and torch; never imports AiiDA or a plotting library."""
