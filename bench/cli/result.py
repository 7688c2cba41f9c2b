"""A run's result for people: the headline, every stage's scores, the invariants, the costs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from bench.api.architecture import UNMATCHED
from bench.cli.score import interval
from bench.cli.score import report as score_report
from bench.data.faults import listed
from bench.evaluation.clusters import caution
from bench.naming import flatten
from bench.results.schema import Result
from bench.results.scores import FlatScores, interval_by, interval_of, score_of
from bench.screen.terminal import paint
from bench.screen.text import fields, number, wrapped
from bench.wording import some

if TYPE_CHECKING:
    from bench.studies.arms import Run


def summary(result: Result, head: Mapping[str, Any]) -> str:
    """The headline and what it has to be read beside, wrapped at words on a terminal."""
    return wrapped("\n".join([headline(head, result.synthetic), *explanation(result)]), sys.stdout, 9)


def headline(head: Mapping[str, Any], synthetic: bool = False) -> str:
    """The headline in one line, e.g. ``2015-T14 test, quantized: task1.strict.f1 .612 [.580, .641]``."""
    bounds = interval(head.get("ci95"))
    label = "  SYNTHETIC data: not a result about the real corpus" if synthetic else ""
    text = f"{head['task']} {head['split']}, {head['stage']}: {head['metric']} {number(head['value'])} {bounds}".rstrip()
    return f"{paint(text, 'bold')}{paint(label, 'yellow')}"


def explanation(result: Result) -> list[str]:
    """What the headline has to be read beside: all mentions found, discontiguous ones, concepts, what needs no training."""
    task, metric = result.headline.task, result.headline.metric
    scores, linked = result.scores[task], result.concepts.get(task)
    group = metric.rpartition(".")[0].rpartition(".")[0]
    beside, last = f"{group}." if group else "", scores.stages.get(result.headline.stage)
    pieces = f"{beside}discontiguous.f1"
    dictionary = score_of(scores.baselines.get("dictionary"), metric)
    others = () if result.macro is None else (row for row in result.macro.tasks if row.task != task)
    held = {f"{row.task}, {row.metric}": row.value for row in others} | {
        "mentions alone, without concepts": None
        if metric.endswith("span_only.f1")
        else score_of(last, f"{beside}span_only.f1"),
        _of_few("discontiguous mentions", last, pieces): score_of(last, pieces)
        if _any(last, f"{beside}discontiguous")
        else None,
        "concepts right of mentions found": None if linked is None else linked.found.accuracy,
        _of_dictionary(result.headline.value, dictionary): dictionary,
    }
    lines = [f"  {number(value):>5}  {what}" for what, value in held.items() if value is not None]
    unit = result.units.get(task)
    if unit is not None and (careful := caution(unit.name, unit.test, unit.design_effect)):
        lines.append(f"         {careful}")
    if not result.matched:
        lines.append(f"         {UNMATCHED}: {result.config.get('arch')} is held to no other arm's number of parameters")
    if result.synthetic:
        lines.append(f"         made-up notes; the real corpus: --data {task}=DIR (bench show task {task})")
    return lines


def _of_dictionary(score: float, dictionary: float | None) -> str:
    """What the dictionary's score is of, and what a model that does not reach it wants."""
    below = "; the model is below it: train longer, --tokens N" if dictionary is not None and score < dictionary else ""
    return f"a dictionary of the training mentions, by the same metric{below}"


def _of_few(what: str, scores: FlatScores | None, name: str) -> str:
    """What a score is of, with its interval where that comes from few items."""
    few = interval_by(scores, name) != "bootstrap"
    return f"{what} {interval(interval_of(scores, name))}, of few" if few else what


def _any(scores: FlatScores | None, group: str) -> bool:
    """Whether gold has any of a group, as far as its counts say."""
    counts = [score_of(scores, f"{group}.{name}") for name in ("tp", "fn")]
    return None in counts or any(counts)


def report(run: Run) -> str:
    """All of a result that fits a screen or two, and the run's folder."""
    result, standing = run.result, run.standing
    config, record = result.config, result.to_json()
    lines = [f"{paint(result.id, 'bold')}  {run.folder}"]
    if standing.changed:
        lines.append(paint(f"CHANGED since it was written: {', '.join(standing.changed)}", "red"))
        lines.append(f"what still holds: bench verify {quote(str(run.folder))}; comparisons refuse this run")
    if result.waivers:
        lines.append(paint(f"waived: {', '.join(result.waivers)}; comparisons refuse this run", "yellow"))
    if not result.matched:
        lines.append(paint(f"{UNMATCHED}; comparisons refuse this run unless --allow parameters is given", "yellow"))
    leaking = [f"{task} {counts['allowed']}" for task, counts in result.leaks.items() if counts["allowed"]]
    if leaking:
        lines.append(paint(f"documents in two splits, allowed: {', '.join(leaking)}; comparisons refuse this run", "yellow"))
    for task, counts in result.left_out.items():
        lines.append(paint(f"faulty lines of {task} left out, as tolerated: {listed(counts)}", "yellow"))
    if result.imported is not None:
        lines.append(paint("imported: bench did not run this system; comparisons want --allow imported", "yellow"))
    lines += [summary(result, record["headline"]), ""]
    keys = ("task", "arch", "rank", "quant", "model", "seed", "replicate") if result.imported is None else ("task", "seed")
    lines += [fields({key: _text(config[key]) for key in keys if key in config})]
    for task, stages in record["scores"].items():
        for stage, scores in stages.items():
            if isinstance(scores, Mapping) and scores:
                lines += ["", paint(f"{task}, {stage}", "bold"), score_report(scores)]
    sections = ("invariants", "quantization", "timings", "memory") if result.imported is None else ("imported",)
    for section in (*sections, "hashes", "versions", "hardware", "git"):
        if content := record[section]:
            lines += ["", paint(section, "bold"), fields({k: _text(v) for k, v in flatten(content).items()}, indent="  ")]
    if standing.manifest == "older" and not standing.changed and result.imported is None:
        lines += ["", paint(str(standing), "dim")]
    return "\n".join(lines)


def _text(value: Any) -> str:
    if value is None:
        return ""
    # Long lists (loss curves, tables) are what the JSON is for.
    if isinstance(value, list) and (len(value) > 8 or any(isinstance(item, (list, Mapping)) for item in value)):
        return f"{some(len(value), 'entry')}, in result.json"
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(item) for item in value)
    return number(value)


def next_commands(folder: Path, behind: bool = False) -> str:
    """The commands that a user is likely to type after a run, each with what it does; `sync` where a tracker is behind."""
    commands = {f"bench show run {quote(str(folder))}": "all scores, invariants and hashes"}
    if behind:
        commands[f"bench sync {quote(str(folder))}"] = "bring the trackers up to date"
    width = max(map(len, commands))
    return "\n".join(f"  {paint(command.ljust(width), 'cyan')}  {why}" for command, why in commands.items())
