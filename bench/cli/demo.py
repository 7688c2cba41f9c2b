"""`bench demo`: a small comparison that is really trained, in about a minute, so that what comes after a run can be tried.

A model that knows no language learns generated sentences: figures of a demo show what the commands do, and nothing else. No
control is waived; every run is what `bench run` makes of the same flags.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from shlex import quote

from bench.cli.parser import Parser, whole
from bench.cli.signals import terminated_as_interrupted
from bench.config import RunConfig
from bench.errors import Interrupted, RunStateError, UsageError
from bench.modeling.files import written_whole
from bench.registry import Registry, load
from bench.screen.terminal import paint, say
from bench.wording import some

TASKS = ("ncbi-disease", "bc5cdr")
ARMS = ("A1", "A2")
SIZES = {"train": 300, "dev": 60, "test": 150}
"""Sentences of each split."""
HELD = {"corpora", "runs"}
"""What the folder of a demo holds."""
SEED = 2015
MOST = 1000
"""Seeds; each is two runs of five seconds."""
CONFIG = RunConfig(
    task=TASKS, model="tiny-bert", head="bio", lr=3e-3, tokens=20_000, batch_tokens=512, micro_batch=512, eval_every=20,
    tracker=("none",), device="cpu", precision="fp32",
)  # fmt: skip
"""What all runs share. At this rate the tiny model passes the smoke test; in bf16 its small products take twice as long."""


def configure(parser: Parser) -> None:
    """Adds the flags of `bench demo`, what `--help` says of it and its examples."""
    parser.description = (
        f"Trains {' and '.join(ARMS)} on two small generated corpora with a tiny model, for several seeds, so that there are\n"
        "runs for 'bench board', 'compare', 'report' and 'show'. The data is SYNTHETIC and the model knows no language."
    )
    parser.epilog = "examples:\n  bench demo\n  bench demo try --seeds 2"
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path("demo"), metavar="DIR", help="where corpora and runs go (default: demo)"
    )
    parser.add_argument(
        "--seeds", type=whole, default=6, metavar="N", help="runs of each arm (default: 6; fewer give no verdict)"
    )


def run(args: argparse.Namespace) -> int:
    """Trains the runs that are not there yet, and prints what to try next; returns 0.

    Raises:
        Interrupted: stopped before its end; the same command goes on with it.
    """
    if not 1 <= args.seeds <= MOST:
        raise UsageError(f"--seeds is {args.seeds}; it must be {'at least 1' if args.seeds < 1 else f'at most {MOST:,}'}.")
    if args.folder.exists() and not (args.folder.is_dir() and {path.name for path in args.folder.iterdir()} <= HELD):
        raise UsageError(f"{args.folder} is there and is not the folder of a demo.", "Name another: bench demo DIR.")
    registry = load()
    # So small a model gains nothing from a second thread; beside another process it loses most of its time to waiting for one.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from bench.screen.console import RichReporter

    reporter = RichReporter()
    reporter.warn("SYNTHETIC data and a model that knows no language: these scores say nothing about any method.")
    planned = list(configurations(args.folder, args.seeds, registry))
    reporter.note("loading libraries")
    folders: list[Path | None] = []
    try:
        with terminated_as_interrupted(), reporter.progress("demo", len(planned), "runs") as bar:
            for config in planned:
                folders.append(_finished(config, registry))
                bar.advance(1, arm=config.arch, seed=str(config.seed))
    except (Interrupted, KeyboardInterrupt):
        same = f"bench demo {quote(str(args.folder))} --seeds {args.seeds}"
        done = f"The demo was stopped with {len(folders)} of {some(len(planned), 'run')} finished."
        raise Interrupted(done, f"Go on with the same command: {same}") from None
    runs = quote(str(args.folder / "runs"))
    commands = {
        f"bench board --out {runs}": "all runs, their scores",
        f"bench compare {runs} --by arch": "may the arms be compared, and does one win?",
        f"bench report --runs {runs}": "the same as a page, with figures and tables",
        f"bench show run {quote(str(folders[0]))}": "everything about one run",
    }
    width = max(map(len, commands))
    say("\n".join(f"  {paint(command.ljust(width), 'cyan')}  {what}" for command, what in commands.items()))
    return 0


def _finished(config: RunConfig, registry: Registry) -> Path | None:
    """The folder of a run that is trained now, or to its end where it was begun before."""
    from bench.runner import run as run_arm

    try:
        return run_arm(config, registry).folder
    except RunStateError as begun:
        if begun.resume is None:
            raise
        return run_arm(RunConfig(out=config.out), registry, resume=begun.resume).folder


def configurations(folder: Path, seeds: int, registry: Registry) -> Iterator[RunConfig]:
    """What every run of a demo is made from; its corpora are written, whole, where they are not there.

    Args:
        folder: of the demo.
        seeds: runs of each arm.
        registry: has the tasks.
    """
    data = {name: folder / "corpora" / name for name in TASKS}
    for name, corpus in data.items():
        if not corpus.exists():
            with written_whole(corpus.absolute()) as aside:
                registry.get("tasks", name).synthesize(aside, SEED, SIZES)
    paths = {name: str(corpus.absolute()) for name, corpus in data.items()}
    for seed, arm in product(range(seeds), ARMS):
        yield replace(CONFIG, arch=arm, seed=seed, data=paths, out=str(folder / "runs"), name=f"demo {arm}, seed {seed}")
