"""Linking of mentions to concepts: names of a terminology, candidates, and a re-ranker that is trained on the training split."""
