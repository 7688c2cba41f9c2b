"""A start from another run: its trained weights that tasks share, held against this run before anything is loaded.

A start must not let test documents in by the back door: what the other run was trained on is read again, as far as it is still
there, and held against this run's dev and test texts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.api.architecture import Architecture
from bench.api.data import Corpus, Document, Leak
from bench.api.model import LinearShape
from bench.config import RunConfig, from_mapping, run_id
from bench.data import leaks
from bench.errors import BenchError, RunStateError, UsageError
from bench.kit.repeats import repeated_texts
from bench.modeling.files import read_sha256
from bench.registry import Registry
from bench.results.imported import no_model
from bench.results.layout import ADAPTERS
from bench.results.schema import Result
from bench.results.store import find_run, read_result
from bench.steps.corpora import Source, read_again, read_corpora
from bench.steps.resolve import Parts, named_tasks

WORDS = 8
"""Shorter documents, such as headings of a corpus of sentences, stand in many corpora and say nothing."""
SENTENCE = 64
"""Shorter documents are sentences, of which a few may be repeated."""
FEW = 0.01
"""The most of a corpus's dev and test that may be, as a share: one of BC5CDR's 4,797 test sentences stands in BC2GM's train."""


@dataclass(frozen=True)
class Start:
    """A finished run whose shared weights another run begins with.

    Args:
        folder: of the run.
        result: of the run.
        unread: its tasks whose training documents cannot be read again, so that nobody knows what of them stands in test.
    """

    folder: Path
    result: Result
    unread: tuple[str, ...] = ()

    def facts(self) -> dict[str, str]:
        """Its id, the SHA-256 of its weights without heads, and its recipe."""
        return {"run": self.result.id, "sha256": weights_sha256(self.folder), "recipe": recipe_of(self.result)}

    def as_json(self) -> dict[str, Any]:
        """What the result says of it beside its `facts`."""
        tokens = self.result.invariants.tokens.tasks
        return {
            "tasks": {task: tokens[task].tokens for task in self.result.scores},
            "waivers": list(self.result.waivers), "synthetic": self.result.synthetic, "unread": list(self.unread),
        }  # fmt: skip

    def shared_ranks(self, linears: Sequence[LinearShape]) -> dict[str, tuple[int, ...]]:
        """Its shared adapters with the rank of each linear layer; empty where it has no LoRA adapters."""
        adapters = self.result.invariants.parity.plan.get("adapters", {})
        return {
            name: tuple(int(adapter["rank_pattern"].get(linear.name, adapter["rank"])) for linear in linears)
            for name, adapter in adapters.items()
            if adapter["role"] == "shared"
        }


def recipe_of(result: Result) -> str:
    """The id that a run would have at seed 0, with runs at seed 0 before it: all seeds of one arm share it."""
    config, resolved = given(result), dict(result.config["resolved"])
    resolved.pop("shots", None)  # which documents were drawn goes by the seed
    resampled = resolved.pop("train_resample", None) is not None
    if "init_from" in resolved:
        resolved["init_from"] = resolved["init_from"]["recipe"]
    if "teacher" in resolved:
        resolved["teacher"] = [teacher["recipe"] for teacher in resolved["teacher"]]
    return run_id(replace(config, seed=0, replicate=1, train_resample=0 if resampled else None), **resolved)


def weights_sha256(folder: Path, heads: bool = False) -> str:
    """SHA-256 over the names and the contents of what a finished run trained.

    Args:
        folder: of the run.
        heads: whether the heads are part of it.
    """
    saved = folder / ADAPTERS
    names = (path.relative_to(saved).as_posix() for path in saved.rglob("*.safetensors"))
    files = {name: read_sha256(saved / name) for name in names if heads or not name.startswith("head-")}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def find_start(config: RunConfig, parts: Parts) -> Start | None:
    """The run that ``--init-from`` names, or None where none is named.

    Raises:
        UsageError: it is not there, its shared weights do not fit this run, or the architecture shares nothing.
        RunStateError: it is not finished.
    """
    if config.init_from is None and not config.freeze_shared:
        return None
    arm, tasks = parts.architecture, tuple(parts.tasks)
    shared = [lora.name for lora in arm.adapters(tasks) if lora.role == "shared"] if isinstance(arm, Architecture) else None
    if shared == []:
        flag = "--freeze-shared" if config.init_from is None else "--init-from"
        raise UsageError(f"{arm.name} has nothing that tasks share, which {flag} is about.", "Name another --arch, such as A1.")
    if config.init_from is None:
        return None
    start = Start(folder := find_run(config.init_from, Path(config.out)), read_result(folder))
    theirs, known = start.result, start.shared_ranks(())
    if theirs.imported is not None:
        raise no_model(theirs.id)
    version = f"architecture {arm.name}"
    facts = (
        ("architecture", "--arch ", theirs.config["arch"], config.arch),
        ("version of the architecture", "the release with ", theirs.versions["parts"].get(version), arm.version),
        ("budget", "--rank ", theirs.config["rank"], config.rank),
        ("base model", "--model ", _model(**theirs.resolved("model")), _model(parts.model.name, parts.model.sha256())),
        ("attention", "--attention ", theirs.resolved("attention") or "causal", config.attention or "causal"),
        ("quantizer before training", "--quant ", _at_load(theirs.config["quant"], theirs.resolved("quant_when")),
         _at_load(parts.quantizer.name, parts.when)),
    )  # fmt: skip
    for what, flag, its, ours in facts:
        if its != ours:
            raise UsageError(
                f"This run cannot start from {theirs.id}: the {what} of that is {its}, of this one {ours}.",
                f"Take {flag}{its}, or another run for --init-from.",
            )
    lacks = [name for name in shared or () if name not in known]
    if isinstance(arm, Architecture) and any(len(arm.passes(task)) > 1 for task in tasks):
        lacks += [] if theirs.invariants.parity.plan.get("fusion_parameters") else ["fusion"]
    if lacks:
        raise UsageError(
            f"This run cannot start from {theirs.id}, whose tasks had no {' and no '.join(lacks)}.",
            "Name a run of tasks that use what the tasks of this one use.",
        )
    return start


