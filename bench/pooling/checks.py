"""Reads what a site shares and says what of it cannot be believed: each problem in one sentence that names the run."""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.api.task import Task
from bench.errors import BenchError, RunStateError, UsageError
from bench.modeling.files import read_sha256
from bench.naming import flatten
from bench.pooling.share import NAME, POOL_VERSION, SITE, SPLIT, SharedRun, opened, plan_sha256, site_name
from bench.results.layout import STATISTICS, statistics_name
from bench.results.manifest import Manifest, UnreadableManifest, read_manifest
from bench.results.reading import read_as
from bench.results.statistics import Statistics, read_statistics
from bench.sealed import read_sealed
from bench.stats.sequential import ALPHA, SPENDINGS, planned_looks
from bench.studies.contract import TOKENS
from bench.wording import some

CLAIMED = 3
"""Runs that a sentence names at most."""


@dataclass(frozen=True)
class Site:
    """A site as it was read, and what is wrong with it.

    Args:
        name: its own; that of the file where that cannot be read.
        path: what was read.
        about: ``site.json``; empty where that is damaged.
        runs: of the plan.
        manifests: run id to manifest.
        statistics: run id and task to statistics of the test split.
        data: task to the hash of its corpus, as the manifests have it.
        problems: sentences; with any, the site is not pooled.
    """

    name: str
    path: Path
    about: Mapping[str, Any]
    runs: tuple[SharedRun, ...]
    manifests: Mapping[str, Manifest]
    statistics: Mapping[tuple[str, str], Statistics]
    data: Mapping[str, str]
    problems: tuple[str, ...]

    @property
    def seeds(self) -> list[int]:
        """Of its plan, in its order."""
        return list(dict.fromkeys(run.seed for run in self.runs))

    @property
    def plan_looks(self) -> tuple[int, ...]:
        """Numbers of seeds at which its plan is judged; all of them where no looks were planned."""
        return tuple(self.about["settings"].get("looks") or (len(self.seeds),))

    @property
    def elsewhere(self) -> dict[int, float]:
        """Seeds of every look that it had to what other studies had spent on the same runs."""
        return {look["seeds"]: look["elsewhere"] for look in self.about["looks"]}

    @property
    def stands(self) -> int:
        """Seeds at the last look that it had."""
        return max(self.elsewhere, default=self.plan_looks[-1])

    @property
    def documents(self) -> dict[str, int]:
        """Task to the number of its test documents."""
        return {task: len(statistics.documents) for (_, task), statistics in self.statistics.items()}

    @property
    def plan(self) -> str:
        """The hash of its plan, computed from the plan itself."""
        return plan_sha256(self.about["kind"], self.about["settings"], list(self.runs)) if self.runs else ""

    @property
    def code(self) -> str:
        """The hash of the code that ran; of several, those that differ, joined."""
        return "+".join(sorted({str(manifest.code.get("sha256")) for manifest in self.manifests.values()}))

    def refused(self, *problems: str) -> Site:
        """The same site with more problems."""
        return replace(self, problems=(*self.problems, *problems))


def read_site(path: Path, tasks: Callable[[str], Task]) -> Site:
    """Reads and checks what a site shares, on its own.

    Args:
        path: a folder or a zip file.
        tasks: name to task, whose scorer must be the one that ran.

    Raises:
        UsageError: there is nothing, or nothing of a site.
    """
    with opened(path) as folder:
        about = read_sealed(folder / SITE)
        try:
            if about is None:
                raise ValueError("its own hash does not hold")
            if about["pool_version"] != POOL_VERSION:
                said = f"{SITE} is of version {about['pool_version']}; this bench reads {POOL_VERSION}. Pack the study again."
                return Site(site_name(about["site"]), path, {}, (), {}, {}, {}, (said,))
            runs: tuple[SharedRun, ...] = tuple(read_as(SharedRun, run) for run in about["runs"])
            if any(run.run is not None and not re.fullmatch(NAME, run.run) for run in runs):
                raise ValueError("it names a run that is no run")
            if not isinstance(about["settings"], Mapping) or not isinstance(about["kind"], str):
                raise ValueError("it tells no kind or no settings")
            site = Site(site_name(about["site"]), path, about, runs, {}, {}, {}, ())
        except UsageError:
            return Site(path.stem, path, {}, (), {}, {}, {}, (f"{SITE} has no name that a site can have.",))
        except (ValueError, KeyError, TypeError) as error:
            why = str(error) if type(error) is ValueError else "it is not what bench writes"
            return Site(path.stem, path, {}, (), {}, {}, {}, (f"{SITE} was changed since it was written: {why}.",))
        try:
            site = site.refused(*_plan_alone(site))
            site = site if site.problems else _with_files(site, folder, tasks)
            return site if site.problems else site.refused(*_against_plan(site, tasks))
        except OSError as error:
            return site.refused(f"a file of it cannot be read: {error.strerror}.")
        except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError):  # sealed anew, of any shape
            return site.refused("what it shares is not what bench writes.")


