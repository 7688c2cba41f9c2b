"""What each part of the linker adds, and what a large terminology costs.

First table: the gold mentions of craft-cl where it is there, else of the synthetic notes; each row adds a part to the one
above. Choices are made on dev; test is for the full form alone. Second: a made-up terminology, written in a
stream and looked up.

    python benchmarks/bench_concepts.py [--quick] [--names 1000000] [--json FILE]
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import common
from common import Figure

if TYPE_CHECKING:
    from bench.api.data import Corpus, Document, Mention
    from bench.data.concepts import ConceptDictionary
    from bench.linking.cache import Terminology
    from bench.linking.meanings import Encode
    from bench.linking.table import NameTable

CRAFT = Path(__file__).resolve().parents[2] / "shared" / "data" / "craft-cl"
WANTED, WANTED_UNSEEN = 0.85, 0.65
SECONDS = 10.0
BYTES_A_NAME = 400
"""Peak memory of reading a terminology may grow by so much a name."""


class Stacked:
    """Dictionary first, then names by key, n-grams and meaning, as far as they are asked for; no re-ranking.

    Args:
        dictionary: of the training mentions.
        table: names; None for the dictionary alone.
        near: whether n-grams are looked at.
        encode: embeds, or None.
    """

    def __init__(
        self, dictionary: ConceptDictionary, table: NameTable | None = None, near: bool = False, encode: Encode | None = None
    ) -> None:
        self._dictionary, self._table, self._near, self._encode = dictionary, table, near, encode
        self._vectors = (
            encode([table.texts[i] for i in range(len(table))]) if encode is not None and table is not None else None
        )

    def prepare(self, documents: Sequence[Document]) -> None:
        """Nothing: mentions are looked up one by one."""

    def forget(self) -> None:
        """Nothing: what was looked up is not kept."""

    def link(self, document: Document, mentions: Sequence[Mention]) -> tuple[Mention, ...]:
        """Not wanted here."""
        raise NotImplementedError

    def rank(self, document: Document, mentions: Sequence[Mention]) -> list[tuple[str, ...]]:
        """Concepts, the best first."""
        import numpy as np

        from bench.linking.candidates import surface
        from bench.linking.normalise import keys

        texts = [surface(document.text, mention) for mention in mentions]
        known = self._dictionary.rank(document, mentions)
        near = self._table.nearest(texts, 40) if self._table is not None and self._near else [[] for _ in texts]
        vectors = self._encode(texts) if self._encode is not None and texts else None
        found = []
        for number, text in enumerate(texts):
            ranked = [concept for concept in known[number] if concept != "CUI-less"]
            table = self._table
            if table is not None:
                exact = [i for level, key in zip(("plain", "lemmas"), keys(text), strict=False)
                         for i in table.with_key(level, key)]  # fmt: skip
                ranked += [table.concept(i) for i in sorted(exact, key=lambda i: table.kinds[i])]
                scores = dict(near[number])
                if vectors is not None and self._vectors is not None:
                    alike = self._vectors @ vectors[number]
                    chosen = {*scores, *np.argsort(-alike, kind="stable")[:40].tolist()}
                    scores = {i: scores.get(i, 0.0) + float(alike[i]) for i in chosen}
                ranked += [table.concept(i) for i in sorted(scores, key=lambda i: (-scores[i], i))]
            found.append(tuple(dict.fromkeys(ranked)))
        return found


def measure(options: argparse.Namespace) -> list[Figure]:
    """Both tables."""
    with tempfile.TemporaryDirectory(prefix="bench-concepts-") as temporary:
        return [*parts(options, Path(temporary)), *large(20_000 if options.quick else options.names, Path(temporary))]


def parts(options: argparse.Namespace, root: Path) -> list[Figure]:
    """What each part adds."""
    from bench.data.concepts import ConceptDictionary
    from bench.evaluation.linking import Seen, accuracies
    from bench.linking.cache import open_terminology
    from bench.linking.linker import Linker
    from bench.linking.meanings import Meanings
    from bench.linking.readers import Selection

    what, corpus, path = data(root, options.quick)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        started = time.perf_counter()
        names: Terminology = open_terminology(path, Selection(), root / "cache")
    reading = time.perf_counter() - started
    dictionary, seen = ConceptDictionary("CUI-less").fit(corpus["train"]), Seen.of(corpus["train"])
    encode = None if options.quick else encoder()
    train, dev = corpus["train"], corpus["dev"]
    systems: list[tuple[str, Callable[[], Stacked | Linker | ConceptDictionary]]] = [
        ("training dictionary", lambda: dictionary),
        ("+ names, exact", lambda: Stacked(dictionary, names.table)),
        ("+ n-grams", lambda: Stacked(dictionary, names.table, True)),
        ("re-ranked", lambda: Linker(names.table, train, dev, "CUI-less")),
    ]
    if encode is not None:
        systems.insert(3, ("+ embeddings", lambda: Stacked(dictionary, names.table, True, encode)))
        systems.append(
            (
                "re-ranked, embeddings",
                lambda: Linker(names.table, train, dev, "CUI-less", lambda t: Meanings(encode, names.table, t)),
            )
        )
    splits = ("dev",) if options.quick else ("dev", "test")
    figures: list[Figure] = []
    chosen: list[Figure] = []
    rows, best = [], 0.0
    for system, make in systems:
        started = time.perf_counter()
        linking = make()
        made = time.perf_counter() - started
        for split in splits:
            started = time.perf_counter()
            found = asdict(accuracies(corpus[split], linking, seen))
            seconds = time.perf_counter() - started
            shares = ("accuracy", "accuracy_seen", "accuracy_unseen", "accuracy_new", "recall_at_5", "recall_at_20")
            rows.append((system, split, *(common_share(found[name]) for name in shares), f"{made:.1f}", f"{seconds:.1f}"))
            if isinstance(linking, Linker) and linking.judged.accuracy >= best and split == splits[-1]:
                best, chosen = linking.judged.accuracy, [
                    Figure(f"{what} {split}: {name}, {system}", f"≥ {least}" if what == "craft-cl" else "",
                           common_share(found[name]), float(found[name] or 0) >= least if what == "craft-cl" else None)
                    for name, least in (("accuracy", WANTED), ("accuracy_unseen", WANTED_UNSEEN))
                ]  # fmt: skip
        if system == "re-ranked":
            figures.append(Figure("linking: seconds to train", f"≤ {SECONDS:.0f} s", f"{made:.1f} s", made <= SECONDS))
    columns = ("linked by", "split", "accuracy", "seen", "unseen", "new", "at 5", "at 20", "fit s", "link s")
    common.table(f"concepts of gold mentions, {what}, {len(names.table):,} names read in {reading:.1f} s", columns, rows)
    return [*chosen, *figures]


def common_share(value: float | int | None) -> str:
    """A share as it stands in the table."""
    return "" if value is None else f"{value:.3f}".replace("0.", ".", 1)


def data(root: Path, quick: bool) -> tuple[str, Corpus, Path]:
    """What the data is, the corpus, and its file of names."""
    from bench.registry import load

    task = load().get("tasks", common.TASK)
    if CRAFT.is_dir():
        return "craft-cl", task.load(CRAFT), CRAFT / "concepts.tsv"
    folder = root / "corpus"
    task.synthesize(folder, 2015, {"train": 40, "dev": 20, "test": 20} if quick else None)
    return "synthetic 2015-T14", task.load(folder), folder / "concepts.tsv"


def encoder() -> Encode:
    """The default base model as a sentence encoder."""
    from bench.linking.meanings import Encoder
    from bench.modeling.find import find_model
    from bench.registry import load
    from bench.user_cache import folder

    return Encoder(find_model("minilm-l6", load(), folder("models")).folder())


def large(count: int, root: Path) -> list[Figure]:
    """A made-up terminology, read and looked up in a process of its own, whose peak memory tells."""
    path = root / "MRCONSO.RRF"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(made_rows(count))
    words = [sys.executable, __file__, "--measure-large", str(path), str(root / "cache")]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    before, peak, seconds, lookup, names = float(told[0]), float(told[1]), float(told[2]), float(told[3]), int(told[4])
    size = sum(p.stat().st_size for p in (root / "cache").rglob("*") if p.is_file())
    grown = (peak - before) / names
    bounded = grown <= BYTES_A_NAME or peak - before < 300 * 2**20
    return [
        Figure(f"{names:,} made-up names: read", "", f"{seconds:.0f} s, {size / names:,.0f} bytes a name on disk"),
        Figure(f"{names:,} made-up names: memory", f"≤ {BYTES_A_NAME} bytes a name, or 300 MiB",
               f"{(peak - before) / 2**20:,.0f} MiB over {before / 2**20:,.0f}", bounded),
        Figure(f"{names:,} made-up names: 256 texts looked up", "", f"{lookup:.1f} s"),
    ]  # fmt: skip


def made_rows(count: int) -> Iterator[str]:
    """Rows as UMLS has them, names of two to five made-up words."""
    rng = random.Random(0)
    syllables = [a + b for a in "bcdfghlmnprstv" for b in ("a", "e", "i", "o", "u", "al", "en", "is", "or")]
    vocabulary = ["".join(rng.choices(syllables, k=rng.randint(2, 4))) for _ in range(max(2000, count // 50))]
    for number in range(count):
        name = " ".join(rng.choices(vocabulary, k=rng.randint(2, 5)))
        yield f"C{number // 3:07d}|ENG|P|L|PF|S|Y|A||||MADE|PT|D|{name}|0|N||\n"


def measure_large(path: Path, cache: Path) -> None:
    """Prints resident bytes before, peak bytes, seconds to read, seconds to look up, and names."""
    import sklearn.feature_extraction.text  # noqa: F401 - what it takes is not the terminology's

    from bench.linking.cache import open_terminology
    from bench.linking.readers import Selection

    common.peak_memory(reset=True)
    before = common.peak_memory()
    started = time.perf_counter()
    table = open_terminology(path, Selection(), cache).table
    read = time.perf_counter() - started
    started = time.perf_counter()
    table.nearest([table.texts[i] for i in range(0, len(table), max(1, len(table) // 256))][:256], 20)
    looked = time.perf_counter() - started
    print(before, common.peak_memory(), read, looked, len(table))


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--names", type=int, default=1_000_000, help="of the made-up terminology (default 1,000,000)")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure-large"]:
        measure_large(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        common.main(measure, __doc__, _add)
