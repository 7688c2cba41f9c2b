"""``modeling.py`` of an exported folder, and ``head.json``, from which it makes the head."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import __version__
from bench.api.head import Head
from bench.api.task import Task
from bench.exporting import runtime
from bench.exporting.source import Origin
from bench.exporting.standalone import Bundle
from bench.steps.corpora import pad_id
from bench.steps.finished import FinishedRun
from bench.steps.trained import TrainedModel, given

MODELING = "modeling.py"
_HEAD = '''"""Predicts with this folder; needs torch, transformers and safetensors, and nothing of bench.

    import modeling

    model = modeling.load("FOLDER")
    model.predict([EXAMPLE])

`ExportedModel` says more. Written by bench VERSION out of its own source, so that texts are cut, scored and decoded as in
the run. Copyright the authors of bench; Apache-2.0.
"""'''


def facts_of(run: FinishedRun, trained: TrainedModel, task: str, form: str) -> dict[str, Any]:
    """What ``modeling.py`` needs to know beside the weights; JSON-able.

    Args:
        run: the finished run.
        trained: its model.
        task: one of its tasks.
        form: of the folder.
    """
    from bench.evaluation.predict import PADDED_TOKENS

    result = run.result
    return {
        "bench": __version__,
        "run": result.id,
        "task": task,
        "form": form,
        "head": _settings(trained.heads[task]),
        "state": run.saved_heads()[task]["state"],
        "thresholds": trained.thresholds[task].as_json(),
        "prepare": _preparing(run.parts.tasks[task]),
        "hidden_size": run.parts.model.spec.hidden_size,
        "max_length": result.plan.data[task]["train"].max_length,
        "padded": min(result.invariants.batch.micro_batch, PADDED_TOKENS),
        "pad": pad_id(run.parts.model.folder()),
    }


def write_code(folder: Path, task: Task, head: Head) -> None:
    """Writes ``modeling.py``.

    Raises:
        UsageError: the code of a part cannot be taken out of its package.
    """
    names = dict.fromkeys([*_classes(_settings(head)), *([prepare] if (prepare := _preparing(task)) else [])])
    parts: dict[str, Origin] = {name: (name.partition(":")[0], name.partition(":")[2]) for name in names}
    ours = [(runtime.__name__, name) for name in ("ExportedModel", "document", "load", "PARTS")]
    packages = {"bench", *(module.partition(".")[0] for module, _ in parts.values())}
    bundle = Bundle([*ours, *parts.values()], ("predict", "batches"), packages)
    register = "".join(f"PARTS[{name!r}] = {bundle.name(origin)}\n" for name, origin in parts.items())
    top = _HEAD.replace("VERSION", __version__).replace("EXAMPLE", example(head))
    (folder / MODELING).write_text(f"{bundle.text(top)}\n\n{register}", encoding="utf-8")


def example(head: Head) -> str:
    """A text as `predict` of the folder takes it, written as Python, with the mentions or passages that the head is given."""
    text, needs = "The left atrium is mildly dilated.", given(head)
    if needs == "passages":
        return json.dumps({"query": "What is dilated?", "passages": [{"id": "p0", "text": text}]})
    if needs is None:
        return json.dumps(text)
    facts = getattr(head, "pairs", None)
    kinds = [facts.kinds[kind] for kind in facts.types[0]] if facts else ["", ""]
    mentions = [{"fragments": [[4, 15]], "label": kinds[0]}, {"fragments": [[26, 33]], "label": kinds[1]}]
    if "pairs" in head.predicts:
        mentions = [{**mention, "concept": f"C{number}"} for number, mention in enumerate(mentions)]
    return json.dumps({"text": text, "mentions": mentions}, ensure_ascii=False)


def _preparing(task: Task) -> str | None:
    """Where a task has its own `Task.prepared` from, as ``module:Class.prepared``."""
    owner = next(kind for kind in type(task).__mro__ if "prepared" in vars(kind))
    return None if owner is Task else f"{owner.__module__}:{owner.__qualname__}.prepared"


def _settings(head: Head) -> dict[str, Any]:
    """What makes a head of its class this one, beside its `state`: its numbers and words, and the heads that it holds."""
    held = {name: value for name, value in vars(head).items() if isinstance(value, (Head, str, int, float))}
    values = {name: _settings(value) if isinstance(value, Head) else value for name, value in held.items()}
    return {"class": f"{type(head).__module__}:{type(head).__qualname__}", "values": values}


def _classes(settings: Mapping[str, Any]) -> list[str]:
    inner = [value for value in settings["values"].values() if isinstance(value, Mapping)]
    return [settings["class"], *(name for value in inner for name in _classes(value))]
