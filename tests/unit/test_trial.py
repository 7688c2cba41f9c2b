"""A trial of a base model: what it refuses, what it finds, and that it is made once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
from torch import nn  # noqa: E402

from bench.adapters import attach  # noqa: E402
from bench.errors import UsageError  # noqa: E402
from bench.modeling import backbone as loading  # noqa: E402
from bench.modeling.find import BaseModel, find_model  # noqa: E402
from bench.modeling.spec import inspect  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.steps import trial  # noqa: E402
from bench.steps.trial import attempt  # noqa: E402


@pytest.fixture
def model(tmp_path: Path) -> BaseModel:
    """Two layers of BERT."""
    return find_model("tiny-bert", load(), tmp_path)


def changed(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Has every model changed once it is loaded."""
    real = loading.load_backbone

    def load_changed(*given: Any) -> Any:
        loaded = real(*given)
        change(loaded)
        return loaded

    monkeypatch.setattr(loading, "load_backbone", load_changed)


def test_an_ordinary_model(model: BaseModel) -> None:
    state = torch.get_rng_state()
    seen = attempt(model)
    assert seen.linears == model.spec.linears
    assert (seen.unused, seen.max_length, seen.rows) == ((), model.spec.max_length, 1664)
    assert torch.equal(torch.get_rng_state(), state)


def test_linears_that_no_pass_goes_through(model: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def add(loaded: Any) -> None:
        loaded.encoder.layer[1].aside = nn.Linear(64, 8)

    changed(monkeypatch, add)
    seen = attempt(model)
    assert seen.unused == ("encoder.layer.1.aside",)
    assert seen.linears == model.spec.linears


class Noisy(nn.Module):
    """Random numbers in training mode, by no rate that could be set to zero."""

    def forward(self, states: Any) -> Any:
        return states + torch.randn_like(states) if self.training else states


class Other(nn.Module):
    """Something else in training mode, the same every time."""

    def forward(self, states: Any) -> Any:
        return states * 1.5 if self.training else states


class Shift(nn.Module):
    """Each position sees the next one, whatever the mask says."""

    def forward(self, states: Any) -> Any:
        return states + states.roll(-1, 1)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Noisy, "draws random numbers in training mode that cannot be switched off, first in encoder.layer.1.output.dropout:"),
        (Other, "gives other hidden states in training mode than in evaluation, by "),
        (Shift, "Padding moves the hidden states of tiny-bert (bert) by "),
    ],
)
def test_what_would_move_results_in_silence(
    kind: type[nn.Module], words: str, model: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(loaded: Any) -> None:
        loaded.encoder.layer[1].output.dropout = kind()

    changed(monkeypatch, put)
    with pytest.raises(UsageError) as refused:
        attempt(model)
    assert words in refused.value.message
    assert "docs/models.md" in str(refused.value)


def test_layers_beside_linear_ones(model: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def put(loaded: Any) -> None:
        loaded.encoder.layer[0].table = nn.Parameter(torch.zeros(4, 200, 200))

    changed(monkeypatch, put)
    with pytest.raises(UsageError, match=r"in no nn.Linear, such as encoder.layer.0.table;"):
        attempt(model)


def test_states_of_another_width(model: BaseModel) -> None:
    wide = model.loaded(replace(model.spec, hidden_size=128), None, ())
    with pytest.raises(UsageError, match=r"are 64 wide; by its config.json they were to be 128"):
        attempt(wide)


def test_states_that_are_no_numbers(model: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    changed(monkeypatch, lambda loaded: loaded.embeddings.LayerNorm.weight.fill_(float("inf")))
    with pytest.raises(UsageError, match="are not finite for an ordinary sentence"):
        attempt(model)


def test_it_is_tried_once(model: BaseModel, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    real = trial.attempt

    def counted(one: BaseModel, fp16: bool) -> Any:
        tried.append(one.name)
        return real(one, fp16)

    monkeypatch.setattr(trial, "attempt", counted)
    first = trial.kept(model)
    assert trial.kept(model) == first
    assert tried == ["tiny-bert"]
    (file,) = (own_cache / "trials").iterdir()
    file.write_text("{")
    assert trial.kept(model) == first
    assert tried == ["tiny-bert"] * 2


def test_every_rate_of_dropout_is_set_to_zero_and_back() -> None:
    from bench.invariants.smoke import states_restored

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.dropout, self.attn_pdrop, self.eps = nn.Dropout1d(0.3), 0.1, 0.2, 1e-5
            self.config = SimpleNamespace(hidden_dropout=0.4, dropout_seed=3, rope_theta=1.0)

    layer = Layer()
    learner: Any = SimpleNamespace(state=dict, load_state=lambda state: None)

    def rates() -> list[float]:
        return [
            layer.inner.p,
            layer.dropout,
            layer.attn_pdrop,
            layer.config.hidden_dropout,
            layer.eps,
            layer.config.dropout_seed,
        ]

    with states_restored(layer, learner):
        attach.without_dropout(layer)
        assert rates() == [0.0, 0.0, 0.0, 0.0, 1e-5, 3]
    assert rates() == [0.3, 0.1, 0.2, 0.4, 1e-5, 3]


def test_sparse_attention_does_not_depend_on_the_first_batch(tmp_path: Path) -> None:
    from transformers import BigBirdConfig, BigBirdModel

    config = BigBirdConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, block_size=4,
        num_random_blocks=1, max_position_embeddings=128,
    )  # fmt: skip
    BigBirdModel(config).save_pretrained(tmp_path)
    loaded: Any = loading.load_backbone(tmp_path, torch.float32, "cpu")
    before = dict(loaded.named_modules())
    attach.prepare(loaded)
    long, short = torch.arange(3, 49).repeat(1, 2), torch.arange(3, 9)[None]
    loaded.train()
    first = loaded(input_ids=long).last_hidden_state
    loaded(input_ids=short)
    assert torch.equal(loaded(input_ids=long).last_hidden_state, first)
    assert dict(loaded.named_modules()) == before
    assert not any(parameter.is_meta for parameter in loaded.parameters())


def test_positions_after_the_padding_index(tmp_path: Path) -> None:
    from transformers import XmodConfig, XmodModel

    config = XmodConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=40, pad_token_id=1, languages=["en_XX"], default_language="en_XX",
    )  # fmt: skip
    XmodModel(config).save_pretrained(tmp_path)
    assert trial._longest(loading.meta_backbone(tmp_path), 40) == 38


def test_the_spec_of_an_encoder_alone(tmp_path: Path) -> None:
    from transformers import T5Config, T5EncoderModel

    T5EncoderModel(T5Config(vocab_size=50, d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2)).save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="encoder-decoder"):
        inspect(tmp_path)


def test_a_sentencepiece_file_names_the_package_that_reads_it(
    model: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shutil import copytree

    from bench.api.part import Requirement
    from bench.errors import MissingError

    copytree(model.folder(), tmp_path / "model")
    (tmp_path / "model" / "tokenizer.json").rename(tmp_path / "model" / "spm.model")
    assert inspect(tmp_path / "model").linears == model.spec.linears
    monkeypatch.setattr(Requirement, "present", lambda self: self.module != "sentencepiece")
    with pytest.raises(MissingError) as missing:
        loading.load_tokenizer(tmp_path / "model")
    assert "spm.model" in missing.value.message
    assert missing.value.hint == "pip install sentencepiece"
