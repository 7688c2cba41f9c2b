"""`bench probe`: a finished run's adapters on their base model, and what can be read off the states of each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.adapters.ranks import AdapterRanks, RankPlan
from bench.api.architecture import Architecture
from bench.api.data import SPLITS
from bench.errors import RunStateError, UsageError
from bench.registry import Registry
from bench.reporting import Reporter
from bench.results.evidence import Plan
from bench.results.layout import ADAPTERS
from bench.steps.base import finished_base
from bench.steps.corpora import Source, pad_id, read_again
from bench.steps.finished import finished_run
from bench.steps.resolve import Parts
from bench.steps.trial import as_loaded

if TYPE_CHECKING:
    from torch import Tensor

    from bench.adapters.model import AdaptedModel
    from bench.evaluation.linear_probe import Conditions, Stretch
    from bench.training.loop import Device

    Cuts = dict[str, dict[str, list[Stretch]]]
    """Task to split to stretches."""

EXAMPLES = 300
"""Stretches of a task's split at most."""


def probe_run(folder: Path, registry: Registry, console: Reporter, examples: int = EXAMPLES) -> dict[str, Any]:
    """Probes the adapters of a finished run.

    Args:
        folder: of the run.
        registry: the plugins.
        console: shows progress.
        examples: stretches of a task's split at most.

    Returns:
        ``run``; ``conditions``, what was active; ``task``, condition to the result of
        `bench.evaluation.linear_probe.probe`, empty for a run of one task; ``labels``, task to label to condition to the same.

    Raises:
        RunStateError: the run is not finished, or its corpus is not what it was.
        UsageError: nothing to probe.
    """
    from bench.evaluation.linear_probe import Conditions, probed_labels
    from bench.training.loop import Device

    run = finished_run(folder, registry)
    result, parts = run.result, run.parts
    resolved = result.config["resolved"]
    device = Device(str(resolved["device"]), str(resolved["precision"]))
    console.step("reading corpora")
    with read_again(parts.tasks, run.config, folder, result) as sources:
        cuts = _cuts(parts, sources, result.plan, examples)
    labels = {name: probed_labels(splits) for name, splits in cuts.items()}
    if len(cuts) < 2 and not any(labels.values()):
        raise UsageError(
            f"A probe of {folder.name} has nothing to tell apart: the run has one task, and no label of it is in a tenth to "
            "nine tenths of the stretches of every split.",
            "Probe a run of several tasks, or of a task with several labels.",
        )
    if not isinstance(parts.architecture, Architecture):
        raise UsageError(
            f"A probe looks at LoRA adapters, one at a time; {parts.architecture.name!r} declares none.",
            "Probe a run of another architecture.",
        )
    conditions = Conditions(parts.architecture, tuple(parts.tasks))
    console.step("loading the base model and the adapters")
    parts = as_loaded(parts, device.precision)
    adapted = _adapted(folder, parts, conditions, device)
    pad = pad_id(parts.model.folder())
    probed: dict[str, Any] = {"run": folder.name, "conditions": list(conditions.names), "task": {}}
    probed["labels"] = {name: {label: {} for label in chosen} for name, chosen in labels.items()}
    with console.progress("probing", len(conditions.names), "conditions") as bar:
        for condition in conditions.names:
            _probe_one(condition, conditions, adapted, cuts, labels, probed, device, pad)
            bar.advance(1)
    return probed


def _probe_one(
    condition: str,
    conditions: Conditions,
    adapted: AdaptedModel,
    cuts: Cuts,
    labels: Mapping[str, list[str]],
    probed: dict[str, Any],
    device: Device,
    pad: int,
) -> None:
    import torch

    from bench.evaluation.linear_probe import probe, states

    task = conditions.trained.get(condition)
    read: dict[str, dict[str, Tensor]] = {
        name: {split: states(adapted, condition, part, device, pad) for split, part in splits.items()}
        for name, splits in cuts.items()
        if task in (None, name)
    }
    if task is None and len(cuts) > 1:
        features = {split: torch.cat([read[name][split] for name in cuts]) for split in SPLITS}
        classes = {split: [n for n, name in enumerate(cuts) for _ in cuts[name][split]] for split in SPLITS}
        documents = [f"{name} {s.document}" for name in cuts for s in cuts[name]["test"]]
        probed["task"][condition] = probe(features, classes, documents, len(cuts))
    for name, features in read.items():
        for label in labels[name]:
            classes = {split: [int(label in s.labels) for s in cuts[name][split]] for split in SPLITS}
            documents = [s.document for s in cuts[name]["test"]]
            probed["labels"][name][label][condition] = probe(features, classes, documents, 2)


def _cuts(parts: Parts, sources: Mapping[str, Source], planned: Plan, examples: int) -> Cuts:
    from bench.evaluation.linear_probe import stretches
    from bench.modeling.backbone import load_tokenizer

    tokenizer = load_tokenizer(parts.model.folder())
    cuts: Cuts = {}
    for name, head in parts.heads.items():
        length = planned.data[name]["train"].max_length
        corpus = sources[name].corpus
        cuts[name] = {split: stretches(corpus[split], tokenizer, length, head.cuts, examples) for split in SPLITS}
    return cuts


def _adapted(folder: Path, parts: Parts, conditions: Conditions, device: Device) -> AdaptedModel:
    """The base model that was trained on, with the saved adapters."""
    from bench.adapters.attach import prepare
    from bench.adapters.model import AdaptedModel

    base, saved = finished_base(parts, folder, "trained", device), folder / ADAPTERS
    prepare(base)
    adapted = AdaptedModel(base, conditions, conditions.names, _ranks(saved, parts, conditions), base_name=parts.model.name)
    adapted.load(saved)
    return adapted.to(device.name)


def _ranks(saved: Path, parts: Parts, conditions: Conditions) -> RankPlan:
    """The ranks that the saved adapters have, by the shapes of their tensors."""
    from safetensors import safe_open

    from bench.adapters.model import WEIGHTS
    from bench.adapters.naming import stable, to_peft

    adapters = {}
    for name, adapter in conditions.own.items():
        path = saved / name / WEIGHTS
        if not path.exists():
            raise RunStateError(f"Adapter weights {name}/{WEIGHTS} are not there.", "Probe a run whose folder is whole.")
        with safe_open(path, framework="pt") as tensors:
            sizes = {key: tensors.get_slice(key).get_shape()[0] for key in tensors.keys()}  # noqa: SIM118 - no mapping
        rows = ((linear, sizes.get(to_peft(stable(name, linear.name, "A")), 0)) for linear in parts.model.spec.linears)
        adapters[name] = AdapterRanks(adapter, tuple((linear, rank) for linear, rank in rows if rank))
    return RankPlan(conditions.name, 0, 0, adapters, 0, {})
