"""Steps 9 to 11: quantizing the pristine base, official scores before and after, and one JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.api.data import Document, Mention
from bench.data.concepts import ConceptDictionary
from bench.evaluation.statistics import with_intervals
from bench.results.layout import ADAPTERS, PREDICTIONS, predictions_name
from bench.results.schema import pick
from bench.results.statistics import Statistics, write_statistics
from bench.results.store import write_json, write_predictions
from bench.steps.concepts import TaskLinking

if TYPE_CHECKING:
    import torch

    from bench.evaluation.predict import Predicted
    from bench.training.loop import Device
    from bench.training.model import TaskData, TaskModel

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
    """

    data: Mapping[str, TaskData]
    folder: Path
    linkings: Mapping[str, TaskLinking]
    device: Device
    pad: int
    padded: int
    throughput: dict[str, float] = field(default_factory=dict)
    latest: tuple[int, dict[str, Predicted]] | None = None

    def predict(self, model: TaskModel, task: str, split: str, advance: Callable[[int], None] = lambda n: None) -> Predicted:
        """Predictions of a model on a split."""
        from bench.evaluation.predict import predict

        link = self.linkings[task].linking.link if task in self.linkings else _unlinked
        return predict(model, task, self.data[task], split, self.device, self.pad, link, self.padded, advance)

    def selection(self, model: TaskModel, step: int) -> dict[str, float]:
        """Each task's selection metric on dev after an update, and their mean as ``mean``."""
        predicted = {name: self.predict(model, name, "dev") for name in self.data}
        self.latest = step, predicted
        values = {}
        for name, one in self.data.items():
            scores = one.task.score(one.corpus["dev"], predicted[name].documents)
            values[name] = pick(scores, one.task.metadata.selects_by) or 0.0
        return values | {"mean": sum(values.values()) / len(values)}

    def stage(self, model: TaskModel, stage: str, split: str, step: int | None = None) -> dict[str, dict[str, Any]]:
        """Task to its scores with intervals; predictions (offsets and labels) and their statistics are saved beside the result.

        Args:
            model: what predicts.
            stage: of the run.
            split: its name.
            step: update after which the model had these very weights; None where it never trained with them.
        """
        known = self.latest[1] if split == "dev" and self.latest is not None and self.latest[0] == step else {}
        found = {}
        tokens, seconds = 0, 0.0
        for name in self.data:
            predicted = known.get(name) or self.predict(model, name, split)
            tokens, seconds = tokens + predicted.tokens, seconds + predicted.seconds
            rows = self.statistics(name, split, predicted.documents)
            found[name] = self.scores(name, rows)
            write_predictions(self.folder / PREDICTIONS / predictions_name(name, split, stage), predicted.documents)
            documents = [document.id for document in self.data[name].corpus[split]]
            write_statistics(self.folder, Statistics.of(name, split, stage, documents, rows))
        if split == "test":
            self.throughput[stage] = tokens / max(seconds, 1e-9)
        return found

    def statistics(self, task: str, split: str, predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive statistics of every document of a split, in its order."""
        one = self.data[task]
        return one.task.statistics(one.corpus[split], predicted)

    def scores(self, task: str, rows: Sequence[Mapping[str, float]]) -> dict[str, Any]:
        """Official scores of statistics, with document-clustered intervals."""
        one = self.data[task]
        names = dict.fromkeys(path.rpartition(".")[2] for path in (one.task.metadata.primary_metric, "f1"))
        return with_intervals(rows, one.task.summarise, names=tuple(names))

    def baselines(self, task: str) -> dict[str, dict[str, Any]]:
        """Scores on test of what needs no model: a dictionary of the training mentions, where mentions are to be found."""
        one = self.data[task]
        if not one.head.finds_mentions:
            return {}
        dictionary = ConceptDictionary(one.task.unlinked).fit(one.corpus["train"])
        predicted = [Document(d.id, "", dictionary.annotate(d)) for d in one.corpus["test"]]
        return {"dictionary": self.scores(task, self.statistics(task, "test", predicted))}


def _unlinked(document: Document, mentions: Sequence[Mention]) -> Sequence[Mention]:
    return mentions


def save_trained(model: TaskModel, data: Mapping[str, TaskData], folder: Path) -> None:
    """Adapters in PEFT's own format, heads in safetensors with what they learned of the labels."""
    from safetensors.torch import save_file

    model.adapted.save(folder / ADAPTERS)
    for index, (name, one) in enumerate(data.items()):
        tensors = {key: value.detach().cpu().contiguous() for key, value in model.head(name).state_dict().items()}
        save_file(tensors, folder / ADAPTERS / f"head-{index}.safetensors")
        write_json(folder / ADAPTERS / f"head-{index}.json", {"task": name, "head": one.head.name, "state": one.head.state()})


def dev_states(
    model: TaskModel, data: Mapping[str, TaskData], device: Device, pad: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Hidden states over a fixed sample of dev windows of every task."""
    from bench.evaluation.predict import hidden_states

    states = []
    for name, one in data.items():
        count = len(one.splits["dev"])
        chosen = np.unique(np.linspace(0, count - 1, min(count, max(1, ERROR_WINDOWS // len(data)))).round().astype(int))
        states += hidden_states(model, name, one, chosen.tolist(), "dev", device, pad)
    return states


def states_error(
    found: Sequence[tuple[torch.Tensor, torch.Tensor]], reference: Sequence[tuple[torch.Tensor, torch.Tensor]]
) -> float:
    """Relative error of hidden states that were taken one model after the other, so that no two need fit into memory."""
    from bench.evaluation.quantization import relative_error

    pairs = [
        {"attention_mask": mask, "found": states, "reference": whole}
        for (states, mask), (whole, _) in zip(found, reference, strict=True)
    ]
    return relative_error(lambda pair: pair["reference"], lambda pair: pair["found"], pairs)
