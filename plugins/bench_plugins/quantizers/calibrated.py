"""GPTQ and AWQ by gptqmodel, the successor of auto-gptq and autoawq, which current transformers no longer loads.

gptqmodel quantizes and writes the folder, in a process of its own; the folder is read back by `bench.modeling.packed`, so that
LoRA gradients flow on every device: gptqmodel's fused CPU kernels go into inference mode at the first evaluation, and training
on goes nowhere while the loss still falls.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.api.model import ModelSpec
from bench.api.part import Requirement
from bench.api.quantizer import QuantizedWeights, Quantizer, When
from bench.errors import BenchError, Interrupted, OutOfMemory, UsageError
from bench.kit.weights import already, narrow
from bench.modeling.files import copy_companions, weight_bytes, written_whole
from bench.modeling.packed import bits_per_weight
from bench.modeling.spec import inspect, read_config
from bench.wording import some

if TYPE_CHECKING:
    import torch
    from torch import nn

TRIED = "7.6"
"""Release of gptqmodel that the architectures named here were tried with; with any other, a run tries them first."""
FEWEST = 8
"""Calibration examples below which the result would be noise."""


class Calibrated(Quantizer):
    """Base class of GPTQ and AWQ: four bits, groups of 64, calibrated on training examples of the run's tasks."""

    version = "1"
    requires = (
        Requirement("gptqmodel", "bench-suite[quant]"),
        Requirement("optimum", "bench-suite[quant]"),
    )
    when: ClassVar[tuple[When, ...]] = ("after", "load")
    bits = 4
    reused = "calibration"
    encoders: ClassVar[tuple[str, ...]] = ()
    """Model types of encoders it works with."""
    decoders: ClassVar[tuple[str, ...]]
    """Model types of decoders that it was tried on with gptqmodel 7.6 (`tests/families`)."""

    def supports(self, spec: ModelSpec, when: When, device: str) -> str | None:
        """Wants unquantized weights of a known architecture whose widths are multiples of 64."""
        reason = already(spec)
        if reason:
            return reason
        if spec.model_type not in self.encoders + self.decoders:
            known = ", ".join(self.encoders + self.decoders)
            return f"{self.name} cannot quantize {spec.name} ({spec.model_type}); it works with {known}."
        return narrow(spec, self.group_size, f"{self.name} in groups of {self.group_size}")

    def proven(self, spec: ModelSpec) -> bool:
        """Known architectures, by the release of gptqmodel that they were tried with."""
        from importlib.metadata import version

        return spec.model_type in self.encoders + self.decoders and version("gptqmodel").startswith(f"{TRIED}.")

    def quantize(self, source: Path, out: Path, calibration: Sequence[Sequence[int]], device: str) -> QuantizedWeights:
        """Quantizes by gptqmodel, in a process of its own; nothing it prints is kept.

        Raises:
            UsageError: too few calibration examples.
            OutOfMemory: gptqmodel's process had too little memory.
            BenchError: gptqmodel failed otherwise.
            Interrupted: it was asked to stop.
        """
        from shutil import rmtree

        if len(calibration) < FEWEST:
            raise UsageError(
                f"{self.name} was given {some(len(calibration), 'calibration example')}; it wants {FEWEST} at least."
            )
        with written_whole(out) as folder:
            self._work(source, folder / "made", calibration, device)
            copy_companions(source, folder)
            for path in (folder / "made").iterdir():
                if path.name in ("config.json", "quantize_config.json") or ".safetensors" in path.name:
                    path.replace(folder / path.name)
            rmtree(folder / "made")
        return QuantizedWeights(bits_per_weight(out, inspect(out).linears), weight_bytes(out))

    def load(self, folder: Path, dtype: torch.dtype, device: str) -> nn.Module:
        """The backbone with the stored four-bit weights, dense in memory."""
        from bench.modeling.backbone import load_backbone

        return load_backbone(folder, dtype, device)

    def precision(self, device: str) -> str:
        """``fp32`` or ``bf16``, in which the model computes while it is calibrated."""
        from bench.training.plan import resolve_precision

        # In bf16, GPTQ on 96 windows takes less time than in fp32 on 64, at about the same error.
        return resolve_precision("auto", device)

    def _work(self, source: Path, out: Path, calibration: Sequence[Sequence[int]], device: str) -> None:
        import subprocess
        import tempfile

        import torch

        with tempfile.TemporaryDirectory(prefix="bench-") as private:  # only its owner can read what is in it
            job, rows = Path(private) / "job.json", Path(private) / "rows.json"
            rows.write_text(json.dumps([[int(i) for i in row] for row in calibration]), encoding="utf-8")
            settings = {
                "source": str(source.resolve()), "out": str(out.resolve()), "calibration": str(rows), "method": self.name,
                "bits": int(self.bits), "group_size": self.group_size, "sym": self.sym, "device": device,
                "dtype": self.precision(device),
                "model_type": read_config(source)["model_type"], "threads": torch.get_num_threads(),
            }  # fmt: skip
            job.write_text(json.dumps(settings), encoding="utf-8")
            environment = os.environ | {
                "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
                "GPTQMODEL_CPU_WORKERS": "2",
                "GPTQMODEL_DISABLE_PACK_EXT": "1",  # its packer in C++ takes half a minute of g++ to save a second
                "HF_HUB_OFFLINE": "1",
            }
            done = subprocess.run(
                [sys.executable, "-m", "bench_plugins.quantizers.worker", str(job)], env=environment, cwd=private, check=False,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            if done.returncode in (-signal.SIGINT, -signal.SIGTERM):
                raise Interrupted(f"Stopped while {self.name} was quantizing; nothing was written.", "bench run --resume RUN")
            if done.returncode or not out.is_dir():
                raise self._failure(done.returncode, job.with_name("error.json"))

    def _failure(self, code: int, error: Path) -> BenchError:
        raised = json.loads(error.read_text(encoding="utf-8")) if error.is_file() else {}
        if code == -signal.SIGKILL or raised.get("memory"):
            return OutOfMemory(f"while {self.name} was quantizing the model", "Free memory, or take --quant rtn, nf4 or int8.")
        reason = f"gptqmodel raised {raised['type']} ({raised['where']})" if raised else f"its process ended with code {code}"
        return BenchError(f"{self.name} could not quantize the model: {reason}.", "Take --quant rtn, nf4 or int8.")
