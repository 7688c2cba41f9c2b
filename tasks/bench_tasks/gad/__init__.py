"""gad: gene-disease associations, one sentence at a time."""
