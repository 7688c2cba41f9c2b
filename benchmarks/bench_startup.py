"""Start-up: CPU seconds of the commands that people type all day. Run it in the environment where bench is installed.

    python benchmarks/bench_startup.py [repeats]

`bench list` may cost 0.25 CPU seconds. Each command runs in fresh processes, turn by turn, beside an empty interpreter.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "bench --help": ["-m", "bench", "--help"],
    "bench list": ["-m", "bench", "list"],
    "bench list --json": ["-m", "bench", "list", "--json"],
    "bench show task 2015-T14": ["-m", "bench", "show", "task", "2015-T14"],
    "bench run --task nope": ["-m", "bench", "run", "--task", "nope"],
    "import rich.table": ["-c", "import rich.console, rich.table"],
    "import importlib.metadata": ["-c", "import importlib.metadata as m; m.entry_points(group='bench')"],
}
BUDGET = {"bench list": 0.25}


def cpu_seconds(words: list[str]) -> float:
    """User and system seconds of one process."""
    # A first run may compile; without this a read-only or no-bytecode environment would compile every time.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Measures and prints a table; 1 where a budget is missed."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    for words in COMMANDS.values():
        cpu_seconds(words)
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(repeats):
        for name, words in COMMANDS.items():
            seconds[name].append(cpu_seconds(words))
    floor = statistics.median(seconds["python -c pass"])
    missed = 0
    print(f"{'CPU seconds':<28}{'min':>8}{'median':>8}{'max':>8}{'x python':>10}{'budget':>8}")
    for name, values in seconds.items():
        middle = statistics.median(values)
        budget = BUDGET.get(name)
        missed += budget is not None and middle > budget
        shown = f"{budget:.2f}" if budget else ""
        print(f"{name:<28}{min(values):>8.3f}{middle:>8.3f}{max(values):>8.3f}{middle / floor:>10.1f}{shown:>8}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
