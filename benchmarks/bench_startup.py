"""Start-up: CPU seconds of the commands that people type all day. Run it in the environment where bench is installed.

    python benchmarks/bench_startup.py [--quick] [--repeats 15] [--json FILE]

Targets: `bench list` costs at most 0.25 CPU seconds, completing a part's name for a shell at most 0.3. Each command runs in
fresh processes, turn by turn, beside an empty interpreter.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys

import common
from common import Figure

COMPLETING = """
import os
os.environ.update(_ARGCOMPLETE="1", _ARGCOMPLETE_STDOUT_FILENAME=os.devnull, COMP_LINE="bench run --quant g", COMP_POINT="19")
from bench.cli import main
main([])
"""
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "bench --help": ["-m", "bench", "--help"],
    "bench list": ["-m", "bench", "list"],
    "bench list --json": ["-m", "bench", "list", "--json"],
    "bench show task 2015-T14": ["-m", "bench", "show", "task", "2015-T14"],
    "bench run --task nope": ["-m", "bench", "run", "--task", "nope"],
    "bench run --quant g<Tab>": ["-c", COMPLETING],
    "import rich.table": ["-c", "import rich.console, rich.table"],
    "import importlib.metadata": ["-c", "import importlib.metadata as m; m.entry_points(group='bench')"],
}
REFUSED = {"bench run --task nope": 2}
"""Commands that are answered with an exit code other than 0."""
BUDGET = {"bench list": 0.25, "bench run --quant g<Tab>": 0.3}


def measure(options: argparse.Namespace) -> list[Figure]:
    """All commands in turn, after a first time each that is not counted."""
    repeats = 1 if options.quick else options.repeats
    for name in COMMANDS:
        cpu_seconds(name)
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(repeats):
        for name in COMMANDS:
            seconds[name].append(cpu_seconds(name))
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    common.table(
        f"CPU seconds of {repeats} process(es) each",
        ("command", "min", "median", "max", "× python"),
        [
            (name, *(f"{value:.3f}" for value in (min(values), middle[name], max(values))),
             f"{middle[name] / middle['python -c pass']:.1f}")
            for name, values in seconds.items()
        ],
    )  # fmt: skip
    return [
        Figure(name, f"≤ {budget:.2f} CPU s", f"{middle[name]:.2f} CPU s", middle[name] <= budget)
        for name, budget in BUDGET.items()
    ]


def cpu_seconds(name: str) -> float:
    """User and system seconds of one process.

    Raises:
        SystemExit: the command ended with another exit code than it should.
    """
    # A first run may compile; without this a read-only or no-bytecode environment would compile every time.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    words, wanted = [sys.executable, *COMMANDS[name]], REFUSED.get(name, 0)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = subprocess.run(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if code != wanted:
        raise SystemExit(f"'{name}' ended with exit code {code}; it should end with {wanted}.")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repeats", type=int, default=15)


if __name__ == "__main__":
    common.main(measure, __doc__, _options)
