"""Checks of a task that a file describes, on the user's own corpus, for `bench check FILE.toml`.

They give results like the checks of a part, and train nothing. Messages name labels and ids of documents, and quote no text.
"""

from __future__ import annotations

import hashlib
import math
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.api.data import SPLITS, Corpus, Document
from bench.api.task import Task
from bench.conformance.cases import CheckResult
from bench.conformance.common import flat
from bench.conformance.corpora import fitted, through
from bench.conformance.workbench import Failure, expect, named, one_line
from bench.data.faults import listed
from bench.data.leaks import leaks_of, refuse
from bench.data.spans import tidied_corpus
from bench.errors import BenchError, DataWarning
from bench.registry import Registry
from bench.wording import some

_SHOWN = 12
_LONG = 8


def check_file(path: Path, registry: Registry, tolerate: Sequence[str] = ()) -> list[CheckResult]:
    """Reads a task's file and its corpus, and runs every check of `CHECKS`; those that cannot run are left out.

    `tolerate` names kinds of faulty lines that are left out, in addition to the file's.
    """
    results: list[CheckResult] = []
    part = path.name

    def keep(name: str, check: Callable[[], str]) -> bool:
        try:
            results.append(CheckResult(name, part, True, check()))
        except (Failure, BenchError) as failure:
            results.append(CheckResult(name, part, False, str(failure)))
        except Exception as error:  # a plugin's code may raise anything
            results.append(CheckResult(name, part, False, one_line(error)))
        return results[-1].passed

    read: list[Corpus] = []
    if not keep("file", lambda: _file(registry.get("tasks", str(path)))):
        return results
    task = registry.get("tasks", str(path)).tolerating(tolerate)
    part = f"tasks/{task.name}"
    if keep("corpus", lambda: _corpus(task, read)):
        for name, check in CHECKS.items():
            keep(name, lambda check=check: check(task, read[0]))  # type: ignore[misc]
    return results


def _file(task: Task) -> str:
    """The file can be read, and every key is known."""
    return f"{task.summary}; metric {task.metadata.primary_metric}, heads {', '.join(task.heads)}"


def _corpus(task: Task, read: list[Corpus]) -> str:
    """The corpus loads, and is added to `read`; gives counts by split and its loader's warnings."""
    if task.folder is None:
        raise Failure("the file names no folder, so there is no corpus to look at")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        corpus = tidied_corpus(task.load(task.folder))
    read.append(corpus)
    counts = []
    for split in SPLITS:
        documents = corpus.splits.get(split, ())
        expect(bool(documents), f"the {split} split holds no document")
        counted = {
            "mentions": sum(len(d.mentions) for d in documents),
            "discontiguous": sum(m.discontiguous for d in documents for m in d.mentions),
            "relations": sum(len(d.relations) for d in documents),
            "passages": sum(len(d.passages) for d in documents),
        }
        named_counts = "".join(f", {n} {name}" for name, n in counted.items() if n)
        counts.append(f"{split} {some(len(documents), 'document')}{named_counts}")
    left_out, adjusted = listed(corpus.left_out), listed(corpus.adjusted)
    said = [f"faulty lines left out: {left_out}"] if left_out else []
    said += [f"put right: {adjusted}"] if adjusted else []
    said += [str(warning.message) for warning in caught if issubclass(warning.category, DataWarning)]
    return "; ".join((*counts, *said))


def _labels(task: Task, corpus: Corpus) -> str:
    """Every label that the file lists occurs in the corpus; gives counts by split."""
    related = any(document.relations for document in corpus["train"])
    by_split = {split: Counter(label for d in corpus[split] for label in _labels_of(d, related)) for split in SPLITS}
    names = sorted({label for counts in by_split.values() for label in counts})
    listed: Sequence[str] = getattr(task, "labels", ())
    if any(document.passages for document in corpus["test"]) and not listed:
        shares = {s: sum(c.values()) / max(1, sum(len(d.passages) for d in corpus[s])) for s, c in by_split.items()}
        return "relevant passages: " + ", ".join(f"{split} {share:.0%}" for split, share in shares.items())
    absent = [label for label in listed if label not in names]
    expect(not absent, f"'labels' lists {named(absent)}, which no document of any split has")
    rows = [f"{label} {'/'.join(str(by_split[split][label]) for split in SPLITS)}" for label in names]
    unseen = [label for label in names if not by_split["train"][label]]
    note = f"; never in train, so that nothing can learn them: {named(unseen)}" if unseen else ""
    return f"train/dev/test: {named(rows, _SHOWN)}{note}"


