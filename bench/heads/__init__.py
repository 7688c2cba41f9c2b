"""Heads: from hidden states to mentions."""
