"""Training throughput on MiniLM in useful (marked) tokens a second: bench's own training stage against three others, in turn.

`bench` trains through `bench.training.stage.train` with the ledger, the tally, the journal, the memory watch, checkpoints,
wandb and MLflow on. It is held against (a) `transformers.Trainer` with peft and dynamic padding, batches of 16, on the same
examples with the same LoRA targets, rank and head, (b) the same with eager attention, and (c) a bare loop over the very same
micro-batches, collated before the clock starts. They take turns within each round, and a ratio is the median over rounds. CPU
seconds count every thread of the process, trackers' included; on a busy machine they are the figure to read.

The limit is that of a matrix product of the base's largest layer, in the run's precision, timed in every round as well; what
training does is counted as the ledger does it (`bench.invariants.tokens.operations`). The last figures are of other arms, of
nf4 and of a decoder, each against that limit alone.

    python benchmarks/bench_throughput.py [--quick] [--head bio|span] [--precision fp32] [--rounds 5] [--updates 4]
                                          [--threads 1] [--json FILE]

Targets: on windows of about 100 tokens at least 60% of the limit, 2.9 times (a), 2 times (b) and 0.97 times (c); on sentences
at least 2.5 times (a).
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import common
from common import TASK, Figure, Lap, Stopwatch

if TYPE_CHECKING:
    from bench.config import RunConfig
    from bench.steps.context import Planned
    from bench.training.loop import Trainer

CHECKPOINT_EVERY = 200
TRAINER_BATCH = 16
LIMIT_ROWS, LIMIT_PRODUCTS = 2048, 20
TARGETS: Mapping[str, Mapping[str, float]] = {
    "windows": {"trainer": 2.9, "trainer, eager": 2.0, "bare loop": 0.97, "limit": 0.6},
    "sentences": {"trainer": 2.5},
}
"""Least ratio of bench's tokens a second to another's, by what the windows are; of the limit its share."""
ARMS = (("A2", "none", None), ("A3", "none", None), ("A4", "none", None), ("A1", "nf4", None), ("A1", "none", "smollm2-135m"))
"""Architecture, quantizer and base of the last figures; the benchmark's own base where None."""


@dataclass(frozen=True)
class Laps:
    """What the loops took, by round; the warm-up is left out.

    Args:
        by: loop to its laps; ``bench`` with its share of checkpoints.
        work: floating-point operations of bench's laps.
        limit: operations and seconds of the matrix products.
    """

    by: Mapping[str, Sequence[Lap]]
    work: Sequence[int]
    limit: Sequence[Lap]

    def share(self) -> float:
        """Of the limit, by CPU seconds; median over rounds."""
        rounds = zip(self.work, self.by["bench"], self.limit, strict=True)
        return statistics.median(work / lap.cpu / limit.rate("cpu") for work, lap, limit in rounds)


def measure(options: argparse.Namespace) -> list[Figure]:
    """Runs them in turn, on windows and on sentences; then the other arms."""
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    from bench.config import RunConfig
    from bench.errors import MissingError

    rounds, updates = (1, 1) if options.quick else (options.rounds, options.updates)
    config = RunConfig(
        task=(TASK,), arch="A1", head=options.head, model=common.model(options), steps=(rounds + 1) * updates,
        eval_every=updates, checkpoint_every=CHECKPOINT_EVERY, batch_tokens=options.batch_tokens, precision=options.precision,
    )  # fmt: skip
    figures: list[Figure] = []
    for kind, targets in TARGETS.items():
        what, laps = laps_of(config, kind == "sentences", rounds, updates, rivals=True, quick=options.quick)
        common.table(
            f"useful tokens a second: {what}, {config.model}, A1, head {config.head}, {options.threads} thread(s), {rounds} "
            f"rounds of {updates} updates of {config.batch_tokens} tokens",
            ("loop", "tokens", "per CPU s", "per wall s"),
            [
                (
                    name,
                    sum(lap.tokens for lap in found),
                    *(f"{statistics.median(lap.rate(c) for lap in found):,.0f}" for c in ("cpu", "wall")),
                )
                for name, found in laps.by.items()
            ],
        )
        for other in [name for name in laps.by if name != "bench"]:
            cpu, wall = (common.ratio(laps.by["bench"], laps.by[other], clock) for clock in ("cpu", "wall"))
            least = targets.get(other)
            promised = ("", None) if least is None else (f"≥ {least} ×", cpu >= least)
            figures.append(
                Figure(f"{kind}: throughput over {other}", promised[0], f"{cpu:.2f} × (wall {wall:.2f})", promised[1], what)
            )
        figures.append(share_of_limit(f"{kind}: A1", laps, targets.get("limit"), what))
    for arch, quant, model in (("A1", "nf4", None),) if options.quick else ARMS:
        arm = replace(config, arch=arch, quant=quant, model=model or config.model)
        try:
            what, laps = laps_of(arm, False, rounds, updates, rivals=False, quick=options.quick)
        except MissingError as missing:
            print(f"left out: {missing}")
            continue
        figures.append(share_of_limit(f"windows: {arch}, {quant}, {arm.model}", laps, None, what))
    return figures


