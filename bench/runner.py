"""A run from top to bottom: the twelve steps, each taking the one before, and the five invariants out of any plugin's reach.

1 configuration (`bench.cli`) · 2 parts · 3 folder · 4 corpora · 5 parity · 6 base model · 7 batch and smoke · 8 training ·
9 quantizing · 10 evaluation · 11 result · 12 trackers, all along.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import user_cache
from bench.api.tracker import RunInfo
from bench.config import DIGITS, RunConfig, run_id
from bench.data import faults, leaks, shots
from bench.data.content import code_digest
from bench.errors import BenchError, DivergedError, Interrupted, InvariantError, OutOfMemory, RunStateError
from bench.invariants import checkpoint as checkpoints
from bench.modeling.noise import import_heavy
from bench.registry import Registry
from bench.reporting import Progress as Bar
from bench.reporting import Reporter, SilentReporter
from bench.results import manifest as manifests
from bench.results.invariants import BatchReport
from bench.results.layout import ADAPTERS, CHECKPOINTS, JOURNAL, PLAN, RESULT
from bench.results.lock import RunLock
from bench.results.store import find_run, read_result, refused, write_result
from bench.steps import base as base_step
from bench.steps import concepts as concepts_step
from bench.steps import corpora as corpora_step
from bench.steps import finish, gates
from bench.steps import plan as plan_step
from bench.steps import resume as resume_step
from bench.steps import start as start_step
from bench.steps import teachers as teachers_step
from bench.steps.conclude import conclude
from bench.steps.context import Clock, Planned, RunContext
from bench.steps.names import check, written_out
from bench.steps.quantizer_trial import refuse_unquantizable
from bench.steps.resolve import Parts, refuse_misfit, refuse_unshardable, resolve
from bench.steps.trial import as_loaded
from bench.tracking.journal import Journal
from bench.tracking.memory import MemoryWatch
from bench.tracking.mirrors import Mirrors
from bench.training import probe
from bench.training.devices import cpu_alone, current, deterministic, resolve_device
from bench.training.plan import likely_precision
from bench.training.processes import Processes, joined
from bench.wording import some

if TYPE_CHECKING:
    from bench.linking.cache import Terminology
    from bench.results.schema import Result
    from bench.training.loop import Trainer
    from bench.training.model import TaskData, TaskModel
    from bench.training.sharding import Shards


FINISHED = "Run {id} is finished; --replicate 2 repeats it."


@dataclass(frozen=True)
class Outcome:
    """The outcome of a call of `run`.

    Of a dry run there is the plan alone; where a finished run was found, the plan is empty.
    """

    folder: Path | None
    result_path: Path | None
    headline: Mapping[str, Any]
    plan: Mapping[str, Any]


def run(
    config: RunConfig,
    registry: Registry,
    *,
    dry_run: bool = False,
    resume: str | None = None,
    console: Reporter | None = None,
) -> Outcome:
    """Runs one arm, or with `dry_run` plans it and stops after the parity check.

    `resume` is the id or folder of an unfinished run; the configuration may then hold limits and trackers only.

    Raises:
        BenchError: with the exit code of its kind; nothing is lost or half-written.
    """
    clock = Clock()
    before = None
    with ExitStack() as stack:
        processes = stack.enter_context(joined(config.device))
        console = console if console is not None and processes.main else SilentReporter()
        if resume is not None:
            before = find_run(resume, Path(config.out))
            config = resume_step.stored_config(config, before)
        else:
            config = written_out(config, registry, os.environ)  # 1
            check(config, registry)
        parts = resolve(config, registry)  # 2
        config = replace(config, attention="bidirectional" if parts.model.bidirectional else None)  # causal is a decoder's own
        stack.callback(probe.discard)
        if not dry_run and before is None and processes.count == 1 and (done := finished_before(config, parts)) is not None:
            console.note(FINISHED.format(id=done.name))
            return outcome_of(done)
        if not dry_run and before is None and processes.main and gates.probes_in_a_child(config):
            probe.prepare()
        with clock("imports"):
            import_heavy(console.note)
        refuse_misfit(parts, config, registry)
        refuse_unshardable(config, parts, processes)
        teachers = teachers_step.find_teachers(config, parts, registry)
        start = start_step.find_start(config, parts)
        device = resolve_device(config.device)
        stack.enter_context(current(device))
        stack.enter_context(deterministic(device))
        with clock("data"):
            console.step("reading corpora")
            sources = stack.enter_context(corpora_step.read_corpora(parts.tasks, config))  # 4
            if start is not None:
                start, sources = start_step.held_against(start, sources, config, registry)
                parts = replace(parts, start=start)
            terminologies = processes.main_first(
                lambda: concepts_step.open_terminologies(parts.tasks, sources, config, console)
            )
        facts = resolved_facts(config, parts, sources, terminologies, teachers)
        ident = run_id(config, **facts)
        folder = Path(config.out) / ident
        if before is not None:
            resume_step.refuse_change(before, config, facts, ident)
            folder = before
        if dry_run:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-plan-")))
        elif processes.from_main(lambda: claim(stack, folder, config, before is not None, console)):
            return outcome_of(folder)
        elif processes.main:
            stack.enter_context(nothing_half_begun(folder))
            corpora_step.keep_synthetic(sources, folder, console)
        planned = processes.main_first(
            lambda: plan(config, facts, ident, folder, parts, sources, console, clock, terminologies, teachers)
        )
        if dry_run:
            plan_step.show_plan(planned, console)
            return Outcome(None, None, {}, planned.plan)
        if processes.main:
            return execute(planned, registry, console, clock, processes)
        return assist(planned, console, clock, processes)


def claim(stack: ExitStack, folder: Path, config: RunConfig, resumed: bool, console: Reporter) -> bool:
    """Locks a run's folder until the stack unwinds (3); returns whether the run is finished already.

    Raises:
        RunStateError: the folder is in use, or the run was begun and this is to be another.
    """
    stack.enter_context(RunLock(folder))
    ident = folder.name
    if (folder / RESULT).exists() and not manifests.cut_short(folder):
        console.note(FINISHED.format(id=ident))
        return True
    if not resumed and (folder / PLAN).exists() and refused(folder) is None:  # of one that was refused nothing can be lost
        begun = RunStateError(
            f"Run {ident} was begun and is not finished.",
            f"Go on with 'bench run --resume {named(folder)}', or begin another with '--replicate {config.replicate + 1}'.",
        )
        begun.resume = ident
        raise begun
    return False


def finished_before(config: RunConfig, parts: Parts) -> Path | None:
    """The folder of a configuration's run that is finished, found without torch, whose import takes longer than all the rest.

    None where no finished run has these tasks and this arm, or where it takes torch or other runs to know the id.
    """
    arm = run_id(config, task=list(parts.tasks))[:-DIGITS]
    begun_elsewhere = config.teacher or config.init_from or config.tokens_like
    if begun_elsewhere or not cpu_alone(config.device) or not any(Path(config.out).glob(f"{escape(arm)}*/{RESULT}")):
        return None
    with suppress(BenchError), warnings.catch_warnings():  # whatever is wrong is told where the corpora are read for the run
        warnings.simplefilter("ignore")
        with corpora_step.read_corpora(parts.tasks, config) as sources:
            terminologies = concepts_step.open_terminologies(parts.tasks, sources, config, SilentReporter())
            on = ("cpu", likely_precision(config.precision))
            folder = Path(config.out) / run_id(config, **resolved_facts(config, parts, sources, terminologies, on=on))
            return folder if (folder / RESULT).exists() and not manifests.cut_short(folder) else None
    return None


def named(folder: Path) -> str:
    """A run's name after ``--resume``: its id where the folder is below ``runs``, else its path."""
    return folder.name if folder.parent == Path(RunConfig.out) else str(folder)


