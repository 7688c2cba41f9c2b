"""`bench import-predictions`: the prediction files of any system become a result, scored as a run is and stamped *imported*.

Example: an API model's annotations of the test notes, three files of three samplings, become three results of one arm with
seeds 0, 1 and 2, which the board lists and `bench compare` holds against runs. Training tokens and parameters are unknown
unless they are declared; a comparison says so, and wants ``--allow imported``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from math import isfinite
from pathlib import Path

from bench.api.data import Corpus, Document
from bench.api.task import Task
from bench.config import DIGITS, RunConfig, whole_path, whole_paths
from bench.data import leaks
from bench.data.content import code_digest
from bench.errors import DataError, DataWarning, UsageError, storable
from bench.evaluation.clusters import unit_of
from bench.kit.documents import of_gold
from bench.kit.files import read_bytes
from bench.kit.jsonl import LINES, stream
from bench.naming import bounded
from bench.options import MOST, brief
from bench.registry import Registry
from bench.results.environment import git, hardware, versions
from bench.results.imported import Imported
from bench.results.invariants import Batch, Checkpoint, Invariants, Parity, Smoke, Tokens
from bench.results.layout import INFO, JOURNAL, MANIFEST, PREDICTIONS, predictions_name
from bench.results.lock import RunLock
from bench.results.manifest import JournalEnd, file_sums, sums_sha256, write_manifest
from bench.results.reading import plain
from bench.results.schema import Headline, Quantization, Result, Stage, TaskScores
from bench.results.scores import FlatScores, interval_by, interval_of, score_of
from bench.results.statistics import Statistics, write_statistics
from bench.results.store import as_document, as_kept, read_result, write_json, write_predictions, write_result
from bench.steps.corpora import read_corpora
from bench.steps.finish import DICTIONARY, dictionary_scores, official_scores
from bench.steps.names import refuse_missing
from bench.tracking.journal import Journal
from bench.wording import some

ARM = "imported"
"""In the place of the architecture."""
STAGE: Stage = "trained"
ASIDE = ".importing"
"""The folder of runs holds it while results are written, so that each is there whole or not at all."""
WHOLE = "predictions.jsonl"
"""The file of predictions in a folder of `bench predict`."""

LARGEST = 1e100
"""Of a score; the squares of larger ones leave the range of a float."""


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

    Files that were imported already are the same result again. Nothing is written before all files were read.

    Raises:
        UsageError: no such task, the system has no name, or a path is named twice.
        DataError: the corpus or a prediction cannot be read, or a document is none of the test split.
        StorageError: the disk is full or cannot be written.
    """
    if not request.system.strip() or len(request.system) > 80 or any(ord(sign) < 32 for sign in request.system):
        raise UsageError("A system is imported under a name of 1 to 80 characters.", "Add --system NAME.")
    for name, value in (("--tokens", request.tokens), ("--parameters", request.parameters)):
        if value is not None and not 0 <= value <= MOST[int]:
            raise UsageError(
                f"{name} is {brief(value)}; it must lie between 0 and {MOST[int]:,}.", "Leave it out where it is not known."
            )
    task: Task = registry.get("tasks", request.task).tolerating(request.tolerate)
    if request.data is None and task.folder is None:
        raise UsageError(f"Which corpus did {request.system} read?", f"Add --data {task.name}=DIR.")
    sums: dict[Path, str] = {}
    for path in request.predictions:
        if not path.exists():
            raise UsageError(f"There is no file or folder {path}.")
        if not (path.is_file() or path.is_dir()):
            raise UsageError(f"{path} is neither a file nor a folder; wanted one, which is read twice.", "Write it to a file.")
        if path.resolve() in (other.resolve() for other in sums):
            raise UsageError(f"{path} is named twice; wanted the predictions of each seed once.")
        sums[path] = _sha256(path)
    if len(set(sums.values())) < len(sums):
        message = "Some of these hold the same predictions: seeds that are copies of one make intervals too narrow."
        warnings.warn(message, DataWarning, stacklevel=2)
    if request.data is not None:
        refuse_missing({task.name: request.data})
    base = RunConfig(
        task=whole_paths((request.task,)), arch=ARM, out=whole_path(str(request.out)), tracker=(), seed=request.seed,
        data={} if request.data is None else {task.name: whole_path(str(request.data))}, tolerate=tuple(request.tolerate),
        allow_leak=request.allow_leak,
    )  # fmt: skip
    systems = []
    with read_corpora({task.name: task}, base) as sources:
        corpus = sources[task.name].corpus
        gold = list(corpus["test"])
        baselines = {DICTIONARY: dictionary_scores(task, corpus)} if registry.head(task).finds_mentions else {}
        for place, (path, sha256) in enumerate(sums.items()):
            found = {document.id: as_kept(document) for document in _read(path, task, gold)}
            about = Imported(
                request.system.strip(), request.version, sha256, datetime.now(timezone.utc).date().isoformat(),
                request.tokens, request.parameters, request.note, {task.name: len(gold) - len(found)},
            )  # fmt: skip
            predicted = [found.get(document.id) or Document(document.id, "") for document in gold]
            system = _System(replace(base, seed=request.seed + place), about, predicted, task.statistics(gold, predicted))
            systems.append((system, system.result(task, corpus, baselines)))
    aside = request.out / ASIDE
    with storable(request.out), RunLock(aside):  # one import at a time, which also clears away what a killed one left
        try:
            for system, result in systems:
                folder, made = request.out / result.id, aside / result.id
                if not (folder / MANIFEST).exists():
                    for unfinished in (made, folder):
                        shutil.rmtree(unfinished, ignore_errors=True)
                    system.write(made, task, result, corpus.unit)
                    made.rename(folder)
                elif request.note and (kept := read_result(folder).imported) is not None and kept.note != request.note:
                    message = f"{result.id} was imported before; it keeps the note of then, since no result is changed."
                    warnings.warn(message, DataWarning, stacklevel=2)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return [request.out / result.id for _, result in systems]


