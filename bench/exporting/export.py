"""`bench export`: what a finished run trained, as a folder that is used without bench, and appears whole or not at all.

Forms: *merge* adds the adapters to the base model's weights, *peft* keeps them apart in PEFT's format, *onnx* writes the merged
model as a graph. In each the folder also holds the head's weights, a ``modeling.py`` that predicts with plain torch and
transformers (`bench.exporting.standalone`), the tokenizer and a model card. Before it appears, another process in which bench
cannot be imported loads it, and its numbers are held against the run's own model.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from bench import __version__
from bench.api.architecture import Architecture
from bench.api.head import Head
from bench.api.task import Task
from bench.errors import BenchError, MissingError, UsageError, storable, unknown
from bench.exporting import card, parity, runtime
from bench.exporting.standalone import Bundle, Origin
from bench.modeling.files import written_whole
from bench.registry import Registry
from bench.reporting import Reporter
from bench.results.layout import ADAPTERS
from bench.results.schema import Result, Stage
from bench.results.store import write_json
from bench.steps.base import kept_quantized
from bench.steps.corpora import pad_id
from bench.steps.finished import FinishedRun, finished_run
from bench.steps.trained import TrainedModel, chosen_task, load_trained

if TYPE_CHECKING:
    from torch import nn

Form = Literal["merge", "peft", "onnx"]
FORMS = ("merge", "peft", "onnx")
DTYPES = ("auto", "fp32", "bf16", "fp16")
MODELING, CARD, BASE = "modeling.py", "README.md", "base"
PRIVATE = 0o700
"""Of a folder trained on text under an agreement: the weights may hold some of it."""


@dataclass(frozen=True)
class Request:
    """What is to be written, and where to.

    Args:
        out: the folder to be made; with several tasks it holds a folder for each.
        form: ``merge``, ``peft`` or ``onnx``.
        task: one of the run's; None for all of them.
        stage: ``trained``, or ``quantized`` for the quantized base model with the adapters beside it.
        dtype: of the merged weights: ``fp32``, ``bf16``, ``fp16``; ``auto``: as the base model is stored.
        device: where the run's model computes what the folder is held against, e.g. ``cpu``.
    """

    out: Path
    form: Form = "merge"
    task: str | None = None
    stage: Stage = "trained"
    dtype: str = "auto"
    device: str = "cpu"


@dataclass(frozen=True)
class Exported:
    """A folder that was written.

    Args:
        folder: where it lies.
        run: id of the run.
        task: its name.
        form: as requested.
        stage: as requested.
        base: name of the base model.
        parameters: of base model, adapters and head.
        restricted: whether it was trained on text under an agreement.
        synthetic: whether the run was trained on generated text.
        parity: what the comparison with the run's own model gave; None where the base model's kernels are not here.
    """

    folder: Path
    run: str
    task: str
    form: str
    stage: str
    base: str
    parameters: int
    restricted: bool
    synthetic: bool
    parity: parity.Parity | None


def export(folder: Path, registry: Registry, request: Request, console: Reporter) -> tuple[Exported, ...]:
    """Writes what a finished run trained as one folder a task.

    Args:
        folder: of the run.
        registry: the plugins.
        request: what, and where to.
        console: shows progress.

    Raises:
        UsageError: an unknown form, task, stage or dtype; `out` exists; or the run has no such form, with the one it has.
        RunStateError: the run did not finish, or its weights are missing or damaged.
        MissingError: ONNX needs packages that are not installed.
        BenchError: the folder, loaded again, does not give what the run's model gives.
        StorageError: the disk is full or cannot be written.
    """
    run = finished_run(folder, registry)
    every = tuple(run.parts.tasks)
    tasks = every if request.task is None else (chosen_task(run.result, every, request.task),)
    _check(run, request)
    for task in tasks:
        _refuse_form(run, request, task)
    if len(tasks) == 1:
        return (_one(run, registry, request, tasks[0], request.out, console),)
    done = []
    with written_whole(request.out.absolute()) as aside:
        for task in tasks:
            done.append(_one(run, registry, request, task, aside / _file_name(task), console))
        if any(one.restricted for one in done):
            aside.chmod(PRIVATE)
    return tuple(replaced(one, request.out / one.folder.name) for one in done)


def replaced(exported: Exported, folder: Path) -> Exported:
    """The same at another place."""
    return Exported(**{**{name: getattr(exported, name) for name in asdict(exported)}, "folder": folder})


def _file_name(task: str) -> str:
    from re import sub

    return sub(r"[^A-Za-z0-9._-]", "-", task)


def _check(run: FinishedRun, request: Request) -> None:
    """Refuses what can be refused before anything is loaded."""
    if request.form not in FORMS:
        raise unknown("form", request.form, FORMS, "bench export --help")
    if request.dtype not in DTYPES:
        raise unknown("dtype", request.dtype, DTYPES, "bench export --help")
    if request.stage not in ("trained", "quantized"):
        raise unknown("stage", request.stage, ("trained", "quantized"), f"bench show run {run.result.id}")
    if request.out.exists() or request.out.is_symlink():
        raise UsageError(f"{request.out} exists; wanted a folder that is not there yet.", "Name another one, or take it away.")
    if request.stage == "quantized" and not run.parts.quantizes:
        raise UsageError(f"Run {run.result.id} quantized nothing: it has the stage 'trained' alone.", "Leave --stage out.")
    if request.form == "onnx":
        _refuse_without("onnx", "onnxruntime", "onnxscript")


def _refuse_without(*modules: str) -> None:
    from importlib.util import find_spec

    absent = [module for module in modules if find_spec(module) is None]
    if absent:
        raise MissingError(
            f"--onnx needs {' and '.join(absent)}, not installed here.", "pip install 'bench-suite[onnx]'"
        )


def _refuse_form(run: FinishedRun, request: Request, task: str) -> None:
    """Refuses forms that what the run trained does not have.

    Raises:
        UsageError: with the reason, and the form that it has.
    """
    architecture, name = run.parts.architecture, run.parts.architecture.name
    predicts = "bench predict and bench.load(RUN).predict use the run as it is."
    if architecture.trains_base:
        if request.form == "peft":
            raise UsageError(f"{name} trains the base model's own weights and has no adapter.", "Take --merge.")
        if request.stage == "quantized" and request.form == "onnx":
            raise UsageError("A quantized base model is not written as ONNX.", "Take --stage trained, or --merge.")
        return
    if not isinstance(architecture, Architecture):
        raise UsageError(
            f"{name} trains vectors beside the text, which are neither weights to merge nor a LoRA adapter.", predicts
        )
    passes = architecture.passes(task)
    if len(passes) > 1:
        shown = "; ".join(" + ".join(names) for names in passes)
        raise UsageError(
            f"{name} reads a text of {task} in {len(passes)} passes ({shown}) and joins them, which no single set of weights "
            "does.",
            predicts,
        )
    if request.form != "peft" and (request.stage == "quantized" or _at_load(run)):
        raise UsageError(
            f"The adapters of run {run.result.id} were scored on weights of {run.parts.quantizer.name}, into which they cannot "
            "be merged without rounding them.",
            f"Take --peft --stage {request.stage}, which keeps them beside the quantized base model.",
        )
    if request.form == "peft" and len(passes[0]) > 1 and (architecture.variant.dora or architecture.variant.rslora):
        raise UsageError(f"{name} adds {len(passes[0])} adapters of a kind that PEFT cannot hold as one.", "Take --merge.")


def _at_load(run: FinishedRun) -> bool:
    return run.parts.quantizes and run.parts.when == "load"


def restricted(result: Result, task: Task) -> bool:
    """Whether a run read text of a task whose data is under an agreement."""
    given = not result.synthetic or bool(result.config.get("data", {}).get(task.name))
    return given and not task.metadata.access.startswith("open")


def _one(
    run: FinishedRun, registry: Registry, request: Request, task: str, out: Path, console: Reporter
) -> Exported:
    """Writes one task's folder."""
    import torch

    wanted = _dtype(run, request)
    trained = load_trained(
        run.folder, registry, request.stage, request.device, console, precision="bf16" if wanted == torch.bfloat16 else "fp32"
    )
    head = trained._heads[task]
    facts = _facts(run, trained, task, request)
    console.step(f"exporting {task}")
    texts = parity.made_up(head)
    expected = parity.of_run(trained, task, facts, texts)
    closed = restricted(run.result, run.parts.tasks[task]) or _shares_restricted(run, task)
    with written_whole(out.absolute()) as aside, storable(out, "Make room and try again."):
        if closed:
            aside.chmod(PRIVATE)
        kinds = _write_code(aside, run.parts.tasks[task], head)
        write_json(aside / runtime.FACTS, facts | {"kinds": kinds})
        _write_head(aside, trained, task)
        trained._tokenizer.save_pretrained(aside)
        parameters = _write_model(aside, run, trained, task, request, wanted, parity.batch_of(trained, task, facts, texts))
        console.step("loading the folder again, without bench")
        verdict = _checked(run, request, aside, texts, expected, wanted, console)
        done = Exported(
            out, run.result.id, task, request.form, request.stage, run.parts.model.name, parameters, closed,
            run.result.synthetic, verdict,
        )  # fmt: skip
        (aside / CARD).write_text(card.written(run, done, head, wanted), encoding="utf-8")
    return done


