"""Linear probes: what adapters encode, measured on the mean hidden state of short stretches of text.

A probe is a logistic regression trained on frozen states; what it predicts on other documents is linearly encoded in them. It
shows what is encoded, not what a model uses. Compared with a probe on the base model without adapters, it shows what an adapter
adds or removes.

Two questions. *Task*: which task's corpus a stretch comes from. The same adapter is active for all stretches, since otherwise
the active adapter would be the answer. Corpora differ in their words, so that the base model alone predicts much of this.
*Labels*: for each label of a task, whether the stretch holds an annotation of it.

Sources: Alain & Bengio 2016, arXiv 1610.01644; what probes cannot show, Belinkov 2022, arXiv 2102.12452.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from bench.api.architecture import Adapter, Architecture
from bench.api.data import Document
from bench.data.batches import evenly
from bench.data.cuts import cut
from bench.evaluation.statistics import with_intervals
from bench.heads.tensors import mean
from bench.results.scores import interval_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from bench.adapters.model import AdaptedModel
    from bench.api.head import Cut
    from bench.training.loop import Device

STRETCH = 32
"""Most tokens of a stretch of sentences: in longer ones every label would occur. Other texts keep the run's length."""
STRENGTHS = (1e-3, 1e-2, 1e-1)
"""Strengths of the L2 penalty; the best one on dev is taken, the strongest of equal ones."""
MINORITY = 0.1
"""A label is probed if at least this share of the stretches of every split has it, and this share has not."""
MOST_LABELS = 6
"""Most labels of a task that are probed: those nearest to half of the stretches."""
NONE, TRAINED = "none", "as trained"


@dataclass(frozen=True)
class Stretch:
    """A short piece of a document.

    Args:
        document: id.
        input_ids: token ids.
        labels: labels of its mentions and relations, its class; ``relevant`` for a relevant passage.
    """

    document: str
    input_ids: tuple[int, ...]
    labels: frozenset[str]


def stretches(documents: Sequence[Document], tokenizer: Any, length: int, how: Cut, most: int) -> list[Stretch]:
    """At most `most` stretches, evenly spaced over a split.

    Args:
        documents: of the split, with text and gold.
        tokenizer: a fast tokenizer.
        length: most tokens of the run's windows.
        how: the head's way of cutting.
        most: how many.
    """
    pieces = []
    for at in evenly(len(documents), most):
        document = documents[at]
        windows, golds, _ = cut(document, tokenizer, min(length, STRETCH) if how == "sentences" else length, how)
        for window, gold in zip(windows, golds, strict=True):
            labels = {m.label for m in gold.mentions} | {r.label for r in gold.relations}
            labels |= {"relevant" if how == "passages" else j.name for j in gold.judgements if j.chosen}
            pieces.append(Stretch(document.id, window.input_ids, frozenset(labels)))
    return [pieces[at] for at in evenly(len(pieces), most)]


class Conditions(Architecture):
    """Activates the adapters of another architecture one at a time; each condition takes the place of a task.

    Args:
        original: architecture of the run.
        tasks: of the run.
    """

    name = "probe"
    version = "1"
    summary = "adapters one at a time"

    def __init__(self, original: Architecture, tasks: Sequence[str]) -> None:
        self.original = original
        self.variant = original.variant  # type: ignore[misc]  # of this instance
        self.own = {adapter.name: adapter for adapter in original.adapters(tasks)}
        self.trained = {f"{TRAINED} {task}": task for task in tasks}

    @property
    def names(self) -> tuple[str, ...]:
        """The conditions: no adapter, each adapter alone, and for each task the adapters that it was trained with."""
        return (NONE, *self.own, *self.trained)

    def adapters(self, tasks: Sequence[str]) -> tuple[Adapter, ...]:
        """The run's adapters."""
        return tuple(self.own.values())

    def passes(self, task: str) -> tuple[tuple[str, ...], ...]:
        """The passes of a condition."""
        if task in self.trained:
            return self.original.passes(self.trained[task])
        return ((),) if task == NONE else ((task,),)

    def fusion(self, hidden_size: int) -> Any:
        """The run's fusion."""
        return self.original.fusion(hidden_size)


