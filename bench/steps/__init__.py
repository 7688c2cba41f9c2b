"""The steps of a run, in the order in which `bench.runner` takes them."""