def _checked(
    run: FinishedRun,
    request: Request,
    folder: Path,
    texts: Sequence[Mapping[str, Any]],
    expected: parity.Outputs,
    dtype: Any,
    console: Reporter,
) -> parity.Parity | None:
    """How the folder differs from the run's model; None where transformers cannot load the quantized base model here."""
    base, quantized = _base_of(run, request, folder), request.stage == "quantized" or _at_load(run)
    try:
        loaded = parity.of_folder(folder, texts, base)
    except BenchError as error:
        if not quantized:
            raise
        console.warn(f"The quantized base model was copied, and not loaded by transformers: {error.message}")
        return None
    return parity.compared(expected, loaded, "quantized" if quantized else str(dtype).removeprefix("torch."))


def _shares_restricted(run: FinishedRun, task: str) -> bool:
    """Whether weights that this task uses saw another task's text that is under an agreement; a private adapter alone did not."""
    architecture = run.parts.architecture
    others = [other for name, other in run.parts.tasks.items() if name != task and restricted(run.result, other)]
    if isinstance(architecture, Architecture):
        own = {name for names in architecture.passes(task) for name in names}
        others = [o for o in others if own & {name for names in architecture.passes(o.name) for name in names}]
    return bool(others)


def _dtype(run: FinishedRun, request: Request) -> Any:
    """The torch dtype of what is written."""
    import torch

    from bench.modeling.files import read_headers

    names = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if request.dtype != "auto":
        return names[request.dtype]
    if request.form == "onnx" or run.parts.architecture.trains_base:
        return torch.float32
    stored = {header.dtype: header.bytes for header in read_headers(run.parts.model.folder()).values()}
    most = max(stored, key=lambda dtype: stored[dtype])
    return {"BF16": torch.bfloat16, "F16": torch.float16}.get(most, torch.float32)


