"""The made-up terminology of the synthetic notes: names of the concepts that they mention, and of others.

A concept is a set of lexemes, which give its names: "acute left renal stenosis", "acute stenosis of the left kidney", and the
abbreviations of its parts. Most mentions of the test notes have a concept, or a wording, that no training note has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench_tasks.semeval2015_t14.synthesis import words

SITE = "site:"
_ADJECTIVES = {
    noun: adjective
    for entries in (words.PAIRED, words.SINGLE)
    for forms in entries.values()
    for noun, _, adjective in (form.partition(":") for form in forms)
}
_SHORT: Mapping[str, Sequence[str]] = {
    full: [s for s, _, f in (entry.partition("=") for forms in words.ABBREVIATIONS.values() for entry in forms) if f == full]
    for full in {entry.partition("=")[2] for forms in words.ABBREVIATIONS.values() for entry in forms}
}
_SIDES = ("left", "right", "bilateral")
_BEFORE = {word for entries in (words.TYPES, words.COMPLICATIONS, words.GRADES) for forms in entries.values() for word in forms}


def names(lexemes: Sequence[str]) -> list[tuple[str, str]]:
    """The distinct names of a concept with their kinds, the preferred one first."""
    sites = [lexeme.removeprefix(SITE) for lexeme in lexemes if lexeme.startswith(SITE)]
    sides = [lexeme for lexeme in lexemes if lexeme in _SIDES]
    before = [lexeme for lexeme in lexemes if lexeme in _BEFORE]
    core = [lexeme for lexeme in lexemes if lexeme not in {*sides, *before} and not lexeme.startswith(SITE)]
    what = " ".join([*before, *sides, *(_ADJECTIVES.get(site, site) for site in sites), *core])
    names = [(what, "name")]
    if sites and core:
        where = " and ".join(" ".join([*sides, site]) for site in sites)
        names.append((f"{' '.join([*before, *core])} of the {where}", "exact"))
    names += [(what.replace(full, short), "exact") for full in core for short in _SHORT.get(full, ())]
    return list(dict.fromkeys(names))


def neighbour(lexemes: Sequence[str]) -> tuple[str, ...] | None:
    """The concept of the same finding at another site; None for a concept without a site, or with several."""
    sites = [lexeme for lexeme in lexemes if lexeme.startswith(SITE)]
    all_sites = sorted(_ADJECTIVES)
    if len(sites) != 1:
        return None
    at = all_sites.index(sites[0].removeprefix(SITE)) + 1
    return tuple(sorted({*lexemes} - {sites[0]} | {f"{SITE}{all_sites[at % len(all_sites)]}"}))
