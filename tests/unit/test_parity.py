"""Parity on the meta device, the recount on the real model, and plugins that break it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

from bench_plugins.architectures import Fused, SharedAndPrivate, SharedOnly, bench_architectures  # noqa: E402

from bench.adapters.attach import attach  # noqa: E402
from bench.adapters.model import AdaptedModel, fusion_parameters  # noqa: E402
from bench.api.architecture import Adapter, Architecture, ArchitectureModule, BaseArchitecture, ParameterBudget  # noqa: E402
from bench.api.model import LinearShape  # noqa: E402
from bench.errors import InvariantError  # noqa: E402
from bench.invariants.parity import ParityReport, check  # noqa: E402

WIDTH, CLASSES = 64, 5
FOUR = tuple(one for one in bench_architectures() if one.name in ("A1", "A2", "A3", "A4"))


def backbone() -> torch.nn.Module:
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=WIDTH, num_hidden_layers=4, num_attention_heads=2, intermediate_size=128
    )
    return transformers.BertModel(config, add_pooling_layer=False)


def meta_module() -> torch.nn.Module:
    with torch.device("meta"):
        return backbone()


def linears() -> tuple[LinearShape, ...]:
    return tuple(
        LinearShape(name, one.in_features, one.out_features)
        for name, one in meta_module().named_modules()
        if isinstance(one, torch.nn.Linear)
    )


SIZE = 4 * (4 * 128 + 2 * 192)
HEAD = CLASSES * (WIDTH + 1)


def heads(tasks: Sequence[str]) -> dict[str, Callable[[], torch.nn.Module]]:
    return {task: lambda: torch.nn.Linear(WIDTH, CLASSES) for task in tasks}


def checked(
    tasks: Sequence[str] = ("x", "y"),
    rank: int = 16,
    arm: str = "A3",
    more: Sequence[BaseArchitecture] = (),
    waived: bool = False,
) -> ParityReport:
    return check([*FOUR, *more], arm, tasks, budget(rank, waived), meta_module, heads(tasks))


def budget(rank: int = 16, waived: bool = False) -> ParameterBudget:
    return ParameterBudget(rank, linears(), strict=not waived)


def real(architecture: BaseArchitecture, report: ParityReport, tasks: Sequence[str] = ("x", "y")) -> ArchitectureModule:
    return attach(architecture, backbone(), tasks, budget(report.plan["budget_rank"]))


def test_the_rows_are_the_counts() -> None:
    report = checked()
    assert report.holds
    assert report.problem is None
    assert [row.arm for row in report.rows] == ["A1", "A2", "A3", "A4"]
    a1, a2, a3, a4 = report.rows
    assert a1.adapters == a2.adapters == a3.adapters == 16 * SIZE
    assert a4.fusion == 2 * WIDTH * 64
    assert a4.adapters + a4.fusion == pytest.approx(16 * SIZE, rel=0.01)
    assert {row.heads for row in report.rows} == {2 * HEAD}
    assert a1.total == 16 * SIZE + 2 * HEAD
    assert dict(a2.active) == {"x": 8 * SIZE + HEAD, "y": 8 * SIZE + HEAD}
    assert dict(a3.active) == {"x": 12 * SIZE + HEAD, "y": 12 * SIZE + HEAD}
    assert max(row.ratio for row in report.rows) == max(row.ratio_all for row in report.rows) == 1.0
    assert a4.ratio == (a4.adapters + a4.fusion) / max(row.adapters + row.fusion for row in report.rows)
    assert report.row is a3
    assert json.loads(json.dumps(report.as_json()))["rows"][0]["total"] == a1.total


@pytest.mark.parametrize("architecture", FOUR, ids=lambda a: a.name)
def test_five_tasks_at_a_small_rank_agree_with_the_real_model(architecture: Architecture) -> None:
    tasks = list("vwxyz")
    report = checked(tasks, 10, architecture.name)
    assert min(row.ratio for row in report.rows) > 0.97
    made = {task: make() for task, make in heads(tasks).items()}
    counted = report.recount(real(architecture, report, tasks), made)
    assert counted == dict(report.row.groups)
    assert sum(counted.values()) == report.row.total


@pytest.mark.parametrize("architecture", [a for a in FOUR if a.name != "A2"], ids=lambda a: a.name)
def test_what_is_frozen_is_not_counted_and_held_to_no_other_arm(architecture: BaseArchitecture) -> None:
    frozen = ParameterBudget(16, linears(), frozen=True)
    report = check([*FOUR], architecture.name, ["x"], frozen, meta_module, heads(["x"]))
    assert not report.matched
    assert report.holds
    (row,) = report.rows
    assert {*row.groups} == {"head of x"} | ({"private-x"} if architecture.name != "A1" else set())
    assert row.active == {"x": row.total}
    assert row.fusion == 0
    assert report.notes[-1].startswith("Frozen is what tasks share: shared ")
    model = attach(architecture, backbone(), ["x"], frozen)
    kept = sum(p.numel() for name, parts in model.components().items() if name in model.frozen for p in parts)
    assert row.frozen == checked(["x"]).row.frozen + kept  # it costs a forward pass still
    report.recount(model, {task: make() for task, make in heads(["x"]).items()})
    next(p for n, p in model.trained().items() if model.component(n) == "shared").requires_grad_(True)
    with pytest.raises(InvariantError, match="shared has"):
        report.recount(model, {task: make() for task, make in heads(["x"]).items()})


def test_the_check_draws_nothing_from_the_generator() -> None:
    torch.manual_seed(0)
    want = torch.rand(1)
    torch.manual_seed(0)
    checked()
    assert torch.equal(torch.rand(1), want)


def test_with_one_task_three_arms_are_the_same() -> None:
    (note,) = checked(("x",)).notes
    assert note.startswith("With one task A1, A2 and A3 are one and the same")
    assert checked().notes == ()


def test_too_small_a_budget_stops_with_the_smallest_for_every_arm() -> None:
    # A4 pays for its fusion too: 3·S + 8,192 within 2% of N·S, S = 3,584, asks for N = 6.
    for rank in (1, 5):
        with pytest.raises(InvariantError, match=r"The smallest that works for every arm is --rank 6\.") as caught:
            checked(rank=rank, arm="A1")
        assert caught.value.exit_code == 3
    assert checked(rank=6, arm="A1").holds


def test_waived_is_recorded_and_not_raised() -> None:
    report = checked(rank=2, arm="A3", waived=True)
    assert (report.holds, report.waived) == (False, True)
    assert report.problem is not None
    assert "rank 1 in every layer already takes" in report.problem
    assert report.plan["total"] == 3 * SIZE
    assert checked(waived=True).holds


class Grows(Fused):
    """Its fusion makes a parameter the first time it is used."""

    name = "grows"

    def fusion(self, hidden_size: int) -> torch.nn.Module:
        class Growing(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.weight = torch.nn.Parameter(torch.zeros(2))

            def forward(self, states: list[torch.Tensor]) -> torch.Tensor:
                if not hasattr(self, "hidden"):
                    self.hidden = torch.nn.Linear(hidden_size, hidden_size, bias=False)
                mixed: torch.Tensor = sum(w * s for w, s in zip(self.weight.softmax(0), states, strict=True)) + self.hidden(
                    states[0]
                )
                return mixed

        return Growing()


def test_parameters_a_plugin_adds_later_are_found() -> None:
    report = checked(arm="grows", more=[Grows()])
    model = real(Grows(), report)
    made = {task: make() for task, make in heads(["x", "y"]).items()}
    report.recount(model, made)
    model("x", torch.ones(1, 3, dtype=torch.long), torch.ones(1, 3, dtype=torch.long))
    with pytest.raises(InvariantError, match=r"grows are not those of its plan: fusion has 4,098, planned 2\.") as caught:
        report.recount(model, made)
    assert (caught.value.exit_code, caught.value.invariant) == (3, "parity")


class Bigger(Fused):
    """Its fusion is small when it is planned and large when it is built."""

    name = "bigger"

    def fusion(self, hidden_size: int) -> torch.nn.Module:
        from bench_plugins.architectures.fusion import TokenFusion

        fusion = TokenFusion(hidden_size)
        if not fusion.query.weight.is_meta:
            fusion.extra = torch.nn.Linear(hidden_size, hidden_size)
        return fusion


def test_a_fusion_that_differs_from_its_plan_is_found() -> None:
    report = checked(arm="bigger", more=[Bigger()])
    with pytest.raises(InvariantError, match=r"fusion has 12,352, planned 8,192"):
        report.recount(real(Bigger(), report), {task: make() for task, make in heads(["x", "y"]).items()})


def test_an_unfrozen_base_is_named() -> None:
    report = checked(arm="A1")
    model = real(SharedOnly(), report)
    model.backbone.embeddings.LayerNorm.requires_grad_(True)
    made = {task: make() for task, make in heads(["x", "y"]).items()}
    with pytest.raises(InvariantError, match=r"base model has 128, planned 0 \(unfrozen: embeddings\.LayerNorm\.weight, embed"):
        report.recount(model, made)


def test_a_frozen_adapter_and_another_head_are_named_too() -> None:
    report = checked(arm="A3")
    model = real(SharedAndPrivate(), report)
    for parameter in model.components()["private-y"]:
        parameter.requires_grad_(False)
    made = {"x": torch.nn.Linear(WIDTH, CLASSES), "y": torch.nn.Linear(WIDTH, 1, bias=False)}
    with pytest.raises(InvariantError, match=rf"private-y has 0, planned {4 * SIZE:,}; head of y has 64, planned {HEAD}\."):
        report.recount(model, made)


def test_a_waived_recount_counts_and_lets_go() -> None:
    report = checked(arm="A1", waived=True)
    model = real(SharedOnly(), report)
    model.backbone.embeddings.LayerNorm.requires_grad_(True)
    assert report.recount(model, {})["base model"] == 128


class Lazy(Fused):
    name = "lazy"

    def fusion(self, hidden_size: int) -> torch.nn.Module:
        return torch.nn.LazyLinear(hidden_size)


class Raises(SharedOnly):
    name = "raises"

    def adapters(self, tasks: Sequence[str]) -> tuple[Adapter, ...]:
        raise KeyError("whoops")


UNCOUNTABLE = [
    (Lazy(), "the fusion of lazy has lazy parameters"),
    (Raises(), "KeyError: 'whoops'"),
]


@pytest.mark.parametrize(("architecture", "said"), UNCOUNTABLE)
@pytest.mark.parametrize("waived", [False, True])
def test_an_arm_that_cannot_be_counted_is_named_and_stops_no_other(architecture: Architecture, said: str, waived: bool) -> None:
    report, alone = checked(arm="A1", more=[architecture], waived=waived), checked(arm="A1", waived=waived)
    assert report.rows == alone.rows
    assert report.plan == alone.plan
    assert (report.holds, report.problem, report.notes) == (True, None, ())
    assert list(report.uncounted) == [architecture.name]
    assert said in report.uncounted[architecture.name]
    assert report.as_json()["uncounted"] == dict(report.uncounted)
    warning = report.warning()
    assert warning is not None
    assert said in warning
    assert f"Run 'bench check {architecture.name}'" in warning
    assert (alone.warning(), alone.as_json()["uncounted"]) == (None, {})


def test_an_arm_that_cannot_be_counted_is_no_reason_to_let_another_break_the_rule() -> None:
    with pytest.raises(InvariantError, match=r"The smallest that works for every arm is --rank 6\."):
        checked(arm="A1", rank=5, more=[Raises()])


def test_an_arm_that_cannot_be_counted_is_in_no_note() -> None:
    (note,) = checked(("x",), arm="A1", more=[Lazy(), Raises()]).notes
    assert note.startswith("With one task A1, A2 and A3 are one and the same")


@pytest.mark.parametrize(("architecture", "said"), UNCOUNTABLE)
@pytest.mark.parametrize("waived", [False, True])
def test_the_arm_that_runs_must_be_buildable(architecture: Architecture, said: str, waived: bool) -> None:
    with pytest.raises(InvariantError, match=f"{architecture.name} cannot be counted: {said}") as caught:
        checked(arm=architecture.name, more=[architecture], waived=waived)
    assert (caught.value.exit_code, caught.value.hint) == (3, f"Run 'bench check {architecture.name}'.")


def test_an_arm_that_trains_the_base_is_refused_or_recorded_with_its_count(monkeypatch: pytest.MonkeyPatch) -> None:
    made = AdaptedModel.__init__

    def unfrozen(self: AdaptedModel, *args: Any, **named: Any) -> None:
        made(self, *args, **named)
        self.backbone.embeddings.LayerNorm.requires_grad_(self.plan.architecture == "A3")

    monkeypatch.setattr(AdaptedModel, "__init__", unfrozen)
    with pytest.raises(InvariantError, match=r"A3 trains 128 parameters of the base model\."):
        checked(arm="A3")
    report = checked(arm="A3", waived=True)
    assert report.problem == "A3 cannot be counted: A3 trains 128 parameters of the base model"
    assert report.row.groups["base model"] == 128
    assert not report.holds
    other = checked(arm="A1")
    assert other.holds
    assert [row.arm for row in other.rows] == ["A1", "A2", "A4"]
    assert list(other.uncounted) == ["A3"]


class Vector(BaseArchitecture):
    """Trains a vector beside the frozen base model."""

    name, version, summary = "vector", "1", "for tests"

    def __init__(self, size: int, group: str | None = None, name: str = "vector") -> None:
        self.size, self.group, self.name = size, group, name  # type: ignore[misc]

    def attach(self, backbone: torch.nn.Module, tasks: Sequence[str], budget: ParameterBudget) -> ArchitectureModule:
        size = self.size

        class Module(ArchitectureModule, torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.backbone = backbone
                self.vector = torch.nn.Parameter(torch.zeros(size))

            def trained(self) -> dict[str, torch.nn.Parameter]:
                return {"vector": self.vector}

        return Module()


def test_an_arm_in_no_group_is_counted_and_compared_with_nothing() -> None:
    report = checked(arm="vector", more=[Vector(7)])
    assert [(row.arm, row.adapters, row.heads) for row in report.rows] == [("vector", 7, 2 * HEAD)]
    assert (report.holds, report.matched, report.as_json()["group"]) == (True, False, None)
    assert report.plan == {"components": {"vector": 7}, "total": 7}
    assert "not parameter-matched" in str(report.warning())
    assert "vector" not in {row.arm for row in checked(more=[Vector(7)]).rows}


def test_groups_are_held_apart_and_an_arm_off_its_group_stops_its_own_runs_only() -> None:
    near, far = Vector(16 * SIZE, "budget", "near"), Vector(8 * SIZE, "budget", "far")
    other = [Vector(100, "small", "one"), Vector(98, "small", "two"), Vector(50, "small", "three")]
    report = checked(arm="A1", more=[near, far, *other])
    assert [row.arm for row in report.rows] == ["A1", "A2", "A3", "A4", "near"]
    assert list(report.uncounted) == ["far"]
    assert "it trains 28,672 parameters beside the 57,344 of A1" in str(report.warning())
    small = checked(arm="one", more=[near, far, *other])
    assert [row.arm for row in small.rows] == ["one", "two"]
    assert list(small.uncounted) == ["three"]
    with pytest.raises(InvariantError, match=r"far trains 28,672 adapter and fusion parameters, 49\.6% of the") as caught:
        checked(arm="far", more=[near, far])
    assert caught.value.hint == "Run 'bench check far'."


class Heavy(Fused):
    name = "heavy"

    def fusion(self, hidden_size: int) -> torch.nn.Module:
        return torch.nn.Linear(hidden_size, 300)


def test_a_third_partys_arm_is_solved_to_the_same_budget() -> None:
    assert fusion_parameters(Heavy(), WIDTH) == 300 * 65
    report = checked(more=[Heavy()], arm="heavy")
    assert report.row.fusion == 300 * 65
    assert report.row.ratio > 0.98


def test_a_head_that_reads_values_while_it_starts_is_counted() -> None:
    def awkward() -> torch.nn.Module:
        head = torch.nn.Linear(WIDTH, CLASSES)
        head.bias.data.fill_(head.weight.detach().mean().item())
        return head

    torch.manual_seed(4)
    want = torch.rand(1)
    torch.manual_seed(4)
    report = check(FOUR, "A1", ["x"], budget(), meta_module, {"x": awkward})
    assert report.row.heads == HEAD
    assert torch.equal(torch.rand(1), want)
