"""Predictions of a model on a split, as documents of offsets, labels, concepts and scores; never text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.api.data import Annotation, Document, Judgement
from bench.api.head import Proposals, Window
from bench.data.cache import collate
from bench.data.cuts import joined
from bench.errors import DivergedError, out_of_memory
from bench.evaluation.replicas import side_by_side
from bench.reporting import Progress
from bench.training.loop import Device
from bench.training.model import DIVERGED, TaskData, TaskModel
from bench.wording import some

PADDED_TOKENS = 2048
"""Padded tokens of an evaluation batch."""


@dataclass(frozen=True)
class Predicted:
    """The predictions of a split.

    Args:
        documents: one for each of the split's, in order, without text.
        tokens: marked tokens that the model read.
        seconds: time for model and decoding, without that of `see`.
        raw: the documents with every prediction of the head, before thresholds and concepts.
    """

    documents: tuple[Document, ...]
    tokens: int
    seconds: float
    raw: tuple[Document, ...]


def predict(
    model: TaskModel,
    name: str,
    data: TaskData,
    split: str,
    device: Device,
    pad: int,
    micro_batch: int = PADDED_TOKENS,
    finish: Callable[[Sequence[Document]], Sequence[Document]] = tuple,
    see: Callable[[Window, Proposals], None] | None = None,
    progress: Progress | None = None,
) -> Predicted:
    """Predicts every window of a split and joins the windows of each document.

    Args:
        model: put into evaluation mode here.
        name: of the task.
        data: of the task.
        split: its name.
        device: where and in what precision.
        pad: id of the padding token.
        micro_batch: padded tokens of a batch at most.
        finish: leaves out what is too improbable and fills in concepts.
        see: called with what was proposed in each window, where the head says so.
        progress: moved on by the marked tokens of each batch.

    Raises:
        DivergedError: what the model gives is not finite.
    """
    wrong = [parameter for parameter in model.trainable(name).values() if not torch.isfinite(parameter).all()]
    if wrong:  # a head of NaN finds nothing, which would look like a model that learned nothing
        raise DivergedError(f"Numbers that are not finite in {some(len(wrong), 'trained tensor')} of {name}.", DIVERGED)
    encoded = data.splits[split]
    by_document: dict[str, list[Annotation]] = {document: [] for document in encoded.documents}
    started, aside = perf_counter(), 0.0
    model.eval()
    batches = map(encoded.take, by_length(encoded.lengths, min(micro_batch, PADDED_TOKENS)))

    def forward(model: TaskModel, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        with device.autocast():
            return model.predict(name, device.move(collate(rows, data.head, pad)))

    for rows, predictions in side_by_side(model, device.name, forward, batches):
        for row, prediction in zip(rows, predictions, strict=True):
            window = encoded.window(row)
            annotations = data.head.decode(window, prediction)
            if not all(map(_finite, annotations)):
                raise DivergedError(f"A prediction of {name} has a probability or a score that is not finite.", DIVERGED)
            by_document[window.document] += annotations
            if see is not None:
                paused = perf_counter()
                if (proposals := data.head.proposals(window, prediction)) is not None:
                    see(window, proposals)
                aside += perf_counter() - paused
        if progress is not None:
            progress.advance(sum(len(row["input_ids"]) for row in rows))
    raw = tuple(joined(d, by_document[d.id]) for d in data.corpus[split])
    documents = tuple(finish(raw))
    return Predicted(documents, encoded.tokens, perf_counter() - started - aside, raw)


def _finite(annotation: Annotation) -> bool:
    number = annotation.score if isinstance(annotation, Judgement) else annotation.confidence
    return number is None or math.isfinite(number)


def by_length(lengths: NDArray[np.int64], padded: int) -> list[list[int]]:
    """All examples in batches of similar length, each of at most `padded` padded tokens (one example always fits)."""
    batches: list[list[int]] = []
    for index in np.argsort(lengths, kind="stable").tolist():
        longest = int(lengths[index])
        if batches and (len(batches[-1]) + 1) * longest <= padded:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def hidden_states(
    model: TaskModel, name: str, data: TaskData, indices: Sequence[int], split: str, device: Device, pad: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Hidden states (batch, seq, hidden) in fp32 and masks (batch, seq), with adapters, in evaluation mode.

    Eight windows go together, fewer where they do not fit into memory.
    """
    model.eval()
    encoded = data.splits[split]
    states: list[tuple[torch.Tensor, torch.Tensor]] = []
    low, together = 0, 8
    while low < len(indices):
        try:
            batch = device.move(collate(encoded.take(indices[low : low + together]), data.head, pad))
            with torch.no_grad(), device.autocast():
                states.append((model.hidden(name, batch).float().cpu(), batch["attention_mask"].cpu()))
            low += together
        except (MemoryError, RuntimeError) as error:
            if together == 1 or not out_of_memory(error):
                raise
            together //= 2
    return states
