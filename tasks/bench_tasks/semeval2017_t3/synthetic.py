"""Writes the seeded synthetic forum in the official XML. Every query depends on seed, split and number alone.

A comment is *Good* where it answers for the thing **and** the aspect of the question. Bad ones name the thing without an answer
(banter), answer another question about it, or answer the same question about another thing. Every thing has two names, so that
matching words is not enough; half of the things in test are not in training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from xml.sax.saxutils import escape

from bench.api.data import SPLITS
from bench.kit.synthetic import Draws, begin
from bench_tasks.semeval2017_t3.frames import ANSWERS, ASPECTS, BANTER, BODIES, PLACES, QUESTIONS, THINGS, VAGUE

Item = TypeVar("Item")
Thing = tuple[str, str]
"""The two names of a thing."""


@dataclass(frozen=True)
class Shape:
    """The size of a subtask's corpus.

    Args:
        sizes: queries per split.
        threads: of a query; 1 where a thread is the query.
        comments: of a thread.
        candidates: of a query.
    """

    sizes: Mapping[str, int]
    threads: int
    comments: int
    candidates: int


SHAPES: Mapping[str, Shape] = {
    "A": Shape({"train": 120, "dev": 30, "test": 40}, 1, 10, 10),
    "B": Shape({"train": 120, "dev": 30, "test": 40}, 10, 1, 10),
    "C": Shape({"train": 40, "dev": 10, "test": 16}, 6, 5, 30),
}
_GOOD, _USEFUL = 0.35, 0.5


def write_corpus(folder: Path, seed: int, sizes: Mapping[str, int] | None, letter: str) -> None:
    """Writes one XML file a split, and the marker file.

    Args:
        folder: empty or missing; made here.
        seed: same seed, same bytes.
        sizes: queries per split; a split that is not given has the size of the subtask's shape.
        letter: of the subtask.

    Raises:
        UsageError: a size is not positive, or the folder holds something already.
    """
    counts = begin(folder, sizes, SHAPES[letter].sizes)
    first = 1
    for split in SPLITS:
        (folder / split).mkdir(parents=True)
        written = [_Forum(split, Draws(seed, letter, split, n)).query(first + n, SHAPES[letter]) for n in range(counts[split])]
        first += counts[split]  # ids are unique over the whole corpus, as the official ones
        text = '<?xml version="1.0" encoding="UTF-8"?>\n<xml>\n' + "".join(written) + "</xml>\n"
        (folder / split / f"synthetic-{split}-subtask{letter}.xml").write_bytes(text.encode("utf-8"))


class _Forum:
    """Writes one query.

    Args:
        split: its frames and words are used.
        draws: of this query.
    """

    def __init__(self, split: str, draws: Draws) -> None:
        self.split, self.draws = split, draws
        letter = {"train": "t", "dev": "d", "test": "e"}[split]
        self.things: list[Thing] = [(first, second) for first, second, use in THINGS if use in ("s", letter)]

    def query(self, number: int, shape: Shape) -> str:
        """A thread alone, or an original question with its threads."""
        thing, aspect = self.draws.choose(self.things), self.draws.choose(ASPECTS)
        if shape.threads == 1:
            return self._thread(f"Q{number}_R1", (thing, aspect), (thing, aspect), shape.comments, None, True)
        subject, body = self._question(thing, aspect)
        head = f"<OrgQSubject>{subject}</OrgQSubject>\n<OrgQBody>{body}</OrgQBody>\n"
        labels = self.draws.shuffled(["PerfectMatch", "Relevant", "Irrelevant", *self._labels(shape.threads - 3)])
        sure = labels.index("PerfectMatch")
        parts = []
        for rank, label in enumerate(labels, 1):
            asked = self._related(thing, aspect, label)
            name = f"Q{number}_R{rank}"
            thread = self._thread(name, asked, (thing, aspect), shape.comments, label, rank - 1 == sure)
            parts.append(f'<OrgQuestion ORGQ_ID="Q{number}">\n{head}{thread}</OrgQuestion>\n')
        return "".join(parts)

    def _labels(self, count: int) -> list[str]:
        return [self.draws.choose(("PerfectMatch", "Relevant", "Relevant", *["Irrelevant"] * 5)) for _ in range(count)]

    def _related(self, thing: Thing, aspect: str, label: str) -> tuple[Thing, str]:
        """Thing and aspect of a related question."""
        if label == "PerfectMatch":
            return thing, aspect
        if label == "Relevant":
            return thing, self._other(ASPECTS, aspect)
        return self._other(self.things, thing), aspect if self.draws.chance(0.6) else self.draws.choose(ASPECTS)

    def _thread(
        self, name: str, asked: tuple[Thing, str], original: tuple[Thing, str], comments: int, label: str | None, sure: bool
    ) -> str:
        """A related question with its comments.

        Args:
            name: of the thread.
            asked: thing and aspect of its question.
            original: those of the original question.
            comments: number of comments.
            label: relevance of its question to the original one; None where there is no original one.
            sure: whether one of its comments must be good.
        """
        subject, body = self._question(*asked)
        judged = f' RELQ_RELEVANCE2ORGQ="{label}"' if label else ""
        lines = [
            f'<Thread THREAD_SEQUENCE="{name}">\n<RelQuestion RELQ_ID="{name}" RELQ_CATEGORY="Advice and Help"'
            f"{judged}>\n<RelQSubject>{subject}</RelQSubject>\n<RelQBody>{body}</RelQBody>\n</RelQuestion>\n"
        ]
        # At least one good and one bad comment, in random places.
        fixed = ["Good", "Bad"][:comments] if sure else []
        drawn = [self._relevance() for _ in range(comments - len(fixed))]
        for number, relevance in enumerate(self.draws.shuffled([*fixed, *drawn]), 1):
            far = relevance
            if relevance != "Bad" and asked != original:  # it answers another question than the original one
                far = "PotentiallyUseful" if asked[0] == original[0] else "Bad"
            to_original = f' RELC_RELEVANCE2ORGQ="{far}"' if label else ""
            lines.append(
                f'<RelComment RELC_ID="{name}_C{number}"{to_original} RELC_RELEVANCE2RELQ="{relevance}">\n'
                f"<RelCText>{self._comment(*asked, relevance)}</RelCText>\n</RelComment>\n"
            )
        return "".join([*lines, "</Thread>\n"])

    def _relevance(self) -> str:
        if self.draws.chance(_GOOD):
            return "Good"
        return "PotentiallyUseful" if self.draws.chance(_USEFUL * _GOOD) else "Bad"

    def _question(self, thing: Thing, aspect: str) -> tuple[str, str]:
        """Subject and body."""
        body = " ".join(self._filled(frame, thing) for frame in self.draws.shuffled(BODIES[self.split])[:2])
        return self._filled(self.draws.choose(QUESTIONS[self.split][aspect]), thing), body

    def _comment(self, thing: Thing, aspect: str, relevance: str) -> str:
        if relevance == "Good":
            return self._filled(self.draws.choose(ANSWERS[self.split][aspect]), thing)
        if relevance == "PotentiallyUseful":
            return self._filled(self.draws.choose(VAGUE[self.split]), thing)
        kind = self.draws.number(0, 2)
        if kind == 0:
            return self._filled(self.draws.choose(BANTER[self.split]), thing)
        if kind == 1:
            return self._filled(self.draws.choose(ANSWERS[self.split][self._other(ASPECTS, aspect)]), thing)
        return self._filled(self.draws.choose(ANSWERS[self.split][aspect]), self._other(self.things, thing))

    def _filled(self, frame: str, thing: Thing) -> str:
        draws = self.draws
        return escape(
            frame.format(
                t=draws.choose(thing),
                p=draws.choose(PLACES[self.split]),
                n=draws.number(2, 9),
                m=f"{draws.number(2, 60) * 10} {draws.choose(('dollars', 'pounds', 'riyals'))}",
                h=f"{draws.number(6, 11)}:{draws.choose(('00', '15', '30'))}",
            )
        )

    def _other(self, items: Sequence[Item], item: Item) -> Item:
        return self.draws.choose([other for other in items if other != item])
