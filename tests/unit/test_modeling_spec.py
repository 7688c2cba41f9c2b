"""Model folders read without torch: what is in them, and what is refused."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.api.model import LinearShape, Model, ModelSpec
from bench.errors import BenchError, MissingError, StorageError, UsageError
from bench.modeling.files import read_headers, sha256_folder, weight_files, written_whole
from bench.modeling.find import find_model
from bench.modeling.spec import backbone_prefix, inspect
from bench.registry import Registry

BERT = {
    "model_type": "bert", "hidden_size": 8, "num_hidden_layers": 1, "vocab_size": 10, "max_position_embeddings": 16,
    "architectures": ["BertModel"],
}  # fmt: skip
TENSORS = {
    "embeddings.word_embeddings.weight": (10, 8), "embeddings.position_ids": (1, 16),
    "encoder.layer.0.attention.self.query.weight": (8, 8), "encoder.layer.0.attention.self.query.bias": (8,),
    "encoder.layer.0.intermediate.dense.weight": (24, 8), "encoder.layer.0.output.LayerNorm.weight": (8,),
    "pooler.dense.weight": (8, 8),
}  # fmt: skip


def save(path: Path, shapes: dict[str, tuple[int, ...]], dtype: str = "F32") -> None:
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 4
        for n in shape:
            size *= n
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(at))


def folder(
    path: Path, config: dict[str, Any] | None = None, shapes: dict[str, tuple[int, ...]] | None = None, tokenizer: bool = True
) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(BERT if config is None else config))
    save(path / "model.safetensors", TENSORS if shapes is None else shapes)
    if tokenizer:
        (path / "tokenizer.json").write_text("{}")
    return path


class TestSpec:
    def test_encoder(self, tmp_path: Path) -> None:
        linears = (
            LinearShape("encoder.layer.0.attention.self.query", 8, 8),
            LinearShape("encoder.layer.0.intermediate.dense", 8, 24),
        )
        parameters = 80 + 64 + 8 + 192 + 8  # no position ids, no pooler
        assert inspect(folder(tmp_path), "x") == ModelSpec("x", "bert", False, 8, 1, 16, parameters, linears)

    @pytest.mark.parametrize("prefix", ["bert.", "model."])
    def test_prefix_of_a_head_is_taken_off(self, tmp_path: Path, prefix: str) -> None:
        shapes = {f"{prefix}{n}": s for n, s in TENSORS.items()} | {"classifier.weight": (2, 8), "cls.dense.weight": (8, 8)}
        assert inspect(folder(tmp_path, shapes=shapes), "x") == inspect(folder(tmp_path / "plain"), "x")

    @pytest.mark.parametrize(
        ("names", "prefix"),
        [
            (["decoder.embed_tokens.weight", "decoder.layers.0.fc1.weight"], ""),
            (["model.decoder.embed_tokens.weight", "model.decoder.layers.0.fc1.weight"], "model."),
            (["embeddings.word_embeddings.weight", "transformer.layer.0.ffn.lin1.weight"], ""),
            (["distilbert.embeddings.word_embeddings.weight", "distilbert.transformer.layer.0.ffn.lin1.weight"], "distilbert."),
            (["transformer.word_embedding.weight", "transformer.layer.0.ff.layer_1.weight"], "transformer."),
            (["embed_tokens.weight", "layers.0.mlp.up_proj.weight"], ""),
        ],
    )
    def test_prefix(self, names: list[str], prefix: str) -> None:
        assert backbone_prefix(dict.fromkeys(names)) == prefix

    def test_shards(self, tmp_path: Path) -> None:
        whole = inspect(folder(tmp_path / "whole"), "x")
        split = folder(tmp_path / "split")
        (split / "model.safetensors").unlink()
        half = {n: s for n, s in TENSORS.items() if "attention" in n}
        save(split / "a-00001.safetensors", half)
        save(split / "a-00002.safetensors", {n: s for n, s in TENSORS.items() if n not in half})
        weights = {n: "a-00001.safetensors" if n in half else "a-00002.safetensors" for n in TENSORS}
        (split / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))
        assert inspect(split, "x") == whole
        (split / "a-00002.safetensors").unlink()
        with pytest.raises(UsageError, match=r"misses the shard a-00002\.safetensors"):
            inspect(split)
        (split / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../a.safetensors"}}))
        with pytest.raises(UsageError, match="no safetensors file of that folder"):
            inspect(split)

    def test_gptq_shapes_come_from_the_packed_words(self, tmp_path: Path) -> None:
        name = "encoder.layer.0.intermediate.dense"
        shapes = {n: s for n, s in TENSORS.items() if not n.startswith(name)}
        shapes |= {f"{name}.qweight": (1, 24), f"{name}.qzeros": (1, 3), f"{name}.scales": (1, 24), f"{name}.g_idx": (8,)}
        found = inspect(folder(tmp_path, BERT | {"quantization_config": {"quant_method": "gptq", "bits": 4}}, shapes), "x")
        plain = inspect(folder(tmp_path / "plain"), "x")
        assert found.quantization == "gptq"
        assert (found.linears, found.parameters) == (plain.linears, plain.parameters)

    def test_awq_shapes_come_from_the_packed_words(self, tmp_path: Path) -> None:
        name = "encoder.layer.0.intermediate.dense"
        shapes = {n: s for n, s in TENSORS.items() if not n.startswith(name)}
        shapes |= {f"{name}.qweight": (8, 3), f"{name}.qzeros": (1, 3), f"{name}.scales": (1, 24)}
        made = folder(tmp_path, shapes=shapes)
        (made / "quant_config.json").write_text(
            json.dumps({"w_bit": 4, "q_group_size": 8, "zero_point": True, "version": "GEMM"})
        )
        assert (inspect(made).quantization, inspect(made).linears) == ("awq", inspect(folder(tmp_path / "plain")).linears)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"model_type": None}, "names no model_type"),
            ({"is_encoder_decoder": True}, "encoder-decoder"),
            ({"num_local_experts": 8}, "mixture of experts"),
            ({"model_type": "gpt2"}, "Conv1D"),
            ({"hidden_size": None}, "gives none of hidden_size"),
            ({"quantization_config": {"quant_method": "hqq"}}, "quantized with 'hqq'"),
            ({"quantization_config": {"quant_method": "awq", "version": "gemv"}}, "layout 'gemv'"),
            ({"quantization_config": {"quant_method": "gptq", "bits": 4, "checkpoint_format": "marlin"}}, "layout 'marlin'"),
        ],
    )
    def test_refused(self, tmp_path: Path, change: dict[str, Any], said: str) -> None:
        with pytest.raises(UsageError, match=said):
            inspect(folder(tmp_path, BERT | change))

    def test_torch_is_not_imported(self, tmp_path: Path) -> None:
        code = (
            "import sys; from pathlib import Path; from bench.modeling.spec import inspect; inspect(Path(sys.argv[1]));"
            "print([m for m in ('torch', 'transformers', 'numpy', 'safetensors') if m in sys.modules])"
        )
        made = subprocess.run([sys.executable, "-c", code, str(folder(tmp_path))], capture_output=True, text=True, check=True)
        assert made.stdout.strip() == "[]"


class TestBrokenFolders:
    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="There is no model folder"):
            inspect(tmp_path / "none")

    def test_no_weights(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text(json.dumps(BERT))
        with pytest.raises(UsageError, match="has no safetensors weights") as caught:
            inspect(tmp_path)
        assert caught.value.exit_code == 2

    @pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "last.ckpt"])
    def test_pickles_are_refused_by_name(self, tmp_path: Path, name: str) -> None:
        folder(tmp_path)
        (tmp_path / "model.safetensors").rename(tmp_path / name)
        with pytest.raises(UsageError, match=f"only pickle weights \\({name}\\)"):
            inspect(tmp_path)

    def test_no_config(self, tmp_path: Path) -> None:
        folder(tmp_path)
        (tmp_path / "config.json").unlink()
        with pytest.raises(UsageError, match=r"has no config\.json"):
            inspect(tmp_path)
        (tmp_path / "adapter_config.json").write_text("{}")
        with pytest.raises(UsageError, match="holds a PEFT adapter"):
            inspect(tmp_path)

    def test_no_tokenizer(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="has no tokenizer"):
            inspect(folder(tmp_path, tokenizer=False))

    @pytest.mark.parametrize("keep", [4, 40, 1000])
    def test_cut_short(self, tmp_path: Path, keep: int) -> None:
        path = folder(tmp_path) / "model.safetensors"
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(UsageError, match="cut short"):
            inspect(tmp_path)

    def test_garbage_header(self, tmp_path: Path) -> None:
        (folder(tmp_path) / "model.safetensors").write_bytes(struct.pack("<Q", 4) + b"{[}]" + bytes(8))
        with pytest.raises(UsageError, match="header cannot be read"):
            inspect(tmp_path)

    def test_config_not_json(self, tmp_path: Path) -> None:
        (folder(tmp_path) / "config.json").write_text("[]")
        with pytest.raises(UsageError, match="not a JSON object"):
            inspect(tmp_path)

    def test_several_weight_files(self, tmp_path: Path) -> None:
        folder(tmp_path)
        (tmp_path / "model.safetensors").rename(tmp_path / "a.safetensors")
        assert weight_files(tmp_path) == (tmp_path / "a.safetensors",)
        save(tmp_path / "b.safetensors", TENSORS)
        with pytest.raises(UsageError, match=r"several safetensors files .* a\.safetensors, b\.safetensors"):
            inspect(tmp_path)


class TestFind:
    def test_a_path(self, tmp_path: Path) -> None:
        model = find_model(str(folder(tmp_path / "m")), Registry(), tmp_path)
        assert (model.folder(), model.plumbing_only, model.spec.hidden_size) == (tmp_path / "m", False, 8)
        assert model.sha256() == sha256_folder(tmp_path / "m")

    def test_the_hash_follows_the_weights(self, tmp_path: Path) -> None:
        before = sha256_folder(folder(tmp_path))
        assert sha256_folder(tmp_path) == before
        data = bytearray((tmp_path / "model.safetensors").read_bytes())
        data[-1] ^= 1
        (tmp_path / "model.safetensors").write_bytes(data)
        assert sha256_folder(tmp_path) != before

    @pytest.mark.parametrize("name", ["merges.txt", "vocab.json", "spm.model"])
    def test_the_hash_covers_what_a_tokenizer_is_made_of(self, tmp_path: Path, name: str) -> None:
        folder(tmp_path)
        (tmp_path / "tokenizer.json").unlink(missing_ok=True)
        before = sha256_folder(tmp_path)
        (tmp_path / name).write_text("{}", encoding="utf-8")
        after = sha256_folder(tmp_path)
        assert after != before
        (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
        made = sha256_folder(tmp_path)
        (tmp_path / name).unlink()
        assert sha256_folder(tmp_path) == made

    def test_a_path_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="There is no model folder"):
            find_model(str(tmp_path / "none"), Registry(), tmp_path)

    def test_unknown_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from bench_plugins.models import bench_models

        registry = Registry()
        registry.add(sys.modules[bench_models.__module__], "bench-suite:models", "bench-suite")
        with pytest.raises(UsageError, match="Did you mean 'minilm-l6'"):
            find_model("minilm-l5", registry, tmp_path)

    def test_hub_without_network(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        constants = pytest.importorskip("huggingface_hub.constants")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(MissingError, match="nobody/nothing is not on this machine") as caught:
            find_model("nobody/nothing@main", Registry(), tmp_path)
        assert caught.value.exit_code == 5
        assert "hf download nobody/nothing" in str(caught.value)

    def test_a_plugin_whose_package_is_missing(self, tmp_path: Path) -> None:
        from bench.api.part import Requirement

        class Absent(Model):
            name, version, summary = "absent", "1", "needs what is not there"
            requires = (Requirement("no_such_module_here", "no-such-thing==1"),)

            def spec(self) -> ModelSpec:
                raise AssertionError

            def folder(self, cache: Path) -> Path:
                raise AssertionError

        from bench.hooks import hookimpl

        class Plugin:
            @staticmethod
            @hookimpl
            def bench_models() -> list[Model]:
                return [Absent()]

        registry = Registry()
        registry.add(Plugin, "t:models", "t")
        with pytest.raises(MissingError, match=r"pip install 'no-such-thing==1'"):
            find_model("absent", registry, tmp_path)


class TestWrittenWhole:
    def test_failure_leaves_nothing(self, tmp_path: Path) -> None:
        def write() -> None:
            with written_whole(tmp_path / "out") as made:
                (made / "a").write_text("half")
                raise BenchError("stopped")

        with pytest.raises(BenchError, match="stopped"):
            write()
        assert list(tmp_path.iterdir()) == []

    def test_it_takes_the_place_of_an_older_one(self, tmp_path: Path) -> None:
        for text in ("old", "new"):
            with written_whole(tmp_path / "out") as made:
                (made / text).write_text(text)
        assert [p.name for p in tmp_path.iterdir()] == ["out"]
        assert [p.name for p in (tmp_path / "out").iterdir()] == ["new"]

    def test_full_disk(self, tmp_path: Path) -> None:
        import errno

        with pytest.raises(StorageError, match="No space left"), written_whole(tmp_path / "out"):
            raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))
        assert list(tmp_path.iterdir()) == []


def test_headers(tmp_path: Path) -> None:
    header = read_headers(folder(tmp_path))["encoder.layer.0.intermediate.dense.weight"]
    assert (header.dtype, header.shape, header.numel, header.bytes) == ("F32", (24, 8), 192, 768)
