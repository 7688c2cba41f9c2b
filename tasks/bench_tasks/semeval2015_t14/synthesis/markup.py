"""The markup of frames and phrases, and its rendering.

``[1,2|words]`` is a fragment of mentions 1 and 2; ``[1!NI=yes|words]`` is a cue that gives slot NI of mention 1 (and of 1a,
1b, …) its value; ``[=site:knee|words]`` names the lexeme of the words. Brackets nest:

    The [a,b|[=tumor|tumor]] was of [b|[=grade|high grade]].
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.api.data import Fragment

_TOKEN = re.compile(r"\[([^\[\]|]*)\||\]")
_HEADER = re.compile(r"(?<=\[)(\w+(?:,\w+)*)(?=[!|])")


@dataclass(frozen=True)
class Marked:
    """One mention of a rendered sentence.

    Args:
        fragments: (start, end) in characters of the sentence, ascending.
        lexemes: names of the lexemes inside its fragments, sorted; equal lexemes are one concept.
        slots: slot name to value and span of the cue.
        places: body sites: lexeme and span.
    """

    fragments: tuple[Fragment, ...]
    lexemes: tuple[str, ...]
    slots: Mapping[str, tuple[str, Fragment]] = field(default_factory=dict)
    places: tuple[tuple[str, Fragment], ...] = ()


@dataclass(frozen=True)
class Sentence:
    """Rendered text and its mentions, ordered by fragments."""

    text: str
    mentions: tuple[Marked, ...] = ()


def numbered(markup: str, number: str) -> str:
    """The markup with prefixed mention ids, so that a sentence can have several phrases."""
    return _HEADER.sub(lambda m: ",".join(number + name for name in m[1].split(",")), markup)


def render(markup: str) -> Sentence:
    """Text and mentions of a marked sentence."""
    text, spans = _strip(markup)
    pieces: defaultdict[str, list[Fragment]] = defaultdict(list)
    cues: list[tuple[list[str], str, str, Fragment]] = []
    lexemes: list[tuple[str, Fragment]] = []
    for header, span in spans:
        if header.startswith("="):
            lexemes.append((header[1:], span))
        elif "!" in header:
            names, _, assignment = header.partition("!")
            slot, _, value = assignment.partition("=")
            cues.append((names.split(","), slot, value, span))
        else:
            for name in header.split(","):
                pieces[name].append(span)
    mentions: dict[tuple[Fragment, ...], Marked] = {}
    for name in sorted(pieces):
        fragments = _joined(text, sorted(pieces[name]))
        inside = sorted((w, s) for w, s in lexemes if any(a <= s[0] and s[1] <= b for a, b in fragments))
        mentions[fragments] = Marked(
            fragments,
            tuple(sorted({w for w, _ in inside})),
            {slot: (value, span) for names, slot, value, span in cues if any(name.startswith(n) for n in names)},
            tuple((w, s) for w, s in inside if w.startswith("site:")),
        )
    return Sentence(text, tuple(mentions[key] for key in sorted(mentions)))


def _strip(markup: str) -> tuple[str, list[tuple[str, Fragment]]]:
    """The text without brackets, and for each bracket its header and its span in this text."""
    out: list[str] = []
    length, last = 0, 0
    stack: list[tuple[str, int]] = []
    spans: list[tuple[str, Fragment]] = []
    for token in _TOKEN.finditer(markup):
        out.append(markup[last : token.start()])
        length += len(out[-1])
        last = token.end()
        if token[1] is not None:
            stack.append((token[1], length))
        else:
            header, start = stack.pop()
            spans.append((header, (start, length)))
    return "".join([*out, markup[last:]]), spans


def _joined(text: str, fragments: list[Fragment]) -> tuple[Fragment, ...]:
    """Joins fragments with only a blank between them."""
    joined = [fragments[0]]
    for start, end in fragments[1:]:
        if text[joined[-1][1] : start] in ("", " "):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return tuple(joined)
