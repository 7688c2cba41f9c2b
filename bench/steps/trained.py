"""The model of a finished run, loaded from the run's folder, that predicts new texts by the code that evaluated it."""

from __future__ import annotations

import tempfile
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.data import Corpus, Document
from bench.api.head import Head
from bench.config import RunConfig
from bench.errors import BenchError, DataWarning, RunStateError, UsageError, unknown
from bench.evaluation.thresholds import Thresholds
from bench.kit.texts import Given
from bench.registry import Registry
from bench.reporting import Reporter
from bench.results.layout import ADAPTERS
from bench.results.schema import Result, Stage
from bench.steps import base as base_step
from bench.steps import concepts as concepts_step
from bench.steps.corpora import pad_id, read_again, refuse_past_table
from bench.steps.finish import Scoring
from bench.steps.finished import finished_run
from bench.steps.resolve import Parts
from bench.steps.trial import as_loaded
from bench.wording import some

if TYPE_CHECKING:
    from bench.training.loop import Device
    from bench.training.model import TaskModel

GIVEN = "given"
"""Name of the split that texts to be predicted make."""
IN_MEMORY = 8 * 1024**2
"""Characters of texts whose encoded windows stay in memory; those of more lie in a file while they are predicted."""


@dataclass(frozen=True)
class TrainedModel:
    """A finished run's adapters and heads on its base model, with the thresholds that the run chose on dev.

    `RunResult.model` gives one.

    Args:
        result: of the run.
        folder: of the run.
        stage: ``trained``, or ``quantized`` for the same adapters on the quantized base.
        parts: of the run, with the base model's spec as it was loaded.
        model: base model, adapters and the heads' modules, in evaluation mode.
        heads: task to its head, as it was fitted.
        thresholds: task to the probabilities from which on a prediction counts.
        device: where the model is, and in what precision it computes.
    """

    result: Result = field(repr=False)
    folder: Path
    stage: Stage
    parts: Parts = field(repr=False)
    model: TaskModel = field(repr=False)
    heads: Mapping[str, Head] = field(repr=False)
    thresholds: Mapping[str, Thresholds] = field(repr=False)
    device: Device = field(repr=False)
    _config: RunConfig = field(repr=False)
    _console: Reporter = field(repr=False)
    _linkings: dict[str, dict[str, concepts_step.TaskLinking]] = field(repr=False, default_factory=dict)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the run's tasks."""
        return tuple(self.heads)

    def predict(self, texts: str | Document | Sequence[str | Document], task: str | None = None) -> tuple[Document, ...]:
        """What the model finds in texts.

        A prediction is by the run's own evaluation: windows, head, thresholds, then concepts. Concepts are filled in where the
        run had them and its training corpus is still there as it was; the linker learns from it at the first call. Where it is
        not, a `DataWarning` says why, and ``concept`` is None. Annotations that a document holds are not looked at, but for the
        mentions between which a task of relations is to find them.

        Args:
            texts: one text or several; each a string, or a `Document` where the task needs more than text: passages to rank,
                mentions to relate. Strings are named ``0``, ``1``, … in the order given.
            task: which of the run's tasks; may be left out where it has one.

        Returns:
            A document for each text, in order: ``mentions`` with offsets into the text, labels, slots and concepts;
            ``relations``; ``judgements``, a class or each passage's score; with ``confidence`` or ``score``, how probable
            each is.

        Raises:
            UsageError: no such task, two documents of one id, or strings where the task needs documents.
        """
        from bench.training.devices import current

        name = chosen_task(self.result, self.tasks, task)
        documents = self._documents([texts] if isinstance(texts, (str, Document)) else texts, name)
        with ExitStack() as stack, current(self.device.name):
            scoring = self._scoring(name, documents, stack)
            predicted = scoring.predict(self.model, name, GIVEN)
        for task_linking in scoring.linkings.values():
            task_linking.linking.forget()
        return tuple(replace(p, text=d.text) for d, p in zip(documents, predicted.documents, strict=True))

    def _documents(self, texts: Sequence[str | Document], task: str) -> list[Document]:
        """The texts as documents without gold."""
        needs = given(self.heads[task])
        documents = []
        for number, text in enumerate(texts):
            if isinstance(text, Document):
                mentions = text.mentions if needs == "mentions" else ()
                documents.append(replace(text, mentions=mentions, relations=(), judgements=()))
            elif needs is None:
                documents.append(Document(str(number), text))
            else:
                raise UsageError(
                    f"Task {task} predicts from texts with their {needs}; got a string.",
                    f"Give bench.api.data.Document(id, text, {needs}=(…)).",
                )
        twice = [name for name, count in Counter(document.id for document in documents).items() if count > 1]
        if twice:
            raise UsageError(f"{some(len(twice), 'id')} of more than one document, {twice[0]!r} among them; wanted each once.")
        return [self.parts.tasks[task].prepared(document) for document in documents]

    def _scoring(self, task: str, documents: Sequence[Document], stack: ExitStack) -> Scoring:
        """What scores a run, with the documents as its only split; `stack` holds what is on disk for them."""
        from bench.data.cache import encode_in_memory, encode_split
        from bench.training.model import TaskData

        head, base = self.heads[task], self.parts.model
        length = self.result.plan.data[task]["train"].max_length
        if sum(len(document.text) for document in documents) <= IN_MEMORY:
            encoded = encode_in_memory(documents, head, self.tokenizer, length)
        else:
            aside = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-predict-")))
            encoded = encode_split(documents, head, self.tokenizer, length, aside / f"{GIVEN}.arrow")
        refuse_past_table(base.name, "the texts given", encoded.largest, base.rows)
        corpus = Corpus({GIVEN: documents}, synthetic=False, sha256="")
        return Scoring(
            data={task: TaskData(self.parts.tasks[task], corpus, head, {GIVEN: encoded}, length)},
            folder=self.folder,
            linkings=self._linking(task),
            device=self.device,
            pad=pad_id(base.folder()),
            # Batches as in the run: what else is in a batch moves the last digits of a probability.
            padded=self.result.invariants.batch.micro_batch,
            thresholds=dict(self.thresholds),
        )

    @cached_property
    def tokenizer(self) -> Any:
        """The base model's tokenizer."""
        from bench.modeling.backbone import load_tokenizer

        return load_tokenizer(self.parts.model.folder())

    def _linking(self, task: str) -> dict[str, concepts_step.TaskLinking]:
        """What links a task's mentions, learned from the run's corpus at the first call; empty where there is nothing."""
        if task not in self._linkings:
            try:
                self._linkings[task] = self._learned_linking(task) if task in self.result.concepts else {}
            except BenchError as error:
                warnings.warn(DataWarning(f"Mentions of {task} have no concepts: {error}"), stacklevel=4)
                self._linkings[task] = {}
        return self._linkings[task]

    def _learned_linking(self, task: str) -> dict[str, concepts_step.TaskLinking]:
        from bench.training.model import TaskData

        parts, config, hashes = self.parts, self._config, self.result.hashes
        tasks = {task: parts.tasks[task]}
        with read_again(tasks, config, self.folder, self.result) as sources:
            terminologies = concepts_step.open_terminologies(tasks, sources, config, self._console)
            names = {name: terminology.sha256 for name, terminology in terminologies.items()}
            if names.get(task) != hashes.get("concepts", {}).get(task):
                raise RunStateError(f"The names of its concepts are not those that run {self.result.id} read.")
            data = {task: TaskData(parts.tasks[task], sources[task].corpus, self.heads[task], {})}
            return concepts_step.linkings(data, terminologies, parts.model, self.device.name, self._console)


