"""The page of a pooled study: the sites and what of them was checked, each contrast at every site and over them."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from bench.api.study import Statement, Tone
from bench.pages.content import Cell, Column, Figure, Mark, Section, Table, difference, shown
from bench.pages.page import Front, Notice
from bench.pages.write import PAGE, write_page
from bench.pooling.pool import Contrast, Pool
from bench.stats.intervals import MINIMUM_SEEDS
from bench.wording import some

TONES: dict[str, Tone] = {
    "genuine transfer": "good", "data exposure": "even", "no effect": "even", "costly sharing": "bad",
    "no transfer": "bad", "negative transfer": "bad",
}  # fmt: skip
POOLED = "all sites"


def write(pooled: Pool, out: Path) -> Path:
    """Writes the page with its tables and figures, and returns its path.

    Raises:
        MissingError: the extra ``report`` is not installed.
        StorageError: the disk is full or cannot be written.
    """
    synthetic = any(site.about.get("synthetic") for site in pooled.sound)
    sections = [
        Section("sites", "Sites", (), (_sites(pooled, synthetic),)),
        Section("contrasts", "Differences", (_forest(pooled, synthetic),), (_table(pooled, synthetic),)),
        *([Section("ties", "Arms that are not told apart", (), (_ties(pooled, synthetic),))] if pooled.ties else []),
    ]
    write_page(_front(pooled, synthetic), sections, out)
    return out / PAGE


def _runs(pooled: Pool) -> tuple[str, ...]:
    return tuple(f"{site.name}: {ident}" for site in pooled.sound for ident in site.manifests)


def _front(pooled: Pool, synthetic: bool) -> Front:
    tasks = list(dict.fromkeys(contrast.task for contrast in pooled.contrasts))
    left_out = [site for site in pooled.sites if site.problems]
    notices = [Notice("Synthetic", "Some sites rest on generated text: nothing about clinical text.")] if synthetic else []
    notices += [Notice("Left out", f"{site.name}: {' '.join(site.problems)}") for site in left_out]
    notices += [Notice("Missing", sentence) for sentence in pooled.missing]
    if unregistered := [site.name for site in pooled.sound if site.name not in pooled.registered]:
        notices.append(
            Notice("Unregistered", f"{', '.join(unregistered)}: the corpora were not registered before the study, so that "
                   "nothing says whether they were chosen after looking at results.")
        )  # fmt: skip
    question = f"What do {some(len(pooled.sound), 'site')} together say of {' and '.join(tasks)}?"
    facts = (some(len(pooled.sound), "site"), some(sum(len(s.manifests) for s in pooled.sound), "run"), ", ".join(tasks))
    words = " ".join(["bench pool", *(quote(site.path.name) for site in pooled.sites)])
    means = (
        "Weighted by test documents: what holds at these sites. Random effects: what to expect at a site like them, wider "
        "where sites disagree."
    )
    return Front(f"pooled {pooled.kind} study", question, facts, words, (*pooled.looks, means), tuple(notices),
                 tuple(_said(pooled)), not pooled.apart, "", synthetic)  # fmt: skip


def _said(pooled: Pool) -> list[Statement]:
    if pooled.verdicts:
        return [Statement(v.task, v.kind, v.reason, TONES.get(v.kind, "open")) for v in pooled.verdicts]
    said = []
    for contrast in pooled.contrasts:
        over = contrast.difference.estimate
        word = f"{contrast.better} is better" if contrast.better else "not resolved"
        few = f" A verdict needs at least {MINIMUM_SEEDS} seeds at every site." if over.seeds < MINIMUM_SEEDS else ""
        reason = f"{contrast.metric} {difference(over.to_json())} over {over.units}.{few}{_disagree(contrast)}"
        tone: Tone = "good" if contrast.better else "open"
        said.append(Statement(f"{contrast.task}: {contrast.name}", word, reason, tone))
    return said


def _disagree(contrast: Contrast) -> str:
    rest = contrast.difference.heterogeneity
    if rest is None or rest.p >= 0.1:
        return ""
    return f" The sites disagree (Q {rest.q:.1f}, p {shown(rest.p, 'p')}; τ {shown(rest.tau2**0.5, 'score')})."


def _sites(pooled: Pool, synthetic: bool) -> Table:
    columns = (
        Column("site", "site"), Column("state", "state"), Column("runs", "runs", "count"),
        Column("documents", "test documents", "count"), Column("plan", "plan"), Column("code", "code"),
        Column("registered", "registered", "flag"), Column("why", "what is wrong"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (site.name, "left out" if site.problems else "pooled", len(site.manifests), max(site.documents.values(), default=0),
         site.plan[:12], site.code[:12], site.name in pooled.registered, " ".join(site.problems))
        for site in pooled.sites
    ]  # fmt: skip
    caption = (
        "Checked of every site: seals and hashes of all files, waivers, counted tokens against the plan, one corpus in all "
        "runs, the same documents, scorer, plan and code. Not checked: whether the predictions are the model's; only the site "
        "can verify that ('bench verify')."
    )
    return Table("sites", "Sites", caption, columns, tuple(rows), _runs(pooled), synthetic)


def _forest(pooled: Pool, synthetic: bool) -> Figure:
    marks: list[Mark] = []
    for contrast in pooled.contrasts:
        panel = f"{contrast.task}: {contrast.name}"
        marks += [
            Mark(each.difference, name, panel, "a site", low=each.low, high=each.high)
            for name, each in contrast.difference.sites.items()
        ]
        over = contrast.difference
        marks.append(
            Mark(over.estimate.difference, POOLED, panel, "these sites", low=over.estimate.low, high=over.estimate.high)
        )
        if over.mean is not None:
            marks.append(Mark(over.mean, "sites like these", panel, "random effects", low=over.low, high=over.high))
    said = ". ".join(f"{c.task}, {c.name}: {difference(c.difference.estimate.to_json())}" for c in pooled.contrasts)
    return Figure(
        "sites-forest", "Differences by site",
        "Points are means over seeds, bars 95% intervals over seeds and documents; below them what the sites come to.",
        f"Differences by site. Pooled: {said}.", "intervals", "difference in the primary metric",
        "", tuple(marks),
        ("a site", "these sites", "random effects"), _runs(pooled), synthetic, zero=True,
    )  # fmt: skip


def _table(pooled: Pool, synthetic: bool) -> Table:
    columns = (
        Column("task", "task"), Column("contrast", "contrast"), Column("metric", "metric"), Column("site", "site"),
        Column("difference", "difference", "change"), Column("low", "95% low", "change"), Column("high", "95% high", "change"),
        Column("p_holm", "p (Holm)", "p"), Column("documents", "documents", "count"), Column("q", "Q", "ratio"),
        Column("q_p", "p of Q", "p"), Column("tau", "τ", "score"), Column("i2", "I²", "score"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for c in pooled.contrasts:
        over, rest = c.difference, c.difference.heterogeneity
        for name, each in over.sites.items():
            rows.append((c.task, c.name, c.metric, name, each.difference, each.low, each.high, None, each.documents,
                         None, None, None, None))  # fmt: skip
        est = over.estimate
        spread = (None, None, None, None) if rest is None else (rest.q, rest.p, rest.tau2**0.5, rest.i2)
        rows.append((c.task, c.name, c.metric, POOLED, est.difference, est.low, est.high, est.p_holm, est.documents, *spread))
        if over.mean is not None:
            rows.append((c.task, c.name, c.metric, "sites like these", over.mean, over.low, over.high, None, None,
                         None, None, None, None))  # fmt: skip
    caption = (
        "The second arm less the first. Q: Cochran's, of no disagreement between sites; τ: standard deviation between sites; "
        "I²: share of the variation that is between them. With few sites none of these is precise."
    )
    return Table("sites-differences", "Differences by site", caption, columns, tuple(rows), _runs(pooled), synthetic)


def _ties(pooled: Pool, synthetic: bool) -> Table:
    columns = (
        Column("task", "task"),
        Column("rank", "group", "count"),
        Column("arms", "arms"),
        Column("mean", "best mean", "score"),
    )
    rows = [
        (place, number, ", ".join(group), pooled.means[place][group[0]])
        for place, groups in pooled.ties.items()
        for number, group in enumerate(groups, 1)
    ]
    caption = (
        "From the best down. Arms of one group are not told apart; an arm can stand in two. Means are weighted by documents."
    )
    return Table("ties", "Groups", caption, columns, tuple(rows), _runs(pooled), synthetic)
