"""Decoders that see both ways: the masks, what is refused, and what it changes of a run's id and of a comparison."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench.config import RunConfig, run_id  # noqa: E402
from bench.errors import UsageError  # noqa: E402
from bench.modeling.backbone import load_backbone  # noqa: E402
from bench.modeling.bidirectional import refuse_slopes  # noqa: E402
from bench.modeling.find import BaseModel, find_model  # noqa: E402
from bench.modeling.spec import inspect  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.steps.trial import attempt, kept  # noqa: E402
from bench.studies.contract import FIELDS, differences, refusal  # noqa: E402

IDS = torch.arange(20, 32)[None]


@pytest.fixture
def decoder(tmp_path: Path) -> BaseModel:
    """Two layers of Llama."""
    return find_model("tiny-llama", load(), tmp_path / "cache")


def states(backbone: Any, ids: Any, padded: int = 0) -> Any:
    """Hidden states of a text, alone or padded on the right."""
    mask = torch.ones_like(ids)
    if padded:
        ids, mask = (torch.nn.functional.pad(tensor, (0, padded)) for tensor in (ids, mask))
    with torch.no_grad():
        return backbone(input_ids=ids, attention_mask=mask).last_hidden_state[:, : ids.shape[1] - padded]


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_a_later_token_moves_earlier_states_and_padding_does_not(decoder: BaseModel, implementation: str) -> None:
    changed = IDS.clone()
    changed[0, -1] = 40
    for model, seen in ((decoder, False), (decoder.attending("bidirectional"), True)):
        backbone: Any = load_backbone(model.folder(), torch.float32, "cpu")
        backbone.set_attn_implementation(implementation)
        alone, padded = states(backbone, IDS), states(backbone, IDS, padded=5)
        assert torch.allclose(alone, padded, atol=1e-5)
        moved = (states(backbone, changed) - alone).abs().amax(-1)[0, :-1] > 1e-4
        assert moved.tolist() == [seen] * 11


def test_it_is_the_same_model_with_the_same_weights_and_another_folder(decoder: BaseModel) -> None:
    both = decoder.attending("bidirectional")
    assert (both.spec.causal, decoder.spec.causal) == (False, True)
    assert both.sha256() == decoder.sha256()
    assert both.folder() != decoder.folder()
    assert both.folder() == decoder.attending("bidirectional").folder()
    assert (both.folder() / "model.safetensors").resolve() == (decoder.folder() / "model.safetensors").resolve()
    assert decoder.attending("causal").folder() == decoder.folder()
    assert not inspect(both.folder()).causal


def test_links_that_lead_nowhere_are_made_again(decoder: BaseModel) -> None:
    folder = decoder.attending("bidirectional").folder()
    (folder / "tokenizer.json").unlink()
    assert (decoder.attending("bidirectional").folder() / "tokenizer.json").is_file()


def test_a_trial_of_one_kind_says_nothing_of_the_other(
    decoder: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.steps import trial

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "fresh"))

    looked = []
    monkeypatch.setattr(trial, "attempt", lambda model, fp16: looked.append(model.bidirectional) or attempt(model))
    for model in (decoder, decoder.attending("bidirectional"), decoder, decoder.attending("bidirectional")):
        kept(model)
    assert looked == [False, True]


def test_a_decoder_whose_own_code_sees_one_way_is_refused(decoder: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.modeling import bidirectional

    monkeypatch.setattr(bidirectional, "bidirectional_folder", lambda source, cache, sha256: source)
    monkeypatch.setattr("bench.modeling.find.bidirectional_folder", lambda source, cache, sha256: source)
    with pytest.raises(UsageError, match="tiny-llama \\(llama\\) sees one way alone"):
        attempt(decoder.attending("bidirectional"))


@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
def test_an_encoder_is_refused(attention: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tiny-bert \\(bert\\) sees both ways as it is"):
        find_model("tiny-bert", load(), tmp_path).attending(attention)


@pytest.mark.parametrize("config", [{"model_type": "bloom"}, {"model_type": "falcon", "alibi": True}])
def test_slopes_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="ALiBi"):
        refuse_slopes("a model", config)
    refuse_slopes("a model", {"model_type": "falcon", "alibi": False})


def test_a_checkpoint_that_says_so_sees_both_ways(decoder: BaseModel, tmp_path: Path) -> None:
    from shutil import copytree

    published = copytree(decoder.folder(), tmp_path / "published")
    config = json.loads((published / "config.json").read_text())
    (published / "config.json").write_text(json.dumps(config | {"is_causal": False}))
    model = BaseModel("published", tmp_path / "cache", folder=published)
    assert not model.spec.causal
    attempt(model)  # one mask for padded texts and another for single ones would be refused
    with pytest.raises(UsageError, match="sees both ways as it is"):
        model.attending("causal")


def test_the_id_of_a_run_tells_and_other_runs_keep_theirs() -> None:
    plain = RunConfig(task=("2015-T14",), model="tiny-llama")
    assert "attention" not in plain.identity()
    both = RunConfig(task=("2015-T14",), model="tiny-llama", attention="bidirectional")
    assert both.identity()["attention"] == "bidirectional"
    assert run_id(both, task=["2015-T14"]) != run_id(plain, task=["2015-T14"])


def test_a_comparison_names_it() -> None:
    facts = dict.fromkeys(FIELDS) | {"waivers": "none"}
    runs = [facts | {"attention": attention} for attention in ("the model's own", "bidirectional")]
    refused = refusal(differences(runs, by=()), by=())
    assert refused is not None
    assert refused[1] == "If you mean to: --allow attention"
    assert differences(runs, by=("attention",)) == []
