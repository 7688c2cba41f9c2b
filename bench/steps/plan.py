"""The plan: what a run will do and cost, before any weight is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.architecture import UNMATCHED, Architecture
from bench.config import RunConfig
from bench.data import faults, leaks
from bench.errors import RunStateError, UsageError
from bench.modeling.spec import read_config
from bench.reporting import Reporter
from bench.results.display import short, size
from bench.results.store import find_run, read_result
from bench.steps.corpora import encoding_facts
from bench.steps.resolve import Parts
from bench.training.memory import Load

if TYPE_CHECKING:
    from bench.invariants.parity import ParityReport
    from bench.steps.context import Planned
    from bench.training.model import TaskData


def tokens_like(config: RunConfig) -> int | None:
    """Tokens of the run that `--tokens-like RUN[:TASK]` names, or None where it was not given.

    Raises:
        UsageError: the run is not there, or had no such task.
        RunStateError: it is not finished, or was imported.
    """
    if config.tokens_like is None:
        return None
    # A task's name holds neither a colon nor a slash; a folder's may.
    ref, colon, task = config.tokens_like.rpartition(":")
    if not colon or "/" in task:
        ref, task = config.tokens_like, ""
    result = read_result(find_run(ref, Path(config.out)))
    by_task = result.invariants.tokens.tasks
    if result.imported is not None:
        raise RunStateError(f"{ref!r} was imported: bench counted no token of it.", "Name a run, or give --tokens N.")
    if task and task not in by_task:
        raise UsageError(f"Run {ref!r} had no task {task!r}; it had {', '.join(by_task)}.")
    return sum(account.tokens for name, account in by_task.items() if task in ("", name))


def check_parity(config: RunConfig, parts: Parts, data: Mapping[str, TaskData]) -> ParityReport:
    """Builds every arm of the run's group on the meta device and counts it.

    Raises:
        InvariantError: the arms do not train the same number of parameters.
    """
    from functools import partial

    from bench.invariants.parity import check
    from bench.modeling.backbone import meta_backbone
    from bench.steps.base import parameter_budget

    spec, arm_name = parts.model.spec, parts.architecture.name
    return check(
        # what cannot be trained on this base model claims nothing of it
        [arm for arm in parts.installed if arm.name == arm_name or arm.supports(spec, None) is None],
        arm_name,
        tuple(data),
        parameter_budget(config, parts),
        partial(meta_backbone, parts.model.folder()),
        {name: partial(task_data.head.module, spec.hidden_size) for name, task_data in data.items()},
    )


def refuse_uncheckpointed(parts: Parts) -> None:
    """Refuses a base model whose layers transformers cannot compute again in the backward pass.

    Raises:
        UsageError: naming it.
    """
    from bench.adapters.attach import checkpointable
    from bench.modeling.backbone import meta_backbone

    if not checkpointable(meta_backbone(parts.model.folder())):
        raise UsageError(
            f"--gradient-checkpointing on: transformers has not prepared {parts.model.spec.model_type} for it.",
            "Leave it out, or take another --model.",
        )


def refuse_attention(config: RunConfig, parts: Parts, device: str, precision: str) -> None:
    """Refuses an implementation of attention that the base model, the device or the arm cannot do.

    Args:
        config: of the run.
        parts: of the run.
        device: ``cpu`` or ``cuda``, with or without an index.
        precision: that the run computes in.

    Raises:
        UsageError: naming what cannot, and the next move.
        MissingError: flash attention is not installed.
    """
    from bench.adapters.attach import IMPLEMENTATIONS, Attention, without_flash
    from bench.modeling.backbone import meta_backbone

    wanted = config.attention_implementation
    if wanted == "auto":
        return
    if wanted == "flash":
        if reason := without_flash(device, precision):
            raise reason
        if not isinstance(parts.architecture, Architecture):
            raise UsageError(
                f"--attention-implementation flash beside --arch {config.arch}, which changes the base model by more than LoRA "
                "adapters, is not supported.",
                "Take sdpa.",
            )
    backbone = meta_backbone(parts.model.folder())
    has = [name for name, known in IMPLEMENTATIONS.items() if name in (wanted, "eager", "sdpa")
           and Attention(backbone, name).training == known]  # fmt: skip
    if wanted not in has:
        raise UsageError(
            f"--attention-implementation {wanted}: transformers has none for {parts.model.spec.name} "
            f"({parts.model.spec.model_type}).",
            f"Leave it out, or take {' or '.join(has)}." if has else "Leave it out.",
        )


def describe(planned: Planned) -> dict[str, Any]:
    """The plan, JSON-able."""
    from bench.invariants.smoke import UPDATE_EXAMPLES, UPDATES
    from bench.training.plan import estimate, updates_between_evaluations

    config, parts, data, budget, device = planned.config, planned.parts, planned.data, planned.budget, planned.device
    longest = max(int(task_data.splits["train"].lengths.max()) for task_data in data.values())
    row = planned.parity.row
    passes = max(row.passes.values())
    several = {name: getattr(config, name) for name in ("sampling", "temperature", "loss_weighting", "gradients")}
    if config.loss_weights:
        several["loss_weights"] = dict(config.loss_weights)
    if config.schedule != RunConfig.schedule:
        several["schedule"] = {"name": config.schedule, "options": dict(parts.schedule_options)}
    padded = min(config.micro_batch or config.batch_tokens, config.batch_tokens) + longest
    split_tokens = {split: sum(task_data.splits[split].tokens for task_data in data.values()) for split in ("dev", "test")}
    looks = -(-budget.updates // updates_between_evaluations(config.eval_every, budget.updates))
    stages = 2 if parts.quantizes and parts.when == "after" else 1
    evaluated = (looks + stages - 1) * split_tokens["dev"] + stages * split_tokens["test"]
    typical = sum(task_data.splits["train"].tokens / max(1, len(task_data.splits["train"])) for task_data in data.values())
    gated = 0 if "smoke" in config.waive else round(UPDATES * UPDATE_EXAMPLES * typical)
    guess = estimate(
        parts.model.spec, budget, evaluated, gated, row.adapters + row.fusion, longest, passes, device.precision, device.name,
        row.frozen,
    )  # fmt: skip
    load = load_of(planned, longest)
    memory = load.memory(padded, config.gradient_checkpointing == "on")
    return {
        "id": planned.ident,
        "device": device.name,
        "precision": device.precision,
        "quantizer": {"name": parts.quantizer.name, "when": parts.when if parts.quantizes else None},
        "model": {
            "name": parts.model.name,
            "parameters": parts.model.spec.parameters,
            "plumbing_only": parts.model.plumbing_only,
        },
        "data": encoding_facts(data),
        "leaks": {name: leaks.counted(task_data.corpus.leaks) for name, task_data in data.items() if task_data.corpus.leaks},
        "left_out": {name: dict(task_data.corpus.left_out) for name, task_data in data.items() if task_data.corpus.left_out},
        "adjusted": {name: dict(task_data.corpus.adjusted) for name, task_data in data.items() if task_data.corpus.adjusted},
        "synthetic": [name for name, task_data in data.items() if task_data.corpus.synthetic],
        "budget": budget.as_json(),
        "parity": planned.parity.as_json(),
        "estimate": {
            "memory": memory.total,
            "memory_for": asdict(memory),
            "memory_least": load.memory(longest, config.gradient_checkpointing != "off").total,
            **({"dense": load.dense()} if parts.quantizes else {}),
            "before": round(guess.before, 1),
            "seconds": round(guess.seconds, 1),
            "evaluation": round(guess.evaluation, 1),
            "adapter_bytes": guess.adapter_bytes,
        },
    } | ({"together": several} if len(data) > 1 else {})


def load_of(planned: Planned, longest: int) -> Load:
    """What decides the memory of an update whose longest example has so many tokens."""
    parts, row = planned.parts, planned.parity.row
    raw = read_config(parts.model.folder())
    names = ("num_attention_heads", "n_heads", "n_head", "num_heads", "encoder_attention_heads")
    heads = next((raw[name] for name in names if isinstance(raw.get(name), int)), parts.model.spec.hidden_size // 64)
    return Load(
        spec=parts.model.spec,
        trained=row.adapters + row.fusion + row.heads,
        trains_base=parts.architecture.trains_base,
        passes=max(row.passes.values()),
        precision=planned.device.precision,
        device=planned.device.name,
        packed_bits=parts.quantizer.packed_bits if parts.quantizes and parts.when == "load" else None,
        optimizer=planned.config.optimizer,
        attention=planned.config.attention_implementation,
        attention_heads=heads,
        longest=longest,
    )


def together(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows on what tasks share; none for a run of one task."""
    if "together" not in plan:
        return []
    shared = plan["together"]
    sampling = shared["sampling"] + (f", τ = {shared['temperature']:g}" if shared["sampling"] == "temperature" else "")
    tokens = ", ".join(f"{task} {count:,}" for task, count in plan["budget"]["task_tokens"].items())
    weights = ", ".join(f"{task} {weight:g}" for task, weight in shared.get("loss_weights", {}).items())
    order = shared.get("schedule")
    options = "".join(f", {name} = {value:g}" for name, value in order["options"].items()) if order else ""
    return [
        (f"tokens of each task ({sampling})", tokens),
        *([("order of the tasks", f"{order['name']}{options}")] if order else []),
        ("weights of the losses", weights or shared["loss_weighting"]),
        ("gradients over what is shared", shared["gradients"]),
    ]


