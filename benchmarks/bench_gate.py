"""The smoke gate as a judge: it refuses what does not learn, and nothing else.

    python benchmarks/bench_gate.py [--quick] [--cells 24] [--model minilm-l6] [--json FILE]

Healthy: real corpora of ../shared/data and synthetic ones × their heads × A1 and A4 × none and nf4 × a third of, one and
two times the default rate × two seeds; a seeded sample of `--cells`, or all of them (0). A refusal is false where 100
updates of the run raise its score on dev by `MARGIN` or more. Sick: one thing at a time is broken, and the gate must name
it. No invariant is waived.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import common
from common import Figure

if TYPE_CHECKING:
    from bench.results.invariants import SmokeReport
    from bench.steps.context import Planned
    from bench.training.loop import Trainer

MARGIN = 0.05
UPDATES = 100
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
REAL = {
    "2015-T14": ("craft-mondo", "craft-cl", "craft-gobp"),
    "ncbi-disease": ("mtl-bioinformatics-2016/NCBI-disease-IOB",),
    "chemprot": ("chemprot",),
    "gad": ("gad",),
    "pubmedqa": ("pubmedqa",),
}
SYNTHETIC = ("2015-T14", "2014-T7", "2016-T12", "2017-T3-A", "ncbi-disease", "chemprot", "gad", "pubmedqa")


@dataclass(frozen=True)
class Cell:
    """A run that is sound.

    Args:
        task: its name.
        corpus: folder below `SHARED`; None for the synthetic corpus.
        head: its name.
        arch: its name.
        quant: its name.
        factor: of the default learning rate.
        seed: of the run.
    """

    task: str
    corpus: str | None
    head: str
    arch: str
    quant: str
    factor: float
    seed: int

    def __str__(self) -> str:
        place = self.corpus.rpartition("/")[2] if self.corpus else "synthetic"
        return f"{self.task} {place} {self.head} {self.arch} {self.quant} ×{self.factor:.2g} seed {self.seed}"


def cells() -> list[Cell]:
    """Every sound run of the table whose corpus is there."""
    from bench.registry import load

    registry = load()
    corpora: list[tuple[str, str | None]] = [(task, None) for task in SYNTHETIC]
    corpora += [(task, name) for task, names in REAL.items() for name in names if (SHARED / name).is_dir()]
    return [
        Cell(task, corpus, head, arch, quant, factor, seed)
        for task, corpus in corpora
        for head in registry.get("tasks", task).heads
        for arch, quant, factor, seed in product(("A1", "A4"), ("none", "nf4"), (1 / 3, 1.0, 2.0), (0, 1))
    ]


def measure(options: argparse.Namespace) -> list[Figure]:
    """Both tables."""
    model = common.model(options)
    chosen = cells()
    if options.quick:
        chosen = [Cell("gad", None, "classify", "A1", "none", 1.0, 0)]
    elif options.cells:
        chosen = random.Random(0).sample(chosen, min(options.cells, len(chosen)))
    rows, false, slowest = [], 0, 0.0
    for cell in chosen:
        passed, words, seconds, raised = judge(cell, model)
        false, slowest = false + (raised is not None and raised >= MARGIN), max(slowest, seconds)
        told = "" if raised is None else f"{raised:+.3f}"
        rows.append((str(cell), "passes" if passed else "refused", words, f"{seconds:.0f} s", told))
        print("  ".join(rows[-1]), flush=True)
    common.table(f"healthy, {model}", ("run", "gate", "loss", "gate takes", f"dev after {UPDATES} updates"), rows)
    faults = FAULTS if not options.quick else dict(list(FAULTS.items())[:2])
    named = [(name, *sick(fault, model)) for name, fault in faults.items()]
    common.table(
        f"sick, {model}",
        ("what is broken", "named", "what the gate says"),
        [(name, "yes" if ok else "NO", said) for name, ok, said in named],
    )
    right = sum(ok for _, ok, _ in named)
    return [
        Figure("false refusals", "0", f"{false} of {len(rows)}", false == 0),
        Figure("sick runs refused and named", f"{len(named)}", f"{right}", right == len(named)),
        Figure("slowest gate", "", f"{slowest:.0f} s"),
    ]


def judge(cell: Cell, model: str) -> tuple[bool, str, float, float | None]:
    """Whether a sound run passes, its loss, the gate's seconds, and what training gains on dev where it was refused."""
    from bench.config import RunConfig
    from bench.errors import InvariantError

    data = {cell.task: str(SHARED / cell.corpus)} if cell.corpus else {}
    config = RunConfig(
        task=(cell.task,), data=data, head=cell.head, arch=cell.arch, quant=cell.quant, seed=cell.seed, model=model,
        steps=2 * UPDATES,
    )  # fmt: skip
    with common.prepared(config) as (planned, _):
        trainer = common.built(planned)
        trainer.lr *= cell.factor
        started = time.perf_counter()
        try:
            report = gate(planned, trainer)
        except InvariantError as refusal:
            seconds = time.perf_counter() - started
            return False, refusal.message.partition("examples ")[2][:60], seconds, gain(planned, trainer)
        (before, after), seconds = report.loss[cell.task], time.perf_counter() - started
        return True, f"{before:.3f} to {after:.3f}", seconds, None


def gate(planned: Planned, trainer: Trainer) -> SmokeReport:
    """The run's own gate."""
    from bench.reporting import SilentReporter
    from bench.steps.gates import run_smoke

    return run_smoke(trainer, planned.data, planned.config, SilentReporter())


