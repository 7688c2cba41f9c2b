"""What is the same on a GPU as on a CPU; on a CPU these tests hold the tests themselves, `pytest -m gpu` holds the card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench.adapters.attach import attach  # noqa: E402
from bench.api.architecture import ParameterBudget  # noqa: E402
from bench.cli import main  # noqa: E402
from bench.modeling.backbone import adapted_linears, freeze, load_backbone  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.training import optimizers  # noqa: E402
from bench.training.loop import Device, reclaim  # noqa: E402
from bench.training.model import TaskModel  # noqa: E402

DEVICES = ("cpu", pytest.param("cuda", marks=pytest.mark.gpu))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = load().get("models", "tiny-llama").folder(tmp_path_factory.mktemp("models"))
    return made


def model_on(folder: Path, device: str, arm: str = "A4", precision: str = "fp32", attention: str = "auto") -> TaskModel:
    torch.manual_seed(0)
    backbone = load_backbone(folder, Device(device, precision).dtype, device)
    budget = ParameterBudget(4, adapted_linears(backbone), False)
    model = TaskModel(attach(load().get("architectures", arm), backbone, ("a",), budget), {}, attention).to(device)
    with torch.no_grad():
        for parameter in model.adapted.trained().values():
            parameter.add_((torch.randn(parameter.shape) * 0.05).to(device))
    return model.train()


def gradients(model: TaskModel, device: str) -> dict[str, Any]:
    torch.manual_seed(1)
    ids = torch.randint(5, 100, (4, 24))
    mask = torch.ones_like(ids)
    mask[0, -7:] = 0
    hidden = model.hidden("a", Device(device, "fp32").move({"input_ids": ids, "attention_mask": mask})).float()
    (hidden[mask.bool().to(device)] * 0.1).square().sum().backward()
    found = {n: p.grad.float().cpu() for n, p in model.adapted.trained().items() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("device", DEVICES)
def test_gradients_are_those_of_the_cpu(folder: Path, device: str, again: bool) -> None:
    wanted = gradients(model_on(folder, "cpu"), "cpu")
    model = model_on(folder, device)
    model.checkpoint(again)
    found = gradients(model, device)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert float((found[name] - gradient).norm() / gradient.norm().clamp(min=1e-9)) < 1e-3, name


@pytest.mark.parametrize(
    ("device", "name"), [("cpu", "sdpa"), *(pytest.param("cuda", n, marks=pytest.mark.gpu) for n in ("eager", "sdpa"))]
)
def test_every_implementation_of_attention_gives_the_gradients_of_the_cpu(folder: Path, device: str, name: str) -> None:
    wanted = gradients(model_on(folder, "cpu"), "cpu")
    model = model_on(folder, device, attention=name)
    assert model.attention.training == name
    for parameter, gradient in gradients(model, device).items():
        assert float((wanted[parameter] - gradient).norm() / gradient.norm().clamp(min=1e-9)) < 1e-3, parameter


@pytest.mark.gpu
def test_flash_attention_gives_the_states_of_sdpa_but_for_rounding(folder: Path) -> None:
    pytest.importorskip("flash_attn")
    device, states = Device("cuda", "bf16"), []
    batch = device.move({"input_ids": torch.arange(5, 101).view(4, 24), "attention_mask": torch.ones(4, 24, dtype=torch.long)})
    batch["attention_mask"][0, -7:] = 0
    for name, used in (("flash", "flash_attention_2"), ("sdpa", "sdpa")):
        model = model_on(folder, "cuda", precision="bf16", attention=name)
        assert model.attention.training == used
        with device.autocast():
            states.append(model.hidden("a", batch)[batch["attention_mask"].bool()].float())
    assert float((states[0] - states[1]).norm() / states[1].norm()) < 0.05


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("cpu", "adamw-8bit"),
        *(pytest.param("cuda", name, marks=pytest.mark.gpu) for name in ("adamw-8bit", "paged-adamw-8bit")),
    ],
)
def test_moments_come_back_from_a_checkpoint(device: str, name: Any) -> None:
    pytest.importorskip("bitsandbytes")
    optimizers.refuse_unfit(name, device)
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(2**17).to(device))  # large enough to be paged
    optimizer = optimizers.make_optimizer([weight], 0.01, name)

    def step(seed: int) -> None:
        torch.manual_seed(seed)
        weight.grad = torch.randn(weight.shape).to(device)
        optimizer.step()

    step(1)
    state = {key: value.detach().cpu().clone() for key, value in optimizers.kept(optimizer.state[weight]).items()}
    before = weight.detach().clone()
    step(2)
    wanted = weight.detach().clone()
    optimizer.state.clear()
    weight.data.copy_(before)
    optimizers.put_back(optimizer, weight, state)
    step(2)
    assert torch.equal(weight, wanted)


@pytest.mark.gpu
def test_memory_of_a_model_that_is_gone_comes_back(folder: Path) -> None:
    reclaim("cuda")
    before = torch.cuda.memory_reserved("cuda")
    model: TaskModel | None = model_on(folder, "cuda")
    assert model is not None
    assert torch.cuda.memory_reserved("cuda") >= before
    model = None
    reclaim("cuda")
    assert torch.cuda.memory_reserved("cuda") <= before


@pytest.mark.gpu
@pytest.mark.parametrize("again", [False, True])
def test_the_plan_of_memory_is_near_the_peak(again: bool) -> None:
    from transformers import LlamaConfig, LlamaModel

    from bench.api.model import ModelSpec
    from bench.training.memory import Load

    config = LlamaConfig(
        vocab_size=1000, hidden_size=1024, num_hidden_layers=12, num_attention_heads=16, num_key_value_heads=4,
        intermediate_size=3072, max_position_embeddings=512,
    )  # fmt: skip
    backbone = freeze(LlamaModel(config).to(torch.bfloat16).cuda())
    linears = adapted_linears(backbone)
    model = TaskModel(attach(load().get("architectures", "A1"), backbone, ("a",), ParameterBudget(16, linears, False)), {})
    model.cuda().train().checkpoint(again)
    trained = list(model.adapted.trained().values())
    optimizer = optimizers.make_optimizer(trained, 0.0)
    device, ids = Device("cuda", "bf16"), torch.randint(5, 900, (16, 512))
    batch = device.move({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    torch.cuda.reset_peak_memory_stats("cuda")
    for _ in range(2):
        with device.autocast():
            hidden = model.hidden("a", batch)
        hidden.float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    spec = ModelSpec("x", "llama", True, 1024, 12, 512, sum(p.numel() for p in LlamaModel(config).parameters()), linears)
    load_of_run = Load(spec, sum(p.numel() for p in trained), False, 1, "bf16", "cuda", None, "adamw", 16, 512)
    planned = load_of_run.memory(ids.numel(), again)
    measured = torch.cuda.max_memory_allocated("cuda")
    assert 2 / 3 < (planned.total - planned.process) / measured < 1.5


@pytest.mark.gpu
def test_the_self_test_of_the_doctor_passes(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--selftest", "--device", "cuda", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert [check for check in told["checks"] if check["verdict"] == "failed"] == []
    assert code == 0


@pytest.mark.gpu
def test_two_cards_add_up_through_nccl(tmp_path: Path) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("there is one GPU")
    import subprocess
    import sys

    script = tmp_path / "pair.py"
    script.write_text(
        "import torch\n"
        "from bench.training.processes import joined\n"
        "with joined('cuda') as processes:\n"
        "    weight = torch.nn.Parameter(torch.ones(5, device='cuda'))\n"
        "    weight.grad = torch.full((5,), 1.0 + processes.index, device='cuda')\n"
        "    assert processes._sums is not None\n"
        "    processes.exchange(None)\n"
        "    processes.add_gradients([weight], [], [])\n"
        "    assert weight.grad.tolist() == [3.0] * 5\n"
    )
    words = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1", str(script)]
    subprocess.run([sys.executable, *words], check=True, timeout=300)
