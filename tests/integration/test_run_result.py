"""A whole run on a tiny model: every promised name, scores that the scorer confirms, and what is printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

import bench  # noqa: E402
from bench import runner  # noqa: E402
from bench.cli import main  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.naming import flatten  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.reporting import Progress, SilentReporter  # noqa: E402
from bench.results.layout import PREDICTIONS  # noqa: E402
from bench.results.store import read_predictions  # noqa: E402

Make = Callable[..., RunConfig]
TASK = "2015-T14"
PROMISED = {
    "schema_version", "id", "config", "headline", "scores", "invariants", "quantization", "timings", "memory", "hashes",
    "versions", "hardware", "git", "waivers", "synthetic",
}  # fmt: skip


class Bars(SilentReporter):
    """Keeps what is moved on, by the titles of the bars."""

    def __init__(self) -> None:
        self.totals: list[tuple[str, float | None]] = []
        self.read: dict[str, float] = {}
        self.dev: list[str] = []

    @contextmanager
    def progress(self, title: str, total: float | None = None, unit: str = "", done: int = 0) -> Iterator[Progress]:
        self.totals.append((title, total))

        def advance(n: float = 1, **stats: float | str) -> None:
            self.read[title] = self.read.get(title, 0) + n
            self.dev += [str(stats["dev"])] if "dev" in stats else []

        yield SimpleNamespace(advance=advance)


def test_evaluation_shows_how_far_it_is(tiny: Make) -> None:
    bars = Bars()
    outcome = runner.run(tiny(quant="rtn"), load(), console=bars)
    assert outcome.folder is not None
    result = json.loads(outcome.result_path.read_text(encoding="utf-8"))  # type: ignore[union-attr]
    tokens = {split: result["plan"]["data"][TASK][split]["tokens"] for split in ("dev", "test")}
    # The last evaluation of training was of the weights of the last update, whose dev predictions are known.
    whole = [("predicting", tokens["test"]), ("predicting", tokens["dev"] + tokens["test"])]
    assert [bar for bar in bars.totals if bar[0] == "predicting"] == whole
    assert bars.read["predicting"] == sum(total for _, total in whole)
    assert bars.read["training"] == result["invariants"]["tokens"]["total"]
    scores = [f"{evaluation['scores']['mean']:.3f}" for evaluation in result["training"]["evaluations"]]
    assert len(scores) == 2
    assert [said for said in bars.dev if not said.endswith("% read")] == scores
    assert bars.dev[-2] == "100% read"


def test_a_run_gives_what_is_promised(tiny: Make, small_corpus: Path, tmp_path: Path, capsys: Any) -> None:
    # A rate at which the head finds something, so that the scores are no zeros.
    config = tiny(quant="rtn", lr=2e-2, steps=40, eval_every=20, checkpoint_every=50, model="tiny-bert")
    outcome = runner.run(config, load())
    assert outcome.folder is not None
    assert outcome.result_path is not None
    result = json.loads(outcome.result_path.read_text(encoding="utf-8"))
    assert result.keys() >= PROMISED
    assert result["headline"].keys() >= {"task", "split", "stage", "metric", "value", "ci95"}
    assert set(result["invariants"]) == {"tokens", "parity", "smoke", "batch", "checkpoint"}
    assert result["quantization"].keys() >= {"bits_per_weight", "bytes", "error", "rtn_error"}
    assert (result["synthetic"], result["waivers"], result["id"]) == (True, ["smoke"], outcome.folder.name)
    headline = result["headline"]
    assert (headline["task"], headline["split"], headline["stage"]) == (TASK, "test", "quantized")
    assert headline["metric"] == "task1.strict.f1"

    # on a CPU, where gradients are faster through the one and passes without them through the other
    assert (result["training"]["attention"], result["training"]["evaluation_attention"]) == ("eager", "sdpa")

    task = load().get("tasks", TASK)
    for stage in ("trained", "quantized"):
        predicted = read_predictions(outcome.folder / PREDICTIONS / f"{TASK}.test.{stage}.jsonl")
        files = tmp_path / stage
        task.write(files, predicted)
        capsys.readouterr()
        assert main(["score", TASK, "--gold", str(small_corpus / "test"), "--pred", str(files), "--json"]) == 0
        scored = json.loads(capsys.readouterr().out)["scores"]
        found = result["scores"][TASK][stage]
        for metric in ("strict", "relaxed", "span_only", "discontiguous"):
            assert f"task1.{metric}.f1.ci95" in found
            wanted = flatten(scored["task1"][metric], prefix=f"task1.{metric}.")
            assert {name: found[name] for name in wanted} == wanted
        if stage == "quantized":
            assert headline["value"] == flatten(scored)[headline["metric"]]
            assert headline["ci95"] == found["task1.strict.f1.ci95"]

    tokens = result["invariants"]["tokens"]
    assert tokens["total"] == sum(account["tokens"] for account in tokens["tasks"].values())
    assert abs(tokens["total"] - 40 * 256) <= 64
    assert tokens["tasks"][TASK]["updates"] == 40
    assert not [*outcome.folder.rglob("*.arrow")]
    assert main(["show", "run", str(outcome.folder)]) == 0
    shown = capsys.readouterr().out
    assert result["id"] in shown
    assert "synthetic" in shown.lower()
    assert "smoke" in shown


def test_a_dry_run_prints_the_plan_and_leaves_nothing(tiny: Make, kit: Any) -> None:
    config = tiny(arch="A4")
    outcome = runner.run(config, load(), dry_run=True, console=kit.Told())
    assert outcome.folder is outcome.result_path is None
    assert {row["arm"] for row in outcome.plan["parity"]["rows"]} >= {"A1", "A2", "A3", "A4"}
    assert outcome.plan["budget"]["updates"] == 6
    assert outcome.plan["budget"]["tokens"] == 6 * 256
    assert not Path(config.out).exists()


def test_trackers_get_the_run_and_a_raising_one_changes_nothing(tiny: Make, kit: Any, tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    pytest.importorskip("mlflow")
    from contextlib import closing
    from sqlite3 import connect

    from bench.api.tracker import Tracker

    class Raising(Tracker):
        name = "raising"
        version = "1"
        summary = "raises at everything"

        def open(self, info: Any) -> int:
            raise RuntimeError("CANARY of a tracker")

        def write(self, events: Any) -> None:
            raise RuntimeError("CANARY of a tracker")

        def close(self, finished: bool) -> None:
            raise RuntimeError("CANARY of a tracker")

    plain = runner.run(tiny(), load())
    console = kit.Told()
    out = tmp_path / "tracked"
    config = tiny(tracker=("wandb", "mlflow", "raising"), out=str(out))
    tracked = runner.run(config, kit.with_parts(trackers=[Raising()]), console=console)
    assert tracked.headline == plain.headline
    assert tracked.folder is not None
    assert plain.folder is not None
    results = [json.loads((one.folder / "result.json").read_text()) for one in (tracked, plain)]
    assert results[0]["scores"] == results[1]["scores"]
    assert results[0]["hashes"] == results[1]["hashes"]
    assert len([line for line in console.lines if "raising" in line]) == 1
    assert list((out / "wandb").glob("offline-run-*/*.wandb"))
    with closing(connect(out / "mlflow.db")) as database:
        steps = [row[0] for row in database.execute("select step from metrics where key like 'train/loss%' order by step")]
        assert steps == [1, 2, 3, 4, 5, 6]
        tags = dict(database.execute("select key, value from tags").fetchall())
        assert tags["bench.run_id"] == tracked.folder.name


def test_python_runs_and_plans_what_the_command_does(tiny: Make) -> None:
    config = tiny(arch="A4", steps=4)
    assert bench.plan(config)["budget"]["updates"] == 4
    assert not Path(config.out).exists()  # a plan leaves nothing
    found = bench.run(config, seed=3, progress=False)
    assert found.id == found.folder.name
    assert found.result.config["seed"] == 3
    assert found.headline.metric == "task1.strict.f1"
    (again,) = bench.runs(config.out)
    assert again.result == found.result
