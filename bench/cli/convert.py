"""`bench convert`: pickled weights as safetensors, read without running anything that is in them."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from bench.cli.parser import Parser
from bench.screen.terminal import paint, say
from bench.screen.text import dump
from bench.wording import some


def configure(parser: Parser) -> None:
    """Adds the flags of `bench convert`, what `--help` says of it and its examples."""
    parser.description = (
        "Writes a model whose weights are pickled (pytorch_model.bin) as a folder with safetensors, which --model takes.\n"
        "Pickles are read by torch.load(weights_only=True), in a process of its own without network where the system\n"
        "allows that; a file that holds more than tensors is refused. Every tensor is read back and compared.\n"
        "conversion.json in the new folder keeps the SHA-256 of what was read."
    )
    parser.epilog = "example:\n  bench convert dmis-lab/biobert-base-cased-v1.2 models/biobert"
    parser.add_argument("model", metavar="MODEL", help="a folder with config.json and pytorch_model.bin, or org/name@revision")
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to be made")
    parser.add_argument("--json", action="store_true", help="print what was done as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Converts and prints what was done; returns 0."""
    from bench.modeling.convert import NOTE, convert
    from bench.modeling.find import pickled_folder
    from bench.results.display import size

    done = convert(pickled_folder(args.model), args.out, None if Path(args.model).is_dir() else args.model)
    if args.json:
        say(dump(asdict(done)))
        return 0
    say(f"{some(done.tensors, 'tensor')}, {some(done.parameters, 'parameter')}, {size(done.bytes)}; each equals its source")
    if done.renamed:
        say(f"{some(done.renamed, 'name')} ended in gamma or beta and now end in weight or bias")
    if done.keeps_case:
        say("the tokenizer now keeps case, as its vocabulary does; nothing in the source said so")
    if done.left_out:
        say(f"left out, being no tensors: {some(len(done.left_out), 'entry')}")
    if not done.offline:
        say("this system did not let the reading process give up the network")
    say(f"the source's SHA-256 is in {args.out / NOTE}\n{paint(f'  bench run --model {args.out} …', 'cyan')}")
    return 0
