"""Linking of mentions to concepts: the names of a terminology, candidates among them, and a re-ranker that training fits."""
