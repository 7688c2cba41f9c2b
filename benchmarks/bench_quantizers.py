"""Output error, size and seconds of each quantizer beside rounding to nearest, on one base model.

    python benchmarks/bench_quantizers.py [--quick] [--model minilm-l6] [--layers N] [--texts FILE] [--quant NAME ...]
        [--calibration N] [--json FILE]

Errors are relative, of the last hidden states against the unquantized model in float32, over held-out text; `rtn` stands
beside each at its own bits, group size and symmetry. `--layers` keeps the first N layers of a decoder: AWQ of all 30 of SmolLM2
takes a quarter of an hour of CPU. The quick form takes tiny-llama, since AWQ works with decoders only.

Targets: gptq and awq err less than rounding to nearest; gptq takes 10 s at most on `minilm-l6`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import common
from common import Figure

if TYPE_CHECKING:
    import torch

LENGTH = 128
BETTER = {"gptq", "awq"}
"""They are promised to beat rounding to nearest."""


def measure(options: argparse.Namespace) -> list[Figure]:
    """Quantizes with each and measures."""
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    import torch

    from bench.modeling.backbone import load_backbone
    from bench.modeling.find import find_model
    from bench.modeling.spec import inspect
    from bench.registry import load

    model = options.model or ("tiny-llama" if options.quick else "minilm-l6")
    registry = load()
    rows, figures = [], []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        source = find_model(model, registry, Path.home() / ".cache/bench/models").folder()
        if options.layers:
            source = shortened(source, root / "base", options.layers)
        spec = inspect(source, model)
        calibration, held_out = windows(source, options.texts, 8 if options.quick else options.calibration or 96)
        batches = [{"input_ids": torch.tensor(w), "attention_mask": torch.ones(len(w), LENGTH)} for w in chunks(held_out, 8)]
        reference = states(load_backbone(source, torch.float32, "cpu"))
        for entry in registry.entries("quantizers"):
            quantizer: Any = entry.part
            if options.quant and entry.name not in options.quant:
                continue
            if reason := unusable(quantizer, spec):
                print(f"{entry.name} is left out: {reason}")
                continue
            start = time.perf_counter()
            given = calibration[: options.calibration or quantizer.calibration]
            made = quantizer.quantize(source, root / entry.name, given, "cpu")
            seconds = time.perf_counter() - start
            errors = output_errors(quantizer, source, root / entry.name, reference, batches)
            beside = errors.get("rtn")
            numbers = (f"{made.bits_per_weight:.3f}", f"{made.bytes / 1e6:.1f}", f"{seconds:.1f}")
            rows.append((entry.name, f"{errors['own']:.4f}", "–" if beside is None else f"{beside:.4f}", *numbers))
            if entry.name in BETTER and beside:
                share = errors["own"] / beside
                figures.append(Figure(f"{entry.name}'s error over round to nearest", "< 1", f"{share:.2f}", share < 1))
                if (entry.name, model) == ("gptq", "minilm-l6"):
                    figures.append(Figure("gptq of minilm-l6", "≤ 10 s", f"{seconds:.1f} s", seconds <= 10))
            else:
                figures.append(Figure(f"{entry.name}'s error", "", f"{errors['own']:.4f}"))
    title = f"{model}, {spec.layers} layers, windows of {LENGTH} tokens"
    common.table(title, ("quantizer", "error", "rtn", "bits/weight", "MB on disk", "seconds"), rows)
    return figures


def unusable(quantizer: Any, spec: Any) -> str | None:
    """Why a quantizer cannot be measured here, or None."""
    if missing := quantizer.missing():
        return f"{missing[0].module} is not installed"
    reason: str | None = quantizer.supports(spec, quantizer.when[0], "cpu")
    return reason


def output_errors(quantizer: Any, source: Path, folder: Path, reference: Any, batches: Any) -> dict[str, float]:
    """A quantizer's own error, and that of rounding to nearest where it is a floor for it."""
    import torch

    from bench.evaluation.quantization import floor_backbone, relative_errors

    others = {"own": states(quantizer.load(folder, torch.float32, "cpu"))}
    floor = floor_backbone(source, quantizer, torch.float32, "cpu")
    if floor is not None:
        others["rtn"] = states(floor)
    return relative_errors(reference, others, batches)


def states(backbone: Any) -> Callable[[Any], torch.Tensor]:
    """Hidden states of a batch."""
    return lambda batch: backbone(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state


def windows(source: Path, texts: Path, most: int) -> tuple[list[list[int]], list[list[int]]]:
    """Windows of the text for calibration, and held-out ones for measuring."""
    from bench.modeling.backbone import load_tokenizer

    files = sorted(texts.rglob("*.md")) + sorted(texts.rglob("*.text")) if texts.is_dir() else [texts]
    text = "\n".join(p.read_text(encoding="utf-8") for p in files)
    ids = load_tokenizer(source)(text, truncation=False, verbose=False)["input_ids"]
    rows = [ids[i : i + LENGTH] for i in range(0, len(ids) - LENGTH, LENGTH)]
    if len(rows) < 24:
        raise SystemExit(f"{texts} gives {len(rows)} windows of {LENGTH} tokens; 24 at least are wanted (--texts).")
    return rows[:-8][:most], rows[-8:]


def chunks(rows: list[list[int]], size: int) -> list[list[list[int]]]:
    """Rows by the batch."""
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def shortened(source: Path, out: Path, layers: int) -> Path:
    """A copy of a model with its first layers only."""
    from safetensors.torch import save_file

    from bench.modeling.backbone import read_state
    from bench.modeling.files import copy_companions

    out.mkdir()
    copy_companions(source, out)
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    (out / "config.json").write_text(json.dumps(config | {"num_hidden_layers": layers}), encoding="utf-8")
    kept = {}
    for name, tensor in read_state(source).items():
        numbers = [int(p) for p in name.split(".") if p.isdigit()]
        if not numbers or numbers[0] < layers:
            kept[name] = tensor.contiguous()
    save_file(kept, out / "model.safetensors", {"format": "pt"})
    return out


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", help="the base model (default minilm-l6; tiny-llama with --quick)")
    parser.add_argument("--layers", type=int)
    docs = Path(__file__).parent.parent / "docs"
    parser.add_argument("--texts", type=Path, default=docs, help="a text file, or a folder of them")
    parser.add_argument("--quant", nargs="*")
    parser.add_argument(
        "--calibration", type=int, default=None, help="calibration windows; each method's own number where not given"
    )


if __name__ == "__main__":
    common.main(measure, __doc__, _options)