def gain(planned: Planned, trainer: Trainer) -> float:
    """What some updates of the run itself gain in its selection metric on dev; nothing where the loss is no number."""
    from bench.errors import BenchError
    from bench.reporting import SilentProgress
    from bench.steps.finish import Scoring

    scoring = Scoring(planned.data, planned.folder, {}, planned.device, trainer.pad, 2048)
    before = scoring.selection(trainer.model, 0, SilentProgress())["mean"]
    with suppress(BenchError):
        for _ in range(UPDATES):
            trainer.run_update()
        return scoring.selection(trainer.model, UPDATES, SilentProgress())["mean"] - before
    return 0.0


Fault = tuple[str, float, Callable[[Any, Any], None], Sequence[str]]
"""Arm, factor of the rate, what breaks the run, and words that the refusal must hold."""


def sick(fault: Fault, model: str) -> tuple[bool, str]:
    """Whether the gate refuses a run with one thing broken and says the words that name it; what it says."""
    arch, factor, break_, wanted = fault
    from bench.config import RunConfig
    from bench.errors import BenchError

    config = RunConfig(task=(common.TASK,), arch=arch, model=model, steps=2 * UPDATES)
    with common.prepared(config, sizes={"train": 40, "dev": 4, "test": 4}) as (planned, _):
        trainer = common.built(planned)
        trainer.lr *= factor
        break_(planned, trainer)
        try:
            gate(planned, trainer)
        except BenchError as refusal:
            said = f"{refusal.message} {refusal.hint}"
            return all(word in said for word in wanted), said[:160]
    return False, "passes"


def nothing(planned: Any, trainer: Any) -> None:
    """The rate alone is what is wrong."""


def freeze(what: str) -> Callable[[Any, Any], None]:
    """Freezes every parameter with a word in its name."""

    def run(planned: Any, trainer: Any) -> None:
        for name, parameter in trainer.model.named_parameters():
            if what in name:
                parameter.requires_grad_(False)

    return run


def leave_out_shared(planned: Any, trainer: Any) -> None:
    """The shared adapter is never active."""
    activate = trainer.model.adapted._activate
    trainer.model.adapted._activate = lambda names: activate([n for n in names if n != "shared"])


def cut_after_evaluation(planned: Any, trainer: Any) -> None:
    """No gradient reaches the adapters once the model has been in evaluation mode, as with fused kernels."""
    adapted = trainer.model.adapted
    forward, seen = adapted.forward, []

    def run(*args: Any, **kwargs: Any) -> Any:
        if not adapted.training:
            seen.append(True)
        hidden = forward(*args, **kwargs)
        return hidden.detach() if seen else hidden

    adapted.forward = run


def blank_labels(planned: Any, trainer: Any) -> None:
    """The encoded gold holds no mention."""
    ((name, one),) = planned.data.items()
    train = one.splits["train"]
    blank = type(train)(train.rows.map(lambda row: {k: [] for k in row if k.startswith("t.")}), *list(vars(train).values())[1:])
    planned.data[name] = trainer.data[name] = replace(one, splits={**one.splits, "train": blank})


def no_number(planned: Any, trainer: Any) -> None:
    """The loss is not finite."""
    loss = trainer.model.loss
    trainer.model.loss = lambda task, batch: loss(task, batch) * float("nan")


def hide_tokens(planned: Any, trainer: Any) -> None:
    """The last two tokens of every example are masked."""
    adapted = trainer.model.adapted
    forward = adapted.forward

    def run(task: str, ids: Any, mask: Any) -> Any:
        mask = mask.clone()
        mask[:, -2:] = 0
        return forward(task, ids, mask)

    adapted.forward = run


def other_dtype(planned: Any, trainer: Any) -> None:
    """The base model's weights are in half precision, which no plan on a CPU says."""
    import torch

    for parameter in trainer.model.adapted.backbone.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float16)


FAULTS: dict[str, Fault] = {
    "rate 0": ("A1", 0.0, nothing, ("learning rate is 0",)),
    "labels all none": ("A1", 1.0, blank_labels, ("carries a label",)),
    "rate × 100": ("A1", 100.0, nothing, ("Lower --lr",)),
    "adapters frozen": ("A1", 1.0, freeze("lora_"), ("adapter shared",)),
    "head frozen": ("A1", 1.0, freeze("heads."), ("Nothing of head",)),
    "one adapter of A3 dead": ("A3", 1.0, leave_out_shared, ("trainable tensors", "adapter.shared")),
    "gradient cut after an evaluation": ("A1", 1.0, cut_after_evaluation, ("trainable tensors", "LoRA A")),
    "loss no number": ("A1", 1.0, no_number, ("not a finite number",)),
    "hidden tokens": ("A1", 1.0, hide_tokens, ("tokens where the examples hold",)),
    "base in the wrong dtype": ("A1", 1.0, other_dtype, ("weights in float16",)),
}
"""What is broken, by what it is called."""


def _options(parser: argparse.ArgumentParser) -> None:
    common.add_model(parser)
    parser.add_argument(
        "--cells",
        type=int,
        default=24,
        metavar="N",
        help="a seeded sample of so many sound runs (default %(default)s; 0: all, four hours)",
    )


if __name__ == "__main__":
    common.main(measure, __doc__, _options)
