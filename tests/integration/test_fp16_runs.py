"""A run in fp16 on the CPU: updates that overflow are computed again, tokens count once, and a resumed run is the same run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench import runner  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.errors import Interrupted, UsageError  # noqa: E402
from bench.modeling import backbone as loading  # noqa: E402
from bench.modeling import scaling  # noqa: E402
from bench.modeling.find import BaseModel, find_model  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.results.layout import ADAPTERS, JOURNAL, RESULT  # noqa: E402
from bench.steps.trial import as_loaded, attempt  # noqa: E402
from bench.tracking.journal import read_journal  # noqa: E402

Make = Callable[..., RunConfig]


def read(folder: Path | None) -> tuple[dict[str, Any], dict[str, bytes]]:
    assert folder is not None
    weights = {path.name: path.read_bytes() for path in sorted((folder / ADAPTERS).rglob("*.safetensors"))}
    return json.loads((folder / RESULT).read_text(encoding="utf-8")), weights


def test_a_run_in_fp16(tiny: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "FIRST", 2.0**36)  # the largest number of fp16 is 65504
    registry = load()
    settings: dict[str, Any] = {"precision": "fp16", "quant": "rtn", "arch": "A4", "steps": 4, "checkpoint_every": 1}
    folder = runner.run(tiny(**settings), registry).folder
    result, weights = read(folder)
    plain, _ = read(runner.run(tiny(**{**settings, "precision": "fp32"}), registry).folder)
    assert result["training"]["repeated_updates"] > 3
    assert plain["training"]["repeated_updates"] == 0
    for name in ("tokens", "smoke"):
        assert result["invariants"][name]["status"] == plain["invariants"][name]["status"]
    assert result["invariants"]["tokens"]["tasks"] == plain["invariants"]["tokens"]["tasks"]
    assert result["invariants"]["smoke"]["dead"] == {"2015-T14": []}
    assert folder is not None
    losses = [[e.values["loss"]["2015-T14"] for e in read_journal(f / JOURNAL) if e.kind == "step"] for f in
              (folder, next(p for p in folder.parent.iterdir() if p.name == plain["id"]))]  # fmt: skip
    assert len(losses[0]) == 4
    assert losses[0] == pytest.approx(losses[1], rel=0.02)

    out = str(tmp_path / "again")
    with pytest.raises(Interrupted):
        runner.run(tiny(**settings, out=out, max_hours=1e-9), registry)
    (begun,) = (path for path in Path(out).iterdir() if path.is_dir())
    again = runner.run(RunConfig(out=out, tracker=("none",), max_hours=1.0), registry, resume=begun.name).folder
    resumed, same = read(again)
    assert same == weights
    assert resumed["training"]["repeated_updates"] == result["training"]["repeated_updates"]


def test_a_model_that_leaves_the_range_of_fp16_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    real = loading.load_backbone

    def large(*given: Any) -> Any:
        loaded: Any = real(*given)
        loaded.embeddings.word_embeddings.weight.mul_(1e8)  # a norm follows, so that in fp32 nothing changes
        return loaded

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(loading, "load_backbone", large)
    model = find_model("tiny-bert", load(), tmp_path / "models")
    parts: Any = SimpleNamespace(model=model)
    with pytest.raises(UsageError, match="tiny-bert \\(bert\\) cannot compute in fp16"):
        as_loaded(parts, "fp16")
    assert attempt(model).fp16 is None


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_weights_stored_in_fp16_are_loaded_in_the_precision_of_the_run(precision: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from bench.training.loop import DTYPES

    made = find_model("tiny-llama", load(), tmp_path / "models").folder()
    (half := tmp_path / "half").mkdir()
    for path in made.iterdir():
        (half / path.name).write_bytes(path.read_bytes())
    config = json.loads((half / "config.json").read_text())
    (half / "config.json").write_text(json.dumps(config | {"dtype": "float16"}))
    save_file(
        {n: t.half() for n, t in load_file(made / "model.safetensors").items()}, half / "model.safetensors", {"format": "pt"}
    )
    backbone = loading.load_backbone(BaseModel("half", tmp_path, folder=half).folder(), DTYPES[precision], "cpu")
    assert {parameter.dtype for parameter in backbone.parameters()} == {DTYPES[precision]}
