"""The model card of an exported folder, ``README.md`` with the front matter of the Hugging Face hub, written from the result.

It holds counts, scores and names, and no text of a corpus.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bench import __version__
from bench.api.head import Head
from bench.api.task import Task
from bench.exporting.code import example
from bench.results import display
from bench.results.schema import Result
from bench.results.scores import interval_of, numbers
from bench.steps.finished import FinishedRun
from bench.wording import some

if TYPE_CHECKING:
    from bench.exporting.export import Exported

_MOST_SCORES = 24
_PIPELINES = {"mentions": "token-classification", "classes": "text-classification", "rankings": "text-ranking"}
_FOUND = {"pairs": "related concepts"}
_CONCEPTS = {
    "mentions": "Concepts are not filled in: what linked them learned from the corpus, which is not here.",
    "pairs": "A mention without a concept is in no relation; several concepts of one mention are written `D1|D2`.",
}


def written(run: FinishedRun, exported: Exported, head: Head) -> str:
    """The card.

    Args:
        run: that was exported.
        exported: what was written of it.
        head: of the task.
    """
    result, task = run.result, run.parts.tasks[exported.task]
    sections = [
        _front(run, exported, head),
        f"# {exported.task} by {result.resolved('arch')} on {exported.base}\n",
        *_warnings(exported, result),
        _use(exported, head),
        _limits(exported, head, result),
        _training(run, exported, task),
        _scores(result, exported),
        _controls(result),
        _parity(exported),
        _sources(run, exported, task),
    ]
    return "\n".join(sections)


def _front(run: FinishedRun, exported: Exported, head: Head) -> str:
    """The front matter, as YAML that is JSON, value by value."""
    kind = next((_PIPELINES[gold] for gold in head.predicts if gold in _PIPELINES), None)
    base = exported.base if "/" in exported.base and not exported.base.startswith(("/", ".", "~")) else None
    metric = run.result.metric(exported.task)
    scores = run.result.scores[exported.task].stages.get(exported.stage, {})  # type: ignore[call-overload]
    entries: dict[str, Any] = {
        "library_name": "peft" if exported.form == "peft" else "onnx" if exported.form == "onnx" else "transformers",
        "license": "other",
        "license_name": "see-the-licence-section",
        "base_model": base.partition("@")[0] if base else None,
        "pipeline_tag": kind,
        "tags": ["biomedical", "bench", exported.task, *(["synthetic"] if exported.synthetic else [])],
        "model-index": [
            {"name": exported.run, "results": [{
                "task": {"type": kind or "other"},
                "dataset": {"name": exported.task, "type": exported.task, "split": "test"},
                "metrics": [{"type": metric, "value": round(scores[metric], 4)}],
            }]}
        ] if metric in scores and exported.task not in run.result.concepts else None,
    }  # fmt: skip
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in entries.items() if value is not None]
    return "\n".join(["---", *lines, "---", ""])


def _warnings(exported: Exported, result: Result) -> Iterator[str]:
    if exported.synthetic:
        yield "> **SYNTHETIC.** Trained and scored on generated text. This says nothing about real text.\n"
    if exported.restricted:
        yield (
            "> **Do not publish or pass on.** Trained on text under a data-use agreement. Weights can hold some of what they "
            "were trained on; whoever gets this folder needs the same agreement.\n"
        )
    if result.waivers:
        yield f"> **Waived:** {', '.join(result.waivers)}. These controls did not hold or were not looked at.\n"
    if not result.matched:
        yield "> **Not parameter-matched:** it trained another number of parameters than the arms that are compared.\n"


def _use(exported: Exported, head: Head) -> str:
    base = ', base="BASE"' if exported.beside else ""
    lines = [
        "## Use\n",
        "```python",
        'import sys; sys.path.insert(0, "FOLDER")  # this folder',
        "import modeling",
        "",
        f'model = modeling.load("FOLDER"{base})',
        f"model.predict([{example(head)}])",
        "```\n",
    ]
    if exported.form == "peft":
        where = f"the folder of {exported.base}" if exported.beside else f"FOLDER/base, {exported.base} quantized"
        lines += [
            f"The adapter alone, in PEFT's format; BASE is {where}:\n",
            "```python",
            'PeftModel.from_pretrained(AutoModel.from_pretrained("BASE"), "FOLDER")',
            "```\n",
        ]
    elif exported.form == "onnx":
        lines.append(
            "`model.onnx` gives `hidden_states` for `input_ids` and `attention_mask`; `head.onnx`, where there is one, the "
            "head's `logits` for these.\n"
        )
    else:
        lines.append('`AutoModel.from_pretrained("FOLDER")` gives the base model with the training in it, without the head.\n')
    lines.append(
        "`modeling.py` needs torch, transformers and safetensors; no remote code is run. Offsets count characters, ends "
        "exclusive." + "".join(f" {_CONCEPTS[gold]}" for gold in head.predicts if gold in _CONCEPTS) + "\n"
    )
    return "\n".join(lines)


def _limits(exported: Exported, head: Head, result: Result) -> str:
    found = " and ".join(_FOUND.get(gold, gold) for gold in head.predicts)
    return (
        "## What it is for, and what not\n\n"
        f"For research on finding {found} in text like that of {exported.task}. "
        "It was scored on one test split; other hospitals, notes, years and languages are other data.\n\n"
        "Not for decisions about patients: not for diagnosis, treatment, triage, coding for billing or the finding of persons. "
        "It is no medical device and nobody has validated it for such use.\n"
    )


def _training(run: FinishedRun, exported: Exported, task: Task) -> str:
    result = run.result
    plan, tokens = result.plan.data[exported.task], result.invariants.tokens
    account = tokens.tasks.get(exported.task)
    own = result.invariants.parity.own
    rows: dict[str, str] = {
        "task": f"{exported.task} (version {task.version}), {task.metadata.reference}",
        "data": f"SHA-256 `{result.hashes['data'][exported.task]}`" + (", synthetic" if exported.synthetic else ""),
        "splits": ", ".join(f"{split} {some(facts.documents, 'document')}" for split, facts in plan.items()),
        "trained together with": ", ".join(name for name in result.scores if name != exported.task),
        "tokens of the task in training": f"{account.tokens:,}" if account else "",
        "tokens in training, all tasks": f"{tokens.total:,}" if tokens.total else "",
        "trained parameters": f"{own.total:,}, of which adapters {own.adapters:,} and heads {own.heads:,}" if own else "",
        "parameters in all": f"{exported.parameters:,}",
        "architecture": f"{run.parts.architecture.name}: {run.parts.architecture.summary}",
        "base model": f"{exported.base}, SHA-256 `{result.hashes['model']}`",
        "stage": exported.stage + (f", {run.parts.quantizer.name}" if exported.stage == "quantized" else ""),
        "dtype": exported.dtype,
        "seed": str(result.resolved("seed")),
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items() if value)
    return f"## Training\n\n| | |\n|---|---|\n{table}\n"


def _scores(result: Result, exported: Exported) -> str:
    scores = result.scores[exported.task].stages[exported.stage]  # type: ignore[index]
    first = result.metric(exported.task)
    rated = [
        (metric, display.score(value, interval_of(scores, metric)))
        for metric, value in numbers(scores)
        if metric == first or metric.rpartition(".")[2] in ("f1", "accuracy", "precision", "recall", "map")
    ]
    rated.sort(key=lambda row: row[0] != first)
    rows = "\n".join(f"| {metric} | {shown} |" for metric, shown in rated[:_MOST_SCORES])
    linked = (
        " The run filled concepts in, which this folder does not do: scores that count concepts are the run's alone."
        if exported.task in result.concepts
        else ""
    )
    return (
        f"## Scores\n\nTest split, {exported.stage} model, as the run computed them; in brackets 95% intervals, by bootstrap "
        f"over documents, or from counts where few items are right or wrong.{linked}\n\n| metric | score |\n|---|---|\n{rows}\n"
    )


def _controls(result: Result) -> str:
    held: Mapping[str, Any] = {
        name: getattr(result.invariants, name).status for name in ("tokens", "parity", "smoke", "batch", "checkpoint")
    }
    rows = "\n".join(f"| {name} | {status} |" for name, status in held.items())
    return f"## Controls of the run\n\n| control | status |\n|---|---|\n{rows}\n"


def _parity(exported: Exported) -> str:
    if exported.parity is None:
        return (
            "## Checked\n\nNothing: transformers could not load the quantized base model, a copy of the run's, on the machine "
            "that wrote this.\n"
        )
    return (
        "## Checked\n\nThe folder was loaded again, without bench, and held against the run's own model in the same precision: "
        f"{exported.parity}.\n"
    )


def _sources(run: FinishedRun, exported: Exported, task: Task) -> str:
    part = run.parts.model.part
    base = part.licence if part is not None and part.licence else "not known here; see where it came from"
    cited = [part.citation if part is not None else "", task.citation, run.parts.architecture.citation]
    lines = "\n".join(f"- {text}" for text in dict.fromkeys(cited) if text)
    return (
        f"## Licence and sources\n\n- base model {exported.base}: {base}\n- data of {exported.task}: "
        f"{task.licence or 'not known here'}; {task.metadata.access}\n- `modeling.py`: Apache-2.0\n\nThe weights are made of "
        "base model and data: the terms of both hold for them.\n\n"
        f"{lines}\n\nRun `{exported.run}`, written by bench {__version__}.\n"
    )
