"""The programs that run on the compute machine; they work where AiiDA is not installed."""
