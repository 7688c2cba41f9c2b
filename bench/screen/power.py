"""Prints what it takes to find a difference: a row a difference, and the designs of the one that takes most."""

from __future__ import annotations

from collections.abc import Sequence

from bench.results.display import duration, stated, within
from bench.screen.console import RichReporter
from bench.studies.power import PowerPlan, Question
from bench.wording import some


def show(
    plans: Sequence[PowerPlan], question: Question, notes: Sequence[str] = (), reporter: RichReporter | None = None
) -> None:
    """Prints plans of power; a `reporter` of your own may record them."""
    console = reporter or RichReporter()
    for note in notes:
        console.note(note)
    title = f"to find a true difference of {stated(question.effect)} with {question.power:.0%} power"
    columns: tuple[str, ...] = (
        "of",
        "difference",
        "pilot",
        "sd over seeds",
        "sd over documents",
        "documents",
        "seeds needed",
        "time",
    )
    console.table(title, columns, [_row(plan) for plan in plans])
    hardest = max(plans, key=lambda plan: (plan.seeds is None, plan.seeds or 0, -plan.designs[-1].power))
    columns = (
        "seeds", "power", "smallest found", f"equal within {within(question.margin)} shown", "documents needed", "time"
    )  # fmt: skip
    rows = [
        (
            str(design.seeds), f"{design.power:.0%}", _small(design.detectable), f"{design.equality:.0%}",
            "no number is enough" if design.documents is None else f"{design.documents:,}", _time(design.hours),
        )
        for design in hardest.designs
    ]  # fmt: skip
    console.table(f"{hardest.subject}, {hardest.comparison}: one look, {some(hardest.documents, 'document')}", columns, rows)
    if question.looks:
        columns = (
            "of",
            "difference",
            *(f"found by {some(look.seeds[-1], 'seed')}" for look in question.looks),
            "seeds on average",
        )
        console.table(
            f"with {some(len(question.looks), 'look')}, 5% over all of them", columns, [_looks(plan) for plan in plans]
        )
    for sentence in advice(plans, question):
        console.note(sentence)


def advice(plans: Sequence[PowerPlan], question: Question) -> list[str]:
    """What the tables come to, in sentences."""
    sentences = []
    if question.family > 1:
        sentences.append(
            f"Holm's adjustment for {some(question.family, 'question')} at once is counted at its first and strictest step."
        )
    never = [plan for plan in plans if plan.seeds is None]
    if never:
        names = ", ".join(dict.fromkeys(plan.subject for plan in never))
        sentences.append(
            f"No number of seeds finds it on {names}: documents decide. More of them are needed, or a larger difference."
        )
    pilots = [plan.pilot_seeds for plan in plans if plan.pilot_seeds is not None]
    unsure = [plan for plan in plans if plan.seeds is not None and plan.seeds_if_unsure != plan.seeds]
    if pilots and unsure:
        sentences.append(
            f"The range is what {some(min(pilots), 'pilot seed')} leave open: in one of five such pilots the variance "
            "over seeds is larger than its upper end takes it to be."
        )
    return sentences


def _row(plan: PowerPlan) -> tuple[str, ...]:
    needed = "none is enough" if plan.seeds is None else str(plan.seeds)
    if plan.seeds is not None and plan.seeds_if_unsure != plan.seeds:
        needed += f"–{plan.seeds_if_unsure or 'none'}"
    hours = next((design.hours for design in plan.designs if design.seeds == plan.seeds), None)
    pilot = "stated" if plan.pilot_seeds is None else some(plan.pilot_seeds, "seed")
    sds = (_small(plan.seeds_sd), _small(plan.documents_sd))
    return (plan.subject, plan.comparison, pilot, *sds, f"{plan.documents:,}", needed, _time(hours))


def _looks(plan: PowerPlan) -> tuple[str, ...]:
    if plan.looks is None:
        return (plan.subject, plan.comparison)
    return (plan.subject, plan.comparison, *(f"{share:.0%}" for share in plan.looks.by_look), f"{plan.looks.seeds:.1f}")


def _time(hours: float | None) -> str:
    return "" if hours is None else duration(3600 * hours)


def _small(value: float) -> str:
    """A figure with a digit more than a score: standard deviations are small."""
    return f"{value:.4f}".removeprefix("0")
