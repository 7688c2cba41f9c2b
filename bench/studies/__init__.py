"""Studies: sets of runs that are compared, and what can be said of them."""
