"""Prefixes and prompts against what they stand for: text that was there before, and PEFT's own prompt tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

from bench_plugins.architectures.prompts import PAST_KEYS, Prefix, Prompt  # noqa: E402

from bench.adapters.attach import attach  # noqa: E402
from bench.api.architecture import ParameterBudget  # noqa: E402
from bench.api.model import ModelSpec  # noqa: E402
from bench.errors import InvariantError, UsageError  # noqa: E402
from bench.invariants.tokens import Tally  # noqa: E402
from bench.modeling.backbone import adapted_linears  # noqa: E402

CAUSAL = {"llama", "mistral", "qwen2", "qwen3"}
COUNT = 12


def backbone(family: str) -> Any:
    sizes: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    sizes |= {"num_key_value_heads": 2, "head_dim": 8} if family in CAUSAL else {}
    torch.manual_seed(11)
    config = transformers.AutoConfig.for_model(family, vocab_size=50, pad_token_id=0, use_cache=False, **sizes)
    return transformers.AutoModel.from_config(config).eval()


def batch() -> tuple[Any, Any]:
    ids = torch.randint(5, 50, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 6:] = mask[2, 4:] = 0
    return ids, mask


def prefixed(family: str, seed: int = 3) -> Any:
    base = backbone(family)
    torch.manual_seed(seed)
    width = 16 if family in CAUSAL else 32
    found = Prefix().attach(base, ("a",), _Budget(COUNT * 2 * 2 * width))
    found.virtual_tokens = 0
    return found.eval()


class _Budget:
    """A budget of so many parameters."""

    def __init__(self, parameters: int) -> None:
        self.parameters = parameters
        self.base_name = None


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", PAST_KEYS)
def test_a_fresh_prefix_is_text_that_was_there_before(family: str, attention: str) -> None:
    """Every token sees it, whatever the padding; it sees itself alone, and the text keeps its positions."""
    found = prefixed(family)
    torch.manual_seed(3)
    before = torch.randint(50, (COUNT,))
    assert found.count == COUNT
    ids, mask = batch()
    base = backbone(family)
    for one in (found.backbone, base):
        one.set_attn_implementation(attention)
    length = ids.shape[1]
    seen = torch.zeros(len(ids), 1, COUNT + length, COUNT + length, dtype=torch.bool)
    seen[:, :, :COUNT, :COUNT] = True
    seen[:, :, COUNT:, :COUNT] = True
    seen[:, :, COUNT:, COUNT:] = mask[:, None, None, :].bool()
    if family in CAUSAL:
        seen &= torch.ones_like(seen).tril()
    first = 1 if family in ("roberta", "camembert", "xlm-roberta") else 0  # theirs start behind that of padding
    places = torch.cat([torch.arange(COUNT), torch.arange(length)]) + first
    if attention == "eager":
        seen = torch.zeros_like(seen, dtype=torch.float).masked_fill(~seen, torch.finfo(torch.float).min)
    whole = torch.cat([before.expand(len(ids), -1), ids], 1)
    with torch.no_grad():
        wanted = base(input_ids=whole, attention_mask=seen, position_ids=places[None].expand(len(ids), -1))
        got = found("a", ids, mask)
    real = mask.bool()
    assert torch.allclose(got[real], wanted.last_hidden_state[:, COUNT:][real], atol=1e-5)
    assert not torch.allclose(got[real], base(input_ids=ids, attention_mask=mask).last_hidden_state[real], atol=1e-3)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_a_window_without_padding_is_masked_like_others(family: str) -> None:
    found = prefixed(family)
    ids, mask = batch()
    with torch.no_grad():
        together = found("a", ids, mask)[2, :4]
        alone = found("a", ids[2:, :4], mask[2:, :4])[0]
    assert torch.allclose(together, alone, atol=1e-5)


def test_a_prefix_takes_the_budget_of_the_adapters() -> None:
    base = backbone("bert")
    budget = ParameterBudget(16, adapted_linears(base))
    found = attach(Prefix(), base, ("a", "b"), budget)
    trained = sum(parameter.numel() for parameter in found.trained().values())
    assert 0.95 < trained / budget.parameters <= 1
    assert found.facts()["pairs_a_layer"] * 2 * 2 * 32 == trained


def test_attention_that_takes_no_keys_is_refused() -> None:
    spec = ModelSpec("m", "modernbert", False, 32, 2, 512, 1, ())
    assert "takes no keys and values" in (Prefix().supports(spec, None) or "")
    with pytest.raises(UsageError, match="takes no keys and values"):
        prefixed("distilbert")


@pytest.mark.parametrize("family", ["bert", "llama", "roberta"])
def test_a_prompt_is_pefts_and_is_cut_off(family: str, tmp_path: Path) -> None:
    base = backbone(family)
    torch.manual_seed(3)
    found = attach(Prompt(), base, ("a",), ParameterBudget(4, (), base_name="tiny")).eval()
    before = base.get_input_embeddings().weight.detach()
    assert all(any(torch.equal(one, row) for row in before) for one in found.trained()["prompt"].detach())
    with torch.no_grad():
        found.trained()["prompt"].add_(0.1)
    found.save(tmp_path)
    theirs = peft.PeftModel.from_pretrained(backbone(family), tmp_path / "prompt").eval()
    ids, mask = batch()
    with torch.no_grad():
        states = found("a", ids, mask)
        wanted = theirs(input_ids=ids, attention_mask=mask).last_hidden_state
    count = Prompt.virtual_tokens
    assert states.shape[:2] == ids.shape
    assert torch.allclose(states[mask.bool()], wanted[:, count:][mask.bool()], atol=1e-5)
    again = attach(Prompt(), backbone(family), ("a",), ParameterBudget(4, ())).eval()
    again.load(tmp_path)
    with torch.no_grad():
        assert torch.equal(again("a", ids, mask), states)


def test_the_tally_holds_an_arm_to_the_positions_that_it_names() -> None:
    found = attach(Prompt(), backbone("bert"), ("a",), ParameterBudget(4, ()))
    ids, mask = batch()
    tally = Tally(found.backbone)
    tokens = int(mask.sum())
    tally.expect(found.entering("a", tokens, len(ids)))
    found("a", ids, mask)
    tally.check(1)
    assert found.entering("a", tokens, len(ids)) == tokens + 3 * Prompt.virtual_tokens
    found.virtual_tokens = 0
    tally.expect(found.entering("a", tokens, len(ids)))
    found("a", ids, mask)
    with pytest.raises(InvariantError, match=r"saw 79 tokens where the examples drawn hold 19"):
        tally.check(2)


def test_an_arm_that_would_hide_text_is_refused() -> None:
    class Hides(Prompt):
        virtual_tokens = -3

        def attach(self, *given: Any) -> Any:
            return Prompt().attach(*given)

    with pytest.raises(UsageError, match="takes -3 positions for itself"):
        attach(Hides(), backbone("bert"), ("a",), ParameterBudget(4, ()))
