"""Architectures that are not plain LoRA, end to end through the command line, and what the others are kept from."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench import runner  # noqa: E402
from bench.api.architecture import ArchitectureModule, BaseArchitecture, ParameterBudget  # noqa: E402
from bench.cli import main  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.errors import InvariantError, UsageError  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.results.layout import ADAPTERS, CHECKPOINTS, QUANTIZED, RESULT  # noqa: E402

Make = Callable[..., RunConfig]


def result_of(folder: Path | None) -> dict[str, Any]:
    assert folder is not None
    found: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    return found


def cli(*words: str) -> int:
    return main(list(words))


def flags(corpus: Path, out: Path, *more: str) -> tuple[str, ...]:
    return (
        "--task", "2015-T14", "--data", f"2015-T14={corpus}", "--model", "tiny-bert", "--head", "bio", "--steps", "4",
        "--eval-every", "4", "--max-length", "64", "--batch-tokens", "256", "--micro-batch", "256", "--tracker", "none",
        "--out", str(out), *more,
    )  # fmt: skip


@pytest.mark.parametrize("arch", ["A4-gated", "A1-dora", "A1-rslora", "A1-pissa", "prefix", "prompt", "full", "bitfit"])
def test_every_one_runs_with_all_invariants_on(arch: str, small_corpus: Path, tmp_path: Path, capsys: Any) -> None:
    # Of a tiny model's random weights the biases alone learn slowly, and so does what stands before the text.
    lr = "1e-2" if arch in ("bitfit", "prefix", "prompt") else "3e-3"
    assert cli("run", *flags(small_corpus, tmp_path / "runs", "--arch", arch, "--lr", lr), "--json") == 0
    result = result_of(Path(json.loads(capsys.readouterr().out)["result"]).parent)
    assert result["waivers"] == []
    assert result["invariants"]["smoke"]["dead"] == {"2015-T14": []}
    assert result["matched"] is (arch not in ("prompt", "full", "bitfit"))


@pytest.mark.parametrize("arch", ["hierarchical", "hierarchical-detached", "hierarchical-flat"])
def test_levels_run_with_all_invariants_on(arch: str, tmp_path: Path, capsys: Any) -> None:
    given = []
    for task in ("bc5cdr", "gad"):
        load().get("tasks", task).synthesize(tmp_path / task, 3, {"train": 40, "dev": 4, "test": 4})
        given += ["--task", task, "--data", f"{task}={tmp_path / task}"]
    words = [
        "--model", "tiny-bert", "--steps", "6", "--eval-every", "6", "--batch-tokens", "512", "--micro-batch", "512",
        "--tracker", "none", "--lr", "5e-3", "--out", str(tmp_path / "runs"), "--arch", arch, "--json",
    ]  # fmt: skip
    code = cli("run", *given, *words)
    told = capsys.readouterr()
    assert code == 0, told.err
    folder = Path(json.loads(told.out)["result"]).parent
    result = result_of(folder)
    assert result["waivers"] == []
    assert result["matched"] is True
    assert result["invariants"]["smoke"]["dead"] == {"bc5cdr": [], "gad": []}
    parity = result["invariants"]["parity"]
    assert parity["plan"]["levels"] == {"bc5cdr": 1, "gad": 2}
    assert {row["arm"] for row in parity["rows"]} >= {"A1", "A4", "hierarchical"}
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    observed = [line["values"].get("observed") for line in lines if line["kind"] == "step"]
    if arch == "hierarchical-flat":
        assert observed == [None] * 6
    else:
        assert any(observed)
        assert all(0 < one["attention_entropy"] <= 1 for one in observed if one)


def test_full_fine_tuning_trains_saves_and_checkpoints_the_base_model(tiny: Make, small_corpus: Path) -> None:
    from safetensors.torch import load_file
    from transformers import AutoModel

    from bench import user_cache
    from bench.modeling.find import find_model

    config = tiny(arch="full")
    folder = runner.run(config, load()).folder
    assert folder is not None
    base = load_file(find_model("tiny-bert", load(), user_cache.folder("models")).folder() / "model.safetensors")
    saved = load_file(folder / ADAPTERS / "model.safetensors")
    assert saved.keys() == {name for name in base if not name.startswith("pooler.")}
    assert all(not torch.equal(tensor, base[name]) for name, tensor in saved.items())
    newest = load_file(max((folder / CHECKPOINTS).glob("step-*")) / "model.safetensors")
    assert all(torch.equal(tensor, newest[f"adapters.backbone.{name}"]) for name, tensor in saved.items())
    loaded = AutoModel.from_pretrained(folder / ADAPTERS, add_pooling_layer=False)
    assert all(torch.equal(tensor, saved[name]) for name, tensor in loaded.state_dict().items())
    result = result_of(folder)
    (row,) = result["invariants"]["parity"]["rows"]
    assert row["adapters"] == sum(tensor.numel() for tensor in saved.values())
    assert result["invariants"]["parity"]["group"] is None


def test_operations_of_full_fine_tuning_are_of_trained_products(tiny: Make) -> None:
    """Six a weight of a linear layer, where LoRA's frozen ones take four; tables that are looked up take none."""
    accounts = {}
    for arch in ("A1", "full"):
        result = result_of(runner.run(tiny(arch=arch, steps=1, eval_every=1), load()).folder)
        (account,) = result["invariants"]["tokens"]["tasks"].values()
        accounts[arch] = account["flops"] / (account["tokens"] + account["padded"])
    linears = 2 * (4 * 64 * 64 + 2 * 64 * 128)
    assert 6 * linears < accounts["full"] < 1.6 * accounts["A1"]


