"""`bench export` through the command line: folders that predict without bench what the run predicted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

from bench_plugins.models.tiny import TinyLlama
from vllm_layout import faults

import bench
from bench.api.data import Document
from bench.cli import main
from bench.config import RunConfig
from bench.errors import BenchError
from bench.exporting import export as exporting
from bench.modeling.spec import inspect
from bench.registry import load
from bench.results.layout import PREDICTIONS, predictions_name

TASKS = ("2015-T14", "2016-T12", "2017-T3-A", "chemprot", "ncbi-disease", "pubmedqa")
"""Of several kinds: span with slots, temporal, ranking, relation, bio, classify; `test_export_heads.py` has every head."""
SIZES = {"train": 24, "dev": 6, "test": 6}
LONE = """
import importlib.util, json, sys
for name in ("bench", "bench_plugins", "bench_tasks"):
    sys.modules[name] = None
jobs = json.load(sys.stdin)
for job in jobs:
    spec = importlib.util.spec_from_file_location("modeling", job["folder"] + "/modeling.py")
    modeling = importlib.util.module_from_spec(spec)
    sys.modules["modeling"] = modeling
    spec.loader.exec_module(modeling)
    model = modeling.load(job["folder"], base=job.get("base"))
    job["found"] = model.predict(job["texts"])
assert not any(name.partition(".")[0] == "bench" and module for name, module in sys.modules.items())
print(json.dumps([job["found"] for job in jobs]))
"""


def alone(jobs: Sequence[Mapping[str, Any]]) -> list[list[dict[str, Any]]]:
    """What exported folders find, in a process in which bench cannot be imported."""
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", LONE], input=json.dumps(list(jobs)), text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[list[dict[str, Any]]] = json.loads(done.stdout.splitlines()[-1])
    return found


def record(document: Document) -> dict[str, Any]:
    """A document as `predict` of an exported folder takes it, without what is to be predicted."""
    if document.passages:
        query = document.text[: document.passages[0].span[0]].removesuffix("\n\n")
        passages = [{"id": p.id, "text": document.text[slice(*p.span)]} for p in document.passages]
        whole = query + "".join(f"\n\n{p['text']}" for p in passages)
        if whole == document.text:
            return {"id": document.id, "query": query, "passages": passages}
    mentions = [{"fragments": m.fragments, "label": m.label} for m in document.mentions]
    return {"id": document.id, "text": document.text, "mentions": mentions}


def same(found: Sequence[Mapping[str, Any]], saved: Path) -> int:
    """Holds predictions against a run's file: what they say, and every probability to rounding; the number of them."""
    lines = [json.loads(line) for line in saved.read_text(encoding="utf-8").splitlines()]
    count = 0
    assert [record["id"] for record in found] == [line["id"] for line in lines]
    for record, line in zip(found, lines, strict=True):
        for kind in ("mentions", "relations", "judgements"):
            pairs = list(zip(record.get(kind, ()), line.get(kind, ()), strict=True))
            for mine, own in pairs:
                chances = [item.pop("confidence", item.pop("score", 1.0)) for item in (mine, own)]
                own.pop("concept", None)
                assert mine == own
                assert chances[0] == pytest.approx(chances[1], abs=5e-4)
            count += len(pairs)
    return count


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bench.RunResult]:
    """A run of six tasks with shared and private adapters, in fp32."""
    from bench.invariants import smoke

    folder = tmp_path_factory.mktemp("six")
    data = {}
    for name in TASKS:
        load().get("tasks", name).synthesize(folder / name, 5, SIZES)
        data[name] = folder / name
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smoke, "UPDATES", 5)
        patch.setattr(smoke, "EXAMPLES", 8)
        yield bench.run(
            task=TASKS, data=data, model="tiny-bert", arch="A3", rank=24, steps=30, max_length=64, micro_batch=512,
            waive="smoke", tracker="none", precision="fp32", out=folder / "runs",
        )  # fmt: skip


def texts_of(run: bench.RunResult, task: str) -> list[dict[str, Any]]:
    corpus = load().get("tasks", task).load(Path(run.result.config["data"][task]))
    return [record(document) for document in corpus["test"]]


