"""Tasks without code: a TOML file names a folder, a format and a kind, and becomes a task."""
