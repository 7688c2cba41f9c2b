"""Checks of an architecture, attached to the first tiny model for two tasks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from bench.api.architecture import Architecture, ArchitectureModule, BaseArchitecture, ParameterBudget
from bench.api.model import ModelSpec
from bench.conformance.common import RATE, dead, described, same
from bench.conformance.workbench import Failure, Workbench, expect, named, scramble, without_heavy_imports
from bench.registry import FIRST_PARTY
from bench.wording import some

if TYPE_CHECKING:
    from torch import Tensor

TASKS = ("2015-T14", "b.c")
RANK = 16
SPEC = ModelSpec("plain", "bert", False, 64, 2, 512, 1_000_000, ())
LEVELS = {TASKS[0]: 1, TASKS[1]: 2, "third": 2}
_NAME = re.compile(r"[A-Za-z0-9_-]+")


def metadata(arm: BaseArchitecture, bench: Workbench) -> str:
    """`supports` works without torch; adapters have valid names and tasks, and each is active in a pass of its own tasks."""
    described(arm)
    expect(arm.group is None or bool(arm.group.strip()), f"group is {arm.group!r}; wanted a name, or None")
    with without_heavy_imports():
        for when in (None, "load", "after"):
            answer = arm.supports(SPEC, when)
            ok = answer is None or (isinstance(answer, str) and answer.strip() != "" and "\n" not in answer)
            expect(ok, f"supports gives {answer!r}; wanted None, or the reason in one line")
            expect(when is not None or answer is None, f"supports refuses a plain encoder: {answer}")
    if not isinstance(arm, Architecture):
        return f"group {arm.group}"
    count = 0
    with without_heavy_imports():
        for tasks in (TASKS[:1], TASKS, (*TASKS, "third")):
            arm = _bound(arm, tasks)
            adapters = arm.adapters(tasks)
            names = [a.name for a in adapters]
            count = len(names)
            odd = [n for n in names if not _NAME.fullmatch(n)]
            expect(not odd, f"adapter names {odd[:3]!r}: wanted letters, digits, '-' and '_'")
            expect(
                len(set(names)) == len(names) > 0, f"adapters {names!r} for {some(len(tasks), 'task')}; wanted distinct names"
            )
            for a in adapters:
                fits = (a.role == "shared" and a.task is None) or (a.role == "private" and a.task in tasks)
                expect(
                    fits, f"adapter {a.name!r} is {a.role!r} with task {a.task!r}; private ones name a task, shared ones none"
                )
            owner = {a.name: a.task for a in adapters}
            used: set[str] = set()
            for task in tasks:
                passes = arm.passes(task)
                expect(len(passes) > 0 and all(passes), f"a batch of {task!r} has no pass, or one without an adapter")
                for name in (n for active in passes for n in active):
                    expect(name in owner, f"a pass of {task!r} activates {name!r}, which adapters() does not declare")
                    expect(owner[name] in (None, task), f"a pass of {task!r} activates {name!r}, private to {owner[name]!r}")
                    used.add(name)
            expect(used == set(names), f"{named(sorted(set(names) - used))} is never active, so it would never train")
    return f"{some(count, 'adapter')} for three tasks"


def determinism(arm: BaseArchitecture, bench: Workbench) -> str:
    """The same seed gives the same initial state, and the same input the same output."""
    if isinstance(arm, Architecture):
        for tasks in (TASKS, TASKS[::-1]):
            scramble(1)
            arm = _bound(arm, tasks)
            first = arm.adapters(tasks), [arm.passes(t) for t in TASKS]
            for salt in range(2, 10):  # many seeds: a random order of three is the same for one pair in six
                scramble(salt)
                again = arm.adapters(tasks), [arm.passes(t) for t in TASKS]
                expect(again == first, "adapters() or passes() differ from call to call")
    a, b = (build(arm, bench, seed=3) for _ in range(2))
    odd = same(a.state(), b.state())
    expect(not odd, f"two models of one seed start differently in {named(odd)}")
    import torch

    a.eval()
    ids, mask = batch()
    for task in TASKS:
        scramble(4)
        with torch.no_grad():
            left = a(task, ids, mask)
            scramble(5)
            expect(torch.equal(left, a(task, ids, mask)), f"two evaluations of {task!r} give different hidden states")
    return some(len(a.state()), "tensor")


def gradients(arm: BaseArchitecture, bench: Workbench) -> str:
    """After two updates and an evaluation, every tensor that a task uses has a gradient, and no other tensor has one."""
    import torch

    for task in TASKS:
        model = build(arm, bench, seed=1)
        train(model, task)
        used = model.trainable(task)
        still = dead(used)
        expect(not still, f"no gradient after two updates and one evaluation for {named(still)} ({len(still)} of {len(used)})")
        unused = [n for n, p in model.trained().items() if n not in used and p.grad is not None]
        expect(not unused, f"a batch of {task!r} trains {named(unused)}, which it does not use")
    everything = {n for task in TASKS for n in model.trainable(task)}
    idle = sorted(set(model.trained()) - everything)
    expect(not idle, f"no task trains {named(idle)}")
    known = {id(p) for p in model.trained().values()}
    loose = [n for n, p in model.named_parameters() if p.requires_grad and id(p) not in known]
    expect(not loose, f"the base model is not frozen: {named(loose)}")
    out = model(TASKS[0], *batch())
    expect(bool(torch.isfinite(out).all()), "hidden states are not finite after two updates")
    return f"{some(len(everything), 'tensor')} over {some(len(TASKS), 'task')}"


def token_counts(arm: BaseArchitecture, bench: Workbench) -> str:
    """Every pass sees the whole batch once: the base model sees tokens times passes."""
    from bench.errors import InvariantError
    from bench.invariants.tokens import Tally

    model = build(arm, bench, seed=1)
    ids, mask = batch()
    tally = Tally(model.backbone)
    for task in TASKS:
        for mode in (True, False):
            model.train(mode)
            tally.expect(model.entering(task, int(mask.sum()), len(mask)))
            out = model(task, ids, mask)
            shape = (*ids.shape, _hidden(bench))
            expect(tuple(out.shape) == shape, f"hidden states have shape {tuple(out.shape)}; wanted {shape}")
            try:
                tally.check(0)
            except InvariantError as error:
                raise Failure(error.message) from None
    tally.close()
    return f"{some(int(mask.sum()), 'token')}, passes " + ", ".join(str(model.passes(t)) for t in TASKS)


def parity(arm: BaseArchitecture, bench: Workbench) -> str:
    """The parameter count is within parity of its group's largest, and equal to that of the real model."""
    from bench.errors import InvariantError
    from bench.invariants.parity import check
    from bench.modeling.backbone import meta_backbone
    from bench.modeling.spec import inspect

    folder = bench.model_folder(bench.tiny_models()[0])
    installed = [arm]
    for entry in bench.registry.entries("architectures"):
        if entry.distribution == FIRST_PARTY and not entry.part.missing() and entry.name != arm.name:
            installed.append(cast(BaseArchitecture, entry.part))
    details = []
    for tasks in (TASKS[:1], TASKS):
        try:
            budget = ParameterBudget(RANK, inspect(folder).linears)
            report = check(
                [architecture.bound({t: LEVELS[t] for t in tasks}) for architecture in installed],
                arm.name,
                tasks,
                budget,
                lambda: meta_backbone(folder),
                {},
            )
            model = build(arm, bench, seed=1, tasks=tasks)
            report.recount(model, {})
            train(model, tasks[0])
            report.recount(model, {})
        except InvariantError as error:
            raise Failure(error.message) from None
        comparison = f"{report.row.ratio:.1%} of the largest" if report.matched else "compared with nothing"
        details.append(f"{some(report.row.adapters + report.row.fusion, 'parameter')}, {comparison}")
    return "; ".join(details)


