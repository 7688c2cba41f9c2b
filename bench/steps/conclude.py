"""Steps 9 to 11: quantizing the pristine base, official scores before and after, and the typed result."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bench.api.architecture import UNMATCHED
from bench.api.quantizer import QuantizedWeights
from bench.data import leaks
from bench.invariants import checkpoint as checkpoints
from bench.peak import peak_of_process
from bench.results.environment import git, hardware, versions
from bench.results.layout import CHECKPOINTS
from bench.results.schema import Headline, Invariants, Quantization, Result, Stage, TaskScores, pick
from bench.steps.base import attach, calibration_sample, quantized_base, trained_base
from bench.steps.evidence import Efficiency, concepts_found, evidence
from bench.steps.finish import Scoring, dev_states, save_trained, states_error
from bench.steps.resume import State
from bench.steps.together import together

if TYPE_CHECKING:
    import torch

    from bench.steps.context import Planned, RunContext
    from bench.training.loop import Trainer
    from bench.training.stage import Progress

States = list[tuple["torch.Tensor", "torch.Tensor"]]
ScoresBySplit = dict[str, dict[str, dict[str, Any]]]
"""Split to task to scores."""


@dataclass(frozen=True)
class Evaluated:
    """What evaluation came to.

    Args:
        stages: stage to split to task to scores.
        baselines: task to the scores of what needs no training.
        at_best: task to the scores on test of the best model on dev, where that is not the result.
        quantization: what quantizing did.
        evidence: what else the result says, by key.
    """

    stages: Mapping[str, ScoresBySplit]
    baselines: Mapping[str, Mapping[str, Any]]
    at_best: Mapping[str, Any] | None
    quantization: Quantization
    evidence: Mapping[str, Any]


def conclude(
    run: RunContext, trainer: Trainer, progress: Progress, weights: QuantizedWeights | None, scoring: Scoring
) -> Result:
    """Evaluates, quantizes, evaluates again, and puts the result together.

    Args:
        run: its journal is told the scores of every stage.
        trainer: at its last update.
        progress: of training.
        weights: what a load-time quantizer left, else None.
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
        stages: dict[str, ScoresBySplit] = {"trained": _splits(scoring, trainer.model, "trained", efficiency, step)}
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
        baselines = {name: scoring.baselines(name) for name in data}
    quantization = Quantization()
    if parts.quantizes:
        quantization, quantized, unquantized = _quantize(run, trainer, weights, scoring, efficiency)
        stages["quantized"] = quantized
        for name, scores in unquantized.items():
            baselines[name]["unquantized"] = scores
    for stage, splits in stages.items():
        for split, by_task in splits.items():
            run.journal.write("scores", stage=stage, split=split, scores=by_task)
    with clock("evidence"):
        more = evidence(data, tuple(stages), planned.folder, scoring.funnels) | {"efficiency": efficiency.found}
        if scoring.linkings:
            more["concepts"] = concepts_found(data, scoring.linkings, tuple(stages)[-1], planned.folder)
    return _result(run, trainer, progress, scoring, Evaluated(stages, baselines, at_best, quantization, more))


def _splits(scoring: Scoring, model: Any, stage: str, efficiency: Efficiency, step: int | None = None) -> ScoresBySplit:
    dev = scoring.stage(model, stage, "dev", step)
    with efficiency.over_test(stage):
        return {"dev": dev, "test": scoring.stage(model, stage, "test", step)}


def _quantize(
    run: RunContext, trainer: Trainer, weights: QuantizedWeights | None, scoring: Scoring, efficiency: Efficiency
) -> tuple[Quantization, ScoresBySplit, dict[str, dict[str, Any]]]:
    """Errors and scores of the quantized model, always as it was saved and loaded again.

    The reference is the unquantized base with the very same adapters, in the same dtype; rounding to nearest is held against
    it too. Where the base's own weights were trained, it is these that are quantized.
    """
    from bench.adapters.attach import Bare
    from bench.evaluation.quantization import floor_backbone
    from bench.modeling.backbone import load_backbone

    planned, console, clock = run.planned, run.console, run.clock
    config, data, parts, device = planned.config, planned.data, planned.parts, planned.device
    dtype = parts.quantizer.floor_dtype(device.dtype)
    source, trained, arm = parts.model.folder(), trainer.model.state(), parts.architecture
    with ExitStack() as stack:
        if parts.architecture.trains_base:
            for left in planned.folder.glob(".trained-*"):  # by a run that was killed here
                rmtree(left, ignore_errors=True)
            aside = stack.enter_context(TemporaryDirectory(prefix=".trained-", dir=planned.folder))
            source = trained_base(trainer.model.adapted.backbone, source, Path(aside))
            trained, arm = {name: t for name, t in trained.items() if name.startswith("heads.")}, Bare()
        micro = replace(device, precision="bf16" if "bfloat16" in str(dtype) else "fp32")

        def on(base: Any) -> Any:
            model = attach(base, parts, data, config, device, arm)
            model.load_state(trained)
            return model

        with clock("quantizing"):
            console.step(f"quantizing with {parts.quantizer.name}")
            sample, _ = calibration_sample(data)
            out, weights = quantized_base(parts.quantizer, source, sample, planned.folder, device.name, console.warn)
        with clock("evaluation"):
            console.step("evaluating the quantized model")
            whole = on(load_backbone(source, dtype, device.name))
            reference = dev_states(whole, data, micro, scoring.pad)
            # The other half of before and after where training was on the quantized base already.
            unquantized = scoring.stage(whole, "unquantized", "test") if parts.when == "load" else {}
            del whole
            floor = floor_backbone(source, parts.quantizer, dtype, device.name)
            rtn_error = None if floor is None else states_error(dev_states(on(floor), data, micro, scoring.pad), reference)
            del floor
            model = on(parts.quantizer.load(out, dtype, device.name))
            error = states_error(dev_states(model, data, micro, scoring.pad), reference)
            scores = _splits(scoring, model, "quantized", efficiency)
        with clock("efficiency"):
            efficiency.measure("quantized", model)
        return Quantization(weights.bits_per_weight, weights.bytes, error, rtn_error), scores, unquantized


