"""Models that read images or sound beside text: their text stack, as a folder of its own.

Gemma 3, MedGemma, Qwen-VL, LLaVA, Mistral 3, Idefics and others are a tower for pictures and an ordinary decoder, whose
configuration is nested in theirs. The decoder's tensors are copied file by file; nothing else of the model is ever in memory,
and what loads, tries or quantizes the folder finds a decoder as any other.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.modeling.files import INDEX, WEIGHTS, copy_companions, read_headers, read_json, weight_files, written_whole
from bench.modeling.spec import read_config

VERSION = 1
"""Raised when folders are made otherwise, so that older ones are made again."""
_NESTED = ("text_config", "llm_config", "language_config", "thinker_config")
_SENSES = ("vision_config", "audio_config", *_NESTED)
_ANOTHER = "Take a model of text alone; docs/models.md lists families that were tried."


def reads_more_than_text(config: Mapping[str, Any]) -> bool:
    """Whether a ``config.json`` is that of a model with parts beside its text stack.

    Qwen2-VL's, as it was published, holds the fields of its text stack beside those of its tower.
    """
    return any(isinstance(config.get(name), dict) for name in _SENSES)


def text_stack(source: Path, name: str, cache: Path, sha256: str) -> Path:
    """The folder of a model's text stack, made at the first call.

    Args:
        source: folder of the whole model.
        name: of the model, for messages.
        cache: where the folder is made.
        sha256: of the whole model.

    Raises:
        UsageError: transformers has no class for the text stack, or its weights are not there as they are.
    """
    out = cache / f"text-{VERSION}-{sha256[:32]}"
    if not out.is_dir():
        _write(source, name, out)
    return out


def _write(source: Path, name: str, out: Path) -> None:
    from bench.modeling.noise import import_heavy

    import_heavy()
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_MAPPING

    from bench.modeling.backbone import random_state_kept, usable

    raw = read_config(source)
    kind = str(raw["model_type"])
    if isinstance(raw.get("quantization_config"), dict):
        raise UsageError(f"{name} ({kind}) reads more than text and its weights are quantized.", "Take the unquantized model.")
    with usable(source, "config.json of"):
        config = AutoConfig.from_pretrained(source, trust_remote_code=False, local_files_only=True).get_text_config()
    if type(config) not in MODEL_MAPPING:
        raise UsageError(f"{name} ({kind}) reads more than text, and transformers has no model of its text alone.", _ANOTHER)
    model_class: Any = MODEL_MAPPING[type(config)]
    decoder: Any = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    with usable(source, "config.json of"), random_state_kept(), torch.device("meta"):
        wanted = set(model_class(config).state_dict())
    stored = read_headers(source)
    prefix = _prefix(wanted, stored)
    if prefix is None:
        raise UsageError(
            f"{name} ({kind}) reads more than text, and its weights hold no whole {model_class.__name__} of text.", _ANOTHER
        )
    base = f"{model_class.base_model_prefix}." if decoder is not None else ""
    names = {f"{prefix}{each}": f"{base}{each}" for each in wanted}
    head = [each for each in stored if each.endswith("lm_head.weight")]
    if decoder is not None and len(head) == 1:
        names[head[0]] = "lm_head.weight"
    with written_whole(out) as folder:
        copy_companions(source, folder)
        with usable(source, "config.json of"):
            config.save_pretrained(folder)
        facts = read_json(folder / "config.json") | {"architectures": [(decoder or model_class).__name__]}
        facts.setdefault("dtype", raw.get("dtype") or raw.get("torch_dtype"))
        (folder / "config.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
        shards: dict[str, str] = {}
        for path in weight_files(source):
            with usable(path, "The weights in"), safe_open(path, framework="pt") as file:
                tensors = {names[each]: file.get_tensor(each) for each in file.keys() if each in names}  # noqa: SIM118
            if tensors:
                save_file(tensors, folder / path.name, metadata={"format": "pt"})
                shards |= dict.fromkeys(tensors, path.name)
        if len(set(shards.values())) == 1:
            (folder / next(iter(shards.values()))).rename(folder / WEIGHTS)
        else:
            (folder / INDEX).write_text(json.dumps({"weight_map": shards}), encoding="utf-8")


def _prefix(wanted: Collection[str], stored: Collection[str]) -> str | None:
    """What stands before the names of a text stack's tensors on disk, such as ``language_model.model.``; None where one lacks.

    It differs between versions of transformers that saved the same model, so that it is read from the names themselves.
    """
    longest = max(wanted, key=len)
    prefixes = [name.removesuffix(longest) for name in stored if name == longest or name.endswith(f".{longest}")]
    whole = [prefix for prefix in prefixes if all(f"{prefix}{name}" in stored for name in wanted)]
    return min(whole, key=len) if whole else None
