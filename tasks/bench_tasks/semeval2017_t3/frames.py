"""Words and sentence frames of the synthetic forum, read from ``frames.json``.

No split shares a frame with another; words are shared in part.

``{t}`` is the thing that is asked about, ``{p}`` a place, ``{n}`` a small number, ``{m}`` an amount, ``{h}`` an hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.kit.synthetic import read_words

Frames = Mapping[str, tuple[str, ...]]
"""Split to frames."""
ByAspect = Mapping[str, Frames]
"""Split to aspect to frames."""

_HELD: Mapping[str, Any] = read_words(Path(__file__).with_name("frames.json"))

ASPECTS: tuple[str, ...] = _HELD["aspects"]
THINGS: tuple[tuple[str, str, str], ...] = _HELD["things"]
"""Two names of one thing, and who may use them: s shared, t train, d dev, e test."""
PLACES: Frames = _HELD["places"]
QUESTIONS: ByAspect = _HELD["questions"]
BODIES: Frames = _HELD["bodies"]
ANSWERS: ByAspect = _HELD["answers"]
VAGUE: Frames = _HELD["vague"]
"""Comments that mention the thing and answer nothing."""
BANTER: Frames = _HELD["banter"]
