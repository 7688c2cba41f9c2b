"""Real corpora in every format: what the readers give is what the corpus's own loader gives."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench_tasks.custom.task import task_from_file
from bench_tasks.ncbi_disease.task import NcbiDisease
from bench_tasks.semeval2015_t14.task import SemEval2015T14
from corpus_writers import WRITERS

from bench.api.data import SPLITS, Corpus, Document, Mention
from bench.errors import DataWarning
from bench.kit import brat

pytestmark = pytest.mark.shared

CONTIGUOUS = {"pubtator", "i2b2", "doccano", "label-studio"}
LINKED = {"bioc-xml", "bioc-json", "pubtator", "huggingface"}


@pytest.fixture(scope="module")
def craft(shared: Path) -> Corpus:
    return SemEval2015T14().load(shared / "craft-cl")


@pytest.fixture(scope="module")
def diseases(shared: Path) -> Corpus:
    return NcbiDisease().load(shared / "mtl-bioinformatics-2016" / "NCBI-disease-IOB")


def held(name: str, document: Document) -> Document:
    """What a format can hold of a document: contiguous mentions, whole words in i2b2, no slots and not always concepts."""
    mentions = {m.key: Mention(m.fragments, m.label, m.concept if name in LINKED else None) for m in document.mentions}
    kept = [m for m in mentions.values() if name not in CONTIGUOUS or not m.discontiguous]
    text = document.text
    if name == "i2b2":
        ends = {0, len(text), *(n + d for n, c in enumerate(text) if c.isspace() for d in (0, 1))}
        kept = [m for m in kept if set(m.fragments[0]) <= ends]
        kept = list({m.fragments: m for m in kept}.values())
    ident = f"beth/{document.id}" if name == "i2b2" else document.id
    return Document(ident, text, tuple(kept))


def read_back(folder: Path, name: str, splits: dict[str, Sequence[Document]]) -> Corpus:
    form, suffix, write = WRITERS[name]
    (folder / "corpus").mkdir()
    for split, documents in splits.items():
        home = "validation" if (form, split) == ("huggingface", "dev") else split
        write(folder / "corpus" / f"{home}{suffix}", documents)
    (folder / "mine.toml").write_text(f'kind = "mentions"\nformat = "{form}"\nfolder = "corpus"\n')
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return task_from_file(folder / "mine.toml").load(folder / "corpus")


def same(corpus: Corpus, wanted: dict[str, Sequence[Document]]) -> None:
    for split in SPLITS:
        assert sorted(corpus[split], key=lambda d: d.id) == sorted(wanted[split], key=lambda d: d.id), split


@pytest.mark.parametrize("name", WRITERS)
def test_craft_in_every_format(name: str, craft: Corpus, tmp_path: Path) -> None:
    if name == "huggingface":
        pytest.importorskip("datasets")
    wanted = {s: [held(name, _two_lines(d) if name == "pubtator" else d) for d in craft[s]] for s in SPLITS}
    assert sum(len(d.mentions) for d in wanted["train"]) > (2_900 if name != "i2b2" else 2_000)
    assert any(m.discontiguous for d in wanted["train"] for m in d.mentions) == (name not in CONTIGUOUS)
    same(read_back(tmp_path, name, wanted), wanted)


def _two_lines(document: Document) -> Document:
    """The text with one line break alone, as many characters long: PubTator has a title and an abstract of a line each."""
    head, _, rest = document.text.partition("\n")
    return replace(document, text=head + "\n" + rest.replace("\n", " ").replace("\t", " "))


@pytest.mark.parametrize("name", ["bioc-xml", "pubtator", "doccano", "label-studio", "i2b2"])
def test_ncbi_disease_in_formats_of_texts(name: str, diseases: Corpus, tmp_path: Path) -> None:
    wanted = {
        s: [held(name, replace(d, text=d.text.replace(" ", "\n", 1) if name == "pubtator" else d.text)) for d in diseases[s]]
        for s in SPLITS
    }
    if name == "pubtator":
        wanted = {s: [d for d in wanted[s] if "\n" in d.text] for s in SPLITS}
    same(read_back(tmp_path, name, wanted), wanted)


def tagged(corpus: Corpus, split: str, scheme: str) -> list[tuple[list[str], list[str]]]:
    """Tokens and tags of every sentence in a scheme, made from mentions, not from tags."""
    last, single = {"IOBES": "ES", "BILOU": "LU", "BMEWO": "EW"}.get(scheme, "II")
    rows = []
    for document in corpus[split]:
        tokens = document.text.split(" ")
        starts = [sum(len(t) + 1 for t in tokens[:n]) for n in range(len(tokens))] if document.mentions else [0] * len(tokens)
        tags = ["O"] * len(tokens)
        previous = None
        for m in document.mentions:
            ((start, end),) = m.fragments
            within = [n for n, at in enumerate(starts) if start <= at < end]
            roles = ["B", *(("M" if scheme == "BMEWO" else "I") for _ in within[2:]), last] if within[1:] else [single]
            if scheme in ("IOB1", "IOB2"):
                touches = previous == (within[0] - 1, m.label)
                roles = [("B" if touches or scheme == "IOB2" else "I"), *("I" for _ in within[1:])]
            for place, role in zip(within, roles, strict=True):
                tags[place] = f"{role}-{m.label}"
            previous = (within[-1], m.label)
        rows.append((tokens, tags))
    return rows


@pytest.mark.parametrize("scheme", ["IOB1", "IOBES", "BILOU", "BMEWO"])
@pytest.mark.parametrize("form", ["iob", "huggingface"])
def test_ncbi_disease_in_every_scheme_of_tags(scheme: str, form: str, diseases: Corpus, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    for split in SPLITS:
        rows = tagged(diseases, split, scheme)
        if form == "iob":
            text = "\n".join("".join(f"{a}\t{b}\n" for a, b in zip(*row, strict=True)) for row in rows)
            (tmp_path / "corpus" / f"{split}.tsv").write_text(text, encoding="utf-8")
        else:
            datasets: Any = pytest.importorskip("datasets")
            names = sorted({tag for _, tags in rows for tag in tags})
            features = datasets.Features({
                "tokens": datasets.List(datasets.Value("string")),
                "ner_tags": datasets.List(datasets.ClassLabel(names=names)),
            })  # fmt: skip
            table = [{"tokens": tokens, "ner_tags": tags} for tokens, tags in rows]
            saved = datasets.Dataset.from_list(table, features=features)
            saved.to_parquet(str(tmp_path / "corpus" / f"{'validation' if split == 'dev' else split}-0-of-1.parquet"))
    (tmp_path / "mine.toml").write_text(f'kind = "mentions"\nformat = "{form}"\nfolder = "corpus"\n')
    with pytest.warns(DataWarning, match=f"its tags are {scheme}, read as IOB2"):
        corpus = task_from_file(tmp_path / "mine.toml").load(tmp_path / "corpus")
    for split in SPLITS:
        assert list(corpus[split]) == list(diseases[split])


def test_craft_in_brat_in_sub_folders(craft: Corpus, tmp_path: Path) -> None:
    wanted = {s: [held("bioc-xml", replace(d, id=f"{d.id[:3]}/{d.id[3:5]}/{d.id}")) for d in craft[s]] for s in SPLITS}
    for split in SPLITS:
        brat.write(tmp_path / "corpus" / split, wanted[split])
        for document in wanted[split]:
            (tmp_path / "corpus" / split / f"{document.id}.txt").write_bytes(document.text.encode())
    (tmp_path / "mine.toml").write_text('kind = "mentions"\nformat = "brat"\nfolder = "corpus"\n')
    same(task_from_file(tmp_path / "mine.toml").load(tmp_path / "corpus"), wanted)
