"""`bench contamination`: text that splits of a corpus share, and whether a decoder seems to know the test text."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.api.data import Document
from bench.api.task import Task
from bench.cli.parser import Parser, whole
from bench.errors import UsageError
from bench.screen.terminal import say
from bench.screen.text import columns, dump, number


def configure(parser: Parser) -> None:
    """Adds the flags of `bench contamination`, what `--help` says of it and its examples."""
    parser.description = (
        "Counts documents and runs of 13 words that the splits of a corpus share. With --model, a decoder, also compares\n"
        "the min-k% probability of test text with that of control text. A flag, not a proof: text that differs from the\n"
        "control in style or subject differs in probability as well."
    )
    parser.epilog = "example:\n  bench contamination ncbi-disease --data ncbi/ --model smollm2-135m --control notes/"
    parser.add_argument("task", metavar="TASK", help="a name that 'bench list tasks' shows")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the corpus; a synthetic one is made where it is not given")
    parser.add_argument("--tolerate", action="append", metavar="KIND", help="leave faulty lines of a kind out; repeatable")
    parser.add_argument("--model", metavar="NAME", help="a decoder: a name, a folder or a hub id")
    parser.add_argument("--convert", action="store_true", help="convert pickled weights into the cache")
    parser.add_argument(
        "--control", type=Path, metavar="DIR", help=".txt files like the test text that the model cannot have seen"
    )
    parser.add_argument("--documents", type=whole, default=64, metavar="N", help="texts of either kind at most (default: 64)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where to compute (default: cpu)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Prints what splits share and, with `--model`, whether a decoder seems to know the test text; returns 0."""
    from bench.config import RunConfig
    from bench.evaluation.overlap import overlap
    from bench.registry import load
    from bench.steps.corpora import read_corpora
    from bench.steps.names import refuse_missing
    from bench.steps.resolve import named_tasks

    if args.control is not None and args.model is None:
        raise UsageError("--control is what a model's test text is compared with.", "Add --model NAME, a decoder.")
    if args.documents < 2:
        raise UsageError(f"--documents {args.documents}: at least two texts of either kind are wanted.")
    registry = load()
    config = RunConfig(task=(args.task,), tolerate=tuple(args.tolerate or ()))
    ((name, task),) = named_tasks(config, registry).items()
    config = RunConfig(task=(args.task,), data={name: str(args.data)} if args.data else config.data)
    refuse_missing(config.data)
    with read_corpora({name: task}, config) as sources:
        corpus, synthetic = sources[name].corpus, sources[name].synthetic
    facts: dict[str, Any] = {"task": name, "synthetic": synthetic, "overlap": overlap(corpus.splits)}
    if args.model is not None:
        facts["min_k"] = _min_k(args, task, corpus["test"], synthetic, registry)
    say(dump(facts) if args.json else report(facts))
    return 0


def _min_k(args: argparse.Namespace, task: Task, test: Sequence[Document], synthetic: bool, registry: Any) -> dict[str, Any]:
    from bench.evaluation.contamination import contamination
    from bench.modeling.find import find_model
    from bench.screen.console import RichReporter
    from bench.user_cache import folder

    if synthetic:
        raise UsageError(
            "The test text is synthetic: it was written just now, and no model can have seen it.",
            f"Give the real corpus with --data DIR; 'bench show task {task.name}' says where it is had.",
        )
    model = find_model(args.model, registry, folder("models"), args.convert)
    if not model.spec.causal:
        raise UsageError(f"Min-k% wants a decoder; {args.model!r} is an encoder.", "Name another one, e.g. smollm2-135m.")
    control = _folder_texts(args.control) if args.control else _generated(task)
    ours, control = _spread([document.text for document in test], args.documents), _spread(control, args.documents)
    console = RichReporter(stderr=True)
    with console.progress("reading texts", len(ours) + len(control), "texts") as bar:
        min_k = contamination(model.folder(), ours, control, args.device, bar.advance)
    return {"model": args.model, "control_text": "given" if args.control else "synthetic"} | min_k


def _folder_texts(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise UsageError(f"--control: there is no folder {folder}.")
    try:
        texts = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.txt"))]
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"--control: a .txt file in {folder} cannot be read as UTF-8.") from None
    if not texts:
        raise UsageError(f"--control: {folder} holds no .txt file.")
    return texts


def _generated(task: Task) -> list[str]:
    from bench.steps.corpora import SEED

    if not task.synthesizes:
        raise UsageError(
            f"The task {task.name!r} writes no text to compare with.", "Add --control DIR, a folder of .txt files."
        )
    with tempfile.TemporaryDirectory(prefix="bench-control-") as place:
        folder = Path(place) / "corpus"
        task.synthesize(folder, SEED)
        return [document.text for document in task.load(folder)["test"]]


def _spread(texts: Sequence[str], most: int) -> list[str]:
    return [texts[n * len(texts) // most] for n in range(most)] if len(texts) > most else list(texts)


def report(facts: Mapping[str, Any]) -> str:
    """Overlap as a table, then what min-k% says."""
    names = ("documents", "exact", "touched", "grams", "shared")
    header = ["splits", "documents", "the same", "share 13 words", "13-grams", "shared"]
    rows = [[pair, *(f"{counts[name]:,}" for name in names)] for pair, counts in facts["overlap"].items()]
    parts = [columns(header, rows)]
    if facts["synthetic"]:
        parts.append("SYNTHETIC: this corpus was generated; it says nothing about a real one.")
    if min_k := facts.get("min_k"):
        low, high = min_k["ci95"]
        sides = [(kind, min_k[kind]) for kind in ("test", "control")]
        rows = [[kind, f"{side['texts']}", number(side["min_k"]), number(side["perplexity"])] for kind, side in sides]
        parts.append(columns(["text", "texts", f"min-{100 * min_k['share']:g}%", "perplexity"], rows))
        interval = f"[{number(low)}, {number(high)}]"
        parts.append(f"test above control: {number(min_k['auc'])} {interval}; .5 where nothing sets them apart")
        if min_k["control_text"] == "synthetic":
            parts.append(
                "The control text was generated and differs from real text in more than having been seen: compare models, not "
                "with .5.\nFor more, give --control a folder of like texts that were written after the model was trained."
            )
    return "\n\n".join(parts)