def save_and_load(arm: BaseArchitecture, bench: Workbench) -> str:
    """Trained weights, saved and loaded into a model of another seed, give the same hidden states."""
    import torch

    from bench.modeling.files import PICKLES

    model = build(arm, bench, seed=1)
    for task in TASKS:
        train(model, task)
    folder = bench.fresh("adapters")
    model.save(folder)
    other = build(arm, bench, seed=2)
    other.load(folder)
    foreign = sorted(p.name for p in folder.rglob("*") if p.is_file() and p.suffix in (*PICKLES, ".py"))
    expect(not foreign, f"save wrote {named(foreign)}; wanted safetensors, JSON and text, nothing that could run")
    odd = same(model.state(), other.state())
    expect(not odd, f"written and read again, {named(odd)} differ")
    third, shared = build(arm, bench, seed=3), other.shared()
    third.load_shared(folder)
    odd = [name for name in same(model.state(), third.state()) if model.component(name) in shared]
    expect(not odd, f"of what tasks share, written and read by itself, {named(odd)} differ")
    model.eval()
    other.eval()
    with torch.no_grad():
        for task in TASKS:
            expect(
                torch.equal(model(task, *batch()), other(task, *batch())),
                f"written and read again, the hidden states of {task!r} differ: something that matters is no parameter",
            )
    return some(len(model.state()), "tensor")


