"""Cuts a document into windows (sentences, the whole text, or its query with each passage), and joins their predictions."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench.api.data import Annotation, Document, Fragment, Judgement, Mention, Relation, in_order
from bench.api.head import Cut, Window
from bench.data.spans import tidied
from bench.data.windows import assign, special_tokens, tokenized, windows, words
from bench.errors import UsageError


def cut(document: Document, tokenizer: Any, max_length: int, how: Cut) -> tuple[list[Window], list[Document], Counter[str]]:
    """Cuts a document, with a fast tokenizer, into windows of at most `max_length` tokens, special tokens included.

    Returns:
        The windows; the gold of each, as a document without text; and counts of annotations that lie in no single window
        (``window``) and of windows with text cut off (``truncated``; none where sentences are packed).

    Raises:
        UsageError: `max_length` leaves no room beside the special tokens.
    """
    if how == "sentences":
        cut_windows = windows(document, tokenizer, max_length)
        return (cut_windows, *assign(document, cut_windows))
    spans = words(document.text)
    ids, first, last = tokenized(document.text, spans, tokenizer) if spans else ([], [], [])
    before, after = special_tokens(tokenizer)
    between = separator(tokenizer) if how in ("passages", "pair") else []
    room = max_length - len(before) - len(between) - len(after)
    if room < 2:
        raise UsageError(f"--max-length {max_length} leaves no room for text beside the special tokens.")
    starts = [start for start, _ in spans]
    cut_windows, gold, lost = [], [], Counter[str]()
    for part, (texts, bounds) in enumerate(_parts(document, how)):
        ranges = [(bisect_left(starts, low), bisect_left(starts, high)) for low, high in texts]
        sizes = [last[high - 1] + 1 - first[low] if high > low else 0 for low, high in ranges]
        shares = shared(sizes, room)
        inside, places = list(before), []
        for number, ((low, high), keep) in enumerate(zip(ranges, shares, strict=True)):
            inside += between if number else []
            for word in range(low, high):
                if first[word] - first[low] < keep:
                    shift = len(inside) - first[low]
                    places.append((spans[word], first[word] + shift, min(last[word], first[low] + keep - 1) + shift))
            inside += ids[first[low] : first[low] + keep] if high > low else []
        inside += after
        lost["truncated"] += shares != sizes
        cut_windows.append(
            Window(
                document=document.id,
                input_ids=tuple(inside),
                words=tuple(span for span, _, _ in places),
                first=tuple(begin for _, begin, _ in places),
                last=tuple(end for _, _, end in places),
                start=bounds[0],
                end=bounds[1],
                part=part,
            )
        )
        seen = document.judgements
        if how in ("passages", "pair"):
            seen = tuple(j for j in seen if j.name == document.passages[part].id)
        gold.append(replace(document, text="", judgements=seen))
    return cut_windows, gold, +lost


def joined(document: Document, annotations: Sequence[Annotation]) -> Document:
    """What the windows of a document say, as one document without text; a judgement named ``#n`` is about its passage n.

    The document comes with its text, for white space in mentions, which is treated as in gold.
    """
    annotations = tidied(annotations, document.text)
    mentions = {a for a in annotations if isinstance(a, Mention)}
    relations = {a for a in annotations if isinstance(a, Relation)}
    judgements = {a.name: a for a in annotations if isinstance(a, Judgement)}
    named = {f"#{i}": passage.id for i, passage in enumerate(document.passages)}
    return Document(
        document.id,
        "",
        in_order(tuple(mentions)),
        tuple(sorted(relations, key=lambda r: (r.source, r.target, r.label))),
        tuple(Judgement(named.get(name, name), j.score, j.chosen) for name, j in sorted(judgements.items())),
        document.passages,
    )


def shared(sizes: Sequence[int], room: int) -> list[int]:
    """Tokens to keep of one or two texts: of two that are too long together, each gets half, or all if it needs less."""
    if sum(sizes) <= room:
        return list(sizes)
    if len(sizes) == 1:
        return [room]
    first = min(sizes[0], max(room // 2, room - sizes[1]))
    return [first, min(sizes[1], room - first)]


def separator(tokenizer: Any) -> list[int]:
    """Token ids between a query and a passage: the tokenizer's separator, or a blank line where it has none."""
    token = getattr(tokenizer, "sep_token_id", None)
    if token is not None:
        return [int(token)]
    ids: list[int] = tokenizer("\n\n", add_special_tokens=False)["input_ids"]
    return ids


def _parts(document: Document, how: Cut) -> list[tuple[list[Fragment], Fragment]]:
    """For each window the ranges of text that it reads, and the range that its predictions are about."""
    if how == "whole":
        everything = (0, len(document.text))
        return [([everything], everything)]
    query = (0, document.passages[0].span[0] if document.passages else 0)
    return [([query, passage.span], passage.span) for passage in document.passages]