def held_against(
    start: Start, sources: Mapping[str, Source], config: RunConfig, registry: Registry
) -> tuple[Start, dict[str, Source]]:
    """What this run's dev and test texts have in common with what the other run, and those that it began with, trained on.

    Returns:
        The start with what could not be read again, and the corpora with what was found among their leaks.

    Raises:
        LeakError: documents were found, and the run does not allow them.
    """
    repeats: dict[str, list[Leak]] = {name: [] for name in sources}
    unread: list[str] = []
    for folder, result in _lineage(start, unread):
        for task, digest in result.hashes["data"].items():
            others = {n: s for n, s in sources.items() if n != task or s.corpus.sha256 != digest}
            if not others:
                continue
            try:
                earlier = given(result)
                tasks = {task: named_tasks(earlier, registry)[task]}
                with read_again(tasks, earlier, folder, result) as read:
                    for name, source in others.items():
                        repeats[name] += repeated(task, read[task].corpus["train"], source.corpus)
            except BenchError:
                unread.append(task)
    for name, source in sources.items():
        if not config.allow_leak:
            leaks.refuse(source.folder, repeats[name])
    both = {n: replace(s, corpus=replace(s.corpus, leaks=(*s.corpus.leaks, *repeats[n]))) for n, s in sources.items()}
    return replace(start, unread=tuple(dict.fromkeys(unread))), both


def refuse_repeated(first: RunConfig, then: RunConfig, registry: Registry) -> None:
    """Refuses what `held_against` would, before the first run is begun.

    Args:
        first: of a run that is to be started from.
        then: of the run that begins with it.
        registry: the plugins.

    Raises:
        LeakError: documents were found, and the second run does not allow them.
    """
    if then.allow_leak:
        return
    with (
        read_corpora(named_tasks(first, registry), replace(first, allow_leak=True)) as seen,
        read_corpora(named_tasks(then, registry), then) as sources,
    ):
        for name, source in sources.items():
            for task, other in seen.items():
                if (task, other.corpus.sha256) != (name, source.corpus.sha256):
                    leaks.refuse(source.folder, repeated(task, other.corpus["train"], source.corpus))


def repeated(task: str, documents: Iterable[Document], corpus: Corpus) -> list[Leak]:
    """Documents of a corpus's dev and test whose text, but for blanks and case, a run of another task was trained on.

    A few sentences are tolerated, as within one corpus (`bench.kit.repeats.repeated_sentences`); a whole abstract is not.
    """
    home = f"train of {task}"
    splits = {home: _long(documents)} | {split: _long(corpus[split]) for split in ("dev", "test")}
    shared = [leak for leak in repeated_texts(splits) if leak.other == home]
    sentences = {document.id for split in ("dev", "test") for document in corpus[split] if _words(document) < SENTENCE}
    few = len(shared) <= FEW * sum(len(corpus[split]) for split in ("dev", "test"))
    return [replace(leak, tolerated=few and leak.document in sentences) for leak in shared]


def _long(documents: Iterable[Document]) -> Iterator[Document]:
    return (document for document in documents if _words(document) >= WORDS)


def _words(document: Document) -> int:
    return len(document.text.split())


def _lineage(start: Start, unread: list[str]) -> Iterator[tuple[Path, Result]]:
    """The run, the run that it began with, and so on; one that is gone is named among what cannot be read."""
    folder, result = start.folder, start.result
    yield folder, result
    while earlier := result.resolved("init_from"):
        try:
            folder = find_run(str(earlier["run"]), folder.parent)
            result = read_result(folder)
        except (RunStateError, UsageError):
            unread.append(f"run {earlier['run']}")
            return
        yield folder, result


def given(result: Result) -> RunConfig:
    """The configuration of a finished run, as it was given."""
    return from_mapping({name: value for name, value in result.config.items() if name != "resolved"}, f"run {result.id}")


def _model(name: str, sha256: str) -> str:
    return f"{name} ({sha256[:8]})"


def _at_load(name: str, when: str | None) -> str:
    """The quantizer whose weights the adapters were trained on, ``none`` where those were the base model's own."""
    return name if when == "load" and name != "none" else "none"
