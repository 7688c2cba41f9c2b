"""A quantizer that is not known to work is tried on two layers before anything is trained, once a machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench import runner  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.errors import UsageError  # noqa: E402
from bench.modeling.find import find_model  # noqa: E402
from bench.modeling.spec import inspect  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.steps import quantizer_trial  # noqa: E402


def quantizer(**changes: Any) -> Any:
    """Round to nearest, of which nobody knows whether it works; with some of its methods changed."""
    rtn = type(load().get("quantizers", "rtn"))
    return type("Changed", (rtn,), {"name": "changed", "proven": lambda self, spec: False, "asked": [], **changes})()


def fails(self: Any, folder: Path, dtype: Any, device: str) -> Any:
    self.asked.append(folder)
    raise KeyError("the words of a corpus")


def forgets(self: Any, folder: Path, dtype: Any, device: str) -> Any:
    backbone = type(load().get("quantizers", "rtn"))().load(folder, dtype, device)
    for parameter in backbone.parameters():
        parameter.mul_(-3)
    return backbone


@pytest.fixture
def planned(
    tiny: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kit: Any
) -> Callable[[Any], runner.Outcome]:
    """Plans a run with a quantizer, in an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return lambda part: runner.run(tiny(quant="changed"), kit.with_parts(quantizers=[part]), dry_run=True)


def test_one_that_fails_is_refused_before_training_and_tried_once(
    planned: Callable[[Any], runner.Outcome], tiny: Callable[..., RunConfig]
) -> None:
    part = quantizer(load=fails)
    for _ in range(2):
        with pytest.raises(UsageError, match="two layers like those of tiny-bert \\(bert\\), and failed: KeyError") as refused:
            planned(part)
    assert "corpus" not in str(refused.value)
    assert len(part.asked) == 1
    assert not any(Path(tiny().out).glob("*"))


def test_one_that_leaves_another_model_is_refused(planned: Callable[[Any], runner.Outcome]) -> None:
    with pytest.raises(UsageError, match="it changes the hidden states by "):
        planned(quantizer(load=forgets))


def test_one_that_works_is_planned(planned: Callable[[Any], runner.Outcome]) -> None:
    assert planned(quantizer()).plan["quantizer"]["name"] == "changed"


def test_one_that_is_known_to_work_is_not_tried(
    planned: Callable[[Any], runner.Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantizer_trial, "_attempt", lambda *given: pytest.fail("it was tried"))
    assert planned(quantizer(proven=lambda self, spec: True)).plan


def test_the_copy_has_two_layers_of_the_same_kind_and_fewer_heads(tmp_path: Path) -> None:
    from transformers import Qwen3Config

    made = find_model("tiny-llama", load(), tmp_path / "models").folder()
    (wide := tmp_path / "wide").mkdir()
    for path in made.glob("tokenizer*"):
        (wide / path.name).write_bytes(path.read_bytes())
    Qwen3Config(
        hidden_size=4096, num_attention_heads=32, num_key_value_heads=8, head_dim=128, intermediate_size=12288,
        num_hidden_layers=36, vocab_size=151936, eos_token_id=151645,
    ).save_pretrained(wide)  # fmt: skip
    quantizer_trial._write(wide, tmp_path / "copy")
    spec = inspect(tmp_path / "copy")
    assert (spec.model_type, spec.layers, spec.hidden_size) == ("qwen3", 2, 256)
    assert {linear.name for linear in spec.linears} == {
        f"layers.{layer}.{part}"
        for layer in (0, 1)
        for part in (*(f"self_attn.{side}_proj" for side in "qkvo"), *(f"mlp.{side}_proj" for side in ("gate", "up", "down")))
    }


def test_gptq_is_sure_of_what_it_was_tried_on_by_the_release_that_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = find_model("tiny-llama", load(), Path()).spec
    gptq = load().get("quantizers", "gptq")
    for release, sure in (("7.6.0", True), ("7.7.0", False), ("7.60.1", False)):
        monkeypatch.setattr("importlib.metadata.version", lambda name, release=release: release)
        assert gptq.proven(spec) is sure
