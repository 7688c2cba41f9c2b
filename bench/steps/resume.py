"""Carrying on: what a run's folder remembers, and refusing to carry on with something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from bench.config import OPTIONS, RunConfig, flag, from_mapping
from bench.errors import RunStateError
from bench.invariants.checkpoint import Checkpoint, steps
from bench.results.environment import versions
from bench.results.imported import no_model
from bench.results.invariants import BatchReport, SmokeReport
from bench.results.layout import PLAN, RESULT
from bench.results.reading import plain, read_as
from bench.results.store import read_json, read_result, write_json
from bench.sealed import sealed, unsealed
from bench.tracking.journal import Journal
from bench.training.processes import launched
from bench.wording import some

LIMITS = tuple(name for name, option in OPTIONS.items() if option.identity == "never" and name != "out")
"""What a resumed run may be told anew, since it cannot change the outcome; its folder stays where it is."""


@dataclass
class State:
    """What a run's folder remembers beside checkpoints and journal; `PLAN` on disk.

    Args:
        folder: of the run.
        plan: what was planned.
        config: as it was typed.
        facts: what the flags leave open.
        machine: processes, threads and package versions, which bit-for-bit resuming depends on.
        batch: the micro-batch that was settled before step 1.
        smoke: what the gate saw.
        deaths: step to how often the process died there.
    """

    folder: Path
    plan: Mapping[str, Any]
    config: Mapping[str, Any]
    facts: Mapping[str, Any]
    machine: Mapping[str, Any]
    batch: BatchReport | None = None
    smoke: SmokeReport | None = None
    deaths: dict[str, int] = field(default_factory=dict)
    resumed_from: list[int] = field(default_factory=list)

    @property
    def micro_batch(self) -> int:
        """Padded tokens of a micro-batch: what was settled, halved for every second death at one step."""
        if self.batch is None:
            raise RunStateError("The micro-batch was not settled yet.")
        halvings = sum(count - 1 for count in self.deaths.values())
        return max(self.batch.longest, self.batch.micro_batch >> halvings)

    def save(self) -> None:
        """Writes it whole or not at all."""
        content = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "folder"}
        write_json(self.folder / PLAN, sealed(plain(content)))


def machine() -> dict[str, Any]:
    """Processes, their threads, and packages."""
    import torch

    return {
        "processes": launched().count,
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "versions": versions(),
    }


def open_state(folder: Path, plan: Mapping[str, Any], config: RunConfig, facts: Mapping[str, Any]) -> State:
    """The folder's memory, new or as it stands."""
    state = State(folder, plan, config.as_json(), facts, machine())
    if (folder / PLAN).exists():
        stored = read_plan(folder)
        state.machine = stored["machine"]
        state.smoke, state.batch = read_as(SmokeReport | None, stored["smoke"]), read_as(BatchReport | None, stored["batch"])
        state.deaths, state.resumed_from = stored["deaths"], stored["resumed_from"]
        if config.micro_batch is not None and state.batch is not None and config.micro_batch != state.batch.micro_batch:
            state.batch = None  # a size given by hand replaces the one that was found
        wanted = config.gradient_checkpointing
        if state.batch is not None and wanted != "auto" and (wanted == "on") != state.batch.gradient_checkpointing:
            state.batch = None
    state.save()
    return state


def read_plan(folder: Path) -> dict[str, Any]:
    """What a run's folder remembers of its plan.

    Raises:
        RunStateError: it is not what was written.
    """
    stored = unsealed(read_json(folder / PLAN))
    if stored is None:
        raise RunStateError(
            f"{folder / PLAN} is not what bench wrote: its hash does not hold, so the run cannot be trusted to go on.",
            "Put the file back, or begin the run anew with --replicate N or another --out.",
        )
    return stored