def share_of_limit(name: str, laps: Laps, least: float | None, what: str) -> Figure:
    """The figure of a share of the machine's limit."""
    share, rate = laps.share(), statistics.median(lap.rate("cpu") for lap in laps.by["bench"])
    limit = statistics.median(lap.rate("cpu") for lap in laps.limit) / 1e9
    measured = f"{share:.0%} of {limit:.0f} GFLOP/s a core ({rate:,.0f} tokens a CPU s)"
    return Figure(
        f"{name}, of the limit",
        "" if least is None else f"≥ {least:.0%}",
        measured,
        None if least is None else share >= least,
        what,
    )


def laps_of(config: RunConfig, sentences: bool, rounds: int, updates: int, rivals: bool, quick: bool) -> tuple[str, Laps]:
    """What is trained on, in words, and the laps."""
    sizes = {"train": 400 if sentences else 40, "dev": 20, "test": 20} if quick else None
    with common.prepared(config, sizes, sentences) as (planned, what):
        laps = take_turns(planned, rounds, updates, rivals)
        lengths = planned.data[TASK].splits["train"].lengths
        return f"{what}, median {statistics.median(lengths):.0f} tokens, {planned.device.precision}", laps


def take_turns(planned: Planned, rounds: int, updates: int, rivals: bool) -> Laps:
    """All loops, one after the other in every round."""
    from bench.api.tracker import RunInfo
    from bench.reporting import SilentReporter
    from bench.results.layout import JOURNAL
    from bench.tracking.journal import Journal
    from bench.tracking.memory import MemoryWatch
    from bench.tracking.mirrors import Mirrors
    from bench.training import stage

    trainer = common.built(planned)
    trainer.micro_batch = common.whole_update(planned)
    limit = Limit(planned)
    watches = {"bench": Stopwatch()}
    others: list[Callable[[Lap], None]] = [lambda lap: limit.run()]
    if rivals:
        bare = BareLoop(common.built(planned), common.whole_update(planned))
        both = {name: Rival(planned, trainer.lr, eager) for name, eager in (("trainer", False), ("trainer, eager", True))}
        watches |= {name: rival.watch for name, rival in both.items()} | {"bare loop": bare.watch}
        others += [lambda lap: bare.run(updates), *(lambda lap, rival=rival: rival.run(lap.tokens) for rival in both.values())]
    silent = SilentReporter()
    work = [0]
    with tempfile.TemporaryDirectory() as folder, Journal(planned.folder / JOURNAL) as journal:
        facts = planned.config.as_json() | dict(planned.facts)
        info = RunInfo(planned.ident, "figures", planned.folder, planned.folder.parent, facts)
        mirrors = Mirrors(planned.parts.trackers, info, silent.warn)
        journal.observe(mirrors.feed)
        seen = 0

        def turn(bar: object) -> Mapping[str, float]:
            """Stands where an evaluation would: bench's clock stops, the others take their turn."""
            nonlocal seen
            lap = watches["bench"].stop(trainer.ledger.tokens - seen)
            seen = trainer.ledger.tokens
            work.append(sum(account.flops for account in trainer.ledger.accounts.values()))
            for other in others if trainer.step % (2 * updates) else others[::-1]:
                other(lap)
            watches["bench"].start()
            return {"mean": 0.0}

        intervals = stage.Intervals(planned.config.checkpoint_every, updates, early_stopping=False, deadline=None)
        progress = stage.Progress(best={"score": 1.0, "step": 0, "tokens": 0})  # no turn is the best: no checkpoint for it
        memory = MemoryWatch(planned.device.name, journal, silent.warn)
        watches["bench"].start()
        stage.train(trainer, progress, intervals, Path(folder), journal, turn, memory, silent)
        watch = Stopwatch()
        watch.start()
        stage.write_checkpoint(trainer, progress, Path(folder), journal.position)
        checkpoint = watch.stop()
        mirrors.close(True)
    assert trainer.step == (rounds + 1) * updates
    laps = {name: watch.laps[1 : rounds + 1] for name, watch in watches.items()}
    # What checkpoints cost at the default cadence is spread over the updates between two of them.
    part = updates / CHECKPOINT_EVERY
    laps["bench"] = [
        Lap(lap.tokens, lap.wall + part * checkpoint.wall, lap.cpu + part * checkpoint.cpu) for lap in laps["bench"]
    ]
    done = [after - before for before, after in pairwise(work)]
    return Laps(laps, done[1 : rounds + 1], limit.watch.laps[1 : rounds + 1])


class Limit:
    """Products of the shape and precision of the base's largest layer.

    Args:
        planned: the run.
    """

    def __init__(self, planned: Planned) -> None:
        import torch

        spec = max(planned.parts.model.spec.linears, key=lambda linear: linear.inputs * linear.outputs)
        made: Any = {"dtype": planned.device.dtype, "device": planned.device.name}
        self.watch = Stopwatch()
        self._rows = torch.randn(LIMIT_ROWS, spec.inputs, **made)
        self._weight = torch.randn(spec.outputs, spec.inputs, **made)

    def run(self) -> None:
        """Multiplies; a lap's tokens are operations."""
        self.watch.start()
        for _ in range(LIMIT_PRODUCTS):
            self._rows @ self._weight.t()
        self.watch.stop(2 * LIMIT_PRODUCTS * self._rows.numel() * self._weight.shape[0])


