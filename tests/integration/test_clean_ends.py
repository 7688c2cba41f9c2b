"""Numbers that are not finite, memory that runs out, models that do not fit: one message, an exit code, a readable journal."""

from __future__ import annotations

import errno
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
from safetensors.torch import load_file, save_file  # noqa: E402

from bench import runner  # noqa: E402
from bench.cli import main  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.errors import DivergedError, OutOfMemory, UsageError, out_of_memory  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.results.layout import CHECKPOINTS, JOURNAL, PLAN  # noqa: E402
from bench.steps.resume import read_plan  # noqa: E402
from bench.tracking.journal import read_journal  # noqa: E402

Make = Callable[..., RunConfig]
TASK = "2015-T14"


def strict(path: Path) -> list[dict[str, Any]]:
    """Every line of a journal, as JSON without NaN."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in path.read_text(encoding="utf-8").splitlines()]


def only(config: RunConfig) -> Path:
    (folder,) = Path(config.out).iterdir()
    return folder


@pytest.mark.parametrize(("broken", "what"), [("gradient", "the gradient"), ("loss", f"the loss of {TASK}")])
def test_an_update_that_is_not_finite(tiny: Make, monkeypatch: pytest.MonkeyPatch, broken: str, what: str) -> None:
    from bench.training.loop import Trainer

    real = Trainer._accumulate

    def spoilt(self: Trainer, drawn: Any) -> Any:
        losses, entries, count = real(self, drawn)
        if self.step == 2:
            self.parameters[0].grad = torch.full_like(self.parameters[0], math.nan)
            losses = dict.fromkeys(losses, math.nan) if broken == "loss" else losses
        return losses, entries, count

    monkeypatch.setattr(Trainer, "_accumulate", spoilt)
    config = tiny(lr=3.0, steps=20, precision="fp32")
    with pytest.raises(DivergedError, match=rf"At update 3 {what} is not a finite number; the learning rate is 3\.") as caught:
        runner.run(config, load())
    assert (caught.value.exit_code, caught.value.hint) == (1, "Lower --lr.")
    lines = strict(only(config) / JOURNAL)
    told = lines[-1]["values"]
    assert (lines[-1]["kind"], told["status"], told["error"]) == ("end", "failed", "DivergedError")
    assert told["gradient_norm"] == "NaN"
    assert told["update"] == 3
    assert list(told["loss"]) == [TASK]
    assert len(list(read_journal(only(config) / JOURNAL))) == len(lines)
    assert read_plan(only(config))["smoke"]["passed"] is False


def test_the_command_line_tells_it_in_one_message(tiny: Make, small_corpus: Path, capfd: Any) -> None:
    config = tiny()
    words = ["run", "--task", TASK, "--data", f"{TASK}={small_corpus}", "--model", "tiny-bert", "--head", "bio", "--lr", "1000"]
    words += ["--waive", "smoke", "--tracker", "none", "--out", config.out, "--steps", "12", "--batch-tokens", "256"]
    assert main([*words, "--micro-batch", "256", "--max-length", "64"]) == 1
    printed = capfd.readouterr().err
    assert printed.count("error:") == 1
    assert "Lower --lr" in printed
    assert main([*words[:9], "--lr", "1e308"]) == 2
    assert "--lr is 1e+308; it must be at most 1,000." in capfd.readouterr().err


@pytest.mark.parametrize("where", ["hidden states", "weights of the head"])
def test_what_a_model_gives_is_not_finite(tiny: Make, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    from bench.training.loop import Trainer
    from bench.training.model import TaskModel

    config = tiny()
    hidden, run_update = TaskModel.hidden, Trainer.run_update

    def broken(self: TaskModel, task: str, batch: Any) -> Any:
        states = hidden(self, task, batch)
        return states if self.training or where != "hidden states" else states * float("nan")

    def update(self: Trainer) -> Any:
        report = run_update(self)
        if self.step == 3 and where == "weights of the head":
            for parameter in self.model.head(TASK).parameters():
                parameter.data.fill_(float("nan"))
        return report

    monkeypatch.setattr(TaskModel, "hidden", broken)
    monkeypatch.setattr(Trainer, "run_update", update)
    said = f"output on text of {TASK} is not finite" if where == "hidden states" else r"not finite in \d trained tensor"
    with pytest.raises(DivergedError, match=said) as caught:
        runner.run(config, load())
    assert "--lr" in str(caught.value.hint)
    assert strict(only(config) / JOURNAL)[-1]["values"]["error"] == "DivergedError"


ERRORS = {
    "torch, CPU": RuntimeError(
        "[enforce fail at alloc_cpu.cpp:114] data. DefaultCPUAllocator: can't allocate memory: you tried"
    ),
    "torch, CPU on Windows": RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes."),
    "torch, GPU": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB."),
    "cuBLAS": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "Python": MemoryError(),
    "the system": OSError(errno.ENOMEM, "Cannot allocate memory"),
}
PLACES = {
    "evaluation": ("bench.steps.finish.Scoring", "stage"),
    "quantizing": ("bench.steps.conclude", "quantized_base"),
    "efficiency": ("bench.steps.evidence.Efficiency", "measure"),
    "evidence": ("bench.steps.conclude", "evidence"),
    "training": ("bench.training.loop.Trainer", "run_update"),
    "evaluation on dev": ("bench.steps.finish.Scoring", "selection"),
    "model": ("bench.steps.base", "load_base"),
}
CASES = [(place, "torch, CPU") for place in PLACES] + [("evaluation", error) for error in ERRORS if error != "torch, CPU"]


@pytest.mark.parametrize(("place", "error"), CASES)
def test_memory_runs_out_and_the_run_goes_on_later(
    tiny: Make, monkeypatch: pytest.MonkeyPatch, place: str, error: str, capfd: Any
) -> None:
    config = tiny(quant="rtn", steps=3)

    def full(*args: Any, **named: Any) -> Any:
        raise ERRORS[error]

    with monkeypatch.context() as patch:
        target, name = PLACES[place]
        patch.setattr(f"{target}.{name}", full)
        with pytest.raises(OutOfMemory, match=f"^Out of memory during {place}") as caught:
            runner.run(config, load())
    folder = only(config)
    assert caught.value.exit_code == 8
    assert f"go on with: bench run --resume {folder}" in str(caught.value.hint)
    trained = place not in ("training", "model", "evaluation on dev")
    assert ("Its last checkpoint is kept." in str(caught.value.hint)) == ((folder / CHECKPOINTS).exists())
    assert (folder / CHECKPOINTS / "step-00000003").exists() == trained
    assert strict(folder / JOURNAL)[-1]["values"]["error"] == "OutOfMemory"
    if error == "torch, CPU":
        assert main(["run", "--resume", folder.name, "--out", config.out, "--tracker", "none"]) == 0
        assert "error:" not in capfd.readouterr().err


def test_other_errors_are_not_taken_for_it() -> None:
    assert all(map(out_of_memory, ERRORS.values()))
    others = [RuntimeError("shapes do not match"), ValueError("out of memory"), OSError(errno.ENOENT, "x"), KeyError("memory")]
    assert not any(map(out_of_memory, others))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder of its own with `tiny-bert`."""
    return Path(shutil.copytree(load().get("models", "tiny-bert").folder(tmp_path / "cache"), tmp_path / "model"))


