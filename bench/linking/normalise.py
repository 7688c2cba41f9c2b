"""Normalised keys: spellings of one name that share a key are matched. There are three, from strict to loose.

`plain` ignores case, white space and punctuation; `lemmas` also plurals, British spelling, Greek letters and Roman numerals;
`stems` also endings, word order and words such as "of". Names and mentions are treated alike, so that a stem need not be a
word.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+")
_POSSESSIVE = re.compile(r"(?<=\w)['’`]s?\b")
_BRACKETED = re.compile(r"\s*[(\[][^()\[\]]*[)\]]")
_JOINT = re.compile(r"(?<=[a-z]{2})(?=\d)|(?<=\d)(?=[a-z]{2})")
STOP_WORDS = frozenset(
    {"a", "an", "and", "at", "by", "for", "from", "in", "nos", "of", "on", "or", "the", "to", "type", "with"}
)
_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "κ": "kappa", "λ": "lambda", "μ": "mu", "π": "pi", "σ": "sigma", "τ": "tau", "φ": "phi", "χ": "chi", "ψ": "psi",
    "ω": "omega",
}  # fmt: skip
_ROMAN = {
    roman: str(n)
    for n, roman in enumerate(["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", ".", "xi", "xii"], 1)
    if roman != "."
}
_ENDINGS = (
    "ization", "isation", "ational", "aceous", "ically", "ation", "ating", "ative", "ities", "ular", "atic", "etic", "ical",
    "ious", "eous", "ated", "ancy", "ency", "ance", "ence", "ness", "ment", "sion", "tion", "ing", "ion", "ity", "ial", "ian",
    "ium", "ary", "ive", "ous", "ate", "ic", "al", "an", "ar", "ed", "er", "ia", "is", "or", "um", "us", "on", "a", "e", "i",
    "o", "y",
)  # fmt: skip
_SHORTEST = 4
"""The fewest letters of a stem."""


def all_words(text: str) -> list[str]:
    """The words of a text in order, without case, accents, punctuation and possessive ``'s``; Greek letters are spelled out."""
    if not text.isascii():
        text = "".join(_GREEK.get(c, c) for c in unicodedata.normalize("NFKD", text).casefold() if not unicodedata.combining(c))
    return _WORD.findall(_POSSESSIVE.sub("", text.casefold()))


@lru_cache(maxsize=1 << 16)
def words(text: str) -> tuple[str, ...]:
    """The words of a name, see `all_words`."""
    return tuple(all_words(text))


def plain(text: str) -> str:
    """The words joined, so that "germ cell", "germ-cell" and "germcell" are equal."""
    return "".join(words(text))


@lru_cache(maxsize=1 << 16)
def lemma(word: str) -> str:
    """The singular of a word in American spelling; a Roman numeral as a number."""
    if word in _ROMAN:
        return _ROMAN[word]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        if word.endswith("ies") and len(word) > 4:
            word = word[:-3] + "y"
        elif word.endswith(("xes", "ches", "shes", "sses", "zes")):
            word = word[:-2]
        else:
            word = word[:-1]
    if len(word) > 4:
        word = word.replace("ae", "e").replace("oe", "e").replace("our", "or").replace("isation", "ization")
        if word.endswith("re") and word[-3] in "bt":
            word = word[:-2] + "er"
    return word


@lru_cache(maxsize=1 << 16)
def lemmas(text: str) -> tuple[str, ...]:
    """The lemmas of a name in order; "T1" and "T 1" both give two."""
    return tuple(lemma(part) for word in words(text) for part in _JOINT.split(word))


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """A lemma without its ending, so that "striatal" and "striatum" are equal."""
    for _ in range(2):
        for ending in _ENDINGS:
            if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST:
                word = word[: -len(ending)]
                break
        else:
            break
    return word


@lru_cache(maxsize=1 << 16)
def stems(text: str) -> tuple[str, ...]:
    """The stems of a name, each once, sorted; words such as "of" are left out unless there is nothing else."""
    ordered = lemmas(text)
    content_words = [word for word in ordered if word not in STOP_WORDS] or ordered
    return tuple(sorted({stem(word) for word in content_words}))


def keys(text: str) -> tuple[str, str, str]:
    """The keys of a name by `plain`, `lemmas` and `stems`; all empty where it has no word."""
    return plain(text), "".join(lemmas(text)), " ".join(stems(text))


def unbracketed(text: str) -> str:
    """A name without its parts in brackets, such as "(disorder)"; the name itself where nothing else is left."""
    return _BRACKETED.sub("", text).strip() or text


@lru_cache(maxsize=1 << 16)
def head(text: str) -> str:
    """The stem of the head word: the last one, or the last before "of", "in", "with" and their like."""
    ordered = lemmas(text)
    for at, word in enumerate(ordered):
        if at and word in ("at", "by", "for", "from", "in", "of", "on", "with"):
            return stem(ordered[at - 1])
    return stem(ordered[-1]) if ordered else ""
