"""Finished runs made up from a seed: folders as `bench run` leaves them. Their scores are no results."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from bench.api.data import Document
from bench.api.study import StudyRun
from bench.config import RunConfig, from_mapping
from bench.naming import flatten
from bench.registry import load
from bench.results.invariants import Account, ArmParameters, Batch, Checkpoint, Invariants, Parity, Smoke, Tokens
from bench.results.layout import INFO, JOURNAL
from bench.results.schema import Headline, Quantization, Result, TaskScores
from bench.results.scores import interval_of, score_of
from bench.results.statistics import Statistics, write_statistics
from bench.results.store import write_json, write_result
from bench.stats.intervals import Estimate
from bench.studies.study import Study
from bench.studies.verdict import TaskVerdict, Verdict

ARCHS = ("A1", "A2", "A3", "A4")
PARAMETERS = 22_565_376
BITS = {"int8": 8.1, "nf4": 4.5, "rtn": 4.5, "gptq": 4.5, "awq": 4.6}
LOST = {"int8": 0.002, "nf4": 0.008, "rtn": 0.03, "gptq": 0.012, "awq": 0.014}
"""What quantizing takes from a score."""
AT_LOAD = ("int8", "nf4")


@dataclass(frozen=True)
class Made:
    """What a made-up run is to be.

    Args:
        tasks: it trains.
        arch: architecture.
        seed: of the run; decides its noise.
        quant: quantizer; with one the result holds scores before and after.
        gain: added to its score.
        tokens: budget.
        steps: lines of its journal that are updates.
        synthetic: whether it says that its text was generated.
        evaluated: whether it has calibration, errors by kind and sort, the funnel of gold, efficiency and overlap.
        documents: of the test split, whose statistics are saved so that runs can be compared; of tasks with mentions only.
        extra: more keys of the result.
    """

    tasks: tuple[str, ...] = ("ncbi-disease",)
    arch: str = "A1"
    seed: int = 0
    quant: str = "none"
    gain: float = 0.0
    tokens: int = 60_000
    steps: int = 30
    synthetic: bool = True
    evaluated: bool = True
    documents: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """As a run's: tasks, arm, quantizer and twelve hex digits."""
        digits = random.Random(repr((self.tasks, self.arch, self.seed, self.quant, self.tokens))).getrandbits(48)
        return f"{'+'.join(self.tasks)}_{self.arch}_{self.quant}_{digits:012x}".lower()

    @property
    def config(self) -> dict[str, Any]:
        """Of the run, JSON-able."""
        made = RunConfig(
            task=self.tasks, arch=self.arch, seed=self.seed, quant=self.quant, model="tiny-bert", tokens=self.tokens
        )
        resolved = {"device": "cpu", "precision": "fp32", "lr": 1e-3, "head": dict.fromkeys(self.tasks, "span")}
        resolved |= {"quant_when": None if self.quant == "none" else "load" if self.quant in AT_LOAD else "after"}
        return made.as_json() | {"resolved": resolved | {"model": {"name": "tiny-bert", "sha256": "cd" * 32}}}


