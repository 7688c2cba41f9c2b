"""The looks of a study at its runs: their levels, and what other studies have spent on the same runs already.

A study is judged once at all of its seeds, or at the looks that were planned when it was begun. ``study.json`` keeps each
look. A look that nobody planned is a second study over some of the same runs, such as one of twelve seeds after one of six.
It is found by its runs. What the other study spent is gone, by the sum of its levels, whatever their order; where nothing
is left, the later study describes and resolves nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from bench.api.study import StudyKind, StudyRun, judgements, subject_of
from bench.errors import BenchError
from bench.stats.intervals import MINIMUM_SEEDS
from bench.stats.sequential import ALPHA, ONE_LOOK, Look
from bench.studies.study import STUDIES, LookRecord, Study, read_study, studies
from bench.wording import some

UNRESOLVED: Final = "unresolved"


@dataclass(frozen=True)
class EarlierLook:
    """A look of another study at runs of this one.

    Args:
        study: its name.
        seeds: at that look.
        level: of the error rate that it spent.
        verdicts: subject to the words of its verdict there.
        date: and time, UTC; empty where it was not kept.
    """

    study: str
    seeds: int
    level: float
    verdicts: Mapping[str, str]
    date: str = ""

    def __str__(self) -> str:
        return f"study {self.study!r} at {some(self.seeds, 'seed')}, at {percent(self.level)}"


def looks_of(study: Study, kind: StudyKind) -> list[Look]:
    """Every look of a study up to the one that it has reached; one at 5% for a kind that does not take looks."""
    if "looks" not in kind.takes:
        return [ONE_LOOK]
    plan = study.planned_looks
    seeds = tuple(count for count in plan if count <= study.reach)
    shares = {look.seeds: 1 - look.elsewhere / ALPHA for look in study.looks}
    budgets = [max(0.0, shares[count] if count in shares else 1 - elsewhere(study) / ALPHA) for count in seeds]
    spending = study.settings.get("spending", "obrien-fleming")
    return [Look(seeds[: i + 1], plan[-1], len(plan), spending, tuple(budgets[: i + 1])) for i in range(len(seeds))]


def elsewhere(study: Study) -> float:
    """How much of the error rate other studies have spent on the runs of this one."""
    return sum(look.level for look in earlier_looks(study))


def earlier_looks(study: Study) -> list[EarlierLook]:
    """Looks of other studies of the same kind that share runs of every role with the next look of this one.

    A look at the very same runs gives the same numbers. It counts once, whatever number of studies had it, and as far as this
    study had not spent as much at that look itself.
    """
    own = {_marks(study.upto(look.seeds).runs): look.spent for look in study.looks}
    now = study.upto(study.reach).runs
    here = _by_role(now)
    most: dict[frozenset[str], EarlierLook] = {}
    for other in _others(study):
        for look in _spent(other):
            runs = other.upto(look.seeds).runs
            by_role = _by_role(runs)
            marks = _marks(runs)
            if marks == _marks(now) or not all(by_role.get(role, set()) & shared for role, shared in here.items()):
                continue
            more = look.level - own.get(marks, 0.0)
            if more > 0 and (marks not in most or most[marks].level < more):
                most[marks] = replace(look, level=more)
    return list(most.values())


def _others(study: Study) -> Iterator[Study]:
    for name in studies(study.out):
        if name != study.name:
            with suppress(BenchError):  # a damaged one is told where it is opened
                other = read_study(study.out / STUDIES / name)
                if other.kind == study.kind:
                    yield other


def changed_beside(study: Study) -> list[str]:
    """Names of other studies over runs of this one whose files were changed, so that nothing says what they have spent."""
    here = _marks(study.runs)
    return [other.name for other in _others(study) if other.seal == "broken" and here & _marks(other.runs)]


def _spent(study: Study) -> list[EarlierLook]:
    """Every look of a study; one that was judged before looks were kept had one, with the whole of the error rate."""
    if study.looks or study.verdict is None:
        return [EarlierLook(study.name, look.seeds, look.spent, look.verdicts, look.date) for look in study.looks]
    seeds = study.planned_looks[-1]
    words = {subject_of(item): str(item["kind"]) for item in judgements(study.verdict)}
    return [EarlierLook(study.name, seeds, spent_at(seeds, ALPHA), words)]


def _mark(run: StudyRun) -> str:
    return json.dumps(run.identity(), sort_keys=True)


def _marks(runs: list[StudyRun]) -> frozenset[str]:
    return frozenset(map(_mark, runs))


def _by_role(runs: list[StudyRun]) -> dict[str, set[str]]:
    by_role: dict[str, set[str]] = {}
    for run in runs:
        by_role.setdefault(run.role, set()).add(_mark(run))
    return by_role


def record(study: Study, verdict: Mapping[str, Any], kind: StudyKind) -> LookRecord:
    """What is kept in ``study.json`` of the look that a study has reached."""
    look = looks_of(study, kind)[-1]
    statements = kind.statements(verdict)
    resolved = bool(statements) and all(statement.tone != "open" for statement in statements)
    alpha = look.alpha
    return LookRecord(
        seeds=study.reach,
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        level=alpha,
        spent=spent_at(study.reach, alpha),
        cumulative=look.cumulative,
        elsewhere=ALPHA * (1 - look.budgets[-1]),
        last=resolved or look.exhausted or look.number == look.planned,
        verdicts={statement.subject: statement.verdict for statement in statements},
    )


def spent_at(seeds: int, level: float) -> float:
    """What a look at so many seeds spends of the error rate: nothing where it cannot resolve anything."""
    return level if seeds >= MINIMUM_SEEDS else 0.0


def with_look(
    verdict: Mapping[str, Any],
    look: Look,
    before: Mapping[str, Any] | None,
    kind: StudyKind,
    earlier: Sequence[EarlierLook] = (),
) -> dict[str, Any]:
    """A verdict with the look that it was reached at.

    What an earlier look resolved stays as it was then: the error rate was spent on it. At a look with nothing left of the
    error rate everything else stays open, whatever the numbers are.

    Args:
        verdict: of this look alone.
        look: this look.
        before: the verdict of the look before, from this function.
        kind: of the study; says by the tones of its statements which verdicts are open.
        earlier: looks of other studies at these runs, whose verdicts are named where nothing is left of the error rate.
    """
    verdict = json.loads(json.dumps(verdict))  # a copy
    then, now = (_resolved(each, kind) for each in (before, verdict))
    known = {subject_of(item): item for item in judgements(before or {}) if subject_of(item) in then}
    for item in [item for item in judgements(verdict) if isinstance(item, dict)]:
        subject = subject_of(item)
        if subject in known:
            item.clear()
            item.update(known[subject])
            continue
        item["look"] = look.number
        if look.exhausted:
            earlier_words = "".join(f" In {had}: {had.verdicts[subject]}." for had in earlier if subject in had.verdicts)
            item.update(kind=UNRESOLVED, reason=f"{NOTHING_LEFT}{earlier_words} Seen alone: {item['reason']}")
        elif subject in now:
            item["reason"] += resolved_at(look)
    shown = {
        "number": look.number, "planned": look.planned, "seeds": look.seeds[-1], "total": look.total, "level": look.alpha,
        "cumulative": look.cumulative, "spending": look.spending, "summary": summary(look),
    }  # fmt: skip
    return {**verdict, "look": shown}


def _resolved(verdict: Mapping[str, Any] | None, kind: StudyKind) -> set[str]:
    """The subjects on which a verdict leaves nothing open."""
    return set() if verdict is None else {said.subject for said in kind.statements(verdict) if said.tone != "open"}


def resolved_at(look: Look) -> str:
    """What is added to the reason of a verdict that was resolved at one look of several."""
    return f" Resolved at look {look.number} of {look.planned}, {some(look.seeds[-1], 'seed')}." if look.planned > 1 else ""


NOTHING_LEFT = "The 5% were spent at an earlier look: this look cannot resolve anything by the same data."
"""What is said of every verdict where other studies spent the whole of the error rate."""


def summary(look: Look) -> str:
    """At which look and level, in a sentence or two."""
    if look.planned == 1 and look.exhausted:
        return NOTHING_LEFT
    gone = "" if look.budgets[-1] == 1 else f" Other studies spent {percent(ALPHA * (1 - look.budgets[-1]))} on the same runs."
    where = f"Look {look.number} of {look.planned}, {look.seeds[-1]} of {some(look.total, 'seed')}"
    if look.exhausted:
        return f"{where}.{gone} {NOTHING_LEFT}"
    if look.planned == 1:
        return f"Judged at {percent(look.alpha)}, so that {percent(ALPHA)} hold over all looks.{gone}"
    words = {"obrien-fleming": "O'Brien–Fleming", "pocock": "Pocock"}[look.spending]
    return (
        f"{where}: p is held to {percent(look.alpha)}, so that {percent(ALPHA)} hold over all looks ({words} spending, "
        f"{percent(look.cumulative)} spent so far). Intervals hold the truth at all looks at once with 95%.{gone}"
    )


def about_looks(study: Study, kind: StudyKind) -> list[str]:
    """What a reader of the verdict must know of looks: which one it is, what is not needed, or that more seeds cannot help."""
    verdict = study.verdict or {}
    sentences = [str(verdict["look"]["summary"])] if "look" in verdict else []
    left = len(study.runs) - len(study.due())
    if study.judged and left:
        sentences.append(f"The study ended at this look: it needs no more of the {some(left, 'run')} of later looks.")
    if "look" not in verdict and "looks" in kind.takes and any(said.tone == "open" for said in kind.statements(verdict)):
        seeds = study.reach
        if seeds >= MINIMUM_SEEDS:
            sentences.append(
                f"The 5% are spent by this look at {some(seeds, 'seed')}: more seeds cannot resolve what is open. A "
                "replication on fresh seeds may, with looks planned from its start: --seed "
                f"{max(run.seed for run in study.runs) + 1} --looks {seeds},{2 * seeds},{4 * seeds}."
            )
    return sentences


def looked_already(study: Study, kind: StudyKind) -> str | None:
    """What to know before runs are trained: that other studies have looked at them already, and what is left; else None."""
    earlier = earlier_looks(study)
    if not earlier or study.judged or "looks" not in kind.takes:
        return None
    looked = "; ".join(map(str, earlier))
    look = looks_of(study, kind)[-1]
    if look.exhausted:
        return (
            f"Looked at these runs already: {looked}. {NOTHING_LEFT} It describes them only. "
            "Fresh seeds (--seed N) make a study of their own; --looks plans several looks before the first."
        )
    return f"Looked at these runs already: {looked}. This look is held to {percent(look.alpha)} for it."


def judged_by(runs: Collection[str], folders: Iterable[Path]) -> list[str]:
    """Looks of studies in folders of runs at some of these runs, in words."""
    looks = []
    for out in folders:
        for name in studies(out):
            with suppress(BenchError):
                study = read_study(out / STUDIES / name)
                spent = [look.seeds for look in _spent(study) if look.level > 0]
                if spent and any(run.run in runs for run in study.runs):
                    looks.append(f"study {name!r} at {', '.join(map(str, spent))} seeds")
    return looks


def percent(share: float) -> str:
    """A level as people read it, e.g. ``5%``, ``0.31%`` or ``0.0015%``."""
    return f"{100 * share:.2g}%" if share < 0.1 else f"{share:.0%}"