def test_merged_folders_of_every_head_predict_what_the_run_saved(
    run: bench.RunResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "merged"
    assert main(["export", str(run.folder), str(out), "--merge", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert {task["task"]: task["folder"] for task in done["tasks"]} == {name: str(out / name) for name in TASKS}
    assert sorted(path.name for path in out.iterdir()) == sorted(TASKS)
    assert not list(tmp_path.glob(".*"))
    (tmp_path / "file").touch()
    assert {path.stat().st_mode for path in out.rglob("*") if path.is_file()} == {(tmp_path / "file").stat().st_mode}
    for task in done["tasks"]:
        assert task["parity"]["hidden"] < 1e-5
        assert task["parity"]["equal"] == task["parity"]["predictions"]
    jobs = [{"folder": str(out / name), "texts": texts_of(run, name)} for name in TASKS]
    for name, found in zip(TASKS, alone(jobs), strict=True):
        assert same(found, run.folder / PREDICTIONS / predictions_name(name, "test", "trained")) > 0, name

    # Plain transformers loads the base model, with nothing missing, and gives what the run's model gives.
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, info = AutoModel.from_pretrained(out / "pubmedqa", output_loading_info=True, add_pooling_layer=False)
    assert not any(info[what] for what in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    batch = AutoTokenizer.from_pretrained(out / "pubmedqa")("No fever.", return_tensors="pt")
    trained = run.model().model
    with torch.no_grad():
        own = trained.eval().hidden("pubmedqa", {n: batch[n] for n in ("input_ids", "attention_mask")})
        states = model.eval()(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    assert float((own - states).abs().max()) < 1e-4
    assert model.config.hidden_dropout_prob == 0.1  # the base model's own configuration, not that of training


def test_an_adapter_in_peft_s_format_gives_equal_states(
    run: bench.RunResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModel

    out = tmp_path / "adapter"
    assert main(["export", str(run.folder), str(out), "--peft", "--task", "chemprot"]) == 0
    assert "SYNTHETIC" in capsys.readouterr().out
    trained = run.model()
    base = trained.parts.model.folder()
    model = PeftModel.from_pretrained(AutoModel.from_pretrained(base), str(out)).eval()
    batch = {"input_ids": torch.arange(5, 17)[None], "attention_mask": torch.ones(1, 12, dtype=torch.long)}
    with torch.no_grad():
        own = trained.model.eval().hidden("chemprot", batch)
        assert torch.equal(model(**batch).last_hidden_state, own)
    # Ranks of the shared and of the private adapter stand side by side.
    ranks = trained.model.adapted.plan.adapters  # type: ignore[attr-defined]
    config = json.loads((out / "adapter_config.json").read_text())
    first = next(iter(ranks["shared"].ranks))[0].name
    each = [{linear.name: rank for linear, rank in ranks[name].ranks}[first] for name in ("shared", "private-chemprot")]
    assert config["rank_pattern"].get(f"^{first}".replace(".", r"\."), config["r"]) == sum(each)
    (found,) = alone([{"folder": str(out), "texts": texts_of(run, "chemprot"), "base": str(base)}])
    assert same(found, run.folder / PREDICTIONS / predictions_name("chemprot", "test", "trained")) > 0


def test_graphs_of_onnx_give_the_same(run: bench.RunResult, tmp_path: Path) -> None:
    for module in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(module)
    from onnxruntime import InferenceSession

    tasks = ("chemprot",)
    for task in tasks:
        (done,) = run.export(tmp_path / task, "onnx", task=task)
        assert done.parity is not None
        assert done.parity.hidden < 1e-5
        inputs = {i.name: i.shape for i in InferenceSession(tmp_path / task / "model.onnx").get_inputs()}
        assert set(inputs) == {"input_ids", "attention_mask"}
        assert all(isinstance(size, str) for shape in inputs.values() for size in shape)  # batch and length are free
        assert [o.name for o in InferenceSession(tmp_path / task / "head.onnx").get_outputs()] == ["logits"]
        assert not (tmp_path / task / "model.safetensors").exists()
    jobs = [{"folder": str(tmp_path / task), "texts": texts_of(run, task)} for task in tasks]
    for task, found in zip(tasks, alone(jobs), strict=True):
        assert same(found, run.folder / PREDICTIONS / predictions_name(task, "test", "trained")) > 0


def test_the_card_says_what_was_trained_and_no_text(
    run: bench.RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "restricted", lambda run, task: True)
    (done,) = run.export(tmp_path / "out", task="ncbi-disease")
    assert done.restricted
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    front, _, body = card.removeprefix("---\n").partition("\n---\n")
    fields = {line.partition(": ")[0]: json.loads(line.partition(": ")[2]) for line in front.splitlines()}
    assert fields["pipeline_tag"] == "token-classification"
    assert "synthetic" in fields["tags"]
    headline = run.result.scores["ncbi-disease"].trained
    metric = run.result.metric("ncbi-disease")
    assert fields["model-index"][0]["results"][0]["metrics"] == [{"type": metric, "value": round(headline[metric], 4)}]
    account = run.result.invariants.tokens.tasks["ncbi-disease"]
    for wanted in (
        "**SYNTHETIC.**", "**Do not publish or pass on.**", "**Waived:** smoke", "| smoke | waived |", "| parity | held |",
        f"{account.tokens:,}", run.result.hashes["data"]["ncbi-disease"], "train 24 documents, dev 6 documents, test 6 ",
        "Not for decisions about patients", "largest relative difference", run.id,
    ):  # fmt: skip
        assert wanted in body
    written = "".join(
        path.read_text(encoding="utf-8") for path in (tmp_path / "out").iterdir() if path.suffix in (".md", ".py", ".json")
    )
    for text in texts_of(run, "ncbi-disease"):
        assert text["text"][:40] not in written
    assert str(tmp_path) not in written


def test_a_folder_of_several_tasks_is_private_where_one_of_them_is(
    run: bench.RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: set[str] = set()

    def write(job: Any, out: Path) -> Any:
        out.mkdir()
        return exporting.Exported(
            out, run.id, job.task, "merge", "trained", None, "tiny-bert", None, "float32", 1, job.task in closed, True, None
        )

    monkeypatch.setattr(exporting._Job, "write", write)
    run.export(tmp_path / "open")
    closed.add(TASKS[2])
    run.export(tmp_path / "closed")
    assert [(tmp_path / name).stat().st_mode & 0o777 == 0o700 for name in ("open", "closed")] == [False, True]


def test_a_folder_that_gives_something_else_does_not_appear(
    run: bench.RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged = exporting.merged

    def wrong(adapted: Any, task: str) -> Any:
        backbone = merged(adapted, task)
        next(p for n, p in backbone.named_parameters() if n.endswith("query.weight")).data.mul_(1.01)
        return backbone

    monkeypatch.setattr(exporting, "merged", wrong)
    with pytest.raises(BenchError, match="does not give what the run's model gives"):
        run.export(tmp_path / "out", task="pubmedqa")
    assert not list(tmp_path.iterdir())


def test_what_a_run_cannot_be_written_as_is_refused_in_one_message(
    tiny: Callable[..., RunConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = bench.run(tiny(arch="A4", quant="rtn"))
    words = ["export", str(result.folder), str(tmp_path / "out")]
    for flags, code, says in (
        (["--merge"], 2, "in 2 passes (shared; private-2015-T14)"),
        (["--peft"], 2, "'bench predict'"),
        (["--merge", "--task", "2015-T15"], 2, "Unknown task"),
        (["--merge", "--peft"], 2, "not allowed with"),
        ([], 2, "required"),
    ):
        assert main([*words, *flags]) == code
        said = capsys.readouterr().err
        assert says in said
        assert "Traceback" not in said
    assert main(["export", str(result.folder), str(result.folder), "--merge"]) == 2
    assert "exists; wanted a folder that is not there yet" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_quantized_base_model_is_written_with_the_adapter_beside_it(
    tiny: Callable[..., RunConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = bench.run(tiny(arch="A2", quant="rtn", model="tiny-llama", precision="fp32"))
    assert main(["export", str(result.folder), str(tmp_path / "no"), "--merge", "--stage", "quantized"]) == 2
    assert "Take --peft --stage quantized" in capsys.readouterr().err
    out = tmp_path / "out"
    assert main(["export", str(result.folder), str(out), "--peft", "--stage", "quantized"]) == 0
    kept = result.folder / "quantized" / "rtn"
    assert (out / "base" / "model.safetensors").read_bytes() == (kept / "model.safetensors").read_bytes()
    settings = json.loads((out / "base" / "config.json").read_text())["quantization_config"]
    assert (settings["quant_method"], settings["bits"], settings["checkpoint_format"]) == ("gptq", 4, "gptq")
    assert (out / "base" / "tokenizer.json").is_file()
    encoder = bench.run(tiny(arch="A1", quant="rtn", precision="fp32"))
    capsys.readouterr()
    code = main(["export", str(encoder.folder), str(tmp_path / "encoder"), "--peft", "--stage", "quantized"])
    if find_spec("gptqmodel") and find_spec("optimum") and find_spec("bitsandbytes"):
        assert code == 2
        assert "transformers cannot load a model of the type bert that rtn quantized" in capsys.readouterr().err
        assert not (tmp_path / "encoder").exists()
    else:
        assert code == 0


def test_a_quantized_decoder_is_written_as_vllm_reads_it(
    tiny: Callable[..., RunConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("gptqmodel", "optimum"):
        pytest.importorskip(module)
    result = bench.run(tiny(arch="full", quant="gptq", model="tiny-llama", precision="fp32"))
    out = tmp_path / "out"
    assert main(["export", str(result.folder), str(out), "--merge", "--stage", "quantized"]) == 0
    assert "largest relative difference from the run's model" in capsys.readouterr().out
    assert faults(out, inspect(TinyLlama().folder(tmp_path / "models")).linears) == []
    assert json.loads((out / "config.json").read_text())["quantization_config"]["quant_method"] == "gptq"
    assert (out / "tokenizer.json").is_file()
