"""A few steps on real articles with discontiguous and nested mentions: A4 over an NF4 base, every invariant enforced."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("bitsandbytes")

from bench import runner  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.registry import load  # noqa: E402

TASK = "2015-T14"


@pytest.mark.shared
def test_a_few_steps_on_real_articles(shared: Path, tmp_path: Path) -> None:
    registry = load()
    if registry.get("models", "minilm-l6").missing():
        pytest.skip("minilm-l6 is not installed")
    source = shared / "craft-mondo"
    folder = tmp_path / "craft"
    mentions = 0
    for split in ("train", "dev", "test"):
        (folder / split).mkdir(parents=True)
        # One short article with a few mentions.
        pipes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (source / split).glob("*.pipe")}
        pipe = min((p for p, lines in pipes.items() if lines >= 10), key=lambda p: p.with_suffix(".text").stat().st_size)
        mentions += pipes[pipe]
        for path in (pipe, pipe.with_suffix(".text")):
            shutil.copy(path, folder / split / path.name)
    config = RunConfig(
        task=(TASK,), data={TASK: str(folder)}, arch="A4", quant="nf4", model="minilm-l6", head="span", max_length=64,
        steps=3, eval_every=3, batch_tokens=256, micro_batch=2048, device="cpu", tracker=("none",), out=str(tmp_path / "runs"),
    )  # fmt: skip
    unlimited = runner.run(replace(config, steps=None, eval_every=None), registry, dry_run=True).plan
    assert unlimited["budget"]["epochs"][TASK] == pytest.approx(10)  # real text, far from a million tokens; synthetic has two
    path = runner.run(config, registry).result_path
    assert path is not None
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["synthetic"] is False
    assert result["waivers"] == []
    assert {told["status"] for told in result["invariants"].values()} == {"held"}
    assert result["headline"]["stage"] == "quantized"
    assert 0 < result["quantization"]["error"] < 1
    data = result["plan"]["data"][TASK]
    assert sum(split["documents"] for split in data.values()) == 3
    assert 0 < sum(split["annotations"] for split in data.values()) <= mentions
    assert result["invariants"]["smoke"]["dead"] == {TASK: []}
