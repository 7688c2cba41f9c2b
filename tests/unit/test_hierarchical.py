"""Levels of tasks: who uses which adapter, what level 2 takes from level 1, and that it costs no parameters more."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

from bench_plugins.architectures.hierarchical import Detached, Flat, Hierarchical  # noqa: E402

from bench.adapters.attach import attach  # noqa: E402
from bench.api.architecture import ArchitectureModule, ParameterBudget  # noqa: E402
from bench.api.model import LinearShape  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.steps.resolve import level_of  # noqa: E402

LEVELS = {"ner": 1, "other": 1, "relations": 2}
IDS = torch.tensor([[2, 7, 9, 4, 3], [2, 8, 3, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


def built(arm: Any, tasks: tuple[str, ...] = tuple(LEVELS), rank: int = 16) -> ArchitectureModule:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48
    )
    backbone = transformers.BertModel(config, add_pooling_layer=False).requires_grad_(False)
    linears = tuple(
        LinearShape(name, module.in_features, module.out_features)
        for name, module in backbone.named_modules()
        if isinstance(module, torch.nn.Linear)
    )
    module = attach(arm.bound({t: LEVELS[t] for t in tasks}), backbone, tasks, ParameterBudget(rank, linears))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, tensor in module.state().items():
            if name.endswith(".B") or name == "fusion.output.weight":
                tensor.normal_(0, 0.3, generator=generator)
    return module.eval()


def used(module: ArchitectureModule, task: str) -> set[str]:
    return {module.component(name) for name in module.trainable(task)}


def test_a_task_uses_what_is_shared_and_its_level() -> None:
    module = built(Hierarchical())
    assert (module.passes("ner"), module.passes("relations")) == (1, 2)
    assert used(module, "ner") == used(module, "other") == {"shared", "level-1"}
    assert used(module, "relations") == {"shared", "level-1", "level-2", "fusion"}
    assert used(built(Detached()), "relations") == {"shared", "level-2", "fusion"}
    flat = built(Flat())
    assert (flat.passes("relations"), used(flat, "relations")) == (1, {"shared", "level-2"})
    assert module.facts()["levels"] == LEVELS


def test_runs_of_one_level_have_what_that_level_needs() -> None:
    below = built(Hierarchical(), ("ner", "other"))
    assert set(below.components()) == {"shared", "level-1"}
    above = built(Hierarchical(), ("relations",))
    assert set(above.components()) == {"shared", "level-1", "level-2", "fusion"}
    # nobody would train level 1 here
    assert set(built(Detached(), ("relations",)).components()) == {"shared", "level-2"}


def test_level_2_is_its_own_pass_and_what_it_finds_in_level_1() -> None:
    module: Any = built(Hierarchical())
    with torch.no_grad():
        below = module.one_pass("relations", 0, IDS, MASK)
        own = module.one_pass("relations", 1, IDS, MASK)
        out = module("relations", IDS, MASK)
        assert torch.equal(below, module("ner", IDS, MASK))
        weights = module.fusion.weights(below, own, MASK)
        assert torch.allclose(weights.sum(-1), torch.ones(2, 4, 5))
        assert float(weights[1, :, :, 3:].abs().max()) == 0  # padding is never looked at
        attention, joined = module.fusion, own
        for head in range(4):
            rows = slice(16 * head, 16 * head + 16)
            query, key, value = (
                state @ layer.weight[rows].T
                for layer, state in ((attention.query, own), (attention.key, below), (attention.value, below))
            )
            scores = (query @ key.transpose(1, 2) / 4).masked_fill(MASK[:, None, :] == 0, float("-inf"))
            assert torch.allclose(scores.softmax(-1), weights[:, head], atol=1e-6)
            joined = joined + scores.softmax(-1) @ value @ attention.output.weight[:, rows].T
    assert torch.allclose(joined[MASK.bool()], out[MASK.bool()], atol=1e-5)


def test_the_loss_of_level_2_reaches_level_1_unless_it_is_detached() -> None:
    for arm, reaches in ((Hierarchical(), True), (Detached(), False)):
        module = built(arm)
        module("relations", IDS, MASK).square().sum().backward()
        grads = {module.component(name) for name, p in module.trained().items() if p.grad is not None}
        assert ("level-1" in grads) == reaches
        assert grads >= {"shared", "level-2", "fusion"}


def test_attention_starts_as_nothing_and_its_entropy_is_told() -> None:
    module: Any = built(Hierarchical())
    assert module.observed() == {}
    with torch.no_grad():
        module.fusion.output.weight.zero_()
        assert torch.equal(module("relations", IDS, MASK), module.one_pass("relations", 1, IDS, MASK))
        module.fusion.query.weight.zero_()
        module("relations", IDS, MASK)
        assert module.observed()["attention_entropy"] == pytest.approx(1.0)
        module.fusion.query.weight.normal_(0, 50)
        module.fusion.key.weight.normal_(0, 50)
        module("relations", IDS, MASK)
        assert 0 <= module.observed()["attention_entropy"] < 0.5


def test_every_arm_of_levels_spends_the_same_budget() -> None:
    counts = {}
    for arm in (load().get("architectures", "A1"), Hierarchical(), Detached(), Flat()):
        module = built(arm)
        counts[arm.name] = sum(p.numel() for p in module.trained().values())
    assert min(counts.values()) > 0.95 * max(counts.values()), counts


@pytest.mark.parametrize(
    ("task", "level"), [("2015-T14", 1), ("bc5cdr", 1), ("chemprot", 2), ("2017-T3-A", 2), ("pubmedqa", 2), ("2016-T12", 1)]
)
def test_levels_of_installed_tasks(task: str, level: int) -> None:
    registry = load()
    found = registry.get("tasks", task)
    assert level_of(found, registry.head(found, None)) == level


def test_a_task_file_says_its_level(tmp_path: Any) -> None:
    from bench.errors import UsageError

    path = tmp_path / "notes.toml"
    content = 'kind = "classification"\nformat = "jsonl"\nfolder = "."\n'
    for line, level in (("", 2), ("level = 1\n", 1), ("level = 2\n", 2)):
        path.write_text(content + line)
        registry = load()
        task = registry.get("tasks", str(path))
        assert level_of(task, registry.head(task, None)) == level
    path.write_text(content + "level = 3\n")
    with pytest.raises(UsageError, match="level is 3; wanted 1 or 2"):
        load().get("tasks", str(path))
