"""SemEval-2016 Task 12, Clinical TempEval: events, time expressions, document time relations and narrative containers."""
