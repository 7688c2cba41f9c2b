"""The page: one HTML file that holds its styles, its scripts and its numbers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from importlib.resources import files
from typing import Any

from bench import __version__
from bench.api.architecture import UNMATCHED
from bench.api.study import Statement
from bench.data.faults import listed
from bench.errors import MissingError
from bench.pages.collect import Evidence
from bench.pages.content import Section, shown
from bench.pages.overlap import flagged
from bench.pages.vega import INSTALL, javascript, specifications, style
from bench.pages.verdicts import statements, tested
from bench.results.scores import below_dictionary
from bench.stats.intervals import MINIMUM_SEEDS
from bench.studies.contract import Difference, training_set
from bench.studies.looks import about_looks
from bench.wording import some

LONG_TABLE = 10
"""Rows from which on a table can be filtered."""
ROWS = 400
"""Most rows of a table on the page; its CSV has all."""


@dataclass(frozen=True)
class Notice:
    """A warning at the top of the page.

    Args:
        word: its heading.
        text: the sentence.
    """

    word: str
    text: str


@dataclass(frozen=True)
class Front:
    """The top of a page: what it asks, warnings, and the verdict.

    Args:
        title: of what it is about.
        question: that it answers, its heading.
        facts: in a word or two each.
        command: that wrote it.
        basis: what the verdict rests on, a note each, or why there is none.
        notices: warnings.
        statements: of the verdict, or of a description.
        tested: whether there is a verdict.
        meaning: the verdict in a sentence for everybody.
        synthetic: whether any text was generated.
    """

    title: str
    question: str
    facts: tuple[str, ...]
    command: str
    basis: tuple[str, ...]
    notices: tuple[Notice, ...]
    statements: tuple[Statement, ...]
    tested: bool
    meaning: str = ""
    synthetic: bool = False


def front_of(evidence: Evidence) -> Front:
    """The top of the page of runs, or of a study."""
    said = statements(evidence)
    kind = "" if evidence.study is None else f"{evidence.study.kind} study "
    facts = (some(len(evidence.runs), "run"), some(len(evidence.arms), "arm"), ", ".join(evidence.tasks))
    return Front(
        f"{kind}{evidence.title}", question(evidence), facts, evidence.command, basis(evidence), tuple(notices(evidence)),
        tuple(said), tested(evidence), meaning(evidence, said), any(run.result.synthetic for run in evidence.runs),
    )  # fmt: skip


def render(front: Front, sections: Sequence[Section]) -> str:
    """The whole page.

    Args:
        front: its top.
        sections: below the verdict, in order.

    Raises:
        MissingError: jinja2 or vl-convert is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise MissingError("A report needs jinja2, which is not installed.", INSTALL) from None
    here = files("bench.pages")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters["cell"] = shown
    template = environment.from_string((here / "page.html.j2").read_text(encoding="utf-8"))
    plots: dict[str, Any] = {}
    panels: dict[str, list[tuple[str, str]]] = {}
    legends: dict[str, list[tuple[str, int, str, bool]]] = {}
    for figure in (figure for section in sections for figure in section.figures):
        for i, (title, spec) in enumerate(specifications(figure)):
            place = f"plot-{figure.name}-{i}"
            plots[place] = spec
            panels.setdefault(figure.name, []).append((place, title))
        legends[figure.name] = [(g, *style(i)[:2], _dashed(i)) for i, g in enumerate(figure.groups)]
    compact = [replace(section, tables=tuple(table.compact() for table in section.tables)) for section in sections]
    return template.render(
        front=front, sections=compact, date=date.today().isoformat(), long=LONG_TABLE, plots=_script(plots), panels=panels,
        legends=legends, most=ROWS, version=__version__,
        css=(here / "page.css").read_text(encoding="utf-8"),
        js=(here / "page.js").read_text(encoding="utf-8"), vega=_inline(javascript()),
    )  # fmt: skip


