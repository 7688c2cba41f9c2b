from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench.api.data import Document, Judgement, Mention, Relation  # noqa: E402
from bench.evaluation.linear_probe import Conditions, Stretch, probe, probed_labels, states, stretches  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.training.loop import Device  # noqa: E402


def features(count: int, seed: int, signal: float) -> tuple[Any, list[int]]:
    """States of which one direction tells the class; two of three are of class 0."""
    generator = torch.Generator().manual_seed(seed)
    classes = [int(n % 3 == 0) for n in range(count)]
    values = torch.randn(count, 12, generator=generator, dtype=torch.float64)
    values[:, 3] += signal * torch.tensor(classes)
    return values, classes


@pytest.mark.parametrize(("signal", "low", "high"), [(8.0, 0.99, 1.0), (0.0, 0.35, 0.65)])
def test_a_probe_finds_what_is_there_and_nothing_else(signal: float, low: float, high: float) -> None:
    made = {split: features(240, seed, signal) for seed, split in enumerate(("train", "dev", "test"))}
    documents = [f"d{n // 10}" for n in range(240)]
    found = probe({s: f for s, (f, _) in made.items()}, {s: c for s, (_, c) in made.items()}, documents, 2)
    assert low <= found["balanced_accuracy"] <= high
    assert found["ci95"][0] <= found["balanced_accuracy"] <= found["ci95"][1]
    assert (found["chance"], found["stretches"]) == (0.5, 240)
    if signal == 0:
        assert found["ci95"][0] < 0.5 < found["ci95"][1]


def test_balanced_accuracy_counts_classes_alike() -> None:
    """States that tell nothing of the three classes but the last: constant guesses cannot profit from a common class."""
    values = torch.zeros(30, 2, dtype=torch.float64)
    classes = [0] * 20 + [1] * 9 + [2]
    values[-1, 0] = 5.0
    splits = ("train", "dev", "test")
    found = probe(dict.fromkeys(splits, values), dict.fromkeys(splits, classes), ["d"] * 30, 3)
    assert found["balanced_accuracy"] == pytest.approx(2 / 3)
    assert found["ci95"] is None  # one document


def test_labels_are_probed_where_both_kinds_are_common() -> None:
    def split(*shares: int) -> list[Stretch]:
        return [Stretch("d", (1,), frozenset(f"L{i}" for i, share in enumerate(shares) if n < share)) for n in range(20)]

    assert probed_labels({"train": split(10, 20, 4, 1), "test": split(12, 19, 3, 10)}) == ["L0", "L2"]


class Words:
    """A tokenizer of whole words."""

    sep_token_id = None

    def __call__(self, text: str, **options: Any) -> dict[str, Any]:
        import re

        spans = [m.span() for m in re.finditer(r"\w+|[^\w\s]", text)]
        return {"input_ids": [7] * len(spans), "offset_mapping": spans}


def test_stretches_hold_the_labels_of_their_own_text() -> None:
    text = "one two three. " * 30
    mention, other = Mention(((0, 3),), "A"), Mention(((4, 7),), "B")
    document = Document("d", text, (mention, other), (Relation(mention.key, other.key, "r"),))
    found = stretches([document], Words(), 512, "sentences", 50)
    assert len(found) > 2
    assert all(len(s.input_ids) <= 32 for s in found)
    assert found[0].labels == {"A", "B", "r"}
    assert not any(s.labels for s in found[1:])
    whole = Document("w", text, judgements=(Judgement("yes", 1, True), Judgement("no", 0, False)))
    (one,) = stretches([whole], Words(), 64, "whole", 50)
    assert (len(one.input_ids), one.labels) == (64, {"yes"})


@pytest.mark.parametrize("arm", ["A1", "A2", "A3", "A4"])
def test_conditions_activate_one_adapter_at_a_time(arm: str) -> None:
    original = load().get("architectures", arm)
    conditions = Conditions(original, ("a", "b"))
    alone = {"A1": ("shared",), "A2": ("private-a", "private-b")}.get(arm, ("shared", "private-a", "private-b"))
    assert conditions.names == ("none", *alone, "as trained a", "as trained b")
    assert conditions.passes("none") == ((),)
    assert all(conditions.passes(name) == ((name,),) for name in alone)
    assert conditions.passes("as trained b") == original.passes("b")


def test_states_do_not_depend_on_the_batch() -> None:
    def adapted(condition: str, ids: Any, mask: Any) -> Any:
        return ids[..., None].float().expand(*ids.shape, 3) + (0 if condition == "none" else 100)

    found = [Stretch("d", tuple(range(1, n + 2)), frozenset()) for n in (8, 0, 3)]
    fake: Any = type("Fake", (), {"eval": lambda self: None, "__call__": lambda self, *args: adapted(*args)})()
    device = Device("cpu", "fp32")
    assert states(fake, "none", found, device, 99)[:, 0].tolist() == [5.0, 1.0, 2.5]
    assert states(fake, "other", found, device, 99)[:, 2].tolist() == [105.0, 101.0, 102.5]
