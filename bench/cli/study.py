"""`bench study`: plans the runs of a study, brings them to their end, and goes on where it was stopped."""

from __future__ import annotations

import argparse
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.parser import Parser, add_flags, whole, wholes
from bench.cli.plan_power import add_power_flags, power_flags
from bench.cli.signals import terminated_as_interrupted
from bench.errors import BenchError, ContractError, UsageError
from bench.registry import Registry, load
from bench.screen.terminal import say
from bench.screen.text import dump

if TYPE_CHECKING:
    from bench.config import RunConfig
    from bench.screen.studytable import StudyWatcher
    from bench.studies.power import PowerPlan, Question
    from bench.studies.study import Study

EPILOG = """kinds are parts: 'bench list studies' shows them, 'bench show study KIND' one of them; a plugin may bring others.
  KIND            such as token-control, ablation, quantization, transfer, unseen
  sweep FILE      a grid over the fields of a run: [run] holds what is the same, [grid] a list of values a field
  show [NAME]     a study of --out, or all of them

All other flags are those of 'bench run'; --seed is the first of the seeds, --max-hours ends the study, every run with a
checkpoint. The same command again continues a stopped study; finished runs are never repeated.

examples:
  bench study token-control --task ncbi-disease --task bc5cdr --arch A1 --tokens 200000 --seeds 6 --jobs 2
  bench study token-control --task ncbi-disease --task bc5cdr --tokens 200000 --seeds 24 --looks 6,12,18
  bench study ablation --task-set clinical --seeds 6 --dry-run
  bench study ablation --task bc2gm --task bc5cdr --arch A1 --arch A3 --arch my-arm
  bench study unseen --source bc5cdr --source 2015-T14 --target ncbi-disease --shots 8 --shots 32 --tokens 200000
  bench study sweep grid.toml --launcher slurm --jobs 20 --option slurm_partition=gpu
  bench study token-control --task ncbi-disease --task bc5cdr --tokens 200000 --dry-run --effect .01
  bench study show token-control"""


def configure(parser: Parser) -> None:
    """Declares the arguments: those of `bench run`, and the study's own."""
    from bench.cli.run import configure as configure_run
    from bench.config import OPTIONS
    from bench.studies.request import STUDY_OPTIONS

    several = {"arch": replace(OPTIONS["arch"], type=tuple), "shots": replace(OPTIONS["shots"], type=tuple, values=int)}
    configure_run(parser, OPTIONS | several)
    parser.usage = "bench study KIND [FILE] --task NAME [...] [--seeds N] [--jobs N]\n       bench study show [NAME]"
    parser.description = "Runs a study: a plan of runs that are compared, stopped and continued at any time."
    parser.epilog = EPILOG
    parser.add_argument("kind", metavar="KIND", help="a kind of study, or show")
    parser.add_argument("file", nargs="?", metavar="FILE|NAME", help="the grid of a sweep, or the study to show")
    group = add_flags(parser, STUDY_OPTIONS.values())
    group.add_argument(
        "--looks",
        type=wholes,
        metavar="N,N,…",
        help="judge at these numbers of seeds, 5%% over all looks; end when nothing is open",
    )
    group.add_argument("--source", action="append", dest="task", metavar="NAME", help="of unseen: the same as --task")
    group.add_argument("--jobs", type=whole, default=1, metavar="N", help="runs at once (default: 1)")
    group.add_argument("--launcher", default="local", metavar="NAME", help="local, ray or slurm (default: local)")
    group.add_argument("--option", action="append", metavar="KEY=VALUE", help="of the launcher, such as slurm_partition=gpu")
    add_power_flags(parser.add_argument_group("power, with --dry-run"))
    changed = {
        "arch": "architecture (default: A1); of an ablation repeatable (default: A1, A2, A3 and A4)",
        "shots": "at most K training documents of each task (default: all); of unseen repeatable",
        "name": "the study's name (default: from its plan, so that the same command finds it)",
        "seed": "the first seed (default: 0)",
        "dry_run": "print the runs, their tokens and hours, and stop",
        "json": "print the study as one JSON object on stdout, rest on stderr",
        "max_hours": "stop the study after this long, every run with a checkpoint",
        "resume": argparse.SUPPRESS,
        "study": argparse.SUPPRESS,
    }
    for action in parser._actions:
        action.help = changed.get(action.dest, action.help)


