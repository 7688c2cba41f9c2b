"""Runs gptqmodel in a process of its own: ``python -m bench_plugins.quantizers.worker JOB.json``.

Importing gptqmodel patches transformers, sets environment variables, takes over logging and prints; quantizing changes threads,
default dtype and random state. In a process of its own none of that reaches a run.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from bench.errors import out_of_memory

BERT = ["encoder", "layer", "#", {
    "attention": {"self": ("query:0", "key:0", "value:0"), "output": ("dense:1",)},
    "intermediate": ("dense:0",), "output": ("dense:0",),
}]  # fmt: skip
DISTILBERT = ["transformer", "layer", "#", {
    "attention": ("q_lin:0", "k_lin:0", "v_lin:0", "out_lin:1"), "ffn": ("lin1:0", "lin2:0"),
}]  # fmt: skip
ENCODERS = {"bert": BERT, "roberta": BERT, "camembert": BERT, "xlm-roberta": BERT, "electra": BERT, "distilbert": DISTILBERT}
"""Encoders that are registered with gptqmodel here, with the tree of their linear layers: ``:0`` are fed before ``:1``."""
UNUSED = ("bitsandbytes", "torchao", "datasets", "pandas", "pyarrow", "scipy")
"""Packages that gptqmodel imports where they are installed, and that nothing here uses: 3 of 20 s of CPU time on MiniLM."""


def main(job: Path) -> int:
    """Quantizes as the job says; on failure leaves ``error.json`` beside it, without any text of the calibration data."""
    try:
        quantize(**json.loads(job.read_text(encoding="utf-8")))
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        failure = {"type": type(error).__name__, "where": where, "memory": out_of_memory(error)}
        job.with_name("error.json").write_text(json.dumps(failure), encoding="utf-8")
        return 1
    return 0


def quantize(
    source: str, out: str, calibration: str, method: str, bits: int, group_size: int, sym: bool, device: str, dtype: str,
    model_type: str, threads: int,
) -> None:  # fmt: skip
    """Quantizes a folder with gptqmodel.

    Args:
        source: folder of the pristine model.
        out: folder to be made.
        calibration: JSON file with lists of token ids.
        method: ``gptq`` or ``awq``.
        bits: of the integers.
        group_size: inputs that share a scale.
        sym: whether the grid is symmetric.
        device: ``cpu`` or ``cuda``.
        dtype: ``fp32`` or ``bf16``, in which the model computes.
        model_type: of the source's configuration.
        threads: of torch.
    """
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    from gptqmodel import BACKEND, GPTQModel, QuantizeConfig
    from gptqmodel.quantization.config import FORMAT, METHOD

    from bench.modeling.bidirectional import look_both_ways

    if model_type in ENCODERS:
        _register(model_type)
    settings: dict[str, Any] = {"bits": bits, "group_size": group_size, "sym": sym, "device": device, "offload_to_disk": False}
    if method == "awq":
        settings |= {"quant_method": METHOD.AWQ, "format": FORMAT.GEMM}
    else:
        settings |= {"desc_act": False}
    # The calibration sums over examples, so their order is free; equal lengths go together, since padding costs time.
    rows = sorted(json.loads(Path(calibration).read_text(encoding="utf-8")), key=len)
    data = [{"input_ids": row, "attention_mask": [1] * len(row)} for row in rows]
    model = GPTQModel.load(source, QuantizeConfig(**settings), dtype=torch.bfloat16 if dtype == "bf16" else torch.float32)
    look_both_ways(model.model)
    model.quantize(data, batch_size=8, **({"backend": BACKEND.AWQ_TORCH} if method == "awq" else {}))
    model.save(out)


def _register(model_type: str) -> None:
    from gptqmodel.models import auto
    from gptqmodel.models.base import BaseQModel
    from transformers import AutoModel

    class Encoder(BaseQModel):  # type: ignore[misc]
        loader = AutoModel
        module_tree = ENCODERS[model_type]

    auto.MODEL_MAP[model_type] = Encoder
    if model_type not in auto.SUPPORTED_MODELS:
        auto.SUPPORTED_MODELS.append(model_type)


def _end_with_parent(parent: int) -> None:
    """Ends this process soon after its parent was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.modules.update(dict.fromkeys(UNUSED))  # type: ignore[arg-type]  # None: importing it fails
    _end_with_parent(os.getppid())
    sys.exit(main(Path(sys.argv[1])))
