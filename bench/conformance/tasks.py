"""Checks of a task: loader, heads and scorer, on its synthetic corpus or on a given one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from bench.api.data import SPLITS, Corpus, Document
from bench.api.head import Head
from bench.api.task import Scores, Task
from bench.conformance.common import described, flat
from bench.conformance.corpora import (
    HIDDEN,
    SEED,
    SIZES,
    corpus_folder,
    corpus_of,
    corpus_there,
    encode,
    fitted,
    through,
    worse,
)
from bench.conformance.learning import gradients, token_counts
from bench.conformance.privacy import privacy
from bench.conformance.workbench import Failure, Workbench, contents, expect, named, one_line, scramble, without_heavy_imports
from bench.naming import flatten
from bench.wording import some


def metadata(task: Task, bench: Workbench) -> str:
    """Source, terms and layout are there, and the scorer gives the primary metric."""
    described(task)
    facts = task.metadata
    expect(facts.reference.startswith(("https://", "http://")), f"reference is {facts.reference!r}; wanted a URL")
    expect(
        facts.access.split(":")[0].strip() in ("open", "credentialed"),
        f"access is {facts.access!r}; wanted 'open' or 'credentialed', a colon, and how to get the corpus",
    )
    expect(bool(facts.layout.strip()), "layout is empty; wanted one line on the folder that load expects")
    expect(bool(task.heads) and len(set(task.heads)) == len(task.heads), f"heads is {task.heads!r}; wanted distinct names")
    best = [p for p, v in facts.published_best.items() if not 0 <= v <= 1]
    expect(not best, f"published_best of {named(best)} is outside [0, 1]")
    expect(not facts.published_best or bool(facts.published_source), "published_best has no published_source")
    done = f"primary metric {facts.primary_metric}, heads {', '.join(task.heads)}"
    if not corpus_there(task, bench):
        return f"{done}; not held against scores, for want of a corpus"
    with without_heavy_imports():
        corpus = task.load(corpus_folder(task, bench))
        scores = flat(task.score(corpus["test"], corpus["test"]))
    for path in (facts.primary_metric, *facts.published_best):
        expect(path in scores, f"{path!r} is no path into the scores; score() gives {named(sorted(scores), 8)}")
    expect(set(corpus) == set(SPLITS), f"load gives the splits {sorted(corpus)}; wanted {', '.join(SPLITS)}")
    expect(
        corpus.synthetic or not task.synthesizes,
        "load does not say that the synthetic corpus is synthetic, so results could pass for real ones",
    )
    expect(
        bool(corpus.unit or facts.unit),
        "neither the metadata nor load says what a document is; wanted unit='notes', 'abstracts', …, or 'sentences'",
    )
    return f"{done}, intervals over {corpus.unit or facts.unit}"


def determinism(task: Task, bench: Workbench) -> str:
    """The same seed gives the same bytes, the same bytes the same documents, and these the same encodings."""
    folders = []
    for salt in range(2):
        scramble(salt)
        folders.append(corpus_folder(task, bench))
    first, second = folders
    left, right = contents(first), contents(second)
    odd = sorted(name for name in {*left, *right} if left.get(name) != right.get(name))
    expect(not odd, f"synthesize gives other bytes for the same seed: {named(odd)}; draw from random.Random(seed) alone")
    scramble(3)
    a = task.load(first)
    scramble(4)
    b = task.load(second)
    expect(a.sha256 == b.sha256, "load gives another sha256 for the same bytes in another folder")
    for split in SPLITS:
        slots = [[dict(m.slots) for d in c[split] for m in d.mentions] for c in (a, b)]
        expect(a[split] == b[split] and slots[0] == slots[1], f"load reads other documents from the same bytes in {split}")
    if task.synthesizes:
        scramble(2)
        other = corpus_folder(task, bench, SEED + 1)
        expect(left != contents(other), "synthesize gives the same bytes for two seeds")
        expect(a.sha256 != task.load(other).sha256, "load gives the same sha256 for other bytes")
        for split, size in SIZES.items():
            expect(len(a[split]) == size, f"{split} has {some(len(a[split]), 'document')}; {size} were asked for")
    ids = [d.id for split in SPLITS for d in a[split]]
    expect(len(set(ids)) == len(ids), "a document's id stands in the corpus twice")
    learns_alike(task, a)
    return f"{some(len(left), 'file')}, {some(len(ids), 'document')}"


def learns_alike(task: Task, corpus: Corpus) -> None:
    """Checks that every head learns the same state from the same documents, and encodes the same windows alike."""
    for name in task.heads:
        heads = []
        for salt in (5, 6):
            scramble(salt)
            heads.append(fitted(task, name, corpus))
        expect(heads[0].state() == heads[1].state(), f"head {name!r} learns two states from the same documents")
        encodings = [[e.encoding for e in encode(head, corpus["test"])] for head in heads]
        expect(encodings[0] == encodings[1], f"head {name!r} encodes the same windows in two ways")


def round_trip(task: Task, bench: Workbench) -> str:
    """Gold survives windows, encode, oracle and decode; annotations that do not are counted under their cause."""
    corpus = corpus_of(task, bench)
    details = []
    for name in task.heads:
        head = fitted(task, name, corpus)
        back, total, reached, causes = through(head, corpus["test"])
        lost, counted = total - reached, sum(causes.values())
        expect(
            lost == counted, f"head {name!r} loses {some(lost, 'annotation')} and counts {counted}; count each under its cause"
        )
        expect(reached > 0, f"head {name!r} brings none of {some(total, 'gold annotation')} back")
        value = _primary(task, task.score(corpus["test"], back), 1.0)
        fell = value < 1.0 - 1e-12
        expect(
            lost > 0 or not fell, f"gold through head {name!r} scores {task.metadata.primary_metric} = {value:.4f}; wanted 1"
        )
        details.append(f"{name}: {reached} of {total}, score {value:.3f}")
    nothing = [Document(d.id, "") for d in corpus["test"]]
    empty = _primary(task, task.score(corpus["test"], nothing), 0.0)
    expect(empty < 1.0, f"no predictions at all score {task.metadata.primary_metric} = {empty:.4f}")
    _arrays(task, corpus)
    return "; ".join(details)


def _primary(task: Task, scores: Scores, otherwise: float) -> float:
    """The primary metric, or `otherwise`: the check of the metadata reports a missing path."""
    return flat(scores).get(task.metadata.primary_metric, otherwise)


def _arrays(task: Task, corpus: Corpus) -> None:
    """Checks that `summarise` takes arrays of sums, as bootstrap intervals need."""
    import numpy as np

    rows = task.statistics(corpus["test"], worse(corpus["test"]))
    expect(
        len(rows) == len(corpus["test"]),
        f"statistics gives {some(len(rows), 'row')} for {some(len(corpus['test']), 'gold document')}",
    )
    sums = {key: float(sum(row.get(key, 0.0) for row in rows)) for row in rows for key in row}
    single, path = flat(task.summarise(sums)), task.metadata.primary_metric
    if path not in single:
        return
    many: Any = flatten(task.summarise({key: np.array([value, 2 * value]) for key, value in sums.items()})).get(path)
    expect(
        np.shape(many) == (2,) and math.isclose(float(many[0]), single[path], rel_tol=1e-9),
        f"summarise does not give an array of {path} for arrays of sums; write it with numpy operations",
    )


def save_and_load(task: Task, bench: Workbench) -> str:
    """A head's state survives JSON, and files that `write` makes score like their documents."""
    corpus = corpus_of(task, bench)
    survives(task, corpus)
    gold, pred = bench.fresh("gold"), bench.fresh("pred")
    partly = worse(corpus["test"])
    task.write(gold, [d.without_text() for d in corpus["test"]])
    task.write(pred, partly)
    written, direct = flat(task.score_files(gold, pred)), flat(task.score(corpus["test"], partly))
    odd = sorted(k for k in {*written, *direct} if not math.isclose(written.get(k, -1), direct.get(k, -1), rel_tol=1e-9))
    expect(
        not odd,
        f"score_files on what write made and score on the same documents disagree in {named(odd)}"
        + (f": {written.get(odd[0])} and {direct.get(odd[0])}" if odd else ""),
    )
    expect(direct.get(task.metadata.primary_metric, 0.0) < 1, "predictions with mentions left out and made up score 1")
    return f"{some(len(task.heads), 'head')}, {some(len(direct), 'score')}"


