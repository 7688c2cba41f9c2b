"""Checks of a tracker: it mirrors a made-up run into a folder, is interrupted, and continues."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from bench.api.tracker import RunEvent, RunInfo, Tracker
from bench.conformance.common import described
from bench.conformance.workbench import Workbench, contents, expect, named, without_heavy_imports
from bench.wording import some

ID = "conformance-0123456789ab"
OTHER = "conformance-ba9876543210"
CANARY = "zqxconformancezqx"
SENTINEL = 0.123456789012
STEPS = 6
_LOCAL = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}


def metadata(tracker: Tracker, bench: Workbench) -> str:
    """Description and licence are there, without heavy imports."""
    with without_heavy_imports():
        described(tracker)
        shown = tracker.parameters()
    return ", ".join(f"{k}: {v}" for k, v in shown.items()) or "no parameters"


def determinism(tracker: Tracker, bench: Workbench) -> str:
    """Writing is idempotent by `seq`: an event that is written twice is stored once."""
    with stage(bench) as info:
        first = copy.deepcopy(tracker)
        start = first.open(info)
        expect(start == 0, f"open gives {start} for a run it has never seen; wanted 0")
        events = run()
        first.write(events[:4])
        first.write(events[:4])
        first.write(events[4:])
        first.close(True)
        stored = copy.deepcopy(tracker).open(info)
        expect(0 <= stored <= len(events), f"after {some(len(events), 'event')}, four of them twice, open gives {stored}")
        count = sum(str(SENTINEL) in line for text in _texts(info.root) for line in text.splitlines())
    # Only stores of text lines are searched: a binary store may keep a number twice for its own reasons.
    expect(count <= 1, f"an event that was handed over twice stands in the store {some(count, 'time')}")
    return f"{some(len(events), 'event')}, open then gives {stored}"


def save_and_load(tracker: Tracker, bench: Workbench) -> str:
    """An interrupted run can be continued: `open` tells how many events are stored, and opening again changes nothing.

    Nor does another run in the same folder of runs, which is a new one to the tracker.
    """
    with stage(bench) as info:
        events = run()
        first = copy.deepcopy(tracker)
        first.open(info)
        first.write(events[:4])
        first.close(False)
        second = copy.deepcopy(tracker)
        stored = second.open(info)
        expect(0 <= stored <= 4, f"after 4 events and an interruption open gives {stored}; wanted 4, or fewer")
        second.write(events[stored:])
        second.close(True)
        third = copy.deepcopy(tracker)
        known = third.open(info)
        third.close(True)
        expect(
            stored <= known <= len(events),
            f"after all {some(len(events), 'event')} open gives {known}; it gave {stored} before",
        )
        again = copy.deepcopy(tracker).open(info)
        expect(again == known, f"open gives {known} and then {again}, with nothing written between")
        other = replace(info, id=OTHER, folder=info.root / OTHER)
        other.folder.mkdir()
        beside = copy.deepcopy(tracker)
        new = beside.open(other)
        expect(new == 0, f"open gives {new} for a second run in the same folder of runs; wanted 0, since it is another run")
        beside.write(events[:4])
        beside.close(True)
        after = copy.deepcopy(tracker).open(info)
        expect(after == known, f"once a second run was written, open gives {after} for the first, which held {known}")
    return f"held {stored} of 4, then {known} of {len(events)}, also beside a second run"


def privacy(tracker: Tracker, bench: Workbench) -> str:
    """No folder of the user and no text of an event is stored, and files are written below the folder of runs alone."""
    with stage(bench) as info:
        here = Path.cwd()
        first = copy.deepcopy(tracker)
        first.open(info)
        first.write(run())
        first.close(True)
        strewn = sorted(contents(here))
        expect(not strewn, f"files outside the folder of runs: {named(strewn)}")
        files = contents(info.root)
        forms = [CANARY.encode(), CANARY.encode("utf-16-le")]
        leaks = sorted(name for name, content in files.items() if any(form in content for form in forms))
        expect(
            not leaks,
            f"{named(leaks)} holds folders of the user's configuration or words of an event; mirror RunEvent.metrics() and "
            "leave out data, out, resume and tokens_like",
        )
    return some(len(files), "file")


def _texts(folder: Path) -> Iterator[str]:
    for content in contents(folder).values():
        with suppress(UnicodeDecodeError):
            yield content.decode()


@contextmanager
def stage(bench: Workbench) -> Iterator[RunInfo]:
    """Gives a run to mirror, in an empty working directory and an environment that keeps known trackers offline."""
    place = bench.fresh("tracker")
    root, here = place / "runs", place / "here"
    (root / ID).mkdir(parents=True)
    here.mkdir()
    config = {
        "task": ["2015-T14"], "arch": "A1", "lr": 0.002, "data": {"2015-T14": f"/home/{CANARY}/notes"},
        "concepts": {"2015-T14": f"/home/{CANARY}/names.tsv"},
        "out": f"/home/{CANARY}/runs", "resume": f"/home/{CANARY}/runs/x", "tokens_like": f"/home/{CANARY}/runs/y",
    }  # fmt: skip
    cwd = Path.cwd()
    with patch.dict(os.environ, _LOCAL):
        for name in ("MLFLOW_TRACKING_URI", "WANDB_API_KEY"):
            os.environ.pop(name, None)
        os.chdir(here)
        try:
            yield RunInfo(ID, "conformance", root / ID, root, config)
        finally:
            os.chdir(cwd)


def run() -> list[RunEvent]:
    """The events of a short run."""
    kinds = [("start", None), *(("step", i) for i in range(1, STEPS + 1)), ("eval", STEPS), ("end", STEPS)]
    return [
        RunEvent(
            seq,
            1.7e9 + seq,
            kind,
            step,
            {"loss": SENTINEL if seq == 1 else 1 / (seq + 1), "tokens": {"2015-T14": 100 * seq}, "note": CANARY},
        )
        for seq, (kind, step) in enumerate(kinds)
    ]


CHECKS: Mapping[str, Callable[[Tracker, Workbench], str]] = {
    "metadata": metadata,
    "determinism": determinism,
    "save-and-load": save_and_load,
    "privacy": privacy,
}
