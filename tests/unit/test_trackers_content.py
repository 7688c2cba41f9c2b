from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench_plugins import trackers
from bench_plugins.trackers.content import facts, metrics, parameters, result

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


def test_what_the_numbers_rest_on_goes_with_them() -> None:
    config = {"data": {"a": "1f", "b": "2e"}, "waive": ["smoke", "parity"]}
    assert facts(event("start", config=config)) == {"data.a": "1f", "data.b": "2e", "waived": "smoke, parity"}
    assert facts(event("start", config={"waive": []})) == {"waived": "nothing"}
    assert facts(event("plan", synthetic=["a", "b"])) == {"synthetic": "a, b"}
    assert facts(event("plan", synthetic=[])) == {"synthetic": "no"}
    assert facts(event("end", status="interrupted", message="text")) == {"state": "interrupted"}
    assert facts(event("step", loss=1.0)) == facts(event("scores", scores={})) == {}


def test_the_result_goes_without_the_users_folders(tmp_path: Path) -> None:
    config = {"lr": 0.1, "data": {"a": "/secret"}, "out": "/secret", "init_from": "/secret", "teacher": ["/secret"]}
    (tmp_path / "result.json").write_text(json.dumps({"scores": {"a": 1}, "config": config}), encoding="utf-8")
    assert result(tmp_path) == {"scores": {"a": 1}, "config": {"lr": 0.1}}


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
