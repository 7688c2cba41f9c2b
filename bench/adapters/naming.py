"""Names of trainable tensors, ours and PEFT's, and the patterns by which PEFT finds layers. No torch in here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

MAGNITUDE = "M"
"""The letter of DoRA's magnitudes, beside LoRA's A and B."""
_PEFT = "base_model.model."
_MAGNITUDE = "lora_magnitude_vector"


def stable(adapter: str, linear: str, letter: str) -> str:
    """Our name of a LoRA matrix, or of DoRA's magnitude (M), e.g. ``adapter.shared.layers.0.mlp.up_proj.A``."""
    return f"adapter.{adapter}.{linear}.{letter}"


def component(name: str) -> str:
    """The adapter, or ``fusion``, that a tensor of this name belongs to."""
    first, second, *_ = name.split(".", 2)
    return second if first == "adapter" else first


def to_peft(name: str) -> str:
    """PEFT's name, within the adapter's own file, of a matrix or a magnitude by our name."""
    linear, letter = name.split(".", 2)[2].rsplit(".", 1)
    return f"{_PEFT}{linear}.{_MAGNITUDE if letter == MAGNITUDE else f'lora_{letter}.weight'}"


def from_peft(adapter: str, name: str) -> str:
    """The inverse of `to_peft`; a name that is not PEFT's is kept, and will be refused as unknown."""
    match = re.fullmatch(rf"{re.escape(_PEFT)}(.+)\.(?:lora_([AB])\.weight|{_MAGNITUDE})", name)
    return stable(adapter, match[1], match[2] or MAGNITUDE) if match else f"adapter.{adapter}.{name}"


def targets(linears: Sequence[str]) -> str:
    """A regular expression for exactly these layers; PEFT matches it against whole names."""
    return "|".join(map(re.escape, linears))


def pattern(linear: str) -> str:
    """A key of ``rank_pattern`` for exactly this layer; unanchored, PEFT would match it as the end of a longer name."""
    return f"^{re.escape(linear)}"


def stream(seed: int, name: str) -> int:
    """The seed of one tensor's own random numbers."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:7], "big")
