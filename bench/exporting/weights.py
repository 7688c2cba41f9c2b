"""The weights of an exported folder: adapters merged into the base model, or as one adapter in PEFT's format."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bench.api.architecture import ArchitectureModule, read_tensors
from bench.errors import UsageError
from bench.modeling.files import read_json

if TYPE_CHECKING:
    from torch import nn

ADAPTER, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"


def merged(adapted: ArchitectureModule, task: str) -> nn.Module:
    """The base model with a task's adapters added to its weights; the adapted model is used up.

    Args:
        adapted: of one pass.
        task: whose adapters are meant.

    Raises:
        UsageError: weights are kept as integers, which an adapter cannot be added to.
    """
    from peft.tuners.lora import LoraLayer
    from torch import nn

    from bench.adapters.model import AdaptedModel

    if not isinstance(adapted, AdaptedModel):
        return adapted.backbone
    layers = [layer.get_base_layer() for layer in adapted.backbone.modules() if isinstance(layer, LoraLayer)]
    packed = {type(layer).__name__ for layer in layers if type(layer) is not nn.Linear}
    if packed:
        raise UsageError(
            f"The run trained on quantized weights ({', '.join(sorted(packed))}), into which its adapter cannot be merged "
            "without rounding it.",
            "Take --peft, which writes the quantized base model with the adapter beside it.",
        )
    (names,) = adapted.route(task)
    backbone: nn.Module = cast(Any, adapted.peft.base_model).merge_and_unload(adapter_names=list(names))
    return backbone


def write_backbone(backbone: nn.Module, source: Path, out: Path) -> None:
    """Writes a backbone as `AutoModel.from_pretrained` reads it.

    Args:
        backbone: of transformers.
        source: folder of the base model, whose configuration is kept: the backbone's own has its dropout and cache off.
        out: the folder.
    """
    from bench.modeling.backbone import meta_backbone, quiet

    with quiet():
        cast(Any, backbone).save_pretrained(out)
        config = deepcopy(cast(Any, meta_backbone(source)).config)
        config.architectures = [type(backbone).__name__]
        config.dtype = next(backbone.parameters()).dtype
        config.save_pretrained(out)


def write_adapter(folders: Sequence[Path], out: Path) -> int:
    """Writes adapters that are active together as one: their ranks side by side, which is the sum of their products.

    Args:
        folders: of one adapter each, as PEFT saves it, for the same layers.
        out: gets ``adapter_model.safetensors`` and ``adapter_config.json``.

    Returns:
        The number of its parameters.

    Raises:
        RunStateError: an adapter is missing or damaged.
    """
    import torch
    from safetensors.torch import save_file

    tensors = [read_tensors(folder / ADAPTER) for folder in folders]
    configs = [read_json(folder / ADAPTER_CONFIG) for folder in folders]
    joined, config = tensors[0], configs[0]
    if len(folders) > 1:
        joined, ranks = {}, {}
        for name in tensors[0]:
            parts = [adapter[name] for adapter in tensors]
            if ".lora_A." in name:
                joined[name] = torch.cat(parts)
                ranks[name.removeprefix("base_model.model.").partition(".lora_A.")[0]] = len(joined[name])
            else:  # alpha is twice the rank in every adapter and in the one that is written
                joined[name] = torch.cat(parts, 1)
        config |= {"r": max(ranks.values()), "lora_alpha": 2 * max(ranks.values())}
        config["rank_pattern"] = {f"^{_escaped(name)}": rank for name, rank in ranks.items() if rank != config["r"]}
        config["alpha_pattern"] = {name: 2 * rank for name, rank in config["rank_pattern"].items()}
    out.mkdir(exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in joined.items()}, out / ADAPTER, metadata={"format": "pt"})
    (out / ADAPTER_CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
    return sum(tensor.numel() for tensor in joined.values())


def _escaped(name: str) -> str:
    from bench.adapters.naming import pattern

    return pattern(name).removeprefix("^")