def states(adapted: AdaptedModel, condition: str, pieces: Sequence[Stretch], device: Device, pad: int) -> Tensor:
    """Mean hidden states (stretches, hidden) in fp64 on the CPU.

    Args:
        adapted: model that is built with `Conditions`.
        condition: one of `Conditions.names`.
        pieces: the stretches.
        device: device and precision.
        pad: id of the padding token.
    """
    adapted.eval()
    order = sorted(range(len(pieces)), key=lambda i: len(pieces[i].input_ids))
    means: dict[int, Tensor] = {}
    for low in range(0, len(order), 32):
        part = order[low : low + 32]
        longest = max(len(pieces[i].input_ids) for i in part)
        ids = torch.full((len(part), longest), pad)
        mask = torch.zeros_like(ids)
        for row, i in enumerate(part):
            size = len(pieces[i].input_ids)
            ids[row, :size] = torch.tensor(pieces[i].input_ids)
            mask[row, :size] = 1
        batch = device.move({"ids": ids, "mask": mask})
        with torch.no_grad(), device.autocast():
            hidden = adapted(condition, batch["ids"], batch["mask"])
        pooled = mean(hidden.float(), batch["mask"]).double().cpu()
        means |= dict(zip(part, pooled, strict=True))
    return torch.stack([means[i] for i in range(len(pieces))])


def probed_labels(splits: Mapping[str, Sequence[Stretch]]) -> list[str]:
    """The labels that can be probed (see `MINORITY`), those nearest to half of the stretches first."""
    known = sorted({label for pieces in splits.values() for stretch in pieces for label in stretch.labels})
    even: dict[str, float] = {}
    for label in known:
        shares = [sum(label in s.labels for s in pieces) / max(len(pieces), 1) for pieces in splits.values()]
        even[label] = min(min(share, 1 - share) for share in shares)
    return sorted((label for label in known if even[label] >= MINORITY), key=lambda label: -even[label])[:MOST_LABELS]


def probe(
    features: Mapping[str, Tensor], classes: Mapping[str, Sequence[int]], documents: Sequence[str], count: int
) -> dict[str, Any]:
    """Trains a probe on ``train``, chooses the penalty on ``dev`` and measures on ``test``.

    Args:
        features: split to states (stretches, hidden).
        classes: split to the class of each stretch.
        documents: document of each test stretch; the interval is over documents.
        count: number of classes.

    Returns:
        ``balanced_accuracy`` (mean recall over classes; ``chance`` is 1 / number of classes), its ``ci95``, ``penalty``, and
        the number of test ``stretches``.
    """
    centre, scale = features["train"].mean(0), features["train"].std(0).clamp(min=1e-8)
    scaled = {split: (values - centre) / scale for split, values in features.items()}
    gold = {split: torch.tensor(values) for split, values in classes.items()}
    best, predicted, penalty = -1.0, torch.zeros(0), STRENGTHS[0]
    for strength in STRENGTHS:
        guess = _trained(scaled["train"], gold["train"], strength, count)
        score = _balanced((guess(scaled["dev"]) == gold["dev"]).numpy(), gold["dev"].numpy(), count)
        if score >= best:
            best, predicted, penalty = score, guess(scaled["test"]), strength
    right = (predicted == gold["test"]).tolist()
    rows: dict[str, dict[str, float]] = {}
    for document, kind, hit in zip(documents, classes["test"], right, strict=True):
        row = rows.setdefault(document, {f"{part}.{n}": 0.0 for n in range(count) for part in ("right", "all")})
        row[f"right.{kind}"] += hit
        row[f"all.{kind}"] += 1
    scores = with_intervals(list(rows.values()), lambda sums: _summary(sums, count), names=("balanced_accuracy",))
    summary = {"balanced_accuracy": scores["balanced_accuracy"], "ci95": interval_of(scores, "balanced_accuracy")}
    return summary | {"chance": 1 / count, "penalty": penalty, "stretches": len(right)}


def _trained(values: Tensor, gold: Tensor, strength: float, count: int) -> Any:
    weight = torch.zeros(values.shape[1], count, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(count, dtype=torch.float64, requires_grad=True)
    sizes = torch.bincount(gold, minlength=count).double()
    balance = len(gold) / (count * sizes.clamp(min=1))
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(values @ weight + bias, gold, weight=balance) + strength * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return lambda other: (other @ weight + bias).argmax(-1).detach()


def _balanced(right: NDArray[np.bool_], gold: NDArray[np.int64], count: int) -> float:
    return float(np.mean([right[gold == kind].mean() for kind in range(count) if (gold == kind).any()]))


def _summary(sums: Mapping[str, Any], count: int) -> dict[str, Any]:
    shares = [np.divide(sums[f"right.{n}"], np.maximum(sums[f"all.{n}"], 1)) for n in range(count)]
    return {"balanced_accuracy": sum(shares) / count}
