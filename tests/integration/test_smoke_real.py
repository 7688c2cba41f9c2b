"""The smoke test at the default learning rate on real corpora: what a user meets first must not be a refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

from bench.config import RunConfig
from bench.registry import load
from bench.runner import run

CORPORA = {"ncbi-disease": "NCBI-disease-IOB"}


@pytest.mark.shared
@pytest.mark.parametrize("task", CORPORA)
def test_default_learning_rate_passes_on_a_real_corpus(task: str, tmp_path: Path) -> None:
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "mtl-bioinformatics-2016" / CORPORA[task]
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    registry = load()
    if registry.get("models", "minilm-l6").missing():
        pytest.skip("minilm-l6 is not installed")
    config = RunConfig(
        task=(task,), data={task: str(folder)}, arch="A1", steps=1, eval_every=10, micro_batch=2048,
        tracker=("none",), out=str(tmp_path / "runs"), device="cpu", waive=("batch",),
    )  # fmt: skip
    outcome = run(config, registry)
    assert outcome.result_path is not None