class BareLoop:
    """The same model over the very same micro-batches, and nothing else.

    Args:
        trainer: of a run of its own, whose model, optimizer and examples the loop takes.
        limit: padded tokens of a micro-batch.
    """

    def __init__(self, trainer: Trainer, limit: int) -> None:
        self.watch = Stopwatch()
        self._trainer, self._limit = trainer, limit
        trainer.tally.close()

    def run(self, updates: int) -> None:
        """Trains the next updates."""
        import torch

        tokens = 0
        drawn: list[list[tuple[dict[str, Any], int]]] = []
        for _ in range(updates):
            batches, marked = self._draw()
            drawn.append(batches)
            tokens += marked
        model, device, optimizer = self._trainer.model, self._trainer.device, self._trainer.optimizer
        model.train()
        self.watch.start()
        for batches in drawn:
            for batch, supervised in batches:
                with device.autocast():
                    loss = model.loss(TASK, batch) / supervised
                loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self._trainer.parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.watch.stop(tokens)

    def _draw(self) -> tuple[list[tuple[dict[str, Any], int]], int]:
        from bench.data.batches import micro_batches
        from bench.data.cache import collate

        update = self._trainer.sampler.draw()
        data = self._trainer.data[TASK]
        split, examples = data.splits["train"], update.examples[TASK]
        supervised = int(split.supervised[list(examples)].sum())
        parts = micro_batches(examples, split.lengths, self._limit)
        return [(collate(split.take(part), data.head, self._trainer.pad), supervised) for part in parts], update.tokens


class Rival:
    """`transformers.Trainer` with peft: random batches of 16, each padded to its longest.

    Args:
        planned: the run whose examples, targets, rank and head it takes.
        lr: that run's peak learning rate.
        eager: whether its attention is eager in place of what transformers chooses.
    """

    def __init__(self, planned: Planned, lr: float, eager: bool) -> None:
        from peft import LoraConfig, get_peft_model

        from bench.modeling.backbone import adapted_linears, load_backbone
        from bench.steps.corpora import pad_id

        self.watch = Stopwatch()
        config, folder = planned.config, planned.parts.model.folder()
        base: Any = load_backbone(folder, planned.device.dtype, planned.device.name)
        if eager:
            base.set_attn_implementation("eager")
        lora = LoraConfig(
            r=config.rank, lora_alpha=2 * config.rank, lora_dropout=0.0, target_modules=[s.name for s in adapted_linears(base)]
        )
        data = planned.data[TASK]
        self._rows, self._head, self._pad = data.splits["train"].rows, data.head, pad_id(folder)
        self._tokens_a_row = float(data.splits["train"].lengths.mean())
        self._model = _with_head(get_peft_model(base, lora), data.head.module(planned.parts.model.spec.hidden_size))
        self._bf16 = planned.device.precision == "bf16"
        self._lr, self._round = lr, 0

    def run(self, tokens: int) -> None:
        """Trains on about as many tokens."""
        from transformers import Trainer, TrainerCallback, TrainingArguments

        watch, model = self.watch, self._model
        model.tokens = 0

        class Clock(TrainerCallback):  # type: ignore[misc]
            """Leaves out what `train` sets up before its first step."""

            def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
                watch.start()

            def on_train_end(self, *args: Any, **kwargs: Any) -> None:
                watch.stop(model.tokens)

        self._round += 1
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                output_dir=folder, per_device_train_batch_size=TRAINER_BATCH, learning_rate=self._lr, seed=self._round,
                max_steps=max(1, round(tokens / (self._tokens_a_row * TRAINER_BATCH))), save_strategy="no", report_to="none",
                remove_unused_columns=False, disable_tqdm=True, use_cpu=True, bf16=self._bf16, dataloader_pin_memory=False,
                logging_strategy="no",
            )  # fmt: skip
            Trainer(model, arguments, self._collate, self._rows, callbacks=[Clock()]).train()

    def _collate(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        from bench.data.cache import collate

        return {"batch": collate(rows, self._head, self._pad), "supervised": sum(row["supervised"] for row in rows)}


def _with_head(backbone: Any, head: Any) -> Any:
    """A model as `Trainer` wants it, which counts the tokens that it trains on."""
    import torch

    class WithHead(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head, self.tokens = backbone, head, 0

        def forward(self, batch: Mapping[str, torch.Tensor], supervised: int) -> dict[str, torch.Tensor]:
            self.tokens += int(batch["attention_mask"].sum())
            inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
            return {"loss": self.head.loss(self.backbone(**inputs).last_hidden_state, batch) / supervised}

    return WithHead()


def _options(parser: argparse.ArgumentParser) -> None:
    common.add_model(parser)
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    parser.add_argument("--head", default="bio", choices=("bio", "span"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=4, help="a round and loop")
    parser.add_argument("--batch-tokens", type=int, default=2048)


if __name__ == "__main__":
    common.main(measure, __doc__, _options)
