"""Rows of `anaforatools`, plain and with temporal closure of CONTAINS, as counts that can be summed over documents.

Source: https://github.com/bethard/anaforatools, `anafora.evaluate`, which the organisers used. Its `score_data` compares two
files. Its `score_dirs` also reads folders, but skips files that it cannot use and does not check them, so that
`bench_tasks.semeval2016_t12.layout` reads them here. As there, precision is 1 where nothing is predicted, and recall is 1 where
gold is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from bench.api.data import Document, Key
from bench.api.task import Scores
from bench.errors import MissingError
from bench.kit.scores import as_count
from bench_tasks.semeval2016_t12 import anafora_xml

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

CLOSURE = "closure"
_PLAIN = "plain"
_CLOSED = ("TLINK", "Type", "CONTAINS")
_COUNTS = {
    _PLAIN: ("reference", "predicted", "correct"),
    CLOSURE: ("reference", "predicted", "precision_correct", "recall_correct"),
}


Contains = tuple[Any, ...]
"""A relation as `anaforatools` compares it: spans of both ends, then type and property."""


def row_name(view: str | tuple[str, ...]) -> str:
    """A row as `anaforatools` prints it, e.g. ``TLINK:Type:CONTAINS``."""
    return view if isinstance(view, str) else ":".join(view)


def statistics(gold: Element, predicted: Element) -> dict[str, float]:
    """Counts of every row for one document.

    Args:
        gold: the ``data`` element of a checked file or of `element_of`.
        predicted: the same.

    Raises:
        MissingError: `anaforatools` is not installed.
    """
    try:
        import anafora
        from anafora.evaluate import TemporalClosureScores, score_data
    except ImportError:
        raise MissingError("2016-T12 is scored by anaforatools, which is not installed.", "pip install anaforatools") from None
    files = [anafora.AnaforaData(root) for root in (gold, predicted)]
    counts: dict[str, float] = {}
    for kind, options in (
        (_PLAIN, {}),
        (CLOSURE, {"include": {_CLOSED}, "scores_type": partial(_fast_scores, TemporalClosureScores)}),
    ):
        for view, scores in score_data(*files, **options).items():
            for count in _COUNTS[kind]:
                counts[f"{kind}/{row_name(view)}.{count}"] = float(getattr(scores, count))
    return counts


def summarise(sums: Mapping[str, Any]) -> Scores:
    """Precision, recall and F1 of every row, those with closure below ``closure``; numbers or arrays.

    Args:
        sums: what `statistics` gives, summed over documents.
    """
    rows: dict[str, dict[str, dict[str, Any]]] = {_PLAIN: {}, CLOSURE: {}}
    for key, value in sums.items():
        kind, _, rest = key.partition("/")
        name, _, count = rest.rpartition(".")
        rows[kind].setdefault(name, {})[count] = value
    figures = {kind: {name: _figures(counts) for name, counts in sorted(rows_of.items())} for kind, rows_of in rows.items()}
    return {**figures[_PLAIN], CLOSURE: figures[CLOSURE]}


def element_of(document: Document) -> Element:
    """The annotations of a document as Anafora XML. Relations whose mentions are missing are left out: the format cannot hold
    them.
    """
    root = ElementTree.Element("data")
    annotations = ElementTree.SubElement(root, "annotations")
    names: dict[Key, str] = {}
    for mention in document.mentions:
        if mention.key in names:
            continue
        names[mention.key] = f"{len(names) + 1}@e@bench"
        spans = ";".join(f"{start},{end}" for start, end in mention.as_written)
        fields = {slot: values[-1] for slot, values in mention.slots.items() if values}
        _annotation(annotations, "entity", names[mention.key], mention.label, fields, spans)
    for number, relation in enumerate(dict.fromkeys(document.relations), 1):
        source, target = names.get(relation.source), names.get(relation.target)
        if source and target:
            fields = {"Source": source, "Type": relation.label, "Target": target}
            _annotation(annotations, "relation", f"{number}@r@bench", "TLINK", fields)
    return root


def write(folder: Path, document: Document) -> None:
    """Writes ``DOC/DOC.Temporal-Relation.bench.completed.xml`` below a folder."""
    root = element_of(document)
    ElementTree.indent(root)
    home = folder / document.id
    home.mkdir(parents=True, exist_ok=True)
    content: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    (home / f"{document.id}.Temporal-Relation.bench.completed.xml").write_bytes(content + b"\n")


def nothing() -> Element:
    """A file without annotations."""
    return element_of(Document("", ""))


def read(path: Path) -> Element:
    """The checked ``data`` element of a file.

    Raises:
        DataError: naming file, line, what is there and what was wanted.
    """
    return anafora_xml.read(path).root


def contained(annotations: Iterable[Contains]) -> set[Contains]:
    """The transitive closure of CONTAINS.

    `TemporalClosureScores` infers it from points in time, for all kinds of relations, in rounds over all pairs of points. On
    600 containers, as a bad model predicts for one note, it takes minutes. For CONTAINS alone, paths give the same.
    """
    inside: dict[Any, set[Any]] = {}
    kinds: dict[tuple[Any, ...], None] = {}
    for (source, target), *kind in annotations:
        inside.setdefault(source, set()).add(target)
        kinds[tuple(kind)] = None
    closure: set[Contains] = set()
    for source in inside:
        reached: set[Any] = set()
        ahead = [source]
        while ahead:
            new = inside.get(ahead.pop(), set()) - reached
            reached |= new
            ahead += new
        closure.update(((source, target), *kind) for target in reached for kind in kinds)
    return closure


def _fast_scores(kind: Any) -> Any:
    """Closure scores of `anaforatools` whose inference is `contained`."""
    scores = kind()
    scores._closure = contained
    return scores


def _annotation(parent: Element, tag: str, name: str, kind: str, values: Mapping[str, str], spans: str | None = None) -> None:
    element = ElementTree.SubElement(parent, tag)
    ElementTree.SubElement(element, "id").text = name
    if spans is not None:
        ElementTree.SubElement(element, "span").text = spans
    ElementTree.SubElement(element, "type").text = kind
    properties = ElementTree.SubElement(element, "properties")
    for slot, value in values.items():
        ElementTree.SubElement(properties, slot).text = value


def _figures(counts: Mapping[str, Any]) -> dict[str, Any]:
    import numpy as np  # half of what `bench list` may cost

    correct = counts.get("correct")
    counted_in = {"precision": ("predicted", "precision_correct"), "recall": ("reference", "recall_correct")}
    rates: dict[str, Any] = {}
    for figure, (total, part) in counted_in.items():
        below = np.asarray(counts[total], dtype=float)
        above = np.asarray(counts[part] if correct is None else correct, dtype=float)
        rates[figure] = np.divide(above, below, out=np.ones(below.shape), where=below != 0)
    both = rates["precision"] + rates["recall"]
    rates["f1"] = np.divide(2 * rates["precision"] * rates["recall"], both, out=np.zeros(both.shape), where=both != 0)
    figures = {name: value if value.ndim else float(value) for name, value in rates.items()}
    return {**{name: as_count(value) for name, value in counts.items()}, **figures}
