"""MLflow: https://mlflow.org/docs/latest/ml/tracking/. One SQLite file beside the runs, ``<out>/mlflow.db``, unless
``MLFLOW_TRACKING_URI`` names a server; look at it with ``mlflow ui --backend-store-uri sqlite:///runs/mlflow.db``.

Example row of its ``metrics`` table: ``key=train/loss value=0.41 step=120 run_uuid=…``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from bench.api.part import Requirement
from bench.api.tracker import RunEvent, RunInfo, StudyInfo, Tracker
from bench.results.layout import RESULT
from bench_plugins.trackers.content import facts, metrics, parameters, readable, result, tag_name

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

EXPERIMENT = "bench"
DATABASE = "mlflow.db"
RUN_TAG = "bench.run_id"
STUDY_TAG = "bench.study"
STANDS_FOR_TAG = "bench.stands_for_study"
PARENT_TAG = "mlflow.parentRunId"  # MLflow's own: its UI folds runs below the one that it names
NEXT_TAG = "bench.next_event"
_STATUS = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
_MOST_METRICS = 900  # MLflow takes 1,000 entities a call, parameters and tags included
_MOST_PARAMS = 90


class MlflowTracker(Tracker):
    """Mirrors runs into MLflow's tracking store."""

    name = "mlflow"
    version = "1"
    summary = "MLflow, on a local SQLite file unless MLFLOW_TRACKING_URI says otherwise"
    citation = "https://mlflow.org"
    licence = "Apache-2.0"
    requires = (Requirement("mlflow", "bench-suite[track]"),)

    def __init__(self) -> None:
        self._client: MlflowClient | None = None
        self._run = ""
        self._folder = Path()
        self._study: tuple[str, str] | None = None
        self._last_step = 0

    def parameters(self) -> Mapping[str, str]:
        """The tracking store, as the environment says now, and the experiment."""
        return {"store": os.environ.get("MLFLOW_TRACKING_URI") or "<out>/mlflow.db", "experiment": EXPERIMENT}

    def open(self, run: RunInfo) -> int:
        """Finds the run by its tag, or makes it, and returns the position kept in another tag."""
        client, experiment = _store(run.root)
        from mlflow.entities import Param

        self._client, self._folder = client, run.folder
        runs = client.search_runs([experiment], _tagged(RUN_TAG, run.id), max_results=1)
        if runs:
            self._run = runs[0].info.run_id
            if study := runs[0].data.tags.get(STUDY_TAG):
                self._study = experiment, study
            client.update_run(self._run, status="RUNNING")
            return int(runs[0].data.tags.get(NEXT_TAG, 0))
        tags = {RUN_TAG: _key(run.id), NEXT_TAG: "0"}
        if study := readable(run.config.get("study") or ""):
            self._study = experiment, study
            tags |= {STUDY_TAG: study, PARENT_TAG: _parent(client, experiment, study)}
        self._run = client.create_run(experiment, tags=tags, run_name=readable(run.name)).info.run_id
        params = [Param(key, value) for key, value in parameters(run.config).items()]
        for start in range(0, len(params), _MOST_PARAMS):
            client.log_batch(self._run, params=params[start : start + _MOST_PARAMS])
        return 0

    def write(self, events: Sequence[RunEvent]) -> None:
        """Sends the numbers in as few calls as MLflow allows. It leaves out by itself what it has already.

        The result follows as the artifact ``result.json``, and what the numbers rest on as tags ``bench.…``.
        """
        from mlflow.entities import Metric, RunTag

        assert self._client is not None, "open comes first"
        rows: list[Metric] = []
        for event in events:
            if said := facts(event):
                self._client.log_batch(
                    self._run, tags=[RunTag(f"bench.{tag_name(key)}", readable(text)) for key, text in said.items()]
                )
            if event.kind == "result" and (self._folder / RESULT).exists():
                self._client.log_dict(self._run, result(self._folder), RESULT)
            self._last_step = self._last_step if event.step is None else event.step
            batch = [Metric(k, v, round(event.time * 1000), self._last_step) for k, v in metrics(event).items()]
            if rows and len(rows) + len(batch) > _MOST_METRICS:
                self._send(rows, event.seq)
                rows = []
            rows += batch
        self._send(rows, events[-1].seq + 1)

    def close(self, finished: bool) -> None:
        """Marks the run as finished or killed, and links it to the study's run where it belongs to one."""
        if self._client is not None:
            if self._study is not None:
                self._client.set_tag(self._run, PARENT_TAG, _parent(self._client, *self._study))
            self._client.set_terminated(self._run, status="FINISHED" if finished else "KILLED")

    def mark_study(self, study: StudyInfo) -> None:
        """Gives the run that stands for the study its state, and its verdict as tags."""
        client, experiment = _store(study.root)
        parent = _parent(client, experiment, readable(study.name))
        for key, text in {"state": study.state, **study.facts}.items():
            client.set_tag(parent, f"bench.{tag_name(key)}", readable(text))
        if study.state == "running":
            client.update_run(parent, status="RUNNING")
        else:
            client.set_terminated(parent, status=_STATUS[study.state])

    def add_report(self, study: str, root: Path, page: Path) -> None:
        """Keeps the report as an artifact of the run that stands for the study."""
        if not os.environ.get("MLFLOW_TRACKING_URI") and not (root / DATABASE).exists():
            return
        client, experiment = _store(root)
        for run in client.search_runs([experiment], _tagged(STANDS_FOR_TAG, readable(study)), max_results=1):
            client.log_artifact(run.info.run_id, str(page))

    def _send(self, rows: Sequence[Metric], position: int) -> None:
        from mlflow.entities import RunTag

        assert self._client is not None, "open comes first"
        for start in range(0, len(rows), _MOST_METRICS):
            self._client.log_batch(self._run, metrics=rows[start : start + _MOST_METRICS])
        self._client.log_batch(self._run, tags=[RunTag(NEXT_TAG, str(position))])