def chosen_task(result: Result, tasks: Sequence[str], task: str | None) -> str:
    """One of a run's tasks.

    Args:
        result: of the run.
        tasks: the run's.
        task: its name; None for the only one.

    Raises:
        UsageError: there is none of that name, or there are several and none was named.
    """
    if task is None and len(tasks) == 1:
        return tasks[0]
    if task is None:
        raise UsageError(f"Run {result.id} has the tasks {', '.join(tasks)}; wanted one.", "Name it: --task NAME, task=NAME.")
    if task not in tasks:
        raise unknown("task", task, tasks, hint=f"Run {result.id} has {', '.join(tasks)}.")
    return task


def given(head: Head) -> Given | None:
    """What a head is given beside the text; None where it reads text alone."""
    if "pairs" in head.predicts:
        return "mentions"
    if head.finds_mentions or head.cuts == "whole":
        return None
    return "passages" if head.cuts in ("passages", "pair") else "mentions"


def load_trained(
    folder: Path, registry: Registry, stage: Stage, device: str | None, console: Reporter, precision: str | None = None
) -> TrainedModel:
    """Loads the model that a finished run saved, counterpart of `bench.steps.finish.save_trained`.

    Args:
        folder: of the run.
        registry: the plugins.
        stage: ``trained`` or ``quantized``.
        device: where it computes, e.g. ``cpu``; the run's where None.
        console: shows progress.
        precision: ``fp32`` or ``bf16``; the run's where None.

    Raises:
        UsageError: the run has no such stage, or there is no such device.
        RunStateError: the run did not finish, or weights are missing, damaged, or of another base model.
        MissingError: a part of the run is not installed.
    """
    from bench.adapters.attach import Bare, attention_on
    from bench.modeling.noise import import_heavy
    from bench.training.build import build_model
    from bench.training.devices import current, resolve_device
    from bench.training.loop import Device

    run = finished_run(folder, registry)
    result, config, parts = run.result, run.config, run.parts
    if stage not in ("trained", "quantized"):
        raise unknown("stage", stage, ("trained", "quantized"), f"bench show run {result.id}")
    if stage == "quantized" and not parts.quantizes:
        raise UsageError(f"Run {result.id} quantized nothing: it has the stage 'trained' alone.", "Leave stage out.")
    import_heavy()
    resolved = result.config["resolved"]
    where = Device(resolve_device(device or str(resolved["device"])), precision or str(resolved["precision"]))
    if parts.model.sha256() != result.hashes["model"]:
        raise RunStateError(
            f"The base model {parts.model.name} is not the one that run {result.id} trained on.", "Put it back."
        )
    console.step("loading the base model")
    parts = as_loaded(parts, where.precision)
    heads, thresholds = {}, {}
    for name, saved in run.saved_heads().items():
        heads[name] = parts.fresh_head(name)
        heads[name].restore(saved["state"])
        thresholds[name] = Thresholds.from_json(saved.get("thresholds", {}))
    with current(where.name):
        # Where the base's own weights were trained, it is these that were quantized, and there is nothing more to load.
        alone = stage == "quantized" and parts.architecture.trains_base
        architecture = Bare() if alone else parts.architecture
        base, budget = base_step.finished_base(parts, folder, stage, where), base_step.parameter_budget(config, parts)
        model = build_model(
            base, architecture, budget, heads, parts.model.spec.hidden_size, config.seed, where.name,
            attention=attention_on(config.attention_implementation, where.name, where.precision),
        )  # fmt: skip
        model.load(folder / ADAPTERS)
    model.eval()
    return TrainedModel(result, folder, stage, parts, model, heads, thresholds, where, config, console)
