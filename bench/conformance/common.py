"""Functions that checks of several kinds of parts share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.api.part import Part
from bench.conformance.workbench import expect, named
from bench.naming import flatten

if TYPE_CHECKING:
    from torch import Tensor, nn

RATE = 1e-2


def described(part: Part, citation: bool = True) -> None:
    """Checks that a part names its licence and, unless its kind needs none, its source, and gives its parameters as text."""
    expect(bool(part.licence.strip()), "licence is empty; wanted an SPDX identifier or the name of the data-use agreement")
    if citation:
        expect(bool(part.citation.strip()), "citation is empty; wanted the paper or the page it comes from")
    shown = part.parameters()
    odd = [str(k) for k, v in shown.items() if not isinstance(k, str) or not isinstance(v, str)]
    expect(not odd, f"parameters() gives {named(odd)} as something else than text")
    for need in part.requires:
        expect(bool(need.module and need.install), f"requires names a package without module or install: {need!r}")


def flat(scores: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of nested scores by dotted name."""
    single = {name: v.item() if getattr(v, "ndim", 1) == 0 else v for name, v in flatten(scores).items()}
    return {name: float(v) for name, v in single.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}


def dead(parameters: Mapping[str, nn.Parameter]) -> list[str]:
    """Names of parameters whose gradient is None, zero or not finite."""
    import torch

    return [
        name
        for name, p in parameters.items()
        if p.grad is None or not bool(torch.isfinite(p.grad).all()) or float(p.grad.norm()) == 0.0
    ]


def same(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> list[str]:
    """Names of tensors that differ between the two, or are in one alone; compared bit for bit."""
    import torch

    names = [*left, *(n for n in right if n not in left)]
    return [n for n in names if n not in left or n not in right or not torch.equal(left[n], right[n])]
