"""Gradient checkpointing: the same loss and gradients, less kept for the backward pass, whatever is active in a pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench.adapters.attach import attach, checkpointable  # noqa: E402
from bench.api.architecture import ParameterBudget  # noqa: E402
from bench.modeling.backbone import adapted_linears, load_backbone  # noqa: E402
from bench.modeling.spec import inspect  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.training.model import TaskModel  # noqa: E402

ARMS = ("A1", "A4", "A4-gated", "A1-dora", "prefix", "prompt", "full", "hierarchical")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    cache, registry = tmp_path_factory.mktemp("models"), load()
    return {name: registry.get("models", name).folder(cache) for name in ("tiny-bert", "tiny-llama")}


def model_of(folder: Path, arm: str, quantizer: str = "none") -> TaskModel:
    """An arm with weights that are far from their start, where passes with different adapters would be alike."""
    torch.manual_seed(0)
    registry = load()
    if quantizer == "none":
        backbone = load_backbone(folder, torch.float32, "cpu")
    else:
        part, out = registry.get("quantizers", quantizer), folder.parent / f"{folder.name}-{quantizer}"
        if not out.exists():
            part.quantize(folder, out, [], "cpu")
        backbone = part.load(out, torch.float32, "cpu")
    budget = ParameterBudget(4, adapted_linears(backbone), False)
    architecture = registry.get("architectures", arm).bound({"a": 1, "b": 2})
    model = TaskModel(attach(architecture, backbone, ("a", "b"), budget), {})
    with torch.no_grad():
        for parameter in model.adapted.trained().values():
            parameter.add_(torch.randn(parameter.shape) * 0.05)
    return model.train()


def step(model: TaskModel) -> tuple[float, dict[str, Any], int]:
    """Loss, gradients, and the bytes that are kept for the backward pass."""
    torch.manual_seed(1)
    ids = torch.randint(5, 100, (4, 24))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    kept: dict[int, int] = {}

    def keep(tensor: Any) -> Any:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = model.hidden("b", batch)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    loss = (hidden * torch.linspace(-1, 1, hidden.numel()).view(hidden.shape)).sum()
    loss.backward()
    gradients = {n: p.grad.clone() for n, p in model.adapted.trained().items() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return loss.item(), gradients, sum(size for place, size in kept.items() if place not in weights)


CASES = [(base, arm, "none") for base in ("tiny-bert", "tiny-llama") for arm in ARMS] + [
    ("tiny-llama", "A4", "nf4"), ("tiny-llama", "A1", "int8"),
]  # fmt: skip


@pytest.mark.parametrize(("base", "arm", "quantizer"), CASES)
def test_the_same_gradients_from_less_that_is_kept(folders: dict[str, Path], base: str, arm: str, quantizer: str) -> None:
    if quantizer != "none":
        pytest.importorskip("bitsandbytes")
    reason = load().get("architectures", arm).supports(inspect(folders[base]), None)
    if reason is not None:
        pytest.skip(reason)
    model = model_of(folders[base], arm, quantizer)
    loss, gradients, kept = step(model)
    model.checkpoint(True)
    again, of_again, less = step(model)
    assert again == loss
    assert of_again.keys() == gradients.keys()
    assert len(gradients) > 3 or arm in ("prompt", "prefix")
    for name, gradient in gradients.items():
        torch.testing.assert_close(of_again[name], gradient, rtol=1e-5, atol=1e-6 * float(gradient.abs().max()), msg=name)
    # Two layers and two passes at most: what one layer keeps of its input is a small part of what it computes.
    assert less < 0.5 * kept
    model.checkpoint(False)
    assert step(model)[2] > 0.9 * kept


def test_adapters_of_the_last_pass_would_give_other_gradients(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `recomputing` is for: without it A4's first pass is computed again with the adapters of its second."""
    from bench.adapters.model import AdaptedModel
    from bench.api.architecture import ArchitectureModule

    model = model_of(folders["tiny-bert"], "A4")
    model.checkpoint(True)
    _, right, _ = step(model)
    monkeypatch.setattr(AdaptedModel, "recomputing", ArchitectureModule.recomputing)
    _, wrong, _ = step(model)
    assert any(not torch.allclose(wrong[name], gradient, rtol=1e-2) for name, gradient in right.items())


def test_attention_is_computed_again_as_in_training(folders: dict[str, Path]) -> None:
    model = model_of(folders["tiny-bert"], "A1")
    model.checkpoint(True)
    ids = torch.randint(5, 100, (2, 9))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    hidden = model.hidden("a", batch)
    with torch.no_grad():
        model.hidden("a", batch)  # as an objective may do before the backward pass
    hidden.sum().backward()
    config: Any = model.adapted.backbone.config
    assert config._attn_implementation == model.attention.training != model.attention.evaluation


def test_a_model_that_transformers_has_not_prepared_has_no_such_layers() -> None:
    from transformers import MPNetConfig, MPNetModel

    small = MPNetConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=20,
    )  # fmt: skip
    assert checkpointable(MPNetModel(small)) == []


@pytest.mark.parametrize("on", [False, True])
def test_a_model_can_be_copied_for_evaluation_side_by_side(folders: dict[str, Path], on: bool) -> None:
    from bench.evaluation.replicas import copied

    model = model_of(folders["tiny-bert"], "A4")
    model.checkpoint(True)
    model.checkpoint(on)
    replica = copied(model)
    assert replica is not None
    assert step(replica)[0] == step(model)[0]
