"""Reads the corpus: ``train``, ``dev`` and ``test``, each with a text and an Anafora file for each document."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from bench.api.data import SPLITS, Corpus, Document, Key, Mention, Relation, apart, in_order
from bench.errors import DataError
from bench.kit.faults import Fault, Faults
from bench.kit.files import decode, read_bytes
from bench.kit.synthetic import is_synthetic
from bench.wording import some
from bench_tasks.semeval2016_t12 import anafora_xml
from bench_tasks.semeval2016_t12.layout import annotation_files, texts_of
from bench_tasks.semeval2016_t12.task import LAYOUT

CONTAINS = "CONTAINS"
MENTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "EVENT": {
        "DocTimeRel": ("BEFORE", "OVERLAP", "BEFORE/OVERLAP", "AFTER"),
        "Type": ("N/A", "ASPECTUAL", "EVIDENTIAL"),
        "Degree": ("N/A", "MOST", "LITTLE"),
        "Polarity": ("POS", "NEG"),
        "ContextualModality": ("ACTUAL", "HEDGED", "HYPOTHETICAL", "GENERIC"),
        "ContextualAspect": ("N/A", "NOVEL", "INTERMITTENT"),
        "Permanence": ("UNDETERMINED", "FINITE", "PERMANENT"),
    },
    "TIMEX3": {"Class": ("DATE", "TIME", "DURATION", "QUANTIFIER", "PREPOSTEXP", "SET")},
}
"""Predicted types to the values of their properties."""
LEFT_OUT = ("SECTIONTIME", "DOCTIME", "DUPLICATE")
"""Entities of the files that are not part of the shared task."""
TLINKS = ("BEFORE", "OVERLAP", CONTAINS, "BEGINS-ON", "ENDS-ON")
OTHER_RELATIONS = ("ALINK",)


def load(folder: Path, faults: Faults | None = None) -> Corpus:
    """Reads and checks a corpus; see `CorpusTask.load`."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", f"Wanted {LAYOUT}.")
    faults = faults or Faults(tolerable=False)
    digest = hashlib.sha256()
    splits: dict[str, tuple[Document, ...]] = {}
    for split in SPLITS:
        texts, files = texts_of(folder / split), annotation_files(folder / split)
        for have, lack, what in ((texts, files, "annotation file DOC.*.xml"), (files, texts, "text")):
            for name in sorted(have.keys() - lack.keys()):
                hint = "A document without annotations has a file with empty <annotations>." if have is texts else None
                faults.add(Fault("missing-file", f"{have[name]} has no {what} beside it.", hint))
        documents = []
        for name, text in texts.items():
            if name not in files:
                continue
            contents = [read_bytes(path) for path in (text, files[name])]
            for path, content in zip((text, files[name]), contents, strict=True):
                digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
                digest.update(content)
            with faults.apart():
                documents.append(_document(name, decode(contents[0], text), anafora_xml.read(files[name], contents[1])))
        splits[split] = tuple(documents)
    faults.check(folder)
    for split, read in splits.items():
        if not any(document.relations for document in read):
            raise DataError(f"{folder / split} holds no {CONTAINS} between EVENT and TIMEX3; wanted annotated documents.")
    return Corpus(splits, is_synthetic(folder), digest.hexdigest(), left_out=faults.left_out)


def _document(name: str, text: str, annotations: anafora_xml.Annotations) -> Document:
    keys: dict[str, Key] = {}
    mentions: dict[Key, Mention] = {}
    for identifier, entity in annotations.entities.items():
        label = anafora_xml.kind(entity)
        if label in LEFT_OUT:
            continue
        if label not in MENTIONS:
            raise annotations.error(
                entity, f"the <type> of this entity is not known; wanted {', '.join((*MENTIONS, *LEFT_OUT))}."
            )
        written = anafora_xml.spans(annotations, entity)
        fragments = apart(written)
        if fragments[-1][1] > len(text):
            raise annotations.error(
                entity, f"span {fragments[-1][0]},{fragments[-1][1]} lies outside the text of {some(len(text), 'character')}."
            )
        slots = {}
        for slot, values in MENTIONS[label].items():
            value = anafora_xml.properties(entity).get(slot)
            if value is None:
                continue
            if value not in values:
                raise annotations.error(entity, f"<{slot}> holds no known value; wanted one of {', '.join(values)}.")
            slots[slot] = (value,)
        keys[identifier] = (fragments, label)
        original = written if written != fragments else None
        mentions.setdefault(keys[identifier], Mention(fragments, label, slots=slots, written=original))
    relations: dict[Relation, None] = {}
    for relation in annotations.relations:
        kind, values_of = anafora_xml.kind(relation), anafora_xml.properties(relation)
        if kind in OTHER_RELATIONS:
            continue
        if kind != "TLINK" or values_of.get("Type") not in TLINKS:
            raise annotations.error(
                relation, f"this relation is of no known type; wanted a TLINK of {', '.join(TLINKS)}, or an ALINK."
            )
        ends = [keys.get(values_of[end]) for end in anafora_xml.ENDS]
        if values_of["Type"] == CONTAINS and ends[0] and ends[1]:
            relations[Relation(ends[0], ends[1], CONTAINS)] = None
    return Document(name, text, in_order(tuple(mentions.values())), tuple(relations))