def question(evidence: Evidence) -> str:
    """What the page answers: the question of the study's kind, or what its runs differ in."""
    tasks = _and(evidence.tasks)
    if evidence.kind is not None and evidence.kind.question:
        return evidence.kind.question.format(tasks=tasks)
    if len(evidence.arms) == 1:
        return f"How good is {evidence.arms[0]} on {tasks}?"
    arms = _and(evidence.arms) if len(evidence.arms) <= 4 else some(len(evidence.arms), "arm")
    return f"Do {arms} differ on {tasks}?"


def meaning(evidence: Evidence, sentences: Sequence[Statement]) -> str:
    """The verdict in a sentence for somebody who does not know its words; empty where the cards say it already."""
    known = evidence.kind.meanings if evidence.kind is not None else {}
    subjects: dict[str, list[str]] = {}
    for sentence in sentences:
        if sentence.verdict in known:
            subjects.setdefault(known[sentence.verdict], []).append(sentence.subject)
    if subjects:
        return " ".join(f"For {_and(names)}, {words}." for words, names in subjects.items())
    pairs = evidence.comparison.result.pairs if evidence.comparison is not None and evidence.comparison.result else ()
    if not pairs:
        return (
            "" if tested(evidence) else "These scores describe the runs; they do not show that one arm is better than another."
        )
    if all(pair.estimate.seeds < MINIMUM_SEEDS for pair in pairs):
        return f"Nothing is shown: fewer than {MINIMUM_SEEDS} seeds do not tell a difference from chance."
    sure = sum(pair.better is not None for pair in pairs)
    if not sure:
        return "No difference is shown: chance could bring about as large ones, with these seeds and documents."
    rest = "" if sure == len(pairs) else " About the others nothing is shown, which is not that they are equal."
    return f"{some(sure, 'difference')} of {len(pairs)} would be expected again with other seeds and other documents.{rest}"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def basis(evidence: Evidence) -> tuple[str, ...]:
    """What the verdict rests on, a note each, or why there is none."""
    study, compared = evidence.study, evidence.comparison
    if compared is not None and compared.result is not None and compared.judged:
        by, split = " and ".join(compared.by), compared.result.split
        floors = [
            f"{task} {shown(floor.sd, 'score')} over {floor.source}"
            for task, floor in compared.result.floors.items()
            if floor.sd is not None
        ]
        noise = [f"Noise floor, as the standard deviation of one score: {', '.join(floors)}."] * bool(floors)
        return (f"Compared by {by}, on {split}, as 'bench compare' does.", *noise, *compared.result.notes)
    if study is not None and isinstance(study.verdict, Mapping):
        drawn = training_set(all(c.train_resample is not None or c.shots for c in (run.config for run in study.runs)))
        return (*(() if evidence.kind is None else about_looks(study, evidence.kind)), drawn)
    if study is not None and evidence.unfinished:
        return ("The study has no verdict yet: the page describes the runs that finished and tests nothing.",)
    what = "These runs are no study" if study is None else f"A study of the kind {study.kind} has no verdict of its own"
    if compared is None:
        return (f"{what}: the page describes and tests nothing.",)
    why = compared.result.notes if compared.result is not None else (f"{compared.reason} {compared.hint}".strip(),)
    return (f"{what}, and no comparison was made: the page describes and tests nothing.", *(() if compared.refused else why))


