"""Studies: sets of runs that are compared, and their verdicts."""
