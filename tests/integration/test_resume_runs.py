"""A run that was killed or stopped and resumed is, bit for bit, the run that never was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench import runner  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.errors import DataError, RunStateError  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.results.layout import ADAPTERS, CHECKPOINTS, JOURNAL, PLAN, PREDICTIONS, RESULT  # noqa: E402
from bench.steps.resolve import resolve  # noqa: E402
from bench.tracking.journal import read_journal, timeline  # noqa: E402

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

KIND: dict[str, Any] = {"arch": "A4", "quant": "rtn"}
Make = Callable[..., RunConfig]


def outcome(folder: Path) -> dict[str, Any]:
    """Everything about a finished run that a kill must not change."""
    result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    result["invariants"]["checkpoint"] = {"written": result["invariants"]["checkpoint"]["written"]}
    events = timeline(read_journal(folder / JOURNAL))
    del result["invariants"]["batch"]["limit"]  # what the machine had free
    untimed = ("seconds", "tokens_per_second", "limit", "sha256")  # the hash of files that hold times
    told = [
        (event.kind, event.step, {k: v for k, v in event.values.items() if k not in untimed})
        for event in events
        if event.kind in ("batch", "smoke", "step", "eval", "checkpoint", "scores", "result")
    ]
    return {
        "weights": {p.name: p.read_bytes() for p in sorted((folder / ADAPTERS).rglob("*.safetensors"))},
        "predictions": {p.name: p.read_bytes() for p in sorted((folder / PREDICTIONS).iterdir())},
        "result": {name: result[name] for name in ("id", "headline", "scores", "invariants", "quantization", "hashes")},
        "told": [(kind, step, {k: v for k, v in values.items() if k != "path"}) for kind, step, values in told],
    }


def compare(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    assert wanted["weights"]
    assert found["weights"] == wanted["weights"]
    assert found["predictions"] == wanted["predictions"]
    for name in wanted["result"]:
        assert found["result"][name] == wanted["result"][name], name
    assert found["told"] == wanted["told"]


_whole: dict[str, Any] = {}


@pytest.fixture
def whole(tiny: Make, tmp_path: Path, small_corpus: Path) -> dict[str, Any]:
    """The run that was never killed; the same for every test."""
    if not _whole:
        _whole.update(outcome(runner.run(tiny(out=str(tmp_path / "whole"), **KIND), load()).folder))
    return _whole


def only(out: Path) -> Path:
    (folder,) = [path for path in out.iterdir() if (path / "lock").exists()]
    return folder


def die_at(kind: str, step: int | None = None) -> Callable[[Any], None]:
    def see(event: Any) -> None:
        if event.kind == kind and step in (None, event.step):
            os.kill(os.getpid(), signal.SIGKILL)

    return see


def die(*args: Any, **named: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def patched(moment: str) -> None:
    """Makes this process die at a moment that no event marks."""
    from bench.invariants import checkpoint, smoke
    from bench.steps import conclude

    if moment == "while a checkpoint is written":
        sync, seen = checkpoint.sync, []

        def second(path: Path) -> None:
            seen.append(path)
            sync(path) if len(seen) < 10 else die()

        checkpoint.sync = second
    elif moment == "during smoke":
        smoke.Gate.guard = die
    elif moment == "before the plan is stored":
        from bench.steps import resume

        resume.write_json = die
    elif moment == "while quantizing":
        conclude.quantized_base = die
    elif moment == "before the result":
        runner.write_result = die


MOMENTS = [
    "during smoke",
    "while a checkpoint is written",
    "while quantizing",
    "before the result",
    ("start", None),
    ("step", 1),
    ("step", 5),
    ("checkpoint", 4),
    ("scores", None),
]


@pytest.mark.parametrize("moment", MOMENTS, ids=str)
def test_killed_and_resumed_is_as_never_killed(
    moment: Any, whole: dict[str, Any], tiny: Make, tmp_path: Path, kit: Any
) -> None:
    config = tiny(**KIND)

    def first(told: Any) -> None:
        registry = load()
        if isinstance(moment, str):
            patched(moment)
        else:
            registry.add(kit.Observer(die_at(*moment)), "test:kill", "test")
        runner.run(config, registry, console=told)

    assert kit.forked(first).signal == signal.SIGKILL
    folder = only(Path(config.out))
    assert not (folder / RESULT).exists()
    console = kit.Told()
    runner.run(RunConfig(out=config.out, tracker=("none",)), load(), resume=folder.name, console=console)
    compare(outcome(folder), whole)
    early = moment in ("during smoke", ("start", None), ("step", 1))
    assert console.said("ended before its first checkpoint; it starts over") == early
    assert not list((folder / CHECKPOINTS).glob(".writing*"))


@pytest.mark.parametrize("moment", [("step", 5), ("scores", None)], ids=str)
def test_full_fine_tuning_resumes_as_never_killed(moment: tuple[str, int | None], tiny: Make, tmp_path: Path, kit: Any) -> None:
    kind: dict[str, Any] = {"arch": "full", "quant": "rtn"}
    never = outcome(runner.run(tiny(out=str(tmp_path / "never"), **kind), load()).folder)
    assert "model.safetensors" in never["weights"]
    config = tiny(**kind)

    def first(told: Any) -> None:
        registry = load()
        registry.add(kit.Observer(die_at(*moment)), "test:kill", "test")
        runner.run(config, registry, console=told)

    assert kit.forked(first).signal == signal.SIGKILL
    folder = only(Path(config.out))
    (folder / ".trained-left").mkdir()  # as a run does that is killed while it quantizes
    runner.run(RunConfig(out=config.out, tracker=("none",)), load(), resume=folder.name)
    assert not [*folder.glob(".trained-*")]
    compare(outcome(folder), never)


def test_killed_before_it_was_planned_is_begun_by_its_own_command(whole: dict[str, Any], tiny: Make, kit: Any) -> None:
    config = tiny(**KIND)

    def first(told: Any) -> None:
        patched("before the plan is stored")
        runner.run(config, load(), console=told)

    assert kit.forked(first).signal == signal.SIGKILL
    folder = only(Path(config.out))
    with pytest.raises(RunStateError, match="before it was planned") as caught:
        runner.run(RunConfig(out=config.out), load(), resume=folder.name)
    assert "without --resume" in str(caught.value.hint)
    runner.run(config, load())
    compare(outcome(folder), whole)


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "--max-hours", "SIGTERM while quantizing"])
def test_asked_to_stop_it_saves_and_says_how_to_go_on(how: str, whole: dict[str, Any], tiny: Make, kit: Any) -> None:
    config = tiny(**KIND) if how != "--max-hours" else replace(tiny(**KIND), max_hours=1e-9)

    def see(event: Any) -> None:
        if (event.kind, event.step) == ("step", 3) and "quantizing" not in how and how != "--max-hours":
            os.kill(os.getpid(), getattr(signal, how))

    def first(told: Any) -> None:
        registry = load()
        registry.add(kit.Observer(see), "test:stop", "test")
        if "quantizing" in how:
            from bench.steps import conclude

            conclude.quantized_base = lambda *_: os.kill(os.getpid(), signal.SIGTERM)
        runner.run(config, registry, console=told)

    child = kit.forked(first)
    assert (child.error, child.code) == ("Interrupted", 130), child
    folder = only(Path(config.out))
    assert child.hint == f"Go on with: bench run --resume {folder}"
    assert how.partition(" ")[0] in child.message
    step = {"--max-hours": 1, "SIGTERM while quantizing": 6}.get(how, 3)
    assert (folder / CHECKPOINTS / f"step-{step:08d}").exists()
    assert timeline(read_journal(folder / JOURNAL))[-1].values["status"] == "interrupted"
    runner.run(RunConfig(out=config.out, tracker=("none",), max_hours=1.0), load(), resume=str(folder))
    found = outcome(folder)
    # Stopping wrote a checkpoint of its own.
    extra = [told for told in found["told"] if told not in whole["told"]]
    assert all(told[0] == "checkpoint" and told[1] == step for told in extra)
    found["told"] = whole["told"] if extra else found["told"]
    if extra:
        found["result"]["invariants"]["checkpoint"] = whole["result"]["invariants"]["checkpoint"]
    compare(found, whole)


@pytest.fixture
def half(tiny: Make, kit: Any) -> Path:
    """A run killed after update 5, with checkpoints at 3 and 4."""
    config = tiny(**KIND)

    def first(told: Any) -> None:
        registry = load()
        registry.add(kit.Observer(die_at("step", 5)), "test:kill", "test")
        runner.run(config, registry)

    assert kit.forked(first).signal == signal.SIGKILL
    return only(Path(config.out))


def test_a_damaged_newest_checkpoint_falls_back(half: Path, whole: dict[str, Any], kit: Any) -> None:
    newest = max((half / CHECKPOINTS).glob("step-*"))
    part = newest / "optimizer.safetensors"
    part.write_bytes(part.read_bytes()[:-1] + b"\x01")
    console = kit.Told()
    runner.run(RunConfig(out=str(half.parent), tracker=("none",)), load(), resume=half.name, console=console)
    assert console.said(f"{newest.name}/optimizer.safetensors is damaged; the checkpoint before it is taken")
    compare(outcome(half), whole)


def test_what_may_not_be_resumed_is_refused_and_nothing_is_touched(
    half: Path, tiny: Make, other_corpus: Path, small_corpus: Path, kit: Any
) -> None:
    out = str(half.parent)
    # The lock names the process that held it last.
    before = {k: v for k, v in kit.files(half).items() if "cache" not in k and k != "lock"}

    def refused(match: str, config: RunConfig, resume: str | None = half.name, error: type[Exception] = RunStateError) -> None:
        with pytest.raises(error, match=match):
            runner.run(config, load(), resume=resume)

    refused("was begun and is not finished", tiny(**KIND), None)
    refused("begun with other values of --lr, --seed", RunConfig(out=out, lr=0.5, seed=3))
    refused("begun with other values of --data", RunConfig(out=out, data={"2015-T14": str(other_corpus)}))
    pipe = next(small_corpus.glob("train/*.pipe"))
    content = pipe.read_bytes()
    try:
        pipe.write_bytes(content + b"\n")
        refused("the corpus files changed since it began", RunConfig(out=out))
        pipe.write_bytes(content + b"nonsense\n")
        refused("", RunConfig(out=out), error=DataError)
    finally:
        pipe.write_bytes(content)
    (half / CHECKPOINTS / "step-00000004" / "random.safetensors").rename(half / "kept")
    refused("lacks random.safetensors", RunConfig(out=out))
    (half / "kept").rename(half / CHECKPOINTS / "step-00000004" / "random.safetensors")
    assert {k: v for k, v in kit.files(half).items() if "cache" not in k and k != "lock"} == before


def test_two_runs_in_one_folder(half: Path, kit: Any) -> None:
    from bench.results.lock import RunLock

    def second(told: Any) -> None:
        runner.run(RunConfig(out=str(half.parent)), load(), resume=half.name)

    with RunLock(half):
        child = kit.forked(second)
    assert (child.error, child.code) == ("RunInUseError", 6)
    assert f"is in use by process {os.getpid()}" in child.message


def test_a_finished_run_prints_its_result_again(tiny: Make, kit: Any) -> None:
    config = tiny()
    first = runner.run(config, load())
    assert first.folder is not None
    before = kit.files(first.folder)
    console = kit.Told()
    again = runner.run(config, load(), console=console)
    assert (again.headline, again.result_path) == (first.headline, first.result_path)
    assert console.said("is finished; --replicate 2 repeats it")
    assert runner.run(RunConfig(out=config.out), load(), resume=first.folder.name).headline == first.headline
    assert kit.files(first.folder) == before
    other = runner.run(replace(config, replicate=2), load())
    assert other.folder != first.folder
    assert (other.folder / PLAN).exists()


def test_a_finished_run_is_printed_again_without_torch(tiny: Make, kit: Any) -> None:
    config = tiny()
    first = runner.run(config, load())
    assert first.folder is not None
    program = f"""
import sys
from bench import runner
from bench.config import RunConfig
from bench.registry import load
outcome = runner.run(RunConfig(**{vars(config)!r}), load())
print(outcome.headline["value"], [m for m in ("torch", "transformers", "peft") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.stdout.split("\n")[-2] == f"{first.headline['value']} []", done.stderr
    # Of another configuration nothing is known before everything is loaded.
    console = kit.Told()
    runner.run(replace(config, seed=7), load(), dry_run=True, console=console)
    assert not console.said("is finished")
    assert runner.finished_before(replace(config, seed=7), resolve(replace(config, seed=7), load())) is None
    assert runner.finished_before(config, resolve(config, load())) == first.folder


def test_what_takes_seconds_to_load_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.modeling import noise

    told: list[str] = []
    noise.import_heavy()
    noise.import_heavy(told.append)  # it is loaded by now
    assert told == []
    monkeypatch.setattr(noise.importlib, "import_module", lambda name: SimpleNamespace())
    monkeypatch.delitem(sys.modules, "peft")
    noise.import_heavy(told.append)
    assert told == [noise.LOADING]
