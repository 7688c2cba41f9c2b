"""Base models as people bring them: each family works from the command line, or is refused before training in one message."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("tokenizers")
from families import FAMILIES, Family, make  # noqa: E402

from bench.cli import main  # noqa: E402
from bench.errors import UsageError  # noqa: E402
from bench.modeling.files import read_headers  # noqa: E402
from bench.modeling.find import BaseModel  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.steps.trial import attempt  # noqa: E402

TASK = "2015-T14"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small corpus."""
    folder = tmp_path_factory.mktemp("corpus")
    load().get("tasks", TASK).synthesize(folder, 3, {"train": 6, "dev": 2, "test": 2})
    return folder


@pytest.fixture(scope="module")
def texts(corpus: Path) -> list[str]:
    """Its notes, which tokenizers are trained on."""
    return [path.read_text(encoding="utf-8") for path in sorted(corpus.rglob("*.text"))]


@pytest.fixture
def short_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smoke gate in a few updates; it still finds adapters that are never trained."""
    from bench.invariants import smoke

    monkeypatch.setattr(smoke, "UPDATES", 3)
    monkeypatch.setattr(smoke, "EXAMPLES", 4)


@pytest.fixture
def typed(
    tmp_path: Path, corpus: Path, short_gate: None, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, Path]]:
    """Types `bench run` for a model's folder: exit code, what stands on the error stream, and the runs."""

    def run(model: Path, *more: str) -> tuple[int, str, Path]:
        out = tmp_path / "runs"
        words = ["run", "--task", TASK, "--data", f"{TASK}={corpus}", "--model", str(model), "--head", "bio", "--out", str(out)]
        words += ["--steps", "2", "--batch-tokens", "256", "--micro-batch", "256", "--max-length", "64", "--tracker", "none"]
        capfd.readouterr()
        code = main([*words, "--arch", "A1", "--waive", "smoke", *more])
        return code, capfd.readouterr().err, out

    return run


def _params() -> list[Any]:
    every = [pytest.param(one, id=one.name, marks=() if one.mechanism else pytest.mark.nightly) for one in FAMILIES]
    assert len({one.name for one in FAMILIES}) == len(every)
    return every


@pytest.mark.parametrize("family", _params())
def test_family(family: Family, tmp_path: Path, texts: Sequence[str], typed: Callable[..., tuple[int, str, Path]]) -> None:
    if not make(family, tmp_path / "model", texts):
        pytest.skip(f"this transformers has no {family.model}")
    code, errors, out = typed(tmp_path / "model", "--precision", family.precision)
    if family.refused is not None:
        assert code in (2, 3), errors
        assert errors.count("error:") == 1, errors
        assert family.refused in errors
        assert not any(out.glob("*"))
        return
    assert code == 0, errors
    (result,) = (json.loads(path.read_text(encoding="utf-8")) for path in out.glob("*/result.json"))
    assert result["invariants"]["smoke"]["dead"] == {TASK: []}
    if family.precision == "fp32":
        code, errors, _ = typed(tmp_path / "model", "--precision", "bf16", "--dry-run")
        assert (code, "Add --precision fp32." in errors) == (2, True), errors


def _decoders() -> list[Any]:
    every = [one for one in FAMILIES if one.refused is None and ("Causal" in one.model or one.senses)]
    return [pytest.param(one, id=one.name, marks=() if one.mechanism else pytest.mark.nightly) for one in every]


@pytest.mark.parametrize("family", _decoders())
def test_a_decoder_sees_both_ways_or_is_refused(family: Family, tmp_path: Path, texts: Sequence[str]) -> None:
    if not make(family, tmp_path / "model", texts):
        pytest.skip(f"this transformers has no {family.model}")
    decoder = BaseModel(family.name, tmp_path / "cache", folder=tmp_path / "model")
    assert decoder.spec.causal
    if family.one_way is None:
        both = decoder.attending("bidirectional")
        assert attempt(both).linears == attempt(decoder).linears
        return
    with pytest.raises(UsageError, match=family.one_way):
        attempt(decoder.attending("bidirectional"))


@pytest.mark.parametrize("name", ["Gemma 3", "Qwen2.5-VL"])
def test_a_text_stack_gives_the_states_of_the_whole_model(name: str, tmp_path: Path, texts: Sequence[str]) -> None:
    import transformers

    from bench.modeling.backbone import load_backbone

    (family,) = (one for one in FAMILIES if one.name == name)
    if not make(family, tmp_path / "model", texts):
        pytest.skip(f"this transformers has no {family.model}")
    whole = getattr(transformers, family.model).from_pretrained(tmp_path / "model", dtype=torch.float32).eval()
    text = BaseModel(name, tmp_path / "cache", folder=tmp_path / "model")
    names = read_headers(text.folder())
    assert names
    assert not [each for each in names if "vis" in each]
    ids = torch.arange(5, 17)[None]
    with torch.no_grad():
        wanted = whole(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True).hidden_states[-1]
        states = load_backbone(text.folder(), torch.float32, "cpu")(input_ids=ids, attention_mask=torch.ones_like(ids))
    assert torch.equal(states.last_hidden_state, wanted)


@pytest.mark.parametrize(
    ("quantizer", "left_out"),
    [("gptq", {"phi3", "starcoder2"}), ("awq", {"phi3", "gpt_neox", "gemma2", "stablelm", "starcoder2"})],
)
def test_a_quantizer_claims_no_decoder_that_fails(quantizer: str, left_out: set[str]) -> None:
    claimed = set(load().get("quantizers", quantizer).decoders)
    assert not claimed & left_out
    assert "llama" in claimed


@pytest.mark.nightly
@pytest.mark.parametrize("quantizer", ["gptq", "awq"])
@pytest.mark.parametrize("family", [pytest.param(one, id=one.name) for one in FAMILIES if one.model.endswith("CausalLM")])
def test_a_quantizer_works_on_what_it_claims(family: Family, quantizer: str, tmp_path: Path, texts: Sequence[str]) -> None:
    pytest.importorskip("gptqmodel")
    from bench.modeling.backbone import load_backbone
    from bench.modeling.spec import inspect

    part: Any = load().get("quantizers", quantizer)
    if family.refused is not None or not make(family, tmp_path / "model", texts):
        pytest.skip("it is not trained")
    spec = inspect(tmp_path / "model")
    if part.supports(spec, "after", "cpu") is not None:
        pytest.skip("it is refused")
    rows = [[(7 * row + place) % 290 for place in range(12 + 2 * row)] for row in range(12)]
    part.quantize(tmp_path / "model", tmp_path / "quantized", rows, "cpu")
    whole, coarse = (load_backbone(tmp_path / name, torch.float32, "cpu") for name in ("model", "quantized"))
    ids = torch.tensor([row[:12] for row in rows])
    states = [model(input_ids=ids).last_hidden_state.detach() for model in (whole, coarse)]
    assert 0 < float((states[0] - states[1]).norm() / states[0].norm()) < 0.5


def test_the_page_lists_every_family(root: Path) -> None:
    page = (root / "docs" / "models.md").read_text(encoding="utf-8")
    table = page[page.index("| outcome | families |") :].split("\n\n")[0]
    listed = {
        name.strip(): row.split("|")[1].strip() for row in table.splitlines()[2:] for name in row.split("|")[2].split(",")
    }
    assert set(listed) == {family.name for family in FAMILIES}
    for family in FAMILIES:
        assert listed[family.name].startswith("refused") == (family.refused is not None), family.name
