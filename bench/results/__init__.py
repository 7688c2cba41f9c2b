"""The typed result, its schema and its store."""
