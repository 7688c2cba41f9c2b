"""Base models: folders, specs, and loading them frozen."""
