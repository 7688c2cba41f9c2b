"""Curricula and distillation end to end: the same tokens, what is refused, and resumed runs that go on bit for bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from safetensors.torch import load_file  # noqa: E402

from bench import runner  # noqa: E402
from bench.api.schedule import Curriculum, Objective, Phase, Schedule  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.errors import RunStateError, UsageError  # noqa: E402
from bench.hooks import hookimpl  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.results.layout import ADAPTERS, RESULT  # noqa: E402

Make = Callable[..., RunConfig]
STEPS = 8


class Own(Schedule):
    """A schedule of a plugin: the loss of every batch counts twice, and the windows with most labels come first."""

    name, version, summary, citation, licence = "own", "1", "for tests", "none", "MIT"

    def phases(self, shares: Mapping[str, float]) -> Sequence[Phase]:
        return [Phase(1.0, dict(shares))]

    def objective(self, options: Mapping[str, float], teachers: Mapping[str, Any]) -> Objective:
        class Twice(Objective):
            def loss(self, task: str, batch: Any, hidden: Any, head: Any, loss: Any) -> Any:
                return 2 * loss

        return Twice()

    def curriculum(self, options: Mapping[str, float]) -> Curriculum:
        class Labelled(Curriculum):
            def difficulty(self, task: str, tokens: Any, supervised: Any) -> Any:
                return -supervised.astype(float)

            def competence(self, progress: float) -> float:
                return 0.5 + 0.5 * progress

        return Labelled()


class Plugin:
    @hookimpl
    def bench_schedules(self) -> Sequence[Schedule]:
        return [Own()]


def result_of(folder: Path | None) -> dict[str, Any]:
    assert folder is not None
    found: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    return found


def weights(folder: Path | None) -> dict[str, Any]:
    assert folder is not None
    files = sorted((folder / ADAPTERS).rglob("*.safetensors"))
    return {f"{path.name} {name}": tensor for path in files for name, tensor in load_file(path).items()}


def steps_of(folder: Path | None) -> list[dict[str, Any]]:
    assert folder is not None
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["values"] for line in lines if line["kind"] == "step"]


def run_and_stop(config: RunConfig, kit: Any, at: int, aside: Path) -> Path:
    """A whole run, and a copy of its folder as it stood at a checkpoint, as if it had been killed there."""
    registry = load()

    def keep(event: Any) -> None:
        if (event.kind, event.step) == ("checkpoint", at):
            shutil.copytree(config.out, aside)

    registry.add(kit.Observer(keep), "test:keep", "test")
    folder = runner.run(config, registry).folder
    assert folder is not None
    return folder


def goes_on_bit_for_bit(config: RunConfig, kit: Any, aside: Path) -> None:
    whole = run_and_stop(replace(config, checkpoint_every=2), kit, 4, aside)
    copy = aside / whole.name
    assert not (copy / RESULT).exists()
    runner.run(RunConfig(out=str(aside), tracker=("none",)), load(), resume=whole.name)
    found, wanted = result_of(copy), result_of(whole)
    assert found["invariants"]["checkpoint"]["resumed_from"] == [4]
    assert found["invariants"]["tokens"] == wanted["invariants"]["tokens"]
    assert found["scores"] == wanted["scores"]
    one, other = weights(copy), weights(whole)
    assert all(torch.equal(one[name], tensor) for name, tensor in other.items())


@pytest.fixture
def long(tiny: Make) -> Make:
    return lambda **changes: tiny(**({"steps": STEPS, "eval_every": STEPS, "lr": 1e-2} | changes))


def test_a_curriculum_has_the_tokens_of_a_plain_run_and_short_windows_first(long: Make) -> None:
    plain = runner.run(long(), load()).folder
    paced = runner.run(long(schedule="curriculum"), load()).folder
    options = {"until": 0.9, "start": 0.1}
    slower = runner.run(long(schedule="curriculum", schedule_options=options), load()).folder
    assert plain is not None
    assert paced is not None
    assert slower is not None
    assert len({plain.name, paced.name, slower.name}) == 3
    accounts = [result_of(one)["invariants"]["tokens"] for one in (plain, paced, slower)]
    assert all(abs(one["total"] - STEPS * 256) <= 64 for one in accounts)
    assert all(one["disagreements"] == 0 for one in accounts)
    drawn = [[step["ledger"]["2015-T14"]["examples"] for step in steps_of(one)] for one in (plain, paced, slower)]
    assert drawn[1][0] > drawn[0][0]  # shorter ones, so that more of them make an update
    assert drawn[2][-1] > drawn[0][-1]


@pytest.mark.parametrize("schedule", ["curriculum", "own"])
def test_of_two_tasks_every_one_has_its_curriculum(schedule: str, long: Make, kit: Any, other_corpus: Path) -> None:
    registry = kit.with_parts(tasks=[kit.task_like("second")])
    registry.add(Plugin(), "test:schedule", "test")
    config = long(task=("2015-T14", "second"), schedule=schedule, steps=6, eval_every=6, batch_tokens=512)
    config = replace(config, data={**config.data, "second": str(other_corpus)})
    tokens = result_of(runner.run(config, registry).folder)["invariants"]["tokens"]
    assert tokens["disagreements"] == 0
    assert abs(tokens["total"] - 6 * 512) <= 64
    assert all(account["tokens"] > 1000 for account in tokens["tasks"].values())


def test_a_third_partys_objective_is_what_is_trained(long: Make, kit: Any) -> None:
    registry = load()
    registry.add(Plugin(), "test:schedule", "test")
    assert not [broken for broken in registry.broken if broken.distribution == "test"]
    losses = []
    for schedule in ("joint", "own"):
        folder = runner.run(long(schedule=schedule, steps=1, eval_every=1, seed=3), registry).folder
        losses.append((steps_of(folder)[0]["loss"]["2015-T14"], result_of(folder)["invariants"]["smoke"]["loss"]))
    (plain, gate), (own, same_gate) = losses
    assert own > 1.5 * plain  # other windows, so not exactly twice
    assert gate == same_gate  # the smoke test is of the model, not of what a schedule makes of it


def test_a_curriculum_goes_on_bit_for_bit(long: Make, kit: Any, tmp_path: Path) -> None:
    goes_on_bit_for_bit(long(schedule="curriculum"), kit, tmp_path / "aside")


@pytest.mark.parametrize("arch", ["A1-pissa", "prompt"])
def test_arms_with_a_start_of_their_own_go_on_bit_for_bit(arch: str, long: Make, kit: Any, tmp_path: Path) -> None:
    goes_on_bit_for_bit(long(arch=arch), kit, tmp_path / "aside")


@pytest.fixture
def teacher(long: Make) -> Path:
    folder = runner.run(long(arch="full", lr=3e-3, steps=30, eval_every=30), load()).folder
    assert folder is not None
    return folder


def taught(long: Make, by: Path, **changes: Any) -> RunConfig:
    return long(**({"schedule": "distill", "teacher": (by.name,)} | changes))


def test_a_student_comes_nearer_to_its_teacher(long: Make, teacher: Path) -> None:
    config = taught(long, teacher, schedule_options={"weight": 1.0, "temperature": 1.0}, steps=30, eval_every=30)
    alone = runner.run(long(steps=30, eval_every=30), load()).folder
    student = runner.run(config, load()).folder
    result = result_of(student)
    (told,) = result["config"]["resolved"]["teacher"]
    assert told["id"] == teacher.name
    assert told["tasks"] == ["2015-T14"]
    assert told["tokens"] == result_of(teacher)["invariants"]["tokens"]["total"]
    assert len(told["weights"]) == 64
    assert told["recipe"] == teacher.name  # at seed 0, as it was
    assert result["invariants"]["tokens"]["disagreements"] == 0
    assert abs(result["invariants"]["tokens"]["total"] - 30 * 256) <= 64
    losses = [sum(step["loss"]["2015-T14"] for step in steps_of(student)[part]) for part in (slice(0, 5), slice(-5, None))]
    assert losses[1] < 0.5 * losses[0]  # the distance alone, as gold weighs nothing
    assert alone is not None
    assert student is not None
    assert student.name != alone.name


def test_gold_alone_is_what_a_weight_of_0_leaves(long: Make, teacher: Path) -> None:
    plain = weights(runner.run(long(steps=3, eval_every=3), load()).folder)
    config = taught(long, teacher, schedule_options={"weight": 0.0}, steps=3, eval_every=3)
    found = weights(runner.run(config, load()).folder)
    assert all(torch.allclose(found[name], tensor, atol=1e-6) for name, tensor in plain.items())


def test_a_taught_run_goes_on_bit_for_bit_with_the_same_teacher_alone(
    long: Make, teacher: Path, kit: Any, tmp_path: Path
) -> None:
    config = taught(long, teacher, teacher=(str(teacher),))
    goes_on_bit_for_bit(config, kit, tmp_path / "aside")
    # With other weights it is another run, and what was begun does not go on.
    before = runner.run(config, load(), dry_run=True).plan["id"]
    again = tmp_path / "again"
    whole = run_and_stop(replace(config, checkpoint_every=2, out=str(tmp_path / "other")), kit, 4, again)
    head = teacher / ADAPTERS / "head-0.safetensors"
    tensors = load_file(head)
    from safetensors.torch import save_file

    save_file({name: tensor + 1 for name, tensor in tensors.items()}, head)
    assert runner.run(config, load(), dry_run=True).plan["id"] != before
    with pytest.raises(RunStateError, match="the teacher's weights changed"):
        runner.run(RunConfig(out=str(again), tracker=("none",)), load(), resume=whole.name)


def test_what_cannot_teach_is_refused(long: Make, teacher: Path, other_corpus: Path, kit: Any) -> None:
    def refused(error: type[Exception], said: str, config: RunConfig, registry: Any = None) -> None:
        with pytest.raises(error, match=said):
            runner.run(config, registry or load(), dry_run=True)

    refused(UsageError, "learns from a finished run; got none", long(schedule="distill"))
    refused(UsageError, "'joint' learns from no teacher", long(teacher=(teacher.name,)))
    refused(UsageError, "nowhere", taught(long, teacher, teacher=("nowhere",)))
    both = taught(long, teacher, teacher=(teacher.name, str(teacher)))
    refused(UsageError, "both had 2015-T14; wanted one", both)
    refused(UsageError, "another corpus of 2015-T14", taught(long, teacher, data={"2015-T14": str(other_corpus)}))
    refused(UsageError, "has the head 'bio' for 2015-T14", taught(long, teacher, head="span"))
    refused(UsageError, "weight is 1.5 and temperature 2", taught(long, teacher, schedule_options={"weight": 1.5}))
    refused(UsageError, "by another tokenizer", taught(long, teacher, model="tiny-llama"))
    registry = kit.with_parts(tasks=[kit.task_like("second")])
    other = taught(long, teacher, task=("second",), data={"second": str(other_corpus)})
    refused(UsageError, "had 2015-T14; wanted one of the run's tasks, second", other, registry)


def test_a_head_without_choices_is_refused(long: Make) -> None:
    folder = runner.run(long(head="span", steps=2, eval_every=2), load()).folder
    assert folder is not None
    with pytest.raises(UsageError, match="makes no choices among classes"):
        runner.run(taught(long, folder, head="span"), load(), dry_run=True)
