"""The plan of memory: each thing that decides it moves the part that it should, and no other."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.api.model import LinearShape, ModelSpec
from bench.registry import load
from bench.training.memory import Load

GIB = 2**30
SHAPES = (("q", 4096, 4096), ("k", 4096, 1024), ("v", 4096, 1024), ("o", 4096, 4096), ("gate", 4096, 12288),
          ("up", 4096, 12288), ("down", 12288, 4096))  # fmt: skip
LINEARS = tuple(LinearShape(f"layers.{i}.{name}", into, out) for i in range(36) for name, into, out in SHAPES)
WEIGHTS = sum(linear.inputs * linear.outputs for linear in LINEARS)
QWEN3_8B = ModelSpec("qwen3-8b", "qwen3", True, 4096, 36, 32768, WEIGHTS + 151936 * 4096, LINEARS)
DENSE = Load(QWEN3_8B, 20_000_000, False, 1, "bf16", "cuda", None, "adamw", 32, 512)


@pytest.mark.parametrize(("quantizer", "low", "high"), [("none", 14, 15), ("gptq", 14, 15), ("int8", 7, 8), ("nf4", 4.7, 5.2)])
def test_a_base_of_8b_is_as_large_as_its_quantizer_holds_it(quantizer: str, low: float, high: float) -> None:
    held = replace(DENSE, packed_bits=load().get("quantizers", quantizer).packed_bits)
    assert low < held.base() / GIB < high
    assert held.dense() == DENSE.dense()


def test_passes_and_checkpointing_decide_activations_alone() -> None:
    one, two = DENSE.memory(2048, False), replace(DENSE, passes=2).memory(2048, False)
    assert 1.9 < two.activations / one.activations < 2
    assert replace(two, activations=0) == replace(one, activations=0)
    again, both = DENSE.memory(2048, True), replace(DENSE, passes=2).memory(2048, True)
    assert again.activations < 0.15 * one.activations
    assert 1 < both.activations / again.activations < 1.9  # the layer that is computed again is one of one pass
    assert replace(again, activations=0) == replace(one, activations=0)


def test_attention_that_keeps_its_probabilities_is_counted_where_it_is_eager() -> None:
    longer = replace(DENSE, longest=2048)
    assert longer.activations(4096, False) == DENSE.activations(4096, False)
    on_cpu = replace(DENSE, device="cpu")
    more = replace(on_cpu, longest=2048).activations(4096, False) - on_cpu.activations(4096, False)
    assert more == pytest.approx(4096 * 2 * 3 * (36 + 2) * 32 * (2048 - 512), rel=1e-6)
    assert replace(on_cpu, attention="sdpa").activations(4096, False) == DENSE.activations(4096, False)
    assert replace(DENSE, attention="eager").activations(4096, False) == on_cpu.activations(4096, False)


def test_moments_of_eight_bits_take_a_sixth_and_a_trained_base_is_counted_once() -> None:
    small = replace(DENSE, optimizer="adamw-8bit").memory(512, False)
    assert small.optimizer < DENSE.memory(512, False).optimizer / 5
    full = replace(DENSE, trained=QWEN3_8B.parameters, trains_base=True).memory(512, False)
    assert full.base == full.trained == 4 * QWEN3_8B.parameters  # in fp32, and their gradients
    assert full.total == full.process + full.base + full.trained + full.optimizer + full.activations


def test_the_table_of_cards_on_the_page_is_that_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(__file__).parents[2]
    monkeypatch.syspath_prepend(str(folder / "benchmarks"))
    monkeypatch.delitem(sys.modules, "gpu_table", raising=False)
    import gpu_table

    assert gpu_table.table() in (folder / "docs" / "performance.md").read_text(encoding="utf-8")
