"""`bench verify`: finished runs and studies against their manifests, journals, statistics, weights and corpora; signs that."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path

from bench.cli.parser import Parser, add_runs, flag_type
from bench.config import OPTIONS
from bench.errors import RunStateError, unknown
from bench.registry import load
from bench.results.layout import RESULT
from bench.results.store import read_result
from bench.screen.terminal import paint, say
from bench.screen.text import columns, dump
from bench.steps.names import refuse_missing
from bench.verifying.check import Outcome

COLOURS: dict[Outcome, str] = {"holds": "green", "differs": "red", "not checked": "dim"}


def configure(parser: Parser) -> None:
    """Adds the flags of `bench verify`, what `--help` says of it and its examples."""
    parser.description = (
        "Holds finished runs against everything that is there: files against the manifest, the chain of the journal, the\n"
        "ledger added up again, predictions scored again where the corpus is there, scores and intervals from the saved\n"
        "statistics, parameters from the saved adapters, hashes of data, model and code. Of a study all of its runs, and its\n"
        "verdict judged again. Ends with 6 where anything differs."
    )
    parser.epilog = (
        "examples:\n  bench verify RUN\n  bench verify STUDY\n  bench verify runs/ --json\n"
        "  bench verify RUN --data ncbi-disease=corpus/\n  bench verify RUN --sign ~/.ssh/id_ed25519\n"
        "  bench verify RUN --signer allowed_signers"
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUNS|STUDY", help="id, beginning of an id, or folder; of a study its name; a folder of runs"
    )
    parser.add_argument(
        "--data",
        action="append",
        type=flag_type(OPTIONS["data"]),
        default=[],
        metavar="TASK=DIR",
        help="a task's corpus (default: where the run read it)",
    )
    parser.add_argument("--sign", type=Path, metavar="KEY", help="sign what was found with a key of OpenSSH or minisign")
    parser.add_argument(
        "--signer", type=Path, metavar="FILE", help="allowed signers (OpenSSH) or public key (minisign) of the attestation"
    )
    add_runs(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON array, an object a run")


def run(args: argparse.Namespace) -> int:
    """Prints what holds, differs or was not checked of each run and study; returns 0, or 6 where anything differs."""
    from bench.verifying.attestation import attested, sign
    from bench.verifying.checks import verify
    from bench.verifying.study import verify_study

    registry = load()
    folders, studies, notes = _named(args.runs, args.out)
    if args.data:
        _refuse_unknown(dict(args.data), folders)
    checked = chain(
        (verify(folder, registry, dict(args.data)) for folder in folders),
        (verify_study(folder, registry) for folder in studies),  # signed only after all of their runs
    )
    found = []
    for verification in checked:
        folder = verification.folder
        if args.sign is not None:
            signature = sign(verification, args.sign)
            notes.append(f"{verification.run}: signed, {signature}")
        if (attestation := attested(verification, args.signer)) is not None:
            verification = replace(verification, checks=(*verification.checks, attestation))
        found.append(verification)
        if not args.json:
            say(f"{chr(10) * (len(found) > 1)}{paint(verification.run, 'bold')}  {folder}")
            rows = [(c.what, paint(c.outcome, COLOURS[c.outcome]), c.note) for c in verification.checks]
            say(columns(("check", "outcome", "what was found"), rows, flexible=2))
            counts = Counter(check.outcome for check in verification.checks)
            told = {outcome: outcome if counts[outcome] == 1 else outcome.removesuffix("s") for outcome in COLOURS}
            say(", ".join(f"{counts[outcome]} {word}" for outcome, word in told.items() if counts[outcome]))
    if args.json:
        say(dump([verification.to_json() for verification in found]))
    else:
        for note in notes:
            say(note)
    return RunStateError.exit_code if any(verification.differs for verification in found) else 0


def _refuse_unknown(data: Mapping[str, str], folders: Iterable[Path]) -> None:
    """Refuses a corpus that is not there, or of a task that none of the runs has."""
    refuse_missing(data)
    tasks: set[str] = set()
    for folder in folders:
        with suppress(RunStateError):  # a damaged result is told with the other checks
            tasks |= read_result(folder).scores.keys()
    for name in data.keys() - tasks:
        raise unknown("task", name, sorted(tasks), hint="--data names a task of the runs.")


def _named(refs: Sequence[str], out: Path) -> tuple[list[Path], list[Path], list[str]]:
    """Folders of the finished runs and of the studies that are named, each once, and notes on runs that are left out.

    A study stands for its runs too, and a folder of runs for the studies in it.
    """
    from bench.studies.arms import finished_folders
    from bench.studies.study import STUDIES, folder_of, read_study, studies

    runs: list[str] = []
    found: dict[Path, None] = {}
    for ref in refs:
        if (place := folder_of(ref, out)) is not None:
            found[place] = None
            study = read_study(place)
            kept = (study.out / str(run.run) for run in study.finished())
            runs += [str(folder) for folder in kept if (folder / RESULT).exists()]
            continue
        runs.append(ref)
        if ref.strip():
            found |= {(Path(ref) / STUDIES / name).resolve(): None for name in studies(Path(ref))}
    folders, notes = finished_folders(runs, out)
    return folders, list(found), notes
