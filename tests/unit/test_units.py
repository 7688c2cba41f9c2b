"""What intervals are over: who says it, and how much sentences of one text are alike."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bench_tasks.common import abstracts

from bench.evaluation.clusters import caution, design_effect
from bench.kit import iob_folder
from bench.results.statistics import Statistics, read_statistics, write_statistics


def clustered(rng: np.random.Generator, documents: int, alike: float) -> np.ndarray:
    """Values of sentences, of which about nine stand in a document, with this correlation within it."""
    place = np.repeat(np.arange(documents), np.maximum(1, rng.poisson(9.4, documents)))
    return rng.normal(0, np.sqrt(alike), documents)[place] + rng.normal(0, np.sqrt(1 - alike), len(place))


@pytest.mark.parametrize("alike", [0.0, 0.05, 0.2])
def test_the_design_effect_is_that_of_the_documents_it_does_not_know(alike: float) -> None:
    rng = np.random.default_rng(3)
    estimated = [design_effect(clustered(rng, 300, alike)) or 0.0 for _ in range(60)]
    others = 9.4  # a sentence has as many beside it, where documents are of Poisson length with this mean
    assert np.mean(estimated) == pytest.approx(1 + others * alike, rel=0.1)
    assert np.std(estimated) < 0.2 * (1 + others * alike)


def test_an_interval_over_sentences_is_too_narrow_by_its_root() -> None:
    rng = np.random.default_rng(4)
    plain = widened = 0
    for _ in range(400):
        values = clustered(rng, 100, 0.2)
        half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
        plain += abs(values.mean()) <= half
        widened += abs(values.mean()) <= half * np.sqrt(design_effect(values) or 1.0)
    assert plain / 400 < 0.85
    assert widened / 400 == pytest.approx(0.95, abs=0.04)


def test_too_few_or_equal_values_say_nothing() -> None:
    assert design_effect(np.arange(20.0)) is None
    assert design_effect(np.ones(500)) is None
    assert design_effect(np.tile([1.0, -1.0], 100)) == 1.0


def test_only_parts_of_texts_want_caution() -> None:
    assert caution("abstracts", 100, None) == caution("", 100, None) == ""
    assert "intervals hold" in caution("sentences", 940, 1.0)
    assert "too narrow" not in caution("sentences", 940, 1.004)
    assert caution("sentences", 940, 1.44).startswith("940 sentences, not documents: intervals may be too narrow")
    assert "about √1.44 = 1.20" in caution("sentences", 940, 1.44)
    assert "√(design effect), not known here" in caution("sentences", 12, None)


def test_loaders_say_what_a_document_is(tmp_path: Path) -> None:
    sentence, start = "disease\tB-Disease\n\n", "-DOCSTART-\tO\n\n"
    for name, content in (("sentences", sentence * 2), ("documents", f"{start}{sentence * 2}")):
        folder = tmp_path / name
        folder.mkdir()
        for split in ("train", "devel", "test"):
            (folder / f"{split}.tsv").write_text(content.replace("disease", f"disease{split}"), encoding="utf-8")
        assert iob_folder.load(folder, ("Disease",)).unit == name
    files = {split: f"{split}.txt" for split in ("train", "dev", "test")}
    for i, name in enumerate(files.values()):
        article = f"{i}|t|A disease{i}.\n{i}|a|None.\n{i}\t2\t10\tdisease{i}\tDisease\tD1\n\n"
        (tmp_path / name).write_text(article, encoding="utf-8")
    assert abstracts.load(tmp_path, ("Disease",), files, {}).unit == "abstracts"


def test_statistics_keep_the_unit_and_older_ones_tell_sentences_by_their_names(tmp_path: Path) -> None:
    kept = Statistics.of("toy", "test", "trained", ["a", "b"], [{"tp": 1.0}, {"tp": 2.0}], "notes")
    write_statistics(tmp_path, kept)
    assert read_statistics(tmp_path, "toy", "test", "trained").unit == "notes"
    for documents, unit in ((["test-000001", "test-000002"], "sentences"), (["10192393", "10194428"], "")):
        path = write_statistics(tmp_path, Statistics.of("toy", "test", "trained", documents, [{"tp": 1.0}, {"tp": 2.0}]))
        assert "unit" not in json.loads(path.read_text(encoding="utf-8"))
        assert read_statistics(tmp_path, "toy", "test", "trained").unit == unit
