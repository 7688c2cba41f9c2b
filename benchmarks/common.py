"""What the benchmarks share: stopwatches, figures with targets, and runs prepared by the runner's own steps."""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

# Read when torch is imported: two threads on a busy core collapse without it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

if TYPE_CHECKING:
    from bench.api.data import Document
    from bench.config import RunConfig
    from bench.steps.context import Planned
    from bench.training.loop import Trainer

TASK = "2015-T14"
IOB = Path(__file__).resolve().parents[2] / "shared" / "data" / "mtl-bioinformatics-2016"
NCBI = IOB / "NCBI-disease-IOB"


class Missing(Exception):
    """What a benchmark needs is not on this machine: there is nothing to measure, which breaks nothing."""


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Args:
        name: what was measured.
        target: in words, or empty where nothing was promised.
        measured: the value, with its unit.
        met: whether the target is reached; None where there is none.
        note: what else a reader must know.
    """

    name: str
    target: str
    measured: str
    met: bool | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """``met``, ``MISSED`` or nothing."""
        return "" if self.met is None else "met" if self.met else "MISSED"


@dataclass
class Lap:
    """Time of one stretch of work.

    Args:
        tokens: marked tokens it trained on.
        wall: seconds.
        cpu: seconds of this process, all of its threads.
    """

    tokens: int = 0
    wall: float = 0.0
    cpu: float = 0.0

    def rate(self, clock: str) -> float:
        """Tokens a second, by ``wall`` or ``cpu``."""
        return self.tokens / max(float(getattr(self, clock)), 1e-9)


@dataclass
class Stopwatch:
    """Times stretches of work."""

    laps: list[Lap] = field(default_factory=list)
    _wall: float = 0.0
    _cpu: float = 0.0

    def start(self) -> None:
        """Begins a lap."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self, tokens: int = 0) -> Lap:
        """Ends it."""
        lap = Lap(tokens, time.perf_counter() - self._wall, time.process_time() - self._cpu)
        self.laps.append(lap)
        return lap


def ratio(ours: Sequence[Lap], theirs: Sequence[Lap], clock: str) -> float:
    """Median over rounds of the ratio of the rates; a round is measured within seconds, so that slow noise cancels."""
    return statistics.median(a.rate(clock) / b.rate(clock) for a, b in zip(ours, theirs, strict=True))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a plain table; the first column to the left, the others to the right."""
    cells = [[str(c) for c in row] for row in [columns, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    print(f"\n{title}")
    for row in cells:
        left, rest = row[0].ljust(widths[0]), [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
        print("  ".join([left, *rest]).rstrip())


def show(figures: Sequence[Figure]) -> None:
    """Prints targets, measured values and verdicts."""
    table("figures", ("figure", "target", "measured", "verdict"), [(f.name, f.target, f.measured, f.verdict) for f in figures])
    for figure in figures:
        if figure.note:
            print(f"  {figure.name}: {figure.note}")


def command_line(description: str | None, add: Callable[[argparse.ArgumentParser], None]) -> argparse.ArgumentParser:
    """What every benchmark takes, and what `add` adds for one of them."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small inputs, few rounds: shows that the script works, no more")
    parser.add_argument("--threads", type=int, default=1, help="OpenMP threads (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well; - for standard output")
    add(parser)
    return parser


def main(
    measure: Callable[[argparse.Namespace], list[Figure]],
    description: str | None,
    add: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
) -> None:
    """Runs a benchmark from its command line. A missed target is a report, no failure; the quick form holds nothing to one.

    Args:
        measure: gives the figures, or raises `Missing`.
        description: the script's docstring.
        add: adds options of its own.

    Raises:
        SystemExit: it measured nothing.
    """
    options = command_line(description, add).parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-cache-") as cache:
        own_cache(Path(cache))
        _run(measure, options)


def own_cache(folder: Path) -> None:
    """Makes a folder the cache of this process and its children; nothing of an earlier run is in it but base models."""
    from bench import user_cache

    models = user_cache.folder("models")
    models.mkdir(parents=True, exist_ok=True)
    own = folder / "bench" / "models"
    if not own.exists():
        own.parent.mkdir(parents=True, exist_ok=True)
        own.symlink_to(models.resolve())
    os.environ["XDG_CACHE_HOME"] = str(folder)


def _run(measure: Callable[[argparse.Namespace], list[Figure]], options: argparse.Namespace) -> None:
    logging.disable(logging.WARNING)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the start")
    try:
        figures = measure(options)
    except Missing as missing:
        print(f"skipped: {missing}")
        figures = []
    else:
        if not figures:
            raise SystemExit("The benchmark broke: it gave no figure.")
        if options.quick:
            figures = [replace(figure, target="", met=None) for figure in figures]
        show(figures)
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores at the end")
    if options.json is not None:
        text = json.dumps([asdict(f) for f in figures], indent=1)
        if str(options.json) == "-":
            sys.stdout.write(text + "\n")
        else:
            options.json.write_text(text, encoding="utf-8")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds ``--model``, which `model` reads."""
    parser.add_argument("--model", help="the base model (default minilm-l6; tiny-bert with --quick)")


def model(options: argparse.Namespace) -> str:
    """The base model that was asked for; by default the one that people use, and a tiny one in the quick form."""
    return options.model or ("tiny-bert" if options.quick else "minilm-l6")


def peak_memory(reset: bool = False) -> int:
    """Peak resident bytes of this process since the last reset; 0 where the kernel does not tell.

    Args:
        reset: forget the peak so far, afterwards.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)
    if reset:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak


