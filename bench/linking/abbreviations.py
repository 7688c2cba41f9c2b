"""Abbreviations that a text defines: "alveolar epithelial cells (AECs)".

Source: Schwartz and Hearst 2003, "A simple algorithm for identifying abbreviation definitions in biomedical text",
https://psb.stanford.edu/psb-online/proceedings/psb03/schwartz.pdf.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from bench.linking.normalise import words

_PAIR = re.compile(r"\(\s*([^()\n]{1,80}?)\s*[;,)]")
_SHORT = re.compile(r"[^\W_][\w\-/.+']{0,9}")
_SENTENCE = re.compile(r"[.;:]\s")
_BEFORE = 160
"""Characters before a bracket that may hold the long form."""


def definitions(text: str) -> dict[str, str]:
    """Short form to long form, by the first definition of each; short forms are singular."""
    long_forms: dict[str, str] = {}
    for match in _PAIR.finditer(text):
        inside = match[1].strip()
        before = _SENTENCE.split(" ".join(text[max(0, match.start() - _BEFORE) : match.start()].split()))[-1]
        if _is_short(inside):
            short = inside
            most = min(len(short) + 5, 2 * len(short))
            long = long_form(short, " ".join(before.split(" ")[-most:]))
        else:  # "AEC (alveolar epithelial cell)"
            short = before.rpartition(" ")[2]
            long = long_form(short, inside) if _is_short(short) else None
        if long:
            long_forms.setdefault(singular(short), long)
    return long_forms


def singular(short: str) -> str:
    """A short form without ``'s`` and without the small ``s`` of its plural."""
    short = short[:-2] if short.endswith(("'s", "’s")) else short
    return short[:-1] if len(short) > 2 and short.endswith("s") and short[-2].isupper() else short


def expanded(text: str, known: Mapping[str, str]) -> str:
    """A mention's words with known short forms written out."""
    return " ".join(known.get(word) or known.get(singular(word)) or word for word in text.split())


def initials(texts: Sequence[str]) -> dict[str, str]:
    """Short form to long form, for mentions that are the initials of another one; of several, of the most frequent."""
    counts = Counter(text for text in texts if text.count(" ") or text.count("-"))
    spelled: dict[str, str] = {}
    for text in sorted(counts, key=lambda text: (-counts[text], text)):
        letters = "".join(word[0] for word in words(text))
        spelled.setdefault(letters, text)
    long_forms = {}
    for text in texts:
        short = singular(text)
        if _is_short(short) and short.casefold() in spelled:
            long_forms[short] = spelled[short.casefold()]
    return long_forms


def long_form(short: str, text: str) -> str | None:
    """The end of a text that is the long form of a short form; None where there is none.

    The letters of the short form are matched from right to left; the first must begin a word.
    """
    short = singular(short)
    at = len(text)
    for index in range(len(short) - 1, -1, -1):
        letter = short[index].casefold()
        if not letter.isalnum():
            continue
        at -= 1
        while at >= 0 and (text[at].casefold() != letter or (index == 0 and at > 0 and text[at - 1].isalnum())):
            at -= 1
        if at < 0:
            return None
    long = text[at:].strip()
    return long if len(long) > len(short) and short.casefold() not in long.casefold().split() else None


def _is_short(text: str) -> bool:
    return _SHORT.fullmatch(text) is not None and any(c.isupper() for c in text) and len(text) > 1
