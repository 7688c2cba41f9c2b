"""What several tasks share: formats, scoring of mentions, texts in two splits, helpers of synthetic corpora."""
