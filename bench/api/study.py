"""A kind of study: which runs are compared, what they show together, and how that is told.

Example, the kind ``ablation``: its plan holds a run for every architecture and seed; it judges nothing, so that the report
compares the runs as `bench compare` does.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bench.api.part import Part
from bench.config import RunConfig
from bench.errors import UsageError
from bench.naming import bounded

if TYPE_CHECKING:
    from bench.pages.content import Figure, Table
    from bench.studies.finished import FinishedStudy

SEEDS = 6
"""Fewer carry no verdict of significance."""
MOST = 10_000
"""Seeds of a plan, which memory has to hold."""
BUDGETS = ("steps", "epochs", "tokens", "tokens_like")
"""Fields of a run that say how long it trains; a run has one of them."""
Takes = Literal["arms", "sets", "grid", "quantizers", "targets", "shots", "looks"]
"""What a study can be given beside what its runs share. A kind that takes looks judges at the level of `FinishedStudy.look`."""
Option = int | float | str
"""A value of a kind's own option."""
Tone = Literal["good", "bad", "even", "open"]


@dataclass(frozen=True)
class Cost:
    """What a run's dry run said that it costs: marked tokens of training, seconds with evaluation here, bytes at its peak."""

    tokens: int
    seconds: float
    memory: int


@dataclass(frozen=True)
class StudyRun:
    """One run of a plan.

    Args:
        key: its name in the study, unique there.
        role: what it is compared as, e.g. ``multi``; a key of `StudyKind.roles`.
        task: the task's name; None where it trains several.
        seed: of the run.
        arm: architecture.
        config: as `bench run` would be given it; without a budget where `like` sets it.
        like: ``KEY`` or ``KEY:TASK`` of a run of this study whose tokens are the budget.
        group: runs of one group are compared with one another, e.g. a set of tasks; None where all are.
        start: key of a run of this study whose shared weights it begins with.
        best_of: keys of trials, of which one lends it the learning rate.
        place: which of them: 0 the best on dev, 1 the next.
        run: the id; None until it is finished.
        error: why it failed the last time it was tried.
        refused: of a trial: an invariant refused it or it diverged, which counts as worse than any score.
        estimate: what it costs; None until it was asked.
    """

    key: str
    role: str
    task: str | None
    seed: int
    arm: str
    config: RunConfig
    like: str | None = None
    group: str | None = None
    start: str | None = None
    best_of: tuple[str, ...] = ()
    place: int = 0
    run: str | None = None
    error: str | None = None
    refused: bool = False
    estimate: Cost | None = None

    @property
    def after(self) -> str | None:
        """The key of the run whose tokens are the budget."""
        return None if self.like is None else self.like.partition(":")[0]

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The keys of all runs that must be finished before this one can start."""
        return tuple(dict.fromkeys(key for key in (self.after, self.start, *self.best_of) if key is not None))

    def identity(self) -> dict[str, Any]:
        """What the plan says of it, JSON-able: all that can change the outcome, and where the corpora are."""
        return {
            "key": self.key,
            "role": self.role,
            "like": self.like,
            "config": self._settled().identity()
            | {"data": dict(sorted(self.config.data.items())), "tokens_like": self._settled().tokens_like}
            | ({"concepts": dict(sorted(self.config.concepts.items()))} if self.config.concepts else {}),
            **({"start": self.start} if self.start is not None else {}),
            **({"best_of": list(self.best_of), "place": self.place} if self.best_of else {}),
        }

    def _settled(self) -> RunConfig:
        """The configuration without what other runs of this study decide, which the plan does not know."""
        config = self.config if self.like is None else replace(self.config, tokens_like=None)
        config = replace(config, lr=None) if self.best_of else config
        return config if self.start is None else replace(config, init_from=None)


@dataclass(frozen=True)
class Request:
    """What a study is asked for.

    Args:
        base: what all of its runs share; its tasks are the study's, its seed the first one.
        seeds: how many.
        names: of every task that is named, by how it was typed; a file's path stands for the task that it describes.
        arms: architectures, for a kind that takes them; the kind's own choice where empty.
        sets: name of a set to its tasks as typed, for a kind that takes them; one set of all tasks where empty.
        quantizers: those that fit the model, by name to when they are applied, for a kind that takes them.
        grid: field of a run to its values, for a kind that takes one.
        options: the kind's own, every one of `StudyKind.options`.
        targets: tasks of the study that others are held apart from, as typed, for a kind that takes them.
        shots: numbers of training documents, for a kind that takes them.
        resample: whether each seed draws its training documents, the same for all runs of that seed.
    """

    base: RunConfig
    seeds: int = SEEDS
    names: Mapping[str, str] = field(default_factory=dict)
    arms: tuple[str, ...] = ()
    sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    quantizers: Mapping[str, str | None] = field(default_factory=dict)
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    options: Mapping[str, Option] = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    shots: tuple[int, ...] = ()
    resample: bool = False

    def __post_init__(self) -> None:
        if self.base.task_set is not None:
            raise UsageError(
                f"The set of tasks {self.base.task_set!r} of a study is not written out.",
                "Write them out: replace(written_out(config, registry, os.environ), task_set=None).",
            )
        if not 1 <= self.seeds <= MOST:
            flag = "--resample-train" if self.resample else "--seeds"
            wanted = "at least 1" if self.seeds < 1 else f"at most {MOST:,}"
            raise UsageError(f"{flag} is {self.seeds}; it must be {wanted}.", f"A verdict wants {SEEDS} or more.")

    @property
    def seed_list(self) -> tuple[int, ...]:
        """Every seed."""
        return tuple(range(self.base.seed, self.base.seed + self.seeds))

    def run(
        self,
        key: str,
        role: str,
        tasks: Sequence[str],
        like: str | None = None,
        group: str | None = None,
        start: str | None = None,
        best_of: Sequence[str] = (),
        place: int = 0,
        **changes: Any,
    ) -> StudyRun:
        """A run of the plan, from what all runs share.

        Args:
            key: unique in the plan; signs that a file's name may not hold are replaced.
            role: what it is compared as.
            tasks: as typed.
            like: ``KEY`` or ``KEY:TASK`` of a run whose tokens are its budget.
            group: runs of one group are compared with one another.
            start: key of a run whose shared weights it begins with.
            best_of: keys of trials, of which the one that is best on dev, or comes in `place`, lends the learning rate.
            place: 0 for the best.
            changes: fields of the configuration that are this run's own, its seed among them.
        """
        run = self.planned(key, role, replace(self.base, **changes, task=tuple(tasks)), like, group)
        return replace(run, start=start, best_of=tuple(best_of), place=place)

    def planned(self, key: str, role: str, config: RunConfig, like: str | None = None, group: str | None = None) -> StudyRun:
        """The same of a whole configuration, which keeps the corpora of its own tasks alone."""
        names = [self.names.get(task, task) for task in config.task]
        data, concepts = ({name: paths[name] for name in names if name in paths} for paths in (config.data, config.concepts))
        config = replace(config, task_set=None, data=data, concepts=concepts)
        config = replace(config, train_resample=config.seed) if self.resample else config
        file = bounded("".join(c if c.isalnum() or c in "._+-=," else "-" for c in key))
        return StudyRun(file, role, names[0] if len(names) == 1 else None, config.seed, config.arch, config, like, group)

    def several_tasks(self, kind: str) -> tuple[str, ...]:
        """The tasks of the study.

        Raises:
            UsageError: there are fewer than two.
        """
        if len(self.base.task) < 2:
            got = f"got {self.base.task[0]}" if self.base.task else "got none"
            raise UsageError(f"A {kind} study wants two tasks or more; {got}.", "Repeat --task, or name a --task-set.")
        return self.base.task

    def token_budget(self, kind: str, what: str) -> int:
        """The budget in tokens; the error names the kind of study and `what` the tokens are of, e.g. ``in all``.

        Raises:
            UsageError: there is none, or another budget.
        """
        budgets = [name for name in BUDGETS if getattr(self.base, name) is not None]
        if self.base.tokens is None:
            got = f"got {', '.join(f'--{name}' for name in budgets).replace('_', '-')}" if budgets else "got none"
            raise UsageError(f"A {kind} study counts its budget in tokens; {got}.", f"Add --tokens N, the tokens {what}.")
        return self.base.tokens


@dataclass(frozen=True)
class Statement:
    """One sentence of a verdict: its subject, as a rule a task, the verdict in a word or two, and the reason with its numbers.

    The tone says how the page colours it; it is never the only sign.
    """

    subject: str
    verdict: str
    reason: str
    tone: Tone = "open"


class StudyKind(Part):
    """A kind of study. A plugin writes `plan`, and of the rest what it needs; heavy imports stand inside the methods."""

    takes: ClassVar[tuple[Takes, ...]] = ()
    """What it can be given beside the configuration that its runs share."""
    options: ClassVar[Mapping[str, Option]] = {}
    """Its own options with their defaults, such as ``{"examples": 16}``; what is typed gets the type of the default."""
    margin: ClassVar[bool] = True
    """Whether its verdict has a use for the margin of equivalence; without one, or without a verdict, a margin is refused."""
    one_rate: ClassVar[bool] = False
    """Whether all runs have the lowest learning rate that a head of the study's tasks asks for. A run of one task would take
    another one than a run of several, and that would be compared as well."""
    roles: ClassVar[Mapping[str, str]]
    """Every role of its runs, with the words of the report for it."""
    named_by_key: ClassVar[bool] = False
    """Whether the report tells runs apart by their key, less the seed at its end, and not by role and architecture."""
    question: ClassVar[str] = ""
    """What it asks, as the title of its report; ``{tasks}`` stands for the tasks. Empty: what its arms differ in is asked."""
    meanings: ClassVar[Mapping[str, str]] = {}
    """Verdicts of `statements` by their words, each as half a sentence for somebody who does not know these words."""
    title: ClassVar[str] = "What the study shows"
    """Heading of its figures and tables in the report."""
    tones: ClassVar[Mapping[str, Tone]] = {}
    """Verdicts that `statements` colours, by their words."""
    words: ClassVar[Mapping[str, str]] = {}
    """Keys of its verdict, with the words of the report for them."""

    @abstractmethod
    def plan(self, request: Request) -> list[StudyRun]:
        """The runs of a study, in the order of starting; the same request always gives the same ones.

        Raises:
            UsageError: a request that it cannot do anything with.
        """

    def judge(self, finished: FinishedStudy) -> Mapping[str, Any] | None:
        """What the runs show, JSON-able; ``study.json`` keeps it. None, the default: nothing is judged.

        Where a mapping below it has the keys of `bench.stats.intervals.Estimate`, the report draws it as a difference.

        Raises:
            BenchError: the runs cannot be held against each other.
        """
        return None

    def statements(self, verdict: Mapping[str, Any]) -> list[Statement]:
        """The verdict in sentences, for the screen and for the top of the report.

        The default reads lists under ``tasks``, ``comparisons``, ``questions`` and ``verdicts`` whose members have ``kind`` and
        ``reason``; else a ``summary``, ``reason`` or ``note`` of the whole.
        """
        statements = [
            Statement(
                subject_of(item),
                str(item["kind"]),
                str(item["reason"]),
                self.tones.get(str(item["kind"]), "open"),
            )
            for item in judgements(verdict)
        ]
        whole = [str(verdict[key]) for key in ("summary", "reason", "note") if verdict.get(key)]
        if statements or not whole:
            return statements
        return [Statement(str(verdict.get("name") or self.name), str(verdict.get("kind", "verdict")), " ".join(whole))]

    def tables(self, verdict: Mapping[str, Any]) -> list[Table]:
        """Tables of the verdict, for the screen and the report, which adds the runs that they rest on."""
        return []

    def figures(self, verdict: Mapping[str, Any]) -> list[Figure]:
        """Figures of the verdict, for the report, which adds the runs that they rest on."""
        return []


def judgements(verdict: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The members of a verdict that judge one subject each: those with a kind and a reason, see `StudyKind.statements`."""
    for key in ("tasks", "comparisons", "questions", "verdicts"):
        listed = verdict.get(key)
        if isinstance(listed, list):
            yield from (item for item in listed if isinstance(item, Mapping) and item.get("kind") and item.get("reason"))


def subject_of(judgement: Mapping[str, Any]) -> str:
    """What a member of a verdict judges: what it calls its subject, else its task or name; empty where it does not say."""
    return str(judgement.get("subject") or judgement.get("task") or judgement.get("name") or "")
