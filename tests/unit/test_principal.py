"""A1-pissa against the decomposition it stands for, against PEFT's own PiSSA, and against what is saved of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

from bench_plugins.architectures import bench_architectures  # noqa: E402

from bench.adapters.attach import attach  # noqa: E402
from bench.api.architecture import ParameterBudget  # noqa: E402
from bench.modeling.backbone import adapted_linears  # noqa: E402

PISSA = next(one for one in bench_architectures() if one.name == "A1-pissa")
RANK = 4


def bert() -> Any:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    return transformers.BertModel(transformers.BertConfig(vocab_size=50, **sizes), add_pooling_layer=False).eval()


def llama() -> Any:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    return transformers.LlamaModel(transformers.LlamaConfig(vocab_size=50, num_key_value_heads=1, **sizes)).eval()


def backbone(make: Callable[[], Any]) -> Any:
    torch.manual_seed(11)
    return make()


def model(make: Callable[[], Any] = bert, seed: int = 0, rank: int = RANK) -> Any:
    base = backbone(make)
    torch.manual_seed(seed)
    return attach(PISSA, base, ("a", "b"), ParameterBudget(rank, adapted_linears(base), base_name="tiny")).eval()


def batch() -> dict[str, Any]:
    ids = torch.randint(5, 50, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def moved(found: Any) -> Any:
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in found.trained().values():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return found


@pytest.mark.parametrize("make", [bert, llama])
def test_it_starts_as_the_base_model_and_as_its_principal_part(make: Callable[[], Any]) -> None:
    found, base = model(make), backbone(make)
    with torch.no_grad():
        assert torch.allclose(found("a", **batch()), base(**batch()).last_hidden_state, atol=1e-5)
    weights = dict(base.named_parameters())
    for linear in adapted_linears(base):
        weight = weights[f"{linear.name}.weight"].detach()
        a, b = (found.trained()[f"adapter.shared.{linear.name}.{letter}"].detach() for letter in "AB")
        left, values, right = torch.linalg.svd(weight)
        best = left[:, :RANK] * values[:RANK] @ right[:RANK]
        assert torch.allclose(2 * b @ a, best, atol=1e-4)
        # both halves carry the root of the values, so that neither learns faster
        assert torch.allclose(a.norm(dim=1), b.norm(dim=0), rtol=1e-3)


def test_it_computes_what_pissa_of_peft_computes() -> None:
    found = moved(model())
    config = peft.LoraConfig(
        task_type="FEATURE_EXTRACTION", r=RANK, lora_alpha=2 * RANK, init_lora_weights="pissa", target_modules="all-linear"
    )
    theirs = peft.get_peft_model(backbone(bert), config).eval()
    signs = {}
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if not parameter.requires_grad:
                continue
            linear, letter = name.removeprefix("base_model.model.").removesuffix(".default.weight").rsplit(".lora_", 1)
            signs[linear, letter] = parameter
        # A direction of the decomposition has either sign; the product, and where training takes it, do not depend on it.
        for linear in {name for name, _ in signs}:
            a, b = (found.trained()[f"adapter.shared.{linear}.{letter}"] for letter in "AB")
            signs[linear, "A"].copy_(a)
            signs[linear, "B"].copy_(b)
        own, other = found("a", **batch()), theirs(**batch()).last_hidden_state
    assert len(signs) == len(found.trained())
    assert torch.allclose(own, other, atol=1e-4)
    assert not torch.allclose(own, backbone(bert)(**batch()).last_hidden_state, atol=1e-2)


def test_the_start_is_the_same_for_every_seed_and_is_not_trained() -> None:
    one, other = model(seed=0), model(seed=1)
    state = one.state()
    assert all(torch.equal(state[name], tensor) for name, tensor in other.state().items())
    optimizer = torch.optim.AdamW(one.trainable("a").values(), lr=1e-2)
    one.train()
    start = {name: tensor.clone() for name, tensor in state.items() if name.startswith("adapter.start.")}
    one("a", **batch()).square().mean().backward()
    optimizer.step()
    assert len(start) == len(one.trained()) > 0
    assert all(torch.equal(one.state()[name], tensor) for name, tensor in start.items())
    assert all(parameter.grad is not None for parameter in one.trained().values())
    assert sum(p.numel() for p in one.parameters() if p.requires_grad) == sum(p.numel() for p in one.trained().values())


@pytest.mark.parametrize("rank", [RANK, 7])
def test_what_is_saved_is_a_lora_adapter_of_the_base_model_as_it_is(rank: int, tmp_path: Path) -> None:
    found = moved(model(rank=rank))
    found.save(tmp_path)
    alone = peft.PeftModel.from_pretrained(backbone(bert), tmp_path / "shared").eval()
    again = model(rank=rank, seed=5)
    again.load(tmp_path)
    with torch.no_grad():
        wanted = found("a", **batch())
        assert torch.allclose(alone(**batch()).last_hidden_state, wanted, atol=1e-5)
        assert torch.equal(again("a", **batch()), wanted)


def test_a_rank_above_that_of_the_weights_starts_as_the_base_model_too() -> None:
    found = model(rank=40)
    with torch.no_grad():
        assert torch.allclose(found("a", **batch()), backbone(bert)(**batch()).last_hidden_state, atol=1e-5)
    found("a", **batch()).square().mean().backward()
    assert all(parameter.grad is not None for parameter in found.trained().values())


def test_on_another_base_the_loaded_start_is_that_of_the_run() -> None:
    found = moved(model())
    torch.manual_seed(12)
    base = bert()
    budget = ParameterBudget(RANK, adapted_linears(base), base_name="tiny")
    other = attach(PISSA, base, ("a", "b"), budget)
    other.load_state(found.state())
    assert all(torch.equal(other.state()[name], tensor) for name, tensor in found.state().items())
