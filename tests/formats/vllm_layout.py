"""What vLLM wants of a folder quantized by GPTQ or AWQ, as far as its files tell; vLLM itself needs a card and is not run.

Source: `AutoGPTQConfig`, `AutoAWQConfig` and the `create_weights` of their linear methods, in
``vllm/model_executor/layers/quantization/auto_gptq.py`` (commit 4276bd5) and ``auto_awq.py`` (commit 2211d88) of
https://github.com/vllm-project/vllm; before these, ``gptq.py``, ``gptq_marlin.py``, ``awq.py`` and ``awq_marlin.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.api.model import LinearShape
from bench.modeling.files import Header, read_headers

KEYS = {"gptq": ("bits", "group_size", "desc_act", "sym"), "awq": ("bits", "group_size", "zero_point")}
"""What a loader reads of ``quantization_config``, and cannot do without."""
GROUPS = (-1, 32, 64, 128)
"""Sizes of groups that the Marlin kernels take."""
FUSED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Layers that vLLM joins into one, and that therefore have to be quantized alike."""
FLOATS = ("F16", "BF16", "F32")
PACKED = 8  # weights of four bits in 32


def faults(folder: Path, linears: Iterable[LinearShape]) -> list[str]:
    """What vLLM would stumble over.

    Args:
        folder: of the quantized model.
        linears: of the model before, by their names in the backbone.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings = config.get("quantization_config", {})
    found = list(_of_settings(config, settings))
    return found or list(_of_tensors(settings, read_headers(folder), {f"model.{linear.name}": linear for linear in linears}))


def _of_settings(config: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    method = str(settings.get("quant_method", "")).lower()
    if not str(config.get("architectures", [""])[0]).endswith("ForCausalLM"):
        yield f"architectures is {config.get('architectures')}; wanted a model that makes text"
    if method not in KEYS:
        yield f"quant_method is {method!r}"
        return
    missing = [key for key in KEYS[method] if settings.get(key) is None]
    if missing:
        yield f"without {', '.join(missing)}"
        return
    if (settings["bits"], settings["group_size"] in GROUPS) != (4, True):
        yield f"{settings['bits']} bits in groups of {settings['group_size']}"
    if method == "gptq" and (settings["sym"], settings.get("checkpoint_format", "gptq")) != (True, "gptq"):
        yield "GPTQ that is not symmetric, or whose zero points are stored in another way"
    if method == "awq" and settings.get("version", "gemm") != "gemm":
        yield f"AWQ packed as {settings['version']}"
    if settings.get("dynamic"):
        yield "settings that differ from layer to layer"


def _of_tensors(
    settings: Mapping[str, Any], tensors: Mapping[str, Header], linears: Mapping[str, LinearShape]
) -> Iterator[str]:
    group, rest = settings["group_size"], dict(tensors)
    packed = {name.rpartition(".")[0] for name in tensors if name.endswith(".qweight")}
    for name, linear in linears.items():
        if name not in packed:
            continue
        inputs, outputs = linear.inputs, linear.outputs
        groups = inputs // (inputs if group == -1 else group)
        wanted: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
            "qzeros": (("I32",), (groups, outputs // PACKED)), "scales": (("F16", "BF16"), (groups, outputs)),
        }  # fmt: skip
        if settings["quant_method"] == "gptq":
            wanted |= {"qweight": (("I32",), (inputs // PACKED, outputs)), "g_idx": (("I32",), (inputs,))}
        else:
            wanted |= {"qweight": (("I32",), (inputs, outputs // PACKED))}
        for kind, (dtypes, shape) in wanted.items():
            header = rest.pop(f"{name}.{kind}", None)
            if header is None or header.dtype not in dtypes or tuple(header.shape) != shape:
                yield f"{name}.{kind} is {header}; wanted {' or '.join(dtypes)} {shape}"
        if f"{name}.weight" in tensors:
            yield f"{name} is there twice"
    if not packed or not packed <= set(linears):
        yield f"packed are {sorted(packed)[:3]}, which are no layers of the model"
    for together in FUSED:
        for name in linears:
            home, _, last = name.rpartition(".")
            if last == together[0] and len({f"{home}.{other}" in packed for other in together}) > 1:
                yield f"of {home} some of {together} are packed and some are not"
    for name, header in rest.items():
        if header.dtype not in FLOATS or not name.startswith(("model.", "lm_head.")):
            yield f"{name} is {header.dtype}, under a name that the model does not have"
