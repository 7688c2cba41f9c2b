"""Base models: found by name, described without torch, loaded frozen.

Nothing here imports torch or transformers before a function that needs them is called.
"""