def _labels_of(document: Document, related: bool) -> list[str]:
    """Labels of a document: of its relations where the corpus has them, else of its mentions, else its classes."""
    if related:
        return [relation.label for relation in document.relations]
    return [m.label for m in document.mentions] or [j.name for j in document.judgements if j.chosen]


def _metric(task: Task, corpus: Corpus) -> str:
    """The metric is a path into the scores, and is higher for gold than for no predictions."""
    path = task.metadata.primary_metric
    details = []
    for split in ("dev", "test"):
        gold = corpus[split]
        full = flat(task.score(gold, gold))
        expect(path in full, f"{path!r} is no path into the scores; there are {named(sorted(full), _SHOWN)}")
        none = flat(task.score(gold, [Document(d.id, "") for d in gold]))[path]
        expect(
            full[path] > none,
            f"{path!r} is {full[path]:.3f} for gold itself and {none:.3f} for no prediction at all on {split}; it says nothing",
        )
        details.append(f"{split} {full[path]:.3f}")
    return f"{path} of gold: {', '.join(details)}"


def _round_trip(task: Task, corpus: Corpus) -> str:
    """Gold, encoded and decoded by each head, keeps its score; annotations that are lost are counted by cause."""
    path, details = task.metadata.primary_metric, []
    for name in task.heads:
        head = fitted(task, name, corpus)
        for split in ("dev", "test"):
            gold = corpus[split]
            back, total, reached, lost = through(head, gold)
            counted = sum(lost.values())
            expect(
                total - reached == counted,
                f"head {name!r} loses {some(total - reached, 'annotation')} of {split} and counts {counted}; report it to "
                "its author",
            )
            expect(
                reached > 0, f"head {name!r} brings none of {some(total, 'gold annotation')} of {split} back ({_causes(lost)})"
            )
            value, best = (flat(task.score(gold, documents))[path] for documents in (back, gold))
            expect(
                bool(lost) or math.isclose(value, best),
                f"gold of {split} through head {name!r} scores {path} = {value:.4f}; wanted {best:.4f}",
            )
            why = f" (lost: {_causes(lost)})" if lost else ""
            details.append(f"{name} {split} {reached} of {total}{why}, {path} {value:.3f}")
    return "; ".join(details)


def _causes(lost: Mapping[str, int]) -> str:
    return ", ".join(f"{cause} {count}" for cause, count in sorted(lost.items())) or "nothing was lost"


def _leaks(task: Task, corpus: Corpus) -> str:
    """No document is in two splits; counts texts that are."""
    refuse(task.name, leaks_of(corpus))
    texts: dict[bytes, str] = {}
    repeated: Counter[str] = Counter()
    for split in SPLITS:
        for document in corpus[split]:
            words = document.text.casefold().split()
            home = texts.setdefault(hashlib.sha256(" ".join(words).encode()).digest(), split)
            repeated[f"{home} and {split}" + ("" if len(words) >= _LONG else f", below {_LONG} words")] += home != split
    shown = "; ".join(f"{count} in {where}" for where, count in sorted(repeated.items()) if count)
    return f"{some(sum(len(corpus[split]) for split in SPLITS), 'document')}; texts that stand in two splits: {shown or 'none'}"


CHECKS: Mapping[str, Callable[[Task, Corpus], str]] = {
    "labels": _labels,
    "metric": _metric,
    "oracle-round-trip": _round_trip,
    "leaks": _leaks,
}
"""Checks that run once the file (``file``) and its corpus (``corpus``) have been read."""
