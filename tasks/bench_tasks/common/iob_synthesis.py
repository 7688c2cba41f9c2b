"""Writes seeded synthetic corpora in IOB2: sentences drawn from templates and words, one set of them (a language) a task.

Every sentence depends on seed, split and number alone. Splits share no template and only a part of their words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.api.data import SPLITS
from bench.kit.synthetic import Draws, begin, read_words

SIZES: Mapping[str, int] = {"train": 1200, "dev": 300, "test": 300}
FILES: Mapping[str, str] = {"train": "train.tsv", "dev": "devel.tsv", "test": "test.tsv"}
_PLAIN = 0.15
_OWN = 0.3
_PLACE = re.compile(r"\{(\w+)\}")

Rule = Mapping[str, tuple[str, ...]]
"""What a place is replaced by: entries of ``shared`` in every split, those of a split's name in that split alone."""

Row = tuple[str, str]
"""Token and tag."""


@dataclass(frozen=True)
class Language:
    """Templates and words of one synthetic corpus.

    A template is tokens divided by white space. ``{name}`` is a place: it is replaced by an entry of the rule of that name,
    which may hold places too. If the name is a label, the replacement is a mention. A place may be part of a token:
    ``{root}itis``.

    Args:
        labels: of the corpus.
        templates: split to templates of sentences with a mention; no two splits share one.
        plain: split to templates without a mention; words of mentions may be in them in another sense.
        rules: name to rule; every label has one.
    """

    labels: tuple[str, ...]
    templates: Rule
    plain: Rule
    rules: Mapping[str, Rule]


def read_language(labels: tuple[str, ...], *paths: Path) -> Language:
    """A language from JSON files: ``{"templates": {"train": […], …}, "plain": {…}, "rules": {"root": {"shared": […], …}}}``.

    Args:
        labels: of the corpus.
        paths: of the files; their contents are merged, so that languages can share rules.
    """
    contents = [read_words(path) for path in paths]
    merged = {
        name: {k: v for file in contents for k, v in file.get(name, {}).items()} for name in ("templates", "plain", "rules")
    }
    return Language(labels, **merged)


def write_corpus(language: Language, folder: Path, seed: int, sizes: Mapping[str, int] | None = None) -> None:
    """Writes ``train.tsv``, ``devel.tsv`` and ``test.tsv``, and the marker file.

    Args:
        language: of the sentences.
        folder: empty or missing; made here.
        seed: same seed, same bytes.
        sizes: sentences per split; `SIZES` for those that are not given.

    Raises:
        UsageError: a size is not positive, or the folder holds something already.
    """
    counts = begin(folder, sizes, SIZES)
    for split in SPLITS:
        blocks = []
        for number in range(1, counts[split] + 1):
            rows = sentence(language, split, Draws(seed, split, number), plain=number > 1)
            blocks.append("".join(f"{token}\t{tag}\n" for token, tag in rows))
        (folder / FILES[split]).write_bytes(("\n".join(blocks) + "\n").encode("utf-8"))


def sentence(language: Language, split: str, draws: Draws, plain: bool = True) -> list[Row]:
    """One sentence.

    Args:
        language: its templates and words.
        split: its templates and words are used, and the shared words.
        draws: of this sentence.
        plain: whether it may have no mention.
    """
    kind = language.plain if plain and draws.chance(_PLAIN) else language.templates
    rows = _expand(language, split, draws, draws.choose(kind[split]), set())
    first, tag = rows[0]
    return [(first[:1].upper() + first[1:], tag), *rows[1:]]


def _expand(language: Language, split: str, draws: Draws, markup: str, used: set[str]) -> list[Row]:
    rows: list[Row] = []
    for piece in markup.split():
        slot = _PLACE.fullmatch(piece)
        if slot is None:
            rows.append((_PLACE.sub(lambda place: _draw(language.rules[place[1]], split, draws, used), piece), "O"))
            continue
        name = slot[1]
        inner = _expand(language, split, draws, _draw(language.rules[name], split, draws, used), used)
        if name in language.labels:
            inner = [(token, f"{'I' if at else 'B'}-{name}") for at, (token, _) in enumerate(inner)]
        rows += inner
    return rows


def _draw(entries: Rule, split: str, draws: Draws, used: set[str]) -> str:
    """A word of the split or a shared one; tries to avoid words that the sentence has."""
    of_split, shared = entries.get(split, ()), entries.get("shared", ())
    word = ""
    for _ in range(4):
        word = draws.choose(of_split if of_split and (not shared or draws.chance(_OWN)) else shared)
        if word not in used:
            break
    if "{" not in word:
        used.add(word)
    return word