def ncbi_sentences(split: str) -> tuple[Document, ...]:
    """Sentences of ncbi-disease, one a document, so that each becomes one window of its own length."""
    from bench.api.data import Document, Mention

    found: list[Document] = []
    spans: list[tuple[int, int]]
    for block in (NCBI / f"{split}.tsv").read_text(encoding="utf-8").strip().split("\n\n"):
        text, spans = "", []
        for line in block.splitlines():
            word, tag = line.split("\t")
            begin = len(text) + bool(text)
            text = f"{text} {word}" if text else word
            if tag.startswith("B") or (tag.startswith("I") and not spans):
                spans.append((begin, len(text)))
            elif tag.startswith("I"):
                spans[-1] = (spans[-1][0], len(text))
        found.append(Document(f"{split}-{len(found)}", text, tuple(Mention((span,)) for span in spans)))
    return tuple(found)


def split_sentences(documents: Sequence[Document]) -> tuple[Document, ...]:
    """Every sentence as a document of its own; mentions that cross a sentence's end are left out."""
    from bench.api.data import Document, Mention
    from bench.data.windows import sentences, words

    found = []
    for document in documents:
        places = words(document.text)
        for first, end in sentences(document.text):
            low, high = places[first][0], places[end - 1][1]
            inside = [m for m in document.mentions if low <= m.fragments[0][0] and m.fragments[-1][1] <= high]
            moved = tuple(Mention(tuple((a - low, b - low) for a, b in m.fragments), m.label) for m in inside)
            found.append(Document(f"{document.id}-{first}", document.text[low:high], moved))
    return tuple(found)


def ragged(
    synthetic: Callable[[], Mapping[str, Sequence[Document]]], sizes: Mapping[str, int] | None
) -> tuple[str, dict[str, tuple[Document, ...]]]:
    """Sentences of very different lengths, one a document, and what they are: ncbi-disease where it is there.

    Args:
        synthetic: the task's own corpus, used otherwise.
        sizes: sentences of a split at most; all of them where None.
    """
    if NCBI.is_dir():
        names = {"train": "train", "dev": "devel", "test": "test"}
        what, splits = "ncbi-disease sentences", {split: ncbi_sentences(file) for split, file in names.items()}
    else:
        what, splits = "synthetic 2015-T14, one sentence a window", {k: split_sentences(v) for k, v in synthetic().items()}
    return what, {split: found[: sizes[split]] if sizes else found for split, found in splits.items()}


@contextmanager
def prepared(
    config: RunConfig, sizes: Mapping[str, int] | None = None, sentences: bool = False
) -> Iterator[tuple[Planned, str]]:
    """A run as the runner plans it (steps 2 to 5), in a temporary folder.

    Args:
        config: of the run; one task.
        sizes: documents of a split; of the synthetic corpus its usual number where None, of sentences all.
        sentences: train on `ragged` sentences in place of whole notes.

    Yields:
        What the runner plans, and what the data is.
    """
    from bench.api.data import Corpus
    from bench.config import run_id
    from bench.data.spans import tidied_corpus
    from bench.modeling.noise import import_heavy
    from bench.registry import load
    from bench.reporting import SilentReporter
    from bench.runner import plan, resolved_facts
    from bench.steps.context import Clock
    from bench.steps.corpora import Source
    from bench.steps.resolve import resolve

    parts = resolve(config, load())
    import_heavy()
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    ((name, task),) = parts.tasks.items()
    with tempfile.TemporaryDirectory(prefix="bench-figures-") as temporary:
        root = Path(temporary)

        given = config.data.get(name)

        def read() -> Corpus:
            if given is not None:
                return tidied_corpus(task.load(Path(given)))
            task.synthesize(root / "corpus", 2015, sizes)
            return task.load(root / "corpus")

        if sentences:
            what, splits = ragged(lambda: read().splits, sizes)
            corpus = Corpus(splits, False, "0" * 64)
        else:
            what, corpus = f"{'real' if given else 'synthetic'} {name}", read()
        sources = {name: Source(corpus, Path(given) if given else root / "corpus", given is None)}
        facts = resolved_facts(config, parts, sources)
        ident = run_id(config, **facts)
        yield plan(config, facts, ident, root / "runs" / ident, parts, sources, SilentReporter(), Clock()), what


def built(planned: Planned) -> Trainer:
    """The model and the loop of a planned run (step 6), parity counted again."""
    from bench.runner import make_trainer, recount
    from bench.steps.base import attach, load_base

    base = load_base(planned.parts, planned.data, planned.folder, planned.device)
    model = attach(base, planned.parts, planned.data, planned.config, planned.device)
    trainer = make_trainer(planned, model)
    recount(planned, trainer)
    return trainer


def whole_update(planned: Planned) -> int:
    """Padded tokens that a whole update needs at most: the micro-batch where memory is no matter."""
    longest = max(int(one.splits["train"].lengths.max()) for one in planned.data.values())
    return -(-(planned.config.batch_tokens + longest) // longest) * longest
