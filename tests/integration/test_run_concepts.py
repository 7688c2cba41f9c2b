"""Runs that look concepts up in a file of names: ids, hashes, what the result says, and the contract of a comparison."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("sklearn")

from bench import runner
from bench.config import RunConfig
from bench.errors import DataError, UsageError
from bench.registry import load
from bench.results.store import read_result
from bench.studies.argv import argv_of
from bench.studies.contract import differences, facts

TASK = "2015-T14"


pytestmark = pytest.mark.usefixtures("own_cache")


def plain_corpus(source: Path, folder: Path) -> Path:
    """The corpus as a user's own: without the marker and without names."""
    for split in ("train", "dev", "test"):
        shutil.copytree(source / split, folder / split)
    return folder


def test_names_move_the_id_the_hashes_and_the_accuracy(
    tiny: Callable[..., RunConfig], small_corpus: Path, tmp_path: Path, kit: Any
) -> None:
    corpus = plain_corpus(small_corpus, tmp_path / "corpus")
    rows = (small_corpus / "concepts.tsv").read_text(encoding="utf-8").splitlines()
    names = tmp_path / "names.tsv"
    names.write_text("\n".join(rows[: len(rows) * 3 // 4]) + "\n", encoding="utf-8")  # some concepts are not named
    config = tiny(data={TASK: str(corpus)})
    told = kit.Told()
    paths = [
        runner.run(config, load()).result_path,
        runner.run(replace(config, concepts={TASK: str(names)}), load(), console=told).result_path,
    ]
    without, linked = (read_result(path.parent) for path in paths if path is not None)
    assert without.id != linked.id
    assert "concepts" not in without.hashes
    assert set(linked.hashes["concepts"]) == {TASK}
    assert "concepts" not in without.config["resolved"]

    plain, found = without.concepts[TASK], linked.concepts[TASK]
    assert plain.linker == "dictionary"
    assert plain.gold.accuracy_new == 0
    assert (found.linker, found.file, found.embeddings) == ("re-ranked", "names.tsv", False)
    assert found.names == len(rows[: len(rows) * 3 // 4]) - 1
    assert found.gold.accuracy > plain.gold.accuracy + 0.2
    assert found.gold.recall_at_1 <= found.gold.recall_at_5 <= found.gold.recall_at_20
    assert found.gold.mentions == plain.gold.mentions > found.found.mentions
    assert sum(found.unknown.values()) > 0
    assert told.said("concepts of the corpus that names.tsv does not name: train ")

    told_apart = {one.field for one in differences([facts(without), facts(linked)], ())}
    assert told_apart == {"concepts", "waivers"}  # the gate is waived in these short runs
    assert {one.field for one in differences([facts(linked), facts(linked)], ())} == {"waivers"}


def test_a_synthetic_corpus_brings_its_names_and_the_same_run_gives_the_same(tiny: Callable[..., RunConfig]) -> None:
    first, again = (
        json.loads(path.read_text(encoding="utf-8"))
        for path in (runner.run(tiny(replicate=n), load()).result_path for n in (1, 2))
        if path is not None
    )
    assert first["concepts"][TASK]["linker"] == "re-ranked"
    assert first["concepts"][TASK]["unknown"] == {"train": 0, "dev": 0, "test": 0}
    assert first["concepts"] == again["concepts"]


def test_what_a_broken_file_is_stops_the_run_before_anything_is_trained(tiny: Callable[..., RunConfig], tmp_path: Path) -> None:
    names = tmp_path / "names.tsv"
    names.write_text("concept\tname\nC1 fever\n", encoding="utf-8")
    config = tiny(concepts={TASK: str(names)})
    with pytest.raises(DataError, match=r"names\.tsv, line 2: 1 column; wanted 2"):
        runner.run(config, load(), dry_run=True)
    with pytest.raises(DataError):
        runner.run(config, load())
    assert not list(Path(config.out).glob("*/result.json"))


def test_a_task_file_names_its_concepts_and_a_corpus_without_any_refuses_names(
    tiny: Callable[..., RunConfig], small_corpus: Path, tmp_path: Path
) -> None:
    plain_corpus(small_corpus, tmp_path / "corpus")
    shutil.copy(small_corpus / "concepts.tsv", tmp_path / "names.tsv")
    file = tmp_path / "mine.toml"
    file.write_text('kind = "mentions"\nformat = "pipe"\nfolder = "corpus"\nconcepts = "names.tsv"\n', encoding="utf-8")
    path = runner.run(tiny(task=(str(file),), data={}), load()).result_path
    assert path is not None
    found = json.loads(path.read_text(encoding="utf-8"))["concepts"]["mine"]
    assert found["linker"] == "re-ranked"
    assert found["gold"]["accuracy"] > 0.5

    bare = tmp_path / "bare"
    for split in ("train", "dev", "test"):
        (bare / split).mkdir(parents=True)
        (bare / split / f"{split}.txt").write_text(f"fever in {split}", encoding="utf-8")
        (bare / split / f"{split}.ann").write_text("T1\tSign 0 5\tfever\n", encoding="utf-8")
    file.write_text('kind = "mentions"\nformat = "brat"\nfolder = "bare"\nconcepts = "names.tsv"\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"whose training mentions in .* have none"):
        runner.run(tiny(task=(str(file),), data={}), load(), dry_run=True)


def test_a_study_hands_the_file_on_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = argv_of(RunConfig(task=(TASK,), concepts={TASK: "names.tsv"}, concept_sources=("MSH",)))
    assert words[words.index("--concepts") + 1] == f"{TASK}={tmp_path / 'names.tsv'}"
    assert words[words.index("--concept-sources") + 1] == "MSH"
    assert "--data" not in words


@pytest.mark.parametrize("metric", ["task1.span_only.f1", "task1.strict.f1"])
def test_concepts_are_looked_up_after_every_so_many_updates_only_where_the_selection_metric_sees_them(
    metric: str, tiny: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench_tasks.semeval2015_t14.task import SemEval2015T14

    from bench.linking.linker import Linker
    from bench.results.layout import PREDICTIONS, predictions_name
    from bench.results.store import read_predictions
    from bench.steps.finish import Scoring

    monkeypatch.setattr(SemEval2015T14, "metadata", replace(SemEval2015T14.metadata, selection_metric=metric))
    selecting, looked_up, chosen = [False], [0, 0], []
    select, link = Scoring.selection, Linker.link

    def selection(self: Scoring, *args: Any) -> dict[str, float]:
        selecting[0] = True
        values = select(self, *args)
        selecting[0] = False
        chosen.append(values["mean"])
        return values

    def counted(self: Linker, *args: Any) -> Any:
        looked_up[selecting[0]] += 1
        return link(self, *args)

    monkeypatch.setattr(Scoring, "selection", selection)
    monkeypatch.setattr(Linker, "link", counted)
    folder = runner.run(tiny(), load()).folder
    assert folder is not None
    assert len(chosen) == 2
    assert (looked_up[True] > 0) == (metric == "task1.strict.f1")
    assert looked_up[False] > 0
    assert read_result(folder).scores[TASK].dev["trained"][metric] == pytest.approx(chosen[-1])
    dev = read_predictions(folder / PREDICTIONS / predictions_name(TASK, "dev", "trained"))
    assert any(mention.concept is not None for document in dev for mention in document.mentions)
