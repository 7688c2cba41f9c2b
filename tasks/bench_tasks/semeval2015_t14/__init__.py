"""SemEval-2015 Task 14, Analysis of Clinical Text: disorder mentions, their concepts and their slots."""
