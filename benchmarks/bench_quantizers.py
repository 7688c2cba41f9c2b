"""Output error, size and seconds of each quantizer beside rounding to nearest, on one base model.

python benchmarks/bench_quantizers.py [--model minilm-l6] [--layers N] [--texts FILE] [--quant NAME ...] [--calibration N]

Errors are relative, of the last hidden states against the unquantized model in float32, over held-out text; `rtn` stands
beside each at its own bits, group size and symmetry. `--layers` keeps the first N layers of a decoder: AWQ of all 30 of SmolLM2
takes a quarter of an hour of CPU.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bench.evaluation.quantization import floor_backbone, relative_errors
from bench.modeling import find_model, inspect, load_backbone, load_tokenizer
from bench.modeling.backbone import read_state
from bench.modeling.files import copy_companions
from bench.registry import load

LENGTH = 128


def main() -> None:
    """Quantizes, measures, prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="minilm-l6")
    parser.add_argument("--layers", type=int)
    parser.add_argument(
        "--texts", type=Path, default=Path(__file__).parent.parent / "docs", help="a text file, or a folder of them"
    )
    parser.add_argument("--quant", nargs="*")
    parser.add_argument("--calibration", type=int, default=64, help="most windows that calibrated methods are given")
    args = parser.parse_args()
    registry = load()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        source = find_model(args.model, registry, Path.home() / ".cache/bench/models").folder()
        if args.layers:
            source = shortened(source, root / "base", args.layers)
        spec = inspect(source, args.model)
        calibration, held_out = windows(source, args.texts, args.calibration)
        batches = [{"input_ids": torch.tensor(w), "attention_mask": torch.ones(len(w), LENGTH)} for w in chunks(held_out, 8)]
        reference = states(load_backbone(source, torch.float32, "cpu"))
        print(f"{args.model}, {spec.layers} layers, {len(calibration)} calibration windows of {LENGTH} tokens, fp32\n")
        print(f"| {'quantizer':9} | error  | rtn    | bits/weight | MB on disk | seconds |")
        print(f"|{'-' * 11}|--------|--------|-------------|------------|---------|")
        for entry in registry.entries("quantizers"):
            quantizer: Any = entry.part
            if (args.quant and entry.name not in args.quant) or quantizer.missing():
                continue
            reason = quantizer.supports(spec, quantizer.when[0], "cpu")
            if reason:
                print(f"| {entry.name:9} | not with this model: {reason.split('.')[0]}")
                continue
            start = time.perf_counter()
            made = quantizer.quantize(source, root / entry.name, calibration, "cpu")
            seconds = time.perf_counter() - start
            others = {"own": states(quantizer.load(root / entry.name, torch.float32, "cpu"))}
            floor = floor_backbone(source, quantizer, torch.float32, "cpu")
            if floor is not None:
                others["rtn"] = states(floor)
            errors = relative_errors(reference, others, batches)
            beside = f"{errors['rtn']:.4f}" if "rtn" in errors else "–     "
            numbers = f"{made.bits_per_weight:11.3f} | {made.bytes / 1e6:10.1f} | {seconds:7.1f}"
            print(f"| {entry.name:9} | {errors['own']:.4f} | {beside} | {numbers} |", flush=True)


def states(backbone: Any) -> Callable[[Any], torch.Tensor]:
    """Hidden states of a batch."""
    return lambda batch: backbone(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state


def windows(source: Path, texts: Path, most: int) -> tuple[list[list[int]], list[list[int]]]:
    """Windows of the text for calibration, and held-out ones for measuring."""
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


if __name__ == "__main__":
    main()
