"""ncbi-disease, bc5cdr, bc2gm, jnlpba: synthetic corpora that give nothing away, and gold that comes back from real ones."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from bench_tasks.bc2gm.task import Bc2gm
from bench_tasks.bc5cdr.task import Bc5cdr
from bench_tasks.common.iob_synthesis import _PLACE, Language, _expand
from bench_tasks.common.iob_task import IobTask
from bench_tasks.jnlpba.task import Jnlpba
from bench_tasks.ncbi_disease.task import NcbiDisease

from bench.api.data import SPLITS, Corpus, Document, Mention
from bench.conformance.workbench import Pieces
from bench.data.cuts import cut
from bench.errors import DataError, UsageError
from bench.kit.synthetic import Draws

TASKS: tuple[IobTask, ...] = (NcbiDisease(), Bc5cdr(), Bc2gm(), Jnlpba())
SHARED = TASKS[:3]  # those whose real corpora lie beside the repository
REAL = Path(__file__).parents[2].parent / "shared" / "data" / "mtl-bioinformatics-2016"
FOLDERS = {"ncbi-disease": "NCBI-disease-IOB", "bc5cdr": "BC5CDR-IOB", "bc2gm": "BC2GM-IOB"}
COUNTS = {
    "ncbi-disease": {"train": (5424, 5134), "dev": (923, 787), "test": (940, 960)},
    "bc5cdr": {"train": (4560, 9385), "dev": (4581, 9593), "test": (4797, 9809)},
    "bc2gm": {"train": (12574, 15197), "dev": (2519, 3061), "test": (5038, 6325)},
}

each = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
each_real = pytest.mark.parametrize("task", SHARED, ids=lambda task: task.name)
real = [pytest.mark.shared, pytest.mark.skipif(not REAL.is_dir(), reason="the corpora are not beside the repository")]


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Corpus]:
    made = {}
    for task in TASKS:
        folder = tmp_path_factory.mktemp(task.name) / "corpus"
        task.synthesize(folder, 0)
        made[task.name] = task.load(folder)
    return made


def words_of(document: Document, mention: Mention) -> str:
    (start, end), *_ = mention.fragments
    return document.text[start:end].lower()


def by_dictionary(train: tuple[Document, ...], documents: tuple[Document, ...]) -> list[Document]:
    """What a list of the training mentions finds, the longest match first."""
    known = {words_of(d, m): m.label for d in train for m in d.mentions}
    longest = max(text.count(" ") + 1 for text in known)
    found = []
    for document in documents:
        tokens = document.text.lower().split(" ")
        starts = [sum(len(t) + 1 for t in tokens[:i]) for i in range(len(tokens))]
        mentions, at = [], 0
        while at < len(tokens):
            size = next((n for n in range(longest, 0, -1) if " ".join(tokens[at : at + n]) in known), 0)
            if size:
                text = " ".join(tokens[at : at + size])
                mentions.append(Mention(((starts[at], starts[at] + len(text)),), known[text]))
            at += size or 1
        found.append(Document(document.id, "", tuple(mentions)))
    return found


@each
def test_synthetic_corpora_are_no_giveaway(task: IobTask, synthetic: dict[str, Corpus]) -> None:
    corpus = synthetic[task.name]
    assert corpus.synthetic
    assert {split: len(corpus[split]) for split in SPLITS} == {"train": 1200, "dev": 300, "test": 300}
    seen = {words_of(d, m) for d in corpus["train"] for m in d.mentions}
    test = [words_of(d, m) for d in corpus["test"] for m in d.mentions]
    assert len(test) >= 300
    assert 0.3 <= sum(text not in seen for text in test) / len(test) <= 0.8
    scores = task.score(corpus["test"], by_dictionary(corpus["train"], corpus["test"]))
    assert 0.3 <= scores["strict"]["f1"] <= 0.6
    assert {m.label for d in corpus["test"] for m in d.mentions} == set(task.labels)


@each
def test_splits_share_no_sentence_and_no_template(task: IobTask, synthetic: dict[str, Corpus]) -> None:
    corpus, language = synthetic[task.name], task.language()
    for one, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
        assert not {d.text for d in corpus[one]} & {d.text for d in corpus[other]}
        for templates in (language.templates, language.plain):
            left, right = ({" ".join(_PLACE.sub("", t).split()) for t in templates[split]} for split in (one, other))
            assert not left & right


@each
def test_every_rule_of_a_language_can_be_drawn(task: IobTask) -> None:
    language = task.language()
    for split in SPLITS:
        for name, rule in language.rules.items():
            assert rule.get(split) or rule.get("shared"), (name, split)
        for template in (*language.templates[split], *language.plain[split]):
            rows = _expand(language, split, Draws(0, split), template, set())
            assert not any("{" in token or "}" in token or not token for token, _ in rows)
            assert any(tag != "O" for _, tag in rows) == (template in language.templates[split])


@each
def test_same_seed_same_bytes(task: IobTask, tmp_path: Path) -> None:
    sizes = {"train": 20, "dev": 5, "test": 5}
    made = {}
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        task.synthesize(tmp_path / name, seed, sizes)
        made[name] = {p.name: p.read_bytes() for p in (tmp_path / name).iterdir()}
    assert made["a"] == made["b"] != made["c"]
    assert set(made["a"]) == {"SYNTHETIC", "train.tsv", "devel.tsv", "test.tsv"}
    with pytest.raises(UsageError, match="is not empty"):
        task.synthesize(tmp_path / "a", 3, sizes)
    with pytest.raises(UsageError, match="asked for 0 documents"):
        task.synthesize(tmp_path / "d", 3, {"dev": 0})
    assert not (tmp_path / "d").exists()


def test_a_label_of_another_corpus_is_refused(tmp_path: Path) -> None:
    Bc5cdr().synthesize(tmp_path / "c", 0, {"train": 5, "dev": 2, "test": 2})
    with pytest.raises(DataError, match=r"train\.tsv, line \d+: .*Wanted GENE"):
        Bc2gm().load(tmp_path / "c")


def test_published_figures_are_paths_into_the_scores(synthetic: dict[str, Corpus]) -> None:
    for task in TASKS:
        for path, value in task.metadata.published_best.items():
            scores = task.score(synthetic[task.name]["test"], synthetic[task.name]["test"])
            for key in path.split("."):
                scores = scores[key]
            assert scores == 1.0 > value


def oracle(task: IobTask, name: str, corpus: Corpus, split: str, length: int = 512) -> tuple[list[Document], Counter[str]]:
    """Gold through windows, encoding and decoding; and what was lost on the way."""
    head = task.head(name)
    head.fit(corpus["train"])
    lost: Counter[str] = Counter()
    found = []
    for document in corpus[split]:
        windows, golds, missed = cut(document, Pieces(), length, head.cuts)
        lost += missed
        mentions: list[Mention] = []
        for window, gold in zip(windows, golds, strict=True):
            encoding = head.encode(window, gold)
            lost += encoding.lost
            mentions += [m for m in head.decode(window, head.oracle(encoding)) if isinstance(m, Mention)]
        found.append(Document(document.id, "", tuple(mentions)))
    return found, lost


@each
@pytest.mark.parametrize("head", ["bio", "span"])
def test_synthetic_gold_comes_back_whole(task: IobTask, head: str, synthetic: dict[str, Corpus]) -> None:
    corpus = synthetic[task.name]
    found, lost = oracle(task, head, corpus, "test")
    assert not lost
    assert task.score(corpus["test"], found)["strict"]["f1"] == 1.0


@pytest.fixture(scope="module")
def corpora() -> dict[str, Corpus]:
    return {task.name: task.load(REAL / FOLDERS[task.name]) for task in SHARED}


class TestReal:
    pytestmark = real

    @each_real
    def test_sentences_and_mentions(self, task: IobTask, corpora: dict[str, Corpus]) -> None:
        corpus = corpora[task.name]
        assert not corpus.synthetic
        for split in SPLITS:
            assert (len(corpus[split]), sum(len(d.mentions) for d in corpus[split])) == COUNTS[task.name][split]

    @pytest.mark.parametrize(
        ("task", "head", "lost"),
        [
            (TASKS[0], "bio", {}),
            (TASKS[0], "span", {"width": 8}),  # eight mentions have nine words or more
            (TASKS[1], "bio", {}),
            (TASKS[2], "bio", {}),
        ],
        ids=lambda value: getattr(value, "name", str(value)),
    )
    def test_gold_comes_back(self, task: IobTask, head: str, lost: dict[str, int], corpora: dict[str, Corpus]) -> None:
        corpus = corpora[task.name]
        found, missed = oracle(task, head, corpus, "test")
        scores = task.score(corpus["test"], found)
        assert missed == lost
        assert scores["strict"]["fp"] == 0
        assert scores["strict"]["fn"] == sum(lost.values())

    @each_real
    def test_figures_are_those_of_seqeval(self, task: IobTask, corpora: dict[str, Corpus]) -> None:
        metrics = pytest.importorskip("seqeval.metrics")
        scheme = pytest.importorskip("seqeval.scheme").IOB2
        corpus = corpora[task.name]
        documents = corpus["test"][:800]
        # The next sentence's gold, cut or filled up, makes predictions that are wrong in many ways.
        rows = [tags(d) for d in documents]
        wrong = [
            (other * 50)[: len(row)] if i % 3 else row
            for i, (row, other) in enumerate(zip(rows, rows[1:] + rows[:1], strict=True))
        ]
        given = [Document(d.id, "", mentions_of(d, row)) for d, row in zip(documents, wrong, strict=True)]
        ours = task.score(documents, given)
        theirs = metrics.classification_report(rows, wrong, scheme=scheme, mode="strict", output_dict=True, zero_division=0)
        assert 0.2 < ours["strict"]["f1"] < 0.9
        assert ours["strict"]["f1"] == pytest.approx(theirs["micro avg"]["f1-score"])
        for label, name in product(task.labels, ("precision", "recall")):
            assert ours["by_type"][label][name] == pytest.approx(theirs[label][name])


def tags(document: Document) -> list[str]:
    """A document's tags, from its offsets."""
    places = {start: m for m in document.mentions for start, _ in m.fragments}
    row, at, inside = [], 0, (-1, "")
    for token in document.text.split(" "):
        if at in places:
            inside = (places[at].fragments[0][1], places[at].label)
            row.append(f"B-{inside[1]}")
        else:
            row.append(f"I-{inside[1]}" if at < inside[0] else "O")
        at += len(token) + 1
    return row


def mentions_of(document: Document, row: list[str]) -> tuple[Mention, ...]:
    """Mentions of a row of tags; an I that continues nothing is none."""
    found: list[tuple[int, int, str]] = []
    at, before = 0, "O"
    for token, tag in zip(document.text.split(" "), row, strict=True):
        if tag[0] == "B":
            found.append((at, at + len(token), tag[2:]))
        elif tag[0] == "I" and before[0] != "O" and before[1:] == tag[1:]:
            found[-1] = (found[-1][0], at + len(token), tag[2:])
        else:
            tag = "O"
        at, before = at + len(token) + 1, tag
    return tuple(Mention(((a, b),), label) for a, b, label in found)


def test_a_place_inside_a_token_and_a_label_s_place() -> None:
    language = Language(
        ("X",),
        {"train": ("the {X} of {stem}itis",)},
        {"train": ("none",)},
        {"X": {"shared": ("a {stem}oma b",)}, "stem": {"shared": ("q",)}},
    )
    rows = _expand(language, "train", Draws(0), "the {X} of {stem}itis", set())
    assert rows == [("the", "O"), ("a", "B-X"), ("qoma", "I-X"), ("b", "I-X"), ("of", "O"), ("qitis", "O")]
