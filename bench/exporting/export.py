"""`bench export`: what a finished run trained, as a folder that is used without bench, and appears whole or not at all.

Forms: *merge* adds the adapters to the base model's weights, *peft* keeps them apart in PEFT's format, *onnx* writes the merged
model as a graph. In each the folder also holds the head's weights, a ``modeling.py`` that predicts with plain torch and
transformers (`bench.exporting.standalone`), the tokenizer and a model card. Before it appears, another process in which bench
cannot be imported loads it, and its numbers are held against the run's own model.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bench.api.architecture import Architecture
from bench.errors import BenchError, UsageError, storable
from bench.exporting import card, parity, runtime
from bench.exporting.code import facts_of, write_code
from bench.exporting.parity import Outputs, Parity
from bench.exporting.requests import Request, at_load, check, restricted
from bench.exporting.weights import merged, write_adapter, write_backbone
from bench.kit.texts import Given
from bench.modeling.files import read_headers, written_whole
from bench.registry import Registry
from bench.reporting import Reporter
from bench.results.layout import ADAPTERS
from bench.results.store import write_json
from bench.steps.finished import FinishedRun, finished_run
from bench.steps.quantized import kept_quantized
from bench.steps.trained import TrainedModel, chosen_task, given, load_trained

if TYPE_CHECKING:
    import torch

CARD = "README.md"
PRIVATE = 0o700
"""Mode of a folder trained on text under an agreement: weights can hold some of it."""


@dataclass(frozen=True)
class Exported:
    """A folder that was written.

    Args:
        folder: where it lies.
        run: id of the run.
        task: its name.
        form: as requested.
        stage: as requested.
        given: what its texts come with, ``mentions`` or ``passages``; None where they are read alone.
        base: name of the base model.
        beside: folder of the base model, where what was written is an adapter without it.
        dtype: of the weights.
        parameters: of base model, adapters and head.
        restricted: whether it was trained on text under an agreement.
        synthetic: whether the run was trained on generated text.
        parity: how it differs from the run's own model; None where transformers cannot load the quantized base model here.
    """

    folder: Path
    run: str
    task: str
    form: str
    stage: str
    given: Given | None
    base: str
    beside: Path | None
    dtype: str
    parameters: int
    restricted: bool
    synthetic: bool
    parity: Parity | None


def export(folder: Path, registry: Registry, request: Request, console: Reporter) -> tuple[Exported, ...]:
    """Writes what a finished run trained, one folder a task.

    Args:
        folder: of the run.
        registry: the plugins.
        request: what, and where to.
        console: shows progress.

    Raises:
        UsageError: an unknown form, task, stage or dtype; the output folder exists; or the run has no such form.
        RunStateError: the run did not finish, or its weights are missing or damaged.
        MissingError: ONNX needs packages that are not installed.
        BenchError: the folder, loaded again, does not give what the run's model gives.
        StorageError: the disk is full or cannot be written.
    """
    run = finished_run(folder, registry)
    every = tuple(run.parts.tasks)
    tasks = every if request.task is None else (chosen_task(run.result, every, request.task),)
    check(run, request, tasks)
    if len(tasks) == 1:
        return (_Job(run, registry, request, tasks[0], console).write(request.out),)
    done = []
    with written_whole(request.out.absolute()) as aside:
        for task in tasks:
            done.append(_Job(run, registry, request, task, console).write(aside / re.sub(r"[^A-Za-z0-9._-]", "-", task)))
        if any(exported.restricted for exported in done):
            aside.chmod(PRIVATE)
    return tuple(replace(exported, folder=request.out / exported.folder.name) for exported in done)


@dataclass(frozen=True)
class _Job:
    """One task's folder.

    Args:
        run: the finished run.
        registry: the plugins.
        request: what is wanted.
        task: one of the run's.
        console: shows progress.
    """

    run: FinishedRun
    registry: Registry
    request: Request
    task: str
    console: Reporter

    @property
    def quantized(self) -> bool:
        """Whether the base model that is written is quantized."""
        return self.request.stage == "quantized" or at_load(self.run)

    @property
    def beside(self) -> Path | None:
        """Folder of the base model, where an adapter is written without it."""
        return self.run.parts.model.folder() if self.request.form == "peft" and not self.quantized else None

    def write(self, out: Path) -> Exported:
        """Writes the folder; what was written."""
        run, request, dtype = self.run, self.request, self._dtype()
        precision = "bf16" if dtype == "bfloat16" else "fp32"
        trained = load_trained(run.folder, self.registry, request.stage, request.device, self.console, precision)
        self.console.step(f"exporting {self.task}")
        facts = facts_of(run, trained, self.task, request.form)
        head = trained.heads[self.task]
        texts = parity.made_up(head)
        expected = parity.of_run(trained, self.task, facts, texts)
        closed = restricted(run, self.task)
        with written_whole(out.absolute()) as aside, storable(out, "Make room and try again."):
            if closed:
                aside.chmod(PRIVATE)
            write_code(aside, run.parts.tasks[self.task], head)
            write_json(aside / runtime.FACTS, facts)
            trained.tokenizer.save_pretrained(aside)
            parameters = self._write_weights(aside, trained, dtype, facts, texts)
            self.console.step("loading the folder again, without bench")
            exported = Exported(
                out, run.result.id, self.task, request.form, request.stage, given(head), run.parts.model.name, self.beside,
                dtype, parameters, closed, run.result.synthetic, self._parity(aside, texts, expected, dtype),
            )  # fmt: skip
            (aside / CARD).write_text(card.written(run, exported, head), encoding="utf-8")
            mode = (aside / CARD).stat().st_mode  # safetensors' files would be their owner's alone
            for path in aside.rglob("*"):
                if path.is_file():
                    path.chmod(mode)
        return exported

    def _dtype(self) -> str:
        """The dtype of what is written, as torch names it."""
        names = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
        if self.request.dtype != "auto":
            return names[self.request.dtype]
        if self.request.form == "onnx" or self.run.parts.architecture.trains_base:
            return "float32"
        stored: dict[str, int] = {}
        for header in read_headers(self.run.parts.model.folder()).values():
            stored[header.dtype] = stored.get(header.dtype, 0) + header.bytes
        return {"BF16": "bfloat16", "F16": "float16"}.get(max(stored, key=lambda name: stored[name]), "float32")

    def _write_weights(
        self, folder: Path, trained: TrainedModel, dtype: str, facts: Mapping[str, Any], texts: Sequence[Mapping[str, Any]]
    ) -> int:
        """Writes the head, and the base model with what was trained; gives the number of parameters of all."""
        import torch
        from safetensors.torch import save_file

        model, head = trained.model, trained.model.head(self.task)
        save_file({n: t.detach().cpu().clone() for n, t in head.state_dict().items()}, folder / runtime.HEAD)
        # A packed weight stands for several; the spec has the number of them.
        count = self.run.parts.model.spec.parameters + _count(head)
        if self.request.form == "peft":
            architecture = self.run.parts.architecture
            assert isinstance(architecture, Architecture)
            (names,) = architecture.passes(self.task)
            adapter = write_adapter([self.run.folder / ADAPTERS / name for name in names], folder)
            if self.quantized:
                self._copy_quantized(folder / runtime.BASE, trained)
            return count + adapter
        if self.request.stage == "quantized":  # the base's own weights were trained, and it is these that were quantized
            self._copy_quantized(folder, trained)
            return count
        batches = parity.batches_of(trained, self.task, facts, texts)
        backbone = merged(model.adapted, self.task).to(getattr(torch, dtype))
        if self.request.form == "merge":
            write_backbone(backbone, self.run.parts.model.folder(), folder)
        else:
            from bench.exporting.onnx import write_graphs

            tokens = int(cast(Any, backbone).get_input_embeddings().num_embeddings)
            on_cpu = [{name: tensor.cpu() for name, tensor in batch.items()} for batch in batches]
            write_graphs(backbone.cpu(), head.cpu(), folder, tokens, on_cpu)
        return _count(backbone) + _count(head)

    def _copy_quantized(self, out: Path, trained: TrainedModel) -> None:
        """Copies the quantized base model that the run keeps, with its tokenizer."""
        out.mkdir(exist_ok=True)
        trained.tokenizer.save_pretrained(out)
        for path in sorted(kept_quantized(self.run.parts.quantizer, self.run.folder).iterdir()):
            if ".safetensors" in path.name or path.name in ("config.json", "generation_config.json", "quantize_config.json"):
                shutil.copyfile(path, out / path.name)

    def _parity(self, folder: Path, texts: Sequence[Mapping[str, Any]], expected: Outputs, dtype: str) -> Parity | None:
        """How the folder differs from the run's model; None where packages that load a quantized base model are missing."""
        try:
            loaded = parity.of_folder(folder, texts, self.beside)
        except BenchError as error:
            if not self.quantized:
                raise
            absent = [name for name in ("gptqmodel", "optimum", "bitsandbytes") if find_spec(name) is None]
            if not absent:
                spec, quantizer = self.run.parts.model.spec, self.run.parts.quantizer.name
                raise UsageError(
                    f"transformers cannot load a model of the type {spec.model_type} that {quantizer} quantized without bench; "
                    "nothing was written.",
                    "Take --merge, which writes the trained model unquantized; 'bench predict' uses the quantized one.",
                ) from error
            self.console.warn(f"The quantized base model was copied, and not tried: {', '.join(absent)} is not installed.")
            return None
        return parity.compared(expected, loaded, "quantized" if self.quantized else dtype)


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
