"""Runs that start from another run's shared weights: frozen to the bit, resumed exactly, counted truly, no test text let in."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from safetensors.torch import load_file, save_file  # noqa: E402

from bench import runner  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.errors import BenchError, LeakError, RunStateError, UsageError  # noqa: E402
from bench.reporting import SilentReporter  # noqa: E402
from bench.results.layout import ADAPTERS, CHECKPOINTS, RESULT  # noqa: E402
from bench.results.store import read_result  # noqa: E402
from bench.steps.resolve import resolve  # noqa: E402
from bench.steps.start import Start  # noqa: E402
from bench.steps.teachers import find_teachers  # noqa: E402
from bench.steps.trained import load_trained  # noqa: E402
from bench.studies.contract import facts  # noqa: E402
from bench.training.build import teachers  # noqa: E402
from bench.training.loop import Device  # noqa: E402

Make = Callable[..., RunConfig]
SOURCES, TARGET = ("2015-T14", "second"), "third"
STEPS = 6


@pytest.fixture
def corpora(small_corpus: Path, other_corpus: Path, tmp_path: Path, kit: Any) -> dict[str, Path]:
    kit.task_like().synthesize(tmp_path / "third", 5, {"train": 4, "dev": 2, "test": 2})
    return {"2015-T14": small_corpus, "second": other_corpus, "third": tmp_path / "third"}


@pytest.fixture
def make(tiny: Make, corpora: dict[str, Path]) -> Make:
    def made(*tasks: str, **changes: Any) -> RunConfig:
        given = {"task": tasks, "data": {task: str(corpora[task]) for task in tasks}, "steps": STEPS, "lr": 2e-2, "rank": 24}
        return tiny(**(given | changes))

    return made


@pytest.fixture
def registry(kit: Any) -> Any:
    return kit.with_parts(tasks=[kit.task_like("second"), kit.task_like("third")])


def result_of(folder: Path | None) -> dict[str, Any]:
    assert folder is not None
    found: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    return found


def shared_files(folder: Path) -> dict[str, Any]:
    """Every tensor that is neither a head's nor private to a task."""
    found = {}
    for path in sorted((folder / ADAPTERS).rglob("*.safetensors")):
        name = path.relative_to(folder / ADAPTERS).as_posix()
        if not name.startswith(("head-", "private-")):
            found |= {f"{name}:{key}": tensor for key, tensor in load_file(path).items()}
    return found


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("arch", ["A1-pissa", "prefix", "prompt"])
def test_arms_with_files_of_their_own_start_from_a_run(arch: str, make: Make, registry: Any, tmp_path: Path) -> None:
    source = runner.run(make(*SOURCES, arch=arch, lr=0.01), registry).folder
    assert source is not None
    config = make(TARGET, arch=arch, lr=0.01, init_from=str(source), freeze_shared=True, out=str(tmp_path / "then"))
    then = runner.run(config, registry).folder
    assert then is not None
    assert equal(shared_files(then), shared_files(source))
    assert result_of(then)["init_from"]["run"] == source.name