@pytest.mark.parametrize("arch", ["full", "bitfit"])
def test_what_is_quantized_after_training_are_the_trained_weights(arch: str, tiny: Make) -> None:
    from safetensors.torch import load_file

    config = tiny(arch=arch, quant="rtn", quant_when="after", lr=1e-2)
    folder = runner.run(config, load()).folder
    assert folder is not None
    quantized = load().get("quantizers", "rtn").load(folder / QUANTIZED / "rtn", torch.float32, "cpu")
    newest = load_file(max((folder / CHECKPOINTS).glob("step-*")) / "model.safetensors")
    stored = {name.removeprefix("adapters.backbone."): t for name, t in newest.items() if name.startswith("adapters.")}
    own = dict(quantized.named_parameters())
    kept = [name for name in stored if "LayerNorm" in name or name.endswith("bias")]
    assert kept
    assert all(torch.equal(own[name], stored[name]) for name in kept)  # what rounding leaves alone
    result = result_of(folder)
    assert 0 < result["quantization"]["error"] == pytest.approx(result["quantization"]["rtn_error"], rel=1e-3)
    assert not [*folder.glob(".trained-*")]


def test_a_base_of_integers_is_refused_before_anything_is_read(small_corpus: Path, tmp_path: Path, capsys: Any) -> None:
    for arch in ("full", "bitfit"):
        assert cli("run", *flags(small_corpus, tmp_path / "runs", "--arch", arch, "--quant", "int8")) == 2
        told = capsys.readouterr().err
        assert f"Architecture '{arch}' cannot be trained so: with --quant-when load" in told
        assert "integers, which have no gradient" in told
    assert not (tmp_path / "runs").exists()


def test_tied_weights_and_a_base_without_biases_are_refused() -> None:
    from bench_plugins.architectures.weights import BitFit, Full
    from transformers import LlamaConfig, LlamaModel

    small = LlamaConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, intermediate_size=48
    )
    budget = ParameterBudget(16, ())
    tied = LlamaModel(small)
    tied.layers[1].mlp.up_proj.weight = tied.layers[0].mlp.up_proj.weight
    with pytest.raises(UsageError, match=r"layers\.0\.mlp\.up_proj\.weight and layers\.1\.mlp\.up_proj\.weight are one tensor"):
        Full().attach(tied, ["a"], budget)
    with pytest.raises(UsageError, match="no bias to train"):
        BitFit().attach(LlamaModel(small), ["a"], budget)


def test_the_micro_batch_of_full_fine_tuning_is_searched_in_a_process_of_its_own(tiny: Make) -> None:
    batch = result_of(runner.run(tiny(arch="full", micro_batch=None, steps=1, eval_every=1), load()).folder)["invariants"][
        "batch"
    ]
    assert (batch["status"], batch["binds"]) == ("held", "update")
    assert all(peak is not None and peak > 0 for _, peak in batch["probes"])
    assert batch["probes"]


