"""Step 10, beyond the scores: calibration, errors by kind, the funnel of gold, efficiency and overlap of splits.

All but efficiency, and what a funnel saw while predicting, is made of what was saved and of the corpus, without the model.
Each has a bound on what it may cost.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.evaluation.calibration import calibration
from bench.evaluation.energy import energy_use, metered
from bench.evaluation.errors_by_kind import compare, records, tabulate
from bench.evaluation.funnel import Funnel
from bench.evaluation.linking import Seen, accuracies
from bench.evaluation.mention_sorts import Sorter
from bench.evaluation.overlap import overlap
from bench.results.evidence import Calibration, Concepts, Errors, GoldFunnel, SharedText
from bench.results.evidence import Efficiency as Measured
from bench.results.layout import ERRORS, PREDICTIONS, predictions_name
from bench.results.reading import read_as
from bench.results.store import read_predictions, write_bytes
from bench.steps.concepts import TaskLinking

if TYPE_CHECKING:
    from bench.training.loop import Device
    from bench.training.model import TaskData, TaskModel


@dataclass
class Efficiency:
    """Latency and energy, stage by stage.

    Args:
        data: task to its data.
        device: where and in what precision.
        pad: id of the padding token.
        measured: stage to what was measured.
    """

    data: Mapping[str, TaskData]
    device: Device
    pad: int
    measured: dict[str, Measured] = field(default_factory=dict)

    @contextmanager
    def over_test(self, stage: str) -> Iterator[None]:
        """Takes the energy of a block that predicts and scores the test split of every task once."""
        tokens = sum(task_data.splits["test"].tokens for task_data in self.data.values())
        with metered(self.device.name) as energy:
            yield
        self.measured[stage] = replace(self.measured.get(stage, Measured()), energy=energy_use(energy, tokens))

    def measure(self, stage: str, model: TaskModel) -> None:
        """Latency of every task, which share the time that it may take."""
        from bench.evaluation.efficiency import SECONDS, latency

        share = SECONDS / len(self.data)
        taken = {name: latency(model, name, task_data, self.device, self.pad, share) for name, task_data in self.data.items()}
        self.measured[stage] = replace(self.measured.get(stage, Measured()), latency=taken)


def concepts_found(
    data: Mapping[str, TaskData], linkings: Mapping[str, TaskLinking], stage: str, folder: Path
) -> dict[str, Concepts]:
    """By task, how well concepts are found on test, of gold mentions and of those found.

    Args:
        data: task to its data.
        linkings: task to what links its mentions.
        stage: whose predictions of test were saved.
        folder: of the run.
    """
    concepts = {}
    for name, linking in linkings.items():
        gold, seen = data[name].corpus["test"], Seen.of(data[name].corpus["train"])
        predicted = read_predictions(folder / PREDICTIONS / predictions_name(name, "test", stage))
        concepts[name] = Concepts(
            **linking.facts,
            gold=accuracies(gold, linking.linking, seen),
            found=accuracies(gold, linking.linking, seen, predicted),
        )
    return concepts


def evidence(
    data: Mapping[str, TaskData], stages: Sequence[str], folder: Path, funnels: Mapping[str, Mapping[str, Funnel]]
) -> dict[str, Any]:
    """The fields ``calibration``, ``errors`` and ``funnel`` of a result, each by task and stage, and ``overlap`` by task.

    Args:
        data: task to its data.
        stages: whose test predictions were saved.
        folder: of the run; the offsets of every error are written below it.
        funnels: stage to task to what followed its gold mentions.
    """
    fields: dict[str, Any] = {"calibration": {}, "errors": {}, "funnel": {}, "overlap": {}}
    for name, task_data in data.items():
        gold = task_data.corpus["test"]
        sorter = Sorter.fit(task_data.corpus["train"]) if task_data.head.finds_mentions else None
        fields["overlap"][name] = {pair: SharedText(**counts) for pair, counts in overlap(task_data.corpus.splits).items()}
        fields["calibration"][name] = {}
        if sorter is not None:
            fields["errors"][name] = {}
        for stage in stages:
            file = predictions_name(name, "test", stage)
            predicted = read_predictions(folder / PREDICTIONS / file)
            kinds = calibration(gold, predicted, task_data.head.predicts)
            fields["calibration"][name][stage] = {kind: read_as(Calibration, raw, kind, True) for kind, raw in kinds.items()}
            if sorter is not None:
                compared = compare(gold, predicted)
                fields["errors"][name][stage] = read_as(Errors, tabulate(compared, sorter), ERRORS, True)
                if funnels[stage][name].seen:
                    reached = funnels[stage][name].tabulate(predicted, sorter)
                    fields["funnel"].setdefault(name, {})[stage] = read_as(GoldFunnel, reached, "funnel", True)
                lines = [json.dumps(record, ensure_ascii=False) for record in records(compared)]
                write_bytes(folder / ERRORS / file, "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace"))
    return fields
