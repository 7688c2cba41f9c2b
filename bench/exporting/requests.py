"""What can be asked of `bench export`, and what is refused before anything is loaded, with what to ask instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from bench.api.architecture import Architecture
from bench.errors import MissingError, UsageError, unknown
from bench.results.layout import CORPUS
from bench.results.schema import Stage
from bench.steps.finished import FinishedRun
from bench.wording import some

Form = Literal["merge", "peft", "onnx"]
FORMS = ("merge", "peft", "onnx")
DTYPES = ("auto", "fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Request:
    """What is to be written, and where to.

    Args:
        out: the folder to be made; of several tasks it holds a folder for each.
        form: ``merge``, ``peft`` or ``onnx``.
        task: one of the run's; None for all of them.
        stage: ``trained``, or ``quantized`` for the quantized base model with the adapter beside it.
        dtype: of merged weights: ``fp32``, ``bf16``, ``fp16``; ``auto``: as the base model is stored.
        device: where the run's model computes what the folder is held against, e.g. ``cpu``.
    """

    out: Path
    form: Form = "merge"
    task: str | None = None
    stage: Stage = "trained"
    dtype: str = "auto"
    device: str = "cpu"


def at_load(run: FinishedRun) -> bool:
    """Whether a run trained on a quantized base model."""
    return run.parts.quantizes and run.parts.when == "load"


def check(run: FinishedRun, request: Request, tasks: Sequence[str]) -> None:
    """Refuses what cannot be written.

    Raises:
        UsageError: with the reason, and the form that the run has.
        MissingError: ONNX needs packages that are not installed.
    """
    name = run.result.id
    for kind, word, known in (
        ("form", request.form, FORMS), ("dtype", request.dtype, DTYPES), ("stage", request.stage, ("trained", "quantized")),
    ):  # fmt: skip
        if word not in known:
            raise unknown(kind, word, known, "bench export --help")
    if request.out.exists() or request.out.is_symlink():
        raise UsageError(f"{request.out} exists; wanted a folder that is not there yet.", "Name another one, or take it away.")
    if request.stage == "quantized" and not run.parts.quantizes:
        raise UsageError(f"Run {name} quantized nothing: it has the stage 'trained' alone.", "Leave --stage out.")
    if request.dtype != "auto" and (request.form != "merge" or request.stage == "quantized"):
        raise UsageError("--dtype is that of merged weights; got it without --merge.", "Leave --dtype out.")
    for task in tasks:
        _check_form(run, request, task)
    absent = [module for module in ("onnx", "onnxruntime", "onnxscript") if find_spec(module) is None]
    if request.form == "onnx" and absent:
        raise MissingError(f"--onnx needs {' and '.join(absent)}, not installed here.", "pip install 'bench-suite[onnx]'")


def _check_form(run: FinishedRun, request: Request, task: str) -> None:
    architecture, quantizer = run.parts.architecture, run.parts.quantizer.name
    predicts = "'bench predict' and bench.load(RUN).predict use the run as it is."
    if run.config.attention == "bidirectional":
        raise UsageError(
            f"Run {run.result.id} lets a decoder see both ways, which transformers alone does not do: what is exported would "
            "predict something else.",
            predicts,
        )
    if architecture.trains_base:
        if request.form == "peft":
            raise UsageError(f"{architecture.name} trains the base model's own weights and has no adapter.", "Take --merge.")
        if request.stage == "quantized" and request.form == "onnx":
            raise UsageError("Quantized weights are not written as ONNX.", "Take --stage trained, or --merge.")
        return
    if not isinstance(architecture, Architecture):
        raise UsageError(
            f"{architecture.name} trains what is neither a LoRA adapter nor a weight of the base model: nothing can be merged.",
            predicts,
        )
    passes = architecture.passes(task)
    if len(passes) > 1:
        shown = "; ".join(" + ".join(names) for names in passes)
        raise UsageError(
            f"{architecture.name} reads texts of {task} in {some(len(passes), 'pass')} ({shown}) and joins them: no single "
            "set of weights or adapter does that.",
            predicts,
        )
    if request.form != "peft" and request.stage == "quantized":
        raise UsageError(
            f"The adapter of {task} cannot be merged into weights that {quantizer} rounded.",
            "Take --peft --stage quantized, which writes the quantized base model with the adapter beside it.",
        )
    if request.form == "peft" and len(passes[0]) > 1 and (architecture.variant.dora or architecture.variant.rslora):
        raise UsageError(f"{architecture.name} adds adapters of a kind that PEFT cannot hold as one.", "Take --merge.")


def restricted(run: FinishedRun, task: str) -> bool:
    """Whether weights that a task uses were trained on text under a data-use agreement, of this task or of another one.

    A generated corpus is under none; the run keeps a copy of it.
    """
    tasks, architecture = run.parts.tasks, run.parts.architecture
    closed = {
        name
        for name, part in tasks.items()
        if part.metadata.access.startswith("credentialed")
        and not (run.result.synthetic and (len(tasks) == 1 or (run.folder / CORPUS / name).is_dir()))
    }
    if not isinstance(architecture, Architecture):
        return bool(closed)
    adapters = {name: {a for names in architecture.passes(name) for a in names} for name in tasks}
    return any(name == task or adapters[name] & adapters[task] for name in closed)