@contextmanager
def nothing_half_begun(folder: Path) -> Iterator[None]:
    """Removes the folder of a run that was refused before it was planned: it holds nothing to resume."""
    try:
        yield
    except BaseException:
        if not (folder / PLAN).exists() and not (folder / CHECKPOINTS).exists():
            shutil.rmtree(folder, ignore_errors=True)
        raise


def resolved_facts(
    config: RunConfig,
    parts: Parts,
    sources: Mapping[str, corpora_step.Source],
    terminologies: Mapping[str, Terminology] | None = None,
    teachers: Sequence[teachers_step.Teacher] = (),
    on: tuple[str, str] | None = None,
) -> dict[str, Any]:
    """The facts that the flags leave open and the outcome depends on; `on` are device and precision where they are known."""
    device, precision = on or _machine(config)
    names = {name: terminology.sha256 for name, terminology in (terminologies or {}).items()}
    rates = [head.learning_rate for head in parts.heads.values()]
    adjusted = {name: dict(source.corpus.adjusted) for name, source in sources.items() if source.corpus.adjusted}
    return {
        "task": list(parts.tasks),
        "data": {name: source.corpus.sha256 for name, source in sources.items()},
        "device": device,
        "precision": precision,
        "quant_when": parts.when if parts.quantizes else None,
        "head": {name: head.name for name, head in parts.heads.items()},
        "model": {"name": parts.model.name, "sha256": parts.model.sha256()},
        "parts": parts.versions(),
        "tokens_like": plan_step.tokens_like(config),
        "lr": config.lr if config.lr is not None else min(rates),
        # Left out where empty, so that runs from before these fields existed keep their ids.
        **({"adjusted": adjusted} if adjusted else {}),
        **({"concepts": names} if names else {}),
        **({"teacher": [teacher.identity() for teacher in teachers]} if teachers else {}),
        **({"init_from": parts.start.facts()} if parts.start is not None else {}),
        **{
            name: {task: shots.facts(source.corpus) for task, source in sources.items()}
            for name in ("shots", "train_resample")
            if getattr(config, name) is not None
        },
    }


