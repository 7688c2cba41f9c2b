"""One architecture with one quantizer, end to end on tiny models with two tasks; tox runs it for every pair."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench import runner  # noqa: E402
from bench.config import RunConfig  # noqa: E402

ARCH = os.environ.get("BENCH_MATRIX_ARCH", "A4")
QUANT = os.environ.get("BENCH_MATRIX_QUANT", "nf4")
MODELS = {"awq": ("tiny-llama",), "nf4": ("tiny-bert", "tiny-llama")}.get(QUANT, ("tiny-bert",))
BITS = {"none": (32, 32), "rtn": (4, 6), "int8": (8, 9), "nf4": (4, 6), "gptq": (4, 6), "awq": (4, 6)}
PASSES = {"A1": 1, "A2": 1, "A3": 1, "A4": 2}


@pytest.mark.parametrize("model", MODELS)
def test_a_pair_runs_end_to_end(
    model: str, tiny: Callable[..., RunConfig], kit: Any, small_corpus: Path, other_corpus: Path
) -> None:
    registry = kit.with_parts(tasks=[kit.task_like("second")])
    quantizer = registry.get("quantizers", QUANT)
    if missing := quantizer.missing():
        pytest.skip(f"{QUANT} needs {missing[0].module}")
    names = ("2015-T14", "second")
    data = {"2015-T14": str(small_corpus), "second": str(other_corpus)}
    # The memory probe builds its model in a process of its own, which knows nothing of a test's task.
    config = tiny(task=names, data=data, arch=ARCH, quant=QUANT, model=model, steps=4, eval_every=4)
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
    assert parity["status"] == "held"
    assert set(rows) >= {"A1", "A2", "A3", "A4"}
    assert all(min(row["ratio"], row["ratio_all"]) > 0.95 for row in rows.values())
    adapters = {"A1": 1, "A2": 2, "A3": 3, "A4": 3}
    assert len(rows[ARCH]["ranks"]) == adapters[ARCH]
    assert len(list((path.parent / "adapters").rglob("adapter_model.safetensors"))) == adapters[ARCH]
    assert (rows[ARCH]["fusion"] > 0) == (ARCH == "A4")

    smoke = result["invariants"]["smoke"]
    assert smoke["dead"] == {"2015-T14": [], "second": []}

    for task in names:
        for stage in ("trained",) if QUANT == "none" else ("trained", "quantized"):
            for metric in result["scores"][task][stage]["task1"].values():
                assert 0 <= metric["precision"] <= 1
                assert 0 <= metric["recall"] <= 1
                assert 0 <= metric["f1"] <= 1
    quantization = result["quantization"]
    if QUANT == "none":
        assert result["headline"]["stage"] == "trained"
        assert result["scores"]["second"]["quantized"] is None
        return
    assert result["headline"]["stage"] == "quantized"
    low, high = BITS[QUANT]
    assert low <= quantization["bits_per_weight"] <= high
    assert quantization["bytes"] > 0
    # Whatever a quantizer does, it changes the weights, and random weights are no worse off than so.
    assert 0 < quantization["error"] < 1
    assert 0 < quantization["rtn_error"] < 1
