"""Checks that train the heads of a task: gradients, and losses over the positions that the ledger counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.api.data import Document
from bench.api.head import Head
from bench.api.task import Task
from bench.conformance.corpora import HIDDEN, LENGTH, Encoded, corpus_of, encode, fitted
from bench.conformance.workbench import Pieces, Workbench, expect, named
from bench.wording import some

if TYPE_CHECKING:
    from torch import Tensor


def gradients(task: Task, bench: Workbench) -> str:
    """After two updates every parameter of every head has a gradient, and so have the hidden states."""
    import torch

    corpus = corpus_of(task, bench)
    count = 0
    for name in task.heads:
        head = fitted(task, name, corpus)
        batch, chosen = _batch(head, corpus["train"], 12)
        torch.manual_seed(0)
        module = head.module(HIDDEN)
        hidden = torch.nn.Embedding(Pieces.vocabulary, HIDDEN)(batch["input_ids"]).detach()
        parameters = dict(module.named_parameters())
        optimizer = torch.optim.AdamW(parameters.values(), lr=1e-3)
        module.train()
        for update in range(3):
            if update == 2:
                module.eval()
                predictions = module.predict(hidden, batch)
                expect(
                    len(predictions) == len(chosen),
                    f"head {name!r} predicts {some(len(predictions), 'window')} of {len(chosen)}",
                )
                for item, prediction in zip(chosen, predictions, strict=True):
                    head.decode(item.window, prediction)
                module.train()
            optimizer.zero_grad(set_to_none=True)
            states = hidden.clone().requires_grad_()
            loss = module.loss(states, batch)
            expect(loss.ndim == 0 and bool(torch.isfinite(loss)), f"head {name!r} gives no finite number as its loss")
            loss.backward()  # type: ignore[no-untyped-call]
            if update < 2:
                optimizer.step()
        still = [n for n, p in parameters.items() if p.requires_grad and (p.grad is None or float(p.grad.norm()) == 0)]
        expect(not still, f"head {name!r}: no gradient after two updates for {named(still)}")
        expect(
            states.grad is not None and float(states.grad.norm()) > 0,
            f"head {name!r} passes no gradient on to the base model, so adapters could not learn",
        )
        count += len(parameters)
    return f"{some(count, 'tensor')} in {some(len(task.heads), 'head')}"


def token_counts(task: Task, bench: Workbench) -> str:
    """A head does not replace the core's tensors, and its loss is a sum over positions that does not depend on padding."""
    import torch

    from bench.data.cache import collate, encode_split

    corpus = corpus_of(task, bench)
    positions = 0
    for name in task.heads:
        head = fitted(task, name, corpus)
        split = encode_split(corpus["train"], head, Pieces(), LENGTH, bench.fresh("cache") / "train.arrow")
        order = split.lengths.argsort()
        rows = split.take([int(order[0]), int(order[-1]), int(order[len(order) // 2])])
        targets = head.collate(
            [{k[2:]: v for k, v in r.items() if k.startswith("t.")} for r in rows], max(len(r["first"]) for r in rows)
        )
        core = sorted({"input_ids", "attention_mask", "first", "last", "word_mask"} & set(targets))
        expect(not core, f"collate of head {name!r} returns {named(core)}, which is the core's: tokens would escape the ledger")
        batch = collate(rows, head, Pieces.pad_token_id)
        expect(int(batch["attention_mask"].sum()) == sum(len(r["input_ids"]) for r in rows), "the mask marks other tokens")
        bad = [i for i, n in enumerate(split.supervised.tolist()) if n < 0] if len(split) else [0]
        expect(not bad and int(split.supervised.sum()) > 0, f"head {name!r} supervises no position, or fewer than none")
        torch.manual_seed(0)
        module = head.module(HIDDEN).eval()
        embed = torch.nn.Embedding(Pieces.vocabulary, HIDDEN)
        with torch.no_grad():
            together = float(module.loss(embed(batch["input_ids"]), batch))
            single = [collate([row], head, Pieces.pad_token_id) for row in rows]
            apart = sum(float(module.loss(embed(window["input_ids"]), window)) for window in single)
            choices, expected = module.choices(embed(batch["input_ids"]), batch), sum(r["supervised"] for r in rows)
            rows_given = expected if choices is None else len(choices)
        expect(
            rows_given == expected,
            f"choices of head {name!r} gives {some(rows_given, 'row')} for {some(expected, 'supervised position')}",
        )
        expect(
            math.isclose(together, apart, rel_tol=1e-3, abs_tol=1e-3),
            f"the loss of head {name!r} over three windows is {together:.4f} at once and {apart:.4f} one by one; wanted the "
            "sum over supervised positions, without a mean and without padding",
        )
        positions += int(split.supervised.sum())
    return f"{some(positions, 'supervised position')} in {some(len(task.heads), 'head')}"


def _batch(head: Head, documents: Sequence[Document], count: int) -> tuple[dict[str, Tensor], list[Encoded]]:
    """The windows with the most gold, as one batch."""
    from bench.data.cache import collate

    encoded = encode(head, documents)
    chosen = sorted(encoded, key=lambda e: -e.encoding.supervised - sum(len(m.fragments) for m in e.gold.mentions))[:count]
    rows = [
        {
            "input_ids": list(e.window.input_ids), "first": list(e.window.first), "last": list(e.window.last),
            **{f"t.{name}": values for name, values in e.encoding.columns.items()},
        }
        for e in chosen
    ]  # fmt: skip
    return collate(rows, head, Pieces.pad_token_id), chosen
