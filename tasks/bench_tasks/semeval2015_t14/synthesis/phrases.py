"""Fills frames with words: every place of a frame is drawn from the word lists by one seeded generator."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.kit.synthetic import Draws, read_words
from bench_tasks.semeval2015_t14.synthesis import words
from bench_tasks.semeval2015_t14.synthesis.markup import Sentence, numbered, render

FRAMES: Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]] = read_words(Path(__file__).with_name("frames.json"))
"""Split to ``frames`` of sentences and ``phrases``, patterns of noun phrases, each by kind; no two splits share any.

``{1}`` is a noun phrase with its mentions, ``{1d}`` a simple disorder, ``{1s}`` a symptom. Upper-case names are drawn from the
word lists; they are no mentions by themselves.
"""

# Kinds of noun phrase and how often each is drawn.
SIMPLE = (("plain", 760), ("severity", 60), ("course", 36), ("complication", 40))
DISCONTIGUOUS = (("postposed", 34), ("list", 19), ("shared", 27), ("three", 20), ("tail", 12))
KINDS = (*SIMPLE, *DISCONTIGUOUS)
_DECK = tuple(kind for kind, share in KINDS for _ in range(share))

_PLACE = re.compile(r"\{(\w+)\}")
_NUMBER = re.compile(r"(\d)([ds]?)")


class Phrases(Draws):
    """Draws words, phrases and sentences for one note.

    Args:
        seed: of the corpus.
        split: its frames and words are used, and the shared words.
        number: of the note.
    """

    def __init__(self, seed: int, split: str, number: int) -> None:
        super().__init__(seed, split, number)
        self.split = split
        self.frames = FRAMES[split]["frames"]
        self._patterns = FRAMES[split]["phrases"]
        self._decks: dict[str, list[str]] = {}
        self._used: set[str] = set()
        female = self.chance(0.5)
        self._person = {"he": "she", "his": "her", "him": "her"} if female else {"he": "he", "his": "his", "him": "him"}
        self._person |= {key.capitalize(): value.capitalize() for key, value in self._person.items()}
        self._person |= {"SEX": "woman" if female else "man", "MR": "Ms." if female else "Mr.", "AGE": str(self.number(24, 91))}

    def sentence(self, kind: str, capital: bool = True) -> Sentence:
        """A rendered sentence of a kind of frame; a note uses all frames of a kind before it repeats one."""
        deck = self._decks.get(kind)
        if not deck:
            deck = self._decks[kind] = self.shuffled(self.frames[kind])
        return self.fill(deck.pop(), capital)

    def fill(self, frame: str, capital: bool = True) -> Sentence:
        """A frame with all its places filled, rendered."""
        self._used = set()
        sentence = render(self._expand(frame))
        return Sentence(sentence.text[:1].upper() + sentence.text[1:], sentence.mentions) if capital else sentence

    def _expand(self, markup: str) -> str:
        return _PLACE.sub(lambda m: self._place(m[1]), markup)

    def _place(self, name: str) -> str:
        if name in self._person:
            return self._person[name]
        numeral = _NUMBER.fullmatch(name)
        if numeral is None:
            return str(getattr(self, f"_{name.lower()}")())
        simple = {"d": "[a|{DISORDER}]", "s": "[a|{SYMPTOM}]"}.get(numeral[2])
        return numbered(self._expand(simple or self._noun_phrase()), numeral[1])

    def _noun_phrase(self) -> str:
        kind = self.choose(_DECK)
        if kind in self._patterns:
            return self.choose(self._patterns[kind])
        if kind == "complication":
            word = self._draw(words.COMPLICATIONS)
            return f"[a|[={word}|{word}] [b|{{NAMED}}]]"
        if kind == "plain":
            return "[a|{ANY}]"
        slot, (word, value) = (
            ("SV", self.choose(words.SEVERITIES)) if kind == "severity" else ("CC", self.choose(words.COURSES))
        )
        return f"[a!{slot}={value}|{word}] [a|{{ANY}}]"

    def _draw(self, entries: words.Entries) -> str:
        """A word of the split or a shared one; tries to avoid words that the sentence has."""
        of_split, shared = entries.get(self.split, ()), entries.get("shared", ())
        for _ in range(8):
            word = self.choose(of_split if of_split and (not shared or self.chance(0.4)) else shared)
            if word not in self._used:
                break
        self._used.add(word)
        return word

    def _lexeme(self, entries: words.Entries) -> str:
        word = self._draw(entries)
        return f"[={words.NOUN_OF.get(word, word)}|{word}]"

    def _any(self) -> str:
        ticket = self._random()
        return self._adjectival() if ticket < 0.3 else self._symptom() if ticket < 0.55 else self._disorder()

    def _disorder(self) -> str:
        ticket = self._random()
        if ticket < 0.2:
            short, _, full = self._draw(words.ABBREVIATIONS).partition("=")
            return f"[={full}|{short if self.chance(0.7) else full}]"
        if ticket < 0.33:
            return self._rooted()
        if ticket < 0.38:
            return f"{self._lexeme(words.TYPES)} {self._rooted()}"
        return self._adjectival() if ticket < 0.58 else self._lexeme(words.DISEASES)

    def _named(self) -> str:
        return self._adjectival() if self.chance(0.7) else self._lexeme(words.DISEASES)

    def _rooted(self) -> str:
        root, *endings = self._draw(words.ROOTS).split(":")
        word = root + self.choose(endings)
        return f"[={word}|{word}]"

    def _symptom(self) -> str:
        return self._lexeme(words.SYMPTOMS) if self.chance(0.75) else f"{self._adj()} [=pain|pain]"

    def _adjectival(self) -> str:
        """A site's adjective and a finding, sometimes with side and type: "left atrial enlargement"."""
        kind = f"{self._lexeme(words.TYPES)} " if self.chance(0.12) else ""
        return f"{kind}{self._side_adj()} {self._finding()}"

    def _site(self) -> str:
        if self.chance(0.5):
            return self._site_form(words.SINGLE, 0)
        return self._side(("left", "right", "")) + self._site_form(words.PAIRED, 0)

    def _side_adj(self) -> str:
        return self._adj0() if self.chance(0.5) else self._side() + self._padj()

    def _side(self, sides: Sequence[str] = ("left", "right", "bilateral", "")) -> str:
        side = self.choose(sides)
        return f"[={side}|{side}] " if side else ""

    def _site_form(self, entries: words.Entries, form: int, plural: bool = False) -> str:
        forms = self._draw(entries).split(":")
        word = words.PLURALS.get(forms[0], f"{forms[0]}s") if plural else forms[form]
        return f"[=site:{forms[0]}|{word}]"

    def _limb(self) -> str:
        return self._site_form(words.PAIRED, 0)

    def _limbs(self) -> str:
        return self._site_form(words.PAIRED, 0, plural=True)

    def _padj(self) -> str:
        return self._site_form(words.PAIRED, 1)

    def _adj0(self) -> str:
        return self._site_form(words.SINGLE, 1)

    def _adj(self) -> str:
        return self._adj0() if self.chance(0.6) else self._padj()

    def _finding(self) -> str:
        return self._lexeme(words.FINDINGS)

    def _complaint(self) -> str:
        return self._lexeme(words.COMPLAINTS)

    def _predicate(self) -> str:
        return self._lexeme(words.PREDICATES)

    def _tumor(self) -> str:
        tumor = self._lexeme(words.TUMORS)
        return f"{self._adj()} {tumor}" if self.chance(0.6) else tumor

    def _grade(self) -> str:
        return self._lexeme(words.GRADES)

    def _service(self) -> str:
        """A name of a service that holds the name of a disorder, which is no mention: "Heart Failure Clinic"."""
        ticket = self._random()
        if ticket < 0.55:
            word = self._draw(words.DISEASES)
        elif ticket < 0.8:
            word = self._draw(words.SYMPTOMS)
        else:
            word = self._draw(words.ABBREVIATIONS).partition("=")[0]
        service = f"{word} {self._draw(words.SERVICES)}"
        return service.title().replace("'S", "'s") if self.chance(0.35) and ticket < 0.8 else service

    def _procedure(self) -> str:
        return f"{self._side()}{self._draw(words.PROCEDURES)}" if self.chance(0.2) else self._draw(words.PROCEDURES)

    def _healthy(self) -> str:
        return self._draw(words.HEALTHY)

    def _adverb(self) -> str:
        return self._draw(words.ADVERBS)

    def _drug(self) -> str:
        return self._draw(words.DRUGS)

    def _lab(self) -> str:
        return self._draw(words.LABS)

    def _test(self) -> str:
        return self._draw(words.TESTS)

    def _dr(self) -> str:
        return self._draw(words.SURNAMES)

    def _job(self) -> str:
        return self._draw(words.JOBS)

    def _relative(self) -> str:
        return self.choose(words.RELATIVES)

    def _year(self) -> str:
        return str(self.number(1989, 2014))

    def _n(self) -> str:
        return str(self.number(1, 9))