def _facts(run: FinishedRun, trained: TrainedModel, task: str, request: Request) -> dict[str, Any]:
    """What ``modeling.py`` needs to know; JSON-able."""
    from bench.evaluation.predict import PADDED_TOKENS

    result, part = run.result, run.parts.tasks[task]
    prepares = _origin(type(part), "prepared")
    return {
        "bench": __version__,
        "run": result.id,
        "task": task,
        "form": {"merge": "merged"}.get(request.form, request.form),
        "head": _settings(trained._heads[task]),
        "state": run.saved_heads()[task]["state"],
        "thresholds": trained._thresholds[task].as_json(),
        "prepare": None if prepares[0] == "bench.api.task" else ":".join(prepares),
        "hidden_size": run.parts.model.spec.hidden_size,
        "max_length": result.plan.data[task]["train"].max_length,
        "padded": min(result.invariants.batch.micro_batch, PADDED_TOKENS),
        "pad": pad_id(run.parts.model.folder()),
    }


def _settings(head: Head) -> dict[str, Any]:
    """What makes a head of its class this one, beside its `state`: its numbers and words, and the heads that it holds."""
    held = {name: value for name, value in vars(head).items() if isinstance(value, (Head, str, int, float))}
    values = {name: _settings(value) if isinstance(value, Head) else value for name, value in held.items()}
    return {"class": f"{type(head).__module__}:{type(head).__qualname__}", "values": values}


def _classes(settings: Mapping[str, Any]) -> list[str]:
    inner = [value for value in settings["values"].values() if isinstance(value, Mapping)]
    return [settings["class"], *(name for value in inner for name in _classes(value))]


