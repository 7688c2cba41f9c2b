"""Text that two splits of a corpus share: whole documents, and runs of 13 words. Counts, never text.

Documents are compared by their words, in lower case; white space and punctuation make no difference. A document of fewer than
13 words can only be shared as a whole.

Source: 13-grams as in Brown et al. 2020, arXiv 2005.14165, appendix C. They are held as 64-bit hashes: two of ten million would
fall together by chance once in three hundred thousand corpora.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from bench.api.data import SPLITS, Document

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]

GRAM = 13
AT_ONCE = 4096
"""Documents of an earlier split that are held at once."""


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
    number: dict[str, int] = {}
    read = {name: [_hashes(d.text, gram, number) for d in splits[name]] for name in SPLITS[1:] if name in splits}
    runs = {name: _Runs(documents) for name, documents in read.items()}
    table: dict[str, dict[str, Any]] = {}
    for earlier, later in (("train", SPLITS[1:]), ("dev", SPLITS[2:])):
        if earlier in splits:
            pairs = {f"{name}-{earlier}": _Shared(runs[name]) for name in later if name in read}
            # train is by far the largest split, and nothing of it is kept
            rest = iter(read[earlier] if earlier in read else (_hashes(d.text, gram, number) for d in splits[earlier]))
            while part := list(islice(rest, AT_ONCE)):
                for pair in pairs.values():
                    pair.mark_shared(part)
            table |= {name: pair.counts() for name, pair in pairs.items()}
    return table


class _Runs:
    """The documents of a split, and its distinct runs, sorted."""

    def __init__(self, documents: Sequence[tuple[int, Hashes]]) -> None:
        import numpy as np

        self.wholes, self.sizes = [whole for whole, _ in documents], [len(runs) for _, runs in documents]
        joined = np.concatenate([np.zeros(0, np.uint64), *(runs for _, runs in documents)])
        self.grams, self.places = np.unique(joined, return_inverse=True)


class _Shared:
    """What the documents of one split share with those of another, which is read part by part."""

    def __init__(self, runs: _Runs) -> None:
        import numpy as np

        self._runs = runs
        self._shared = np.zeros(len(runs.grams), dtype=bool)
        self._repeated: set[int] = set()

    def mark_shared(self, documents: Sequence[tuple[int, Hashes]]) -> None:
        """Marks the runs of words that are in these documents, too."""
        import numpy as np

        self._repeated |= {whole for whole, _ in documents}.intersection(self._runs.wholes)
        self._shared |= np.isin(self._runs.grams, np.concatenate([runs for _, runs in documents]))

    def counts(self) -> dict[str, int]:
        """As `overlap` gives them for a pair of splits."""
        import numpy as np

        runs = self._runs
        exact = np.array([whole in self._repeated for whole in runs.wholes], dtype=bool)
        owner = np.repeat(np.arange(len(runs.sizes)), runs.sizes)
        touched = np.bincount(owner, weights=self._shared[runs.places], minlength=len(runs.sizes)) > 0
        return {
            "documents": len(runs.sizes), "exact": int(exact.sum()), "touched": int((touched | exact).sum()),
            "grams": len(runs.grams), "shared": int(self._shared.sum()),
        }  # fmt: skip


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
