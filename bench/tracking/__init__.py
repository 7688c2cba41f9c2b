"""The journal and the mirrors that follow it."""