@dataclass(frozen=True)
class _System:
    """One seed of a system: its configuration, what is known of it, and its documents with their statistics."""

    config: RunConfig
    about: Imported
    predicted: Sequence[Document]
    rows: Sequence[Mapping[str, float]]

    def statistics(self, task: Task, unit: str) -> Statistics:
        """Of every document of the split."""
        return Statistics.of(task.name, "test", STAGE, [document.id for document in self.predicted], self.rows, unit)

    def result(self, task: Task, corpus: Corpus, baselines: Mapping[str, FlatScores]) -> Result:
        """The result, as a run's but for what nobody knows.

        Raises:
            DataError: the scorer has no number for these predictions.
        """
        about, config = self.about, self.config
        scores, metric = official_scores(task, self.rows), task.metadata.primary_metric
        value = score_of(scores, metric)
        if value is None or not isfinite(value):
            raise DataError(f"{task.name} gives these predictions no {metric}.", "Is the file of the test split, and complete?")
        # A system is one arm, whose seeds have files of their own.
        system = json.dumps([about.system, about.version, about.tokens, about.parameters])
        model = {"name": f"{about.system} {about.version}".strip(), "sha256": hashlib.sha256(system.encode()).hexdigest()}
        hashes = {"data": {task.name: corpus.sha256}, "model": model["sha256"]}
        identity = [hashes, about.sha256, config.seed, config.tolerate, config.allow_leak, task.version]
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:DIGITS]
        label = "".join(sign if sign.isalnum() else "-" for sign in about.system.lower()).strip("-") or "system"
        left_out, adjusted = dict(corpus.left_out), dict(corpus.adjusted)
        resolved = {
            "task": [task.name], "model": model, "head": {task.name: ARM}, "device": "unknown", "precision": "unknown",
            "lr": None, "quant_when": None, "data": hashes["data"],
        }  # fmt: skip
        return Result(
            id=f"{bounded(f'imported-{label}_{task.name}'.lower())}_{digest}",  # no run's id begins so
            config=config.as_json() | {"model": model["name"], "resolved": resolved},
            headline=Headline(
                task.name, "test", STAGE, metric, value, interval_of(scores, metric), interval_by(scores, metric)
            ),
            scores={task.name: TaskScores(trained=scores, baselines=baselines)},
            invariants=Invariants(
                Tokens(status="unknown", total=about.tokens, controlled=False),
                Parity(status="unknown"),
                Smoke(status="unknown"),
                Batch(status="unknown", micro_batch=0, limit=0, peak=None, binds="unknown", longest=0),
                Checkpoint(status="unknown"),
            ),
            quantization=Quantization(),
            timings={},
            memory={},
            hashes=hashes | {"config": digest},
            versions=versions() | {"parts": {f"task {task.name}": task.version}},
            hardware=hardware(),
            git=git(),
            waivers=(),
            synthetic=corpus.synthetic,
            imported=about,
            leaks={task.name: leaks.as_json(corpus.leaks)} if corpus.leaks else {},
            left_out={task.name: left_out} if left_out else {},
            adjusted={task.name: adjusted} if adjusted else {},
            units={task.name: unit_of(task, self.statistics(task, corpus.unit))} if corpus.unit else {},
        )

    def write(self, folder: Path, task: Task, result: Result, unit: str) -> None:
        """Writes the result with its predictions, statistics and manifest."""
        write_predictions(folder / PREDICTIONS / predictions_name(task.name, "test", STAGE), self.predicted)
        write_statistics(folder, self.statistics(task, unit))
        write_json(folder / INFO, {"id": result.id, "name": result.config["model"], "config": result.config})
        write_result(folder, result)
        files = file_sums(folder)
        with closing(Journal(folder / JOURNAL, identity=result.id)) as journal:
            journal.write("imported", **plain(self.about))
            journal.write("result", sha256=sums_sha256(files))
            journal.write("end", status="finished")
            end = JournalEnd(journal.position, (folder / JOURNAL).stat().st_size, journal.sha256)
        write_manifest(folder, result, files, end, code_digest(task))


