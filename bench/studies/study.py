"""A study: a frozen plan of runs in ``<out>/studies/<name>/study.json``, which says what is finished and what is left.

The runs themselves are ordinary run folders in ``<out>/``, found by the hash of their configuration, so that studies share
them. A run whose budget is another run's tokens names that one by `like`; its configuration is whole once that one is finished.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from bench.api.study import StudyRun
from bench.config import RunConfig, from_mapping
from bench.errors import RunStateError, UsageError
from bench.naming import LONGEST_NAME
from bench.results.layout import RESULT
from bench.results.reading import check_version, read_as
from bench.results.store import as_json, by_beginning, is_run, read_json, read_result, write_json
from bench.sealed import SEAL, sealed, unsealed
from bench.studies.trials import ranked
from bench.wording import some

SCHEMA_VERSION = 1
STUDIES = "studies"
STUDY = "study.json"
Seal = Literal["holds", "broken", "none"]
"""Of ``study.json``: whether it is what was written; ``none`` of one that an older bench wrote, or that is not written yet."""


@dataclass(frozen=True)
class LookRecord:
    """A look that a study had at its runs.

    Args:
        seeds: at that look.
        date: and time, UTC.
        level: that p was held to; 0 where nothing was left of the error rate.
        spent: the part of it that is gone by this look alone; 0 with too few seeds for a verdict.
        cumulative: error rate that this look and those before it have spent.
        elsewhere: what other studies had spent on the same runs.
        last: whether no look follows: nothing is open, the plan is at its end, or the error rate is spent.
        verdicts: subject, such as a task, to the words of its verdict.
    """

    seeds: int
    date: str
    level: float
    spent: float
    cumulative: float
    elsewhere: float
    last: bool
    verdicts: Mapping[str, str]


@dataclass
class Study:
    """A plan and the state of its runs.

    Args:
        out: the folder of runs.
        kind: of the study, e.g. ``token-control``.
        name: the study's, and its folder's.
        settings: of the request, JSON-able.
        runs: the plan, in the order of starting.
        verdict: what the finished runs show; None until all are, or where the kind has none.
        looks: that were had at its runs so far, each at more seeds than the one before.
        seal: whether the file that it was read from is what was written.
    """

    out: Path
    kind: str
    name: str
    settings: Mapping[str, Any]
    runs: list[StudyRun]
    verdict: Mapping[str, Any] | None = None
    looks: list[LookRecord] = field(default_factory=list)
    seal: Seal = field(default="none", compare=False)
    _places: dict[str, int] = field(init=False, repr=False)
    _ranked: dict[tuple[str, ...], list[str]] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._places = {run.key: place for place, run in enumerate(self.runs)}
        if not self.runs:
            raise UsageError(f"A study of the kind {self.kind!r} with these settings holds no run.")
        if len(self._places) != len(self.runs):
            raise UsageError(f"The plan of study {self.name!r} holds a run twice.", "Leave repeated tasks and values out.")

    @property
    def folder(self) -> Path:
        """Where it is kept."""
        return self.out / STUDIES / self.name

    def __getitem__(self, key: str) -> StudyRun:
        return self.runs[self._places[key]]

    def update(self, key: str, **changes: Any) -> None:
        """Changes the entry of a run, and saves.

        Args:
            key: of the run.
            changes: fields of `StudyRun`.
        """
        self.runs[self._places[key]] = replace(self[key], **changes)
        self.save()

    def finished(self) -> list[StudyRun]:
        """Runs that have a result."""
        return [run for run in self.runs if run.run is not None]

    @property
    def planned_looks(self) -> tuple[int, ...]:
        """Numbers of seeds at which it is judged; all of them where no looks were planned."""
        return tuple(self.settings.get("looks", ())) or (len({run.seed for run in self.runs}),)

    @property
    def over(self) -> bool:
        """Whether no look is left: all were had, or one that resolved everything or spent the last of the error rate."""
        return bool(self.looks) and self.looks[-1].last

    @property
    def reach(self) -> int:
        """Seeds at the look that it is on the way to, or at the last one where none is left."""
        if self.over:
            return self.looks[-1].seeds
        had = self.looks[-1].seeds if self.looks else 0
        return next((seeds for seeds in self.planned_looks if seeds > had), self.planned_looks[-1])

    @property
    def judged(self) -> bool:
        """Whether it has its last verdict."""
        return self.verdict is not None and (self.over or "looks" not in self.settings)

    def upto(self, seeds: int) -> Study:
        """The study with its first seeds alone."""
        kept = list(dict.fromkeys(run.seed for run in self.runs))[:seeds]
        runs = [run for run in self.runs if run.seed in kept]
        return replace(self, settings={**self.settings, "seeds": kept}, runs=runs, looks=list(self.looks))

    def at_last_look(self) -> Study:
        """The study as it stood at its last look, whatever is planned beyond it."""
        return replace(self, looks=[*self.looks[:-1], *(replace(look, last=True) for look in self.looks[-1:])])

    def due(self) -> list[StudyRun]:
        """Runs of the look that it is on the way to; all runs where no looks were planned."""
        return self.upto(self.reach).runs if "looks" in self.settings else self.runs

    @property
    def whole(self) -> bool:
        """Whether every run that is due is finished; a refused trial is."""
        return all(run.run is not None or run.refused for run in self.due())

    @cached_property
    def trials(self) -> frozenset[str]:
        """Keys of the runs that only search: they may be refused, and the study goes on."""
        return frozenset(key for run in self.runs for key in run.best_of)

    def ready(self, run: StudyRun) -> bool:
        """Whether all that a run needs is finished."""
        needed = (key for key in run.waits_for if key not in run.best_of)
        return all(self[key].run is not None for key in needed) and (not run.best_of or self.lender(run) is not None)

    def lender(self, run: StudyRun) -> str | None:
        """The key of the trial that lends a run its learning rate; None before all trials ended, and where too few did well."""
        trials = self._ranking(run.best_of) if run.best_of else None
        return trials[run.place] if trials is not None and run.place < len(trials) else None

    def stranded(self, run: StudyRun) -> bool:
        """Whether all trials of a run ended, and too few of them well for it to get a learning rate."""
        return bool(run.best_of) and self._ranking(run.best_of) is not None and self.lender(run) is None

    def _ranking(self, keys: tuple[str, ...]) -> list[str] | None:
        if any(self[key].run is None and not self[key].refused for key in keys):
            return None
        if keys not in self._ranked:
            done = (self[key] for key in keys if self[key].run is not None)
            self._ranked[keys] = ranked({run.key: read_result(self.out / str(run.run)) for run in done})
        return self._ranked[keys]

    def config_of(self, run: StudyRun) -> RunConfig:
        """The whole configuration of a run; one that is not `ready` has no budget, no start, or not its learning rate, yet."""
        config = run.config
        if not self.ready(run):
            return config
        if run.like is not None:
            key, colon, task = run.like.partition(":")
            config = replace(config, tokens_like=f"{self[key].run}{colon}{task}")
        if (lender := self.lender(run)) is not None:
            config = replace(config, lr=self.config_of(self[lender]).lr)
        return config if run.start is None else replace(config, init_from=self[run.start].run)

    def forget_missing(self) -> list[str]:
        """Marks finished runs whose folders are gone as not begun, and returns their keys."""
        gone = [run.key for run in self.finished() if not (self.out / str(run.run) / RESULT).exists()]
        for key in gone:
            self.runs[self._places[key]] = replace(self[key], run=None)
        if gone:
            self.verdict = None
            self._ranked.clear()
        return gone

    def save(self) -> None:
        """Writes ``study.json`` whole or not at all, with its own hash."""
        write_json(self.folder / STUDY, sealed(json.loads(as_json(self.to_json()))))  # of what is read back, not of tuples
        self.seal = "holds"

    def to_json(self) -> dict[str, Any]:
        """The mapping that ``study.json`` holds."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "name": self.name,
            "settings": dict(self.settings),
            "runs": [self._written(run) for run in self.runs],
            "verdict": self.verdict,
            "looks": [asdict(look) for look in self.looks],
        }

    def _written(self, run: StudyRun) -> dict[str, Any]:
        estimate = None if run.estimate is None else vars(run.estimate)
        return vars(run) | {
            "estimate": estimate, "config": self.config_of(run).as_json(), "best_of": list(run.best_of),
        }  # fmt: skip

    @classmethod
    def from_json(cls, value: Any, out: Path, source: str) -> Study:
        """A study from what `to_json` made, in the folder of runs `out`; `source` is named in errors.

        Raises:
            RunStateError: another schema version, not a study, or one with looks that its plan does not have.
        """
        value = check_version(value, (SCHEMA_VERSION,), source, "a study of bench")
        try:
            runs = [_run(record, source) for record in value["runs"]]
            looks = [read_as(LookRecord, look) for look in value.get("looks", ())]
            verdict = value["verdict"]
            if not (isinstance(value["kind"], str) and isinstance(value["name"], str) and isinstance(verdict, dict | None)):
                raise TypeError("kind and name are words, and a verdict is an object")
            study = cls(out, value["kind"], value["name"], dict(value["settings"]), runs, verdict, looks)
            had = tuple(look.seeds for look in looks)
            if had != study.planned_looks[: len(had)]:
                raise ValueError(f"looks at {', '.join(map(str, had))} seeds, which the plan does not have")
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise RunStateError(f"{source} is not what schema version {SCHEMA_VERSION} promises: {error!r}.") from None
        return study


