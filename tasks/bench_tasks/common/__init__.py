"""What several tasks share: `.pipe` files of the SemEval tasks on clinical notes, and the base of tasks on IOB2 folders."""
