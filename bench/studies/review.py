"""A saved study held against itself and its runs: is ``study.json`` what was written, and does its verdict follow from them?

Its own hash finds whatever was changed by hand. A hash can be made anew, so the verdict is also judged again from the
statistics of the runs, and every run must be the one that the plan names. As with a run, whoever makes up everything passes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.api.study import StudyKind
from bench.errors import BenchError
from bench.registry import Registry
from bench.results.layout import RESULT
from bench.results.manifest import Standing
from bench.results.store import read_result
from bench.stats.sequential import ALPHA
from bench.studies.arms import Run
from bench.studies.finished import KIND_VERSION, UnknownKind, judged, judged_by_look, kind_of, own_faults
from bench.studies.looks import changed_beside, earlier_looks, looks_of, spent_at
from bench.studies.standing import CLOSE, same
from bench.studies.study import STUDY, Seal, Study
from bench.wording import some


@dataclass(frozen=True)
class Review:
    """What of a study is not as it was written, each in a few words.

    Args:
        seal: of ``study.json``.
        runs: that changed since they were written, or are not the ones of the plan.
        looks: that are not at the levels of the plan, and other studies at the same runs that were changed.
        verdict: what of it the statistics of the runs do not give.
        unjudged: why the verdict was not judged again; empty where it was, or where there is none.
        note: what to know of a verdict that another version of the kind wrote; empty of others.
    """

    seal: Seal
    runs: tuple[str, ...] = ()
    looks: tuple[str, ...] = ()
    verdict: tuple[str, ...] = ()
    unjudged: str = ""
    note: str = ""

    @property
    def changed(self) -> tuple[str, ...]:
        """All of it; empty where the study is as it was written."""
        return (*([STUDY] if self.seal == "broken" else []), *self.verdict, *self.looks, *self.runs)

    def __str__(self) -> str:
        """In a few words."""
        if self.changed:
            return str(Standing("there", self.changed))
        if self.seal == "none":
            return f"no hash in {STUDY}: an older bench wrote it, so that only its verdict says whether it was changed"
        return "as it was written"

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {"seal": self.seal, "changed": list(self.changed), "unjudged": self.unjudged}


def outdated(study: Study, kind: StudyKind) -> bool:
    """Whether the verdict of a study was written by another version of its kind than the one installed."""
    return (
        study.verdict is not None and not isinstance(kind, UnknownKind) and study.verdict.get(KIND_VERSION, "1") != kind.version
    )


def reviewed(study: Study, registry: Registry) -> Review:
    """Holds a study against its hash, its plan, its looks and the statistics of its runs.

    A verdict that another version of the kind wrote is judged again, in memory: its words have other meanings.

    Args:
        study: as it was read; its verdict may be replaced.
        registry: knows the kind and the scorers of its tasks.
    """
    kind, note, unjudged = kind_of(study.kind, registry), "", ""
    verdict: tuple[str, ...] = ()
    looks = (*_levels(study, kind), *(f"study {name!r} at the same runs ({STUDY})" for name in changed_beside(study)))
    if study.verdict is not None:
        try:
            if isinstance(kind, UnknownKind):
                unjudged = f"the kind of study {kind.name!r} is not installed"
            elif outdated(study, kind):
                note = _judged_again(study, kind, registry)
            else:
                verdict = tuple(dict.fromkeys(_misjudged(study, kind, registry)))
        except BenchError as refused:
            unjudged = refused.message
    return Review(study.seal, tuple(_runs(study)), looks, verdict, unjudged, note)


def _judged_again(study: Study, kind: StudyKind, registry: Registry) -> str:
    """Judges a study by the version of its kind that is installed, and returns what a reader must know of that."""
    written = f"version {(study.verdict or {}).get(KIND_VERSION, '1')} of the study kind {kind.name!r}"
    try:
        study.verdict = judged(study.at_last_look(), registry, _silent)
    except BenchError as refused:
        return (
            f"The verdict is in the words of {written}; in those of version {kind.version} it may be another. "
            f"It cannot be judged again here: {refused.message}"
        )
    return f"The verdict that {written} wrote was judged again, from the statistics of its runs, by version {kind.version}."


def _silent(message: str) -> None:
    """Takes what was told when the study was judged."""


def _misjudged(study: Study, kind: StudyKind, registry: Registry) -> Iterator[str]:
    """The words and figures of the verdict, and of every look, that the statistics of the runs do not give."""
    again = judged_by_look(study.at_last_look(), registry, _silent)
    told = [_words(kind, verdict) for verdict in again]
    for record, words in zip(study.looks, told, strict=False):
        yield from _unlike(f"the verdict at {some(record.seeds, 'seed')}", record.verdicts, words)
    yield from _unlike("the verdict", _words(kind, study.verdict), told[-1])
    stated, found = dict(_figures(study.verdict)), dict(_figures(json.loads(json.dumps(again[-1]))))
    for place in (place for place in stated if place in found):
        one, other = stated[place], found[place]
        if type(one) is bool or type(other) is bool:
            unlike = one is not other
        else:
            unlike = not (isinstance(one, str) or isinstance(other, str)) and not same(one, other)
        if unlike or isinstance(one, str) != isinstance(other, str):
            yield f"{place} of the verdict (not what its runs' statistics give)"


def _figures(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of a verdict by the names and numbers that lead to it, and how long each list is."""
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield from _figures(member, f"{place}.{name}" if place else str(name))
    elif isinstance(value, list):
        yield f"{place}, length", len(value)
        for number, member in enumerate(value, 1):
            yield from _figures(member, f"{place}.{number}")
    else:
        yield place, value