def read_study(folder: Path) -> Study:
    """The study that a folder holds.

    Raises:
        RunStateError: there is none, or it is damaged.
    """
    path = folder / STUDY
    value = read_json(path)
    study = Study.from_json(value, folder.parent.parent, str(path))
    study.seal = "none" if SEAL not in value else "broken" if unsealed(value) is None else "holds"
    return study


def folder_of(ref: str, out: Path) -> Path | None:
    """The folder of the study that a name, the beginning of one, a folder or its file names; None where it may be a run.

    Raises:
        UsageError: several studies and no run begin with it.
    """
    place = Path(ref).parent if Path(ref).name == STUDY else Path(ref)
    for folder in (place, out / STUDIES / ref):
        if ref and (folder / STUDY).is_file():
            return folder.resolve()
    if not ref or Path(ref).exists() or any(path.name.startswith(ref.lower()) for path in out.glob("*") if is_run(path)):
        return None
    begun = by_beginning(ref, studies(out), "studies")
    return None if begun is None else (out / STUDIES / begun).resolve()


def find_study(name: str, out: Path) -> Study:
    """A study by its name, the beginning of it that no other has, or its folder.

    Raises:
        UsageError: none or several carry it; those that are there are named.
    """
    if name and (Path(name) / STUDY).exists():
        return read_study(Path(name).resolve())
    known = studies(out)
    if (found := by_beginning(name, known, "studies")) is not None:
        return read_study(out / STUDIES / found)
    there = f"It holds {', '.join(known[:6])}." if known else "It holds no study."
    raise UsageError(f"There is no study {name!r} in {out}.", there)


