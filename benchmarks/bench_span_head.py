"""What the span head costs with its slots: its share of a training step of a MiniLM-shaped encoder, by the width of spans.

The share is (step with the span head − step with the backbone alone) / step with the span head, both measured in turn,
round after round in one process, medians compared; in CPU seconds, so that a busy machine does not decide. Target: at most
25% at 128 tokens and width 8.

    python benchmarks/bench_span_head.py [--quick] [--rounds 7] [--threads 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import random
from statistics import median
from time import process_time
from typing import Any

import common
from common import Figure

TOKENS, TARGET = 128, 0.25
WIDTHS = (4, 8)


def measure(options: argparse.Namespace) -> list[Figure]:
    """Steps with and without the head, in turn."""
    import torch

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    windows, rounds = (2, 2) if options.quick else (16, options.rounds)
    backbone = _backbone()
    rows = []
    for width in WIDTHS:
        module, batch = _head(width, windows, backbone.config.hidden_size)

        def step(with_head: bool, module: Any = module, batch: Any = batch) -> float:
            begin = process_time()
            hidden = backbone(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
            loss = module.loss(hidden, batch) if with_head else hidden.square().sum()
            loss.backward()
            for parameter in (*backbone.parameters(), *module.parameters()):
                parameter.grad = None
            return process_time() - begin

        step(True), step(False)
        with_head, without = [], []
        for _ in range(rounds):
            with_head.append(step(True))
            without.append(step(False))
        share = median(a - b for a, b in zip(with_head, without, strict=True)) / median(with_head)
        rows.append((width, median(without), median(with_head), share))
    common.table(
        f"{windows} windows of {TOKENS} tokens, LoRA r=16, fp32, CPU seconds on {options.threads} thread(s)",
        ("width", "backbone s", "with head s", "share"),
        [(width, f"{without_s:.3f}", f"{with_s:.3f}", f"{share:.1%}") for width, without_s, with_s, share in rows],
    )
    return [
        Figure(f"span head's share of a step, width {width}", f"≤ {TARGET:.0%}", f"{share:.1%}", share <= TARGET)
        for width, *_, share in rows
    ]


def _backbone() -> Any:
    """MiniLM-L6's shape, random weights, LoRA of rank 16 on attention and MLP."""
    from peft import LoraConfig, get_peft_model
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=4000, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    targets = r".*\.(query|key|value|dense)"
    return get_peft_model(BertModel(config, add_pooling_layer=False), LoraConfig(r=16, lora_alpha=32, target_modules=targets))


def _head(width: int, count_of_windows: int, hidden_size: int) -> tuple[Any, dict[str, Any]]:
    """A span head and a full batch: one token a word, the most words 128 tokens can hold, six mentions with slots a window."""
    import torch

    from bench.api.data import Document, Mention
    from bench.api.head import Window
    from bench.heads.slots import SlotSpanHead

    rng = random.Random(0)
    count = TOKENS - 2
    spans = tuple((4 * i, 4 * i + 3) for i in range(count))
    places = tuple(range(1, count + 1))
    windows, documents = [], []
    for n in range(count_of_windows):
        starts = sorted(rng.sample(range(0, count - 4, 5), 8))
        single = [Mention(((4 * s, 4 * s + 4 * rng.randint(1, 3) - 1),), slots=_slots(rng)) for s in starts[:4]]
        double = [Mention(tuple((4 * s, 4 * s + 3) for s in pair), slots=_slots(rng)) for pair in (starts[4:6], starts[6:])]
        ids = tuple(rng.randrange(4000) for _ in range(TOKENS))
        windows.append(Window(str(n), ids, spans, places, places, 0, spans[-1][1]))
        documents.append(Document(str(n), "abc " * count, (*single, *double)))
    head = SlotSpanHead(width=width)
    head.fit(documents)
    batch = {
        "input_ids": torch.tensor([w.input_ids for w in windows]),
        "attention_mask": torch.ones(count_of_windows, TOKENS, dtype=torch.long),
        "first": torch.tensor([w.first for w in windows]),
        "last": torch.tensor([w.last for w in windows]),
        "word_mask": torch.ones(count_of_windows, count, dtype=torch.long),
    }
    columns = [head.encode(w, d).columns for w, d in zip(windows, documents, strict=True)]
    return head.module(hidden_size), {**batch, **head.collate(columns, count)}


def _slots(rng: random.Random) -> dict[str, tuple[str, ...]]:
    """Slots of the shape that 2015-T14 has: seven of a few values, and a body location of many."""
    few = {f"S{n}": (f"v{rng.randrange(3)}",) for n in range(7) if rng.random() < 0.3}
    return {**few, "BL": tuple(f"C{rng.randrange(128)}" for _ in range(rng.randint(0, 2)))}


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=7)
    parser.set_defaults(threads=2)


if __name__ == "__main__":
    common.main(measure, __doc__, _options)