def attention(implementation: str) -> list[tuple[str, str]]:
    """A row on how the base model computes attention; none where that is left to the run."""
    return [] if implementation == RunConfig.attention_implementation else [("attention", implementation)]


def given(planned: Planned) -> list[tuple[str, str]]:
    """Rows on other runs, a frozen part and drawn documents; none for a run of neither."""
    config, start = planned.config, planned.parts.start
    taken = planned.facts.get("shots") or planned.facts.get("train_resample") or {}
    drawn = ", ".join(f"{task} {counts['documents']:,} of {counts['of']:,}" for task, counts in taken.items())
    return [
        *([("starts from", f"{start.result.id}, trained on {', '.join(start.result.scores)}")] if start is not None else []),
        *([("frozen", "what tasks share")] if config.freeze_shared else []),
        *(("teacher", f"{teacher.result.id}, of {', '.join(teacher.tasks)}") for teacher in planned.teachers),
        *([("training documents drawn", drawn)] if drawn else []),
    ]


def show_plan(planned: Planned, console: Reporter) -> None:
    """Prints the plan."""
    plan, parity = planned.plan, planned.parity
    rows = [
        (f"{row.arm} *" if row.arm == parity.arm else row.arm, f"{row.adapters:,}", f"{row.fusion:,}", f"{row.heads:,}",
         f"{row.total:,}", short(row.ratio), short(row.ratio_all), ", ".join(f"{n} {r}" for n, r in row.ranks.items()))
        for row in parity.rows
    ] + [(name, *["–"] * 6, "cannot be counted") for name in parity.uncounted]  # fmt: skip
    console.table(
        "parity: trainable parameters (* runs)" if parity.matched else f"trainable parameters: {UNMATCHED}",
        ("arm", "adapters", "fusion", "heads", "total", "ratio", "ratio all", "ranks"),
        rows,
    )
    for note in parity.notes:
        console.note(note)
    budget, guess = plan["budget"], plan["estimate"]
    data = [
        (task, split, f"{facts['documents']:,}", f"{facts['windows']:,}", f"{facts['tokens']:,}", f"{facts['annotations']:,}",
         ", ".join(f"{cause} {count}" for cause, count in facts["lost"].items()) or "none")
        for task, splits in plan["data"].items()
        for split, facts in splits.items()
    ]  # fmt: skip
    console.table("data", ("task", "split", "documents", "windows", "tokens", "annotations", "out of reach"), data)
    for title, key in (("faulty lines left out", "left_out"), ("put right in mentions and relations", "adjusted")):
        if plan[key]:
            console.table(title, ("task", "lines"), [(task, faults.listed(counts)) for task, counts in plan[key].items()])
    like = f" {budget['like']}" if budget["like"] else ""
    epochs = ", ".join(f"{task} {count:.2f}" for task, count in budget["epochs"].items())
    console.table(
        "plan",
        ("what", "value"),
        [
            ("run id", plan["id"]),
            ("device, precision", f"{plan['device']}, {plan['precision']}"),
            *attention(planned.config.attention_implementation),
            ("training tokens", f"{budget['tokens']:,} (from {budget['given_as']}{like})"),
            ("tokens per epoch", ", ".join(f"{task} {count:,}" for task, count in budget["epoch_tokens"].items())),
            ("epochs", epochs),
            *together(plan),
            *given(planned),
            ("updates", f"{budget['updates']:,}"),
            ("adapters on disk", size(guess["adapter_bytes"])),
            ("estimated peak memory", f"{size(guess['memory'])} ({_memory(guess['memory_for'])})"),
            ("at least, one example at a time", size(guess["memory_least"])),
            *([("dense base, to measure quantizing", size(guess["dense"]))] if "dense" in guess else []),
            ("estimated time", f"{_time(guess)} (from a layer timed here)"),
        ],
    )
    if plan["synthetic"]:
        console.warn(f"Synthetic data for {', '.join(plan['synthetic'])}: give the real corpus with --data TASK=DIR.")


def _memory(parts: Mapping[str, int]) -> str:
    return ", ".join(f"{what} {size(count)}" for what, count in parts.items())


def _time(guess: Mapping[str, float]) -> str:
    before, training, evaluation = (guess[name] / 60 for name in ("before", "seconds", "evaluation"))
    whole = f"{before + training + evaluation:.1f} min"
    return f"{whole}, {before:.1f} of them before training and {evaluation:.1f} evaluation"
