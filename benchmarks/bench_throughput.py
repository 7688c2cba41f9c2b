"""Training throughput on MiniLM in useful (marked) tokens a second: bench's own training stage against two others, in turn.

`bench` trains through `bench.training.stage.train` with the ledger, the tally, the journal, the memory watch, checkpoints,
wandb and MLflow on. It is held against (a) `transformers.Trainer` with peft and dynamic padding, batches of 16, on the same
examples with the same LoRA targets, rank and head, and (b) a bare loop over the very same micro-batches, collated before the
clock starts. The three take turns within each round, and a ratio is the median over rounds. CPU seconds count every thread
of the process, trackers' included; on a busy machine they are the figure to read.

    python benchmarks/bench_throughput.py [--quick] [--head bio|span] [--rounds 5] [--updates 4] [--threads 1] [--json FILE]

Targets: at least 1.9 times (a), at least 0.97 times (b).
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import common
from common import TASK, Figure, Lap, Stopwatch

if TYPE_CHECKING:
    from bench.steps.planned import Planned
    from bench.training.loop import Trainer

CHECKPOINT_EVERY = 200
TRAINER_BATCH = 16


def measure(options: argparse.Namespace) -> list[Figure]:
    """Runs the three in turn."""
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    from bench.config import RunConfig

    rounds, updates = (2, 2) if options.quick else (options.rounds, options.updates)
    config = RunConfig(
        task=(TASK,), arch=options.arch, head=options.head, model=common.model(options), steps=(rounds + 1) * updates,
        eval_every=updates, checkpoint_every=CHECKPOINT_EVERY, batch_tokens=options.batch_tokens,
    )  # fmt: skip
    sizes = {"train": 400, "dev": 20, "test": 20} if options.quick else None
    with common.prepared(config, sizes, sentences=True) as (planned, what):
        laps, checkpoint = take_turns(planned, rounds, updates)
        lengths = planned.data[TASK].splits["train"].lengths
        precision = planned.device.precision
    print(f"\n{what}: {len(lengths):,} windows, tokens median {statistics.median(lengths):.0f}, longest {lengths.max()}; "
          f"{config.model}, {config.arch}, head {config.head}, {precision}, {options.threads} thread(s), "
          f"{rounds} rounds of {updates} updates of {config.batch_tokens} tokens")  # fmt: skip
    rows = [
        (
            name,
            sum(lap.tokens for lap in found),
            *(f"{statistics.median(lap.rate(c) for lap in found):,.0f}" for c in ("cpu", "wall")),
        )
        for name, found in laps.items()
    ]
    common.table("useful tokens a second", ("loop", "tokens", "per CPU s", "per wall s"), rows)
    # What checkpoints cost at the default cadence is spread over the updates between two of them.
    share = updates * checkpoint.cpu / CHECKPOINT_EVERY
    ours = [Lap(lap.tokens, lap.wall + updates * checkpoint.wall / CHECKPOINT_EVERY, lap.cpu + share) for lap in laps["bench"]]
    figures = []
    for other, name, target in (("trainer", "transformers.Trainer", 1.9), ("bare", "a bare loop", 0.97)):
        cpu, wall = (common.ratio(ours, laps[other], clock) for clock in ("cpu", "wall"))
        figures.append(
            Figure(f"throughput over {name}", f"≥ {target} ×", f"{cpu:.2f} × (wall {wall:.2f})", cpu >= target, what)
        )
    return figures


def take_turns(planned: Planned, rounds: int, updates: int) -> tuple[dict[str, list[Lap]], Lap]:
    """Laps by loop, the warm-up round left out, and what one checkpoint took."""
    from bench.api.tracker import RunInfo
    from bench.reporting import SilentReporter
    from bench.results.layout import JOURNAL
    from bench.tracking.journal import Journal
    from bench.tracking.memory import MemoryWatch
    from bench.tracking.mirrors import Mirrors
    from bench.training import stage

    trainer = common.built(planned)
    trainer.micro_batch = common.whole_update(planned)
    bare = BareLoop(common.built(planned), common.whole_update(planned))
    rival = Rival(planned, trainer.lr)
    watches = {"bench": Stopwatch(), "bare": bare.watch, "trainer": rival.watch}
    silent = SilentReporter()
    with tempfile.TemporaryDirectory() as folder, Journal(planned.folder / JOURNAL) as journal:
        facts = planned.config.as_json() | dict(planned.facts)
        info = RunInfo(planned.ident, "figures", planned.folder, planned.folder.parent, facts)
        mirrors = Mirrors(planned.parts.trackers, info, silent.warn)
        journal.observe(mirrors.feed)
        seen = 0

        def turn() -> Mapping[str, float]:
            """Stands where an evaluation would: bench's clock stops, the others take their turn."""
            nonlocal seen
            lap = watches["bench"].stop(trainer.ledger.tokens - seen)
            seen = trainer.ledger.tokens
            others: list[Callable[[], None]] = [lambda: bare.run(updates), lambda: rival.run(lap.tokens)]
            for other in others if trainer.step % (2 * updates) else others[::-1]:
                other()
            watches["bench"].start()
            return {"mean": 0.0}

        schedule = stage.Schedule(planned.config.checkpoint_every, updates, early_stopping=False, deadline=None)
        progress = stage.Progress(best={"score": 1.0, "step": 0, "tokens": 0})  # no turn is the best: no checkpoint for it
        memory = MemoryWatch(planned.device.name, journal, silent.warn)
        watches["bench"].start()
        stage.train(trainer, progress, schedule, Path(folder), journal, turn, memory, silent)
        checkpoint = Stopwatch()
        checkpoint.start()
        stage.write_checkpoint(trainer, progress, Path(folder), journal.position)
        spent = checkpoint.stop()
        mirrors.close(True)
    assert trainer.step == (rounds + 1) * updates
    return {name: watch.laps[1 : rounds + 1] for name, watch in watches.items()}, spent


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
    """

    def __init__(self, planned: Planned, lr: float) -> None:
        from peft import LoraConfig, get_peft_model

        from bench.modeling.backbone import adapted_linears, load_backbone
        from bench.steps.corpora import pad_id

        self.watch = Stopwatch()
        config, folder = planned.config, planned.parts.model.folder()
        base = load_backbone(folder, planned.device.dtype, planned.device.name)
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
    parser.add_argument("--arch", default="A1", help="A4 takes two passes: compare it with the bare loop only")
    parser.add_argument("--head", default="bio", choices=("bio", "span"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=4, help="a round and loop")
    parser.add_argument("--batch-tokens", type=int, default=2048)


if __name__ == "__main__":
    common.main(measure, __doc__, _options)
