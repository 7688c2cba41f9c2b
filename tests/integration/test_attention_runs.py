"""Attention from plan to prediction: a decoder that sees both ways still does when it is resumed, quantized and used again;
an implementation that was asked for is the one that is used."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from bench import runner, user_cache  # noqa: E402
from bench.api.data import Document  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.errors import Interrupted, UsageError  # noqa: E402
from bench.modeling.find import find_model  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.reporting import SilentReporter  # noqa: E402
from bench.results.layout import ADAPTERS, JOURNAL, RESULT  # noqa: E402
from bench.results.store import read_result  # noqa: E402
from bench.steps.trained import load_trained  # noqa: E402
from bench.studies.contract import compared, differences, facts  # noqa: E402

TASK = "2015-T14"


def losses_of(folder: Path) -> list[float]:
    lines = (folder / JOURNAL).read_text(encoding="utf-8").splitlines()
    return [record["values"]["loss"][TASK] for line in lines if (record := json.loads(line))["kind"] == "step"]


def test_implementations_give_the_same_losses_and_are_told_apart(tiny: Callable[..., RunConfig]) -> None:
    registry, folders = load(), {}
    for name in ("auto", "eager", "sdpa"):
        folder = runner.run(tiny(attention_implementation=name), registry).folder
        assert folder is not None
        folders[name] = folder
    assert folders["auto"] == runner.run(tiny(), registry).folder
    assert len(set(folders.values())) == 3
    results = {name: read_result(folder) for name, folder in folders.items()}
    used = {name: (result.training.attention, result.training.evaluation_attention) for name, result in results.items()}
    assert used == {"auto": ("eager", "sdpa"), "eager": ("eager", "eager"), "sdpa": ("sdpa", "sdpa")}
    assert weights(folders["auto"]) == weights(folders["eager"])
    losses = {name: losses_of(folder) for name, folder in folders.items()}
    assert len(losses["auto"]) == 6
    assert losses["auto"] == losses["eager"]
    assert losses["sdpa"] == pytest.approx(losses["eager"], rel=1e-4)

    both = [facts(results[name]) for name in ("eager", "sdpa")]
    assert compared(both) == ()
    assert [difference.field for difference in differences(both, (), ["waivers"])] == ["attention_implementation", "waivers"]
    old = replace(results["auto"], config={k: v for k, v in results["auto"].config.items() if k != "attention_implementation"})
    assert [difference.field for difference in differences([facts(old), facts(results["auto"])], ())] == ["waivers"]

    model = load_trained(folders["sdpa"], registry, "trained", "cpu", SilentReporter())
    assert model.model.attention.training == "sdpa"


def test_an_implementation_that_cannot_be_is_refused_before_anything_is_loaded(
    tiny: Callable[..., RunConfig], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"flash works on CUDA cards alone; the device is cpu") as raised:
        runner.run(tiny(attention_implementation="flash", device="cpu"), load())
    assert raised.value.hint == "Leave it out, or take sdpa."
    assert not list(Path(tiny().out).glob("*/plan.json"))

    folder = tmp_path / "deberta"
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.DebertaV2Config(vocab_size=2000, **shape)
    transformers.DebertaV2Model(config).save_pretrained(folder)
    tokens = find_model("tiny-bert", load(), user_cache.folder("models")).folder()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((tokens / name).read_bytes())
    with pytest.raises(UsageError, match=r"sdpa: transformers has none for .*deberta \(deberta-v2\)") as raised:
        runner.run(tiny(attention_implementation="sdpa", model=str(folder)), load())
    assert raised.value.hint == "Leave it out, or take eager."


def weights(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / ADAPTERS).rglob("*.safetensors"))}


def test_a_run_that_sees_both_ways(tiny: Callable[..., RunConfig], tmp_path: Path) -> None:
    registry, settings = load(), {"model": "tiny-llama", "steps": 4, "quant": "rtn", "arch": "A4"}
    causal = runner.run(tiny(**settings, attention="causal"), registry).folder
    assert causal == runner.run(tiny(**settings), registry).folder
    whole = runner.run(tiny(**settings, attention="bidirectional"), registry).folder
    assert whole is not None
    assert causal is not None
    assert weights(whole) != weights(causal)
    result = json.loads((whole / RESULT).read_text(encoding="utf-8"))
    assert result["config"]["attention"] == "bidirectional"
    assert result["hashes"]["model"] == json.loads((causal / RESULT).read_text(encoding="utf-8"))["hashes"]["model"]
    assert 0 < result["quantization"]["error"] < 1

    out = str(tmp_path / "again")
    with pytest.raises(Interrupted):
        runner.run(tiny(**settings, attention="bidirectional", out=out, max_hours=1e-9), registry)
    (begun,) = (path for path in Path(out).iterdir() if path.is_dir())
    again = runner.run(RunConfig(out=out, tracker=("none",), max_hours=1.0), registry, resume=begun.name).folder
    assert again is not None
    assert (again.name, weights(again)) == (whole.name, weights(whole))

    for stage in ("trained", "quantized"):
        model = load_trained(whole, registry, stage, "cpu", SilentReporter())
        states = []
        for last in (40, 41):
            ids = torch.tensor([[20, 21, 22, 23, last]])
            with torch.no_grad():
                states.append(model.model.adapted(TASK, ids, torch.ones_like(ids))[0, :4])
        assert float((states[0] - states[1]).abs().max()) > 1e-4
        assert model.predict([Document("a", "The left atrium is dilated.")])[0].id == "a"
