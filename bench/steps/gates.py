"""Step 7: how large a micro-batch may be, then whether everything that should learn does."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bench import user_cache
from bench.api.data import Judgement
from bench.config import RunConfig
from bench.errors import InvariantError
from bench.invariants.batch import cpu_limit, search
from bench.reporting import Reporter
from bench.results.invariants import BatchReport, SmokeReport
from bench.steps.base import rebuilding
from bench.steps.context import Planned, RunContext
from bench.steps.corpora import labelled

if TYPE_CHECKING:
    from torch import Tensor

    from bench.data.batches import Sampler
    from bench.data.phases import Phases
    from bench.training.loop import Trainer
    from bench.training.model import TaskData
    from bench.training.probe import Rows


def probes_in_a_child(config: RunConfig) -> bool:
    """Whether the micro-batch will be searched in a process of its own, as far as the configuration tells."""
    return config.micro_batch is None and "batch" not in config.waive and not config.device.startswith("cuda")


def pass_gates(run: RunContext, trainer: Trainer, others: int) -> BatchReport:
    """Settles the micro-batch and runs the smoke gate, unless the run's folder remembers both.

    Args:
        run: what is found is kept in its state.
        trainer: as it will train.
        others: bytes that other processes of the run hold.

    Raises:
        InvariantError: one of the two does not hold.
    """
    planned, state = run.planned, run.state
    config, data = planned.config, planned.data
    with run.clock("batch"):
        if state.batch is None:
            state.batch = settle_batch(planned, trainer, run.console, others)
            run.journal.write("batch", **asdict(state.batch))
            state.save()
    trainer.model.checkpoint(state.batch.gradient_checkpointing)
    with run.clock("smoke"):
        if state.smoke is None:
            state.smoke = run_smoke(trainer, data, config, run.console)
            run.journal.write("smoke", **{k: v for k, v in asdict(state.smoke).items() if k != "curve"})
            state.save()
    return state.batch


def resident() -> int:
    """Bytes that this process holds."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def settle_batch(planned: Planned, trainer: Trainer, console: Reporter, others: int = 0) -> BatchReport:
    """Finds the micro-batch, or takes the one that was given.

    Args:
        planned: the run.
        trainer: as it will train.
        console: shows progress.
        others: bytes that other processes of the run hold.

    Raises:
        InvariantError: not even one example fits.
    """
    import torch

    config, data, folder = planned.config, planned.data, planned.folder
    longest = max(int(task_data.splits["train"].lengths.max()) for task_data in data.values())
    update = -(-max(config.batch_tokens + longest, trainer.sampler.widest) // longest) * longest
    held = resident()
    limit = cpu_limit(config.memory_limit, held, others)
    if trainer.device.name != "cpu":
        free, _ = torch.cuda.mem_get_info(trainer.device.name)
        limit = min(config.memory_limit or 2**62, free + torch.cuda.memory_reserved(trainer.device.name))
    wanted = config.gradient_checkpointing
    if config.micro_batch is not None or "batch" in config.waive:
        size = config.micro_batch if config.micro_batch is not None else update
        waived = "batch" in config.waive
        return BatchReport(size, limit, None, "user", longest, waived=waived, gradient_checkpointing=wanted == "on")
    rows = probed_rows(data, trainer.sampler)
    heads = {name: task_data.head for name, task_data in data.items()}
    console.step("searching the micro-batch")
    if trainer.device.name != "cpu":
        from bench.training.probe import cuda_probe, discard

        discard()

        def on_device(again: bool) -> BatchReport:
            trainer.model.checkpoint(again)
            try:
                return search(cuda_probe(trainer, heads, rows), longest, update, limit)
            finally:
                trainer.tally.reset()

        return _checkpointed(on_device, wanted, trainer, console)
    from bench.training.probe import Probe

    # it holds the token ids of a few examples a task
    job = user_cache.private("encoded") / f"probe.{folder.name}.{os.getpid()}.json"

    def in_a_child(again: bool) -> BatchReport:
        probe = Probe(probed(planned, trainer, rows, again), job, held)
        try:
            return search(probe, longest, update, limit)
        finally:
            probe.close()
            job.unlink(missing_ok=True)

    return _checkpointed(in_a_child, wanted, trainer, console)


def probed(planned: Planned, trainer: Trainer, rows: Rows, again: bool) -> dict[str, Any]:
    """What a probe in a child process makes the run's model and its updates of; JSON-able.

    Args:
        planned: the run.
        trainer: as it will train.
        rows: examples of every task.
        again: whether layers are computed again in the backward pass.
    """
    import torch

    heads = {name: (task_data.head.name, task_data.head.state()) for name, task_data in planned.data.items()}
    return {
        **rebuilding(planned.config, planned.parts, planned.folder, heads),
        "rows": rows,
        "precision": trainer.device.precision,
        "pad": trainer.pad,
        "optimizer": trainer.optimizer_name,
        "gradient_checkpointing": again,
        "threads": torch.get_num_threads(),
        "schedule": planned.parts.schedule.name,
        "schedule_options": dict(planned.parts.schedule_options),
        "teachers": [teacher.spec for teacher in planned.teachers],
    }


def _checkpointed(search_with: Callable[[bool], BatchReport], wanted: str, trainer: Trainer, console: Reporter) -> BatchReport:
    """Searches the micro-batch with or without gradient checkpointing.

    Args:
        search_with: told whether layers are computed again.
        wanted: ``on``, ``off``, or ``auto``: where not even one example fits without.
        trainer: whose base model may not be able to.
        console: told where it is switched on.
    """
    from bench.adapters.attach import checkpointable

    try:
        report = search_with(wanted == "on")
    except InvariantError as error:
        if wanted != "auto" or not checkpointable(trainer.model.adapted.backbone):
            raise
        console.note(f"Gradient checkpointing is on, for without it {error.message.partition(': ')[2]}")
        return replace(search_with(True), gradient_checkpointing=True)
    return replace(report, gradient_checkpointing=wanted == "on")


def probed_rows(data: Mapping[str, TaskData], sampler: Sampler | Phases) -> Rows:
    """The longest example of each task, and what the first update of the run holds of it."""
    position = sampler.state()
    drawn = sampler.draw().examples
    sampler.restore(position)
    rows = {}
    for name, task_data in data.items():
        train, indices, units = task_data.splits["train"], list(drawn.get(name, ())), sampler.units.get(name)
        longest, *examples = train.take([int(train.lengths.argmax()), *indices])
        rows[name] = (longest, examples, None if units is None else units[indices].tolist())
    return rows


def run_smoke(trainer: Trainer, data: Mapping[str, TaskData], config: RunConfig, console: Reporter) -> SmokeReport:
    """Runs the smoke gate on the run's own model, which is afterwards as it was.

    Raises:
        InvariantError: something does not learn; with the diagnosis.
    """
    from bench.data.cache import collate
    from bench.invariants.smoke import UPDATES, Examples, Gate
    from bench.modeling.scaling import LossScale
    from bench.training.devices import kind
    from bench.training.optimizers import make_optimizer

    def loss_of(task: str, indices: Sequence[int]) -> tuple[Tensor, int]:
        split = data[task].splits["train"]
        chosen = list(indices)
        batch = trainer.device.move(collate(split.take(chosen), data[task].head, trainer.pad))
        trainer.tally.expect(trainer.model.adapted.entering(task, int(split.lengths[chosen].sum()), len(chosen)))
        with trainer.device.autocast():
            # A teacher's word and gold's may be at odds, so that the sum of both cannot fall by half in a healthy run.
            loss = trainer.model.loss(task, batch, gold=True)
        return loss, int(split.supervised[chosen].sum())

    examples = {
        name: Examples(labelled(entry), entry.splits["train"].lengths, trainer.sampler.units.get(name), partial(kinds, entry))
        for name, entry in data.items()
    }
    with console.progress("smoke test", UPDATES, "updates") as bar:
        optimizer = partial(make_optimizer, name=trainer.optimizer_name)
        gate = Gate(
            trainer.model, trainer.model, loss_of, examples, optimizer, trainer.tally, trainer.device.dtype, bar.advance,
            LossScale(kind(trainer.device.name), trainer.device.precision),
        )  # fmt: skip
        return gate.run(trainer.lr, waived="smoke" in config.waive)


def kinds(data: TaskData, indices: Sequence[int]) -> frozenset[str]:
    """Labels in the encoded gold of training windows, as a perfect model would predict them.

    Empty also where the training split judges everything alike: one class, no relevant passage, or one rating.
    """
    split = data.splits["train"]
    judged = {_verdict(data, j) for d in data.corpus["train"] for j in d.judgements} - {""}
    if len(judged) == 1:
        return frozenset()
    labels = set()
    for row in split.take(list(indices)):
        for annotation in data.head.decode(split.window(row), data.head.oracle(split.encoding(row))):
            labels.add(_verdict(data, annotation) if isinstance(annotation, Judgement) else annotation.label)
    return frozenset(labels - {""})


def _verdict(data: TaskData, judgement: Judgement) -> str:
    """The class that a judgement chooses, empty where it chooses none; of a passage whether it is relevant; or its rating."""
    if "ratings" in data.head.predicts:
        return f"{judgement.score:g}"
    if data.compared:
        return "relevant" if judgement.chosen else "other"
    return judgement.name if judgement.chosen else ""
