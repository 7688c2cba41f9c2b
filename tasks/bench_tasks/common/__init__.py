"""Shared by several tasks: `.pipe` files of the SemEval tasks on clinical notes, and the base class of IOB2 tasks."""