def _words(kind: StudyKind, verdict: Mapping[str, Any] | None) -> dict[str, str]:
    if verdict is None:
        return {}
    with own_faults(kind, "telling the verdict"):
        return {statement.subject: statement.verdict for statement in kind.statements(verdict)}


def _unlike(what: str, stated: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    for subject in dict.fromkeys((*stated, *found)):
        if stated.get(subject) != found.get(subject):
            words = found.get(subject, "nothing")
            yield f"{what} on {subject} ({stated.get(subject, 'missing')}; its runs' statistics give: {words})"


def _levels(study: Study, kind: StudyKind) -> Iterator[str]:
    """Looks that were held to other levels than the plan, and what was spent elsewhere, give."""
    if not study.looks or isinstance(kind, UnknownKind):
        return
    for number, record in enumerate(study.looks):
        then = replace(study, looks=study.looks[:number])
        spent = sum(look.level for look in earlier_looks(then) if look.date < record.date)
        if min(spent, ALPHA) > record.elsewhere + CLOSE:
            yield f"the look at {some(record.seeds, 'seed')} (it leaves out what other studies had spent on the same runs)"
    for record, look in zip(study.looks, looks_of(study.at_last_look(), kind), strict=True):
        alpha = look.alpha
        stated = ((record.level, alpha), (record.cumulative, look.cumulative), (record.spent, spent_at(record.seeds, alpha)))
        if not all(same(one, other) for one, other in stated):
            yield f"the look at {some(record.seeds, 'seed')} (another level than the plan gives)"


def _runs(study: Study) -> Iterator[str]:
    """Finished runs that changed since they were written, or whose settings are not those of the plan."""
    from bench.steps.start import given

    for planned in study.finished():
        folder = study.out / str(planned.run)
        if not (folder / RESULT).exists():  # gone, not changed: it runs again when the study's command is typed
            continue
        try:
            run = Run(folder, read_result(folder))
            stranger = given(run.result).identity() != study.config_of(planned).identity()
        except BenchError as error:
            yield f"run {planned.key} ({error.message})"
            continue
        if run.id != planned.run:
            yield f"run {planned.key} (the folder {planned.run} holds {run.id})"
        if stranger:
            yield f"run {planned.key} ({planned.run} has other settings than the plan)"
        if run.standing.changed:
            yield f"run {planned.key} ({', '.join(run.standing.changed[:2])})"
