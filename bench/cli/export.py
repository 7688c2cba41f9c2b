"""`bench export`: what a finished run trained, as a folder that is used without bench."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from bench.cli.parser import Parser, add_runs
from bench.cli.signals import terminated_as_interrupted
from bench.screen.terminal import paint, say
from bench.screen.text import dump
from bench.wording import some


def configure(parser: Parser) -> None:
    """Adds the flags of `bench export`, what `--help` says of it and its examples."""
    parser.description = (
        "Writes what a finished run trained as a folder that is used without bench: weights, tokenizer, the head's weights,\n"
        "a modeling.py that predicts with plain torch and transformers, and a model card. The folder is loaded again in\n"
        "another process and held against the run's own model before it appears. With several tasks OUT holds a folder each."
    )
    parser.epilog = (
        "examples:\n  bench export RUN exported --merge\n  bench export RUN adapter --peft --task ncbi-disease\n"
        "  bench export RUN graph --onnx"
    )
    parser.add_argument("run", metavar="RUN", help="a finished run's id, the beginning of it, or its folder")
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to be made; it must not exist")
    forms = parser.add_mutually_exclusive_group(required=True)
    forms.add_argument(
        "--merge", dest="form", action="store_const", const="merge",
        help="adapters merged into the base model; loads with AutoModel.from_pretrained",
    )  # fmt: skip
    forms.add_argument(
        "--peft", dest="form", action="store_const", const="peft",
        help="the adapter alone, in PEFT's format; the base model stays where it is",
    )  # fmt: skip
    forms.add_argument(
        "--onnx", dest="form", action="store_const", const="onnx",
        help="the merged model as ONNX, for onnxruntime (bench-suite[onnx])",
    )  # fmt: skip
    parser.add_argument("--task", metavar="NAME", help="which task, where the run has several (default: all)")
    parser.add_argument(
        "--stage", choices=("trained", "quantized"), default="trained",
        help="quantized: the quantized base model with the adapter beside it, with --peft (default: trained)",
    )  # fmt: skip
    parser.add_argument(
        "--dtype", default="auto", metavar="NAME", help="of merged weights: fp32, bf16, fp16 (default: as the base is stored)"
    )
    parser.add_argument("--device", default="cpu", metavar="NAME", help="where the run's model is loaded (default: cpu)")
    add_runs(parser, "--runs")
    parser.add_argument("--json", action="store_true", help="print what was done as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Exports, and prints what there is now; returns 0."""
    from bench.exporting.requests import Request
    from bench.registry import load
    from bench.results.store import find_run
    from bench.screen.console import RichReporter

    folder = find_run(args.run, args.runs, "--runs")
    from bench.exporting.export import export  # which needs torch: a wrong name is told first

    request = Request(args.out, args.form, args.task, args.stage, args.dtype, args.device)
    with terminated_as_interrupted():
        done = export(folder, load(), request, RichReporter(stderr=args.json))
    if args.json:
        rows = [asdict(one) | {"folder": str(one.folder), "beside": one.beside and str(one.beside)} for one in done]
        say(dump({"out": str(args.out), "tasks": rows}))
        return 0
    for one in done:
        say(f"{one.folder}: {one.task}, {some(one.parameters, 'parameter')}")
        say(f"  {one.parity or 'the quantized base model was copied and not loaded'}")
        if one.restricted:
            say(paint("  trained on text under a data-use agreement: do not publish or pass on", "yellow"))
        if one.synthetic:
            say(paint("  SYNTHETIC: trained on generated text, so it says nothing about real text", "yellow"))
    base = f', base="{done[0].beside}"' if done[0].beside else ""
    texts = {None: '"…"', "mentions": '{"text": "…", "mentions": […]}', "passages": '{"query": "…", "passages": […]}'}
    call = f'modeling.load("."{base}).predict([{texts[done[0].given]}])'
    say(paint(f"  in that folder: python -c 'import modeling; print({call})'", "cyan"))
    return 0
