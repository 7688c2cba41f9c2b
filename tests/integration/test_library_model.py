"""The model of a finished run predicts what the run itself predicted, and says why where it cannot."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

import bench
from bench.api.data import Document
from bench.config import RunConfig
from bench.errors import DataWarning, RunStateError, UsageError
from bench.registry import load
from bench.results.layout import PREDICTIONS, predictions_name
from bench.results.store import read_predictions, write_predictions

TASK = "2015-T14"


def same(found: Sequence[Document], result: bench.RunResult, task: str, stage: str, aside: Path) -> None:
    """Holds predictions against those that the run saved, to the last digit of every probability."""
    write_predictions(aside, found)
    saved = result.folder / PREDICTIONS / predictions_name(task, "test", stage)
    assert read_predictions(saved)
    assert aside.read_text(encoding="utf-8") == saved.read_text(encoding="utf-8")


def test_both_stages_predict_what_the_run_saved(
    tiny: Callable[..., RunConfig], small_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = bench.run(tiny(head="span", arch="A4", quant="rtn", steps=12))
    assert capsys.readouterr().out == ""  # silent unless progress is asked for
    documents = load().get("tasks", TASK).load(small_corpus)["test"]
    for stage in ("trained", "quantized"):
        model = result.model(stage)  # type: ignore[arg-type]
        assert model.tasks == (TASK,)
        found = model.predict(documents)
        assert [d.text for d in found] == [d.text for d in documents]
        same(found, result, TASK, stage, tmp_path / "found.jsonl")
        # What a document holds of gold is not looked at, and neither is its name.
        bare = model.predict([d.text for d in documents])
        assert [d.mentions for d in bare] == [d.mentions for d in found]
        assert [d.id for d in bare] == [str(number) for number in range(len(documents))]
    mentions = [m for d in found for m in d.mentions]
    assert mentions
    assert all(m.confidence is not None and m.concept is not None for m in mentions)
    assert model.predict("")[0].mentions == ()
    assert model.predict([]) == ()
    with pytest.raises(UsageError, match="of more than one document, 'a'"):
        model.predict([Document("a", "one"), Document("a", "two")])
    with pytest.raises(UsageError, match="Unknown task"):
        model.predict("fever", task="2015-T15")


def test_what_is_gone_from_the_folder_is_named(tiny: Callable[..., RunConfig], small_corpus: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "mine"
    shutil.copytree(small_corpus, corpus)
    plain = bench.run(tiny(data={TASK: str(corpus)}, head="span"))
    with pytest.raises(UsageError, match="quantized nothing"):
        plain.model("quantized")
    with pytest.raises(UsageError, match="Did you mean 'trained'"):
        plain.model("traind")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="--device cuda:99"):
        plain.model(device="cuda:99")
    documents = load().get("tasks", TASK).load(corpus)["test"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linked = plain.model().predict(documents)
    shutil.rmtree(corpus / "dev")
    shutil.rmtree(plain.folder / "corpus", ignore_errors=True)
    model = plain.model()
    with pytest.warns(DataWarning, match="have no concepts"):
        unlinked = model.predict(documents)
    assert [[m.key for m in d.mentions] for d in unlinked] == [[m.key for m in d.mentions] for d in linked]
    assert not any(m.concept for d in unlinked for m in d.mentions)
    with warnings.catch_warnings():  # said once
        warnings.simplefilter("error")
        model.predict(documents[0])
    (plain.folder / "adapters" / "head-0.safetensors").write_bytes(b"not tensors")
    with pytest.raises(RunStateError, match=r"head of 2015-T14.*cannot be read"):
        plain.model()

    packed = bench.run(tiny(quant="rtn"))
    shutil.rmtree(packed.folder / "quantized" / "rtn")
    with pytest.raises(RunStateError, match=r"quantized base model .* is not there"):
        packed.model("quantized")
    assert packed.model().stage == "trained"


def test_tasks_of_every_kind_in_one_run(tmp_path: Path, quick_smoke: None) -> None:
    tasks = ("2017-T3-A", "chemprot", "gad")
    data = {}
    for name in tasks:
        load().get("tasks", name).synthesize(tmp_path / name, 5, {"train": 24, "dev": 8, "test": 8})
        data[name] = tmp_path / name
    result = bench.run(
        task=tasks,
        data=data,
        model="tiny-bert",
        arch="A3",
        steps=4,
        max_length=64,
        waive="smoke",
        tracker="none",
        out=tmp_path / "runs",
    )
    model = result.model()
    for name in tasks:
        documents = load().get("tasks", name).load(data[name])["test"]
        found = model.predict(documents, task=name)
        same(found, result, name, "trained", tmp_path / "found.jsonl")
    with pytest.raises(UsageError, match="wanted one"):
        model.predict("one text")
    with pytest.raises(UsageError, match="texts with their passages; got a string"):
        model.predict("one text", task="2017-T3-A")
    with pytest.raises(UsageError, match="texts with their mentions; got a string"):
        model.predict(["one text"], task="chemprot")
    (said,) = model.predict("The gene @GENE$ is tied to @DISEASE$.", task="gad")
    assert sum(j.chosen for j in said.judgements) == 1
    assert sum(j.score for j in said.judgements) == pytest.approx(1, abs=1e-5)
