"""Packed integers against plain loops that follow AutoGPTQ's and AutoAWQ's own packers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from bench.errors import UsageError  # noqa: E402
from bench.modeling.backbone import load_backbone  # noqa: E402
from bench.modeling.packed import dense_awq, dense_gptq, pack_bits, round_to_nearest, unpack_bits  # noqa: E402
from bench.modeling.spec import inspect  # noqa: E402


@given(bits=st.integers(1, 8), rows=st.integers(1, 3), words=st.integers(1, 3), seed=st.integers(0, 999))
def test_unpacking_undoes_packing(bits: int, rows: int, words: int, seed: int) -> None:
    values = torch.randint(0, 2**bits, (rows, 32 * words), generator=torch.Generator().manual_seed(seed))
    packed = pack_bits(values, bits)
    assert packed.shape == (rows, bits * words)
    assert packed.dtype == torch.int32
    assert torch.equal(unpack_bits(packed, bits, 32 * words), values)


def signed(word: int) -> int:
    return word - (1 << 32) if word >= 1 << 31 else word


def autogptq(integers: Any, zeros: Any, bits: int) -> tuple[Any, Any]:
    """AutoGPTQ's `QuantLinear.pack` for (inputs, outputs) integers of 2, 4 or 8 bits and (groups, outputs) zero points."""
    per = 32 // bits
    inputs, outputs = integers.shape
    qweight = [
        [signed(sum(int(integers[row * per + i, col]) << (bits * i) for i in range(per))) for col in range(outputs)]
        for row in range(inputs // per)
    ]
    qzeros = [
        [signed(sum(int(line[col * per + i] - 1) << (bits * i) for i in range(per))) for col in range(outputs // per)]
        for line in zeros
    ]
    return torch.tensor(qweight, dtype=torch.int32), torch.tensor(qzeros, dtype=torch.int32)


def autogptq_three(column: list[int]) -> list[int]:
    """AutoGPTQ's scheme for 3 bits, 32 integers into three words, value by value as its source has it."""
    words = [0, 0, 0]
    for j in range(10):
        words[0] |= column[j] << (3 * j)
    words[0] |= (column[10] & 3) << 30
    words[1] |= (column[10] >> 2) & 1
    for j in range(10):
        words[1] |= column[11 + j] << (3 * j + 1)
    words[1] |= (column[21] & 1) << 31
    words[2] |= (column[21] >> 1) & 3
    for j in range(10):
        words[2] |= column[22 + j] << (3 * j + 2)
    return [signed(w) for w in words]


def autoawq(integers: Any) -> Any:
    """AutoAWQ's `WQLinear_GEMM.from_linear`: nibble i of a word holds column order[i]."""
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    return torch.tensor(
        [
            [signed(sum(int(row[8 * c + order[i]]) << (4 * i) for i in range(8))) for c in range(len(row) // 8)]
            for row in integers
        ],
        dtype=torch.int32,
    )


def parts(inputs: int, outputs: int, group: int, bits: int, seed: int = 0) -> tuple[Any, Any, Any]:
    g = torch.Generator().manual_seed(seed)
    integers = torch.randint(0, 2**bits, (inputs, outputs), generator=g)
    zeros = torch.randint(1, 2**bits, (inputs // group, outputs), generator=g)
    scales = (torch.rand(inputs // group, outputs, generator=g) / 50 + 0.01).half()
    return integers, zeros, scales


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("reordered", [False, True])
def test_autogptq(bits: int, reordered: bool) -> None:
    integers, zeros, scales = parts(64, 32, 32, bits)
    group = torch.arange(64) // 32
    if reordered:
        group = group[torch.randperm(64, generator=torch.Generator().manual_seed(1))]
    wanted = (scales.float()[group] * (integers - zeros[group])).t()
    qweight, qzeros = autogptq(integers, zeros, bits)
    tensors = {"qweight": qweight, "qzeros": qzeros, "scales": scales, "g_idx": group.int()}
    assert torch.equal(dense_gptq(tensors, bits, 32), wanted)
    second = tensors | {"qzeros": autogptq(integers, zeros + 1, bits)[1]}  # stored as they are
    assert torch.equal(dense_gptq(second, bits, 32, "gptq_v2"), wanted)
    if not reordered:
        del tensors["g_idx"]
        assert torch.equal(dense_gptq(tensors, bits, 32), wanted)


def test_three_bits_straddle_words() -> None:
    values = torch.randint(0, 8, (1, 32), generator=torch.Generator().manual_seed(3))
    words = torch.tensor([autogptq_three(values[0].tolist())], dtype=torch.int32)
    assert torch.equal(unpack_bits(words, 3, 32), values)


def test_autoawq() -> None:
    integers, zeros, scales = parts(64, 16, 32, 4)
    tensors = {"qweight": autoawq(integers), "qzeros": autoawq(zeros), "scales": scales}
    group = torch.arange(64) // 32
    assert torch.equal(dense_awq(tensors, 32), (scales.float()[group] * (integers - zeros[group])).t())


class TestRoundToNearest:
    @pytest.mark.parametrize(("bits", "sym"), [(4, True), (4, False), (8, True), (2, False)])
    @pytest.mark.parametrize(("inputs", "group"), [(128, 64), (96, 64), (64, -1)])
    def test_no_weight_moves_further_than_half_a_step(self, bits: int, sym: bool, inputs: int, group: int) -> None:
        weight = torch.randn(32, inputs, generator=torch.Generator().manual_seed(0))
        packed = round_to_nearest(weight, bits, group, sym)
        step = packed["scales"].float().t()[:, packed["g_idx"].long()]
        dense = dense_gptq(packed, bits, group)
        moved = ((dense - weight).abs() / step).flatten()
        # The ends of the grid give way: a symmetric one lacks its topmost value, and scales are stored in 16 bits.
        assert float(moved.median()) < 0.5
        assert float(moved.max()) <= 1.05
        assert float((moved <= 0.502).float().mean()) > 0.95
        assert torch.equal(dense, dense_gptq(round_to_nearest(weight, bits, group, sym), bits, group))

    def test_a_grid_of_its_own_values_is_kept(self) -> None:
        weight = torch.arange(-8, 8).float().repeat(32, 4) / 8
        assert torch.allclose(dense_gptq(round_to_nearest(weight, 4, 64, sym=False), 4, 64), weight, atol=2e-3)

    def test_zero_stays_zero(self) -> None:
        assert not dense_gptq(round_to_nearest(torch.zeros(32, 64), 4, 64), 4, 64).any()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from bench_plugins.models.tiny import TinyLlama

    return TinyLlama().folder(tmp_path_factory.mktemp("models"))


def foreign(base: Path, out: Path, method: str) -> dict[str, Any]:
    """A folder as AutoGPTQ or AutoAWQ left it, with random integers; gives the weights that they stand for."""
    out.mkdir()
    state, wanted = load_file(base / "model.safetensors"), {}
    for seed, linear in enumerate(inspect(base).linears):
        name = f"model.{linear.name}"
        del state[f"{name}.weight"]
        integers, zeros, scales = parts(linear.inputs, linear.outputs, 32, 4, seed)
        group = torch.arange(linear.inputs) // 32
        if method == "gptq":
            group = group[torch.randperm(linear.inputs, generator=torch.Generator().manual_seed(seed))]
            qweight, qzeros = autogptq(integers, zeros, 4)
            state |= {f"{name}.g_idx": group.int(), f"{name}.bias": torch.zeros(linear.outputs)}
        else:
            qweight, qzeros = autoawq(integers), autoawq(zeros)
        state |= {f"{name}.qweight": qweight, f"{name}.qzeros": qzeros, f"{name}.scales": scales}
        wanted[linear.name] = (scales.float()[group] * (integers - zeros[group])).t()
    config = json.loads((base / "config.json").read_text())
    if method == "gptq":
        settings = {"bits": 4, "group_size": 32, "damp_percent": 0.01, "desc_act": True, "sym": False, "true_sequential": True}
        (out / "quantize_config.json").write_text(json.dumps(settings))
        save_file(state, out / "gptq_model-4bit-32g.safetensors", {"format": "pt"})
    else:
        config["quantization_config"] = {
            "quant_method": "awq",
            "bits": 4,
            "group_size": 32,
            "zero_point": True,
            "version": "gemm",
        }
        save_file(state, out / "model.safetensors", {"format": "pt"})
    (out / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (out / name).write_bytes((base / name).read_bytes())
    return wanted


@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_folders_of_autogptq_and_autoawq_take_lora(base: Path, tmp_path: Path, method: str) -> None:
    peft = pytest.importorskip("peft")
    wanted = foreign(base, tmp_path / "q", method)
    spec = inspect(tmp_path / "q", "tiny-llama")
    assert (spec.quantization, spec.linears) == (method, inspect(base).linears)
    backbone = load_backbone(tmp_path / "q", torch.float32, "cpu")
    for name, weight in wanted.items():
        assert torch.equal(backbone.get_submodule(name).weight, weight)
    model = peft.get_peft_model(backbone, peft.LoraConfig(r=4, target_modules=r".*\.(q_proj|down_proj)"))
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad(set_to_none=True)
        model(input_ids=torch.arange(8)[None]).last_hidden_state.square().sum().backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters() if p.requires_grad)
    assert sum(p.requires_grad for p in model.parameters()) == 8  # two layers, two targets, A and B


def test_a_layer_that_lacks_a_tensor(base: Path, tmp_path: Path) -> None:
    foreign(base, tmp_path / "q", "awq")
    state = load_file(tmp_path / "q" / "model.safetensors")
    del state["model.layers.1.mlp.up_proj.scales"]
    save_file(state, tmp_path / "q" / "model.safetensors")
    with pytest.raises(UsageError, match=r"layers\.1\.mlp\.up_proj in .* has no scales"):
        load_backbone(tmp_path / "q", torch.float32, "cpu")
