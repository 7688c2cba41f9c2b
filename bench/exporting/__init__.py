"""What a run trained, written as a folder that is used without bench."""
