"""Base models: find one by name, describe it without torch, load it frozen.

torch and transformers are imported by the functions that need them, not by these modules.
"""
