"""Pools the results of sites whose corpora may not leave them: what a site shares, how it is checked, and what is pooled."""
