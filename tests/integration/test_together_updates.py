"""Updates of several tasks: whose gradients they hold, whom they move, and that how memory cuts them is all the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench import runner  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.data.cache import collate  # noqa: E402
from bench.reporting import SilentReporter  # noqa: E402
from bench.steps import base as base_step  # noqa: E402
from bench.steps.context import Clock  # noqa: E402
from bench.steps.corpora import read_corpora  # noqa: E402
from bench.steps.resolve import resolve  # noqa: E402
from bench.training import gradients, loop  # noqa: E402
from bench.training.loop import Trainer  # noqa: E402

NAMES = ("2015-T14", "second", "third.one")
Make = Callable[..., Trainer]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory, kit: Any) -> dict[str, str]:
    """A corpus for each of three tasks, of different sizes."""
    found = {}
    for seed, name in enumerate(NAMES, start=3):
        folder = tmp_path_factory.mktemp("corpora") / name
        kit.load().get("tasks", kit.TASK).synthesize(folder, seed, {"train": seed, "dev": 1, "test": 1})
        found[name] = str(folder)
    return found


@pytest.fixture
def trainer(tiny: Callable[..., RunConfig], corpora: dict[str, str], kit: Any, tmp_path: Path) -> Make:
    """Makes the trainer of a run of three tasks, as the runner does."""
    made = 0

    def make(**changes: Any) -> Trainer:
        nonlocal made
        made += 1
        config = tiny(**({"task": NAMES, "data": corpora, "precision": "fp32", "steps": 40} | changes))
        parts = resolve(config, kit.with_parts(tasks=[kit.task_like(name) for name in NAMES[1:]]))
        folder = tmp_path / f"run-{made}"
        with read_corpora(parts.tasks, config) as sources:
            facts = runner.resolved_facts(config, parts, sources)
            planned = runner.plan(config, facts, "id", folder, parts, sources, SilentReporter(), Clock())
        base = base_step.load_base(parts, planned.data, folder, planned.device)
        model = base_step.attach(base, parts, planned.data, config, planned.device)
        base_step.seed_everything(config.seed)
        return runner.make_trainer(planned, model)

    return make


def captured(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The gradients that one update hands to the optimizer, not clipped; nothing moves."""
    monkeypatch.setattr(loop, "CLIP", math.inf)
    found: dict[str, Any] = {}

    def keep() -> None:
        found.update({name: p.grad.clone() for name, p in trainer.named.items() if p.grad is not None})

    monkeypatch.setattr(trainer.optimizer, "step", keep)
    trainer.run_update()
    return found


def by_hand(trainer: Trainer) -> tuple[dict[str, dict[str, Any]], dict[str, float]]:
    """Task to the gradient of its mean loss over the update that comes next, example by example; and those losses."""
    before = trainer.sampler.state()
    drawn = trainer.sampler.draw()
    trainer.sampler.restore(before)
    found: dict[str, dict[str, Any]] = {}
    losses = {}
    for task, examples in drawn.examples.items():
        one = trainer.data[task]
        split = one.splits["train"]
        supervised = int(split.supervised[list(examples)].sum())
        losses[task] = 0.0
        for example in examples:
            loss = trainer.model.loss(task, collate(split.take([example]), one.head, trainer.pad)) / supervised
            torch.autograd.backward(loss)
            losses[task] += loss.item()
        found[task] = {name: p.grad.clone() for name, p in trainer.model.trainable(task).items() if p.grad is not None}
        trainer.model.zero_grad(set_to_none=True)
    trainer.tally.reset()
    return found, losses


def warm(trainer: Trainer, updates: int = 3) -> Trainer:
    """A few updates, after which no LoRA matrix is zero any more."""
    for _ in range(updates):
        trainer.run_update()
    return trainer


