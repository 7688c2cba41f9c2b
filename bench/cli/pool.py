"""`bench pool`: one study at several sites whose corpora stay there; what a site shares, and what all of them come to."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.parser import Parser
from bench.errors import ContractError, UsageError
from bench.registry import load
from bench.results.display import change, interval, p_value
from bench.screen.terminal import paint, say
from bench.screen.text import columns, dump
from bench.wording import some

if TYPE_CHECKING:
    from bench.pooling.pool import Pool


def configure(parser: Parser) -> None:
    """Adds the flags of `bench pool`, what `--help` says of it and its examples."""
    parser.usage = (
        "bench pool SITE [SITE ...] [--registered FILE]\n"
        "       bench pool pack STUDY OUT --site NAME\n       bench pool register OUT --site NAME --data TASK=DIR"
    )
    parser.description = (
        "Pools a study that several sites ran on corpora of their own. A site shares manifests and statistics of test\n"
        "documents, no text. A site whose files do not hold together is named and left out (exit code 3); so is one that\n"
        "registered and is missing."
    )
    parser.epilog = (
        "examples:\n  bench pool register north.json --site north --data 2015-T14=/secure/notes    # before the study\n"
        "  bench pool pack token-control_x north.zip --site north                       # after it\n"
        "  bench pool north.zip south.zip east.zip --registered north.json --out pooled"
    )
    parser.add_argument("words", nargs="+", metavar="SITE", help="folders or zip files of sites; or pack, or register")
    parser.add_argument("--site", metavar="NAME", help="of pack and register: the site's name")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="of pack: folder of runs (default: runs)"
    )
    parser.add_argument("--data", action="append", default=[], metavar="TASK=DIR", help="of register: a corpus; repeatable")
    parser.add_argument(
        "--registered", action="append", type=Path, default=[], metavar="FILE", help="what a site registered; repeatable"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write a page with tables and figures there")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Pools sites, or writes what a site shares; returns 0, or 3 where a site was left out or is missing."""
    if args.words[0] in ("pack", "register"):
        return _pack(args) if args.words[0] == "pack" else _register(args)
    from bench.pooling.pool import pool

    registry = load()
    pooled = pool([Path(word) for word in args.words], registry, args.registered)
    page = None
    if args.out is not None:
        from bench.pooling.page import write

        page = write(pooled, args.out)
    if args.json:
        say(dump(pooled.to_json() | {"page": page}))
    else:
        _tell(pooled)
        if page is not None:
            say(f"  {page}, opens in any browser")
    return 0 if len(pooled.sound) == len(pooled.sites) and not pooled.absent else ContractError.exit_code


def _tell(pooled: Pool) -> None:
    rows = [
        [site.name, ", ".join(f"{task} {count:,}" for task, count in site.documents.items()), f"{len(site.manifests)}",
         "yes" if site.name in pooled.registered else "no", "left out" if site.problems else "pooled"]
        for site in pooled.sites
    ]  # fmt: skip
    say(columns(["site", "test documents", "runs", "registered", "state"], rows))
    for site in pooled.sites:
        for problem in site.problems:
            say(f"{paint(site.name, 'red')}: {problem}")
    for sentence in pooled.missing:
        say(paint(sentence, "red"))
    if any(site.about.get("synthetic") for site in pooled.sound):
        say(paint("SYNTHETIC data: not a result about real corpora.", "yellow"))
    rows = []
    for contrast in pooled.contrasts:
        over, rest = contrast.difference, contrast.difference.heterogeneity
        est = over.estimate
        rows.append(
            [contrast.task, contrast.name, f"{len(over.sites)}", change(est.difference), interval(est.low, est.high, est.seeds),
             interval(over.low, over.high), "" if rest is None else f"{rest.q:.2f} (p {p_value(rest.p)})",
             "" if rest is None else change(rest.tau2**0.5).lstrip("+")]
        )  # fmt: skip
    header = ["task", "difference", "sites", "pooled", "95% these sites", "95% sites like these", "Q", "τ"]
    say("")
    say(columns(header, rows))
    for sentence in pooled.looks:
        say(sentence)
    for verdict in pooled.verdicts:
        say(f"{paint(verdict.task, 'bold')}: {verdict.kind}.  {verdict.reason}")
    for place, groups in pooled.ties.items():
        said = "; ".join(" = ".join(group) for group in groups)
        say(f"{paint(place, 'bold')}, from the best down, = where not told apart: {said}")


def _pack(args: argparse.Namespace) -> int:
    from bench.pooling.share import pack
    from bench.studies.study import find_study

    if len(args.words) != 3 or args.site is None:
        raise UsageError("'bench pool pack' wants a study, a place and a name.", "bench pool pack STUDY OUT.zip --site NAME")
    done = pack(find_study(args.words[1], args.runs), args.site, Path(args.words[2]))
    if args.json:
        say(dump({"path": done.path, "runs": done.runs, "plan_sha256": done.plan}))
        return 0
    say(f"{done.path}: {some(done.runs, 'run')} of the plan {done.plan[:12]}, which is the same at every site")
    say("It holds hashes, counts and scores by test document, with the documents' ids: look whether these may leave your site.")
    return 0


def _register(args: argparse.Namespace) -> int:
    from bench.pooling.share import register

    if len(args.words) != 2 or args.site is None:
        raise UsageError(
            "'bench pool register' wants a place and a name.", "bench pool register OUT --site NAME --data TASK=DIR"
        )
    corpora = {}
    for given in args.data:
        task, equals, folder = given.partition("=")
        if not (task and equals and folder):
            raise UsageError(f"--data is {given!r}; wanted TASK=DIR.")
        corpora[task] = Path(folder)
    about = register(args.site, corpora, Path(args.words[1]), load())
    if args.json:
        say(dump(about))
        return 0
    for task, known in about["data"].items():
        sizes = ", ".join(f"{split} {count:,}" for split, count in known["documents"].items())
        say(f"{task}: {sizes} documents, SHA-256 {known['sha256'][:16]}…")
    say(f"{args.words[1]}: send it before the study begins, with nothing else")
    return 0
