"""JSON Lines of each kind of task, one document a line: reading and writing. Other fields than these are ignored.

    {"id": "d1", "text": "…", "label": "yes"}
    {"id": "d1", "text": "…", "mentions": [{"fragments": [[0, 4], [10, 14]], "label": "Disorder", "concept": "C1"}]}
    {…, "relations": [{"source": 0, "target": 1, "label": "causes"}]}       source and target count the mentions from 0
    {"id": "q1", "query": "…", "passages": [{"id": "p1", "text": "…", "relevant": true}]}

A mention's concept may be left out.

Offsets are characters of the text, ends exclusive. For scoring, texts may be left out, and a prediction's passages carry a
``score`` in place of ``relevant``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.api.data import Document, Fragment, Judgement, Key, Mention, Passage, Relation, apart
from bench.errors import DataError
from bench.kit.classes import chosen_class, write_labels
from bench.kit.documents import names_below, refuse_below
from bench.kit.faults import DEPENDENT, Faults
from bench.kit.jsonl import Record, kind, read
from bench.wording import some

FILE = "annotations.jsonl"
"""Name of the file that `write` makes."""
_MOST = 1e300


def documents(
    records: Sequence[Record], what: str, *, bare: bool = False, scored: bool = False, faults: Faults | None = None
) -> tuple[Document, ...]:
    """Turns lines into documents of a kind of task (`what`): mentions, relations, classification or ranking.

    `bare`: texts may be left out; `scored`: passages carry scores in place of relevance. `faults` collects faults; without it
    they are raised.

    Raises:
        DataError: naming file, line, what is there and what was wanted; no text is quoted.
    """
    collected = Faults(tolerable=False) if faults is None else faults
    readers: Mapping[str, Callable[[Record, str], Document]] = {
        "mentions": partial(_annotated, related=False, bare=bare, faults=collected),
        "relations": partial(_annotated, related=True, bare=bare, faults=collected),
        "classification": partial(_classified, bare=bare),
        "ranking": partial(_ranked, bare=bare, scored=scored),
    }
    by_name: dict[str, Document] = {}
    for record in records:
        with collected.apart():
            name = record.identifier("id")
            if name.casefold() in by_name:
                raise record.error("an earlier line has the same 'id'; wanted each document once.", kind="repeated-id")
            by_name[name.casefold()] = readers[what](record, name)
    if faults is None and records:
        collected.check(records[0].path)
    return tuple(by_name.values())


def read_annotations(path: Path, what: str, *, scored: bool = False, faults: Faults | None = None) -> dict[str, Document]:
    """Reads annotations for scoring, by document: one file, or every ``.jsonl`` file of a folder. Arguments as of `documents`.

    Raises:
        DataError: there is no such file, or a line is wrong.
    """
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path} holds no .jsonl file; wanted at least one.")
    if path.is_dir():
        refuse_below(path, (f"{name}.jsonl" for name in names_below(path, ".jsonl")))
    records = [record for file in files for record in read(file, faults=faults)]
    return {d.id: d for d in documents(records, what, bare=True, scored=scored, faults=faults)}


def write(folder: Path, made: Sequence[Document], what: str) -> None:
    """Writes annotations without text, one document a line.

    Raises:
        DataError: a mention of a relation is missing, or a document has no class where it needs one.
    """
    lines = {"classification": _class_line, "ranking": _ranking_line}
    write_labels(folder / FILE, [{"id": document.id, **lines.get(what, _mention_line)(document)} for document in made])


def _text(record: Record, name: str, bare: bool) -> str | None:
    return None if bare and name not in record.values else record.text(name)


def _annotated(record: Record, name: str, related: bool, bare: bool, faults: Faults) -> Document:
    text = _text(record, "text", bare)
    mentions: dict[Key, Mention] = {}
    places: list[Key | None] = []
    for number, item in enumerate(record.objects("mentions")):
        places.append(None)
        with faults.apart():
            written = _fragments(item, f"mention {number}", text)
            fragments = apart(written)
            file_order = written if written != fragments else None
            concept = item.identifier("concept") if "concept" in item.values else None
            mention = Mention(fragments, item.identifier("label"), concept, written=file_order)
            if mention.key in mentions:
                raise record.error(
                    f"mention {number} repeats the fragments and the label of an earlier one; wanted each once.",
                    kind="repeated-annotation",
                )
            mentions[mention.key] = mention
            places[-1] = mention.key
    return Document(name, text or "", tuple(mentions.values()), _relations(record, places, faults) if related else ())


def _fragments(item: Record, what: str, text: str | None) -> tuple[Fragment, ...]:
    fragments: list[Fragment] = []
    for piece in item.items("fragments"):
        if not (isinstance(piece, list) and len(piece) == 2 and all(type(value) is int for value in piece)):
            raise item.error(f"{what}: an item of 'fragments' is {kind(piece)}; wanted [start, end], whole numbers.")
        start, end = piece
        if not 0 <= start < end:
            raise item.error(
                f"{what}: the fragment {start}-{end} ends before or where it starts, or lies before the text.",
                kind="empty-span",
            )
        if text is not None and end > len(text):
            raise item.error(
                f"{what}: the fragment {start}-{end} lies outside the text, which has {some(len(text), 'character')}.",
                kind="outside-text",
            )
        fragments.append((start, end))
    if not fragments:
        raise item.error(f"{what} has no fragment; wanted at least one [start, end].")
    return tuple(fragments)


def _relations(record: Record, keys: Sequence[Key | None], faults: Faults) -> tuple[Relation, ...]:
    """The relations of a line; `keys` holds None for a faulty mention."""
    relations: dict[Relation, None] = {}
    for number, item in enumerate(record.objects("relations")):
        with faults.apart():
            source, target = (_end(item, number, name, keys) for name in ("source", "target"))
            if source == target:
                raise item.error(f"relation {number} joins a mention with itself; wanted two mentions.", kind="self-relation")
            first, second, label = keys[source], keys[target], item.identifier("label")
            if first is None or second is None:
                faults.left_out[DEPENDENT] += 1
                continue
            relation = Relation(first, second, label)
            if relation in relations:
                raise item.error(f"relation {number} repeats an earlier one; wanted each once.", kind="repeated-annotation")
            relations[relation] = None
    return tuple(relations)


def _end(item: Record, number: int, name: str, keys: Sequence[Key | None]) -> int:
    place = item.integer(name)
    if place >= len(keys):
        raise item.error(
            f"relation {number}: {name!r} is {place}, but the document has {some(len(keys), 'mention')}, from 0 on.",
            kind="missing-mention",
        )
    return place


def _classified(record: Record, name: str, bare: bool) -> Document:
    return Document(name, _text(record, "text", bare) or "", judgements=(Judgement(record.identifier("label"), 1.0, True),))


def _ranked(record: Record, name: str, bare: bool, scored: bool) -> Document:
    text = _text(record, "query", bare) or ""
    passages: list[Passage] = []
    judgements: dict[str, Judgement] = {}
    for item in record.objects("passages"):
        said = _text(item, "text", bare) or ""
        passage = item.identifier("id")
        if passage in judgements:
            raise item.error("the 'id' of a passage stands in this line twice; wanted each passage once.")
        judgements[passage] = Judgement(passage, *(_score(item) if scored else _relevance(item)))
        text += "\n\n"
        passages.append(Passage(passage, (len(text), len(text) + len(said))))
        text += said
    if not passages:
        raise record.error("a query without passages; wanted one at least.")
    return Document(name, text, judgements=tuple(judgements.values()), passages=tuple(passages))


def _relevance(item: Record) -> tuple[float, bool]:
    if not isinstance(item.values.get("relevant"), bool):
        raise item.error(f"field 'relevant' of a passage is {kind(item.values.get('relevant'))}; wanted true or false.")
    return float(item.values["relevant"]), item.values["relevant"]


def _score(item: Record) -> tuple[float, bool]:
    value = item.values.get("score")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -_MOST < value < _MOST:
        raise item.error(f"field 'score' of a passage is {kind(value)}; wanted a finite number.")
    return float(value), value > 0


def _mention_line(document: Document) -> dict[str, Any]:
    linked = {mention.key: mention.concept for mention in document.mentions}
    ends = [key for relation in document.relations for key in (relation.source, relation.target)]
    # A head that gets gold mentions predicts relations alone: their ends are added to the mentions.
    places = {key: n for n, key in enumerate(dict.fromkeys([*(m.key for m in document.mentions), *ends]))}
    return {
        "mentions": [
            {"fragments": [list(part) for part in key[0]], "label": key[1]}
            | ({"concept": linked[key]} if linked.get(key) else {})
            for key in places
        ],
        "relations": [
            {"source": places[r.source], "target": places[r.target], "label": r.label}
            for r in dict.fromkeys(document.relations)
        ],
    }


def _class_line(document: Document) -> dict[str, Any]:
    chosen = chosen_class(document)
    if chosen is None:
        raise DataError(f"Document {document.id!r} has no class; wanted one to write.")
    return {"label": chosen}


def _ranking_line(document: Document) -> dict[str, Any]:
    return {"passages": [{"id": j.name, "score": j.score, "relevant": j.chosen} for j in document.judgements]}