def _read(path: Path, task: Task, gold: Sequence[Document]) -> Sequence[Document]:
    """A system's documents, whatever it says them in; spans lie in the text, and judgements are of what gold judges.

    Raises:
        DataError: naming the file, or the document, and never what stands there.
    """
    lines = path / WHOLE if path.is_dir() else path
    found = of_gold(_documents(lines), gold, lines) if _is_ours(lines) else task.read_predictions(path, gold)
    by_name = {document.id: document for document in gold}
    for document in found:
        if fault := _fault(document, by_name[document.id]):
            raise DataError(f"{path}: of document {document.id!r} {fault}.", "Offsets count characters of the corpus's text.")
    return found


def _documents(path: Path) -> Iterator[Document]:
    for record in stream(path):
        try:
            yield as_document(record.values)
        except ValueError:
            raise record.error(
                "no document's predictions; wanted 'id', 'mentions' and more as 'bench predict' writes."
            ) from None


def _fault(document: Document, gold: Document) -> str:
    """What cannot be in predictions of a document; empty where all can."""
    related = (end[0] for relation in document.relations for end in (relation.source, relation.target))
    for fragments in (*(mention.fragments for mention in document.mentions), *related):
        if any(start >= end for start, end in fragments):
            return "a span ends before or where it starts"
        if any(start < 0 or end > len(gold.text) for start, end in fragments):
            return f"a span lies outside the text, which has {some(len(gold.text), 'character')}"
    if any(not values for mention in document.mentions for values in mention.slots.values()):
        return "a slot has no value"
    names = [judgement.name for judgement in document.judgements]
    strange = set(names) - {judgement.name for judgement in gold.judgements} - {passage.id for passage in gold.passages}
    if strange or len(set(names)) != len(names):
        return "a judgement comes twice, or is of what gold does not judge"
    if not all(abs(judgement.score) <= LARGEST for judgement in document.judgements):
        return f"a score is no number from -{LARGEST:g} to {LARGEST:g}"
    sure = [*(mention.confidence for mention in document.mentions), *(relation.confidence for relation in document.relations)]
    if not all(confidence is None or 0 <= confidence <= 1 for confidence in sure):
        return "a confidence is no number from 0 to 1"
    return ""


def _is_ours(path: Path) -> bool:
    """Whether a file holds predictions as `bench predict` writes them: each line an object with ``id`` and what was found."""
    if path.suffix.lower() not in LINES or not path.is_file():
        return False
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = json.loads(next((line for line in file if line.strip()), "{}"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(first, dict) and "id" in first and bool({"mentions", "relations", "judgements"} & first.keys())


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    for file in files:
        name = file.relative_to(path).as_posix() if path.is_dir() else ""
        content = read_bytes(file)
        digest.update(f"{name}\0{len(content)}\0".encode(errors="surrogateescape"))
        digest.update(content)
    return digest.hexdigest()
