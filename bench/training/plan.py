"""Plan time: the budget in tokens, what it means in updates, and what memory and time to expect."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from bench.api.model import ModelSpec
from bench.config import RunConfig
from bench.errors import UsageError
from bench.training.devices import current
from bench.training.rates import layer_rates
from bench.wording import some

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEFAULT_EPOCHS = 2.0
"""Passes over the data at least where no budget is given; training may then stop early."""
DEFAULT_TOKENS, DEFAULT_EPOCHS_AT_MOST = 1_000_000, 10.0
"""Tokens of a run on real text where no budget is given, unless they are more than so many passes. On joined layers of CRAFT
span-only F went from .70 at 2.7 passes (300,000 tokens) to .72 at eight (docs/performance.md); synthetic text shows that a run
works, for which two passes are enough."""
DEFAULT_UPDATES = 100
"""Updates at least of a run on real text where no budget is given: 50 sentences of `ncbi-disease` reach .37 on dev with these,
and .16 with the 8 that ten passes come to (docs/performance.md)."""
EVALUATIONS = 2
"""Evaluations on dev over a run (of two epochs: one an epoch) where `--eval-every` is not given."""
STARTING = 12.0
"""Seconds before the smoke gate: imports 4 to 9, reading and encoding 1 to 2, parity 1 to 2, the search of the micro-batch
2 to 8 (runs on two cores)."""
ENDING = 3.0
"""Seconds of what a run measures at its end and writes: 2.6 of a main job."""
REACHED = 0.45
"""Share of a bare layer's rate that a run reaches, for its head, optimizer, Python and padding: 2,300 tokens a second in
training where the layer says 5,200, and 7,800 in evaluation where it says 13,500 (minilm-l6, bf16, a Xeon with AMX)."""
COUNTS = "tokens the attention mask marks in training, of all tasks together; repeats count again, padding and passes do not"
EPOCHS_AT_MOST = 10_000
"""A budget that repeats the data more often than this is taken for a slip."""


@dataclass(frozen=True)
class Budget:
    """What training may spend.

    Args:
        tokens: marked tokens in all, over every task.
        updates: of `--batch-tokens` each, rounded up.
        epoch_tokens: task to the marked tokens of one pass over its training windows.
        epochs: task to passes over its data.
        controlled: whether a budget was given; there is then no early stopping and the last checkpoint is the result.
        given_as: the flag that set it, or ``default``.
        task_tokens: task to the marked tokens that its share of the budget comes to.
        like: the run, or task of a run, whose tokens the budget is; None where it was given otherwise.
        counts: what the budget counts, in words.
    """

    tokens: int
    updates: int
    epoch_tokens: Mapping[str, int]
    epochs: Mapping[str, float]
    controlled: bool
    given_as: str
    task_tokens: Mapping[str, int] = field(default_factory=dict)
    like: str | None = None
    counts: str = COUNTS

    def as_json(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def budget_of(
    config: RunConfig,
    epoch_tokens: Mapping[str, int],
    shares: Mapping[str, float],
    like: int | None = None,
    synthetic: bool = True,
) -> Budget:
    """Translates `--tokens`, `--steps`, `--epochs` or `--tokens-like` into tokens.

    `epoch_tokens` maps a task to the marked tokens of one pass, `shares` to its share; `like` are the tokens of the run that
    `--tokens-like` names; `synthetic` says whether any task's text is.

    Raises:
        UsageError: a budget that no amount of repeating could mean.
    """
    whole = sum(epoch_tokens.values())
    given_as = "default"
    if config.tokens is not None:
        tokens, given_as = config.tokens, "--tokens"
    elif like is not None:
        tokens, given_as = like, "--tokens-like"
    elif config.steps is not None:
        tokens, given_as = config.steps * config.batch_tokens, "--steps"
    elif config.epochs is not None:
        tokens, given_as = round(config.epochs * whole), "--epochs"
    else:
        wanted = max(DEFAULT_EPOCHS_AT_MOST * whole, DEFAULT_UPDATES * config.batch_tokens)
        enough = 0.0 if synthetic else min(DEFAULT_TOKENS, wanted)
        tokens = round(max(DEFAULT_EPOCHS * whole, enough))
    epochs = {task: tokens * shares[task] / n for task, n in epoch_tokens.items()}
    most = max(epochs, key=lambda task: epochs[task])
    if epochs[most] > EPOCHS_AT_MOST:
        raise UsageError(
            f"A budget of {some(tokens, 'token')} would repeat the {some(epoch_tokens[most], 'training token')} of {most} "
            f"{epochs[most]:,.0f} times; at most {EPOCHS_AT_MOST:,} makes sense.",
            "Lower the budget, or give the task its whole corpus with --data.",
        )
    return Budget(
        tokens=tokens,
        updates=max(1, math.ceil(tokens / config.batch_tokens)),
        epoch_tokens=dict(epoch_tokens),
        epochs=epochs,
        controlled=given_as != "default",
        given_as=given_as,
        task_tokens={task: round(tokens * shares[task]) for task in epoch_tokens},
        like=config.tokens_like if given_as == "--tokens-like" else None,
    )


def refuse_unreachable(
    config: RunConfig,
    budget: Budget,
    lengths: Mapping[str, NDArray[np.int64]],
    documents: Mapping[str, NDArray[np.int64]] | None = None,
) -> None:
    """Refuses a budget that the examples, or the units they are drawn in, cannot give.

    Args:
        config: of the run.
        budget: of the run.
        lengths: task to marked tokens of each of its training examples.
        documents: as for `Sampler`.

    Raises:
        UsageError: not one example fits, or not one of some task.
        DataError: a task without training examples.
    """
    from bench.data.batches import Sampler

    sampler = Sampler(lengths, config.seed, config.batch_tokens, budget.tokens, config.sampling, config.temperature, documents)
    if sampler.done:
        unit = "query with its passages" if documents else "training example"
        raise UsageError(f"A budget of {some(budget.tokens, 'token')} holds not one {unit}.", "Give it more.")
    for task, tokens in budget.task_tokens.items():
        if len(lengths) > 1 and tokens < (shortest := sampler.shortest(task)):
            unit = "query with its passages" if task in sampler.units else "training example"
            raise UsageError(
                f"A budget of {some(budget.tokens, 'token')} leaves {tokens:,} to {task}, whose shortest {unit} has "
                f"{shortest:,}.",
                "Give it more, or share it otherwise with --sampling.",
            )


def resolve_precision(precision: str, device: str) -> str:
    """fp32, or bf16 where the device is better at it.

    Args:
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        device: ``cpu`` or ``cuda``, with or without an index.
    """
    if precision != "auto":
        return precision
    import torch

    if device.startswith("cuda"):
        with current(device):
            return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if "AVX512" in torch.backends.cpu.get_cpu_capability() and _multiplies_bf16() else "fp32"


def likely_precision(precision: str) -> str:
    """What `resolve_precision` says of a CPU, as far as its flags tell; torch, which has the last word, is not imported."""
    return precision if precision != "auto" else "bf16" if _multiplies_bf16() else "fp32"


def _multiplies_bf16() -> bool:
    flags = _cpu_flags().split()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _cpu_flags() -> str:
    try:
        from pathlib import Path

        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
    return next((line for line in text.splitlines() if line.startswith("flags")), "")


@dataclass(frozen=True)
class Estimate:
    """A rough estimate of what a run needs.

    That is seconds before training (imports, the gate, the search of the micro-batch), of training, and of evaluating on dev
    and test; and bytes of the adapters on disk; for memory see `bench.training.memory`. Quantizing is not in it.
    """

    before: float
    seconds: float
    evaluation: float
    adapter_bytes: int


def estimate(
    spec: ModelSpec,
    budget: Budget,
    evaluated: int,
    gated: int,
    adapters: int,
    longest: int,
    passes: int,
    precision: str,
    device: str,
    frozen: int,
) -> Estimate:
    """Estimates time from a transformer layer timed here and now.

    Args:
        spec: of the base model.
        budget: of the run.
        evaluated: tokens that are predicted, each as often as it is.
        gated: tokens that the smoke gate reads.
        adapters: adapter and fusion parameters.
        longest: tokens of the longest example.
        passes: of the base model for a batch.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        device: ``cpu`` or ``cuda``.
        frozen: weights of the linear layers that are not trained.
    """
    attended = 4 * spec.layers * longest * spec.hidden_size
    # The frozen weights need no gradient of their own: four operations a token, where adapters take six and prediction two.
    # Where there are no adapters to train, no gradient goes back through the base model.
    through = 4 * frozen + 3 * attended if adapters else 2 * frozen + attended
    training = budget.tokens * (passes * through + 6 * adapters)
    evaluation = evaluated * (passes * (2 * frozen + attended) + 2 * adapters)
    forward_and_back, forward = (REACHED * rate for rate in layer_rates(spec.hidden_size, precision, device))
    per_token = training / max(budget.tokens, 1)
    before = STARTING + gated * per_token / forward_and_back
    return Estimate(before, training / forward_and_back, ENDING + evaluation / forward, 4 * adapters)


def updates_between_evaluations(every: int | None, updates: int) -> int:
    """The user's interval, or one that gives `EVALUATIONS` in all."""
    return every or max(1, -(-updates // EVALUATIONS))
