"""SemEval-2017 Task 3: community question answering, subtasks A, B and C."""
