"""One architecture with one quantizer, end to end on tiny models with two tasks.

A push runs each architecture and each quantizer at least once, `tox -m nightly` all pairs, `tox -e a4-nf4` that pair.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench import runner  # noqa: E402
from bench.config import RunConfig  # noqa: E402

PUSHED = {
    *zip(("A1", "A2", "A3", "A4") * 2, ("none", "rtn", "int8", "nf4", "gptq", "awq", "nf4", "gptq"), strict=True),
    *zip(
        ("A4-gated", "A1-dora", "A1-rslora", "A1-pissa", "A1-pissa", "hierarchical", "full", "bitfit", "prefix", "prompt"),
        ("rtn", "nf4", "none", "nf4", "rtn", "rtn", "gptq", "int8", "nf4", "rtn"),
        strict=True,
    ),
}
MODELS = {"awq": ("tiny-llama",), "nf4": ("tiny-bert", "tiny-llama")}
BITS = {"none": (32, 32), "rtn": (4, 6), "int8": (8, 9), "nf4": (4, 6), "gptq": (4, 6), "awq": (4, 6)}
ADAPTERS = {
    "A1": 1, "A2": 2, "A3": 3, "A4": 3, "A4-gated": 3, "A1-dora": 1, "A1-rslora": 1, "A1-pissa": 1, "full": 0, "bitfit": 0,
    "prefix": 0, "prompt": 0,
    "hierarchical": 2, "hierarchical-detached": 2, "hierarchical-flat": 2,  # both tasks find mentions: there is no level 2
}  # fmt: skip
MATCHED = ADAPTERS.keys() - {"full", "bitfit", "prompt"}


def pairs() -> list[Any]:
    """Architecture, quantizer and model of each test: the pair that the environment names, else all, some of them nightly."""
    named = (os.environ.get("BENCH_MATRIX_ARCH"), os.environ.get("BENCH_MATRIX_QUANT"))
    return [
        pytest.param(*pair, model, marks=() if pair in {named, *PUSHED} else pytest.mark.nightly)
        for pair in ([named] if all(named) else product(ADAPTERS, BITS))
        for model in MODELS.get(pair[1], ("tiny-bert",))
    ]


@pytest.mark.parametrize(("arch", "quant", "model"), pairs())
def test_a_pair_runs_end_to_end(arch: str, quant: str, model: str, pair: Callable[..., RunConfig], kit: Any) -> None:
    registry = kit.with_parts(tasks=[kit.task_like("second")])
    quantizer = registry.get("quantizers", quant)
    if missing := quantizer.missing():
        pytest.skip(f"{quant} needs {missing[0].module}")
    # The memory probe builds its model in a process of its own, which knows nothing of a test's task.
    when = "after" if arch in ("full", "bitfit") and quant != "none" else None  # integers have no gradient
    if arch == "bitfit" and model == "tiny-llama":
        pytest.skip("tiny-llama has no biases")
    config = pair(arch=arch, quant=quant, quant_when=when, model=model, steps=4, eval_every=4)
    names = config.task
    path = runner.run(config, registry).result_path
    assert path is not None
    result = json.loads(path.read_text(encoding="utf-8"))

    tokens = result["invariants"]["tokens"]
    assert (tokens["status"], tokens["disagreements"]) == ("held", 0)
    assert abs(tokens["total"] - 4 * 256) <= 64
    assert set(tokens["tasks"]) == set(names)
    assert all(account["tokens"] > 0 for account in tokens["tasks"].values())

    parity = result["invariants"]["parity"]
    rows = {row["arm"]: row for row in parity["rows"]}
    assert parity["status"] == ("held" if arch in MATCHED else "not parameter-matched")
    assert result["matched"] == (arch in MATCHED)
    assert set(rows) >= ({"A1", "A2", "A3", "A4"} if arch in MATCHED else {arch})
    assert all(min(row["ratio"], row["ratio_all"]) > 0.95 for row in rows.values())
    assert len(rows[arch]["ranks"]) == ADAPTERS[arch]
    saved = list((path.parent / "adapters").rglob("adapter_model.safetensors"))
    assert len(saved) == ADAPTERS[arch] + (arch == "prompt")
    assert (rows[arch]["fusion"] > 0) == arch.startswith("A4")

    smoke = result["invariants"]["smoke"]
    assert smoke["dead"] == {"2015-T14": [], "second": []}

    for task in names:
        gold = registry.get("tasks", "2015-T14").load(Path(config.data[task]))["test"]
        for stage in ("trained",) if quant == "none" else ("trained", "quantized"):
            scores = result["scores"][task][stage]
            assert scores["task1.strict.tp"] + scores["task1.strict.fn"] == sum(len(document.mentions) for document in gold)
    quantization = result["quantization"]
    if quant == "none":
        assert result["headline"]["stage"] == "trained"
        assert result["scores"]["second"]["quantized"] is None
        return
    assert result["headline"]["stage"] == "quantized"
    low, high = BITS[quant]
    assert low <= quantization["bits_per_weight"] <= high
    assert quantization["bytes"] > 0
    # Whatever a quantizer does, it changes the weights, and random weights are no worse off than so.
    assert 0 < quantization["error"] < 1
    assert 0 < quantization["rtn_error"] < 1