def survives(task: Task, corpus: Corpus) -> None:
    """Checks that a head's state survives JSON, and that a restored head encodes, decodes and starts like the fitted one."""
    for name in task.heads:
        head = fitted(task, name, corpus)
        text = _json(head, name)
        again = task.head(name)
        again.restore(json.loads(text))
        expect(_json(again, name) == text, f"head {name!r} has another state after restore")
        known = head.state()
        odd = [key for key, value in head.outputs().items() if key not in known or known[key] != value]
        expect(not odd, f"outputs() of head {name!r} holds what state() does not: {', '.join(odd)}")
        left, right = (encode(fitted_head, corpus["test"]) for fitted_head in (head, again))
        expect([e.encoding for e in left] == [e.encoding for e in right], f"head {name!r} encodes otherwise after restore")
        oracle = [head.oracle(e.encoding) for e in left]
        expect(
            all(head.decode(e.window, o) == again.decode(e.window, o) for e, o in zip(left, oracle, strict=True)),
            f"head {name!r} decodes otherwise after restore",
        )
        if find_spec("torch") is not None:
            _same_module(head, again, name)


def _same_module(head: Head, again: Head, name: str) -> None:
    import torch

    from bench.conformance.common import same

    states = []
    for variant in (head, again):
        torch.manual_seed(1)
        states.append(variant.module(HIDDEN).state_dict())
    odd = same(states[0], states[1])
    expect(not odd, f"head {name!r} makes another module after restore: {named(odd)}")


def _json(head: Head, name: str) -> str:
    try:
        return json.dumps(head.state(), sort_keys=True)
    except (TypeError, ValueError) as error:
        raise Failure(f"the state of head {name!r} is not JSON: {one_line(error)}") from None


CHECKS: Mapping[str, Callable[[Task, Workbench], str]] = {
    "metadata": metadata,
    "determinism": determinism,
    "oracle-round-trip": round_trip,
    "gradients": gradients,
    "token-counts": token_counts,
    "save-and-load": save_and_load,
    "privacy": privacy,
}
