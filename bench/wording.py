"""Words that go with numbers, wherever a message has both."""

from __future__ import annotations


def some(count: int, noun: str) -> str:
    """A count with its noun, as in ``1 run``, ``1,200 runs`` and ``2 linear layers``."""
    return f"{count:,} {noun if count == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """The plural of a noun by the rules for regular ones, as in ``runs``, ``classes`` and ``queries``."""
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeiou" else f"{noun}s"
