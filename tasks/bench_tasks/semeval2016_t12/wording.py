"""Words and sentence frames of the synthetic notes, read from ``wording.json``.

In a frame, ``[e1 finding OVERLAP]`` is an EVENT drawn from a list, with its relation to the document's time and, after
a slash, its polarity; ``[e1 =underwent BEFORE]`` is an EVENT of that very word; ``[t1 past]`` a TIMEX3 of a kind. Behind the
frame stand its containers, ``t1>e1``. No split shares a frame with another, and half of each list is a split's own.

The guideline is fixed: a time contains what happens in its clause; a procedure contains what is found in it; a finding that is
denied or only planned is an event too; a time that a frame leaves alone contains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.kit.synthetic import read_words

Frame = tuple[str, tuple[str, ...]]
Words = Mapping[str, Sequence[str]]

_HELD: Mapping[str, Any] = read_words(Path(__file__).with_name("wording.json"))

FRAMES: Mapping[str, Sequence[Frame]] = _HELD["frames"]
WORDS: Mapping[str, Words] = _HELD["words"]
"""Split, or ``shared``, to kind of event to its words."""
HEADINGS: Words = _HELD["headings"]
MONTHS: Words = _HELD["months"]
UNITS: Sequence[str] = _HELD["units"]
TIMES: Mapping[str, Mapping[str, tuple[str, Sequence[str]]]] = _HELD["times"]
"""Split to kind of time to its class and patterns."""
WEEKDAYS: Words = _HELD["weekdays"]
"""For the weekday of a time."""