def _store(root: Path) -> tuple[MlflowClient, str]:
    """A client of the tracking store, and the id of the experiment in it."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
    from mlflow import MlflowClient

    for noisy in ("alembic", "mlflow"):  # creating the tables is logged line by line otherwise
        logging.getLogger(noisy).setLevel(logging.ERROR)
    uri = os.environ.get("MLFLOW_TRACKING_URI") or database_uri(root / DATABASE)
    client = MlflowClient(tracking_uri=uri)
    known = client.get_experiment_by_name(EXPERIMENT)
    artifacts = (root / "mlartifacts").resolve().as_uri() if uri.startswith("sqlite") else None
    return client, known.experiment_id if known else client.create_experiment(EXPERIMENT, artifact_location=artifacts)


def database_uri(path: Path) -> str:
    """The URI of a SQLite file, whatever characters its path holds.

    SQLite takes the path as a ``file:`` URI and decodes it itself: versions of SQLAlchemy differ in what they encode.
    The driver is named because MLflow makes the folder that follows a bare ``sqlite:///`` without decoding it.
    """
    from sqlalchemy.engine import URL

    place = f"file:{quote(os.fsencode(path.resolve()))}"
    return URL.create("sqlite+pysqlite", database=place, query={"uri": "true"}).render_as_string()


def _tagged(tag: str, text: str) -> str:
    return f"tags.`{tag}` = '{_key(text)}'"


def _key(text: str) -> str:
    """A text as the value of a tag that is searched for: MLflow's filters have no escape for the quote that ends a string."""
    return quote(text, safe=" +")


def _parent(client: MlflowClient, experiment: str, study: str) -> str:
    """The run that stands for a study; the first of its runs makes it.

    Two that begin at once both make one, and neither may see the other's yet: the earlier stays, and all of them agree on it at
    the latest when they close.
    """
    runs = client.search_runs([experiment], _tagged(STANDS_FOR_TAG, study))
    known = [run.info.run_id for run in sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))]
    for late in known[1:]:
        client.delete_run(late)
    if known:
        return str(known[0])
    parent = client.create_run(experiment, tags={STANDS_FOR_TAG: _key(study)}, run_name=study).info.run_id
    client.set_terminated(parent)
    return str(parent)