def studies(out: Path) -> list[str]:
    """Names of all studies of a folder of runs."""
    return sorted(path.parent.name for path in (out / STUDIES).glob(f"*/{STUDY}"))


def plan_name(kind: str, tasks: Iterable[str], runs: Sequence[StudyRun], design: Mapping[str, Any] | None = None) -> str:
    """The default name of a study; the same plan, with the same looks as its `design`, always has the same name."""
    content = json.dumps([*(run.identity() for run in runs), *([design] if design else [])], sort_keys=True)
    label = "+".join(dict.fromkeys(tasks)).lower()
    label = label if len(label) <= 60 else f"{label[:60].rstrip('+')}…"
    return f"{kind}_{re.sub(r'[^a-z0-9.+-]+', '-', label)}_{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def open_study(planned: Study) -> Study:
    """The study as it stands on the disk, or the plan that was made now as a new one.

    Raises:
        RunStateError: the folder holds another study, or one that was changed since it was written.
    """
    if not re.fullmatch(r"[\w+][\w.+-]*", planned.name):
        raise UsageError(f"--name is {planned.name!r}; a study's name is letters, digits and . _ + -, not . or - first.")
    if (size := len(planned.name.encode())) > LONGEST_NAME:
        raise UsageError(f"--name has {some(size, 'byte')}; the name of a study, and its folder, has {LONGEST_NAME} at most.")
    if not (planned.folder / STUDY).exists():
        return planned
    stored = read_study(planned.folder)
    stored.out = planned.out
    if stored.seal == "broken":  # going on would write it anew, with a hash that holds
        raise RunStateError(
            f"Study {stored.name!r} changed since it was written: the hash in {planned.folder / STUDY} does not hold.",
            "Put back the file that bench wrote, or take another --name: studies share finished runs and never repeat them.",
        )
    changed = _changes(stored, planned)
    if changed:
        raise RunStateError(
            f"Study {stored.name!r} was begun with other settings: {changed}.",
            "Type what it was begun with, or take another --name: finished runs are shared by all studies, never repeated.",
        )
    now = {run.key: run.config for run in planned.runs}
    # Fields that do not change the outcome (trackers, limits) have the values of this call.
    stored.runs = [replace(run, config=now[run.key]) for run in stored.runs]
    return stored


def _changes(stored: Study, planned: Study) -> str:
    """What differs between two plans, in words; empty where nothing does."""
    if stored.kind != planned.kind:
        return f"it is of the kind {stored.kind}, not {planned.kind}"
    before = {run.key: run.identity() for run in stored.runs}
    now = {run.key: run.identity() for run in planned.runs}
    fields = sorted(
        {
            name
            for key in before.keys() & now.keys()
            for name in before[key]["config"].keys() | now[key]["config"].keys()
            if before[key]["config"].get(name) != now[key]["config"].get(name)
        }
    )
    changes = [f"other values of {', '.join(fields)}"] if fields else []
    if stored.settings.get("margin") != planned.settings.get("margin"):
        changes.append(f"a margin of {stored.settings.get('margin')}, not {planned.settings.get('margin')}")
    if (was := stored.settings.get("options")) != (now_given := planned.settings.get("options")):
        changes.append(f"the options {was}, not {now_given}")
    if (was := _design(stored)) != (now_given := _design(planned)):
        changes.append(f"{was}, not {now_given}")
    changes += [f"{some(len(before), 'run')}, not {len(now)}"] if len(before) != len(now) else []
    if not changes and before != now:
        changes = ["other runs"]
    return "; ".join(changes)


def _design(study: Study) -> str:
    looks = study.settings.get("looks")
    return f"looks at {', '.join(map(str, looks))} seeds ({study.settings['spending']})" if looks else "no planned looks"


def _run(record: Mapping[str, Any], source: str) -> StudyRun:
    config, start = from_mapping(record["config"], source), record.get("start")
    if start is not None:
        config = replace(config, init_from=None)
    config = config if record["like"] is None else replace(config, tokens_like=None)
    run: StudyRun = read_as(StudyRun, {**record, "config": config})
    return run
