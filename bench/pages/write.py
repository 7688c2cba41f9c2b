"""Writes a report to a folder: the page, its tables and its figures."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote

from bench.errors import MissingError
from bench.pages import cost, errors, evaluation, figures, forgetting, tables, transfer
from bench.pages.across import across
from bench.pages.collect import Evidence, collect, rests
from bench.pages.comparison import with_comparison
from bench.pages.content import Figure, Section, Table
from bench.pages.drawing import save
from bench.pages.files import figure_csv, table_csv
from bench.pages.funnel import funnel, funnel_table
from bench.pages.latex import table_tex
from bench.pages.linking import concepts
from bench.pages.overlap import overlap
from bench.pages.page import Front, front_of, render
from bench.pages.vega import INSTALL
from bench.pages.verdicts import differences
from bench.registry import PluginWarning, Registry
from bench.results.store import write_bytes
from bench.studies.finished import own_faults
from bench.studies.mark import StudyMark

NEEDED = {"jinja2": "jinja2", "vl_convert": "vl-convert-python"}
PAGE = "index.html"


@dataclass(frozen=True)
class Written:
    """A report that was written.

    Args:
        page: the HTML file.
        bytes: size of the page.
        figures: number of figures.
        tables: number of tables.
        evidence: the runs or study that it is about.
        replaced: whether a page stood there, which is no more.
    """

    page: Path
    bytes: int
    figures: int
    tables: int
    evidence: Evidence
    replaced: bool = False


def require() -> None:
    """Checks that the packages for a report are installed, before anything is read.

    Raises:
        MissingError: one is not; names it and the command that installs it.
    """
    from importlib.util import find_spec

    lacking = [package for module, package in NEEDED.items() if find_spec(module) is None]
    if lacking:
        raise MissingError(f"A report needs {', '.join(lacking)}; not installed here.", INSTALL)


def report(
    refs: Sequence[str],
    runs: Path,
    registry: Registry,
    out: Path | None = None,
    tasks: Sequence[str] = (),
    by: Sequence[str] = (),
    allow: Sequence[str] = (),
) -> Written:
    """Reads runs or a study, compares the runs, and writes the page with its tables and figures.

    Args:
        refs: a study, or runs; all of `runs` where empty.
        runs: folder of runs.
        registry: has the tasks.
        out: the report's folder; None: ``report/`` in the study's folder or in `runs`.
        tasks: only runs of these tasks.
        by: fields that define arms; where empty, the fields in which the runs differ.
        allow: further fields in which arms may differ.

    Raises:
        MissingError: a package is not installed.
        RunStateError: there is no run or study of a name, or no run has finished.
        StorageError: the disk is full or cannot be written.
    """
    require()
    evidence = with_comparison(collect(refs, runs, tasks, registry), registry, by, allow)
    evidence = replace(evidence, command=command(refs, tasks, by, allow))
    return write(evidence, out or (evidence.study.folder if evidence.study is not None else runs) / "report")


def hand_over(written: Written, registry: Registry) -> None:
    """Gives the report of a study to the trackers that were told of the study, which takes seconds; a failure is warned of."""
    if written.evidence.study is not None:
        mark = StudyMark(written.evidence.study, registry, lambda line: warnings.warn(line, PluginWarning, stacklevel=2))
        mark.report(written.page)


def command(refs: Sequence[str], tasks: Sequence[str] = (), by: Sequence[str] = (), allow: Sequence[str] = ()) -> str:
    """The command of a report, for its page: as `report` takes them, but without folders of the user's own."""
    flags = [("--task", tasks), ("--by", by), ("--allow", allow)]
    words = [*(Path(ref).name for ref in refs), *(word for flag, values in flags for value in values for word in (flag, value))]
    return " ".join(["bench report", *map(quote, words)])


