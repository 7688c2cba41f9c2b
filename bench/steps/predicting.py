"""`bench predict`: the model of a finished run on texts in files, a chunk at a time, into a folder that appears whole.

Memory holds one chunk of documents, however many there are. The texts are read twice: first all of them, so that a file at
fault is told before the model is loaded and not after hours; then chunk by chunk, through `TrainedModel.predict`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import __version__
from bench.api.data import Document
from bench.api.head import Head
from bench.api.spool import Spool
from bench.api.task import Task
from bench.errors import DataError, UsageError, storable, unknown
from bench.kit import brat, texts
from bench.modeling.files import written_whole
from bench.registry import Registry
from bench.reporting import Reporter
from bench.results.schema import Stage
from bench.results.store import write_json, write_predictions
from bench.steps.finished import finished_run
from bench.steps.trained import chosen_task, given, load_trained
from bench.wording import some

FORMATS = ("jsonl", "official", "brat")
LINES = "predictions.jsonl"
ABOUT = "about.json"
CHUNK = 256
"""Documents that are read, predicted and written together."""


@dataclass(frozen=True)
class Request:
    """What is to be predicted, and where to.

    Args:
        inputs: files and folders, as `bench.kit.texts` reads them.
        out: the folder to be made; it may be there if it is empty.
        formats: some of `FORMATS`: the run's own JSON Lines, the task's official format, brat.
        task: one of the run's; None where it has one.
        stage: ``trained``, or ``quantized`` for the same adapters on the quantized base.
        device: where it computes, e.g. ``cpu``; the run's where None.
        with_text: whether brat's files hold the text, which its server needs; nothing holds any else.
        chunk: documents that memory holds at once.
    """

    inputs: Sequence[Path]
    out: Path
    formats: Sequence[str] = ("jsonl",)
    task: str | None = None
    stage: Stage = "trained"
    device: str | None = None
    with_text: bool = False
    chunk: int = CHUNK


@dataclass(frozen=True)
class Written:
    """What was predicted; ``about.json`` of the folder holds it too.

    Args:
        run: id of the run.
        task: its name.
        stage: of the run.
        synthetic: whether the run was trained on generated text.
        formats: that were written.
        documents: how many there were.
        mentions: how many were found; likewise `relations`.
        judgements: how many labels, passages or ratings were given to all documents.
        judged: which of them, ``label``, ``passage`` or ``rating``; None where documents are not judged.
    """

    run: str
    task: str
    stage: Stage
    synthetic: bool
    formats: tuple[str, ...]
    documents: int
    mentions: int = 0
    relations: int = 0
    judgements: int = 0
    judged: str | None = None

    @property
    def summary(self) -> str:
        """Documents, and what was found in them, as in ``1 document judged: 2 labels given``."""
        kinds = {"mention": self.mentions, "relation": self.relations}
        found = [some(count, kind) for kind, count in kinds.items() if count]
        if self.judged:
            found.append(f"{some(self.judgements, self.judged)} {'chosen' if self.judged == 'passage' else 'given'}")
        return f"{some(self.documents, 'document')}{' judged' if self.judged else ''}: {', '.join(found) or 'nothing found'}"


def predict_files(folder: Path, registry: Registry, request: Request, console: Reporter) -> Written:
    """Predicts the texts of files with the model of a finished run.

    Args:
        folder: of the run.
        registry: the plugins.
        request: what, and where to.
        console: shows progress.

    Raises:
        UsageError: no such task, stage, device or format; the folder holds something; or the task needs more than texts.
        DataError: a text cannot be read, or two documents have one id.
        RunStateError: the run did not finish, or its weights are missing or damaged.
        StorageError: the disk is full or cannot be written.
    """
    run = finished_run(folder, registry)
    result, parts = run.result, run.parts
    name = chosen_task(result, tuple(parts.tasks), request.task)
    task, head = parts.tasks[name], parts.fresh_head(name)
    _check(request, name, head)
    console.step("checking the texts")
    total, labels = _survey(request, task, head)
    if labels:
        warn_of_labels(labels, run.saved_heads()[name]["state"].get("kinds"), console)
    model = load_trained(folder, registry, request.stage, request.device, console)
    about = Written(
        result.id, name, request.stage, result.synthetic, tuple(dict.fromkeys(request.formats)), total, judged=_judged(head)
    )
    predicted = Spool()
    console.step(f"predicting {name} with the {request.stage} model")
    with written_whole(request.out.absolute()) as aside, console.progress("predicting", total, "documents") as progress:
        for located in _chunks(request, head):
            chunk = [document for _, document in located]
            predictions = model.predict(chunk, name)
            _write(aside, chunk, predictions, request)
            if "official" in request.formats:
                predicted.extend(document.without_text() for document in predictions)
            about = replace(
                about,
                mentions=about.mentions + sum(len(d.mentions) for d in predictions),
                relations=about.relations + sum(len(d.relations) for d in predictions),
                judgements=about.judgements + sum(j.chosen for d in predictions for j in d.judgements),
            )
            progress.advance(len(chunk))
        if "official" in request.formats:  # by one call, since a format need not be one that can be written in parts
            with storable(request.out, "Make room and try again."):
                task.write(aside / "official", predicted)
        write_json(aside / ABOUT, asdict(about) | {"bench": __version__})
    return about


def _judged(head: Head) -> str | None:
    kinds = {"classes": "label", "labels": "label", "rankings": "passage", "ratings": "rating"}
    return next((kinds[gold] for gold in head.predicts if gold in kinds), None)


def _check(request: Request, name: str, head: Head) -> None:
    """Refuses what can be refused before any text is read."""
    for requested in request.formats:
        if requested not in FORMATS:
            raise unknown("format", requested, FORMATS, "bench predict --help")
    if "brat" in request.formats and not {"mentions", "relations"} & set(head.predicts):
        raise UsageError(
            f"brat holds mentions and relations; {name} predicts {' and '.join(head.predicts)}.", "Leave --format brat out."
        )
    if request.with_text and "brat" not in request.formats:
        raise UsageError("--with-text is for brat alone: no other format holds text.", "Add --format brat, or leave it out.")
    if not request.inputs or request.chunk < 1:
        raise UsageError(f"{some(len(request.inputs), 'input')} in chunks of {request.chunk}; wanted at least one of each.")
    if absent := [path for path in request.inputs if not path.exists()]:
        raise UsageError(f"There is no file or folder {absent[0]}.", "Correct the path.")
    out = request.out.absolute()
    if out == Path.cwd():
        raise UsageError("--out is the working folder; wanted one whose place can be taken.", "Name another folder.")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        what = "holds files already" if out.is_dir() else "is a file"
        raise UsageError(f"{out} {what}; wanted a new or an empty folder.", "Name another one with --out.")


def _survey(request: Request, task: Task, head: Head) -> tuple[int, Counter[str]]:
    """The number of documents, all of them read once, and the labels of the mentions given, by how often each comes.

    The documents' ids differ, and can name what is to be written.
    """
    seen: dict[str, Path] = {}
    labels: Counter[str] = Counter()
    for located in _chunks(request, head):
        chunk = [document for _, document in located]
        for path, document in located:
            labels.update(mention.label for mention in document.mentions)
            name = document.id.casefold()
            if name in seen:
                where = f"both in {path}" if path == seen[name] else f"one in {seen[name]}, one in {path}"
                raise DataError(
                    f"Two documents are named {document.id!r}, {where}; wanted names that differ, and not in case alone.",
                    "Files are named by their path in the folder that was given, without what they end in.",
                )
            seen[name] = path
        named = [Document(document.id, "") for document in chunk]
        with TemporaryDirectory(prefix="bench-predict-") as aside:
            if "official" in request.formats and head.finds_mentions:
                task.write(Path(aside, "official"), named)
            if "brat" in request.formats:
                brat.write(Path(aside, "brat"), named)
    return len(seen), labels


def warn_of_labels(given: Counter[str], known: Sequence[str] | None, console: Reporter) -> None:
    """Says which given mentions can take part in no relation, since the run met none of their label in one."""
    if known is None or not (strange := {label: count for label, count in given.items() if label not in known}):
        return
    named = ", ".join(f"{label} {count:,}" for label, count in sorted(strange.items(), key=lambda row: -row[1])[:6])
    console.warn(
        f"No relation for {sum(strange.values()):,} of {some(given.total(), 'mention')}, whose labels the run knows in none: "
        f"{named}. It knows {', '.join(known)}."
    )


def _chunks(request: Request, head: Head) -> Iterator[list[tuple[Path, Document]]]:
    documents = (located for path in request.inputs for located in texts.located(path, given(head)))
    while chunk := list(islice(documents, request.chunk)):
        yield chunk


def _write(whole: Path, chunk: Sequence[Document], predictions: Sequence[Document], request: Request) -> None:
    """Adds the predictions of a chunk to what is written chunk by chunk."""
    with storable(request.out, "Make room and try again."):
        if "jsonl" in request.formats:
            aside = whole / f".{LINES}"
            write_predictions(aside, predictions)
            with (whole / LINES).open("ab") as file:
                file.write(aside.read_bytes())
            aside.unlink()
        if "brat" in request.formats:
            drawn = [_for_brat(before, after) for before, after in zip(chunk, predictions, strict=True)]
            brat.write(whole / "brat", drawn, notes=True, text=request.with_text)


def _for_brat(before: Document, after: Document) -> Document:
    """Predictions as brat can hold them: with the mentions that were given, and no sign in a type that it keeps for itself."""

    def typed(label: str) -> str:
        return re.sub(r"[\s:;|]", "_", label)

    mentions = tuple(replace(mention, label=typed(mention.label)) for mention in after.mentions or before.mentions)
    relations = tuple(
        replace(r, source=(r.source[0], typed(r.source[1])), target=(r.target[0], typed(r.target[1])), label=typed(r.label))
        for r in after.relations
    )
    return replace(after, mentions=mentions, relations=relations)
