"""What people see on a terminal, in a pipe or in a notebook: progress, tables, studies as they run."""
