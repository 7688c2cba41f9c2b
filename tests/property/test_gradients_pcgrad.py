"""What projecting conflicting gradients does, for any gradients at all."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

torch = pytest.importorskip("torch")

from bench.results.evidence import GradientPair  # noqa: E402
from bench.training.gradients import SharedGradients, groups_of, inner_products, project, weighted_sum  # noqa: E402

numbers = st.floats(-100, 100).map(lambda value: round(value, 3))


def several(least: int = 2, most: int = 5) -> st.SearchStrategy[Any]:
    """Gradients of several tasks, (tasks, size)."""
    shapes = st.tuples(st.integers(least, most), st.integers(1, 8))
    return shapes.flatmap(lambda shape: arrays(np.float64, shape, elements=numbers))


def order(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def surgery(gradients: Any, seed: int = 0) -> Any:
    """The projected gradients, (tasks, size)."""
    return project(gradients @ gradients.T, order(seed)) @ gradients


def literal(gradients: Any, seed: int) -> Any:
    """Algorithm 1 of the paper on the vectors themselves."""
    draws, found = order(seed), gradients.copy()
    for i in range(len(gradients)):
        for j in draws.permutation([k for k in range(len(gradients)) if k != i]):
            if (along := found[i] @ gradients[j]) < 0:
                found[i] -= along / (gradients[j] @ gradients[j]) * gradients[j]
    return found


@given(several(), st.integers(0, 2**32 - 1))
def test_coefficients_are_the_papers_algorithm(gradients: Any, seed: int) -> None:
    assume(all(abs(a @ b) > 1e-6 or a @ b == 0 for a, b in combinations(literal(gradients, seed), 2)))
    largest = 1 + np.abs(gradients).max()
    assert surgery(gradients, seed) == pytest.approx(literal(gradients, seed), abs=1e-7 * largest)


@given(several(2, 2))
def test_of_two_tasks_neither_is_left_to_work_against_the_other(gradients: Any) -> None:
    first, second = surgery(gradients)
    scale = 1e-9 * (1 + np.abs(gradients).max()) ** 2
    assert first @ gradients[1] >= -scale
    assert second @ gradients[0] >= -scale
    assert (first + second) @ gradients[0] >= -scale
    assert (first + second) @ gradients[1] >= -scale


@given(several(2, 2))
def test_what_a_projection_takes_away(gradients: Any) -> None:
    (a, b), (first, _) = gradients, surgery(gradients)
    assume(a @ b < 0)
    cosine = a @ b / np.sqrt((a @ a) * (b @ b))
    assert first @ first == pytest.approx((a @ a) * (1 - cosine**2), abs=1e-9 * (a @ a))
    assert (a - first) @ first == pytest.approx(0, abs=1e-9 * (a @ a))  # what is gone stands at a right angle to what is left
    assert abs(first @ b) <= 1e-9 * (a @ a + b @ b)


@given(several())
def test_without_a_conflict_nothing_changes(gradients: Any) -> None:
    gradients = np.abs(gradients)
    assert np.array_equal(project(gradients @ gradients.T, order()), np.eye(len(gradients)))


@given(several(), st.floats(0.25, 4))
def test_it_goes_by_directions(gradients: Any, factor: float) -> None:
    scaled = factor * gradients
    largest = 1 + np.abs(scaled).max()
    gram = gradients @ gradients.T
    assume(np.all((np.abs(gram) > 1e-6) | (gram == 0)))
    assert surgery(scaled) == pytest.approx(factor * surgery(gradients), abs=1e-6 * largest)


def test_the_order_is_random_and_seeded() -> None:
    gradients = np.array([[1.0, 0.0, 0.0], [-1.0, 0.5, 0.0], [-1.0, -1.0, 1.0]])
    found = {tuple(surgery(gradients, seed)[0].round(6)) for seed in range(20)}
    assert len(found) > 1
    assert np.array_equal(surgery(gradients, 3), surgery(gradients, 3))


def test_opposite_gradients_cancel_each_other_out() -> None:
    assert surgery(np.array([[1.0, 2.0], [-1.0, -2.0]])) == pytest.approx(np.zeros((2, 2)))


def test_a_gradient_of_zero_meets_nobody() -> None:
    gradients = np.array([[0.0, 0.0], [-1.0, 2.0]])
    assert np.array_equal(surgery(gradients), gradients)


@given(several(1, 5))
def test_inner_products_and_sums_of_tensors(gradients: Any) -> None:
    vectors = [torch.tensor(row, dtype=torch.float32) for row in gradients]
    exact = np.array([v.numpy().astype(np.float64) for v in vectors])
    assert inner_products(vectors) == pytest.approx(exact @ exact.T, rel=1e-9, abs=1e-9)
    plain = vectors[0].clone()
    for vector in vectors[1:]:
        plain = plain + vector
    assert torch.equal(weighted_sum([v.clone() for v in vectors], np.ones(len(vectors), dtype=np.float64)), plain)
    weights = np.linspace(-1, 2, len(vectors), dtype=np.float64)
    wanted = torch.tensor(weights @ exact, dtype=torch.float32)
    assert torch.allclose(weighted_sum(vectors, weights), wanted, rtol=1e-4, atol=1e-2)


def test_inner_products_over_several_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.training import gradients as module

    vectors = list(torch.randn(3, 1000, generator=torch.Generator().manual_seed(0)))
    whole = inner_products(vectors)
    monkeypatch.setattr(module, "_CHUNK", 64)
    assert inner_products(vectors) == pytest.approx(whole, rel=1e-12)


def parameter(size: int) -> Any:
    return torch.nn.Parameter(torch.zeros(size))


def feed(shared: SharedGradients, task: str, gradients: dict[Any, list[float]]) -> None:
    for one, values in gradients.items():
        one.grad = torch.tensor(values)
    shared.take(task)


def test_only_what_is_shared_is_taken_and_each_group_keeps_to_itself() -> None:
    everybody, pair, own, head = parameter(2), parameter(2), parameter(2), parameter(1)
    used = {
        "a": {"x": everybody, "y": pair, "own": own},
        "b": {"x": everybody, "y": pair},
        "c": {"x": everybody, "head": head},
    }
    assert [(g.tasks, len(g.parameters)) for g in groups_of(used)] == [(("a", "b", "c"), 1), (("a", "b"), 1)]
    shared = SharedGradients(used, "pcgrad", seed=0)
    assert shared.shared == 4
    feed(shared, "a", {everybody: [1.0, 0.0], pair: [1.0, 1.0], own: [5.0, 5.0]})
    assert [one.grad for one in (everybody, pair)] == [None, None]
    assert own.grad.tolist() == [5.0, 5.0]
    feed(shared, "b", {everybody: [1.0, 1.0], pair: [-1.0, 0.0]})
    feed(shared, "c", {everybody: [0.0, 1.0], head: [9.0]})
    found = shared.merge(step=0)
    assert own.grad.tolist() == [5.0, 5.0]
    assert head.grad.tolist() == [9.0]
    assert everybody.grad.tolist() == [2.0, 2.0]  # no conflict here
    assert pair.grad.tolist() == pytest.approx([-0.5, 1.5])  # (0, 1) and (-0.5, 0.5)
    assert found["a", "b"] == pytest.approx((1 - 1) / 1)  # over both groups: the inner products are 1 and -1
    assert found["b", "c"] == pytest.approx(1 / np.sqrt(2))
    assert found["a", "c"] == 0
    shared.note(found)
    shared.note({("a", "b"): -0.5})
    rows = {row.tasks: row for row in shared.report().pairs}
    assert rows["a", "b"] == GradientPair(("a", "b"), 2, 1, 0.5, pytest.approx(-0.25))
    again = SharedGradients(used, "pcgrad", seed=0)
    again.restore(shared.state())
    assert again.report() == shared.report()


def test_a_parameter_that_no_task_reached_keeps_no_gradient() -> None:
    reached, other = parameter(2), parameter(3)
    shared = SharedGradients({"a": {"x": reached, "y": other}, "b": {"x": reached, "y": other}}, "plain", 0)
    feed(shared, "a", {reached: [1.0, 2.0]})
    feed(shared, "b", {reached: [3.0, -2.0]})
    shared.merge(0)
    assert reached.grad.tolist() == [4.0, 0.0]
    assert other.grad is None
    reached.grad = None
    shared.take("a")
    shared.take("b")
    assert shared.merge(1) == {}
    assert reached.grad is None


def test_what_an_unfinished_update_left_is_forgotten() -> None:
    one = parameter(2)
    shared = SharedGradients({"a": {"x": one}, "b": {"x": one}}, "plain", 0)
    feed(shared, "a", {one: [1.0, 1.0]})
    shared.begin()
    feed(shared, "b", {one: [2.0, 3.0]})
    assert shared.merge(0) == {}
    assert one.grad.tolist() == [2.0, 3.0]


def test_tasks_that_share_nothing_say_so() -> None:
    shared = SharedGradients({"a": {"x": parameter(2)}, "b": {"y": parameter(2)}}, "pcgrad", 0)
    assert shared.merge(0) == {}
    report = shared.report()
    assert (report.pairs, report.shared_parameters) == ((), 0)
    assert "share no trainable parameter" in report.note
