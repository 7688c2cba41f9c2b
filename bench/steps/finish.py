"""Steps 9 to 11: quantizing the pristine base, official scores before and after, and one JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api.data import Corpus, Document
from bench.api.task import Task
from bench.data.batches import evenly
from bench.data.concepts import ConceptDictionary
from bench.evaluation import class_thresholds, thresholds
from bench.evaluation.clusters import unit_of
from bench.evaluation.funnel import Funnel
from bench.evaluation.statistics import with_intervals
from bench.evaluation.thresholds import Thresholds
from bench.naming import flatten
from bench.reporting import Progress, SilentProgress
from bench.results.evidence import Unit
from bench.results.layout import ADAPTERS, PREDICTIONS, predictions_name
from bench.results.scores import FlatScores, score_of
from bench.results.statistics import Statistics, write_statistics
from bench.results.store import write_json, write_predictions
from bench.steps.concepts import TaskLinking

if TYPE_CHECKING:
    import torch

    from bench.evaluation.predict import Predicted
    from bench.training.loop import Device
    from bench.training.model import TaskData, TaskModel

DICTIONARY = "dictionary"
"""Name of the baseline that is a dictionary of the training mentions."""
ERROR_WINDOWS = 32
"""Windows of dev text over which output errors are measured."""


@dataclass
class Scoring:
    """Predicts, saves predictions and scores them, stage by stage.

    Args:
        data: task to its data.
        folder: of the run.
        linkings: task to what links its mentions; those that are not there have no concepts.
        device: where and in what precision.
        pad: id of the padding token.
        padded: padded tokens of a batch at most.
        throughput: stage to marked tokens a second on the test split.
        latest: step and dev predictions of the last `selection`, so that the same weights need not read dev again.
        thresholds: task to what its mentions are accepted from, as chosen on dev last.
        funnels: stage to task to how far gold mentions of the test split came.
        units: task to what its intervals on test are over.
        at_half: task to split to the selection metric of the trained model as chosen, and with every threshold at one half.
        progress: moved on by the tokens that are predicted, while `showing`.
    """

    data: Mapping[str, TaskData]
    folder: Path
    linkings: Mapping[str, TaskLinking]
    device: Device
    pad: int
    padded: int
    throughput: dict[str, float] = field(default_factory=dict)
    latest: tuple[int, dict[str, Predicted]] | None = None
    thresholds: dict[str, Thresholds] = field(default_factory=dict)
    funnels: dict[str, dict[str, Funnel]] = field(default_factory=dict)
    at_half: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    progress: Progress = field(default_factory=SilentProgress)
    units: dict[str, Unit] = field(default_factory=dict)
    _selects_concepts: dict[str, bool] = field(default_factory=dict)

    def predict(
        self, model: TaskModel, task: str, split: str, choose: bool = False, funnel: Funnel | None = None, concepts: bool = True
    ) -> Predicted:
        """Predictions of a model on a split.

        Args:
            model: what predicts.
            task: name of the task.
            split: its name.
            choose: whether the thresholds are chosen anew on this split, which is dev.
            funnel: follows the gold mentions of the split.
            concepts: whether they are filled in.
        """
        from bench.evaluation.predict import predict

        data = self.data[task]

        def finish(documents: Sequence[Document]) -> Sequence[Document]:
            if data.head.floor is not None:
                if choose:
                    self.thresholds[task] = self.chosen(task, split, documents)
                documents = self.thresholds.get(task, Thresholds()).accept(documents)
            return self.linked(task, split, documents) if concepts else documents

        see = None if funnel is None else funnel.see
        return predict(model, task, data, split, self.device, self.pad, self.padded, finish, see, self.progress)

    def chosen(self, task: str, split: str, handed: Sequence[Document]) -> Thresholds:
        """The thresholds that suit what a head hands over for a split, which is dev."""
        data = self.data[task]
        labels = "labels" in data.head.predicts
        general = thresholds.choose(data.corpus[split], handed, labels)
        if labels:
            return general
        return replace(general, classes=class_thresholds.choose(data.corpus[split], handed, data.task))

    def linked(self, task: str, split: str, predicted: Sequence[Document]) -> tuple[Document, ...]:
        """Predictions of a split with the concepts of their mentions filled in; as they are where the corpus has none."""
        if task not in self.linkings:
            return tuple(predicted)
        linking, texts = self.linkings[task].linking, self.data[task].corpus[split]
        linking.prepare([replace(text, mentions=d.mentions) for text, d in zip(texts, predicted, strict=True)])
        return tuple(
            replace(d, mentions=tuple(linking.link(text, d.mentions))) for text, d in zip(texts, predicted, strict=True)
        )

    def selects_concepts(self, task: str) -> bool:
        """Whether the selection metric looks at concepts: gold of dev without them scores less than gold. Where it does not,
        they are left out of what is done after every so many updates: early on a model finds much that is no mention, and
        each of it would be looked up.
        """
        if task not in self._selects_concepts:
            gold = self.data[task].corpus["dev"] if task in self.linkings else ()
            bare = [replace(d, mentions=tuple(replace(m, concept=None) for m in d.mentions)) for d in gold]
            self._selects_concepts[task] = bool(gold) and self.selected(task, "dev", bare) != self.selected(task, "dev", gold)
        return self._selects_concepts[task]

    def compare_with_half(self, task: str, split: str, predicted: Predicted) -> None:
        """Keeps the selection metric beside what it would be with every threshold at one half."""
        if not self.thresholds.get(task, Thresholds()).as_json():
            return
        half = Thresholds().accept(predicted.raw)
        if self.selects_concepts(task):
            half = self.linked(task, split, half)
        self.at_half.setdefault(task, {})[split] = {
            "chosen": self.selected(task, split, predicted.documents),
            "half": self.selected(task, split, half),
        }

    def selected(self, task: str, split: str, documents: Sequence[Document]) -> float:
        """The selection metric of predictions on a split."""
        data = self.data[task]
        return score_of(flatten(data.task.score(data.corpus[split], documents)), data.task.metadata.selects_by) or 0.0

    def selection(self, model: TaskModel, step: int, bar: Progress) -> dict[str, float]:
        """Each task's selection metric on dev after an update, and their mean as ``mean``.

        Args:
            model: what predicts.
            step: the update.
            bar: of training; ``dev`` stands beside it, as the share of dev that is read, then as the mean.
        """
        with self.showing(_ShareRead(bar, self.tokens("dev"))):
            predicted = {
                name: self.predict(model, name, "dev", choose=True, concepts=self.selects_concepts(name)) for name in self.data
            }
        self.latest = step, predicted
        values = {name: self.selected(name, "dev", predicted[name].documents) for name in self.data}
        mean = sum(values.values()) / len(values)
        bar.advance(0, dev=f"{mean:.3f}")
        return values | {"mean": mean}

    def tokens(self, *splits: str) -> int:
        """Marked tokens of splits, of all tasks."""
        return sum(data.splits[split].tokens for data in self.data.values() for split in splits)

    def unread(self, step: int | None) -> tuple[str, ...]:
        """The splits that a stage has to read; not dev where the last `selection` was of the same weights, those of a step."""
        return ("test",) if self.latest is not None and self.latest[0] == step else ("dev", "test")

    @contextmanager
    def showing(self, progress: Progress) -> Iterator[None]:
        """Moves a bar on while the block predicts."""
        self.progress = progress
        try:
            yield
        finally:
            self.progress = SilentProgress()

    def stage(self, model: TaskModel, stage: str, split: str, step: int | None = None) -> dict[str, FlatScores]:
        """Task to its scores with intervals; predictions (offsets and labels) and their statistics are saved beside the result.

        Args:
            model: what predicts.
            stage: of the run.
            split: its name.
            step: update after which the model had these very weights; None where it never trained with them.
        """
        known = self.latest[1] if self.latest is not None and split not in self.unread(step) else {}
        scores = {}
        tokens, seconds = 0, 0.0
        for name in self.data:
            first = stage == "trained"
            followed = split == "test" and stage in ("trained", "quantized")
            funnel = Funnel(self.data[name].corpus[split]) if followed else None
            if name not in known:
                predicted = self.predict(model, name, split, first and split == "dev", funnel)
            elif self.selects_concepts(name):
                predicted = known[name]
            else:
                predicted = replace(known[name], documents=self.linked(name, split, known[name].documents))
            if funnel is not None:
                self.funnels.setdefault(stage, {})[name] = funnel
            if first:
                self.compare_with_half(name, split, predicted)
            tokens, seconds = tokens + predicted.tokens, seconds + predicted.seconds
            rows = self.statistics(name, split, predicted.documents)
            scores[name] = self.scores(name, rows)
            write_predictions(self.folder / PREDICTIONS / predictions_name(name, split, stage), predicted.documents)
            documents = [document.id for document in self.data[name].corpus[split]]
            statistics = Statistics.of(name, split, stage, documents, rows, self.data[name].corpus.unit)
            write_statistics(self.folder, statistics)
            if followed and statistics.unit:
                self.units[name] = unit_of(self.data[name].task, statistics)
        if split == "test":
            self.throughput[stage] = tokens / max(seconds, 1e-9)
        return scores

    def statistics(self, task: str, split: str, predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive statistics of every document of a split, in its order."""
        data = self.data[task]
        return data.task.statistics(data.corpus[split], predicted)

    def scores(self, task: str, rows: Sequence[Mapping[str, float]]) -> FlatScores:
        """Official scores of statistics, with document-clustered intervals."""
        return official_scores(self.data[task].task, rows)

    def baselines(self, task: str) -> dict[str, FlatScores]:
        """Scores on test of what needs no model: a dictionary of the training mentions, where mentions are to be found."""
        data = self.data[task]
        return {DICTIONARY: dictionary_scores(data.task, data.corpus)} if data.head.finds_mentions else {}


