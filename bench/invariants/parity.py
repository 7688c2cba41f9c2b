"""Parity: every arm of a group trains the same number of parameters, proved before any weight is loaded.

Every arm is built on the meta device, and what is there is counted, whoever made it; the smallest count over the largest must
exceed 0.95, for all trainable parameters and for those without heads, since equal heads would hide a difference. An arm of the
group that cannot be counted is named and left out, unless it is the one that runs. An arm outside every group is counted too,
and compared with nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from bench.adapters.ranks import FUSION, smallest_common_rank, solve_ranks
from bench.api.architecture import UNMATCHED, Architecture, ArchitectureModule, BaseArchitecture, LoraVariant, ParameterBudget
from bench.errors import BenchError, InvariantError
from bench.results.invariants import ArmParameters, Parity
from bench.results.reading import narrowed, plain
from bench.wording import some

if TYPE_CHECKING:
    from torch import nn

M = TypeVar("M", bound="nn.Module")
RULE = 0.95
"""count / max count has to exceed this."""

_BASE = "base model"
_HEAD = "head of "


@dataclass(frozen=True, kw_only=True)
class ParityRow(ArmParameters):
    """The trainable parameters of one arm, and what a plan needs of it.

    Args:
        groups: components, such as adapter names and ``fusion``, and ``head of TASK`` to their trainable parameters.
        products: as `active`, without embedding tables, which are looked up and not multiplied with.
        passes: task to passes of the base model.
        frozen: weights of the base model's linear layers that are not trained, and what the arm itself adds and freezes.
        facts: what the module says of how the budget was spent.
        notes: what a reader should know of it.
    """

    groups: Mapping[str, int]
    products: Mapping[str, int]
    passes: Mapping[str, int]
    frozen: int
    facts: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def body(self) -> int:
        """All trainable parameters but the heads'."""
        return self.total - self.heads


@dataclass(frozen=True, kw_only=True)
class ParityReport(Parity):
    """The group's counts, and how the arm that runs spends the budget; `rows` in the order given."""

    arm: str
    rows: tuple[ParityRow, ...]

    @property
    def matched(self) -> bool:
        """Whether the arm claims to train as many parameters as others, and is held to it."""
        return self.group is not None

    @property
    def row(self) -> ParityRow:
        """The arm that runs."""
        return next(row for row in self.rows if row.arm == self.arm)

    def record(self) -> Parity:
        """The entry of the result."""
        return replace(narrowed(Parity, self), rows=tuple(narrowed(ArmParameters, row) for row in self.rows))

    def as_json(self) -> dict[str, Any]:
        """JSON-able, as the plan shows it."""
        return {name: value for name, value in plain(self.record()).items() if name != "status"}

    def warning(self) -> str | None:
        """The warning about an arm outside every group, or about the arms that are left out; None where there are none."""
        if not self.matched:
            return f"{self.arm} is {UNMATCHED}: it trains {some(self.row.body, 'parameter')} beside the heads."
        if not self.uncounted:
            return None
        reasons = "; ".join(f"{name}: {reason}" for name, reason in self.uncounted.items())
        return f"Parity says nothing of what cannot be counted ({reasons}). Run 'bench check {next(iter(self.uncounted))}'."

    def recount(self, model: ArchitectureModule, heads: Mapping[str, nn.Module]) -> dict[str, int]:
        """Counts the real model; it must agree with the plan exactly.

        Args:
            model: the arm with its weights; count again after the first updates, for a fusion may grow in its forward.
            heads: task to head.

        Returns:
            What was counted, by group.

        Raises:
            InvariantError: unless waived, naming every group of parameters that differs.
        """
        counted = count(model, heads)
        planned = dict(self.row.groups)
        unlike = [name for name in dict.fromkeys([*planned, *counted]) if planned.get(name, 0) != counted.get(name, 0)]
        if unlike and not self.waived:
            differences = "; ".join(f"{name} has {counted.get(name, 0):,}, planned {planned.get(name, 0):,}" for name in unlike)
            known = {id(p) for parts in model.components().values() for p in parts}
            free = [n for n, p in model.backbone.named_parameters() if p.requires_grad and id(p) not in known]
            where = f" (unfrozen: {', '.join(free[:3])}{', …' if len(free) > 3 else ''})" if free else ""
            raise InvariantError(
                "parity",
                f"the trainable parameters of {self.arm} are not those of its plan: {differences}{where}.",
                f"Run 'bench check {self.arm}'.",
            )
        return counted