def build(arm: BaseArchitecture, bench: Workbench, seed: int, tasks: Sequence[str] = TASKS) -> ArchitectureModule:
    """The first tiny model with the arm attached."""
    import torch

    from bench.adapters.attach import attach
    from bench.modeling.backbone import load_backbone
    from bench.modeling.spec import inspect

    folder = bench.model_folder(bench.tiny_models()[0])
    backbone = load_backbone(folder, torch.float32, "cpu")
    torch.manual_seed(seed)
    return attach(
        arm.bound({task: LEVELS[task] for task in tasks}),
        backbone,
        tasks,
        ParameterBudget(RANK, inspect(folder).linears, strict=False),
    )


def _bound(arm: Architecture, tasks: Sequence[str]) -> Architecture:
    """The architecture for tasks of two levels."""
    bound = arm.bound({task: LEVELS[task] for task in tasks})
    expect(isinstance(bound, type(arm)), f"bound() gives a {type(bound).__name__}; wanted a {type(arm).__name__}")
    return cast(Architecture, bound)


def train(model: ArchitectureModule, task: str) -> None:
    """Two updates, one evaluation, then the gradients of a third update: in the first, LoRA's A has none since B is 0."""
    import torch

    ids, mask = batch()
    target = torch.randn((*ids.shape, 1), generator=torch.Generator().manual_seed(9))
    optimizer = torch.optim.AdamW(model.trainable(task).values(), lr=RATE)
    model.train()
    for update in range(3):
        if update == 2:
            model.eval()
            with torch.no_grad():
                model(task, ids, mask)
            model.train()
        model.zero_grad(set_to_none=True)
        ((model(task, ids, mask) - target) ** 2 * mask[..., None]).mean().backward()
        if update < 2:
            optimizer.step()


def batch() -> tuple[Tensor, Tensor]:
    """Token ids and mask, (3, 12), padded at the end of two rows."""
    import torch

    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 900, (3, 12), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 8:] = mask[2, 5:] = 0
    return ids, mask


def _hidden(bench: Workbench) -> int:
    return bench.tiny_models()[0].spec().hidden_size


CHECKS: Mapping[str, Callable[[BaseArchitecture, Workbench], str]] = {
    "metadata": metadata,
    "determinism": determinism,
    "gradients": gradients,
    "token-counts": token_counts,
    "parity": parity,
    "save-and-load": save_and_load,
}
