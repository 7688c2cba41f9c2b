"""SemEval-2014 Task 7, Analysis of Clinical Text: disorder mentions and their concepts."""
