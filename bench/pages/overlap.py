"""Text that the splits of a corpus share, as a sign of contamination: counts, never text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench.pages.collect import Evidence, ReportedRun, rests
from bench.pages.content import Cell, Column, Table, shown
from bench.results.evidence import SharedText
from bench.wording import some

FLAG = 0.01
"""Least share of shared 13-grams for a flag; a split that shares a document word for word is always flagged."""


def overlap(evidence: Evidence) -> Table | None:
    """Text that each later split shares with an earlier one, once for all runs on the same data."""
    columns = (
        Column("task", "task"), Column("split", "of"), Column("other", "in"), Column("documents", "documents", "count"),
        Column("exact", "whole", "count"), Column("touched", "whole or in part", "count"),
        Column("touched_share", "share", "score"), Column("grams", "13-grams", "count"),
        Column("shared", "shared", "count"), Column("shared_share", "share shared", "score"), Column("flag", "flag"),
        Column("data", "data"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    by_data = _by_data(evidence)
    for task, data, _, pairs in by_data:
        for pair, text in pairs.items():
            later, _, earlier = pair.partition("-")
            shares = (_share(text.touched, text.documents), text.grams, text.shared, _share(text.shared, text.grams))
            rows.append((task, later, earlier, text.documents, text.exact, text.touched, *shares, flag(text), data))
    runs = [run for *_, using, _ in by_data for run in using]
    caption = (
        "Documents of one split that another has word for word, or with which it shares 13 words in a row (in part), and "
        f"the distinct 13-grams that are shared. Flagged from one whole document, or {FLAG:.0%} of the 13-grams, on."
    )
    return Table("overlap", "Overlap of splits", caption, columns, tuple(rows), *rests(runs)) if rows else None


def flag(text: SharedText) -> str:
    """Why what two splits share is suspect; empty where it is not."""
    if text.exact:
        return "whole documents"
    share = _share(text.shared, text.grams)
    return "13-grams" if share is not None and share >= FLAG else ""


def flagged(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yields tasks whose test split is flagged against training, and a description of the shared text."""
    for task, _, _, pairs in _by_data(evidence):
        text = pairs.get("test-train")
        if text is not None and flag(text):
            share = _share(text.shared, text.grams)
            grams = f", {shown(share, 'score')} of its 13-grams" if share is not None and share >= 0.001 else ""
            whole = f"{text.exact:,} of {some(text.documents, 'document')} word for word"
            yield task, f"{whole}, {text.touched:,} in whole or in part{grams}"


def _by_data(evidence: Evidence) -> list[tuple[str, str, list[ReportedRun], Mapping[str, SharedText]]]:
    """Task, hash of its data, the runs that have it, and what its splits share."""
    by_data: dict[tuple[str, str], tuple[list[ReportedRun], Mapping[str, SharedText]]] = {}
    for run in evidence.runs:
        for task, pairs in run.result.overlap.items():
            digest = str(run.result.hashes.get("data", {}).get(task, ""))[:12]
            by_data.setdefault((task, digest), ([], pairs))[0].append(run)
    return [(task, digest, runs, pairs) for (task, digest), (runs, pairs) in by_data.items()]


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
