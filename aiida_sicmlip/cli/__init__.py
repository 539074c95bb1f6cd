"""The command line `aiida-sicmlip`."""