def _result(run: RunContext, trainer: Trainer, progress: Progress, scoring: Scoring, evaluated: Evaluated) -> Result:
    planned, stages, at_best = run.planned, evaluated.stages, evaluated.at_best
    config, data, parts = planned.config, planned.data, planned.parts
    last: Stage = "quantized" if "quantized" in stages else "trained"
    name, first = next(iter(data.items()))
    metric = first.task.metadata.primary_metric
    found = stages[last]["test"][name]
    parent = pick_mapping(found, metric.rpartition(".")[0])
    headline = Headline(name, "test", last, metric, pick(found, metric) or 0.0, parent.get("ci95"))
    best = progress.best
    scores = {
        task: TaskScores(
            trained=stages["trained"]["test"][task],
            quantized=stages["quantized"]["test"][task] if "quantized" in stages else None,
            dev={stage: splits["dev"][task] for stage, splits in stages.items()},
            baselines=evaluated.baselines[task],
            best=None
            if at_best is None or best is None
            else {"step": best["step"], "tokens": best["tokens"], "scores": at_best[task]},
        )
        for task in data
    }
    calibration = calibration_sample(data)[1] if parts.quantizes else None
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
        hardware=hardware(planned.device.name) | {"processes": trainer.processes.count},
        git=git(),
        waivers=config.waive,
        matched=planned.parity.matched,
        synthetic=any(one.corpus.synthetic for one in data.values()),
        leaks={name: leaks.told(one.corpus.leaks) for name, one in data.items() if one.corpus.leaks},
        left_out=planned.plan["left_out"],
        adjusted=planned.plan["adjusted"],
        extra={
            "plan": {key: planned.plan[key] for key in ("budget", "data", "estimate", "model", "quantizer")},
            "training": {
                "evaluations": progress.evaluations, "best": progress.best, "stopped": progress.stopped,
                "reported": "best on dev" if not planned.budget.controlled else "last checkpoint of the budget",
                "attention": trainer.model.attention.training,
                "evaluation_attention": trainer.model.attention.evaluation,
                "tokens_per_second": trainer.ledger.tokens / max(progress.seconds, 1e-9),
                "evaluation_tokens_per_second": scoring.throughput,
            },
            "thresholds": {
                task: {"accept": scoring.thresholds[task].as_json(), **scoring.at_half[task]} for task in scoring.at_half
            },
            **together(planned, trainer, progress, stages[last]["test"], last),
            **evaluated.evidence,
        },
    )  # fmt: skip


def _invariants(planned: Planned, trainer: Trainer, progress: Progress, state: State) -> Invariants:
    waived = set(planned.config.waive)

    def told(name: str, content: Mapping[str, Any]) -> dict[str, Any]:
        return {"status": "waived" if name in waived else "held", **content}

    parity = planned.parity.as_json()

    return Invariants(
        tokens=told(
            "tokens",
            {
                "total": trainer.ledger.tokens, "budget": planned.budget.tokens, "controlled": planned.budget.controlled,
                "tasks": trainer.ledger.state(), "epochs": trainer.sampler.epochs(),
                "disagreements": trainer.tally.disagreements,
            },
        ),
        parity=told("parity", parity if planned.parity.matched else parity | {"status": UNMATCHED}),
        smoke=told("smoke", state.smoke or {}),
        batch=told("batch", (state.batch.as_json() if state.batch else {}) | {"final_micro_batch": trainer.micro_batch}),
        checkpoint=told(
            "checkpoint",
            {"written": progress.written, "seconds": progress.checkpoint_seconds, "resumed_from": list(state.resumed_from)},
        ),
    )  # fmt: skip


def pick_mapping(scores: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """The mapping at a dotted path, or an empty one."""
    found: Any = scores
    for part in path.split("."):
        found = found.get(part, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def _memory(planned: Planned) -> dict[str, int]:
    memory = {"peak_rss": peak_of_process()}
    if planned.device.name != "cpu":
        import torch

        memory["peak_device"] = int(torch.cuda.max_memory_allocated(planned.device.name))
    return memory
