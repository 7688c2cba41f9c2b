from __future__ import annotations

import subprocess
import sys

from bench_plugins import trackers
from bench_plugins.trackers.content import metrics, parameters

from bench.api.tracker import RunEvent
from bench.hooks import hookimpl


def event(kind: str, **values: object) -> RunEvent:
    return RunEvent(0, 0.0, kind, 1, values)


def test_numbers_are_named_by_what_they_are() -> None:
    assert metrics(event("step", loss={"2015-T14": 0.5}, note="x", done=True)) == {"train/loss/2015-T14": 0.5}
    assert metrics(event("eval", f1=1)) == {"eval/f1": 1.0}
    scores = {"toy": {"task1": {"strict": {"f1": 0.5, "ci95": [0.4, 0.6]}}}}
    assert metrics(event("scores", stage="quantized", split="test", scores=scores)) == {
        "test/quantized/toy/task1/strict/f1": 0.5
    }
    assert metrics(event("plan", tokens=5)) == {}
    assert list(metrics(event("step", **{"a+b:c": 1}))) == ["train/a_b_c"]


def test_the_configuration_goes_without_the_users_folders() -> None:
    config = {"lr": 0.1, "task": ["a", "b"], "data": {"a": "/secret"}, "out": "/secret", "none": None, "x": {"y": "z" * 900}}
    assert parameters(config) == {"lr": "0.1", "task": "a, b", "x.y": "z" * 500}


def test_the_entry_point_hands_over_both_and_imports_nothing_heavy() -> None:
    assert [t.name for t in trackers.bench_trackers()] == ["wandb", "mlflow"]
    assert hasattr(trackers.bench_trackers, f"{hookimpl.project_name}_impl")
    code = (
        "import sys; import bench_plugins.trackers as t; t.bench_trackers();"
        "print(sorted({'wandb', 'mlflow', 'numpy', 'scipy', 'psutil', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"], capture_output=True, text=True
    )
    assert done.stdout == "[]\n", done.stderr