def sections(evidence: Evidence) -> list[Section]:
    """The sections below the verdict; empty ones are left out."""
    drawn, tabled = differences(evidence)
    listed = [
        _section("scores", "Scores by arm", [*drawn, figures.arms(evidence)], [*tabled, tables.arms(evidence)]),
        _section("across", "All tasks together", [], [across(evidence)]),
        _section("learning", "Learning curves", [figures.curves(evidence, "dev"), figures.curves(evidence, "loss")], []),
        _section("tokens", "Token ledger", [figures.ledger(evidence)], [tables.ledger(evidence)]),
        _section("parity", "Parity", [figures.parity(evidence)], [tables.parity(evidence)]),
        _study(evidence) or _section("transfer", "Transfer", [transfer.transfer(evidence)], []),
        _section(
            "forgetting", "Forgetting", [forgetting.curve(evidence)],
            [forgetting.matrix(evidence), forgetting.transfers(evidence)],
        ),
        _section(
            "cost", "Quality, size and speed", [cost.pareto(evidence), cost.speed(evidence)],
            [cost.quantization(evidence), cost.efficiency(evidence)],
        ),
        _section(
            "calibration", "Calibration", [evaluation.reliability(evidence), evaluation.abstention(evidence)],
            [evaluation.calibration(evidence)],
        ),
        _section("gradients", "Gradient conflicts", [figures.gradients(evidence)], [tables.gradients(evidence)]),
        _section(
            "errors", "Errors", [errors.errors(evidence), errors.sorts(evidence)],
            [errors.error_table(evidence), errors.sort_table(evidence)],
        ),
        _section("funnel", "How far gold comes", [funnel(evidence)], [funnel_table(evidence)]),
        _section("concepts", "Concepts", [], [concepts(evidence)]),
        _section("overlap", "Overlap of splits", [], [overlap(evidence)]),
        _section("runs", "Runs", [], [tables.runs(evidence), tables.provenance(evidence)]),
    ]  # fmt: skip
    return [section for section in listed if section.figures or section.tables]


def write(evidence: Evidence, out: Path) -> Written:
    """Writes ``index.html``, ``tables/*.{csv,tex}`` and ``figures/*.{svg,pdf,csv}``.

    Args:
        evidence: the runs or study that the report is about.
        out: the folder; files of the same name are replaced.

    Raises:
        MissingError: a package is not installed.
        StorageError: the disk is full or cannot be written.
    """
    require()
    listed, replaced = sections(evidence), (out / PAGE).exists()
    size = write_page(front_of(evidence), listed, out)
    drawn, tabled = sum(len(each.figures) for each in listed), sum(len(each.tables) for each in listed)
    return Written(out / PAGE, size, drawn, tabled, evidence, replaced)


def write_page(front: Front, listed: Sequence[Section], out: Path) -> int:
    """Writes a page with its tables and figures beside it, and returns the page's bytes.

    Args:
        front: its top.
        listed: its sections.
        out: the folder; files of the same name are replaced.

    Raises:
        MissingError: a package is not installed.
        StorageError: the disk is full or cannot be written.
    """
    require()
    drawn = [figure for section in listed for figure in section.figures]
    tabled = [table for section in listed for table in section.tables]
    page = render(front, listed).encode(errors="backslashreplace")
    write_bytes(out / PAGE, page, durable=False)
    for table in tabled:
        write_bytes(out / "tables" / f"{table.name}.csv", table_csv(table).encode(errors="backslashreplace"), durable=False)
        write_bytes(out / "tables" / f"{table.name}.tex", table_tex(table).encode(errors="backslashreplace"), durable=False)
    save(drawn, out / "figures")
    for figure in drawn:
        write_bytes(out / "figures" / f"{figure.name}.csv", figure_csv(figure).encode(errors="backslashreplace"), durable=False)
    return len(page)


def _study(evidence: Evidence) -> Section | None:
    """The section with figures and tables of the study's own kind; None where there are none."""
    kind, verdict = evidence.kind, None if evidence.study is None else evidence.study.verdict
    if kind is None or verdict is None:
        return None
    runs, synthetic = rests(evidence.runs)
    with own_faults(kind, "drawing the verdict"):
        drawn = tuple(replace(figure, runs=runs, synthetic=synthetic) for figure in kind.figures(verdict))
        tabled = tuple(replace(table, runs=runs, synthetic=synthetic) for table in kind.tables(verdict))
    return Section(kind.name, kind.title, drawn, tabled) if drawn or tabled else None


def _section(name: str, title: str, drawn: list[Figure | None], tabled: list[Table | None]) -> Section:
    return Section(name, title, tuple(f for f in drawn if f is not None), tuple(t for t in tabled if t is not None))