def grid(count: int, **common: Any) -> list[Made]:
    """So many runs over four architectures: as many seeds as it takes."""
    return [Made(arch=ARCHS[i % 4], seed=i // 4, gain=0.02 * (i % 4), **common) for i in range(count)]


def make(out: Path, runs: Sequence[Made]) -> list[Path]:
    """Writes their folders and returns them."""
    return [_make(out / run.id, run) for run in runs]


def token_control(
    out: Path, seeds: int = 6, tasks: tuple[str, str] = ("ncbi-disease", "bc5cdr"), unfinished: int = 0, documents: int = 0
) -> Study:
    """A study of token control whose runs and verdict are made up.

    Args:
        out: the folder of runs.
        seeds: of it.
        tasks: of it.
        unfinished: how many of its runs have no result; with any there is no verdict.
        documents: of the test split, whose statistics are saved.
    """
    runs: list[StudyRun] = []
    for seed in range(seeds):
        planned: list[tuple[str, str | None, Made]] = [("multi", None, Made(tasks, seed=seed, gain=0.05, documents=documents))]
        planned += [("total", task, Made((task,), seed=seed, gain=0.01, documents=documents)) for task in tasks]
        planned += [("share", task, Made((task,), seed=seed, tokens=30_000, documents=documents)) for task in tasks]
        for role, task, made in planned:
            key = f"{task}-{role}-s{seed}" if task else f"{role}-s{seed}"
            config = _planned(made)
            done = len(runs) < 5 * seeds - unfinished
            runs.append(StudyRun(key, role, task, seed, made.arch, config, run=made.id if done else None))
            if done:
                make(out, [made])
    known = Estimate(0.041, seeds, 500, 0.028, 0.054, p=0.0008, p_holm=0.0016, detectable=0.02)
    even = replace(known, difference=0.002, low=-0.006, high=0.01, p=0.61, p_holm=0.61)
    first = TaskVerdict(tasks[0], "genuine transfer", "It beats the task alone at equal total by +.041.", "strict.f1",
                        0.65, 0.61, 0.6, known, known)  # fmt: skip
    second = TaskVerdict(tasks[1], "data exposure", "It beats the task alone on its own tokens; at "
                         "equal total the two are equivalent within .010.", "strict.f1", 0.65, 0.648, 0.6, even,
                         known)  # fmt: skip
    verdict = (
        None if unfinished else Verdict((first, second)).to_json() | {"split": "test", "differences": [], "kind_version": "2"}
    )
    study = Study(out, "token-control", "made-up", {"seeds": seeds}, runs, verdict)
    study.save()
    return study


def transfer(out: Path, seeds: int = 2, tasks: Sequence[str] = ("ncbi-disease", "bc5cdr", "bc2gm")) -> Study:
    """A study of transfer whose runs and verdict are made up."""
    runs: list[StudyRun] = []
    ordered = [(task, partner) for task in tasks for partner in tasks if task != partner]
    for seed in range(seeds):
        planned: list[tuple[str, tuple[str, ...], Made]] = []
        planned += [("single", (task,), Made((task,), seed=seed, tokens=30_000)) for task in tasks]
        planned += [("total", (task,), Made((task,), seed=seed, gain=0.01)) for task in tasks]
        planned += [("pair", pair, Made(pair, seed=seed, gain=0.03)) for pair in ordered if pair == tuple(sorted(pair))]
        for role, names, made in planned:
            make(out, [made])
            key, task = f"{'+'.join(names)}-{role}-s{seed}", names[0] if len(names) == 1 else None
            runs.append(StudyRun(key, role, task, seed, made.arch, _planned(made), run=made.id))
    pairs = []
    for i, (task, partner) in enumerate(ordered):
        gain = 0.03 - 0.012 * i
        own = Estimate(gain, seeds, 500, gain - 0.01, gain + 0.01, p=0.004, p_holm=0.02, detectable=0.02).to_json()
        total = Estimate(gain - 0.01, seeds, 500, gain - 0.02, gain, p=0.02, p_holm=0.04, detectable=0.02).to_json()
        alike = {"labels": 0.5 - 0.08 * i, "vocabulary": 0.7 - 0.05 * i}
        pairs.append({"task": task, "partner": partner, "first": "alone", "second": f"with {partner}", "at_own": own,
                      "at_total": total, "similarity": alike})  # fmt: skip
    spearman = {"labels": {"rho": 0.9, "p": 1 / 6, "n": len(pairs)}, "vocabulary": {"rho": None, "p": None, "n": len(pairs)}}
    verdict = {"split": "test", "metrics": dict.fromkeys(tasks, "strict.f1"), "pairs": pairs, "spearman": spearman}
    verdict |= {"differences": [], "kind_version": "2"}
    study = Study(out, "transfer", "made-up-transfer", {"seeds": seeds}, runs, verdict)
    study.save()
    return study


def _planned(run: Made) -> RunConfig:
    return from_mapping({key: value for key, value in run.config.items() if key != "resolved"}, "made up")


def _make(folder: Path, run: Made) -> Path:
    chance = random.Random(run.id)
    scores = {task: _task(folder, task, run, chance) for task in run.tasks}
    last: Any = "trained" if run.quant == "none" else "quantized"
    primary = {task: score_of(scores[task].last, "strict.f1") or 0.0 for task in run.tasks}
    first = run.tasks[0]
    share = run.tokens // len(run.tasks)
    counts = {"tokens": share, "padded": share // 40, "supervised": share // 2, "examples": share // 28, "updates": run.steps,
              "flops": share * 760_000}  # fmt: skip
    fused = {"A4": 8_192}
    rows: list[dict[str, Any]] = [{"arm": arm, "adapters": 28_672 - 100 * i - fused.get(arm, 0), "fusion": fused.get(arm, 0),
             "heads": 41_152 * len(run.tasks), "total": 28_672 - 100 * i + 41_152 * len(run.tasks), "ratio": 1 - i / 280,
             "ratio_all": 1 - i / 700, "active": {}, "ranks": {}} for i, arm in enumerate(ARCHS)]  # fmt: skip
    extra: dict[str, Any] = {"plan": {"model": {"name": "tiny-bert", "parameters": PARAMETERS, "plumbing_only": True}}}
    if len(run.tasks) > 1:
        pair = {"tasks": list(run.tasks[:2]), "updates": run.steps, "conflicts": run.steps // 3}
        pair |= {"conflict_frequency": (run.steps // 3) / run.steps, "mean_cosine": 0.15}
        extra["together"] = {"gradients": {"kind": "plain", "pairs": [pair]}}
        tasks = [{"task": t, "metric": "strict.f1", "value": primary[t]} for t in run.tasks]
        extra["macro"] = {"split": "test", "stage": last, "mean": sum(primary.values()) / len(primary), "tasks": tasks}
    if run.evaluated:
        extra["calibration"] = {task: {"trained": {"mentions": _calibration(chance)}} for task in run.tasks}
        extra["errors"] = {task: {"trained": _errors(chance)} for task in run.tasks}
        extra["funnel"] = {task: {"trained": _funnel(chance)} for task in run.tasks}
        extra["efficiency"] = {stage: _efficiency(run, stage, chance) for stage in ("trained", last)}
        extra["overlap"] = {task: _overlap() for task in run.tasks}
        extra["training"] = {
            "evaluation_tokens_per_second": {stage: 1_100 + 90 * chance.random() for stage in ("trained", last)}
        }
    q = Quantization()
    if run.quant != "none":
        bits = BITS[run.quant]
        q = Quantization(bits, int(PARAMETERS * 4 * (0.45 + 0.55 * bits / 32)), 0.22, 0.31)
    result = Result(
        id=run.id, config=run.config, scores=scores,
        headline=Headline(first, "test", last, "strict.f1", primary[first], interval_of(scores[first].last, "strict.f1")),
        invariants=Invariants(
            Tokens(total=run.tokens, budget=run.tokens, tasks=dict.fromkeys(run.tasks, Account(**counts))),
            Parity(arm=run.arch, rule=0.95, rows=tuple(ArmParameters(**row) for row in rows)),
            Smoke(curve={task: [chance.random() for _ in range(50)] for task in run.tasks}),
            Batch(micro_batch=2048, limit=2**33, peak=None, binds="user", longest=64), Checkpoint(),
        ),
        quantization=q, timings={"training": 60 + 20 * chance.random()}, memory={"peak_rss": 900 << 20},
        hashes={"data": dict.fromkeys(run.tasks, "ab" * 32), "model": "cd" * 32, "config": run.id[-12:]},
        versions={"python": "3.11.7", "bench-suite": "0.1.0", "torch": "2.13.0",
                  "parts": {f"task {t}": _scorer(t)[0] if run.documents else "1" for t in run.tasks}},
        hardware={"cpu": "made up", "cores": 2, "gpu": None}, git={"commit": "12" * 20, "dirty": False}, waivers=(),
        synthetic=run.synthetic,
    )  # fmt: skip
    result = Result.from_json(result.to_json() | extra | dict(run.extra))
    write_json(folder / INFO, {"id": run.id, "config": run.config}, durable=False)
    (folder / JOURNAL).write_text("".join(_journal(run, chance)), encoding="utf-8")
    write_result(folder, result)
    return folder


def _task(folder: Path, task: str, run: Made, chance: random.Random) -> TaskScores:
    value = 0.6 + run.gain + chance.gauss(0, 0.012)
    stages = {"trained": value} | ({} if run.quant == "none" else {"quantized": value - LOST[run.quant]})
    made = {stage: _scores(value, chance) for stage, value in stages.items()}
    for stage, one in made.items() if run.documents else ():
        one |= _documents(folder, task, stage, stages[stage], run.documents, chance)
    baselines = {"dictionary": _scores(0.4, chance)}
    if run.quant in AT_LOAD:
        baselines["unquantized"] = _scores(value + 0.004, chance)
    return TaskScores(made["trained"], made.get("quantized"), {"trained": made["trained"]}, baselines)


def _scores(value: float, chance: random.Random) -> dict[str, Any]:
    def one(f1: float) -> dict[str, Any]:
        counts = {"tp": 300, "fp": 100, "fn": 100 + chance.randrange(9)}
        return {**counts, "precision": f1, "recall": f1, "f1": f1, "f1.ci95": (f1 - 0.03, f1 + 0.03)}

    types = {f"type-{i}": one(value) for i in range(8)}
    return flatten({"strict": one(value), "discontiguous": one(value / 2), "by_type": types})


def _documents(folder: Path, task: str, stage: str, value: float, count: int, chance: random.Random) -> dict[str, float]:
    """Saves statistics of documents, as hard in every run, with about this F, and returns the scores that they give."""
    rows = []
    for index in range(count):
        document = random.Random(f"{task} {index}")
        gold, ease = document.randrange(2, 9), document.gauss(0, 0.1)
        found = sum(chance.random() < value + ease for _ in range(gold))
        rows.append({"strict.tp": float(found), "strict.fp": float(gold - found), "strict.fn": float(gold - found)})
    every = dict.fromkeys(_scorer(task)[1], 0.0)
    made = Statistics.of(task, "test", stage, [f"d{i}" for i in range(count)], [every | row for row in rows])
    write_statistics(folder, made)
    return flatten(load().get("tasks", task).summarise(made.sums()))


@cache
def _scorer(task: str) -> tuple[str, tuple[str, ...]]:
    """Version of a task's scorer, and the names of its statistics."""
    found = load().get("tasks", task)
    return str(found.version), tuple(found.statistics([Document("d", "")], [Document("d", "")])[0])


def _calibration(chance: random.Random) -> dict[str, Any]:
    bins = [{"low": i / 10, "high": (i + 1) / 10, "count": 40, "confidence": i / 10 + 0.05,
             "right": max(0.0, i / 10 - 0.02 + 0.04 * chance.random())} for i in range(10)]  # fmt: skip
    ece = sum(abs(b["confidence"] - b["right"]) for b in bins) / 10
    curve = [{"coverage": i / 20, "threshold": 1 - i / 20, "right": 0.95 - 0.5 * (i / 20) ** 2 + 0.02 * chance.random(),
              "recall": 0.6 * i / 20, "f1": 0.6 * i / 20} for i in range(1, 21)]  # fmt: skip
    return {"predictions": 400, "right": 0.45, "confidence": 0.5, "brier": 0.2, "ece": {"equal_width": ece, "equal_mass": ece},
            "reliability": {"equal_width": bins, "equal_mass": bins},
            "abstention": {"curve": curve, "risk_area": 0.22 + 0.02 * chance.random()}}  # fmt: skip


def _errors(chance: random.Random) -> dict[str, Any]:
    gold = {"correct": 300, "missed": 60 + chance.randrange(20), "boundary": 25, "type": 9, "split": 3, "merged": 2}
    sorts = {"length": ("1", "2", "3-4", "5+"), "training": ("0", "1", "2-5", "6+"), "fragments": ("1", "2+"),
             "abbreviation": ("no", "yes"), "negated": ("no", "yes")}  # fmt: skip

    def group(place: int) -> dict[str, dict[str, int]]:
        found = 70 - 11 * place + chance.randrange(9)
        return {"gold": {"correct": found, "boundary": 6, "missed": 14 + 9 * place},
                "predicted": {"correct": found, "boundary": 6, "spurious": 12 + chance.randrange(5)}}  # fmt: skip

    by = {sort: {name: group(place) for place, name in enumerate(names)} for sort, names in sorts.items()}
    return {"gold": gold, "predicted": {"correct": 300, "spurious": 40, "boundary": 25, "type": 9}, "by": by}


def _funnel(chance: random.Random) -> dict[str, Any]:
    def stages(mentions: int, pieces: int, least: float) -> dict[str, dict[str, int]]:
        gold = {"fragments": mentions * pieces, "links": mentions * (pieces - 1), "candidates": mentions, "accepted": mentions}
        kept = dict(zip(gold, sorted((chance.uniform(least, 1) for _ in gold), reverse=True), strict=True))
        return {stage: {"gold": count, "reached": int(count * kept[stage])} for stage, count in gold.items()}

    one, several = stages(360, 1, 0.8), stages(40, 2, 0.2)
    total = {stage: {key: one[stage][key] + several[stage][key] for key in ("gold", "reached")} for stage in one}
    return {**total, "by": {"fragments": {"1": one, "2+": several}}}


def _efficiency(run: Made, stage: str, chance: random.Random) -> dict[str, Any]:
    p50 = (0.009 if run.arch == "A4" else 0.005) * (1 + 0.3 * (stage == "quantized")) * (1 + 0.1 * chance.random())
    one = {"p50": p50, "p95": 1.6 * p50, "windows": 50, "tokens": 36.5}
    energy = {"source": "rapl", "joules": 900.0, "tokens": 60_000, "joules_per_1000_tokens": 15.0}
    return {"latency": dict.fromkeys(run.tasks, one), "energy": energy}


def _overlap() -> dict[str, dict[str, int]]:
    clean = {"documents": 100, "exact": 0, "touched": 1, "grams": 20_000, "shared": 12}
    return {"dev-train": clean, "test-train": clean | {"exact": 2, "touched": 5, "shared": 260}, "test-dev": clean}


def _journal(run: Made, chance: random.Random) -> list[str]:
    lines: list[str] = []

    def add(kind: str, step: int | None, values: Mapping[str, Any]) -> None:
        record = {"seq": len(lines), "time": 1.8e9 + len(lines), "kind": kind, "step": step, "values": values}
        lines.append(json.dumps(record, separators=(",", ":")) + "\n")

    add("start", None, {"id": run.id, "config": run.config})
    for step in range(1, run.steps + 1):
        seen = run.tokens * step // run.steps
        counts = {"tokens": seen // len(run.tasks), "padded": seen // 40, "supervised": seen // 2, "examples": seen // 28}
        loss = {task: 1.2 * (0.25 + 0.75 * 0.9 ** (60 * step / run.steps)) + chance.gauss(0, 0.05) for task in run.tasks}
        add(
            "step",
            step,
            {"loss": loss, "gradient_norm": 0.6, "lr": 1e-3, "micro_batches": 2, "ledger": dict.fromkeys(run.tasks, counts)},
        )
        if step % max(1, run.steps // 5) == 0:
            scores = dict.fromkeys(run.tasks, (0.6 + run.gain) * (1 - 0.7 ** (10 * step / run.steps)))
            add("eval", step, {"split": "dev", "tokens": seen, "scores": scores | {"mean": 0.5}})
    add("end", run.steps, {})
    return lines
