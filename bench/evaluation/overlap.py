"""Text that two splits of a corpus share: whole documents, and runs of 13 words. Counts, never text.

Documents are compared by their words, in lower case; white space and punctuation make no difference. A document of fewer than
13 words can only be shared as a whole.

Source: 13-grams as in Brown et al. 2020, arXiv 2005.14165, appendix C. They are held as 64-bit hashes: two of ten million would
fall together by chance once in three hundred thousand corpora.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.api.data import SPLITS, Document

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]

GRAM = 13


def overlap(splits: Mapping[str, Sequence[Document]], gram: int = GRAM) -> dict[str, dict[str, Any]]:
    """What each later split shares with each earlier one.

    Args:
        splits: name to documents with text.
        gram: words in a run.

    Returns:
        ``dev-train``, ``test-train`` and ``test-dev`` to: ``documents`` of the former; how many of them stand whole in the
        latter (``exact``), or do so or share a run with it (``touched``); ``grams``, its distinct runs, and how many of them
        are ``shared``.
    """
    import numpy as np

    number: dict[str, int] = {}
    read = {name: [_hashes(d.text, gram, number) for d in splits[name]] for name in SPLITS if name in splits}
    grams = {name: _distinct([runs for _, runs in found]) for name, found in read.items()}
    wholes = {name: {whole for whole, _ in found} for name, found in read.items()}
    table = {}
    for later, earlier in (("dev", "train"), ("test", "train"), ("test", "dev")):
        if later in read and earlier in read:
            sizes = [len(runs) for _, runs in read[later]]
            joined = np.concatenate([np.zeros(0, np.uint64), *(runs for _, runs in read[later])])
            known = np.isin(joined, grams[earlier])
            owner = np.repeat(np.arange(len(sizes)), sizes)
            exact = np.array([whole in wholes[earlier] for whole, _ in read[later]], dtype=bool)
            touched = np.bincount(owner, weights=known, minlength=len(sizes)) > 0
            table[f"{later}-{earlier}"] = {
                "documents": len(sizes), "exact": int(exact.sum()), "touched": int((touched | exact).sum()),
                "grams": len(grams[later]), "shared": int(np.isin(grams[later], grams[earlier]).sum()),
            }  # fmt: skip
    return table


def _hashes(text: str, gram: int, number: dict[str, int]) -> tuple[int, Hashes]:
    """A hash of the whole document, and one of each run of words."""
    import re

    import numpy as np

    ids = np.array([number.setdefault(word, len(number) + 1) for word in re.findall(r"\w+", text.lower())], dtype=np.uint64)
    mixed = _mix(ids)
    whole = hash(ids.tobytes())
    if len(ids) < gram:
        return whole, np.zeros(0, np.uint64)
    count = len(ids) - gram + 1
    runs: Hashes = np.zeros(count, np.uint64)
    for place in range(gram):
        runs = _mix(runs ^ mixed[place : place + count])
    return whole, runs


def _mix(values: Hashes) -> Hashes:
    """Spreads 64-bit numbers (the finaliser of SplitMix64, Steele et al. 2014)."""
    import numpy as np

    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = values ^ (values >> np.uint64(31))
    return mixed


def _distinct(parts: Sequence[Hashes]) -> Hashes:
    import numpy as np

    found: Hashes = np.unique(np.concatenate([np.zeros(0, np.uint64), *parts]))
    return found
