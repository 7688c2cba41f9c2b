"""Words and sentence frames of the synthetic forum, read from ``frames.json``.

No two splits share a frame; they share a part of the words.

``{t}`` is the thing that a question is about, ``{p}`` a place, ``{n}`` a small number, ``{m}`` an amount, ``{h}`` an hour.
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

_LISTS: Mapping[str, Any] = read_words(Path(__file__).with_name("frames.json"))

ASPECTS: tuple[str, ...] = _LISTS["aspects"]
THINGS: tuple[tuple[str, str, str], ...] = _LISTS["things"]
"""Two names of a thing, and the splits that use it: s all, t train, d dev, e test."""
PLACES: Frames = _LISTS["places"]
QUESTIONS: ByAspect = _LISTS["questions"]
BODIES: Frames = _LISTS["bodies"]
ANSWERS: ByAspect = _LISTS["answers"]
VAGUE: Frames = _LISTS["vague"]
"""Comments that mention the thing without an answer."""
BANTER: Frames = _LISTS["banter"]
