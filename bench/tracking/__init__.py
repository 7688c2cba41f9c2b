"""The journal and the mirrors that follow it."""

from bench.tracking.journal import Journal, read_journal, timeline

__all__ = ["Journal", "read_journal", "timeline"]
