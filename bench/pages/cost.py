"""Cost and quality of runs: weights on disk, latency, throughput, memory and energy, with scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TypeVar

from bench.pages.collect import Evidence, ReportedRun
from bench.pages.content import Cell, Column, Figure, Mark, Table, shown
from bench.pages.figures import figure_of, references
from bench.pages.tables import hardware, table_of
from bench.results.evidence import Efficiency, Latency

Timed = TypeVar("Timed")

UNQUANTIZED = "unquantized"
NUMBER = {"fp32": 4, "bf16": 2, "fp16": 2}
"""Bytes of a weight in each precision."""


@dataclass(frozen=True)
class Stage:
    """A run's model at one stage, on one task.

    Args:
        run: the run.
        task: the task's name.
        group: decides its colour: the run's arm, or that the base was not quantized.
        score: primary metric on the test split.
        bytes: of the base model's weights; None where unknown.
        latency: of one window; empty where it was not measured on this model.
    """

    run: ReportedRun
    task: str
    group: str
    score: float
    bytes: int | None
    latency: Latency


def plain_bytes(run: ReportedRun) -> int | None:
    """Weights of the unquantized base model, in the precision of the run."""
    parameters = run.result.plan.model.parameters
    number = NUMBER.get(str(run.result.resolved("precision")))
    return None if parameters is None or number is None else parameters * number


def stages(evidence: Evidence) -> list[Stage]:
    """Every run at its last stage; of runs that quantized also the same adapters on the unquantized base.

    Runs that differ only in the quantizer trained the same model, which is listed once.
    """
    listed: list[Stage] = []
    archs = {str(run.result.config.get("arch")) for run in evidence.runs}
    for run in evidence.runs:
        quantized = run.result.quantization.bytes
        for task in run.tasks:
            last = "trained" if quantized is None else "quantized"
            if (score := run.score(task)) is not None:
                size = plain_bytes(run) if quantized is None else quantized
                listed.append(Stage(run, task, run.arm, score, size, _latency(run, last, task)))
    seen = {(s.task, s.bytes, s.score) for s in listed}
    for run in evidence.runs:
        at_load = run.result.resolved("quant_when") == "load"
        for task in run.tasks if run.result.quantization.bytes is not None else ():
            score, size = run.unquantized(task), plain_bytes(run)
            if score is not None and (task, size, score) not in seen:
                seen.add((task, size, score))
                # A model trained on the quantized base is not the one trained on the plain base.
                name = f"{run.arm}, {UNQUANTIZED}" if at_load else UNQUANTIZED
                name = f"{run.result.config.get('arch')}, {UNQUANTIZED}" if not at_load and len(archs) > 1 else name
                listed.append(Stage(run, task, name, score, size, Latency() if at_load else _latency(run, "trained", task)))
    return listed


def pareto(evidence: Evidence) -> Figure | None:
    """Quality against size, before and after quantizing; None where all sizes are equal."""
    measured = [stage for stage in stages(evidence) if stage.bytes is not None]
    if len({stage.bytes for stage in measured}) < 2:
        return None
    marks = _cloud([(stage, (stage.bytes or 0) / 1e6) for stage in measured])
    return figure_of(
        evidence, "pareto", "Quality against size",
        "Weights of the base model: as saved where it was quantized, else parameters times 4 bytes (fp32) or 2 (bf16, fp16). "
        "Large marks are means, small dots runs; the line joins the means that no smaller model equals.",
        f"Primary metric against megabytes. {_best(marks, 'MB')}.", "points", "weights, MB", "primary metric, test", marks,
        _groups(evidence, measured), [stage.run for stage in measured], front=True, references=references(evidence),
    )  # fmt: skip


def speed(evidence: Evidence) -> Figure | None:
    """Quality against latency; None where there is only one model.

    Bars are the range over runs: the same model takes longer on a busier machine, which an interval of the mean leaves out.
    """
    timed: dict[tuple[str, str], list[Stage]] = {}
    for stage in stages(evidence):
        if stage.latency.p50 is not None:
            timed.setdefault((stage.task, stage.group), []).append(stage)
    measured = [stage for members in timed.values() for stage in _telling(members, lambda stage: stage.latency)]
    if len({stage.group for stage in measured}) < 2:
        return None
    marks = _ranged(_cloud([(stage, 1e3 * (stage.latency.p50 or 0.0)) for stage in measured]))
    known = any(mark.low is not None for mark in marks)
    rule = (
        "Bars reach from the fastest run to the slowest, and of a single run as far as elsewhere. Models whose bars overlap "
        "are not told apart; the line joins the means that no clearly faster model equals, where these have an order."
        if known
        else "With one run of each, the spread from run to run is not known, and no model is called faster."
    )
    return figure_of(
        evidence, "latency", "Quality against latency",
        "Median milliseconds of one window at batch 1, token ids to annotations, on the hardware that the table names. Large "
        f"marks are means, small dots runs. {rule}",
        f"Primary metric against milliseconds. {_best(marks, 'ms')}. {rule}", "points", "latency p50, ms",
        "primary metric, test", marks, _groups(evidence, measured), [stage.run for stage in measured], front=known,
        references=references(evidence),
    )  # fmt: skip


def quantization(evidence: Evidence) -> Table | None:
    """Scores, sizes and output errors of runs that quantized."""
    columns = (
        Column("run", "run"), Column("arm", "arm"), Column("task", "task"), Column("quant", "quantizer"),
        Column("before", "before", "score"), Column("after", "after", "score"), Column("change", "change", "change"),
        Column("bits", "bits a weight", "ratio"), Column("plain_bytes", "weights before", "bytes"),
        Column("bytes", "weights", "bytes"), Column("error", "output error", "score"), Column("rtn_error", "of rtn", "score"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    rests: list[ReportedRun] = []
    for run in evidence.runs:
        q = run.result.quantization
        if q.bits_per_weight is None and q.bytes is None:
            continue
        rests.append(run)
        for task in run.tasks:
            before, after = run.unquantized(task), run.score(task, quantized=True)
            change = None if before is None or after is None else after - before
            rows.append((
                run.id, run.arm, task, str(run.result.config.get("quant", "")), before, after, change, q.bits_per_weight,
                plain_bytes(run), q.bytes, q.error, q.rtn_error,
            ))  # fmt: skip
    caption = (
        "Scores on the test split with the same adapters, before: on the unquantized base. The output error is relative, on "
        "dev text, with rtn's beside it."
    )
    return table_of("quantization", "Quantization", caption, columns, rows, rests) if rows else None


def efficiency(evidence: Evidence) -> Table | None:
    """Latency, throughput, memory and energy of every arm, task and stage, on each kind of hardware."""
    columns = (
        Column("arm", "arm"), Column("task", "task"), Column("stage", "stage"), Column("runs", "runs", "count"),
        Column("p50", "p50, ms", "ratio"), Column("p50_low", "fastest run", "ratio"),
        Column("p50_high", "slowest run", "ratio"), Column("p95", "p95, ms", "ratio"),
        Column("tokens", "tokens a window", "ratio"),
        Column("throughput", "tokens/s", "count"), Column("memory", "peak memory", "bytes"),
        Column("device_memory", "device memory", "bytes"), Column("energy", "J per 1,000 tokens", "ratio"),
        Column("counter", "counter"), Column("hardware", "hardware"),
    )  # fmt: skip
    groups: dict[tuple[str, str, str, str], list[ReportedRun]] = {}
    for run in evidence.runs:
        for stage, task in _measured(run):
            groups.setdefault((run.arm, task, stage, hardware(run)), []).append(run)
    rows: list[tuple[Cell, ...]] = []
    for (arm, task, stage, machine), runs in groups.items():
        measured = [run.result.efficiency.get(stage, Efficiency()) for run in runs]
        times = _telling([each.latency.get(task, Latency()) for each in measured], lambda each: each)
        p50s = [1e3 * each.p50 for each in times if each.p50 is not None] if len(runs) > 1 else []
        energy = [each.energy for each in measured if each.energy is not None]
        rows.append((
            arm, task, stage, len(runs), _mean((each.p50 for each in times), 1e3),
            min(p50s, default=None), max(p50s, default=None), _mean((each.p95 for each in times), 1e3),
            _mean(each.tokens for each in times), _mean(_throughput(run).get(stage) for run in runs),
            max((run.result.memory["peak_rss"] for run in runs if "peak_rss" in run.result.memory), default=None),
            max((run.result.memory["peak_device"] for run in runs if "peak_device" in run.result.memory), default=None),
            _mean(each.joules_per_1000_tokens for each in energy),
            ", ".join(dict.fromkeys(str(each.source) for each in energy)), machine,
        ))  # fmt: skip
    caption = (
        "Means over an arm's runs; memory is the largest. The fastest and slowest run say how far p50 varies by chance: models "
        "whose ranges overlap are not told apart. Latency is of one window at batch 1; throughput and energy are of "
        "predicting all of a run's tasks in full batches; memory is the peak of the whole run, training included. Empty: not "
        "measured, or no counter that can be read. A run that had time for few windows is left out of latencies, "
        "unless all had."
    )
    rests = [run for runs in groups.values() for run in runs]
    return table_of("efficiency", "Latency, throughput, memory, energy", caption, columns, rows, rests) if rows else None


def _cloud(points: Sequence[tuple[Stage, float]]) -> list[Mark]:
    """Marks of the mean of every group and, where it has several, of its runs."""
    groups: dict[tuple[str, str], list[tuple[Stage, float]]] = {}
    for stage, x in points:
        groups.setdefault((stage.task, stage.group), []).append((stage, x))
    marks: list[Mark] = []
    for (task, group), members in groups.items():
        marks.append(Mark(fmean(x for _, x in members), fmean(stage.score for stage, _ in members), task, group))
        if len(members) > 1:
            marks += [Mark(x, stage.score, task, group, run=stage.run.id) for stage, x in members]
    return marks


def _ranged(marks: Sequence[Mark]) -> list[Mark]:
    """The marks, means with the range of x over their runs; that of a single run is as wide as the widest, in proportion."""
    ranges: dict[tuple[str, str], list[float]] = {}
    for mark in marks:
        if mark.run:
            ranges.setdefault((mark.panel, mark.group), []).append(float(mark.x))
    if not ranges:
        return [*marks]
    widest = max((max(xs) / min(xs) for xs in ranges.values() if min(xs) > 0), default=1.0)

    def ranged(mark: Mark) -> Mark:
        xs = ranges.get((mark.panel, mark.group), [float(mark.x) / widest, float(mark.x) * widest])
        return mark if mark.run else replace(mark, low=min(xs), high=max(xs))

    return [ranged(mark) for mark in marks]


def _measured(run: ReportedRun) -> list[tuple[str, str]]:
    """Stages and tasks whose latency or throughput was measured."""
    measured = [stage for stage in ("trained", "quantized") if stage in run.result.efficiency or stage in _throughput(run)]
    return [(stage, task) for stage in measured for task in run.tasks]


def _throughput(run: ReportedRun) -> Mapping[str, float]:
    return run.result.training.evaluation_tokens_per_second


def _latency(run: ReportedRun, stage: str, task: str) -> Latency:
    return run.result.efficiency.get(stage, Efficiency()).latency.get(task, Latency())


def _telling(timed: Sequence[Timed], latency: Callable[[Timed], Latency]) -> list[Timed]:
    """Those with enough windows for a 95th percentile, or all where none has: a window or two say little of a median."""
    return [each for each in timed if latency(each).p95 is not None] or list(timed)


def _groups(evidence: Evidence, measured: Sequence[Stage]) -> list[str]:
    return [*dict.fromkeys([*evidence.arms, *(stage.group for stage in measured)])]


def _best(marks: Iterable[Mark], unit: str) -> str:
    best: dict[str, Mark] = {}
    for mark in (mark for mark in marks if not mark.run):
        if mark.panel not in best or float(mark.y) > float(best[mark.panel].y):
            best[mark.panel] = mark
    return "; ".join(
        f"{m.panel}: best {shown(m.y, 'score')} at {shown(m.x, 'ratio')} {unit}{_range(m)} ({m.group})" for m in best.values()
    )


def _range(mark: Mark) -> str:
    return "" if mark.low is None else f", {shown(mark.low, 'ratio')} to {shown(mark.high, 'ratio')} over runs"


def _mean(values: Iterable[float | None], times: float = 1) -> float | None:
    known = [value for value in values if value is not None]
    return times * fmean(known) if known else None
