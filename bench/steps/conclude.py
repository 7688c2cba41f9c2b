"""Steps 9 to 11: quantizing the pristine base, official scores before and after, and the typed result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bench.data import leaks
from bench.errors import out_of_memory
from bench.invariants import checkpoint as checkpoints
from bench.modeling.files import copy_companions
from bench.peak import peak_of_process
from bench.results.display import size
from bench.results.environment import git, hardware, versions
from bench.results.evidence import Plan, Together, Training
from bench.results.invariants import Batch, Checkpoint, Invariants, Smoke, Status, Tokens
from bench.results.layout import CHECKPOINTS
from bench.results.reading import read_as
from bench.results.schema import BestCheckpoint, Headline, Quantization, Result, Stage, TaskScores
from bench.results.scores import FlatScores, interval_by, interval_of, score_of
from bench.steps.base import attach
from bench.steps.evidence import Efficiency, concepts_found, evidence
from bench.steps.finish import Scoring, dev_states, save_trained, states_error
from bench.steps.quantized import calibration_sample, quantized_base
from bench.steps.resume import State
from bench.steps.together import macro, schedule, together

if TYPE_CHECKING:
    import torch
    from torch import nn

    from bench.reporting import Reporter
    from bench.steps.context import Planned, RunContext
    from bench.training.loop import Trainer
    from bench.training.model import TaskModel
    from bench.training.stage import Progress

States = list[tuple["torch.Tensor", "torch.Tensor"]]
ScoresBySplit = dict[str, dict[str, FlatScores]]
"""Split to task to scores."""


@dataclass(frozen=True)
class Evaluated:
    """What evaluation came to.

    Args:
        stages: stage to split to task to scores.
        baselines: task to the scores of what needs no training.
        at_best: task to the scores on test of the best model on dev, where that is not the result.
        quantization: what quantizing did.
        attention: how attention was computed in training and in evaluation; None of a model that does not say.
        together: how several tasks were trained together; None for a run of one.
        evidence: what else the result says, by its field.
    """

    stages: Mapping[str, ScoresBySplit]
    baselines: Mapping[str, Mapping[str, FlatScores]]
    at_best: Mapping[str, FlatScores] | None
    quantization: Quantization
    attention: tuple[str | None, str | None]
    together: Together | None
    evidence: Mapping[str, Any]


def conclude(run: RunContext, trainer: Trainer, progress: Progress, scoring: Scoring) -> Result:
    """Evaluates, quantizes, evaluates again, and puts the result together.

    Args:
        run: its journal is told the scores of every stage.
        trainer: at its last update; where the run quantizes, its model is freed.
        progress: of training.
        scoring: predicts and scores.
    """
    planned, console, clock = run.planned, run.console, run.clock
    data, parts = planned.data, planned.parts
    root = planned.folder / CHECKPOINTS
    best = progress.best
    on_best = not planned.budget.controlled and best is not None
    step = int(best["step"]) if on_best and best is not None else trainer.step
    if step != trainer.step:
        trainer.model.load_state(checkpoints.load(root, step).model)
    efficiency = Efficiency(data, planned.device, scoring.pad)
    with clock("evaluation"):
        console.step("evaluating the trained model")
        stages: dict[str, ScoresBySplit] = {"trained": _splits(run, scoring, trainer.model, "trained", efficiency, step)}
    with clock("efficiency"):
        efficiency.measure("trained", trainer.model)
    with clock("evaluation"):
        save_trained(trainer.model, data, planned.folder, scoring.thresholds)
        at_best = None
        if not on_best and best is not None and int(best["step"]) != trainer.step:
            last = trainer.model.state()
            trainer.model.load_state(checkpoints.load(root, int(best["step"])).model)
            at_best = scoring.stage(trainer.model, "best", "test")
            trainer.model.load_state(last)
            del last
        baselines = {name: scoring.baselines(name) for name in data}
    quantization = Quantization()
    attention = trainer.model.attention.training, trainer.model.attention.evaluation
    shared = together(planned, trainer)
    if parts.quantizes:
        quantization, quantized, unquantized = _quantize(run, trainer, scoring, efficiency)
        stages["quantized"] = quantized
        for name, scores in unquantized.items():
            baselines[name]["unquantized"] = scores
    for stage, splits in stages.items():
        for split, by_task in splits.items():
            run.journal.write("scores", stage=stage, split=split, scores=by_task)
    for name in dict.fromkeys(name for scores in baselines.values() for name in scores):
        scored = {task: scores[name] for task, scores in baselines.items() if name in scores}
        run.journal.write("scores", stage=name, split="test", scores=scored)
    with clock("evidence"):
        more = evidence(data, tuple(stages), planned.folder, scoring.funnels) | {"efficiency": efficiency.measured}
        more["concepts"] = concepts_found(data, scoring.linkings, tuple(stages)[-1], planned.folder)
    evaluated = Evaluated(stages, baselines, at_best, quantization, attention, shared, more)
    return _result(run, trainer, progress, scoring, evaluated)


def _splits(
    run: RunContext, scoring: Scoring, model: Any, stage: str, efficiency: Efficiency, step: int | None = None
) -> ScoresBySplit:
    total = scoring.tokens(*scoring.unread(step))
    with run.console.progress("predicting", total, "tokens") as bar, scoring.showing(bar):
        dev = scoring.stage(model, stage, "dev", step)
        with efficiency.over_test(stage):
            return {"dev": dev, "test": scoring.stage(model, stage, "test", step)}


def _quantize(
    run: RunContext, trainer: Trainer, scoring: Scoring, efficiency: Efficiency
) -> tuple[Quantization, ScoresBySplit, dict[str, FlatScores]]:
    """Errors and scores of the quantized model, always as it was saved and loaded again.

    The reference is the unquantized base with the very same adapters, in the same dtype; rounding to nearest is held against
    it too. Where the base's own weights were trained, it is these that are quantized. One model is in memory at a time, the
    one that was trained gone before the first. Where the dense ones do not fit, what they are for is missing from the result.
    """
    from bench.adapters.attach import Bare
    from bench.evaluation.quantization import floor_backbone
    from bench.modeling.backbone import load_backbone, save_backbone
    from bench.training.loop import DTYPES, reclaim

    planned, console, clock = run.planned, run.console, run.clock
    config, data, parts, device = planned.config, planned.data, planned.parts, planned.device
    dtype = parts.quantizer.floor_dtype(device.dtype)
    source, arm = parts.model.folder(), parts.architecture
    trained = {name: tensor.cpu() for name, tensor in trainer.model.state().items()}
    with ExitStack() as stack:
        if parts.architecture.trains_base:
            for left in planned.folder.glob(".trained-*"):  # by a run that was killed here
                rmtree(left, ignore_errors=True)
            aside = stack.enter_context(TemporaryDirectory(prefix=".trained-", dir=planned.folder))
            copy_companions(source, Path(aside))
            source = Path(aside)
            save_backbone(trainer.model.adapted.backbone, source)
            trained, arm = {name: t for name, t in trained.items() if name.startswith("heads.")}, Bare()
        trainer.free()
        micro = replace(device, precision=next(name for name, each in DTYPES.items() if each == dtype))
        gaps = Gaps(console, device.name, f"about {size(parts.model.spec.parameters * dtype.itemsize)} of weights")

        def on(base: nn.Module) -> TaskModel:
            model = attach(base, parts, data, config, device, arm)
            model.load_state(trained)
            return model

        def unquantized() -> tuple[States, dict[str, FlatScores]]:
            whole = on(load_backbone(source, dtype, device.name))
            # The other half of before and after where training was on the quantized base already.
            scores = scoring.stage(whole, "unquantized", "test") if parts.when == "load" else {}
            return dev_states(whole, data, micro, scoring.pad), scores

        def rounded() -> States | None:
            floor = floor_backbone(source, parts.quantizer, dtype, device.name)
            return None if floor is None else dev_states(on(floor), data, micro, scoring.pad)

        with clock("quantizing"):
            reclaim(device.name)
            console.step(f"quantizing with {parts.quantizer.name}")
            sample, _ = calibration_sample(data, parts.quantizer.calibration)
            out, weights = quantized_base(
                parts.quantizer, source, sample, planned.folder, device.name, console.warn, not parts.architecture.trains_base
            )
        with clock("evaluation"):
            console.step("evaluating the quantized model")
            before: dict[str, FlatScores] = {}
            reference = error = rtn_error = None
            with gaps.of("the unquantized model", "error", "rtn_error", *(["unquantized"] if parts.when == "load" else [])):
                reference, before = unquantized()
            if reference is not None:
                with gaps.of("the model rounded to nearest", "rtn_error"):
                    floor = rounded()
                    rtn_error = None if floor is None else states_error(floor, reference)
            reclaim(device.name)
            model = on(parts.quantizer.load(out, dtype, device.name))
            if reference is not None:
                error = states_error(dev_states(model, data, micro, scoring.pad), reference)
            scores = _splits(run, scoring, model, "quantized", efficiency)
        with clock("efficiency"):
            efficiency.measure("quantized", model)
        figures = Quantization(weights.bits_per_weight, weights.bytes, error, rtn_error, gaps.missing)
        return figures, scores, before


@dataclass
class Gaps:
    """Figures that are missing from a result, since the model that they are measured on did not fit into memory.

    Args:
        console: warned of each.
        device: that had too little of it.
        size: of the model's weights, in words.
        missing: figure to the reason.
    """

    console: Reporter
    device: str
    size: str
    missing: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def of(self, model: str, *figures: str) -> Iterator[None]:
        """Runs a block that loads a model to measure figures; where memory runs out, the run goes on without them."""
        from bench.training.loop import reclaim

        reclaim(self.device)
        try:
            yield
        except Exception as error:
            if not out_of_memory(error):
                raise
            self.missing |= dict.fromkeys(figures, f"out of memory: {model} has {self.size}")
            self.console.warn(
                f"Out of memory on {self.device} while {model} was evaluated ({self.size}). The result lacks "
                f"{', '.join(figures)} of quantization and says why; a device with more memory measures them."
            )


def _result(run: RunContext, trainer: Trainer, progress: Progress, scoring: Scoring, evaluated: Evaluated) -> Result:
    planned, stages, at_best = run.planned, evaluated.stages, evaluated.at_best
    config, data, parts = planned.config, planned.data, planned.parts
    start = parts.start
    last: Stage = "quantized" if "quantized" in stages else "trained"
    name, first = next(iter(data.items()))
    metric = first.task.metadata.primary_metric
    test_scores = stages[last]["test"][name]
    value, interval = score_of(test_scores, metric) or 0.0, interval_of(test_scores, metric)
    headline = Headline(name, "test", last, metric, value, interval, interval_by(test_scores, metric))
    best = progress.best
    scores = {
        task: TaskScores(
            trained=stages["trained"]["test"][task],
            quantized=stages["quantized"]["test"][task] if "quantized" in stages else None,
            dev={stage: splits["dev"][task] for stage, splits in stages.items()},
            baselines=evaluated.baselines[task],
            best=None
            if at_best is None or best is None
            else BestCheckpoint(int(best["step"]), int(best["tokens"]), at_best[task]),
        )
        for task in data
    }
    calibration = calibration_sample(data, parts.quantizer.calibration)[1] if parts.quantizes else None
    seconds = run.clock.seconds | {"updates": progress.seconds, "checkpoints": progress.checkpoint_seconds}
    return Result(
        id=planned.ident,
        config=config.as_json() | {"resolved": dict(planned.facts)},
        headline=headline,
        scores=scores,
        invariants=_invariants(planned, trainer, progress, run.state),
        quantization=evaluated.quantization,
        timings={key: round(value, 3) for key, value in seconds.items()},
        memory=_memory(planned),
        hashes={
            "data": dict(planned.facts["data"]), "model": planned.facts["model"]["sha256"],
            "config": planned.ident.rsplit("_", 1)[1], "calibration": calibration,
            **({"concepts": dict(planned.facts["concepts"])} if "concepts" in planned.facts else {}),
        },
        versions=versions() | {"parts": parts.versions()},
        hardware=hardware(planned.device.name)
        | {"processes": trainer.processes.count}
        | ({"sharded": True} if trainer.shards is not None else {}),
        git=git(),
        waivers=config.waive,
        matched=planned.parity.matched,
        synthetic=any(task_data.corpus.synthetic for task_data in data.values())
        or any(before.result.synthetic for before in (*planned.teachers, *((start,) if start is not None else ()))),
        leaks={name: leaks.as_json(task_data.corpus.leaks) for name, task_data in data.items() if task_data.corpus.leaks},
        left_out=planned.plan["left_out"],
        adjusted=planned.plan["adjusted"],
        units=scoring.units,
        init_from={} if start is None else {**planned.facts["init_from"], **start.as_json()},
        shots=dict(planned.facts.get("shots", {})),
        train_resample=dict(planned.facts.get("train_resample", {})),
        plan=read_as(Plan, {key: planned.plan[key] for key in ("budget", "data", "estimate", "model", "quantizer")}, "plan"),
        training=Training(
            evaluations=tuple(progress.evaluations), best=progress.best, stopped=progress.stopped,
            reported="best on dev" if not planned.budget.controlled else "last checkpoint of the budget",
            attention=evaluated.attention[0],
            evaluation_attention=evaluated.attention[1],
            tokens_per_second=trainer.ledger.tokens / max(progress.seconds, 1e-9),
            evaluation_tokens_per_second=scoring.throughput,
            repeated_updates=trainer.scale.repeated,
        ),
        thresholds={
            task: {"accept": scoring.thresholds[task].as_json(), **scoring.at_half[task]} for task in scoring.at_half
        },
        together=evaluated.together,
        macro=macro(planned.data, stages[last]["test"], last),
        schedule=schedule(planned, progress),
        **evaluated.evidence,
    )  # fmt: skip


def _invariants(planned: Planned, trainer: Trainer, progress: Progress, state: State) -> Invariants:
    def status(name: str) -> Status:
        return "waived" if name in planned.config.waive else "held"

    assert state.smoke is not None  # both gates were passed before training
    assert state.batch is not None
    return Invariants(
        tokens=Tokens(
            status("tokens"), trainer.ledger.tokens, planned.budget.tokens, planned.budget.controlled,
            trainer.ledger.accounts, trainer.sampler.epochs(), trainer.tally.disagreements,
        ),
        parity=planned.parity.record(),
        smoke=Smoke(**asdict(state.smoke), status=status("smoke")),
        batch=Batch(**asdict(state.batch), status=status("batch"), final_micro_batch=trainer.micro_batch),
        checkpoint=Checkpoint(
            status("checkpoint"), progress.written, progress.checkpoint_seconds, tuple(state.resumed_from)
        ),
    )  # fmt: skip


def _memory(planned: Planned) -> dict[str, int]:
    memory = {"peak_rss": peak_of_process()}
    if planned.device.name != "cpu":
        import torch

        memory["peak_device"] = int(torch.cuda.max_memory_allocated(planned.device.name))
    return memory
