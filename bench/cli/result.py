"""A run's result for people: the headline, every stage's scores, the invariants, the costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from bench.api.architecture import UNMATCHED
from bench.cli.score import interval
from bench.cli.score import report as score_report
from bench.data.faults import listed
from bench.results.schema import pick
from bench.screen.terminal import paint
from bench.screen.text import fields, number


def headline(found: Mapping[str, Any], synthetic: bool = False) -> str:
    """The headline in one line, e.g. ``2015-T14 test, quantized: task1.strict.f1 .612 [.580, .641]``."""
    bounds = interval(found.get("ci95"))
    label = "  SYNTHETIC data: not a result about the real corpus" if synthetic else ""
    text = f"{found['task']} {found['split']}, {found['stage']}: {found['metric']} {number(found['value'])} {bounds}".rstrip()
    return f"{paint(text, 'bold')}{paint(label, 'yellow')}"


def explanation(result: Mapping[str, Any]) -> list[str]:
    """What the headline has to be read beside: mentions found at all, discontiguous ones, concepts, and what needs no training.

    Args:
        result: `result.json` as read.
    """
    found = result["headline"]
    task, metric = found["task"], found["metric"]
    by_task = result.get("scores", {}).get(task, {})
    scores = by_task.get(found["stage"])
    concepts = result.get("concepts")
    group = metric.rpartition(".")[0].rpartition(".")[0]
    linked = concepts.get(task) if isinstance(concepts, Mapping) else None
    beside = f"{group}." if group else ""
    held = {
        "mentions alone, without concepts": None if metric.endswith("span_only.f1") else pick(scores, f"{beside}span_only.f1"),
        "discontiguous mentions": pick(scores, f"{beside}discontiguous.f1"),
        "concepts right of mentions found": pick(linked or {}, "found.accuracy"),
        "a dictionary of the training mentions, by the same metric": pick(by_task, f"baselines.dictionary.{metric}"),
    }
    lines = [f"  {number(value):>5}  {what}" for what, value in held.items() if value is not None]
    if not result.get("matched", True):
        lines.append(
            f"         {UNMATCHED}: {result.get('config', {}).get('arch')} is held to no other arm's number of parameters"
        )
    if _any(result.get("synthetic")):
        lines.append(f"         made-up notes; the real corpus: --data {task}=DIR (bench show task {task})")
    return lines


def report(result: Mapping[str, Any], folder: Path) -> str:
    """All of a result that fits a screen or two.

    Args:
        result: `result.json` as read.
        folder: the run's folder.
    """
    config = result.get("config", {})
    synthetic = result.get("synthetic")
    lines = [f"{paint(result['id'], 'bold')}  {folder}"]
    waived = result.get("waivers") or []
    if waived:
        lines.append(paint(f"waived: {', '.join(waived)}; comparisons refuse this run", "yellow"))
    if not result.get("matched", True):
        lines.append(paint(f"{UNMATCHED}; comparisons refuse this run unless --allow parameters is given", "yellow"))
    leaking = [f"{task} {told['allowed']}" for task, told in result.get("leaks", {}).items() if told["allowed"]]
    if leaking:
        lines.append(paint(f"documents in two splits, allowed: {', '.join(leaking)}; comparisons refuse this run", "yellow"))
    for task, counts in result.get("left_out", {}).items():
        lines.append(paint(f"faulty lines of {task} left out, as tolerated: {listed(counts)}", "yellow"))
    lines += [headline(result["headline"], _any(synthetic)), *explanation(result), ""]
    keys = ("task", "arch", "rank", "quant", "model", "seed", "replicate")
    lines += [fields({key: _text(config[key]) for key in keys if key in config})]
    for task, stages in result.get("scores", {}).items():
        for stage, scores in stages.items():
            if isinstance(scores, Mapping):
                lines += ["", paint(f"{task}, {stage}", "bold"), score_report(scores)]
    for section in ("invariants", "quantization", "timings", "memory", "hashes", "versions", "hardware", "git"):
        content = result.get(section)
        if content:
            lines += ["", paint(section, "bold"), fields(_flatten(content), indent="  ")]
    return "\n".join(lines)


def _flatten(node: Any, prefix: str = "") -> dict[str, str]:
    if isinstance(node, Mapping):
        flat: dict[str, str] = {}
        for key, value in node.items():
            flat |= _flatten(value, f"{prefix}.{key}" if prefix else str(key))
        return flat
    # Long lists (loss curves, tables) are what the JSON is for.
    if isinstance(node, list) and (len(node) > 8 or any(isinstance(item, (list, Mapping)) for item in node)):
        return {prefix or "items": f"{len(node)} entries, in result.json"}
    return {prefix or "value": _text(node)}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(item) for item in value)
    return number(value)


def _any(synthetic: Any) -> bool:
    return any(synthetic.values()) if isinstance(synthetic, Mapping) else bool(synthetic)


def next_commands(folder: Path) -> str:
    """The commands that a user is likely to type after a run, each with what it does."""
    commands = {
        f"bench show run {quote(str(folder))}": "all scores, invariants and hashes",
        f"bench sync {quote(str(folder))}": "bring trackers up to date, should one have been down",
    }
    width = max(map(len, commands))
    return "\n".join(f"  {paint(command.ljust(width), 'cyan')}  {why}" for command, why in commands.items())
