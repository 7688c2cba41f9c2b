"""Quantized linear layers as integers packed into 32-bit words: the layouts of GPTQ and of AWQ, read and written.

A weight is `scale · (q − zero)`, with one scale and one zero point for a group of consecutive inputs and each output. Layouts,
for a layer of `inputs × outputs`, `b` bits and groups of `g`:

| | qweight, int32 | qzeros, int32 | scales |
|---|---|---|---|
| GPTQ | (inputs·b/32, outputs), packed along the inputs | (inputs/g, outputs·b/32) | (inputs/g, outputs) |
| AWQ gemm | (inputs, outputs/8), nibbles interleaved | (inputs/g, outputs/8), the same | (inputs/g, outputs) |

GPTQ's first format stores each zero point less one; `gptq_v2` stores it as it is. `g_idx` names the group of each input.

Source: AutoGPTQ (`qlinear_cuda.pack`), AutoAWQ (`packing_utils.py`); Frantar et al., GPTQ, arXiv:2210.17323; Lin et al., AWQ,
arXiv:2306.00978.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.model import LinearShape
from bench.errors import UsageError
from bench.modeling.files import read_headers
from bench.modeling.spec import backbone_prefix

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PARTS = ("qweight", "qzeros", "scales", "g_idx")
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Column of each nibble of a word, lowest nibble first."""


def unpack_bits(words: Tensor, bits: int, count: int) -> Tensor:
    """Reads `count` integers of `bits` bits each, 1 to 8, from every row of little-endian 32-bit words.

    An integer may lie across two words, as with 3 bits. The words (rows, words), int32, give (rows, count), int64.
    """
    import torch

    wide = words.to(torch.int64) & 0xFFFFFFFF
    start = torch.arange(count, device=words.device) * bits
    first, shift = start // 32, start % 32
    low = wide[:, first] >> shift
    if 32 % bits == 0:
        return low & ((1 << bits) - 1)
    following = wide[:, (first + 1).clamp(max=words.shape[1] - 1)]
    return (low | (following << (32 - shift))) & ((1 << bits) - 1)


