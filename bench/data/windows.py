"""Windows: sentences of a document, packed greedily into pieces that fit the model.

A document is tokenized once and cut afterwards: the cost is linear in its length, and the tokens do not depend on where a
window begins. The rules for sentences suit clinical notes: a line break alone ends no sentence, since notes are wrapped at a
fixed column; blank lines, bullets and section headers do.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench.api.data import Document, Fragment, Key, Mention, Relation
from bench.api.head import Window
from bench.errors import UsageError

_WORD = re.compile(r"\w+|[^\w\s]")
# The same on ASCII text, in two thirds of the time; with re.ASCII, \s does not include the separators \x1c-\x1f.
_ASCII_WORD = re.compile(r"\w+|[^\w\s\x1c-\x1f]", re.ASCII)
_BLANK = re.compile(r"\n[^\S\n]*\n")
_BULLET = re.compile(r"(?:[-*•·▪◦‣–+]|\(?\d{1,2}[.)]|\(?[A-Za-z][.)])[^\S\n]+\S")
_HEADER = re.compile(r"[A-Z][\w/&'() -]{0,58}:(?:\s|$)")
_ABBREVIATION = re.compile(
    r"(?:drs?|mrs?|ms|prof|st|vs|figs?|e\.?g|i\.?e|etc|al|approx|dept|est|pts?|resp|sp|spp|ca|cf|viz|wt|ht|q\.d|[btq]\.i\.d|p\.o|p\.r\.n"
    r"|[ap]\.m)",
    re.IGNORECASE,
)
_CLOSING = frozenset("\"')]}”’»")
_MAY_OPEN = frozenset("\"'([{“‘«-*•#<>+=~")
_SENTENCE, _CLAUSE = 2, 1
_LINE = 80


def words(text: str) -> tuple[Fragment, ...]:
    r"""Character (start, end) of every word of a text: ``\w+|[^\w\s]``."""
    return tuple(map(re.Match.span, _pattern(text).finditer(text)))


def count_words(text: str, start: int = 0, end: int | None = None) -> int:
    """Number of `words` that begin within a range of characters of a text, its end exclusive; by default in all of it."""
    pattern = _pattern(text)
    end = len(text) if end is None else end
    before = pattern.match(text, start - 1, end) if start > 0 else None
    return len(pattern.findall(text, start, end)) - (before is not None and before.end() > start)


def _pattern(text: str) -> re.Pattern[str]:
    return _ASCII_WORD if text.isascii() else _WORD


def sentences(text: str) -> list[Fragment]:
    """Word ranges (first, end exclusive) of the sentences of a text, in order and without gaps."""
    spans = words(text)
    strength = _boundaries(text, spans)
    ends = [i for i in range(1, len(spans) + 1) if strength[i] == _SENTENCE]
    return list(zip([0, *ends[:-1]], ends, strict=True)) if spans else []


def windows(document: Document, tokenizer: Any, max_length: int) -> list[Window]:
    """Cuts a document with a fast tokenizer into windows of at most `max_length` tokens, special ones included.

    Every word is in exactly one window, in order. A sentence longer than a window is cut after a clause if one ends in the
    window's second half, else between two words. A word longer than a window keeps its first tokens only. A word for which the
    tokenizer makes no token (such as a lone combining accent) points at the token before it.

    Raises:
        UsageError: `max_length` leaves no room beside the special tokens.
    """
    spans = words(document.text)
    if not spans:
        return []
    before, after = special_tokens(tokenizer)
    room = max_length - len(before) - len(after)
    if room < 1:
        raise UsageError(
            f"--max-length is {max_length}, of which special tokens take {len(before) + len(after)}; leave room for text."
        )
    ids, first, last = tokenized(document.text, spans, tokenizer)
    cut_windows = []
    for low, high in _pack(first, last, _boundaries(document.text, spans), room):
        begin = first[low]
        stop = min(max(last[high - 1] + 1, begin), begin + room)
        inside = before + ids[begin:stop] + after
        cut_windows.append(
            Window(
                document=document.id,
                input_ids=tuple(inside) if inside else (_filler(tokenizer),),
                words=spans[low:high],
                first=tuple(_place(t - begin, stop - begin, len(before), len(inside)) for t in first[low:high]),
                last=tuple(_place(t - begin, stop - begin, len(before), len(inside)) for t in last[low:high]),
                start=spans[low][0],
                end=spans[high - 1][1],
            )
        )
    return cut_windows


def assign(document: Document, windows: Sequence[Window]) -> tuple[list[Document], Counter[str]]:
    """Divides the gold of a document among its `windows`, in order; a window gets what lies wholly in it.

    Returns:
        For each window a document without text, with its mentions in document order and the relations between them; and the
        number of mentions and relations that lie in no single window, as ``window``.
    """
    lost: Counter[str] = Counter()
    starts = [window.start for window in windows]
    home: dict[Key, int] = {}
    mentions: list[list[Mention]] = [[] for _ in windows]
    for mention in document.mentions:
        at = bisect_right(starts, mention.fragments[0][0]) - 1
        if at >= 0 and mention.fragments[-1][1] <= windows[at].end:
            home[mention.key] = at
            mentions[at].append(mention)
        else:
            lost["window"] += 1
    relations: list[list[Relation]] = [[] for _ in windows]
    for relation in document.relations:
        source, target = home.get(relation.source, -1), home.get(relation.target, -2)
        if source == target:
            relations[source].append(relation)
        else:
            lost["window"] += 1
    parts = zip(mentions, relations, strict=True)
    return [replace(document, text="", mentions=tuple(contained), relations=tuple(joined)) for contained, joined in parts], lost


def tokenized(text: str, spans: Sequence[Fragment], tokenizer: Any) -> tuple[list[int], list[int], list[int]]:
    """Token ids of a text without special tokens, and the first and the last token of each of its words."""
    encoded = tokenizer(
        text,
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        truncation=False,
        padding=False,
        verbose=False,
    )
    first, last = _align(spans, encoded["offset_mapping"])
    return encoded["input_ids"], first, last


def special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Ids that a tokenizer puts before and after a text, e.g. ``([CLS], [SEP])`` for BERT and ``([BOS], [])`` for Llama."""
    plain: list[int] = tokenizer("a", add_special_tokens=False, verbose=False)["input_ids"]
    framed: list[int] = tokenizer("a", add_special_tokens=True, verbose=False)["input_ids"]
    for at in range(len(framed) - len(plain) + 1):
        if framed[at : at + len(plain)] == plain:
            return framed[:at], framed[at + len(plain) :]
    return [], []


