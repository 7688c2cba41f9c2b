"""A1 to A4 are what they have always been: names, counts and starting values of their tensors, ids and losses of their runs.

What is recorded here was written by the version before architectures could attach themselves. A change to it is a change to
every result of an existing arm.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench import runner  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.results.layout import JOURNAL, RESULT  # noqa: E402
from bench.tracking.journal import read_journal  # noqa: E402

RECORDED: dict[str, dict[str, Any]] = {
    "A1": {
        "id": "2015-t14+second_a1_none_def31a7db59b",
        "names": "e4339087beb1228a",
        "start": "875544f9d714a8d3",
        "plan": "49ad5765c373362b",
        "counts": [24, 28672, 0, 83718, 70531, 70531],
        "flops": 660282272,
        "losses": [
            0.6044405102729797,
            0.13235408067703247,
            0.19254635274410248,
            0.34337931871414185,
            0.45550596714019775,
            0.49305790662765503,
        ],
    },
    "A2": {
        "id": "2015-t14+second_a2_none_5eee17bac749",
        "names": "c0a1afcfffc22f63",
        "start": "ae4b546429d62655",
        "plan": "604d0784742e97ab",
        "counts": [48, 28672, 0, 83718, 56195, 56195],
        "flops": 587340704,
        "losses": [
            0.6044405102729797,
            0.13235408067703247,
            0.1925455927848816,
            0.343446284532547,
            0.4555400013923645,
            0.4928683638572693,
        ],
    },
    "A3": {
        "id": "2015-t14+second_a3_none_03399661c232",
        "names": "4689db0274b91178",
        "start": "f578fc07cde2a975",
        "plan": "94b689f9e02671e9",
        "counts": [72, 28672, 0, 83718, 63363, 63363],
        "flops": 623811488,
        "losses": [
            0.6044405102729797,
            0.13235408067703247,
            0.19255761802196503,
            0.3434108793735504,
            0.45553886890411377,
            0.49297672510147095,
        ],
    },
    "A4": {
        "id": "2015-t14+second_a4_none_2ea554487709",
        "names": "6c67e246e8afb71a",
        "start": "e8aca948ccb03a4b",
        "plan": "bb0c82bfb1afe406",
        "counts": [74, 20480, 8192, 83718, 65411, 65411],
        "flops": 935652256,
        "losses": [
            0.6044405102729797,
            0.13235408067703247,
            0.19239644706249237,
            0.3434954285621643,
            0.4554327428340912,
            0.4927120804786682,
        ],
    },
}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def seen_of(config: RunConfig, registry: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a run starts from, what it counts, and the losses of its first updates."""
    from bench.steps import base as base_step

    start: dict[str, Any] = {}
    attach = base_step.attach

    def watched(*args: Any, **named: Any) -> Any:
        model = attach(*args, **named)
        start.update({name: tensor for name, tensor in model.state().items() if name.startswith("adapters.")})
        return model

    monkeypatch.setattr(base_step, "attach", watched)
    folder = runner.run(config, registry).folder
    assert folder is not None
    result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    parity = result["invariants"]["parity"]
    (row,) = [row for row in parity["rows"] if row["arm"] == config.arch]
    steps = [event.values["loss"] for event in read_journal(folder / JOURNAL) if event.kind == "step"]
    return {
        "id": folder.name,
        "names": digest(repr(sorted((name, tuple(tensor.shape)) for name, tensor in start.items())).encode()),
        "start": digest(b"".join(start[name].numpy().tobytes() for name in sorted(start))),
        "plan": digest(json.dumps(parity["plan"], sort_keys=True).encode()),
        "counts": [len(start), row["adapters"], row["fusion"], row["heads"], *row["active"].values()],
        "flops": sum(account["flops"] for account in result["invariants"]["tokens"]["tasks"].values()),
        "losses": [loss for told in steps for loss in told.values()],
    }


@pytest.mark.parametrize("arch", ["A1", "A2", "A3", "A4"])
def test_an_arm_is_as_it_was(
    arch: str, tiny: Callable[..., RunConfig], kit: Any, small_corpus: Path, other_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = kit.with_parts(tasks=[kit.task_like("second")])
    data = {"2015-T14": str(small_corpus), "second": str(other_corpus)}
    config = tiny(task=tuple(data), data=data, arch=arch, steps=3, eval_every=3, precision="fp32")
    found, wanted = seen_of(config, registry, monkeypatch), dict(RECORDED[arch])
    assert found.pop("losses") == pytest.approx(wanted.pop("losses"), rel=1e-5)  # products are rounded as the processor does
    assert found == wanted
