"""The journal of a run, and the mirrors that copy it to trackers."""

from bench.tracking.journal import Journal, read_journal, timeline
from bench.tracking.memory import MemoryWatch
from bench.tracking.mirrors import Mirrors, position, sync

__all__ = ["Journal", "MemoryWatch", "Mirrors", "position", "read_journal", "sync", "timeline"]
