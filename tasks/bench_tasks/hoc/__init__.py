"""hoc: hallmarks of cancer in abstracts."""
