"""Writes the table of model, quantizer and card into docs/performance.md: what the plan of memory says, measured on no card.

A cell says how an update of 2,048 tokens fits into 85% of a card's memory, and the tokens a second that 40% of the card's dense
rate in bf16 would be.

    python benchmarks/gpu_table.py [--check]
"""

from __future__ import annotations

import argparse
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- planned -->", "<!-- /planned -->"
MODELS = {
    "Qwen3-0.6B": ("qwen3", 28, 1024, 16, 8, 128, 3072, 151936),
    "Qwen3-1.7B": ("qwen3", 28, 2048, 16, 8, 128, 6144, 151936),
    "Qwen3-4B": ("qwen3", 36, 2560, 32, 8, 128, 9728, 151936),
    "Qwen3-8B": ("qwen3", 36, 4096, 32, 8, 128, 12288, 151936),
    "Llama-3.1-8B": ("llama", 32, 4096, 32, 8, 128, 14336, 128256),
}
"""Type, layers, hidden size, heads, heads of keys and values, size of a head, intermediate size, vocabulary."""
CARDS = {"RTX A4000, 16 GB": (16, 77), "RTX 4090, 24 GB": (24, 165), "A100, 40 GB": (40, 312), "H100, 80 GB": (80, 989)}
"""GB of memory, and dense tera-operations a second in 16 bits."""
QUANTIZERS = {"none": None, "int8": 8.0, "nf4": 4.5}
WAYS = (("whole", 2048, False), ("cut", 512, False), ("again", 512, True))
"""How an update may fit: at once, in micro-batches of one example, and those with gradient checkpointing."""
LONGEST, TRAINED, SHARE, TARGET = 512, 20_000_000, 0.4, 0.85


def table() -> str:
    """The table in Markdown."""
    lines = [f"| model | parameters | quantizer | base | {' | '.join(CARDS)} |", f"|---|---|---|---|{'---|' * len(CARDS)}"]
    for name, shape in MODELS.items():
        for quantizer, bits in QUANTIZERS.items():
            lines.append(row(name, shape, quantizer, bits))
    return "\n".join(lines)


def row(name: str, shape: tuple[str, int, int, int, int, int, int, int], quantizer: str, bits: float | None) -> str:
    """A line of it."""
    from bench.api.model import LinearShape, ModelSpec
    from bench.training.memory import Load

    kind, layers, hidden, heads, groups, head, inner, vocabulary = shape
    shapes = (
        ("q", hidden, heads * head), ("k", hidden, groups * head), ("v", hidden, groups * head), ("o", heads * head, hidden),
        ("gate", hidden, inner), ("up", hidden, inner), ("down", inner, hidden),
    )  # fmt: skip
    linears = tuple(LinearShape(f"layers.{i}.{part}", into, out) for i in range(layers) for part, into, out in shapes)
    weights = sum(linear.inputs * linear.outputs for linear in linears)
    parameters = weights + vocabulary * hidden
    spec = ModelSpec(name, kind, True, hidden, layers, 32768, parameters, linears)
    load = Load(spec, TRAINED, False, 1, "bf16", "cuda", bits, "adamw", heads, LONGEST)
    cells = []
    for gigabytes, rate in CARDS.values():
        room = TARGET * gigabytes * 1e9
        fit = next((what for what, padded, again in WAYS if load.memory(padded, again).total <= room), None)
        # Four operations a weight and token, two more where layers are computed again.
        speed = SHARE * rate * 1e12 / (weights * (6 if fit == "again" else 4))
        cells.append("–" if fit is None else f"{fit}, {float(f'{speed:.2g}'):,.0f}")
    return f"| {name} | {parameters / 1e9:.1f} B | {quantizer} | {load.base() / 2**30:.1f} GiB | {' | '.join(cells)} |"


def main() -> None:
    """Writes it, or with ``--check`` says whether it stands there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where the page has another table")
    check = parser.parse_args().check
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    new = f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"
    if check:
        raise SystemExit(int(new != text))
    PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