def _machine(config: RunConfig) -> tuple[str, str]:
    """Device and precision of a run on this machine."""
    from bench.training.plan import resolve_precision

    device = resolve_device(config.device)
    return device, resolve_precision(config.precision, device)


def plan(
    config: RunConfig,
    facts: Mapping[str, Any],
    ident: str,
    folder: Path,
    parts: Parts,
    sources: Mapping[str, corpora_step.Source],
    console: Reporter,
    clock: Clock,
    terminologies: Mapping[str, Terminology] | None = None,
    teachers: tuple[teachers_step.Teacher, ...] = (),
) -> Planned:
    """Tries the base model, encodes the corpora (4), translates the budget, and proves parity on the meta device (5)."""
    from bench.data.batches import shares
    from bench.data.phases import total_shares
    from bench.training.loop import Device
    from bench.training.optimizers import refuse_unfit
    from bench.training.plan import budget_of, refuse_unreachable

    with clock("trial"):
        plan_step.refuse_attention(config, parts, str(facts["device"]), str(facts["precision"]))
        console.step("trying the base model")
        parts = as_loaded(parts, str(facts["precision"]))
    refuse_unfit(config.optimizer, str(facts["device"]))
    if config.gradient_checkpointing == "on":
        plan_step.refuse_uncheckpointed(parts)
    with clock("trial"):
        refuse_unquantizable(parts, str(facts["device"]))
    if parts.model.whole is not None:
        console.note(
            f"{parts.model.name} ({parts.model.whole}) reads more than text: its text stack ({parts.model.spec.model_type}) is "
            f"taken alone, from a copy in {user_cache.shown('derived')}."
        )
    if unused := parts.model.unused:
        console.note(
            f"No adapters for {some(len(unused), 'linear layer')} that no forward pass goes through: {', '.join(unused[:2])}, …"
        )
    with clock("encoding"):
        data = corpora_step.encode(parts, sources, config, console)
        teachers_step.refuse_unfit(teachers, config, parts, data)
    device = Device(str(facts["device"]), str(facts["precision"]))
    epoch = {name: task_data.splits["train"].tokens for name, task_data in data.items()}
    made_up = any(task_data.corpus.synthetic for task_data in data.values())
    phases = parts.phases(shares(epoch, config.sampling, config.temperature))
    budget = budget_of(config, epoch, total_shares(phases), facts["tokens_like"], made_up)
    if len(phases) > 1:  # early stopping would leave tasks out, and the best on dev would be of a few of them
        budget = replace(budget, controlled=True)
    refuse_unreachable(config, budget, *training_windows(data))
    with clock("parity"):
        console.step("checking parity")
        parity = plan_step.check_parity(config, parts, data)
    if message := parity.warning():
        console.warn(message)
    for name, task_data in data.items():
        for message in (leaks.notice(name, task_data.corpus.leaks), faults.notice(name, task_data.corpus.left_out)):
            if message:
                console.warn(message)
    if parts.start is not None and parts.start.unread:
        console.warn(
            f"Of what {parts.start.result.id} was trained on, {', '.join(parts.start.unread)} cannot be read again: whether "
            "documents of it stand in dev or test is not known, which the result records."
        )
    planned = Planned(config, facts, ident, folder, parts, data, device, budget, parity, {}, terminologies or {}, teachers)
    code = code_digest(*parts.used())  # now, when the code is what was imported
    return replace(planned, plan=plan_step.describe(planned), code=code)


