"""Words and sentence frames of the synthetic notes, read from ``wording.json``.

In a frame, ``[e1 finding OVERLAP]`` is an EVENT drawn from a list, with its DocTimeRel and, after a slash, its polarity;
``[e1 =underwent BEFORE]`` is an EVENT with this word; ``[t1 past]`` is a TIMEX3 of a kind. A frame is followed by its
containers, ``t1>e1``. No two splits share a frame, and half of each list belongs to one split alone.

The annotation follows fixed rules: a time contains the events of its clause; a procedure contains its findings; a finding that
is denied or planned is an event too; other times contain nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.kit.synthetic import read_words

Frame = tuple[str, tuple[str, ...]]
Words = Mapping[str, Sequence[str]]

_LISTS: Mapping[str, Any] = read_words(Path(__file__).with_name("wording.json"))

FRAMES: Mapping[str, Sequence[Frame]] = _LISTS["frames"]
WORDS: Mapping[str, Words] = _LISTS["words"]
"""Split, or ``shared``, to kind of event to its words."""
HEADINGS: Words = _LISTS["headings"]
MONTHS: Words = _LISTS["months"]
UNITS: Sequence[str] = _LISTS["units"]
TIMES: Mapping[str, Mapping[str, tuple[str, Sequence[str]]]] = _LISTS["times"]
"""Split to kind of time to its class and patterns."""
WEEKDAYS: Words = _LISTS["weekdays"]
"""For the weekday of a time."""