def run(args: argparse.Namespace) -> int:
    """Plans a study, runs what is not finished yet, and prints its verdict; or shows one that is there."""
    if args.kind == "show":
        return _show(args)
    registry = load()
    planned = planned_study(args, registry)
    from bench.screen.studytable import StudyWatcher
    from bench.studies.study import open_study

    watcher = StudyWatcher(stderr=args.json)
    with terminated_as_interrupted():
        if args.dry_run:
            return _dry_run(args, open_study(planned), watcher, registry)
        return _run(args, open_study(planned), watcher, registry)


def planned_study(args: argparse.Namespace, registry: Registry) -> Study:
    """What was typed as a plan.

    Raises:
        UsageError: something that was typed means nothing.
    """
    from bench.cli.run import configuration, typed
    from bench.config import OPTIONS
    from bench.launchers import check
    from bench.studies.request import STUDY_OPTIONS, StudyConfig, planned, refuse_swept, study_kind

    takes = study_kind(args.kind, registry).takes
    for flag, value in (("--resume", args.resume), ("--study", args.study)):
        if value is not None:
            raise UsageError(f"{flag} is for one run; a study goes on when its command is typed again.")
    check(args.launcher, args.jobs)
    if args.effect is not None and not args.dry_run:
        raise UsageError("--effect plans a study before it is run; got no --dry-run.", "Add --dry-run.")
    if args.effect is None and (alone := power_flags(args)):
        raise UsageError(
            f"{alone[0]} is about finding --effect; got no --effect.", "Add --effect D --dry-run, or leave it out."
        )
    if args.effect is not None:  # what means nothing is told before any dry run
        from bench.studies.power import Question, stated_or_none

        Question(args.effect, args.power)
        stated_or_none(args.seeds_sd, args.documents_sd, args.documents)
    if args.file is not None and "grid" not in takes:
        raise UsageError(f"'bench study {args.kind}' does not know what to do with {args.file!r}.", "See 'bench study --help'.")
    arms = tuple(args.arch or ())
    args.arch = arms[0] if len(arms) == 1 else None
    several = arms if len(arms) > 1 or "arms" in takes else ()
    shots = tuple(args.shots or ())
    args.shots = shots[0] if len(shots) == 1 else None
    start, grid = _sweep(args) if "grid" in takes else (None, None)
    refuse_swept([name for name in typed(args, OPTIONS | STUDY_OPTIONS) if name != "task"], grid or ())
    counts = shots if len(shots) > 1 else ()
    looks = args.looks or ()
    request = StudyConfig(args.kind, configuration(args, start), several, grid, counts, looks, **typed(args, STUDY_OPTIONS))
    return planned(request, registry, os.environ)


def _sweep(args: argparse.Namespace) -> tuple[RunConfig, dict[str, list[Any]]]:
    from bench.config import from_mapping, read_toml
    from bench.studies.request import read_grid

    if args.file is None:
        raise UsageError(
            f"A {args.kind} wants a file: bench study {args.kind} FILE.toml.", "It has a table [grid]; see docs/studies.md."
        )
    if args.config is not None:
        raise UsageError("A sweep takes its fields from its own file; write those of --config under [run].")
    fixed, grid = read_grid(read_toml(Path(args.file)), args.file)
    return from_mapping(fixed, f"[run] of {args.file}"), grid


def _dry_run(args: argparse.Namespace, study: Study, watcher: StudyWatcher, registry: Registry) -> int:
    from bench.studies.conduct import estimate
    from bench.studies.finished import kind_of
    from bench.studies.looks import looked_already

    estimate(study, registry, watcher)
    looked = looked_already(study, kind_of(study.kind, registry))
    power = None if args.effect is None else _power(args, study, watcher, registry)
    if args.json:
        asked = {} if power is None else {"power": {"question": power[1].to_json(), "plans": [p.to_json() for p in power[0]]}}
        say(dump(study.to_json() | asked))
        return 0
    watcher.plan(study, args.jobs)
    if tasks := made_up(study, registry):
        watcher.warn(f"SYNTHETIC data of {', '.join(tasks)}: no result about the real corpora. Give theirs with --data.")
    if looked is not None:
        watcher.warn(looked)
    if power is not None:
        from bench.screen.power import show

        show(*power)
    return 0


def made_up(study: Study, registry: Registry) -> list[str]:
    """Names of the tasks of a study that write their own corpus, or are given one that is marked as written."""
    from bench.kit.synthetic import MARKER

    written = {}
    for run in study.runs:
        for ref in run.config.task:
            task = registry.get("tasks", ref)
            folder = run.config.data.get(task.name) or task.folder
            written[task.name] = folder is None or (Path(folder) / MARKER).exists()
    return [name for name, synthetic in written.items() if synthetic]