def assist(planned: Planned, console: Reporter, clock: Clock, processes: Processes) -> Outcome:
    """Steps 6 to 8 in a process that does not own the run's folder, with a journal that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="bench-process-") as aside, Journal(Path(aside) / JOURNAL) as journal:
        state = resume_step.State(Path(aside), planned.plan, planned.config.as_json(), planned.facts, {})
        return train_and_score(RunContext(planned, state, journal, console, clock, processes), None)


def execute(planned: Planned, registry: Registry, console: Reporter, clock: Clock, processes: Processes) -> Outcome:
    """Steps 6 to 12, in a folder that this process holds."""
    from bench.training.stage import interruptible

    config, folder, ident = planned.config, planned.folder, planned.ident
    root = folder / CHECKPOINTS
    with ExitStack() as stack:
        journal = stack.enter_context(Journal(folder / JOURNAL, identity=ident))

        def warn(message: str) -> None:
            console.warn(message)
            journal.write("warning", message=message)

        checkpoints.clear_unfinished(root)
        checkpoint = checkpoints.newest(root, warn)
        facts = config.as_json() | dict(planned.facts)
        info = RunInfo(ident, config.name or ident, folder, Path(config.out), facts)
        mirrors = Mirrors(planned.parts.trackers, info, console.warn)  # 12
        ended = False
        stack.callback(lambda: mirrors.close(ended))
        journal.observe(mirrors.feed)
        journal.observe(registry.emit)
        state = resume_step.open_state(folder, planned.plan, config, planned.facts)
        if journal.position == 0:
            journal.write("start", id=ident, config=facts)
            journal.write("plan", **{k: v for k, v in planned.plan.items() if k != "id"})
        else:
            resume_step.begin_again(journal, checkpoint, state, warn)
        try:
            with interruptible():
                outcome = train_and_score(RunContext(planned, state, journal, console, clock, processes), checkpoint)
            ended = True
            return outcome
        except Interrupted as stopped:
            journal.write("end", status="interrupted", message=stopped.message)
            anew = "" if checkpoints.steps(root) else " No checkpoint was due yet: training will begin at its first update."
            interrupted = Interrupted(f"{stopped.message}{anew}", (stopped.hint or "").format(run=named(folder)))
            interrupted.resume = ident
            raise interrupted from None
        except BenchError as error:
            kept = checkpoints.newest(root, lambda message: None) is not None
            more = dict(error.values) if isinstance(error, DivergedError) else {}
            if isinstance(error, InvariantError) and not kept:
                more["refused"] = error.invariant
            with suppress(BenchError):  # a full disk stops the journal as well
                journal.write("end", status="failed", error=type(error).__name__, message=error.message, **more)
            if isinstance(error, OutOfMemory):
                error = OutOfMemory(error.doing, resume_step.with_less_memory(named(folder), root))
            error.resume = None if "refused" in more else ident
            raise error from None


def train_and_score(run: RunContext, checkpoint: checkpoints.Checkpoint | None) -> Outcome:
    """Steps 6 to 11; 7, evaluations and what follows training in the first process alone.

    Args:
        run: what was planned, and what reports its progress.
        checkpoint: that the run goes on from; None for a new one.
    """
    from bench.training.plan import updates_between_evaluations
    from bench.training.stage import Intervals, Progress, restore, train

    planned, console, clock, processes = run.planned, run.console, run.clock, run.processes
    config, folder, parts, data = planned.config, planned.folder, planned.parts, planned.data
    with clock("model"):  # 6
        console.step("loading the base model")
        trainer = load_trainer(run)
        recount(planned, trainer)
    linkings: Mapping[str, concepts_step.TaskLinking] = {}
    if processes.main:
        with clock("linking"):  # before the batch search, so that what the linker holds is counted
            linkings = concepts_step.linkings(data, planned.terminologies, parts.model, planned.device.name, console)
    others = sum(processes.exchange(gates.resident())[1:])

    def settle() -> tuple[BatchReport, int, checkpoints.Checkpoint | None]:
        return gates.pass_gates(run, trainer, others), run.state.micro_batch, checkpoint

    known = processes.from_main(lambda: run.state.batch)  # so that layers are computed again in all processes or in none
    trainer.model.checkpoint(config.gradient_checkpointing == "on" if known is None else known.gradient_checkpointing)
    batch, trainer.micro_batch, checkpoint = trainer.from_main(settle)  # 7
    trainer.tally.reset()
    trainer.model.checkpoint(batch.gradient_checkpointing)
    progress = Progress()
    base_step.seed_everything(config.seed)
    if checkpoint is not None:
        progress = restore(trainer, checkpoint)
        trainer.micro_batch = min(trainer.micro_batch, int(checkpoint.state["micro_batch"]))
    scoring = finish.Scoring(data, folder, linkings, planned.device, trainer.pad, batch.micro_batch)
    intervals = Intervals(
        # Where waived, only those that the run itself needs are written: the best, the last, and where it was stopped.
        checkpoint_every=sys.maxsize if "checkpoint" in config.waive else config.checkpoint_every,
        eval_every=updates_between_evaluations(config.eval_every, planned.budget.updates),
        early_stopping=not planned.budget.controlled,
        deadline=None if config.max_hours is None else clock.started + 3600 * config.max_hours,
    )
    memory = MemoryWatch(planned.device.name, run.journal, console.warn)

    def evaluate(bar: Bar) -> dict[str, float]:
        with clock("evaluation on dev"):
            scores = trainer.from_main(lambda: scoring.selection(trainer.model, trainer.step, bar))
        trainer.tally.reset()  # what evaluation reads is no training token
        return scores

    with clock("training"):  # 8
        train(trainer, progress, intervals, folder / CHECKPOINTS, run.journal, evaluate, memory, console)
    recount(planned, trainer)
    trainer.model.learns(None)  # frees the teachers
    if trainer.shards is None:
        processes.leave()  # the others are of no more use
    concluded: list[Result] = []
    trainer.from_main(lambda: concluded.append(conclude(run, trainer, progress, scoring)))  # 9, 10
    processes.leave()
    if not concluded:
        return Outcome(folder, None, {}, {})
    (result,) = concluded
    path = write_result(folder, result)  # 11
    files = manifests.file_sums(folder)  # before a plugin is told of the result
    headline = result.to_json()["headline"]
    run.journal.write("result", path=str(path), headline=headline, sha256=manifests.sums_sha256(files))
    run.journal.write("end", status="finished")
    journal = manifests.JournalEnd(run.journal.position, (folder / JOURNAL).stat().st_size, run.journal.sha256)
    manifests.write_manifest(folder, result, files, journal, planned.code)
    return outcome_of(folder)


def load_trainer(run: RunContext) -> Trainer:
    """The loop on the loaded base model; it alone refers to the model, so that the model goes when it does."""
    from bench.training.sharding import Shards

    planned, processes, parts, warn = run.planned, run.processes, run.planned.parts, run.console.warn
    shards = Shards(processes, planned.device) if planned.config.shard else None
    device = planned.device if shards is None else replace(planned.device, name="cpu")  # whole it may not fit on a GPU

    def load() -> TaskModel:
        base = base_step.load_base(parts, planned.data, planned.folder, device, warn)
        return base_step.attach(base, parts, planned.data, planned.config, planned.device, shards=shards)

    model = processes.main_first(load)
    if parts.start is not None:
        model.adapted.load_shared(parts.start.folder / ADAPTERS)
    teachers_step.teach(model, planned)
    return make_trainer(planned, model, processes, shards)


def make_trainer(planned: Planned, model: Any, processes: Processes | None = None, shards: Shards | None = None) -> Trainer:
    """The loop with its sampler, ledger and tally."""
    from bench.data.batches import Sampler
    from bench.data.paced import PacedSampler, difficulties
    from bench.data.phases import Phases
    from bench.invariants.tokens import Ledger, Tally
    from bench.training.loop import Shape, Trainer

    config, data, spec = planned.config, planned.data, planned.parts.model.spec
    row = planned.parity.row
    lengths, documents = training_windows(data)
    schedule, options = planned.parts.schedule, planned.parts.schedule_options
    curriculum = schedule.curriculum(options)
    difficulty = {}
    if curriculum is not None:
        windows = {name: (lengths[name], task_data.splits["train"].supervised) for name, task_data in data.items()}
        difficulty = difficulties(curriculum, schedule.name, windows)

    def draw_from(tasks: Sequence[str], seed: int, tokens: int) -> Sampler:
        task_lengths = {task: lengths[task] for task in tasks}
        task_documents = {task: documents[task] for task in tasks if task in documents}
        args = (task_lengths, seed, config.batch_tokens, tokens, config.sampling, config.temperature, task_documents)
        return Sampler(*args) if curriculum is None else PacedSampler(*args, curriculum=curriculum, difficulty=difficulty)

    whole = draw_from(list(data), config.seed, planned.budget.tokens)
    phases = planned.parts.phases(whole.shares)
    several = len(phases) > 1
    return Trainer(
        model=model,
        data=data,
        sampler=Phases(draw_from, whole, phases, config.seed, schedule.restarts) if several else whole,
        ledger=Ledger(tuple(data)),
        tally=Tally(model.adapted.backbone, waived="tokens" in config.waive),
        device=planned.device,
        lr=float(planned.facts["lr"]),
        micro_batch=config.micro_batch or config.batch_tokens,
        pad=corpora_step.pad_id(planned.parts.model.folder()),
        shape=Shape(
            row.frozen,
            row.products,
            spec.layers,
            spec.hidden_size,
            frozenset(task for task in data if not model.adapted.learning(task)),
        ),
        loss_weighting=config.loss_weighting,
        merging=config.gradients,
        seed=config.seed,
        processes=processes or Processes(),
        shards=shards,
        loss_weights=config.loss_weights,
        optimizer_name=config.optimizer,
        penalty=schedule.penalty(options) if several else None,
    )


def training_windows(data: Mapping[str, TaskData]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Task to the marked tokens of its training windows; and to their documents, where those of a document go together."""
    train = {name: task_data.splits["train"] for name, task_data in data.items()}
    documents = {name: train[name].sources for name, task_data in data.items() if task_data.compared}
    return {name: split.lengths for name, split in train.items()}, documents


def recount(planned: Planned, trainer: Trainer) -> None:
    """Parity again, on the real model; it must agree exactly with what was planned."""
    planned.parity.recount(trainer.model.adapted, {name: trainer.model.head(name) for name in planned.data})


def outcome_of(folder: Path) -> Outcome:
    """What a finished run's folder holds."""
    result = read_result(folder)
    headline = result.to_json()["headline"] | {"synthetic": result.synthetic}
    return Outcome(folder, folder / RESULT, headline, {})
