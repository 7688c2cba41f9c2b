"""A decoder that sees both ways, from plan to prediction: resumed, quantized and used again it still does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench import runner  # noqa: E402
from bench.api.data import Document  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.errors import Interrupted  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.reporting import SilentReporter  # noqa: E402
from bench.results.layout import ADAPTERS, RESULT  # noqa: E402
from bench.steps.trained import load_trained  # noqa: E402

TASK = "2015-T14"


def weights(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / ADAPTERS).rglob("*.safetensors"))}


def test_a_run_that_sees_both_ways(tiny: Callable[..., RunConfig], tmp_path: Path) -> None:
    registry, settings = load(), {"model": "tiny-llama", "steps": 4, "quant": "rtn", "arch": "A4"}
    causal = runner.run(tiny(**settings, attention="causal"), registry).folder
    assert causal == runner.run(tiny(**settings), registry).folder
    whole = runner.run(tiny(**settings, attention="bidirectional"), registry).folder
    assert whole is not None
    assert causal is not None
    assert weights(whole) != weights(causal)
    result = json.loads((whole / RESULT).read_text(encoding="utf-8"))
    assert result["config"]["attention"] == "bidirectional"
    assert result["hashes"]["model"] == json.loads((causal / RESULT).read_text(encoding="utf-8"))["hashes"]["model"]
    assert 0 < result["quantization"]["error"] < 1

    out = str(tmp_path / "again")
    with pytest.raises(Interrupted):
        runner.run(tiny(**settings, attention="bidirectional", out=out, max_hours=1e-9), registry)
    (begun,) = (path for path in Path(out).iterdir() if path.is_dir())
    again = runner.run(RunConfig(out=out, tracker=("none",), max_hours=1.0), registry, resume=begun.name).folder
    assert again is not None
    assert (again.name, weights(again)) == (whole.name, weights(whole))

    for stage in ("trained", "quantized"):
        model = load_trained(whole, registry, stage, "cpu", SilentReporter())
        states = []
        for last in (40, 41):
            ids = torch.tensor([[20, 21, 22, 23, last]])
            with torch.no_grad():
                states.append(model._model.adapted(TASK, ids, torch.ones_like(ids))[0, :4])
        assert float((states[0] - states[1]).abs().max()) > 1e-4
        assert model.predict([Document("a", "The left atrium is dilated.")])[0].id == "a"
