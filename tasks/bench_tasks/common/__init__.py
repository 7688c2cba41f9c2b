"""What several tasks share: formats, scoring of mentions, leaks between splits, helpers of synthetic corpora."""
