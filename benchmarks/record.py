"""Keeps what the benchmarks measured, and writes the table of docs/performance.md from it.

    python benchmarks/run_all.py --record     measures, keeps and writes
    python benchmarks/record.py               writes the table again

Kept is the last full run of each script, with the machine, the day, the commit and the load before it.
"""

from __future__ import annotations

import datetime
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common import Figure

KEPT = Path(__file__).with_name("measured.json")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- figures: written by benchmarks/record.py -->", "<!-- end of figures -->"


def machine() -> str:
    """Cores, processor, instruction set and memory of this machine."""
    from bench.results.environment import hardware

    found = hardware()
    import torch

    capability = torch.backends.cpu.get_cpu_capability()
    name = str(found["cpu"]).partition(" with ")[0].partition("@")[0].strip()
    return f"{found['cores']} core{'s' * (found['cores'] != 1)}, {name} ({capability}), {found['memory'] / 2**30:.0f} GiB"


def keep(script: str, figures: Sequence[Figure], load: float) -> None:
    """Keeps the figures of a script in place of those it had.

    Args:
        script: its name without ``bench_``.
        figures: of its full form.
        load: processes that wanted a core before it began, mean of a minute.
    """
    found = kept()
    commit = subprocess.run(
        ["git", "-C", str(KEPT.parent), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    found[script] = {
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "commit": commit.stdout.strip(),
        "load": round(load, 1),
        "figures": [asdict(figure) for figure in figures],
    }
    text = json.dumps(dict(sorted(found.items())), indent=1, ensure_ascii=False)
    KEPT.with_suffix(".new").write_text(text + "\n", encoding="utf-8")
    KEPT.with_suffix(".new").replace(KEPT)


def kept() -> dict[str, Any]:
    """Script to its last full run."""
    return dict(json.loads(KEPT.read_text(encoding="utf-8"))) if KEPT.is_file() else {}


def rendered(found: Mapping[str, Any]) -> str:
    """The table in Markdown, script by script."""
    lines = ["| figure | target | measured | |", "|---|---|---|---|"]
    for script, run in found.items():
        where = f"{run['machine']}, {run['date']}, `{run['commit']}`, load {run['load']}"
        lines.append(f"| **`bench_{script}.py`** ({where}) | | | |")
        for values in run["figures"]:
            figure = Figure(**values)
            note = f" ({figure.note})" if figure.note else ""
            lines.append(f"| {figure.name} | {figure.target} | {figure.measured}{note} | {figure.verdict} |")
    return "\n".join(lines)


def write() -> None:
    """Writes the table into the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{rendered(kept())}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write()
