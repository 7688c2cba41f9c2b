"""What a teacher must not bring along."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

from bench.config import RunConfig
from bench.errors import UsageError
from bench.heads.bio import TokenClassificationHead
from bench.heads.classify import ClassificationHead
from bench.steps.teachers import refuse_unfit


def teacher(leaks: dict[str, Any]) -> Any:
    model = SimpleNamespace(spec=SimpleNamespace(name="m"), sha256=lambda: "now")
    result = SimpleNamespace(id="old", leaks=leaks, hashes={"model": "then"})
    return SimpleNamespace(parts=SimpleNamespace(model=model), result=result)


def test_a_teacher_that_was_let_through_with_leaks_wants_the_same_of_the_run() -> None:
    leaky, parts = teacher({"gad": {"allowed": 2}}), SimpleNamespace(model=None)
    with pytest.raises(UsageError, match="was trained with --allow-leak"):
        refuse_unfit([leaky], RunConfig(), parts, {})  # type: ignore[arg-type]
    for one, config in ((leaky, RunConfig(allow_leak=True)), (teacher({"gad": {"allowed": 0, "tolerated": 3}}), RunConfig())):
        with pytest.raises(UsageError, match="was trained on another m"):  # the next check: it got past the first
            refuse_unfit([one], config, parts, {})  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "key"), [(TokenClassificationHead, "labels"), (ClassificationHead, "classes")])
def test_how_common_labels_were_is_no_part_of_what_outputs_stand_for(kind: Any, key: str) -> None:
    def outputs(label: str, rate: float) -> Any:
        head = kind()
        head.restore({key: [label, "Z"], "rates": [rate, 0.1]})
        return head.outputs()

    assert outputs("X", 0.1) == outputs("X", 0.2) == {key: ["X", "Z"]}
    assert outputs("X", 0.1) != outputs("Y", 0.1)