def _power(
    args: argparse.Namespace, study: Study, watcher: StudyWatcher, registry: Registry
) -> tuple[list[PowerPlan], Question]:
    """What it takes to find `--effect` in this study, from stated variances or from finished runs of the same arms."""
    from bench.stats.sequential import looks_of_plan
    from bench.studies.finished import kind_of
    from bench.studies.power import Question, family_of, pilots_of_study, power_plan, seconds_a_seed, stated_or_none

    pilots = stated_or_none(args.seeds_sd, args.documents_sd, args.documents)
    if pilots is not None:
        pilots = [replace(pilot, seconds=seconds_a_seed(study)) for pilot in pilots]
        family = len(study.settings["tasks"])
    else:
        try:
            pilots = pilots_of_study(study, registry, watcher.warn)
        except ContractError as refused:  # whose hint is about flags of a comparison
            stated = "State what is known of variance: --seeds-sd, --documents-sd and --documents."
            raise ContractError(refused.message, stated) from None
        if not pilots:
            raise UsageError(
                f"No two seeds of these arms are finished in {study.out}, so that nothing is known of their variance.",
                "Finish a pilot (--seeds 2, the same flags), or state --seeds-sd, --documents-sd and --documents.",
            )
        if args.documents is not None:
            pilots = [pilot.with_documents(args.documents) for pilot in pilots]
        family = family_of(pilots, kind_of(study.kind, registry))
    looks = looks_of_plan(study.planned_looks, study.settings["spending"]) if "looks" in study.settings else ()
    question = Question(args.effect, args.power, study.settings["margin"], family, looks)
    return [power_plan(pilot, question) for pilot in pilots], question


def _run(args: argparse.Namespace, study: Study, watcher: StudyWatcher, registry: Registry) -> int:
    from bench.studies.conduct import conduct
    from bench.studies.finished import kind_of
    from bench.studies.review import reviewed

    before = study.verdict
    problem = conduct(study, registry, watcher, args.launcher, args.jobs, args.option or (), args.max_hours)
    if args.json:
        say(dump(study.to_json()))
    else:
        watcher.report(study, metrics(study, registry), kind_of(study.kind, registry))
    if before is not None and study.verdict is before:  # nothing was judged now: what is shown is what stood there
        watcher.reviewed(study, reviewed(study, registry))
    if problem is not None:
        raise problem
    return 0


def _show(args: argparse.Namespace) -> int:
    from bench.screen.studytable import StudyWatcher
    from bench.studies.finished import kind_of
    from bench.studies.review import reviewed
    from bench.studies.study import STUDIES, find_study, read_study, studies

    _refuse_beside_show(args)
    out = Path(args.out or "runs")
    watcher = StudyWatcher(stderr=False)
    if args.file is None:
        listed = [read_study(out / STUDIES / name) for name in studies(out)]
        if args.json:
            say(dump([study.to_json() for study in listed]))
        else:
            watcher.overview(listed, out)
        return 0
    study, registry = find_study(args.file, out), load()
    review = reviewed(study, registry)
    if args.json:
        say(dump(study.to_json() | {"standing": review.to_json()}))
    else:
        if review.note:
            watcher.warn(review.note)
        watcher.report(study, metrics(study, registry), kind_of(study.kind, registry))
        watcher.reviewed(study, review)
    return 0


def _refuse_beside_show(args: argparse.Namespace) -> None:
    """Refuses flags of runs and plans, which a study that is only shown has no use for."""
    from bench.cli.run import typed
    from bench.config import OPTIONS
    from bench.studies.request import STUDY_OPTIONS

    flags = [option.flag for name, option in (OPTIONS | STUDY_OPTIONS).items() if name in typed(args, OPTIONS | STUDY_OPTIONS)]
    flags += [f"--{name.replace('_', '-')}" for name in ("config", "dry_run", "resume", "option") if getattr(args, name)]
    flags += power_flags(args)
    if others := [name for name in flags if name != "--out"]:
        raise UsageError(f"'bench study show' takes --out and --json; got {others[0]}.", "It shows a study as it is.")


def metrics(study: Study, registry: Registry) -> dict[str, str]:
    """Task to its primary metric, for those that are installed."""
    metric_of = {}
    for ref in dict.fromkeys(task for run in study.runs for task in run.config.task):
        with suppress(BenchError):
            task = registry.get("tasks", ref)
            metric_of[task.name] = task.metadata.primary_metric
    return metric_of
