"""The funnel: gold mentions that pass each stage of a head with proposals, where results have it."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from bench.pages.collect import Evidence, ReportedRun, rests
from bench.pages.content import Cell, Column, Figure, Table, in_words
from bench.pages.errors import BARS, SORTS
from bench.pages.evaluation import last_stage
from bench.pages.verdicts import mean_mark
from bench.results.evidence import FunnelStages, GoldFunnel, Reached

STAGES = {
    "fragments": "fragments proposed", "links": "links proposed", "candidates": "candidate built", "accepted": "accepted",
}  # fmt: skip
"""Stage to its label, in order."""
PIECES = {"1": "1 piece", "2+": "2+ pieces"}


def funnel(evidence: Evidence) -> Figure | None:
    """Share of gold at each stage, for contiguous and discontiguous mentions: one plot a task, one colour an arm."""
    reached: dict[tuple[str, str, str, str], list[Reached]] = {}
    used: list[ReportedRun] = []
    for run, task, sort, group, stages in _by_group(evidence):
        if sort == "fragments":
            used.append(run)
            for stage in STAGES:
                if (counts := getattr(stages, stage)).gold:
                    reached.setdefault((task, group, stage, run.arm), []).append(counts)
    if not reached:
        return None
    places = [(t, g, s, a) for t in evidence.tasks for g in PIECES for s in STAGES for a in evidence.arms]
    marks = [
        mean_mark(
            [counts.reached / counts.gold for counts in reached[task, group, stage, arm]],
            fmean(counts.gold for counts in reached[task, group, stage, arm]),
            *(f"{PIECES[group]}: {STAGES[stage]}", task, arm),
        )
        for task, group, stage, arm in places
        if (task, group, stage, arm) in reached
    ]
    arms = tuple(arm for arm in evidence.arms if any(arm == m.group for m in marks))
    return Figure(
        "funnel", "How far gold mentions come", "Share of gold at each stage of the head, of mentions in one piece and of "
        f"discontiguous ones: where it falls, gold is lost. Means over an arm's runs. {BARS}",
        f"Share of gold at each stage. {in_words(marks)}.", "intervals", "share of gold", "", tuple(marks), arms, *rests(used),
    )  # fmt: skip


def funnel_table(evidence: Evidence) -> Table | None:
    """Gold at each stage by run, task, and sort and group of mentions."""
    columns = (
        Column("run", "run"), Column("arm", "arm"), Column("task", "task"), Column("sort", "sort"), Column("group", "group"),
        Column("fragments", "fragments", "count"), Column("fragments_reached", "proposed", "count"),
        Column("fragments_share", "share", "score"),
        Column("links", "links", "count"), Column("links_reached", "proposed", "count"),
        Column("links_share", "share", "score"),
        Column("mentions", "mentions", "count"), Column("candidates_reached", "built", "count"),
        Column("candidates_share", "share", "score"),
        Column("accepted_reached", "accepted", "count"), Column("accepted_share", "share", "score"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    used: list[ReportedRun] = []
    for run, task, sort, group, stages in _by_group(evidence):
        used.append(run)
        cells: list[Cell] = []
        for stage in STAGES:
            counts: Reached = getattr(stages, stage)
            gold = () if stage == "accepted" else (counts.gold,)  # as many as there are candidates to be built
            cells += [*gold, counts.reached, counts.share]
        rows.append((run.id, run.arm, task, SORTS.get(sort, sort), group, *cells))
    caption = (
        "Gold of the test split: its fragments and links (pairs of fragments of one mention) that the head proposed, its "
        "mentions that were among the candidates it judged, and those that it accepted, with the right label."
    )
    return Table("funnel", "How far gold mentions come", caption, columns, tuple(rows), *rests(used)) if rows else None


def _by_group(evidence: Evidence) -> Iterator[tuple[ReportedRun, str, str, str, FunnelStages]]:
    """Run, task, sort and group to stages, all mentions first; groups without a mention are left out."""
    for run in evidence.runs:
        for task in run.tasks:
            whole = last_stage(run.result.funnel, task) or GoldFunnel()
            groups = [(sort, group, stages) for sort, groups in whole.by.items() for group, stages in groups.items()]
            for sort, group, stages in (("all", "", whole), *groups):
                if stages.candidates.gold:
                    yield run, task, sort, group, stages
