"""What tasks do to one another: the matrix of gain and harm, and whether alike tasks gain more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from bench.pages.collect import Evidence, Run
from bench.pages.content import Cell, Column, Figure, Mark, Table, shown
from bench.pages.figures import figure_of
from bench.pages.tables import table_of

HELD = {"at_total": "against alone, equal total", "at_own": "against alone, own share"}
"""What a pair is held against."""
ALIKE = {"labels": "labels (Jaccard)", "vocabulary": "vocabulary (1 − Jensen–Shannon)"}
"""Kinds of similarity, and how they are told."""
NONE = "not defined: fewer than three tasks, or nothing varies"


def transfer(evidence: Evidence) -> Figure | None:
    """Gain of training a task with others over training it alone, by what it was trained with."""
    pairs = _pairs(evidence)
    if pairs:
        judged = [
            Mark(p["task"], p["partner"], panel, value=p[name]["difference"]) for name, panel in HELD.items() for p in pairs
        ]
        told = "; ".join(f"{m.x} with {m.y}, {m.panel}: {shown(m.value, 'change')}" for m in judged)
        return figure_of(
            evidence, "transfer", "Gain and harm", "Score with a partner less the score alone, mean over seeds.",
            f"Gain of a task from a partner. {told}.", "heat", "scored on", "trained with", judged, (),
        )  # fmt: skip
    scores: dict[tuple[str, tuple[str, ...], str], list[float]] = {}
    used: list[Run] = []
    for run in evidence.runs:
        for task in run.tasks:
            if (value := run.score(task)) is not None:
                others = tuple(other for other in run.tasks if other != task)
                scores.setdefault((_recipe(run), others, task), []).append(value)
    marks: list[Mark] = []
    for (recipe, others, task), values in scores.items():
        alone = scores.get((recipe, (), task))
        if others and alone:
            marks.append(Mark(task, " + ".join(others), recipe, value=fmean(values) - fmean(alone)))
            used += [run for run in evidence.of(task) if _recipe(run) == recipe]
    if not marks:
        return None
    if len({m.panel for m in marks}) == 1:
        marks = [Mark(m.x, m.y, value=m.value) for m in marks]
    says = "; ".join(f"{m.x} with {m.y}: {shown(m.value, 'change')}" for m in marks)
    return figure_of(
        evidence, "transfer", "Gain from training together",
        "Mean score with the other task less mean score alone, of the same architecture, model and quantizer. Tokens may "
        "differ: only a token-control study tells transfer from exposure.",
        f"Gain of a task from training with another. {says}.", "heat", "scored on", "trained with", marks, (), used,
    )  # fmt: skip


def similarity(evidence: Evidence) -> Figure | None:
    """Gain of each pair of a transfer study against how alike its tasks are, a plot a kind of similarity."""
    pairs = _pairs(evidence)
    kinds = dict.fromkeys(kind for pair in pairs for kind in pair.get("similarity", ()))
    if not kinds:
        return None
    marks = [
        Mark(p["similarity"][kind], p["at_own"]["difference"], ALIKE.get(kind, kind), p["task"], run=f"with {p['partner']}")
        for kind in kinds
        for p in pairs
    ]
    told = "; ".join(f"{kind}: {_rho(found)}" for kind, found in _spearman(evidence).items())
    points = "; ".join(f"{m.group} {m.run}, {m.panel} {shown(m.x, 'score')}: {shown(m.y, 'change')}" for m in marks)
    return figure_of(
        evidence, "similarity", "Gain by similarity",
        f"Score with a partner less the score alone on its own share, against how alike the two are. Spearman: {told}.",
        f"Gain against similarity. {points}.", "points", "similarity", "gain over alone", marks,
        [*dict.fromkeys(m.group for m in marks)], zero=True,
    )  # fmt: skip


def matrix(evidence: Evidence) -> Table | None:
    """Every ordered pair of a transfer study: what the partner did to the task, and how alike they are."""
    pairs = _pairs(evidence)
    kinds = [*dict.fromkeys(kind for pair in pairs for kind in pair.get("similarity", ()))]
    columns = (
        Column("task", "task"), Column("partner", "trained with"),
        *(Column(name, f"gain {words}", "change") for name, words in HELD.items()),
        *(Column(kind, ALIKE.get(kind, kind), "score") for kind in kinds),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (p["task"], p["partner"], *(p[name]["difference"] for name in HELD), *(p["similarity"][kind] for kind in kinds))
        for p in pairs
    ]
    caption = (
        "Score with the partner less the score alone: on as many tokens in all (equal total), and on as many of its own (own "
        "share); intervals are in the table of differences. Similarity is of the training splits."
    )
    return table_of("transfer", "Transfer by pair", caption, columns, rows, evidence.runs) if rows else None


def spearman(evidence: Evidence) -> Table | None:
    """Rank correlation of the gain with similarity."""
    columns = (
        Column("similarity", "similarity"), Column("rho", "Spearman’s ρ", "change"), Column("p", "p", "p"),
        Column("n", "ordered pairs", "count"), Column("note", "note"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (ALIKE.get(kind, kind), found.get("rho"), found.get("p"), found.get("n"), "" if found.get("rho") is not None else NONE)
        for kind, found in _spearman(evidence).items()
    ]
    caption = (
        "Of the gain over the task alone on its own share with how alike the tasks are. Pairs that share a task are not "
        "independent: p, two-sided, comes from giving the tasks each other's names."
    )
    return table_of("spearman", "Transfer and similarity", caption, columns, rows, evidence.runs) if rows else None


def _rho(found: Mapping[str, Any]) -> str:
    if found.get("rho") is None:
        return f"{NONE} ({found.get('n')} pairs)"
    return f"ρ {shown(found['rho'], 'change')}, p {shown(found.get('p'), 'p')}, {found.get('n')} pairs"


def _pairs(evidence: Evidence) -> Sequence[Mapping[str, Any]]:
    verdict = None if evidence.study is None else evidence.study.verdict
    return [] if verdict is None else verdict.get("pairs", [])


def _spearman(evidence: Evidence) -> Mapping[str, Mapping[str, Any]]:
    verdict = None if evidence.study is None else evidence.study.verdict
    return {} if verdict is None else verdict.get("spearman", {})


def _recipe(run: Run) -> str:
    config = run.result.config
    words = [str(config.get("arch")), str(config.get("model"))]
    return ", ".join(words + [str(config["quant"])] * (config.get("quant") not in (None, "none")))
