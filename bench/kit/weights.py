"""For quantizers: reasons to refuse a model, and a writer of packed weights in GPTQ's layout."""

from __future__ import annotations

import json
from pathlib import Path

from bench.api.model import ModelSpec
from bench.api.quantizer import QuantizedWeights
from bench.modeling.files import copy_companions, read_json, weight_bytes, written_whole

GROUP_SIZE = 64


def already(spec: ModelSpec) -> str | None:
    """For `Quantizer.supports`: the reason to refuse a model that is stored quantized; None where it is not."""
    if spec.quantization is None:
        return None
    return f"{spec.name} is stored as {spec.quantization} already; use --quant none to train on it as it is."


def narrow(spec: ModelSpec, multiple: int, what: str) -> str | None:
    """For `Quantizer.supports`: the reason to refuse a model with a linear layer of an unfit width; None where all fit.

    Inputs and outputs of every linear layer must be multiples of `multiple`. `what` begins the sentence: what needs it, e.g.
    ``packing four-bit integers into words``.
    """
    for linear in spec.linears:
        for side, width in (("inputs", linear.inputs), ("outputs", linear.outputs)):
            if width % multiple:
                return (
                    f"{what} needs widths that are multiples of {multiple}; {linear.name} of {spec.name} has {width} {side}. "
                    "int8 works with any width."
                )
    return None


def write_packed(source: Path, out: Path, bits: int, group_size: int, sym: bool) -> QuantizedWeights:
    """Rounds the adapted linear layers of a model folder to nearest, in GPTQ's layout; a failure leaves no folder.

    `bits` a weight are 4 or 8, `group_size` weights of a row share a scale, `sym` makes the grid symmetric about zero.
    """
    from safetensors.torch import save_file

    from bench.modeling.backbone import read_state
    from bench.modeling.packed import bits_per_weight, replace_packed, round_to_nearest
    from bench.modeling.spec import backbone_prefix, inspect

    state = read_state(source)
    prefix = backbone_prefix(state)
    linears = inspect(source).linears
    for linear in linears:
        name = f"{prefix}{linear.name}"
        replace_packed(state, name, round_to_nearest(state[f"{name}.weight"], bits, group_size, sym))
    settings = {
        "quant_method": "gptq", "bits": bits, "group_size": group_size, "sym": sym, "desc_act": False,
        "checkpoint_format": "gptq",
    }  # fmt: skip
    with written_whole(out) as folder:
        copy_companions(source, folder)
        config = read_json(folder / "config.json") | {"quantization_config": settings}
        (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
        save_file({n: t.contiguous() for n, t in state.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    return QuantizedWeights(bits_per_weight(out, linears), weight_bytes(out))