@pytest.mark.parametrize("micro_batch", [64, 130, 4096])
@pytest.mark.parametrize("arch", ["A1", "A4"])
def test_an_update_is_the_mean_of_its_tasks_mean_losses_however_it_is_cut(
    arch: str, micro_batch: int, trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = warm(trainer(arch=arch))
    one.micro_batch = 4096
    apart, losses = by_hand(one)
    assert set(losses) == set(NAMES)
    wanted: dict[str, Any] = {}
    for found in apart.values():
        for name, gradient in found.items():
            wanted[name] = wanted.get(name, 0) + gradient / len(apart)
    one.micro_batch = micro_batch
    found = captured(one, monkeypatch)
    assert found.keys() == wanted.keys()
    for name, gradient in found.items():
        assert torch.allclose(gradient, wanted[name], rtol=1e-3, atol=1e-6), name


def test_projected_gradients_are_the_papers(trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    one = warm(trainer(arch="A3", gradients="pcgrad", seed=5))
    apart, _ = by_hand(one)
    (group,) = one.shared.groups
    names = [name for p in group.parameters for name, q in one.named.items() if q is p]
    assert names
    assert all(".shared." in name for name in names)
    vectors = np.stack([torch.cat([apart[t][n].reshape(-1) for n in names]).double().numpy() / 3 for t in NAMES])
    draws, projected = np.random.default_rng([5, one.step, gradients._SALT]), vectors.copy()
    for i in range(3):
        for j in draws.permutation([k for k in range(3) if k != i]):
            if (along := projected[i] @ vectors[j]) < 0:
                projected[i] -= along / (vectors[j] @ vectors[j]) * vectors[j]
    before = {pair: met.cosines for pair, met in one.shared.pairs.items()}
    found = captured(one, monkeypatch)
    merged = torch.cat([found[name].reshape(-1) for name in names]).double().numpy()
    assert merged == pytest.approx(projected.sum(axis=0), rel=1e-3, abs=1e-6)
    for task, own in apart.items():
        for name in own.keys() - set(names):
            assert torch.allclose(found[name], own[name] / 3, rtol=1e-3, atol=1e-6), (task, name)
    norms = np.linalg.norm(vectors, axis=1)
    for i, j in combinations(range(3), 2):
        met = one.shared.pairs[NAMES[i], NAMES[j]]
        cosine = vectors[i] @ vectors[j] / (norms[i] * norms[j])
        assert met.updates == 4
        assert met.cosines - before[NAMES[i], NAMES[j]] == pytest.approx(cosine, rel=1e-2, abs=1e-4)


def test_plain_and_pcgrad_see_the_same_updates_and_differ_only_where_gradients_conflict(
    trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, projected = trainer(arch="A1"), trainer(arch="A1", gradients="pcgrad")
    clashed = False
    for _ in range(12):
        reports = [one.run_update() for one in (plain, projected)]
        assert [r.tokens for r in reports] == [reports[0].tokens] * 2
        assert plain.ledger.state() == projected.ledger.state()
        same = all(torch.equal(a, b) for a, b in zip(plain.parameters, projected.parameters, strict=True))
        if not clashed:  # up to the first conflict the two are one run, bit for bit
            assert reports[0].loss == reports[1].loss
            assert reports[0].cosines == reports[1].cosines
            clashed = any(cosine < 0 for cosine in reports[0].cosines.values())
            assert same != clashed
    assert clashed
    pairs = plain.shared.report().pairs
    assert all(8 <= row.updates <= 12 for row in pairs)
    assert all(-1 <= row.mean_cosine <= 1 for row in pairs)


@pytest.mark.parametrize("arch", ["A2", "A3", "A4"])
@pytest.mark.parametrize("how", [{}, {"gradients": "pcgrad", "loss_weighting": "uncertainty"}], ids=["plain", "pcgrad"])
def test_what_is_private_stays_untouched_by_other_tasks_updates(arch: str, how: Mapping[str, Any], trainer: Make) -> None:
    one = warm(trainer(arch=arch, batch_tokens=80, sampling="uniform", steps=60, **how), 8)
    private = {
        task: {n for n in one.model.trainable(task) if f"private-{task.replace('.', '-')}." in n or n.startswith("heads.")}
        | ({f"weighting.{task}"} & one.named.keys())
        for task in NAMES
    }
    assert all(any(n.startswith("adapters.") for n in names) for names in private.values())
    absent = 0
    for _ in range(12):
        values = {name: p.detach().clone() for name, p in one.named.items()}
        moments = {name: tensor.clone() for name, tensor in one.optimizer_state().items()}
        ledger = one.ledger.state()
        one.run_update()
        now = one.optimizer_state()
        for task in NAMES:
            here = one.ledger.state()[task]["updates"] > ledger[task]["updates"]
            absent += not here
            for name in private[task]:
                assert torch.equal(one.named[name], values[name]) != here, (task, name)
                for key in ("exp_avg", "exp_avg_sq", "step"):
                    assert torch.equal(now[f"{name}/{key}"], moments[f"{name}/{key}"]) != here, (task, name, key)
    assert absent > 3


def test_arms_of_private_adapters_share_nothing(trainer: Make) -> None:
    one = warm(trainer(arch="A2", gradients="pcgrad"), 2)
    report = one.shared.report()
    assert (report.shared_parameters, report.pairs) == (0, ())
    assert "share no trainable parameter" in report.note


def test_weights_are_trained_beside_the_model_and_multiply_each_tasks_gradient(
    trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = trainer(arch="A2", loss_weighting="uncertainty")
    equal = trainer(arch="A2")
    assert one.run_update().loss == equal.run_update().loss
    weights = {name for name in one.named if name.startswith("weighting.")}
    assert len(weights) == 3
    # At 0 every weight is 1: the model's first update is that of equal weights.
    assert all(torch.equal(p, one.named[name]) for name, p in equal.named.items())
    assert one.uncertainty is not None
    assert all(value != 0 for value in one.uncertainty.state().values())
    one.uncertainty.restore({"2015-T14": math.log(2), "second": 0.0, "third.one": math.log(0.25)})
    apart, losses = by_hand(one)
    found = captured(one, monkeypatch)
    for task, weight in (("2015-T14", 0.5), ("second", 1.0), ("third.one", 4.0)):
        for name, gradient in apart[task].items():
            assert torch.allclose(found[name], weight * gradient / 3, rtol=1e-3, atol=1e-6), name
        assert found[f"weighting.{task}"].item() == pytest.approx((0.5 - weight * losses[task]) / 3, rel=1e-4)
    (_, decay) = [group["weight_decay"] for group in one.optimizer.param_groups]
    assert decay == 0


def test_with_one_task_there_is_nothing_to_weigh_or_project(trainer: Make, corpora: dict[str, str]) -> None:
    single = {"task": NAMES[:1], "data": {NAMES[0]: corpora[NAMES[0]]}}
    plain = warm(trainer(**single))
    other = warm(trainer(**single, gradients="pcgrad", loss_weighting="uncertainty", sampling="uniform"))
    assert other.uncertainty is None
    assert not other.shared.groups
    assert plain.named.keys() == other.named.keys()
    assert all(torch.equal(p, other.named[name]) for name, p in plain.named.items())


def test_running_out_of_memory_in_the_middle_of_an_update_changes_nothing_but_the_cut(
    trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (trainer(arch="A3", gradients="pcgrad", loss_weighting="uncertainty", micro_batch=m) for m in (256, 128))
    loss = one.model.loss
    calls = 0

    def failing(task: str, batch: Mapping[str, Any]) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise MemoryError
        return loss(task, batch)

    monkeypatch.setattr(one.model, "loss", failing)
    first, second = one.run_update(), other.run_update()
    assert one.micro_batch == 128
    assert (first.loss, first.cosines, first.gradient_norm) == (second.loss, second.cosines, second.gradient_norm)
    assert all(torch.equal(p, other.named[name]) for name, p in one.named.items())
    assert one.state() == other.state()


def test_noise_begins_with_a_task_s_second_pass(trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the first one nothing can be learned by heart, and dropout then kept full articles from being learned at all."""
    one = trainer()
    seen: list[tuple[bool, tuple[int, ...]]] = []
    loss = one.model.loss

    def watched(task: str, batch: Mapping[str, Any]) -> Any:
        passed = one.ledger.accounts[task].examples >= len(one.data[task].splits["train"])
        seen.append((passed, tuple(batch["noise"].tolist()) if "noise" in batch else ()))
        return loss(task, batch)

    monkeypatch.setattr(one.model, "loss", watched)
    while not one.sampler.done and sum(bool(noise) for _, noise in seen) < 6:
        one.run_update()
    assert {passed for passed, _ in seen} == {False, True}
    assert all(bool(noise) == passed for passed, noise in seen)
    drawn = [number for _, noise in seen for number in noise]
    assert len(set(drawn)) == len(drawn)