def edited(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def smaller(folder: Path) -> None:
    edited(folder / "config.json", vocab_size=300)
    tensors = load_file(folder / "model.safetensors")
    tensors = {name: t[:300].clone() if "word_embeddings" in name else t for name, t in tensors.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def no_padding(folder: Path) -> None:
    edited(folder / "tokenizer_config.json", pad_token="[NEW]")


def broken_weight(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    name = "encoder.layer.0.output.dense.weight"
    save_file(tensors | {name: tensors[name] * float("nan")}, folder / "model.safetensors", metadata={"format": "pt"})


def spoiled(name: str, **changes: Any) -> Callable[[Path], None]:
    return lambda folder: edited(folder / name, **changes)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (smaller, r"gives token ids up to [\d,]+ for padding, special tokens and a text; its embedding table has 300 rows"),
        (no_padding, "gives token ids up to 1,664 for padding, special tokens and a text; its embedding table has 1,664 rows"),
        (
            spoiled("config.json", intermediate_size=96),
            r"encoder\.layer\.0\.intermediate\.dense\.bias is 128 in the weights and 96 by the configuration",
        ),
        (spoiled("config.json", num_attention_heads=7), r"config\.json of .* cannot be used \(.*not a multiple"),
        (spoiled("config.json", hidden_act=[1]), r"config\.json of .* cannot be used \(.*hidden_act"),
        (spoiled("config.json", num_experts="x", pad_token_id=9999), r"config\.json of .* cannot be used \(AssertionError"),
        (
            spoiled("tokenizer_config.json", sep_token=3),
            r"The tokenizer of .* cannot be used \(TypeError: Special token sep_token",
        ),
        (spoiled("tokenizer.json", model={}), r"The tokenizer of .* cannot be used"),
        (spoiled("tokenizer.json", truncation=""), r"The tokenizer of .* cannot be used"),
        (
            broken_weight,
            r"Numbers that are not finite in 1 tensor of .*, encoder\.layer\.0\.output\.dense\.weight among them",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", "") if callable(value) else None,
)
def test_a_model_that_does_not_fit_itself(tiny: Make, model: Path, damage: Callable[[Path], None], said: str) -> None:
    damage(model)
    config = tiny(model=str(model))
    with pytest.raises(UsageError, match=said) as caught:
        runner.run(config, load(), dry_run=damage is not broken_weight)
    assert caught.value.hint
    assert not (Path(config.out) / "x" / PLAN).exists()


@pytest.mark.parametrize("word", ["the", "<|never|>"])
def test_an_added_token_past_the_table_stops_what_has_it_in_its_text(tiny: Make, tmp_path: Path, word: str) -> None:
    model = Path(shutil.copytree(load().get("models", "tiny-llama").folder(tmp_path / "cache"), tmp_path / "model"))
    path = model / "tokenizer.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    token = {"id": 1024, "content": word, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    edited(path, added_tokens=[*value["added_tokens"], token | {"special": False}])
    config = tiny(model=str(model))
    if word != "the":
        assert runner.run(config, load(), dry_run=True).plan["id"]
        return
    with pytest.raises(UsageError, match="up to 1,024 for the train split of 2015-T14; its embedding table has 1,024 rows"):
        runner.run(config, load(), dry_run=True)