def _plan_alone(site: Site) -> list[str]:
    """What of a plan does not agree with itself."""
    problems = []
    margin = site.about["settings"].get("margin")
    if margin is not None and not (type(margin) in (int, float) and 0 <= margin <= sys.float_info.max):
        problems.append("its margin is no number.")
    if not site.runs:
        problems.append("its plan holds no run.")
    problems += _looks_alone(site)
    if len({run.key for run in site.runs}) != len(site.runs):
        problems.append("its plan holds a run twice.")
    configs: dict[str, Mapping[str, Any]] = {}
    had = site.seeds[: site.stands]
    for run in site.runs:
        config = run.identity["config"]
        told = (run.key, run.role, run.like, run.seed, run.arm)
        if told != (*(run.identity.get(name) for name in ("key", "role", "like")), config["seed"], config["arch"]):
            problems.append(f"{run.key}: it is not what its settings say.")
        if run.run is None and not run.trial and run.seed in had:
            problems.append(f"{run.key}: the run is missing; a site shares a whole study.")
        if run.run is not None and run.seed not in had:
            problems.append(f"{run.key}: it is of a look that the site did not have.")
        if run.run is not None and configs.setdefault(run.run, config) != config:
            problems.append(f"{run.key}: its run {run.run} stands for another of the plan too.")
    return _few(problems)


def _looks_alone(site: Site) -> list[str]:
    """What of a site's looks is none: not those of its plan, from the first on, or with more spent than there is."""
    settings, looks, had = site.about["settings"], site.plan_looks, site.elsewhere
    planned = bool(settings.get("looks"))
    try:
        sound = not planned or (settings.get("spending") in SPENDINGS and planned_looks(looks, len(site.seeds)) == looks)
    except UsageError:
        sound = False
    if not sound:
        return ["its looks are no plan of looks."]
    if tuple(had) != looks[: len(had)] or len(had) != len(site.about["looks"]) or (planned and not had):
        return ["the looks that it had are not those of its plan."]
    if any(not 0 <= spent <= ALPHA for spent in had.values()):
        return ["what was spent elsewhere on its runs is no error rate."]
    return []


def _with_files(site: Site, folder: Path, tasks: Callable[[str], Task]) -> Site:
    manifests: dict[str, Manifest] = {}
    statistics: dict[tuple[str, str], Statistics] = {}
    problems: list[str] = []
    for run in (run for run in site.runs if run.run is not None):
        place, ident = folder / "runs" / str(run.run), str(run.run)
        try:
            manifest = read_manifest(place)
        except UnreadableManifest as error:
            problems.append(f"{run.key}: its manifest was changed since it was written: {error}.")
            continue
        if manifest is None:
            problems.append(f"{run.key}: its manifest is missing.")
            continue
        manifests[ident] = manifest
        if manifest.run != ident:
            problems.append(f"{run.key}: the manifest is of another run, {manifest.run}.")
        for task in manifest.ledger:
            name = f"{STATISTICS}/{statistics_name(task, SPLIT, run.stage)}"
            if not re.fullmatch(f"{STATISTICS}/{NAME}", name):
                raise ValueError("a task or stage that is no name of a file, or leads out of the folder")
            if not (place / name).is_file():
                problems.append(f"{run.key}: {name} is missing.")
                continue
            if name not in manifest.files or manifest.files[name].sha256 != read_sha256(place / name):
                problems.append(f"{run.key}: {name} was changed since it was written.")
                continue
            try:
                statistics[ident, task] = read_statistics(place, task, SPLIT, run.stage)
            except RunStateError as error:
                problems.append(f"{run.key}: {error.message}")
                continue
            problems += _unscored(run.key, statistics[ident, task], manifest, tasks)
    data = Counter((task, str(digest)) for m in manifests.values() for task, digest in m.hashes.get("data", {}).items())
    for task in sorted({task for task, _ in data}):
        digests = [digest for name, digest in data if name == task]
        if len(digests) > 1:
            problems.append(f"its runs were trained on {len(digests)} different corpora of {task}.")
    return replace(
        site, manifests=manifests, statistics=statistics, data=dict(data.keys()), problems=(*site.problems, *_few(problems))
    )


def _unscored(key: str, statistics: Statistics, manifest: Manifest, tasks: Callable[[str], Task]) -> list[str]:
    """What of statistics the scorer that is installed here cannot make a score of."""
    try:
        task = tasks(statistics.task)
    except UsageError:
        return [f"{key}: the task {statistics.task} is not installed here."]
    scored = str(manifest.code.get("versions", {}).get("parts", {}).get(f"task {task.name}"))
    if scored != str(task.version):
        return [f"{key}: scored by version {scored} of {task.name}; version {task.version} is here."]
    if not statistics.documents or not statistics.names:
        return [f"{key}: it was scored on no document of {task.name}."]
    try:
        score = float(flatten(task.summarise(statistics.sums()))[task.metadata.primary_metric])
    except Exception:  # what a task's scorer raises on numbers that it did not write
        score = math.nan
    return [] if math.isfinite(score) else [f"{key}: its statistics give no {task.metadata.primary_metric} of {task.name}."]