def stored_config(config: RunConfig, folder: Path) -> RunConfig:
    """The configuration that a folder was begun with, under the limits that were typed now.

    Args:
        config: as typed beside ``--resume``; anything but limits must be what the run was begun with.
        folder: of the run.

    Raises:
        RunStateError: the folder does not say what it was begun with, or something else was typed now.
    """
    path = folder / PLAN
    if not path.exists() and (folder / RESULT).exists() and read_result(folder).imported is not None:
        raise no_model(folder.name)
    if not path.exists():
        raise RunStateError(
            f"{folder} holds no {PLAN}: it was killed before it was planned.",
            "Type the run's own command again, without --resume.",
        )
    stored = from_mapping(read_plan(folder)["config"], str(path))
    current = {name: getattr(config, name) for name in OPTIONS if name != "out"}
    typed = {name: value for name, value in current.items() if value != OPTIONS[name].default}
    changed = sorted(flag(n) for n, value in typed.items() if n not in LIMITS and value != getattr(stored, n))
    if changed:
        raise RunStateError(
            f"Run {folder.name} was begun with other values of {', '.join(changed)}.",
            "Leave them out to resume it, or start another run without --resume.",
        )
    limits = {n: value for n, value in typed.items() if n in LIMITS}
    return replace(stored, **limits, out=str(folder.parent))


def refuse_change(folder: Path, config: RunConfig, facts: Mapping[str, Any], ident: str) -> None:
    """Refuses to carry on where something that decides the outcome is not what it was.

    Raises:
        RunStateError: naming what changed.
    """
    stored = read_plan(folder)
    if stored["plan"]["id"] == ident:
        return
    before = from_mapping(stored["config"], str(folder)).identity(**stored["facts"])
    now = config.identity(**facts)
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    descriptions = {
        "data": "the corpus files",
        "concepts": "the files of concept names",
        "model": "the base model's files",
        "parts": "a task's file or the version of a plugin",
        "teacher": "the teacher's weights",
        "init_from": "the weights of the run that it began with",
    }
    raise RunStateError(
        f"Run {folder.name} cannot be resumed: {', '.join(descriptions.get(n, n) for n in changed)} changed since it began.",
        "Put it back, or start another run without --resume.",
    )


def with_less_memory(run: str, root: Path) -> str:
    """The next move of a run that ran out of memory.

    Args:
        run: how it is typed after `--resume`.
        root: folder of its checkpoints.
    """
    note = "Its last checkpoint is kept. " if steps(root) else ""
    less = "make --micro-batch smaller, or add --gradient-checkpointing on"
    return f"{note}Free memory, {less}, and go on with: bench run --resume {run}"


def begin_again(journal: Journal, checkpoint: Checkpoint | None, state: State, warn: Callable[[str], None]) -> None:
    """Says where the run carries on, and counts deaths so that a step which kills twice gets smaller micro-batches."""
    events = journal.events()
    last = max((event.step for event in events if event.step is not None), default=0)
    if events and events[-1].kind != "end" and last:
        state.deaths[str(last)] = state.deaths.get(str(last), 0) + 1
        if state.deaths[str(last)] > 1 and state.batch is not None:
            warn(f"The run died again at update {last}: micro-batches now hold {some(state.micro_batch, 'padded token')}.")
    now = machine()
    changed = [name for name in ("processes", "threads", "capability") if now[name] != state.machine.get(name, 1)]
    changed += [n for n, v in now["versions"].items() if state.machine["versions"].get(n) != v]
    if changed:
        warn(f"{', '.join(changed)} changed since the run began: it carries on, but not bit for bit.")
    if checkpoint is None:
        warn("The run ended before its first checkpoint; it starts over.")
        # What was settled before the first update is remembered and not written again.
        journal.resume(next((event.seq for event in events if event.step is not None), journal.position), 0)
        state.resumed_from.append(0)
    else:
        journal.resume(int(checkpoint.state["journal"]), checkpoint.step)
        state.resumed_from.append(checkpoint.step)
    state.save()
