"""No message has a plural after 1: every count that stands before its noun is told by `bench.wording.some`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.wording import some

NOUNS = (
    "annotations|arms|articles|bytes|candidates|characters|checkpoints|choices|classes|columns|comparisons|concepts|cores|"
    "differences|digits|documents|entries|evaluations|events|examples|faults|fields|figures|files|groups|heads|ids|inputs|"
    "intervals|labels|layers|lines|mentions|offsets|pairs|parameters|passages|phases|pieces|places|plugins|points|positions|"
    "predictions|probes|processes|queries|questions|ratings|rates|relations|resamples|roles|rows|runs|seeds|sentences|sets|"
    "sites|spans|splits|studies|tables|tags|tasks|tensors|tokens|updates|values|windows|words"
)
NO_ADJECTIVE = ("all", "and", "character", "have", "hold", "in", "no", "of", "over", "several", "the", "token", "two", "with")
"""Words before a noun of which what stands before them is no count."""
COUNTED = re.compile(rf" (?:(?!(?:{'|'.join(NO_ADJECTIVE)}) )[a-z-]*[^s ] )?(?:{NOUNS})\b")
VERB = re.compile(r" (?:that )?(?:are|have|were|do|hold|name|make|stand|lie|differ)\b")
LISTS = ("sizes", "which", "looks", "unequal")
"""Names of texts that have the counts of several things, such as ``300 train, 60 dev``, or a word."""


def counts(source: str) -> Iterator[tuple[int, str]]:
    """Lines of a module with a number before a plural, or a verb in the plural after a count with its noun."""
    for text in ast.walk(ast.parse(source)):
        if not isinstance(text, ast.JoinedStr):
            continue
        for value, after in zip(text.values, text.values[1:], strict=False):
            if not (isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant)):
                continue
            number, words = ast.unparse(value.value), str(after.value)
            whole = value.format_spec is None or ast.unparse(value.format_spec) == "f','"
            listed = number.isupper() or number in LISTS or ".join(" in number or number.startswith("named(")
            if number.startswith("some("):
                if VERB.match(words):
                    yield value.lineno, f"{number}{words}"
            elif whole and not listed and COUNTED.match(words):
                yield value.lineno, f"{number}{words}"


def test_a_count_is_told_with_its_noun() -> None:
    assert [some(n, "run") for n in (0, 1, 2, 1200)] == ["0 runs", "1 run", "2 runs", "1,200 runs"]
    assert [some(2, noun) for noun in ("study", "class", "box", "key", "padded token")] == [
        "2 studies", "2 classes", "2 boxes", "2 keys", "2 padded tokens",
    ]  # fmt: skip


@pytest.mark.parametrize("source", ['f"{len(runs)} runs"', 'f"{n:,} padded tokens of"', "f\"{some(n, 'run')} have\""])
def test_the_look_finds_them(source: str) -> None:
    assert len([*counts(source)]) == 1


def test_no_message_has_a_plural_after_one(root: Path) -> None:
    found = [
        f"{path.relative_to(root)}:{line}: {text}"
        for top in ("bench", "plugins", "tasks")
        for path in sorted((root / top).rglob("*.py"))
        for line, text in counts(path.read_text(encoding="utf-8"))
    ]
    assert found == []