def pack_bits(values: Tensor, bits: int) -> Tensor:
    """The inverse of `unpack_bits`: integers (rows, count) below 2**bits give (rows, count · bits / 32), int32.

    `bits` are 1 to 8, and count · bits is a multiple of 32.
    """
    import torch

    rows, count = values.shape
    start = torch.arange(count, device=values.device) * bits
    first, shift = start // 32, start % 32
    words = torch.zeros(rows, count * bits // 32 + 1, dtype=torch.int64, device=values.device)
    wide = values.to(torch.int64) << shift
    words.index_add_(1, first, wide & 0xFFFFFFFF)  # bits never overlap, so adding is or-ing
    words.index_add_(1, first + 1, wide >> 32)
    packed = words[:, :-1]
    return torch.where(packed >= 1 << 31, packed - (1 << 32), packed).to(torch.int32)


def dense_gptq(parts: Mapping[str, Tensor], bits: int, group_size: int, form: str = "gptq") -> Tensor:
    """The dense weight (outputs, inputs) in float32 of GPTQ's tensors of 2, 3, 4 or 8 bits.

    The parts are ``qweight``, ``qzeros``, ``scales`` and, where inputs were reordered, ``g_idx``; without it, `group_size`
    inputs are a group, or all where it is -1. `form` is ``gptq`` (zero points stored less one) or ``gptq_v2``.
    """
    import torch

    words, scales = parts["qweight"], parts["scales"].float()
    inputs = words.shape[0] * 32 // bits
    integers = unpack_bits(words.t().contiguous(), bits, inputs)  # (outputs, inputs)
    zeros = unpack_bits(parts["qzeros"], bits, scales.shape[1])  # (groups, outputs)
    if form == "gptq":
        zeros = (zeros + 1) & ((1 << bits) - 1)
    group = parts.get("g_idx")
    if group is None:
        group = torch.arange(inputs, device=words.device) // (group_size if group_size > 0 else inputs)
    group = group.to(torch.int64)
    return (integers - zeros.t()[:, group]).float() * scales.t()[:, group]


def dense_awq(parts: Mapping[str, Tensor], group_size: int) -> Tensor:
    """The dense weight (outputs, inputs) in float32 of AWQ's gemm tensors of 4 bits."""
    import torch

    scales = parts["scales"].float()
    outputs, inputs = scales.shape[1], parts["qweight"].shape[0]
    place = torch.argsort(torch.tensor(AWQ_ORDER, device=scales.device))
    order = (torch.arange(outputs, device=scales.device).view(-1, 8)[:, place]).reshape(-1)
    integers = unpack_bits(parts["qweight"], 4, outputs)[:, order]  # (inputs, outputs)
    zeros = unpack_bits(parts["qzeros"], 4, outputs)[:, order]
    group = torch.arange(inputs, device=scales.device) // (group_size if group_size > 0 else inputs)
    return ((integers - zeros[group]).float() * scales[group]).t().contiguous()


def round_to_nearest(weight: Tensor, bits: int, group_size: int, sym: bool = True) -> dict[str, Tensor]:
    """Quantizes a weight (outputs, inputs) by rounding to nearest on each group's own grid, in GPTQ's layout.

    `group_size` consecutive inputs share a scale; -1 is one group a row. The grid is symmetric about zero if `sym`;
    otherwise it spans the least to the largest weight and zero.
    """
    import torch

    outputs, inputs = weight.shape
    group = group_size if group_size > 0 else inputs
    groups, top = -(-inputs // group), (1 << bits) - 1
    grouped = torch.nn.functional.pad(weight.float(), (0, groups * group - inputs)).view(outputs, groups, group)
    low, high = grouped.amin(-1).clamp(max=0), grouped.amax(-1).clamp(min=0)
    if sym:
        high = torch.maximum(high, -low)
        low = -high
    scales = ((high - low) / top).half().float().clamp(min=2.0**-24)  # as stored
    zeros = torch.full_like(scales, (top + 1) // 2) if sym else (-low / scales).round().clamp(0, top)
    integers = ((grouped / scales[..., None]).round() + zeros[..., None]).clamp(0, top)
    return {
        "qweight": pack_bits(integers.view(outputs, -1)[:, :inputs].to(torch.int64), bits).t().contiguous(),
        "qzeros": pack_bits((zeros.t().to(torch.int64) - 1) & top, bits),
        "scales": scales.t().contiguous().half(),
        "g_idx": (torch.arange(inputs) // group).to(torch.int32),
    }


def dense_state(state: dict[str, Tensor], folder: Path, packed: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Tensor]:
    """Every tensor of a GPTQ or AWQ folder, with packed layers as dense weights of `dtype`; takes packed ones from `state`.

    `packed` is what `bench.modeling.spec.quantization` says of the folder.

    Raises:
        UsageError: a layer lacks one of its tensors.
    """
    for name in [n.removesuffix(".qweight") for n in state if n.endswith(".qweight")]:
        parts = {p: state.pop(f"{name}.{p}") for p in PARTS if f"{name}.{p}" in state}
        missing = [p for p in PARTS[:3] if p not in parts]
        if missing:
            raise UsageError(
                f"The quantized layer {name} in {folder} has no {', '.join(missing)}.", "Copy the folder again, whole."
            )
        if packed["method"] == "awq":
            weight = dense_awq(parts, packed["group_size"])
        else:
            weight = dense_gptq(parts, packed["bits"], packed["group_size"], packed["format"])
        state[f"{name}.weight"] = weight.to(dtype)
    return state


def replace_packed(state: MutableMapping[str, Tensor], name: str, parts: Mapping[str, Tensor]) -> None:
    """Replaces a layer's weight by its packed tensors; the bias stays."""
    del state[f"{name}.weight"]
    state.update({f"{name}.{part}": tensor for part, tensor in parts.items()})


def bits_per_weight(folder: Path, linears: Sequence[LinearShape]) -> float:
    """Stored bits per weight of linear layers of a quantized folder; every tensor of a layer counts but its bias.

    The layers are those of the unquantized model's spec.
    """
    headers = read_headers(folder)
    prefix = backbone_prefix(headers)
    layers = tuple(f"{prefix}{s.name}." for s in linears)
    bits = sum(8 * h.bytes for name, h in headers.items() if name.startswith(layers) and not name.endswith(".bias"))
    return bits / sum(s.inputs * s.outputs for s in linears)