def _against_plan(site: Site, tasks: Callable[[str], Task]) -> list[str]:
    """What the runs did that the plan does not say, and the documents that they do not share."""
    problems = []
    by_key = {run.key: run for run in site.runs}
    spent = {
        run.key: {task: a.tokens for task, a in site.manifests[str(run.run)].ledger.items()} for run in site.runs if run.run
    }
    for run in (run for run in site.runs if run.run is not None):
        manifest = site.manifests[str(run.run)]
        planned_waivers = set(run.identity.get("config", {}).get("waive", ()))
        if manifest.waivers or planned_waivers:
            named = ", ".join(sorted({*manifest.waivers, *planned_waivers}))
            problems.append(f"{run.key}: the invariant {named} was waived.")
        total, wanted = sum(spent[run.key].values()), run.tokens
        if run.like is not None:
            key, _, task = run.like.partition(":")
            wanted = spent[key].get(task, 0) if task else sum(spent[key].values()) if key in by_key else 0
        if wanted is not None and abs(total - wanted) > TOKENS * max(total, wanted):
            problems.append(f"{run.key}: {some(total, 'token')} counted; the plan says {wanted:,}.")
        if str(run.run).rpartition("_")[2] != manifest.hashes.get("config"):
            problems.append(f"{run.key}: the manifest is of another configuration.")
        if {*manifest.ledger} != {_named(name, tasks) for name in run.identity["config"]["task"]}:
            problems.append(f"{run.key}: tokens were counted of other tasks than the plan has.")
        if any(not manifest.hashes.get("data", {}).get(name) for name in manifest.ledger):
            problems.append(f"{run.key}: the manifest does not tell the hash of its corpus.")
    for task in site.documents:
        sets = {statistics.documents for (_, name), statistics in site.statistics.items() if name == task}
        if len({frozenset(documents) for documents in sets}) > 1:
            problems.append(f"its runs were scored on different documents of {task}.")
    if site.about.get("plan_sha256") != site.plan:
        problems.append("the plan's hash is not that of its runs.")
    return _few(problems)


def _named(name: str, tasks: Callable[[str], Task]) -> str:
    """The name of a task that was typed in one of its ways."""
    try:
        return tasks(name).name
    except BenchError:
        return Path(name).stem if name.endswith(".toml") else name


def _few(problems: Sequence[str]) -> list[str]:
    """The first sentences, and how many more there are."""
    more = len(problems) - CLAIMED
    return [*problems[:CLAIMED], *([f"and {more} more of this kind."] if more > 0 else [])]


def held_together(sites: Sequence[Site], registered: Mapping[str, Mapping[str, Any]]) -> list[Site]:
    """The sites with what is wrong between them: another plan or code than most have, a corpus twice, or one not registered.

    Args:
        sites: as they were read.
        registered: site to what it registered before the study.
    """
    sound = [site for site in sites if not site.problems]
    plan = _commonest([site.plan for site in sound])
    code = _commonest([site.code for site in sound])
    checked = []
    for site in sites:
        if site.problems:
            checked.append(site)
            continue
        problems = []
        if site.plan != plan:
            problems.append(
                f"its plan {site.plan[:12]} is not the plan {plan[:12]} of the others: {_unlike(site, sound, plan)}."
            )
        if site.code != code:
            problems.append(f"its code {site.code[:12]} is not the code {code[:12]} of the others.")
        if site.name in registered:
            known = registered[site.name]["data"]
            for task, digest in site.data.items():
                if known.get(task, {}).get("sha256") != digest:
                    problems.append(f"its corpus of {task} is not the one that it registered.")
        for other in sound:
            if other is not site and (twin := next((t for t, d in site.data.items() if other.data.get(t) == d), None)):
                problems.append(f"its corpus of {twin} is that of {other.name}: documents would count twice.")
            if other is not site and other.name == site.name:
                problems.append(f"{other.path} has the same name.")
        checked.append(site.refused(*_few(problems)))
    return checked


def _commonest(values: Sequence[str]) -> str:
    return Counter(values).most_common(1)[0][0] if values else ""


def _unlike(site: Site, sites: Sequence[Site], plan: str) -> str:
    """The first settings in which a plan differs from that of most."""
    other = next(each for each in sites if each.plan == plan)
    if (site.about["kind"], len(site.runs)) != (other.about["kind"], len(other.runs)):
        return f"{some(len(site.runs), 'run')} of {site.about['kind']}, not {len(other.runs)} of {other.about['kind']}"
    for name in ("margin", "options", "looks", "spending"):
        if site.about["settings"].get(name) != other.about["settings"].get(name):
            return f"{name} {site.about['settings'].get(name)}, not {other.about['settings'].get(name)}"
    for mine, theirs in zip(site.runs, other.runs, strict=True):
        a, b = dict(mine.identity.get("config", {})), dict(theirs.identity.get("config", {}))
        for name in (*a, *(b.keys() - a.keys())):
            if a.get(name) != b.get(name):
                return f"{name} of {mine.key}"
    return "other runs"