def test_it_is_stamped_wherever_it_is_shown_and_compared_only_where_that_is_allowed(
    small_corpus: Path, tmp_path: Path, capsys: Any
) -> None:
    out = tmp_path / "runs"
    for arch in ("A1", "full"):
        words = flags(small_corpus, out, "--arch", arch, "--waive", "smoke")
        assert cli("run", *words) == 0
    assert "not parameter-matched" in capsys.readouterr().out
    full, plain = sorted(out.glob("*full*")), sorted(out.glob("*a1*"))
    assert cli("show", "run", str(full[0])) == 0
    assert "not parameter-matched; comparisons refuse this run unless --allow parameters is given" in capsys.readouterr().out
    assert cli("board", "--out", str(out)) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(full[0].name)]
    assert row.endswith("not parameter-matched")
    both = (str(plain[0]), str(full[0]), "--allow", "waivers")
    assert cli("compare", *both) == 3
    told = capsys.readouterr().err
    assert "(not parameter-matched) in 1 run" in told
    assert "--allow parameters" in told
    assert cli("compare", *both, "--by", "arch,rank") == 3  # the number of parameters follows the rank of matched arms only
    assert "--allow parameters" in capsys.readouterr().err
    assert cli("compare", *both, "--allow", "parameters", "--resamples", "100") == 0
    assert "not parameter-matched" in "".join(capsys.readouterr())
    assert cli("report", str(out), "--out", str(tmp_path / "page"), "--allow", "waivers", "--allow", "parameters") == 0
    (page,) = (tmp_path / "page").rglob("*.html")
    assert "not parameter-matched: full (1 run)" in page.read_text(encoding="utf-8")


class Own(BaseArchitecture):
    """An arm of a plugin: one vector is added to every hidden state."""

    name, version, summary = "own", "1", "for tests"
    group = "budget"
    size = 1

    def attach(self, backbone: Any, tasks: Sequence[str], budget: ParameterBudget) -> ArchitectureModule:
        size = self.size * budget.parameters

        class Adds(ArchitectureModule, torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.backbone = backbone
                self.added = torch.nn.Parameter(torch.zeros(size))

            def trained(self) -> Any:
                return {"added": self.added}

            def forward(self, task: str, input_ids: Any, attention_mask: Any) -> Any:
                hidden = super().forward(task, input_ids, attention_mask)
                return hidden + self.added.view(-1, hidden.shape[-1]).sum(0)

        return Adds()


class TooLarge(Own):
    name, size = "too-large", 2


class Hides(Own):
    """Trains what it does not name."""

    name = "hides"

    def attach(self, backbone: Any, tasks: Sequence[str], budget: ParameterBudget) -> ArchitectureModule:
        module = super().attach(backbone, tasks, budget)
        module.trainable = lambda task: {"other": torch.nn.Parameter(torch.zeros(2))}  # type: ignore[method-assign]
        return module


class Swaps(Own):
    """Calls another base model than the one whose tokens are counted."""

    name = "swaps"

    def attach(self, backbone: Any, tasks: Sequence[str], budget: ParameterBudget) -> ArchitectureModule:
        from copy import deepcopy

        return super().attach(deepcopy(backbone), tasks, budget)


def test_an_arm_of_ones_own_joins_the_group_it_names(tiny: Make, kit: Any) -> None:
    registry = kit.with_parts(architectures=[Own()])
    result = result_of(runner.run(tiny(arch="own"), registry).folder)
    rows = {row["arm"]: row for row in result["invariants"]["parity"]["rows"]}
    assert rows["own"]["adapters"] == rows["A1"]["adapters"]
    assert result["matched"] is True
    assert "own" in {row["arm"] for row in runner.run(tiny(), registry, dry_run=True).plan["parity"]["rows"]}


@pytest.mark.parametrize(
    ("arm", "said"),
    [
        (TooLarge(), r"A1 trains 28,672 adapter and fusion parameters, 50\.0% of the 57,344 of too-large"),
        (Hides(), r"trains 'other', which trained\(\) does not name"),
        (Swaps(), r"does not keep the base model that it was given"),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
def test_an_arm_that_breaks_the_rule_is_refused_and_stops_no_other(arm: Own, said: str, tiny: Make, kit: Any) -> None:
    registry = kit.with_parts(architectures=[arm])
    with pytest.raises(InvariantError, match=said):
        runner.run(tiny(arch=arm.name), registry)
    told = kit.Told()
    plan = runner.run(tiny(), registry, dry_run=True, console=told).plan
    assert list(plan["parity"]["uncounted"]) == [arm.name]
    assert plan["parity"]["holds"] is True
    assert told.said(f"Run 'bench check {arm.name}'")


def test_a_probe_of_an_arm_without_adapters_is_refused(tiny: Make) -> None:
    from bench.reporting import SilentReporter
    from bench.steps.probing import probe_run

    folder = runner.run(tiny(arch="bitfit"), load()).folder
    assert folder is not None
    with pytest.raises(UsageError, match="'bitfit' declares none"):
        probe_run(folder, load(), SilentReporter())
