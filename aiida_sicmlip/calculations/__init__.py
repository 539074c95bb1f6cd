"""CalcJobs, one a file, and calcfunctions in `functions`."""