def check(
    arms: Sequence[BaseArchitecture],
    arm: str,
    tasks: Sequence[str],
    budget: ParameterBudget,
    backbone: Callable[[], nn.Module],
    heads: Mapping[str, Callable[[], nn.Module]],
) -> ParityReport:
    """Builds every arm of the running arm's group on the meta device, and counts what each trains.

    Args:
        arms: the installed architectures, the arm that runs among them.
        arm: the name of the architecture that runs.
        tasks: names of the tasks.
        budget: of trained parameters; where it is not strict, the rule is recorded instead of enforced.
        backbone: makes a fresh backbone on the meta device, which is then changed.
        heads: task to what makes its head.

    Raises:
        InvariantError: the arm that runs cannot be counted (not strict: cannot be built), the budget is too small for an arm,
            or the rule does not hold; it names the smallest N that works for every arm.
    """
    running = next(member for member in arms if member.name == arm)
    claimed = None if budget.frozen else running.group  # no arm trains as many parameters as one of which a part is frozen
    group = [member for member in arms if member is running or (claimed is not None and member.group == claimed)]
    counts: dict[str, ParityRow] = {}
    uncounted: dict[str, str] = {}
    problem: str | None = None
    for member in group:
        try:
            # An arm that solves its ranks is built at the fewest parameters it can have; `_rule_fault` says what it needs.
            asked = replace(budget, strict=False) if isinstance(member, Architecture) else budget
            asked = asked if member is running else replace(asked, shared_ranks={})
            counts[member.name] = _on_meta(member, tasks, asked, backbone, heads)
            _refuse_base(member, counts[member.name].groups)
        except Exception as error:  # an arm is a plugin's code: any exception means that it cannot be counted
            if member is not running:
                uncounted[member.name] = _reason(error)
                counts.pop(member.name, None)
                continue
            problem = f"{arm} cannot be counted: {_reason(error)}"
            if budget.strict or arm not in counts:
                hint = error.hint if isinstance(error, BenchError) else None
                raise InvariantError("parity", f"{problem}.", hint or f"Run 'bench check {arm}'.") from error
    counted = [member for member in group if member.name in counts]
    for member in counted:
        # Another budget can help an arm whose ranks are solved; any other arm that breaks the rule stops its own runs only.
        if member is not running and not isinstance(member, Architecture) and (off := _gap(counts[member.name], counts[arm])):
            uncounted[member.name] = f"{off} of {arm}"
    counted = [member for member in counted if member.name not in uncounted]
    rows = _with_ratios([counts[member.name] for member in counted])
    if problem is None and (problem := _rule_fault(rows, counted, tasks, budget)) and budget.strict:
        hint = f"Run 'bench check {arm}'."
        if budget.shared_ranks:
            hint = "Start from another run, or train fewer tasks at once."
        elif isinstance(running, Architecture):
            solving = [(member, counts[member.name].fusion) for member in counted if isinstance(member, Architecture)]
            smallest = smallest_common_rank(solving, tasks, budget.linears, budget.rank, RULE)
            hint = f"The smallest that works for every arm is --rank {smallest}."
        raise InvariantError("parity", f"{problem}.", hint)
    return ParityReport(
        status=UNMATCHED if claimed is None else "held" if budget.strict else "waived",
        arm=arm, rule=RULE, holds=problem is None, waived=not budget.strict, problem=problem, rows=rows,
        plan=counts[arm].facts, notes=(*_notes(counted, tasks), *counts[arm].notes), uncounted=uncounted, group=claimed,
    )  # fmt: skip


def count(model: ArchitectureModule, heads: Mapping[str, nn.Module]) -> dict[str, int]:
    """Trainable parameters by group: every component, ``head of TASK``, and ``base model`` for what no component declares.

    Everything with ``requires_grad`` is counted, each tensor once, wherever it is.
    """
    seen: set[int] = set()
    counted: dict[str, int] = {}

    def tally(name: str, parameters: Iterable[nn.Parameter]) -> None:
        for parameter in parameters:
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                counted[name] = counted.get(name, 0) + parameter.numel()

    for name, parameters in model.components().items():
        tally(name, parameters)
    for task, head in heads.items():
        tally(_HEAD + task, head.parameters())
    tally(_BASE, model.parameters())
    return counted


