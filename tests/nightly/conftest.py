"""Cases one after another until the time is up. Each is drawn from its number alone:
`BENCH_FUZZ_FIRST=NUMBER BENCH_FUZZ_SECONDS=1` repeats one.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.cli import main

SECONDS = float(os.environ.get("BENCH_FUZZ_SECONDS", "900"))
FIRST = int(os.environ.get("BENCH_FUZZ_FIRST", "0"))
CODES = range(9)

Prepare = Callable[[random.Random], tuple[str, list[str]]]
"""Readies the ground for a case: what is told of it should it fail, and the words after `bench`."""


@dataclass(frozen=True)
class Fuzz:
    """Types words and holds what comes of them against the rule: an exit code that `bench --help` lists, and one message.

    Args:
        capfd: pytest's.
    """

    capfd: Any

    def __call__(self, prepare: Prepare, most: int | None = None) -> None:
        """So many cases, the first ones; or as many as the time allows."""
        number, codes = (FIRST if most is None else 0), set[int]()
        end = time.monotonic() + SECONDS
        while number < most if most is not None else time.monotonic() < end:
            told, words = prepare(random.Random(number))
            codes.add(self._typed(words, f"case {number}{told}"))
            number += 1
        assert len(codes) > 1, f"{number} cases all ended with {codes}"

    def _typed(self, words: list[str], case: str) -> int:
        self.capfd.readouterr()
        code = main(words)
        printed = self.capfd.readouterr()
        told = f"{case}: bench {words} ended with {code}\n{printed.err[-1500:]}"
        assert code in CODES, told
        assert "Traceback" not in printed.out + printed.err, told
        errors = printed.err.count("error:")
        assert errors == 1 or (code <= 1 and not errors), told  # a check that did not pass is no error
        assert code or not errors, told
        return code


@pytest.fixture
def fuzz(capfd: Any) -> Fuzz:
    """Types words."""
    return Fuzz(capfd)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs until its time is up may take that long."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.get_closest_marker("nightly"):
            item.add_marker(pytest.mark.timeout(int(SECONDS) + 900))
