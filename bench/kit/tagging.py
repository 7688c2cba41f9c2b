"""Mentions from tags of tokens, in the schemes that are in use: IOB2, IOB1, IOBES (BIOES), BILOU, BMES and BMEWO.

Source: Ramshaw and Marcus 1995, arXiv:cmp-lg/9505040 (IOB1); Ratinov and Roth 2009, W09-1119 (BILOU). The same two mentions:

    IOB2    B-Drug I-Drug O B-Drug        IOBES   B-Drug E-Drug O S-Drug
    IOB1    I-Drug I-Drug O I-Drug        BILOU   B-Drug L-Drug O U-Drug        BMEWO   B-Drug E-Drug O W-Drug

In IOB1 a mention begins with B- only where it follows directly on one of its label. In IOB2 its tags mean other mentions, so
that the scheme is found out from a whole file: `scheme_of`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

OUTSIDE = "O"
LABEL = r"\w[\w.:/+-]{0,63}"
TAG = re.compile(rf"([BIF])-({LABEL})")
"""A tag of IOB2, or one with F-, which begins the next fragment of a mention in files that `bench.kit.iob_write` makes."""
_TAG = re.compile(rf"([BIFSELUMW])-({LABEL})")
_BEGIN, _SINGLE, _LAST, _WITHIN = "BSUW", "SUW", "EL", "IMEL"

Tag = tuple[str, str]
"""Role, the letter before the hyphen, and label."""

Refuse = Callable[[int, str], None]
"""Called with the position of a tag that makes no mention, and with what is wrong; it raises, or counts."""


@dataclass(frozen=True)
class Scheme:
    """How tags are to be read.

    Args:
        name: of the scheme.
        said: how it is read, for the user; empty for IOB2.
        first: whether an I- tag that continues no mention begins one.
        closes: whether the last token of every mention has a tag of its own.
    """

    name: str
    said: str = ""
    first: bool = False
    closes: bool = False


IOB2 = Scheme("IOB2")
IOB1 = Scheme("IOB1", "a mention begins with I-, or with B- directly after another one of its label", first=True)
_SCHEMES = {
    "W": Scheme("BMEWO", "M- and E- are taken as I-, and W- as B-", closes=True),
    "M": Scheme("BMES", "M- and E- are taken as I-, and S- as B-", closes=True),
    "L": Scheme("BILOU", "L- is taken as I-, and U- as B-", closes=True),
    "U": Scheme("BILOU", "L- is taken as I-, and U- as B-", closes=True),
    "E": Scheme("IOBES", "E- is taken as I-, and S- as B-", closes=True),
    "S": Scheme("IOBES", "E- is taken as I-, and S- as B-", closes=True),
}
"""Letter to the scheme that has it; the first letter here that a file has decides."""


def parsed(tag: str) -> Tag | None:
    """Role and label of a tag of any scheme; None where it is none."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    match = _TAG.fullmatch(tag)
    return (match[1], match[2]) if match else None


def scheme_of(sentences: Iterable[Iterable[str]]) -> Scheme:
    """The scheme of all sentences of a file, from their tags; what is no tag counts as O.

    It is IOB1 where I- tags begin mentions and B- tags do so only directly after a mention of their label.
    """
    roles: set[str] = set()
    begun = orphans = False
    for sentence in sentences:
        before = ""
        for tag in sentence:
            if tag == OUTSIDE:
                before = ""
                continue
            role, label = parsed(tag) or (OUTSIDE, "")
            roles.add(role)
            begun = begun or (role == "B" and label != before)
            orphans = orphans or (role == "I" and label != before)
            before = label
    closing = next((scheme for letter, scheme in _SCHEMES.items() if letter in roles), None)
    return closing or (IOB1 if orphans and not begun else IOB2)


def runs(
    column: Sequence[str], tags: Mapping[str, Tag], scheme: Scheme, refuse: Refuse
) -> Iterator[tuple[list[tuple[int, int]], str]]:
    """Mentions of a sentence: the (first, behind the last) tokens of each of their fragments, and their label.

    Args:
        column: a tag for each token.
        tags: a tag to its role and label.
        scheme: of the tags.
        refuse: called for each tag that makes no mention; what it belongs to is left out.
    """
    parts: list[tuple[int, int]] = []
    label = ""
    inside = closed = False
    before = begin = -1

    def ended() -> bool:
        if parts and not closed:
            refuse(begin, f"a mention begins here and has no tag for its end, as {scheme.name} wants")
        return bool(parts) and closed

    for at in [place for place, tag in enumerate(column) if tag != OUTSIDE]:
        role, kind = tags[column[at]]
        inside = inside and before == at - 1
        before = at
        if role in _BEGIN or (scheme.first and role == "I" and not (inside and kind == label)):
            if ended():
                yield parts, label
            parts, label, begin = [(at, at + 1)], kind, at
            inside = role not in _SINGLE
            closed = not (scheme.closes and inside)
        elif role in _WITHIN and inside and kind == label:
            parts[-1] = (parts[-1][0], at + 1)
            if role in _LAST:
                inside, closed = False, True
        elif role == "F" and parts and kind == label:
            parts.append((at, at + 1))
            inside = True
        else:
            inside = False
            refuse(at, f"a tag {role}- continues no mention of its label")
    if ended():
        yield parts, label
