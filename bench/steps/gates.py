"""Step 7: how large a micro-batch may be, then whether everything that should learn does."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from bench import user_cache
from bench.api.data import Judgement
from bench.config import RunConfig
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

    config, data, parts, folder = planned.config, planned.data, planned.parts, planned.folder
    longest = max(int(task_data.splits["train"].lengths.max()) for task_data in data.values())
    update = -(-max(config.batch_tokens + longest, trainer.sampler.widest) // longest) * longest
    held = resident()
    limit = cpu_limit(config.memory_limit, held, others)
    if trainer.device.name != "cpu":
        free, _ = torch.cuda.mem_get_info(trainer.device.name)
        limit = min(config.memory_limit or 2**62, free + torch.cuda.memory_reserved(trainer.device.name))
    if config.micro_batch is not None or "batch" in config.waive:
        size = config.micro_batch if config.micro_batch is not None else update
        return BatchReport(size, limit, None, "user", longest, waived="batch" in config.waive)
    rows = _rows(data, trainer.sampler)
    heads = {name: task_data.head for name, task_data in data.items()}
    console.step("searching the micro-batch")
    if trainer.device.name != "cpu":
        from bench.training.probe import cuda_probe, discard

        discard()
        report = search(cuda_probe(trainer.model, heads, rows, trainer.device, trainer.pad), longest, update, limit)
        trainer.tally.reset()
        return report
    from bench.training.probe import Probe

    spec = {
        **rebuilding(config, parts, folder, {name: (head.name, head.state()) for name, head in heads.items()}),
        "rows": rows,
        "precision": trainer.device.precision,
        "pad": trainer.pad,
        "threads": torch.get_num_threads(),
        "schedule": parts.schedule.name,
        "schedule_options": dict(parts.schedule_options),
        "teachers": [teacher.spec for teacher in planned.teachers],
    }
    # it holds the token ids of a few examples a task
    job = user_cache.private("encoded") / f"probe.{folder.name}.{os.getpid()}.json"
    probe = Probe(spec, job, held)
    try:
        return search(probe, longest, update, limit)
    finally:
        probe.close()
        job.unlink(missing_ok=True)


def _rows(data: Mapping[str, TaskData], sampler: Sampler | Phases) -> Rows:
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
    from bench.training.loop import make_optimizer

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
        gate = Gate(
            trainer.model, trainer.model, loss_of, examples, make_optimizer, trainer.tally, trainer.device.dtype, bar.advance,
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
