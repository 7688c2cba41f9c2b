"""Base of int8 and nf4: layers of bitsandbytes, quantized before training, on top of which LoRA learns (QLoRA).

Source: https://github.com/bitsandbytes-foundation/bitsandbytes. The folder is in the layout that transformers writes and reads.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench.api.model import ModelSpec
from bench.api.part import Requirement
from bench.api.quantizer import QuantizedWeights, Quantizer, When
from bench.errors import UsageError
from bench.kit.weights import already
from bench.modeling.files import copy_companions, read_json, weight_bytes, written_whole
from bench.modeling.packed import bits_per_weight
from bench.modeling.spec import backbone_prefix, inspect, read_config

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class BitsAndBytes(Quantizer):
    """Base class of int8 and nf4: each adapted linear layer becomes a layer of bitsandbytes, everything else stays as it is."""

    version = "1"
    requires = (Requirement("bitsandbytes", "bench-suite[quant]"), Requirement("transformers", "bench-suite[train]"))
    when: ClassVar[tuple[When, ...]] = ("load", "after")
    reused = "model"
    flag: ClassVar[str]
    """What transformers calls it, ``load_in_4bit`` or ``load_in_8bit``."""
    settings: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def pack(self, weight: Tensor, device: str) -> dict[str, Tensor]:
        """The tensors that stand for a weight of (outputs, inputs), by the end of their names."""

    @abstractmethod
    def unpack(self, layer: nn.Linear, parts: Mapping[str, Tensor], dtype: torch.dtype, device: str) -> nn.Linear:
        """The layer of bitsandbytes that takes the place of `layer`, its bias kept."""

    def supports(self, spec: ModelSpec, when: When, device: str) -> str | None:
        """Refuses weights that are quantized already; any width fits."""
        return already(spec)

    def proven(self, spec: ModelSpec) -> bool:
        """Always: it looks at each linear layer alone."""
        return True

    def quantize(self, source: Path, out: Path, calibration: Sequence[Sequence[int]], device: str) -> QuantizedWeights:
        """Quantizes each linear layer on its own, in seconds."""
        from safetensors.torch import save_file

        from bench.modeling.backbone import read_state

        state = read_state(source)
        prefix, linears = backbone_prefix(state), inspect(source).linears
        for linear in linears:
            name = f"{prefix}{linear.name}"
            parts = self.pack(state.pop(f"{name}.weight"), device)
            state.update({f"{name}.{part}": tensor.cpu().contiguous() for part, tensor in parts.items()})
        with written_whole(out) as folder:
            copy_companions(source, folder)
            settings = {"quant_method": "bitsandbytes", self.flag: True, **self.settings}
            config = read_json(folder / "config.json") | {"quantization_config": settings}
            (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
            save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        return QuantizedWeights(bits_per_weight(out, linears), weight_bytes(out))

    def load(self, folder: Path, dtype: torch.dtype, device: str) -> nn.Module:
        """The backbone with bitsandbytes' layers in the place of the adapted linear ones.

        Raises:
            UsageError: the folder was not written by this quantizer.
        """
        from logging import ERROR, getLogger

        import torch
        from torch import nn

        from bench.modeling.backbone import adapted_linears, from_state, meta_backbone, read_state

        settings = read_config(folder).get("quantization_config") or {}
        if not settings.get(self.flag):
            raise UsageError(f"{folder} was not written by the quantizer {self.name}.", "Quantize the base model again.")
        getLogger("bitsandbytes").setLevel(ERROR)  # int8 logs every cast
        state = read_state(folder)
        prefix = backbone_prefix(state)
        parts: dict[str, dict[str, Tensor]] = {}
        for linear in adapted_linears(meta_backbone(folder)):
            stem = f"{prefix}{linear.name}."
            names = [n for n in state if n.startswith(stem) and n != f"{stem}bias"]
            parts[linear.name] = {n.removeprefix(stem): state.pop(n) for n in names}
            # Holds the layer's place while the rest is loaded.
            state[f"{stem}weight"] = torch.zeros(1, dtype=dtype).expand(linear.outputs, linear.inputs)
        backbone = from_state(folder, state, dtype)
        for name, tensors in parts.items():
            owner, _, child = name.rpartition(".")
            layer = backbone.get_submodule(name)
            if isinstance(layer, nn.Linear):
                setattr(backbone.get_submodule(owner), child, self.unpack(layer, tensors, dtype, device))
        setattr(backbone, f"is_{self.flag.replace('load', 'loaded')}", True)  # peft picks its LoRA layer by this
        return backbone.to(device).requires_grad_(False).eval()
