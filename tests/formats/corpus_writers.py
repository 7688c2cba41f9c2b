"""Writes documents in the formats of `bench.kit.formats.READERS`, as their own tools write them, for tests of readers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from bench.api.data import Document, Mention

CR = {"\r": "&#13;"}


def covered(document: Document, mention: Mention) -> str:
    return " ".join(document.text[a:b] for a, b in mention.fragments)


def names_of(document: Document) -> dict[object, str]:
    return {mention.key: f"T{n}" for n, mention in enumerate(document.mentions, 1)}


def bioc_json(path: Path, documents: Sequence[Document], cut: int = 0) -> None:
    """`cut`: where the first passage ends, if it is a line feed; else there is one passage."""
    rows = []
    for document in documents:
        names, at = names_of(document), document.text.find("\n", cut)
        passages = [(0, document.text)] if at < 1 else [(0, document.text[:at]), (at + 1, document.text[at + 1 :])]
        annotations = [
            {
                "id": names[m.key],
                "infons": {"type": m.label} | ({"identifier": m.concept} if m.concept else {}),
                "text": covered(document, m),
                "locations": [{"offset": a, "length": b - a} for a, b in m.fragments],
            }
            for m in document.mentions
        ]
        relations = [
            {
                "id": f"R{n}",
                "infons": {"type": r.label},
                "nodes": [{"refid": names[r.target], "role": "Arg2"}, {"refid": names[r.source], "role": "Arg1"}],
            }
            for n, r in enumerate(document.relations)
        ]
        row = {"id": document.id, "infons": {}, "passages": [], "relations": relations}
        for number, (offset, text) in enumerate(passages):
            held = annotations if number == len(passages) - 1 else []
            row["passages"].append({"offset": offset, "infons": {}, "text": text, "sentences": [], "annotations": held})
        rows.append(row)
    path.write_text(json.dumps({"source": "", "date": "", "key": "", "infons": {}, "documents": rows}), encoding="utf-8")


def bioc_xml(path: Path, documents: Sequence[Document], cut: int = 0) -> None:
    bioc_json(path, documents, cut)
    rows = json.loads(path.read_text(encoding="utf-8"))["documents"]

    def infons(item: Any) -> str:
        return "".join(f"<infon key={quoteattr(key)}>{escape(value)}</infon>" for key, value in item["infons"].items())

    def annotation(a: Any) -> str:
        places = "".join(f'<location offset="{p["offset"]}" length="{p["length"]}"/>' for p in a["locations"])
        return f"<annotation id={quoteattr(a['id'])}>{infons(a)}{places}<text>{escape(a['text'], CR)}</text></annotation>"

    def relation(r: Any) -> str:
        nodes = "".join(f'<node refid={quoteattr(n["refid"])} role="{n["role"]}"/>' for n in r["nodes"])
        return f'<relation id="{r["id"]}">{infons(r)}{nodes}</relation>'

    made = ""
    for row in rows:
        made += f"<document><id>{escape(row['id'])}</id>"
        for p in row["passages"]:
            made += f"<passage><offset>{p['offset']}</offset><text>{escape(p['text'], CR)}</text>"
            made += "".join(map(annotation, p["annotations"])) + "</passage>\n"
        made += "".join(map(relation, row["relations"])) + "</document>\n"
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE collection SYSTEM "BioC.dtd">\n'
    head += "<collection><source></source><date></date><key></key>"
    path.write_bytes(f"{head}{made}</collection>".encode())


def pubtator(path: Path, documents: Sequence[Document]) -> None:
    text = ""
    for document in documents:
        title, _, abstract = document.text.partition("\n")
        text += f"{document.id}|t|{title}\n{document.id}|a|{abstract}\n"
        for m in document.mentions:
            ((start, end),) = m.fragments
            words = " ".join(document.text[start:end].split("\n"))
            text += "\t".join([document.id, str(start), str(end), words, m.label, *([m.concept] if m.concept else [])]) + "\n"
        text += f"{document.id}\tCID\tD1\tD2\n\n"
    path.write_bytes(text.encode())


def i2b2(path: Path, documents: Sequence[Document]) -> None:
    """Of mentions that are whole tokens of the text; in folders as the release has them."""
    for kind in ("txt", "concept", "rel"):
        (path / "beth" / kind).mkdir(parents=True, exist_ok=True)
    for document in documents:
        starts, ends, line, token = {}, {}, 1, 0
        at = 0
        for word in document.text.replace("\n", " \n ").split(" "):
            if word == "\n":
                line, token = line + 1, 0
            elif word:
                at = document.text.index(word, at)
                starts[at], ends[at + len(word)] = (line, token), (line, token)
                at, token = at + len(word), token + 1
        said = {}
        for m in document.mentions:
            ((start, end),) = m.fragments
            said[m.key] = 'c="{}" {}:{} {}:{}'.format(
                " ".join(document.text[start:end].lower().split()), *starts[start], *ends[end]
            )
        concepts = "".join(f'{said[m.key]}||t="{m.label}"\n' for m in document.mentions)
        relations = "".join(f'{said[r.source]}||r="{r.label}"||{said[r.target]}\n' for r in document.relations)
        name = document.id.removeprefix("beth/")
        for kind, end, content in (("txt", "txt", document.text), ("concept", "con", concepts), ("rel", "rel", relations)):
            (path / "beth" / kind / f"{name}.{end}").write_bytes(content.encode())


def knowledge_base(document: Document) -> dict[str, Any]:
    """A row of BigBIO's schema kb."""
    names = names_of(document)
    return {
        "id": "0", "document_id": document.id,
        "passages": [{"id": "p", "type": "x", "text": [document.text], "offsets": [[0, len(document.text)]]}],
        "entities": [
            {
                "id": names[m.key], "type": m.label, "text": [document.text[a:b] for a, b in m.fragments],
                "offsets": [[a, b] for a, b in m.fragments],
                "normalized": [{"db_name": "U", "db_id": m.concept}] if m.concept else [],
            }
            for m in document.mentions
        ],
        "events": [], "coreferences": [],
        "relations": [
            {"id": f"R{n}", "type": r.label, "arg1_id": names[r.source], "arg2_id": names[r.target], "normalized": []}
            for n, r in enumerate(document.relations)
        ],
    }  # fmt: skip