@pytest.mark.parametrize("arch", ["A1", "A4"])
def test_what_is_shared_stays_as_it_was_and_a_killed_run_goes_on_bit_for_bit(
    arch: str, make: Make, registry: Any, tmp_path: Path, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At this budget A4 gives a task alone other ranks than two.
    source = runner.run(make(*SOURCES, arch=arch, sampling="uniform", rank=27), registry).folder
    assert source is not None
    before = kit.files(source)
    how: dict[str, Any] = {
        "arch": arch, "rank": 27, "init_from": str(source), "freeze_shared": True, "shots": 3, "checkpoint_every": 1,
    }  # fmt: skip
    whole = runner.run(make(TARGET, out=str(tmp_path / "whole"), **how), registry).folder
    assert whole is not None
    assert kit.files(source) == before
    assert equal(shared_files(whole), shared_files(source))

    result = result_of(whole)
    parity, tokens = result["invariants"]["parity"], result["invariants"]["tokens"]["tasks"][TARGET]
    (row,) = parity["rows"]
    private = sum(t.numel() for p in (whole / ADAPTERS).glob("private-*/*.safetensors") for t in load_file(p).values())
    head = sum(t.numel() for t in load_file(whole / ADAPTERS / "head-0.safetensors").values())
    assert (result["matched"], parity["group"], parity["status"]) == (False, None, "not parameter-matched")
    assert (row["adapters"], row["fusion"], row["total"], row["active"]) == (
        private,
        0,
        private + head,
        {TARGET: private + head},
    )
    assert (private == 0) == (arch == "A1")
    assert parity["notes"][-1].startswith("Frozen is what tasks share: shared ")
    assert result["init_from"]["run"] == source.name
    assert {task: n > 0 for task, n in result["init_from"]["tasks"].items()} == dict.fromkeys(SOURCES, True)
    assert result["init_from"]["unread"] == []
    shots = result["shots"][TARGET]
    assert (shots["documents"], shots["of"], result["plan"]["data"][TARGET]["train"]["documents"]) == (3, 4, 3)
    assert result["plan"]["data"][TARGET]["test"]["documents"] == 2
    assert tokens["tokens"] == result["invariants"]["tokens"]["total"] > 0
    # The same ranks in the shared part, though one task alone would have been given others at A4.
    ranks = [r["invariants"]["parity"]["plan"]["adapters"]["shared"] for r in (result, result_of(source))]
    assert ranks[0] == ranks[1]

    def die(event: Any) -> None:
        if (event.kind, event.step) == ("step", 4):
            os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.chdir(source.parent)  # what is typed here goes on from elsewhere
    config = make(TARGET, out=str(tmp_path / "killed"), **how | {"init_from": f"../{source.parent.name}/{source.name}"})
    stopped = RunConfig(out=config.out, tracker=("none",))

    def first(told: Any) -> None:
        registry.add(kit.Observer(die), "test:kill", "test")
        runner.run(config, registry, console=told)

    assert kit.forked(first).signal == signal.SIGKILL
    assert (Path(config.out) / whole.name / CHECKPOINTS).is_dir()
    monkeypatch.chdir("/")
    # With other weights to start from it does not go on; a head of the other run is no part of the start.
    for file, refused in (("shared/adapter_model.safetensors", True), ("head-0.safetensors", False)):
        weights = (source / ADAPTERS / file).read_bytes()
        save_file({name: tensor + 1 for name, tensor in load_file(source / ADAPTERS / file).items()}, source / ADAPTERS / file)
        if refused:
            with pytest.raises(RunStateError, match="the weights of the run that it began with changed since it began"):
                runner.run(stopped, registry, resume=whole.name)
            (source / ADAPTERS / file).write_bytes(weights)
    again = runner.run(stopped, registry, resume=whole.name).folder
    assert again is not None
    found = result_of(again)
    assert found["invariants"]["checkpoint"]["resumed_from"] == [3]
    assert found["scores"] == result["scores"]
    for name in ("head-0.safetensors", *(p.relative_to(whole).as_posix()[9:] for p in whole.glob("adapters/*/*.safetensors"))):
        assert equal(load_file(again / ADAPTERS / name), load_file(whole / ADAPTERS / name))
    # It predicts and teaches at the ranks that it was given.
    config = make(TARGET, arch=arch, schedule="distill", teacher=(str(again),))
    (teacher,) = find_teachers(config, resolve(config, registry), registry)
    theirs = teachers([teacher.spec], registry, Device("cpu", "fp32"))[TARGET]
    own = load_trained(again, registry, "trained", "cpu", SilentReporter()).model
    assert equal(theirs.state(), own.state())


def test_without_freezing_it_trains_as_many_parameters_as_any_arm(make: Make, registry: Any) -> None:
    source = runner.run(make(*SOURCES, arch="A3", sampling="uniform"), registry).folder
    assert source is not None
    started = make(TARGET, arch="A3", init_from=source.name)
    still = runner.run(replace(started, lr=0.0), registry).folder
    moved = runner.run(started, registry).folder
    fresh = runner.run(replace(started, init_from=None), registry).folder
    assert still is not None
    assert moved is not None
    assert fresh is not None
    assert equal(shared_files(still), shared_files(source))
    assert not equal(shared_files(moved), shared_files(source))
    results = [read_result(folder) for folder in (moved, fresh)]
    assert [result.matched for result in results] == [True, True]
    assert results[0].invariants.parity.rows == results[1].invariants.parity.rows
    told = [facts(result)["init_from"] for result in results]
    assert told[1] == "none"
    assert told[0].startswith("2015-t14+second_a3_none_")
    assert len({folder.name for folder in (still, moved, fresh)}) == 3
    shutil.rmtree(source)  # what was trained loads without it
    model = load_trained(moved, registry, "trained", "cpu", SilentReporter())
    assert [document.id for document in model.predict("The left atrium is dilated.")] == ["0"]


def test_a_head_alone_on_weights_that_another_run_fine_tuned(make: Make, registry: Any) -> None:
    source = runner.run(make("2015-T14", arch="full", steps=2, lr=1e-3), registry).folder
    assert source is not None
    config = make(TARGET, arch="full", steps=2, lr=1e-3, init_from=source.name, freeze_shared=True)
    folder = runner.run(config, registry).folder
    assert folder is not None
    assert equal(shared_files(folder), shared_files(source))
    (row,) = result_of(folder)["invariants"]["parity"]["rows"]
    assert (row["adapters"], row["total"]) == (0, row["heads"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rank": 32}, "the budget of that is 24, of this one 32"),
        ({"arch": "A3"}, "the architecture of that is A1, of this one A3"),
        ({"model": "tiny-llama"}, "the base model of that is tiny-bert"),
        ({"arch": "A2"}, "A2 has nothing that tasks share, which --init-from is about"),
        ({"arch": "A2", "init_from": None, "freeze_shared": True}, "which --freeze-shared is about"),
        ({"quant": "nf4"}, "the quantizer before training of that is none, of this one nf4"),
    ],
)
def test_a_start_that_does_not_fit_is_refused_before_anything_is_read(
    changes: dict[str, Any], said: str, make: Make, registry: Any, source: Path
) -> None:
    config = make(TARGET, init_from=str(source))
    if "quant" in changes and registry.get("quantizers", "nf4").missing():
        pytest.skip("bitsandbytes is not installed")
    with pytest.raises(UsageError, match=said):
        runner.run(replace(config, **changes), registry, dry_run=True)


@pytest.fixture(scope="module")
def source(kit: Any, small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one task with A1, its gate waived."""
    folder = runner.run(
        RunConfig(
            task=("2015-T14",), data={"2015-T14": str(small_corpus)}, model="tiny-bert", head="bio", steps=2, rank=24,
            max_length=64, batch_tokens=256, micro_batch=256, tracker=("none",), waive=("smoke",),
            out=str(tmp_path_factory.mktemp("runs")),
        ),
        kit.with_parts(),
    ).folder  # fmt: skip
    assert folder is not None
    return folder


def test_a_plan_tells_what_a_run_takes_from_others(make: Make, registry: Any, source: Path) -> None:
    class Tables(SilentReporter):
        def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
            told.update({row[0]: row[1] for row in rows if title == "plan"})

    told: dict[object, object] = {}
    runner.run(make("2015-T14"), registry, dry_run=True, console=Tables())
    plain = dict(told)
    taken = {"init_from": str(source), "freeze_shared": True, "shots": 3, "schedule": "distill", "teacher": (str(source),)}
    runner.run(make("2015-T14", **taken), registry, dry_run=True, console=Tables())
    assert {what: told[what] for what in told.keys() - plain.keys()} == {
        "starts from": f"{source.name}, trained on 2015-T14",
        "frozen": "what tasks share",
        "teacher": f"{source.name}, of 2015-T14",
        "training documents drawn": "2015-T14 3 of 4",
    }


def test_starts_of_one_recipe_differ_by_seed_alone(source: Path) -> None:
    result = read_result(source)

    def recipe(**changes: Any) -> str:
        return Start(source, replace(result, config={**result.config, **changes})).facts()["recipe"]

    assert {recipe(), recipe(seed=5), recipe(replicate=2)} == {result.id}  # this one has seed 0
    assert recipe(rank=8) != result.id


def test_a_run_that_is_not_finished_is_no_start(make: Make, registry: Any, source: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    shutil.copytree(source, begun)
    (begun / RESULT).unlink()
    with pytest.raises(BenchError, match="has no result: it did not finish"):
        runner.run(make(TARGET, init_from=str(begun)), registry, dry_run=True)


def test_training_text_of_the_source_in_test_is_refused_or_recorded(
    make: Make, registry: Any, source: Path, corpora: dict[str, Path], kit: Any
) -> None:
    seen = next((corpora["2015-T14"] / "train").glob("*.text"))
    (corpora["third"] / "test" / "test-00001-DISCHARGE_SUMMARY.text").write_text(f" {seen.read_text().upper()}\n")
    (corpora["third"] / "test" / "test-00001-DISCHARGE_SUMMARY.pipe").write_text("")
    config = make(TARGET, init_from=str(source), freeze_shared=True)
    with pytest.raises(LeakError) as caught:
        runner.run(config, registry)
    assert "(train of 2015-T14 and test)" in caught.value.message
    told = kit.Told()
    result = result_of(runner.run(replace(config, allow_leak=True), registry, console=told).folder)
    assert result["leaks"][TARGET]["allowed"] == 1
    assert result["leaks"][TARGET]["documents"][0] == {
        "document": "test-00001-DISCHARGE_SUMMARY", "split": "test", "twin": seen.stem, "other": "train of 2015-T14",
    }  # fmt: skip
    assert told.said("1 document stands in two splits of third: allowed by --allow-leak")


def test_what_cannot_be_read_again_is_said(make: Make, registry: Any, source: Path, kit: Any, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(source, moved)
    shutil.rmtree(moved / "corpus")  # the copy that a run on synthetic text keeps
    result = result_of(moved)
    result["config"]["data"] = {"2015-T14": str(tmp_path / "gone")}
    (moved / RESULT).write_text(json.dumps(result))
    told = kit.Told()
    found = result_of(runner.run(make(TARGET, init_from=str(moved), steps=1), registry, console=told).folder)
    assert found["init_from"]["unread"] == ["2015-T14"]
    assert told.said("2015-T14 cannot be read again")
