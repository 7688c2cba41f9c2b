"""The fused LoRA layer against PEFT's own: outputs and every gradient, whichever adapters are active."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

from bench.adapters.fused import fuse  # noqa: E402

NAMES = ("one", "two")


def layer(bias: bool = True, dropout: float = 0.0, ranks: tuple[int, int] = (4, 3), base: str = "plain") -> Any:
    """A linear layer of 64 by 12, plain or in NF4, with two adapters whose B is not zero."""
    torch.manual_seed(0)
    linear = torch.nn.Linear(64, 12, bias=bias)
    module = torch.nn.Sequential(linear if base == "plain" else in_nf4(linear))
    module.is_loaded_in_4bit = base == "nf4"
    configs = [
        peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["0"], lora_dropout=dropout, bias="none") for rank in ranks
    ]
    model = peft.PeftModel(module, configs[0], adapter_name=NAMES[0])
    model.add_adapter(NAMES[1], configs[1])
    found = model.base_model.model[0]
    for down, up in zip(found.lora_A.values(), found.lora_B.values(), strict=True):
        down.weight.requires_grad_()
        up.weight.requires_grad_().data.copy_(torch.randn(up.weight.shape))
    return found


def in_nf4(linear: Any) -> Any:
    """The same layer as QLoRA has it."""
    pytest.importorskip("bitsandbytes")
    from bench_plugins.quantizers.nf4 import Nf4

    quantizer = Nf4()
    return quantizer.unpack(linear, quantizer.pack(linear.weight.data, "cpu"), torch.float32, "cpu")


def run(one: Any, active: tuple[str, ...], precision: str, frozen_input: bool = False) -> dict[str, Any]:
    """Output, and gradients of the input and of every adapter, of a loss that no two outputs share."""
    torch.manual_seed(1)
    x = torch.randn(3, 5, 64, requires_grad=not frozen_input)
    one._active_adapter = list(active)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        out = one(x)
    (out.float() * torch.linspace(-1, 1, out.numel()).view(out.shape)).sum().backward()
    found = {"out": out.detach().float(), "x": x.grad}
    found |= {f"{n}.{h}": getattr(one, h)[n].weight.grad for n in NAMES for h in ("lora_A", "lora_B")}
    one.zero_grad()
    return found


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("active", [("one",), ("two",), NAMES])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("frozen_input", [True, False])
@pytest.mark.parametrize("base", ["plain", "nf4"])
def test_outputs_and_gradients_are_pefts(
    precision: str, active: tuple[str, ...], bias: bool, frozen_input: bool, base: str
) -> None:
    wanted = run(layer(bias, base=base), active, precision, frozen_input)
    fused = layer(bias, base=base)
    assert fuse(fused)
    got = run(fused, active, precision, frozen_input)
    near = 1e-5 if precision == "fp32" else 0.02
    for name, value in wanted.items():
        if value is None:  # an adapter that is not active, an input that is frozen
            assert got[name] is None, name
        else:
            assert float((got[name] - value).norm()) <= near * float(value.norm()), name
    assert fused.get_base_layer().weight.grad is None


@pytest.mark.parametrize("base", ["plain", "nf4"])
def test_gradient_checkpointing_gives_the_same_gradients(base: str) -> None:
    from torch.utils.checkpoint import checkpoint

    fused = layer(base=base)
    assert fuse(fused)
    plain = run(fused, NAMES, "fp32")
    forward = fused.forward
    fused.forward = lambda x: checkpoint(forward, x, use_reentrant=False)
    again = run(fused, NAMES, "fp32")
    assert all(torch.equal(plain[name], again[name]) for name in plain)


def test_no_adapter_is_the_base_layer_alone() -> None:
    fused = layer()
    assert fuse(fused)
    fused._active_adapter = []
    x = torch.randn(2, 64)
    assert torch.equal(fused(x), fused.get_base_layer()(x))


def test_adapters_of_different_scales_are_added_one_by_one() -> None:
    fused, x = layer(), torch.randn(2, 64)
    fused._active_adapter = list(NAMES)
    fused.scaling["two"] = 0.5
    wanted = fused(x)
    assert fuse(fused)
    torch.testing.assert_close(fused(x), wanted)


def test_what_is_no_plain_layer_keeps_pefts_forward() -> None:
    dropped = layer(dropout=0.5)
    assert not fuse(dropped)
    assert "forward" not in vars(dropped)

    class Odd(torch.nn.Linear):
        pass

    odd = layer()
    odd.base_layer.__class__ = Odd  # as quantized layers are linear layers of a class of their own
    assert not fuse(odd)
