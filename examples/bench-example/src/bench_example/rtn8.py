"""Round to nearest with eight bits: 256 evenly spaced values for each group of 64 weights. No calibration.

Half the memory of bf16 at an output error of a percent or so; stored in GPTQ's own layout, so that it loads wherever GPTQ
checkpoints load.

>>> RoundToNearest8().bits
8
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.api.model import ModelSpec
from bench.api.part import Requirement
from bench.api.quantizer import QuantizedWeights, Quantizer, When
from bench.modeling.files import copy_companions, read_json, weight_bytes, written_whole
from bench.modeling.packed import bits_per_weight, replace_packed, round_to_nearest
from bench.modeling.spec import backbone_prefix, inspect

if TYPE_CHECKING:
    import torch
    from torch import nn


class RoundToNearest8(Quantizer):
    """Eight bits, groups of 64, symmetric."""

    name = "rtn8"
    version = "1"
    summary = "round to nearest, 8 bits in groups of 64"
    licence = "Apache-2.0"
    requires = (Requirement("torch", "bench-suite[train]"), Requirement("transformers", "bench-suite[train]"))
    when: ClassVar[tuple[When, ...]] = ("after", "load")
    bits = 8
    group_size = 64
    sym = True

    def supports(self, spec: ModelSpec, when: When, device: str) -> str | None:
        """Wants unquantized weights; four integers share a 32-bit word, so widths are multiples of 4."""
        if spec.quantization:
            return f"{spec.name} is stored as {spec.quantization} already"
        odd = [linear.name for linear in spec.linears if linear.inputs % 4 or linear.outputs % 4]
        return f"{odd[0]} of {spec.name} has a width that is no multiple of 4" if odd else None

    def quantize(self, source: Path, out: Path, calibration: Sequence[Sequence[int]], device: str) -> QuantizedWeights:
        """Rounds each linear layer on its own."""
        from safetensors.torch import save_file

        from bench.modeling.backbone import read_state

        state = read_state(source)
        prefix, linears = backbone_prefix(state), inspect(source).linears
        for linear in linears:
            name = f"{prefix}{linear.name}"
            replace_packed(state, name, round_to_nearest(state[f"{name}.weight"], 8, self.group_size, self.sym))
        stored = {"quant_method": "gptq", "bits": 8, "group_size": self.group_size, "sym": True, "checkpoint_format": "gptq"}
        with written_whole(out) as folder:
            copy_companions(source, folder)
            config = read_json(folder / "config.json") | {"quantization_config": stored}
            (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
            save_file({n: t.contiguous() for n, t in state.items()}, folder / "model.safetensors", metadata={"format": "pt"})
        return QuantizedWeights(bits_per_weight(out, linears), weight_bytes(out))

    def load(self, folder: Path, dtype: torch.dtype, device: str) -> nn.Module:
        """The backbone with the rounded weights, dense in memory."""
        from bench.modeling.backbone import load_backbone

        return load_backbone(folder, dtype, device)
