from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.cli import main
from bench.cli.contamination import report
from bench.evaluation.contamination import LEAST, higher, min_k, read
from bench.kit.synthetic import MARKER


def test_min_k_is_the_mean_of_the_least_probable() -> None:
    logs = [-1.0, -9.0, -2.0, -5.0, -3.0, -4.0, -0.5, -0.1, -0.2, -0.3]
    assert min_k(logs) == pytest.approx(-7.0)
    assert min_k(logs, 1.0) == pytest.approx(sum(logs) / 10)
    assert min_k([-2.0, -1.0]) == -2.0  # at least one


def test_how_often_test_is_above_control() -> None:
    found = higher([1.0, 3.0, 2.0], [2.0, 0.0])
    # Pairs: 1>0, 3>2, 3>0, 2=2, 2>0; 1<2.
    assert found["auc"] == pytest.approx(4.5 / 6)
    low, high = found["ci95"]
    assert 0 <= low <= found["auc"] <= high <= 1
    assert higher([5.0, 6.0], [1.0, 2.0]) == {"auc": 1.0, "ci95": [1.0, 1.0]}


def test_the_interval_of_like_texts_holds_one_half() -> None:
    import numpy as np

    generator = np.random.default_rng(1)
    low, high = higher(generator.normal(size=60).tolist(), generator.normal(size=60).tolist())["ci95"]
    assert low < 0.5 < high
    assert 0.1 < high - low < 0.35


def test_log_probabilities_are_those_of_the_next_token() -> None:
    torch = pytest.importorskip("torch")
    calls: list[int] = []

    def tokenizer(text: str, **options: Any) -> dict[str, Any]:
        assert options["truncation"]
        return {"input_ids": torch.tensor([[int(word) for word in text.split()]])}

    def model(ids: Any) -> Any:
        """After n comes n + 1 (modulo 4) with a probability of one half; the others share the rest."""
        logits = torch.full((1, ids.shape[1], 4), math.log(1 / 6))
        return logits.scatter(2, ((ids + 1) % 4)[..., None], math.log(0.5))

    steady = " ".join(str(n % 4) for n in range(LEAST + 2))
    odd = "0 2 " + " ".join(str((n + 3) % 4) for n in range(LEAST))
    found = read(model, tokenizer, [steady, "0 1 2", odd], calls.append)
    assert calls == [1, 1, 1]
    assert len(found) == 2  # the short one is left out
    assert found[0].tolist() == pytest.approx([math.log(0.5)] * (LEAST + 1))
    assert found[1][0] == pytest.approx(math.log(1 / 6))
    assert found[1][1:].tolist() == pytest.approx([math.log(0.5)] * LEAST)


def test_the_command_counts_what_splits_share(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contamination", "2015-T14", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["synthetic"] is True
    assert set(found["overlap"]) == {"dev-train", "test-train", "test-dev"}
    assert found["overlap"]["test-train"]["exact"] == 0
    assert "min_k" not in found
    assert "SYNTHETIC" in report(found)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--control", "notes"], "--control is what a model's test text is compared with."),
        (["--documents", "1"], "--documents 1: at least two texts of either kind are wanted."),
        (["--model", "tiny-llama"], "The test text is synthetic"),
    ],
)
def test_what_cannot_be_compared_is_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contamination", "2015-T14", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A corpus on disk, which passes for a real one."""
    from bench.registry import load

    folder = tmp_path / "corpus"
    load().get("tasks", "2015-T14").synthesize(folder, 3, {"train": 2, "dev": 2, "test": 4})
    (folder / MARKER).unlink()
    return folder


def test_a_decoder_is_held_against_control_text(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    notes = tmp_path / "notes"
    notes.mkdir()
    for n in range(3):
        (notes / f"{n}.txt").write_text(f"The garden of house {n} was quiet; " * 20)
    words = ["contamination", "2015-T14", "--data", str(corpus), "--model", "tiny-llama", "--control", str(notes), "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    told = found["min_k"]
    assert (told["test"]["texts"], told["control"]["texts"], told["control_text"]) == (4, 3, "given")
    assert told["test"]["min_k"] < 0
    # Random weights know nothing: more perplexed than chance over the vocabulary of 1,024.
    assert told["test"]["perplexity"] > 1024
    assert "garden" not in json.dumps(found)
    assert main([*words[:4], "--model", "tiny-bert"]) == 2
    assert "wants a decoder" in capsys.readouterr().err


def test_pickled_weights_are_converted_where_that_is_asked(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from safetensors.torch import load_file

    from bench.registry import load

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pickled = tmp_path / "pickled"
    shutil.copytree(load().get("models", "tiny-llama").folder(tmp_path / "made"), pickled)
    (weights,) = pickled.glob("*.safetensors")
    torch.save(load_file(weights), pickled / "pytorch_model.bin")
    weights.unlink()
    words = ["contamination", "2015-T14", "--data", str(corpus), "--model", str(pickled), "--json"]
    assert main(words) != 0
    assert "--convert" in capsys.readouterr().err
    assert main([*words, "--convert"]) == 0


def test_a_report_says_what_generated_control_text_cannot_show() -> None:
    side = {"texts": 9, "min_k": -7.5, "perplexity": 20.0}
    told = {"share": 0.2, "test": side, "control": side, "auc": 0.9, "ci95": [0.8, 0.95], "control_text": "synthetic"}
    found = {"overlap": {}, "synthetic": False, "min_k": told}
    assert "generated and differs" in report(found)
    assert "generated and differs" not in report(found | {"min_k": told | {"control_text": "given"}})
