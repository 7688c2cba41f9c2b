"""A quantizer is tried on two layers of the base model before anything is trained, unless it is known to work with the kind.

That a quantizer names an architecture does not mean that it can quantize it: gptqmodel fails on some whose layers it lists, and
it would do so after an hour of training. The two layers have random weights and, where the model is wide, fewer heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import user_cache
from bench.errors import BenchError, Interrupted, UsageError, out_of_memory
from bench.modeling.files import copy_companions
from bench.modeling.spec import ENCODERS, read_config
from bench.sealed import read_sealed, write_sealed
from bench.steps.resolve import Parts
from bench.training.devices import kind

VERSION = 1
"""Raised when a trial looks at more, so that kept ones are made again."""
LAYERS, WIDTH, VOCABULARY, TEXTS = 2, 512, 512, 12
"""Of the copy: layers, hidden size from which on heads are left out, rows of the table of tokens; texts to calibrate with."""
_COUNTS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")


def refuse_unquantizable(parts: Parts, device: str) -> None:
    """Tries the run's quantizer on two layers of its base model, or reads from the user's cache what came of it.

    Raises:
        UsageError: it failed, or what it left is not the model any more.
    """
    quantizer, spec = parts.quantizer, parts.model.spec
    if not parts.quantizes or quantizer.proven(spec):
        return
    folder = parts.model.folder()
    key = {
        "quantizer": [quantizer.name, quantizer.version, type(quantizer).__module__],
        "trial": VERSION,
        "device": kind(device),
        "config": {name: value for name, value in read_config(folder).items() if not name.startswith("_")},
        "packages": {name: _installed(name) for name in ("torch", "transformers", *(r.module for r in quantizer.requires))},
    }
    path = user_cache.path("trials", f"{quantizer.name}-{spec.model_type}", ".json", key)
    known = read_sealed(path)
    if known is None:
        known = {"reason": _attempt(parts, folder, kind(device))}
        with suppress(OSError):  # where it cannot be written, the next run tries again
            write_sealed(path, known)
    if known["reason"] is not None:
        raise UsageError(
            f"The quantizer {quantizer.name!r} was tried on two layers like those of {spec.name} ({spec.model_type}), and "
            f"failed: {known['reason']}.",
            "Take --quant rtn, int8 or nf4, or another base model.",
        )


def _attempt(parts: Parts, folder: Path, device: str) -> str | None:
    """Why the quantizer cannot quantize two layers of a model; None where it can."""
    import torch

    from bench.modeling.backbone import load_backbone, random_state_kept

    draw = torch.Generator().manual_seed(0)
    texts = [torch.randint(VOCABULARY, (12 + 2 * number,), generator=draw).tolist() for number in range(TEXTS)]
    ids = torch.tensor([text[:12] for text in texts])
    with TemporaryDirectory(prefix="bench-trial-") as aside, random_state_kept(), torch.no_grad():
        copy, out = Path(aside) / "two-layers", Path(aside) / "quantized"
        _write(folder, copy)
        whole = load_backbone(copy, torch.float32, device)(input_ids=ids.to(device)).last_hidden_state
        try:
            parts.quantizer.quantize(copy, out, texts, device)
            quantized: Any = parts.quantizer.load(out, parts.quantizer.floor_dtype(torch.float32), device)
            states = quantized(input_ids=ids.to(device)).last_hidden_state.float()
        except Interrupted:
            raise
        except BenchError as error:
            return error.message.rstrip(".")
        except Exception as error:  # a library's own, of whatever kind; the words of it may hold anything
            if out_of_memory(error):
                raise
            return f"{type(error).__name__} in {type(parts.quantizer).__module__}"
    if not bool(states.isfinite().all()):
        return "the hidden states are no numbers"
    gap = float((states - whole).norm() / whole.norm().clamp(min=1e-30))
    return f"it changes the hidden states by {gap:.0%}" if gap >= 1 else None


def _write(folder: Path, out: Path) -> None:
    """Writes a model of a folder's kind with two layers of random weights, and its tokenizer."""
    import torch
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_MAPPING

    from bench.modeling.backbone import quiet

    with quiet():
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    raw, decodes = config.to_dict(), read_config(folder)["model_type"] not in ENCODERS
    classes = MODEL_FOR_CAUSAL_LM_MAPPING if decodes and type(config) in MODEL_FOR_CAUSAL_LM_MAPPING else MODEL_MAPPING
    model_class: Any = classes[type(config)]
    torch.manual_seed(0)
    with quiet():
        for smaller in ({**_two_layers(raw), **_narrow(raw)}, _two_layers(raw)):
            try:
                model = model_class(type(config).from_dict({**raw, **smaller}))
                model(input_ids=torch.zeros((1, 2), dtype=torch.long))
                break
            except (ValueError, RuntimeError, TypeError, AssertionError):  # widths that this kind cannot have
                if smaller == _two_layers(raw):
                    raise
        out.mkdir()
        copy_companions(folder, out)
        model.save_pretrained(out)


def _two_layers(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration that make it one of two layers and few tokens."""
    layers = next((int(config[name]) for name in _COUNTS if isinstance(config.get(name), int)), 0)
    lists = {n: v[:LAYERS] for n, v in config.items() if isinstance(v, list) and len(v) == layers > LAYERS}
    tokens = {n: v % VOCABULARY for n, v in config.items() if n.endswith("token_id") and isinstance(v, int)}
    return {**{n: LAYERS for n in _COUNTS if isinstance(config.get(n), int)}, **lists, **tokens, "vocab_size": VOCABULARY}


def _narrow(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that leave heads of a wide model out; its heads stay as wide as they are."""
    sizes = [config.get(name) for name in ("hidden_size", "num_attention_heads", "intermediate_size")]
    if not all(isinstance(number, int) and number > 0 for number in sizes):
        return {}
    hidden, heads, _ = (int(number or 0) for number in sizes)
    pairs = config.get("num_key_value_heads") or heads
    if hidden <= WIDTH:
        return {}
    width = hidden // heads
    kept = next((n for n in range(2, heads, 2) if not n * width % 64 and n * width >= WIDTH // 2), heads)
    fewer = {"num_key_value_heads": kept if pairs == heads else 2} if "num_key_value_heads" in config else {}
    return {"hidden_size": kept * width, "num_attention_heads": kept, "intermediate_size": WIDTH, **fewer}


def _installed(module: str) -> str | None:
    try:
        return version(module)
    except PackageNotFoundError:
        return None