def _origin(kind: type, method: str) -> Origin:
    """Module and ``Class.method`` of where a class has a method from."""
    owner = next(base for base in kind.__mro__ if method in vars(base))
    return owner.__module__, f"{owner.__qualname__}.{method}"


def _write_code(folder: Path, task: Task, head: Head) -> list[str]:
    """Writes ``modeling.py``; gives the names by which it knows the run's parts."""
    parts = dict.fromkeys(_classes(_settings(head)))
    prepares = _origin(type(task), "prepared")
    if prepares[0] != "bench.api.task":
        parts[":".join(prepares)] = None
    origins: dict[str, Origin] = {name: (name.partition(":")[0], name.partition(":")[2]) for name in parts}
    module = runtime.__name__
    ours = [(module, name) for name in ("ExportedModel", "document", "load", "PARTS")]
    packages = {"bench", *(module.partition(".")[0] for module, _ in origins.values())}
    bundle = Bundle([*ours, *origins.values()], ("predict", "batches"), packages)
    register = "".join(f"PARTS[{name!r}] = {bundle.name(origin)}\n" for name, origin in origins.items())
    (folder / MODELING).write_text(f"{bundle.text(_HEADER)}\n\n{register}", encoding="utf-8")
    return list(parts)


_HEADER = f'''"""Predicts with this folder; needs torch, transformers and safetensors, and nothing of bench.

    import modeling

    model = modeling.load("FOLDER")
    model.predict(["The left atrium is mildly dilated."])

`ExportedModel` says more. Written by bench {__version__} out of its own source, so that texts are cut, scored and decoded as in
the run. Copyright the authors of bench; Apache-2.0.
"""'''


def _write_head(folder: Path, trained: TrainedModel, task: str) -> None:
    from safetensors.torch import save_file

    state = trained._model.head(task).state_dict()
    save_file({n: t.detach().cpu().contiguous().clone() for n, t in state.items()}, folder / runtime.HEAD)


def _write_model(
    folder: Path, run: FinishedRun, trained: TrainedModel, task: str, request: Request, dtype: Any, batch: Mapping[str, Any]
) -> int:
    """Writes the base model with what was trained; gives the number of parameters of all."""
    from bench.exporting.weights import merged, write_adapter, write_backbone

    model = trained._model
    count = sum(p.numel() for p in model.adapted.backbone.parameters()) + sum(p.numel() for p in model.head(task).parameters())
    if request.form == "peft":
        architecture = run.parts.architecture
        assert isinstance(architecture, Architecture)
        (names,) = architecture.passes(task)
        write_adapter([run.folder / ADAPTERS / name for name in names], folder)
        if request.stage == "quantized" or _at_load(run):
            _copy_quantized(run, folder / BASE, trained)
        return count
    if request.stage == "quantized":  # of weights that were trained themselves: what was trained is in the quantized folder
        _copy_quantized(run, folder, trained)
        return count
    backbone: nn.Module = merged(model.adapted, task).to(dtype)
    if request.form == "merge":
        write_backbone(backbone, run.parts.model.folder(), folder)
    else:
        from bench.exporting.onnx import write_graphs

        rows = int(cast(Any, backbone).get_input_embeddings().num_embeddings)
        write_graphs(backbone.cpu(), model.head(task).cpu(), folder, rows, {n: t.cpu() for n, t in batch.items()})
    return sum(p.numel() for p in backbone.parameters()) + sum(p.numel() for p in model.head(task).parameters())


def _copy_quantized(run: FinishedRun, out: Path, trained: TrainedModel) -> None:
    """Copies the quantized base model, with its tokenizer."""
    out.mkdir(exist_ok=True)
    trained._tokenizer.save_pretrained(out)
    for path in sorted(kept_quantized(run.parts.quantizer, run.folder).iterdir()):
        if ".safetensors" in path.name or path.name in ("config.json", "generation_config.json", "quantize_config.json"):
            shutil.copyfile(path, out / path.name)


def _base_of(run: FinishedRun, request: Request, folder: Path) -> Path | None:
    """The base model that an adapter is loaded on; None where the folder is whole."""
    if request.form != "peft":
        return None
    return folder / BASE if (folder / BASE).is_dir() else run.parts.model.folder()


__all__: Sequence[str] = ("Exported", "Request", "export", "restricted")
