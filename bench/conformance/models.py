"""Checks of a plugin's base model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bench.api.model import Model
from bench.conformance.common import described
from bench.conformance.workbench import Workbench, expect, named, scramble, without_heavy_imports
from bench.wording import some


def metadata(model: Model, bench: Workbench) -> str:
    """The spec is valid, and is read without torch."""
    described(model, citation=not model.plumbing_only)
    with without_heavy_imports():
        spec = model.spec()
    expect(spec.name == model.name, f"spec().name is {spec.name!r}; wanted {model.name!r}")
    for field in ("hidden_size", "layers", "max_length", "parameters"):
        expect(getattr(spec, field) > 0, f"spec().{field} is {getattr(spec, field)!r}")
    expect(bool(spec.linears), "spec().linears is empty, so there is nothing to adapt")
    return f"{spec.model_type}, {some(spec.parameters, 'parameter')}, {some(len(spec.linears), 'linear layer')}"


def determinism(model: Model, bench: Workbench) -> str:
    """A folder that is made twice has the same weights, configuration and tokenizer."""
    from bench.modeling.files import sha256_folder

    first = sha256_folder(bench.model_folder(model))
    scramble(2)
    expect(sha256_folder(model.folder(bench.fresh("models"))) == first, "folder() gives other weights, made a second time")
    return f"sha256 {first[:12]}…"


def token_counts(model: Model, bench: Workbench) -> str:
    """The tokenizer's offsets cover the text, padding changes nothing, and `causal` is right."""
    import torch

    from bench.data.windows import words
    from bench.modeling.backbone import load_backbone, load_tokenizer

    folder = bench.model_folder(model)
    tokenizer = load_tokenizer(folder)
    text = "No acute distress; left atrial enlargement, 3.5 cm."
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    spans = [tuple(s) for s in encoded["offset_mapping"]]
    missed = [text[a:b] for a, b in words(text) if not any(s < b and e > a for s, e in spans)]
    expect(not missed, f"the tokenizer's offsets leave out {named(missed)}")
    expect(tokenizer.pad_token_id is not None, "the tokenizer has no padding token")
    ids = torch.tensor([encoded["input_ids"]])
    backbone = load_backbone(folder, torch.float32, "cpu")
    short = _states(backbone, ids, torch.ones_like(ids))
    padded = torch.cat([ids, torch.full((1, 4), int(tokenizer.pad_token_id))], 1)
    mask = torch.cat([torch.ones_like(ids), torch.zeros(1, 4, dtype=ids.dtype)], 1)
    gap = float((_states(backbone, padded, mask)[:, : ids.shape[1]] - short).abs().max())
    expect(gap < 1e-2 * float(short.abs().max()), f"four padded positions move the hidden states by {gap:.3g}")
    other = ids.clone()
    other[0, -1] = ids[0, 0] if ids[0, -1] != ids[0, 0] else ids[0, 1]
    seen = float((_states(backbone, other, torch.ones_like(ids))[:, 0] - short[:, 0]).abs().max()) > 1e-6
    causal = model.spec().causal
    expect(seen != causal, f"spec().causal is {causal}, yet the first token {'sees' if seen else 'does not see'} the last")
    return f"{some(ids.shape[1], 'token')} for {some(len(words(text)), 'word')}, {'causal' if causal else 'both sides'}"


def parity(model: Model, bench: Workbench) -> str:
    """The spec, from which ranks and parity are planned, fits the loaded model."""
    from bench.modeling.backbone import adapted_linears, meta_backbone
    from bench.modeling.spec import inspect

    spec, folder = model.spec(), bench.model_folder(model)
    stored = replace(inspect(folder), name=spec.name)
    odd = [f for f in vars(spec) if getattr(spec, f) != getattr(stored, f)]
    expect(not odd, f"spec() and the folder disagree on {named(odd)}")
    backbone: Any = meta_backbone(folder)
    expect(adapted_linears(backbone) == spec.linears, "spec().linears are not the linear layers of the loaded model")
    count = sum(p.numel() for p in backbone.parameters())
    expect(
        count == spec.parameters or spec.quantization is not None,
        f"{some(count, 'parameter')}, spec() says {spec.parameters:,}",
    )
    expect(
        backbone.config.hidden_size == spec.hidden_size, f"hidden size {backbone.config.hidden_size}, not {spec.hidden_size}"
    )
    return f"{some(len(spec.linears), 'linear layer')}, {some(count, 'parameter')}"


def save_and_load(model: Model, bench: Workbench) -> str:
    """The folder is made once, holds safetensors and no code, and loads frozen with finite outputs."""
    import torch

    from bench.modeling.backbone import load_backbone
    from bench.modeling.files import PICKLES, weight_files

    cache = bench.fresh("cache")
    folder = model.folder(cache)
    stamp = weight_files(folder)[0].stat().st_mtime_ns
    expect(
        model.folder(cache) == folder and weight_files(folder)[0].stat().st_mtime_ns == stamp, "folder() is made anew each time"
    )
    foreign = sorted(p.name for p in folder.iterdir() if p.suffix in (*PICKLES, ".py"))
    expect(not foreign, f"the folder holds {named(foreign)}; wanted safetensors and no code")
    backbone = load_backbone(folder, torch.float32, "cpu")
    expect(not any(p.requires_grad for p in backbone.parameters()), "the loaded backbone is not frozen")
    ids = torch.arange(5, 25)[None]
    out = _states(backbone, ids, torch.ones_like(ids))
    expect(bool(torch.isfinite(out).all()), "hidden states are not finite")
    return some(sum(p.stat().st_size for p in weight_files(folder)), "byte")


def _states(backbone: Any, ids: Any, mask: Any) -> Any:
    import torch

    with torch.no_grad():
        return backbone(input_ids=ids, attention_mask=mask).last_hidden_state


CHECKS: Mapping[str, Callable[[Model, Workbench], str]] = {
    "metadata": metadata,
    "determinism": determinism,
    "token-counts": token_counts,
    "parity": parity,
    "save-and-load": save_and_load,
}
