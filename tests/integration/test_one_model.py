"""Evaluation of a quantized run: one model in memory at a time, and a result where the dense ones do not fit."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("bitsandbytes")

from bench import runner  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.errors import OutOfMemory  # noqa: E402
from bench.evaluation import predict, quantization  # noqa: E402
from bench.modeling import backbone  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.results.store import read_result  # noqa: E402
from bench.steps import conclude  # noqa: E402

Make = Callable[..., RunConfig]
TASK = "2015-T14"
ERRORS = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:114] data. DefaultCPUAllocator: can't allocate memory: you tried"),
)


class Models:
    """Watches every model that is loaded and every one that is put together, and counts those that are still there."""

    def __init__(self) -> None:
        self.backbones: list[weakref.ref[Any]] = []
        self.alive: list[int] = []
        """Models alive whenever another one was about to be loaded."""

    def watched(self, load_one: Callable[..., Any]) -> Callable[..., Any]:
        def watch(*args: Any, **named: Any) -> Any:
            self.alive.append(sum(reference() is not None for reference in self.backbones))
            model = load_one(*args, **named)
            if model is not None:
                self.backbones.append(weakref.ref(model))
            return model

        return watch


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    models, quantizer = Models(), type(load().get("quantizers", "nf4"))
    monkeypatch.setattr(backbone, "load_backbone", models.watched(backbone.load_backbone))
    monkeypatch.setattr(quantization, "floor_backbone", models.watched(quantization.floor_backbone))
    monkeypatch.setattr(quantizer, "load", models.watched(quantizer.load))
    return models


@pytest.mark.parametrize(("when", "arch"), [("load", "A4"), ("after", "full")])
def test_one_model_at_a_time(tiny: Make, models: Models, when: str, arch: str) -> None:
    path = runner.run(tiny(quant="nf4", quant_when=when, arch=arch, steps=2, eval_every=2), load()).result_path
    assert path is not None
    measured = read_result(path.parent).quantization
    assert measured.error is not None
    assert measured.rtn_error is not None
    assert not measured.missing
    # The model that trains, the dense one, the one rounded to nearest, the quantized one: each when the one before is gone.
    assert models.alive[-4:] == [0, 0, 0, 0]
    assert len(models.alive) >= 4


@pytest.mark.parametrize(
    ("target", "name", "missing", "error"),
    [
        (backbone, "load_backbone", {"error", "rtn_error", "unquantized"}, ERRORS[0]),
        (quantization, "floor_backbone", {"rtn_error"}, ERRORS[1]),
    ],
    ids=["the unquantized one", "the one rounded to nearest"],
)
def test_what_does_not_fit_is_missing_and_says_why(
    tiny: Make, kit: Any, monkeypatch: pytest.MonkeyPatch, target: Any, name: str, missing: set[str], error: Exception
) -> None:
    def full(*args: Any, **named: Any) -> Any:
        raise error

    monkeypatch.setattr(target, name, full)
    told = kit.Told()
    path = runner.run(tiny(quant="nf4", steps=2, eval_every=2), load(), console=told).result_path
    assert path is not None
    result = read_result(path.parent)
    measured = result.quantization
    assert measured.missing.keys() == missing
    assert all(reason.startswith("out of memory: the ") for reason in measured.missing.values())
    assert (measured.error is None) == ("error" in missing)
    assert measured.rtn_error is None
    assert ("unquantized" in result.scores[TASK].baselines) == ("unquantized" not in missing)
    assert result.headline.stage == "quantized"
    assert result.scores[TASK].quantized is not None
    assert told.said("Out of memory on cpu while the ")


def test_scoring_the_unquantized_model_may_fail_on_its_own(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.steps.finish import Scoring

    stage = Scoring.stage

    def full(self: Scoring, model: Any, name: str, split: str, step: int | None = None) -> Any:
        if name == "unquantized":
            raise ERRORS[0]
        return stage(self, model, name, split, step)

    monkeypatch.setattr(Scoring, "stage", full)
    path = runner.run(tiny(quant="nf4", steps=2, eval_every=2), load()).result_path
    assert path is not None
    assert read_result(path.parent).quantization.missing.keys() == {"error", "rtn_error", "unquantized"}


@pytest.mark.parametrize("place", ["quantized_base", "load"])
def test_the_quantized_model_itself_must_fit_and_can_be_resumed(
    tiny: Make, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    config = tiny(quant="nf4", quant_when="after", steps=2, eval_every=2)

    def full(*args: Any, **named: Any) -> Any:
        raise ERRORS[0]

    with monkeypatch.context() as patch:
        target: Any = conclude if place == "quantized_base" else type(load().get("quantizers", "nf4"))
        patch.setattr(target, place, full)
        with pytest.raises(OutOfMemory) as caught:
            runner.run(config, load())
    assert caught.value.exit_code == 8
    assert "bench run --resume" in str(caught.value.hint)
    (folder,) = Path(config.out).iterdir()
    path = runner.run(RunConfig(out=config.out, tracker=("none",)), load(), resume=str(folder)).result_path
    assert path is not None
    assert read_result(folder).headline.stage == "quantized"


def test_hidden_states_are_taken_in_smaller_batches_where_eight_windows_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.training.loop import Device

    def collated(rows: Any, head: Any, pad: int) -> Any:
        return {"input_ids": torch.tensor(rows), "attention_mask": torch.ones(len(rows))}

    monkeypatch.setattr(predict, "collate", collated)
    sizes: list[int] = []

    class Narrow:
        def eval(self) -> None: ...

        def hidden(self, task: str, batch: Any) -> Any:
            sizes.append(len(batch["input_ids"]))
            if sizes[-1] > 2:
                raise ERRORS[0]
            return batch["input_ids"].float()

    data: Any = SimpleNamespace(splits={"dev": SimpleNamespace(take=list)}, head=None)
    narrow: Any = Narrow()
    states = predict.hidden_states(narrow, TASK, data, list(range(11)), "dev", Device("cpu", "fp32"), 0)
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 1]
    assert torch.cat([state for state, _ in states]).tolist() == list(range(11))


def test_a_training_model_is_gone_once_it_is_freed(tiny: Make) -> None:
    seen: list[Any] = []

    class Kept(Exception):
        pass

    def stop(run: Any, trainer: Any, progress: Any, scoring: Any) -> Any:
        seen.append(weakref.ref(trainer.model))
        seen.append([weakref.ref(parameter) for parameter in trainer.parameters])
        trainer.free()
        gc.collect()
        seen.append(trainer.ledger.tokens)
        raise Kept

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "conclude", stop)
        with pytest.raises(Kept):
            runner.run(tiny(steps=1, eval_every=1), load())
    model, parameters, tokens = seen
    assert model() is None
    assert all(parameter() is None for parameter in parameters)
    assert tokens > 0
