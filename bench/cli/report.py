"""`bench report`: runs or a study as one page, with its tables and figures as files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.parser import Parser, add_runs
from bench.registry import load
from bench.screen.terminal import paint, say
from bench.screen.text import dump
from bench.wording import some

if TYPE_CHECKING:
    from bench.pages.write import Written


def configure(parser: Parser) -> None:
    """Adds the flags of `bench report`, what `--help` says of it and its examples."""
    parser.description = (
        "Writes one self-contained HTML page about runs or a study, verdict first, that opens without a network;\n"
        "beside it the same tables as CSV and booktabs LaTeX and the same figures as PDF and SVG. Nothing is run anew: a\n"
        "study's verdict is shown; other runs are held against each other as 'bench compare' does, where its contract lets it."
    )
    parser.epilog = (
        "examples:\n  bench report\n  bench report my-study --out docs/results\n"
        "  bench report runs/ --task ncbi-disease\n  bench report 2015-t14_a1 2015-t14_a2"
    )
    parser.add_argument(
        "refs", nargs="*", metavar="RUNS|STUDY", help="a study (name or folder), or runs (ids, folders, a folder of them); all"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where the report goes (default: report/ of the study or of --runs)"
    )
    add_runs(parser, "--runs")
    parser.add_argument("--task", action="append", default=[], metavar="NAME", help="only runs of this task; repeatable")
    parser.add_argument("--by", action="append", default=[], metavar="FIELD", help="what is compared (default: what differs)")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="FIELD", help="a field that may differ as well; repeatable"
    )
    parser.add_argument("--json", action="store_true", help="print where it is and what it holds as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Writes the page, its tables and figures, and prints where they are; returns 0."""
    from bench.pages.write import hand_over, report
    from bench.studies.contract import check_fields

    by, allow = check_fields(args.by, "--by"), check_fields(args.allow, "--allow")
    registry = load()
    if sys.stderr.isatty():
        say("    reading runs and drawing figures", sys.stderr)
    written = report(args.refs, args.runs, registry, args.out, args.task, by, allow)
    _say(written, args.json)
    sys.stdout.flush()
    hand_over(written, registry)
    return 0


def _say(written: Written, as_json: bool) -> None:
    from bench.results.manifest import Standing

    evidence, out = written.evidence, written.page.parent
    changed = {run.id: run.standing.changed for run in evidence.runs if run.standing.changed}
    if evidence.review is not None and evidence.review.changed:
        changed[evidence.title] = evidence.review.changed
    if as_json:
        say(dump({"page": written.page, "bytes": written.bytes, "figures": written.figures, "tables": written.tables,
                    "runs": [run.id for run in evidence.runs], "unfinished": evidence.unfinished,
                    "changed": changed}))  # fmt: skip
        return
    synthetic = any(run.result.synthetic for run in evidence.runs)
    left = f", {len(evidence.unfinished)} unfinished" if evidence.unfinished else ""
    stamp = paint("  SYNTHETIC data", "yellow") if synthetic else ""
    say(f"{paint(evidence.title, 'bold')}: {some(len(evidence.runs), 'run')}{left}{stamp}")
    for name, what in changed.items():
        say(paint(f"  {name} {Standing('there', what)}", "red"))
    say(f"  {written.page}  {written.bytes / 1e6:.1f} MB, opens in any browser")
    if written.replaced:
        say("  The report that stood there is replaced; another --out keeps it.")
    say(f"  {out / 'tables'}/  {some(written.tables, 'table')} as CSV and LaTeX")
    say(f"  {out / 'figures'}/  {some(written.figures, 'figure')} as PDF and SVG")