def _on_meta(
    architecture: BaseArchitecture,
    tasks: Sequence[str],
    budget: ParameterBudget,
    backbone: Callable[[], nn.Module],
    heads: Mapping[str, Callable[[], nn.Module]],
) -> ParityRow:
    import torch

    from bench.adapters.attach import attach

    with torch.random.fork_rng(devices=[]):
        base = backbone()
        base_ids = {id(parameter) for parameter in base.parameters()}
        model = attach(architecture, base, tasks, budget)
        built = {task: meta_module(make) for task, make in heads.items()}
        groups = count(model, built)
    trained = {id(parameter) for task in tasks for parameter in model.learning(task).values()}
    tables = {id(m.weight) for m in model.backbone.modules() if isinstance(m, torch.nn.Embedding)}
    active, products = {}, {}
    for task in tasks:
        used = {id(p): p.numel() for p in model.learning(task).values()}
        active[task] = sum(used.values()) + groups.get(_HEAD + task, 0)
        products[task] = active[task] - sum(size for key, size in used.items() if key in tables)
    frozen = [linear for linear in budget.linears if id(model.backbone.get_submodule(linear.name).weight) not in trained]
    added = sum(p.numel() for p in model.parameters() if not p.requires_grad and id(p) not in base_ids)
    total, fusion = sum(groups.values()), groups.get(FUSION, 0)
    of_heads = sum(number for name, number in groups.items() if name.startswith(_HEAD))
    return ParityRow(
        arm=architecture.name, groups=groups, adapters=total - of_heads - fusion, fusion=fusion, heads=of_heads, total=total,
        active=active, products=products, passes={task: model.passes(task) for task in tasks},
        frozen=sum(linear.inputs * linear.outputs for linear in frozen) + added, ranks=dict(model.ranks()), facts=model.facts(),
        ratio=1.0, ratio_all=1.0, notes=(_frozen_note(model),) if budget.frozen else (),
    )  # fmt: skip


def _frozen_note(model: ArchitectureModule) -> str:
    """What is frozen of what the arm would train, in words."""
    sizes = {name: sum(p.numel() for p in parts) for name, parts in model.components().items() if name in model.frozen}
    return f"Frozen is what tasks share: {', '.join(f'{name} {size:,}' for name, size in sizes.items())} parameters."


def _refuse_base(architecture: BaseArchitecture, counted: Mapping[str, int]) -> None:
    if counted.get(_BASE):
        raise InvariantError("parity", f"{architecture.name} trains {some(counted[_BASE], 'parameter')} of the base model.")


def _gap(row: ParityRow, reference: ParityRow) -> str | None:
    """How far an arm's count, heads left out, is from that of the arm that runs, where that breaks the rule."""
    if min(row.body, reference.body) > RULE * max(row.body, reference.body):
        return None
    return f"it trains {some(row.body, 'parameter')} beside the {reference.body:,}"


def meta_module(make: Callable[[], M]) -> M:
    """A module on the meta device, where it can be made there; the random stream is left as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                return make()
        except (RuntimeError, NotImplementedError):  # it reads a value while it starts, which meta tensors do not have
            return make()


def _with_ratios(rows: Sequence[ParityRow]) -> tuple[ParityRow, ...]:
    """The rows with their ratios to the largest."""
    largest, largest_all = max(row.body for row in rows), max(row.total for row in rows)
    return tuple(replace(row, ratio=row.body / largest if largest else 1.0, ratio_all=row.total / largest_all) for row in rows)


def _rule_fault(
    rows: Sequence[ParityRow], counted: Sequence[BaseArchitecture], tasks: Sequence[str], budget: ParameterBudget
) -> str | None:
    """Why the rule does not hold, or None."""
    for architecture, row in zip(counted, rows, strict=True):
        try:
            if isinstance(architecture, Architecture):
                solve_ranks(architecture, tasks, budget.linears, budget.rank, row.fusion)
        except InvariantError as error:
            return _reason(error)
    for row in rows:
        if min(row.ratio, row.ratio_all) <= RULE:
            largest = max(rows, key=lambda other: other.body)
            return (
                f"at --rank {budget.rank} {row.arm} trains {row.body:,} adapter and fusion parameters, "
                f"{row.ratio:.1%} of the {largest.body:,} of {largest.arm}; more than {RULE:.0%} is asked"
            )
    return None


def _reason(error: Exception) -> str:
    """What an error says, without the invariant's name in front and the full stop."""
    if isinstance(error, InvariantError):
        return error.message.partition(": ")[2].rstrip(".")
    return error.message.rstrip(".") if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"


def _notes(arms: Sequence[BaseArchitecture], tasks: Sequence[str]) -> tuple[str, ...]:
    plain = [arm for arm in arms if isinstance(arm, Architecture) and arm.variant == LoraVariant()]
    same = [arm.name for arm in plain if len(tasks) == 1 and len(arm.passes(tasks[0])) == 1]
    if len(same) < 2:
        return ()
    return (
        f"With one task {', '.join(same[:-1])} and {same[-1]} are one and the same but for their start; "
        "an ablation wants two tasks or more.",
    )
