"""Every quantizer that fits a model; a run holds its scores before and after."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any, ClassVar

from bench.api.study import Request, StudyKind, StudyRun, Takes


class Quantization(StudyKind):
    """A run for every seed and quantizer."""

    name = "quantization"
    version = "1"
    summary = "every quantizer that fits the model, before and after"
    citation = "bench's own design; see docs/studies.md"
    licence = "Apache-2.0"
    takes: ClassVar[tuple[Takes, ...]] = ("quantizers",)
    question: ClassVar[str] = "What does quantizing the base model cost on {tasks}?"
    roles: ClassVar[Mapping[str, str]] = {"quantizer": "quantizer"}
    named_by_key: ClassVar[bool] = True

    def plan(self, request: Request) -> list[StudyRun]:
        """Every quantizer that fits the model."""
        runs = []
        for seed, (quantizer, when) in product(request.seed_list, request.quantizers.items()):
            changes: dict[str, Any] = {"quant": quantizer, "quant_when": when, "seed": seed}
            runs.append(request.run(f"{quantizer}-s{seed}", "quantizer", request.base.task, **changes))
        return runs
