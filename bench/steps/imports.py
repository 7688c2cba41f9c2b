"""`bench import-predictions`: the prediction files of any system become a result, scored as a run is and stamped *imported*.

Example: an API model's annotations of the test notes, three files of three samplings, become three results of one arm with
seeds 0, 1 and 2, which the board lists and `bench compare` holds against runs. Training tokens and parameters are unknown
unless they are declared; a comparison says so, and wants ``--allow imported``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from bench.api.data import Document
from bench.api.task import Task
from bench.config import RunConfig
from bench.data.content import code_digest
from bench.errors import DataError, UsageError
from bench.evaluation.clusters import unit_of
from bench.naming import bounded
from bench.registry import Registry
from bench.results.environment import git, hardware, versions
from bench.results.imported import Imported
from bench.results.invariants import Batch, Checkpoint, Invariants, Parity, Smoke, Tokens
from bench.results.layout import INFO, JOURNAL, MANIFEST, PREDICTIONS, predictions_name
from bench.results.manifest import JournalEnd, file_sums, sums_sha256, write_manifest
from bench.results.reading import plain
from bench.results.schema import Headline, Quantization, Result, Stage, TaskScores
from bench.results.scores import FlatScores, interval_of, score_of
from bench.results.statistics import Statistics, write_statistics
from bench.results.store import read_predictions, write_json, write_predictions, write_result
from bench.steps.corpora import read_corpora
from bench.steps.finish import dictionary_scores, official_scores
from bench.tracking.journal import Journal

ARM = "imported"
"""In the place of the architecture."""
STAGE: Stage = "trained"
LINES = "predictions.jsonl"


@dataclass(frozen=True)
class ImportRequest:
    """What is imported.

    Args:
        task: its name.
        predictions: a file or folder for each seed: the task's official format, or JSON Lines as `bench predict` writes them.
        system: its name, as boards and comparisons show it.
        data: the corpus's folder.
        out: the folder of runs.
        version: of the system.
        tokens: training tokens, where they are known.
        parameters: trained parameters, where they are known.
        note: what else there is to say.
        seed: the first one.
        tolerate: kinds of faulty lines of the corpus that are left out.
        allow_leak: whether documents may stand in two splits.
    """

    task: str
    predictions: Sequence[Path]
    system: str
    data: Path | None = None
    out: Path = Path("runs")
    version: str = ""
    tokens: int | None = None
    parameters: int | None = None
    note: str = ""
    seed: int = 0
    tolerate: Sequence[str] = ()
    allow_leak: bool = False


def import_predictions(request: ImportRequest, registry: Registry) -> list[Path]:
    """Scores prediction files of the test split and writes a result for each; returns the results' folders.

    Files that were imported already are the same result again.

    Raises:
        UsageError: no such task, or the system has no name.
        DataError: the corpus or a prediction cannot be read, or a document is none of the test split.
        StorageError: the disk is full or cannot be written.
    """
    if not request.system.strip() or len(request.system) > 80 or any(ord(sign) < 32 for sign in request.system):
        raise UsageError("A system is imported under a name of 1 to 80 characters.", "Add --system NAME.")
    for name, value in (("--tokens", request.tokens), ("--parameters", request.parameters)):
        if value is not None and value < 0:
            raise UsageError(f"{name} is {value}; it must be at least 0.", "Leave it out where it is not known.")
    task: Task = registry.get("tasks", request.task).tolerating(request.tolerate)
    if request.data is None and task.folder is None:
        raise UsageError(f"Which corpus did {request.system} read?", f"Add --data {task.name}=DIR.")
    for path in request.predictions:
        if not path.exists():
            raise UsageError(f"There is no file or folder {path}.")
    base = RunConfig(
        task=(request.task,), arch=ARM, out=str(request.out), tracker=(), allow_leak=request.allow_leak,
        data={} if request.data is None else {task.name: str(request.data)}, tolerate=tuple(request.tolerate),
    )  # fmt: skip
    folders = []
    with read_corpora({task.name: task}, base) as sources:
        corpus, synthetic = sources[task.name].corpus, sources[task.name].synthetic
        gold = list(corpus["test"])
        annotated = any(document.mentions for document in gold) and not any(document.relations for document in gold)
        baselines = {"dictionary": dictionary_scores(task, corpus)} if annotated else {}
        for place, path in enumerate(request.predictions):
            predicted = _read(path, task, gold)
            about = Imported(
                request.system.strip(), request.version, _sha256(path), datetime.now(timezone.utc).date().isoformat(),
                request.tokens, request.parameters, request.note,
                {task.name: len(gold) - len({document.id for document in predicted})},
            )  # fmt: skip
            config = replace(base, seed=request.seed + place)
            hashes = {"data": {task.name: corpus.sha256}}
            folders.append(_write(config, about, task, gold, predicted, baselines, hashes, synthetic, corpus.unit))
    return folders


def _read(path: Path, task: Task, gold: Sequence[Document]) -> Sequence[Document]:
    lines = path / LINES if path.is_dir() else path
    if lines.suffix == ".jsonl" and lines.is_file() and _is_ours(lines):
        from bench.kit.documents import of_gold

        return of_gold(read_predictions(lines), gold, lines)
    return task.read_predictions(path, gold)


def _is_ours(path: Path) -> bool:
    """Whether a file holds predictions as `bench predict` writes them: each line an object with ``id`` and what was found."""
    try:
        with path.open(encoding="utf-8") as file:
            first = json.loads(next((line for line in file if line.strip()), "{}"))
    except (OSError, ValueError):
        return False
    return isinstance(first, dict) and "id" in first and bool({"mentions", "relations", "judgements"} & first.keys())


def _write(
    config: RunConfig,
    about: Imported,
    task: Task,
    gold: Sequence[Document],
    predicted: Sequence[Document],
    baselines: Mapping[str, FlatScores],
    hashes: Mapping[str, object],
    synthetic: bool,
    unit: str,
) -> Path:
    identity = [about.system, about.version, about.sha256, about.tokens, about.parameters, config.seed, hashes, task.version]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    label = "".join(sign if sign.isalnum() else "-" for sign in about.system.lower()).strip("-") or "system"
    ident = f"{bounded(f'imported-{label}_{task.name}'.lower())}_{digest[:12]}"  # no run's id begins so
    folder = Path(config.out) / ident
    if (folder / MANIFEST).exists():
        return folder
    rows = task.statistics(gold, predicted)
    statistics = Statistics.of(task.name, "test", STAGE, [document.id for document in gold], rows, unit)
    scores = official_scores(task, rows)
    metric = task.metadata.primary_metric
    value = score_of(scores, metric)
    if value is None:
        raise DataError(f"{task.name} gives these predictions no {metric}.", "Is the file of the test split, and complete?")
    resolved = {
        "task": [task.name], "model": {"name": about.system, "sha256": about.sha256}, "head": {task.name: ARM},
        "device": "unknown", "precision": "unknown", "lr": None, "quant_when": None, **hashes,
    }  # fmt: skip
    result = Result(
        id=ident,
        config=config.as_json() | {"model": about.system, "resolved": resolved},
        headline=Headline(task.name, "test", STAGE, metric, value, interval_of(scores, metric)),
        scores={task.name: TaskScores(trained=scores, baselines=baselines)},
        invariants=Invariants(
            Tokens(status="unknown", total=about.tokens, controlled=False), Parity(status="unknown"), Smoke(status="unknown"),
            Batch(status="unknown", micro_batch=0, limit=0, peak=None, binds="unknown", longest=0),
            Checkpoint(status="unknown"),
        ),
        quantization=Quantization(), timings={}, memory={},
        hashes={**hashes, "model": about.sha256, "config": digest[:12]},
        versions=versions() | {"parts": {f"task {task.name}": task.version}},
        hardware=hardware(), git=git(), waivers=(), synthetic=synthetic, imported=about,
        units={task.name: unit_of(task, statistics)} if unit else {},
    )  # fmt: skip
    write_predictions(folder / PREDICTIONS / predictions_name(task.name, "test", STAGE), predicted)
    write_statistics(folder, statistics)
    write_json(folder / INFO, {"id": ident, "name": about.system, "config": result.config})
    write_result(folder, result)
    files = file_sums(folder)
    with closing(Journal(folder / JOURNAL, identity=ident)) as journal:
        journal.write("imported", **plain(about))
        journal.write("result", sha256=sums_sha256(files))
        journal.write("end", status="finished")
        end = JournalEnd(journal.position, (folder / JOURNAL).stat().st_size, journal.sha256)
    write_manifest(folder, result, files, end, code_digest(task))
    return folder


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    for file in files:
        name = file.relative_to(path).as_posix() if path.is_dir() else ""
        content = file.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