def notices(evidence: Evidence) -> list[Notice]:
    """Warnings: synthetic data, changed runs, plumbing models, waivers, unmatched arms, leaks, differences, unfinished runs."""
    runs = evidence.runs
    warnings = []
    synthetic = sum(run.result.synthetic for run in runs)
    if synthetic:
        which = "All" if synthetic == len(runs) else f"{synthetic} of {len(runs)}"
        warnings.append(Notice("Synthetic", f"{which} runs rest on generated text: their figures say that the plumbing works, "
                            "nothing about clinical text."))  # fmt: skip
    changed = list(dict.fromkeys(f"{run.id} ({', '.join(run.standing.changed[:2])})" for run in runs if run.standing.changed))
    if changed:
        listing = "; ".join(changed[:4]) + (f" and {len(changed) - 4} more" if len(changed) > 4 else "")
        warnings.append(Notice("Changed", f"Since they were written: {listing}. What rests on these runs does not hold until "
                                "'bench verify' says what of them does."))  # fmt: skip
    if evidence.review is not None and evidence.review.changed:
        words = "The verdict does not hold until 'bench verify' says what of it does."
        warnings.append(Notice("Changed", f"The study {evidence.review}. {words}"))
    plumbing = sorted({str(run.result.config.get("model")) for run in runs if run.result.plan.model.plumbing_only})
    if plumbing:
        warnings.append(
            Notice("Plumbing", f"{', '.join(plumbing)} is made from a seed and knows no language; scores mean nothing.")
        )
    waived: dict[str, int] = {}
    for run in runs:
        for name in run.result.waivers:
            waived[name] = waived.get(name, 0) + 1
    if waived:
        listing = ", ".join(f"{name} ({some(count, 'run')})" for name, count in waived.items())
        warnings.append(
            Notice(
                "Waived", f"Invariants that were not enforced: {listing}. Comparisons refuse these runs unless told otherwise."
            )
        )
    unmatched = Counter(str(run.result.config.get("arch")) for run in runs if not run.result.matched)
    if unmatched:
        listing = ", ".join(f"{name} ({some(count, 'run')})" for name, count in unmatched.items())
        warnings.append(
            Notice(
                "Unmatched",
                f"Arms that are {UNMATCHED}: {listing}. A difference to others may come of the number of parameters.",
            )
        )
    if below := below_dictionary(run.result for run in runs):
        warnings.append(Notice("Below a dictionary", below))
    if evidence.review is not None and evidence.review.note:
        warnings.append(Notice("Other words", evidence.review.note))
    warnings += leaking(evidence)
    dropped = {task: listed(counts) for run in evidence.runs for task, counts in run.result.left_out.items()}
    if dropped:
        listing = "; ".join(f"{task}: {counts}" for task, counts in dropped.items())
        warnings.append(Notice("Left out", f"Faulty lines of corpora that runs tolerated: {listing}."))
    stored = ((evidence.study.verdict if evidence.study else None) or {}).get("differences", ())
    compared = evidence.comparison.differences if evidence.comparison is not None and evidence.comparison.judged else ()
    for difference in (*(Difference(**fields) for fields in stored), *compared):
        title = "In all runs" if difference.same else "Differs"
        said = difference.sentence[0].upper() + difference.sentence[1:]
        warnings.append(Notice(title, f"{said}."))
    if evidence.unfinished:
        left = evidence.unfinished
        named = ", ".join(left[:4]) + (f" and {len(left) - 4} more" if len(left) > 4 else "")
        warnings.append(Notice("Unfinished", f"No result yet of {len(left)} of {some(len(left) + len(runs), 'run')}: {named}."))
    return warnings


def leaking(evidence: Evidence) -> list[Notice]:
    """Warnings about documents in two splits: allowed by a flag, or suspected from the text that splits share."""
    leaks = []
    allowed = {task: count for run in evidence.runs for task, leak in run.result.leaks.items() if (count := leak["allowed"])}
    if allowed:
        listing = ", ".join(f"{task} {count}" for task, count in allowed.items())
        leaks.append(Notice("Leaks allowed", f"Documents in two splits that --allow-leak let through: {listing}."))
    shared = [f"{task}, {words}" for task, words in flagged(evidence)]
    if shared:
        leaks.append(Notice("Overlap", f"Test text that stands in the training split: {'; '.join(shared)}."))
    return leaks


def _dashed(index: int) -> bool:
    return style(index)[2] != (1, 0)


def _script(value: Any) -> str:
    """JSON for a script element."""
    from markupsafe import Markup

    return Markup(json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c"))


def _inline(script: str) -> str:
    """JavaScript for a script element."""
    from markupsafe import Markup

    return Markup(script.replace("</script", "<\\/script").replace("<!--", "<\\!--"))