def kb_features() -> Any:
    from datasets import Features, Value

    text, spans = Value("string"), [[Value("int32")]]
    link = [{"db_name": text, "db_id": text}]
    return Features({
        "id": text, "document_id": text,
        "passages": [{"id": text, "type": text, "text": [text], "offsets": spans}],
        "entities": [{"id": text, "type": text, "text": [text], "offsets": spans, "normalized": link}],
        "events": [{"id": text}], "coreferences": [{"id": text}],
        "relations": [{"id": text, "type": text, "arg1_id": text, "arg2_id": text, "normalized": link}],
    })  # fmt: skip


def huggingface(path: Path, documents: Sequence[Document]) -> None:
    from datasets import Dataset

    Dataset.from_list([knowledge_base(d) for d in documents], features=kb_features()).save_to_disk(str(path))


def doccano(path: Path, documents: Sequence[Document], relations: bool = True) -> None:
    rows = []
    for document in documents:
        numbers = {m.key: n for n, m in enumerate(document.mentions, 1)}
        row: dict[str, Any] = {"id": document.id, "text": document.text}
        if document.judgements:
            row["label"] = [j.name for j in document.judgements if j.chosen]
        elif relations:
            row["entities"] = [
                {"id": numbers[m.key], "label": m.label, "start_offset": m.fragments[0][0], "end_offset": m.fragments[0][1]}
                for m in document.mentions
            ]
            row["relations"] = [
                {"id": n, "from_id": numbers[r.source], "to_id": numbers[r.target], "type": r.label}
                for n, r in enumerate(document.relations)
            ]
        else:
            row["label"] = [[*m.fragments[0], m.label] for m in document.mentions]
        rows.append(row)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(lines if path.suffix == ".jsonl" else json.dumps(rows), encoding="utf-8")


def units(text: str, at: int) -> int:
    """A position as a browser counts it."""
    return len(text[:at].encode("utf-16-le")) // 2


def label_studio(path: Path, documents: Sequence[Document]) -> None:
    rows = []
    for document in documents:
        names, text = names_of(document), document.text
        result: list[dict[str, Any]] = []
        for m in document.mentions:
            ((start, end),) = m.fragments
            place = {"start": units(text, start), "end": units(text, end), "text": text[start:end], "labels": [m.label]}
            result.append({"id": names[m.key], "from_name": "label", "to_name": "text", "type": "labels", "value": place})
        for n, r in enumerate(document.relations):
            ends = [names[r.source], names[r.target]]
            turned = n % 2 == 1
            first, second = ends[::-1] if turned else ends
            where = "left" if turned else "right"
            result.append({"type": "relation", "from_id": first, "to_id": second, "direction": where, "labels": [r.label]})
        result += [{"type": "choices", "value": {"choices": [j.name]}} for j in document.judgements if j.chosen]
        cancelled = {"was_cancelled": True, "result": []}
        rows.append(
            {"id": document.id, "data": {"text": text}, "annotations": [cancelled, {"was_cancelled": False, "result": result}]}
        )
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(lines if path.suffix == ".jsonl" else json.dumps(rows), encoding="utf-8")


WRITERS: Mapping[str, tuple[str, str, Callable[..., None]]] = {
    "bioc-xml": ("bioc", ".xml", bioc_xml),
    "bioc-json": ("bioc", ".json", bioc_json),
    "pubtator": ("pubtator", ".pubtator", pubtator),
    "i2b2": ("i2b2", "", i2b2),
    "huggingface": ("huggingface", "", huggingface),
    "doccano": ("doccano", ".jsonl", doccano),
    "label-studio": ("label-studio", ".json", label_studio),
}
"""Name to format, to what the name of a split's file ends in, and to the function that writes a split."""