def official_scores(task: Task, rows: Sequence[Mapping[str, float]]) -> FlatScores:
    """A task's scores of the statistics of documents, with an interval over documents of its primary metric and of every F1."""
    names = dict.fromkeys(path.rpartition(".")[2] for path in (task.metadata.primary_metric, "f1"))
    return with_intervals(rows, task.summarise, names=tuple(names))


def dictionary_scores(task: Task, corpus: Corpus) -> FlatScores:
    """Scores on test of a dictionary of the training mentions."""
    dictionary = ConceptDictionary(task.unlinked).fit(corpus["train"])
    predicted = [Document(d.id, "", dictionary.annotate(d)) for d in corpus["test"]]
    return official_scores(task, task.statistics(corpus["test"], predicted))


class _ShareRead:
    """Shows beside another bar how much of dev is read."""

    def __init__(self, bar: Progress, total: int) -> None:
        self._bar, self._total, self._read = bar, total, 0.0

    def advance(self, n: float = 1, **stats: float | str) -> None:
        """Counts `n` tokens more."""
        self._read += n
        self._bar.advance(0, dev=f"{self._read / self._total:.0%} read")


def save_trained(model: TaskModel, data: Mapping[str, TaskData], folder: Path, chosen: Mapping[str, Thresholds]) -> None:
    """Adapters in PEFT's own format, heads in safetensors with what they learned of the labels and their thresholds."""
    from safetensors.torch import save_file

    model.adapted.save(folder / ADAPTERS)
    for index, (name, task_data) in enumerate(data.items()):
        tensors = {key: value.detach().cpu().contiguous() for key, value in model.head(name).state_dict().items()}
        save_file(tensors, folder / ADAPTERS / f"head-{index}.safetensors")
        facts = {"task": name, "head": task_data.head.name, "state": task_data.head.state()}
        accept = chosen.get(name, Thresholds()).as_json()
        write_json(folder / ADAPTERS / f"head-{index}.json", facts | ({"thresholds": accept} if accept else {}))


def dev_states(
    model: TaskModel, data: Mapping[str, TaskData], device: Device, pad: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Hidden states over a fixed sample of dev windows of every task."""
    from bench.evaluation.predict import hidden_states

    states = []
    for name, task_data in data.items():
        chosen = evenly(len(task_data.splits["dev"]), max(1, ERROR_WINDOWS // len(data)))
        states += hidden_states(model, name, task_data, chosen.tolist(), "dev", device, pad)
    return states


def states_error(
    measured: Sequence[tuple[torch.Tensor, torch.Tensor]], reference: Sequence[tuple[torch.Tensor, torch.Tensor]]
) -> float:
    """Relative error of hidden states that were taken one model after the other, so that no two need fit into memory."""
    from bench.evaluation.quantization import relative_error

    pairs = [
        {"attention_mask": mask, "found": states, "reference": whole}
        for (states, mask), (whole, _) in zip(measured, reference, strict=True)
    ]
    return relative_error(lambda pair: pair["reference"], lambda pair: pair["found"], pairs)
