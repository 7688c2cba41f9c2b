"""Decoders that see both ways: every token attends to the tokens after it as well, as in an encoder.

transformers builds the masks of a decoder both ways where its configuration says ``"is_causal": false``, and some published
checkpoints (gte-Qwen2) say so. Its fused attention asks each layer instead where a batch has no padding, so that the two must
agree; `look_both_ways` sees to that.

Source: BehnamGhader et al. 2024, LLM2Vec, arXiv:2404.05961; Li et al. 2023, Label Supervised LLaMA Finetuning (LS-unLLaMA),
arXiv:2310.01208.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.modeling.files import written_whole
from bench.modeling.spec import read_config

if TYPE_CHECKING:
    from torch import nn

ALIBI = frozenset({"bloom", "mpt"})
"""Model types whose attention prefers late tokens by a slope (ALiBi); Falcon's configuration tells."""


def refuse_slopes(name: str, config: Mapping[str, Any]) -> None:
    """Refuses a decoder of which no layer would see both ways alike.

    ALiBi adds the more to a token's score the later it stands. Among earlier tokens this prefers near ones; among later ones it
    would prefer far ones.

    Raises:
        UsageError: the configuration has such slopes.
    """
    kind = str(config["model_type"])
    if kind in ALIBI or config.get("alibi"):
        raise UsageError(
            f"{name} ({kind}) weighs tokens by ALiBi, whose slopes would prefer the farthest of the tokens that come later.",
            "Leave --attention out, or take a decoder with rotary positions.",
        )


def bidirectional_folder(source: Path, cache: Path, sha256: str) -> Path:
    """A folder of links to the files of a decoder, with a ``config.json`` by which it sees both ways.

    What reads or quantizes it then needs to know nothing of it.

    Args:
        source: folder of the decoder.
        cache: where it is made.
        sha256: of the decoder.
    """
    from hashlib import sha256 as digest

    source = source.resolve()
    out = cache / f"bidirectional-{digest(f'{source} {sha256}'.encode()).hexdigest()[:32]}"
    if not out.is_dir() or not all((out / path.name).exists() for path in source.iterdir() if path.is_file()):
        config = read_config(source) | {"is_causal": False}
        with written_whole(out) as folder:
            for path in source.iterdir():
                if path.is_file() and path.name != "config.json":
                    (folder / path.name).symlink_to(path)
            (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    return out


def look_both_ways(backbone: nn.Module) -> None:
    """Tells every attention layer of a decoder what its configuration tells transformers' masks, where it says so."""
    if getattr(getattr(backbone, "config", None), "is_causal", None) is not False:
        return
    for module in backbone.modules():
        if getattr(module, "is_causal", False) is True:
            module.is_causal = False  # type: ignore[assignment]