def _boundaries(text: str, spans: Sequence[Fragment]) -> list[int]:
    """The kind of boundary before each word and, at index len(spans), at the end: 2 sentence, 1 clause, 0 none."""
    strength = [0] * (len(spans) + 1)
    strength[-1] = _SENTENCE
    header = _header(text, spans[0][0]) if spans else 0
    for i in range(1, len(spans)):
        gap = text[spans[i - 1][1] : spans[i][0]]
        if not gap:
            continue
        if "\n" in gap:
            before, header = header, _header(text, spans[i][0])
            if _BLANK.search(gap) or before == _ALONE or header or _BULLET.match(text, spans[i][0]):
                strength[i] = _SENTENCE
                continue
            strength[i] = _CLAUSE
        if _ends_sentence(text, spans, i):
            strength[i] = _SENTENCE
        elif text[spans[i - 1][0]] in ",;:":
            strength[i] = _CLAUSE
    return strength


_LEADS, _ALONE = 1, 2


def _header(text: str, start: int) -> int:
    """`_LEADS` where the line that starts here begins with a section header (``Allergies: none``), `_ALONE` where it is one.

    Text after a header may be wrapped onto the next line; a header alone, or a line of capitals, ends with its line.
    """
    end = text.find("\n", start, start + _LINE)
    line = text[start : end if end >= 0 else start + _LINE].rstrip()
    if _HEADER.match(line):
        return _ALONE if line.endswith(":") else _LEADS
    complete = end >= 0 or len(text) <= start + _LINE
    return _ALONE if complete and len(line) > 3 and line.isupper() and not line.endswith((".", ",", ";")) else 0


def _ends_sentence(text: str, spans: Sequence[Fragment], i: int) -> bool:
    """Whether a sentence ends between the words i - 1 and i, which white space separates."""
    opening = text[spans[i][0]]
    if opening.islower() or not (opening.isalnum() or opening in _MAY_OPEN):
        return False
    j = i - 1
    while j > 0 and text[spans[j][0]] in _CLOSING and spans[j - 1][1] == spans[j][0]:
        j -= 1
    mark = text[spans[j][0]]
    if mark in "?!":
        return True
    if mark != "." or j == 0:
        return mark == "."
    if spans[j - 1][1] != spans[j][0]:
        return True
    stop, word = spans[j][0], text[slice(*spans[j - 1])]
    token = text[max(0, stop - 12) : stop].split()[-1].lstrip("([\"'")
    if _ABBREVIATION.fullmatch(token) or (len(word) == 1 and word.isupper()):
        return False
    line = text.rfind("\n", max(0, spans[j - 1][0] - 8), spans[j - 1][0]) + 1
    numbered = word.isdigit() and len(word) <= 2 and not text[line : spans[j - 1][0]].strip() and (line or spans[j - 1][0] < 8)
    return not numbered


def _align(spans: Sequence[Fragment], offsets: Sequence[Fragment]) -> tuple[list[int], list[int]]:
    """Index of the first and the last token of each word; a token across two words belongs to both."""
    first: list[int] = []
    last: list[int] = []
    at, count = 0, len(offsets)
    for start, end in spans:
        while at < count and (offsets[at][1] <= start or offsets[at][0] == offsets[at][1]):
            at += 1
        if at == count or offsets[at][0] >= end:  # no token of its own
            near = last[-1] if last else min(at, max(count - 1, 0))
            first.append(near)
            last.append(near)
            continue
        stop = at
        while stop + 1 < count and offsets[stop + 1][0] < end:
            stop += 1
        first.append(at)
        last.append(stop)
        at = stop
    return first, last


def _pack(first: Sequence[int], last: Sequence[int], strength: Sequence[int], room: int) -> list[Fragment]:
    """Word ranges of the windows; each ends at the last sentence end that fits, else clause end, else word."""
    count = len(first)
    packed = []
    low = high = 0
    while low < count:
        high = max(high, low + 1)
        while high < count and last[high] - first[low] + 1 <= room:
            high += 1
        cut = next((k for k in range(high, low, -1) if strength[k] == _SENTENCE), None)
        if cut is None:
            middle = (low + high) // 2
            cut = next((k for k in range(high, middle, -1) if strength[k] == _CLAUSE), high)
        packed.append((low, cut))
        low = cut
    return packed


def _place(token: int, text_tokens: int, before: int, length: int) -> int:
    """Position of a token in its window; that of the last token that is kept where the token itself was cut off."""
    return max(min(before + min(token, text_tokens - 1), length - 1), 0)


def _filler(tokenizer: Any) -> int:
    """A token for a window that would be empty: its text gives none, and the tokenizer adds no special ones."""
    for name in ("unk_token_id", "eos_token_id", "pad_token_id"):
        if (token := getattr(tokenizer, name, None)) is not None:
            return int(token)
    return 0
