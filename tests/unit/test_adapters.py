"""The adapted model on tiny random backbones: routing, start, saving and loading."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

from bench_plugins.architectures import Fused, PrivateOnly, SharedAndPrivate, SharedOnly, bench_architectures  # noqa: E402
from bench_plugins.architectures.variants import Dora, RankStabilised  # noqa: E402

from bench.adapters.attach import Attention, attention_on, without_flash  # noqa: E402
from bench.adapters.model import AdaptedModel, fusion_parameters  # noqa: E402
from bench.adapters.ranks import solve_ranks  # noqa: E402
from bench.api.architecture import Adapter, Architecture  # noqa: E402
from bench.api.model import LinearShape  # noqa: E402
from bench.errors import RunStateError, UsageError  # noqa: E402
from bench.evaluation.replicas import copied, side_by_side  # noqa: E402
from bench.training.model import TaskModel  # noqa: E402

TASKS = ["a", "b"]
WIDTH = 32


def bert(layers: int = 2) -> torch.nn.Module:
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=WIDTH, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=48
    )
    return transformers.BertModel(config, add_pooling_layer=False).eval()


def llama() -> torch.nn.Module:
    config = transformers.LlamaConfig(
        vocab_size=50,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=48,
    )
    return transformers.LlamaModel(config).eval()


BACKBONES = pytest.mark.parametrize("make", [bert, llama])
LORA = [one for one in bench_architectures() if isinstance(one, Architecture)]
ARMS = pytest.mark.parametrize("architecture", LORA, ids=lambda a: a.name)


def linears(backbone: torch.nn.Module) -> tuple[LinearShape, ...]:
    return tuple(
        LinearShape(name, one.in_features, one.out_features)
        for name, one in backbone.named_modules()
        if isinstance(one, torch.nn.Linear)
    )


def adapted(
    architecture: Architecture,
    make: Callable[[], torch.nn.Module] = bert,
    rank: int = 16,
    tasks: Sequence[str] = TASKS,
    seed: int = 0,
) -> AdaptedModel:
    """The arm on a backbone that is the same for every call, with B at its start of zero."""
    torch.manual_seed(11)
    backbone = make()
    plan = solve_ranks(architecture, tasks, linears(backbone), rank, fusion_parameters(architecture, WIDTH))
    torch.manual_seed(seed)
    return AdaptedModel(backbone, architecture, tasks, plan, base_name="tiny").eval()


def trained(*arguments: object, **named: object) -> AdaptedModel:
    """As `adapted`, with every B and the gate away from zero."""
    model = adapted(*arguments, **named)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, tensor in model.state().items():
            if name.endswith(".B") or name == "fusion.outer.weight":
                tensor.normal_(0, 0.3, generator=generator)
    return model


IDS = torch.tensor([[2, 7, 9, 4, 3], [2, 8, 3, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


@BACKBONES
@ARMS
def test_adapters_and_fusion_are_trainable_and_nothing_else(
    architecture: Architecture, make: Callable[[], torch.nn.Module]
) -> None:
    model = adapted(architecture, make)
    free = {id(p): p.numel() for p in model.parameters() if p.requires_grad}
    assert sum(free.values()) == model.plan.total
    assert free.keys() == {id(p) for parts in model.components().values() for p in parts}
    assert {name: sum(p.numel() for p in parts) for name, parts in model.components().items() if name != "fusion"} == {
        name: ranks.parameters for name, ranks in model.plan.adapters.items()
    }
    assert {task: sum(p.numel() for p in model.trainable(task).values()) for task in TASKS} == dict(model.plan.active)


@BACKBONES
@ARMS
def test_untrained_adapters_change_nothing(architecture: Architecture, make: Callable[[], torch.nn.Module]) -> None:
    torch.manual_seed(11)
    plain = make()
    model = adapted(architecture, make)
    with torch.no_grad():
        want = plain(input_ids=IDS, attention_mask=MASK).last_hidden_state
        if architecture.name == "A4-gated":  # h + h / 2: the gate is half open, and both passes are the same
            want = 1.5 * want
        for task in TASKS:
            assert torch.allclose(model(task, IDS, MASK), want, atol=1e-6)


def test_attention_is_the_fused_one_where_no_gradient_is_needed_and_both_give_the_same_states() -> None:
    model = TaskModel(trained(SharedOnly()), {})
    assert (model.attention.training, model.attention.evaluation) == ("eager", "sdpa")
    seen: list[str] = []
    model.adapted.backbone.register_forward_pre_hook(lambda module, _: seen.append(module.config._attn_implementation))
    batch = {"input_ids": IDS, "attention_mask": MASK}
    with torch.no_grad():
        fused = model.hidden("a", batch)
    eager = model.hidden("a", batch)
    assert seen == ["sdpa", "eager"]
    assert not fused.requires_grad
    assert eager.requires_grad
    assert torch.allclose(fused[MASK.bool()], eager[MASK.bool()], atol=1e-5)


@BACKBONES
def test_a_named_implementation_of_attention_is_used_in_every_pass(make: Callable[[], torch.nn.Module]) -> None:
    losses = {}
    for name in ("eager", "sdpa"):
        model = TaskModel(trained(SharedOnly(), make), {}, name)
        seen: list[str] = []
        model.adapted.backbone.register_forward_pre_hook(
            lambda module, _, seen=seen: seen.append(module.config._attn_implementation)
        )
        with torch.no_grad():
            model.hidden("a", {"input_ids": IDS, "attention_mask": MASK})
        losses[name] = model.hidden("a", {"input_ids": IDS, "attention_mask": MASK})[MASK.bool()].square().mean()
        losses[name].backward()
        assert seen == [name, name]
        assert (model.attention.training, model.attention.evaluation) == (name, name)
    assert losses["eager"].item() == pytest.approx(losses["sdpa"].item(), rel=1e-5)


def test_a_model_keeps_its_attention_where_it_has_no_other() -> None:
    config = transformers.DebertaV2Config(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    assert Attention(transformers.DebertaV2Model(config), "sdpa").training == "eager"
    other: Any = llama()
    other._compatible_flash_implementations = ["kernels-community/vllm-flash-attn3"]
    assert Attention(other, "flash").training == "sdpa"  # no kernel is downloaded in its place


@pytest.mark.parametrize(
    ("device", "precision", "says"),
    [("cpu", "bf16", "CUDA cards alone; the device is cpu"), ("cuda:1", "fp32", "16 bits; the precision is fp32"),
     ("cuda", "bf16", "package flash-attn")],
)  # fmt: skip
def test_what_flash_attention_lacks_here(device: str, precision: str, says: str) -> None:
    if find_spec("flash_attn") and precision == "bf16":
        pytest.skip("flash-attn is installed")
    reason = without_flash(device, precision)
    assert reason is not None
    assert says in reason.message
    assert "sdpa" in str(reason)
    assert attention_on("flash", device, precision) == "auto"
    assert attention_on("sdpa", device, precision) == "sdpa"


@ARMS
def test_a_batch_gives_gradients_to_its_own_task_only_and_never_flips_requires_grad(architecture: Architecture) -> None:
    model = trained(architecture)
    before = {name: p.requires_grad for name, p in model.named_parameters()}
    model("a", IDS, MASK).square().sum().backward()
    model("b", IDS, MASK)
    assert {name: p.requires_grad for name, p in model.named_parameters()} == before
    mine = model.trainable("a")
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in mine.values())
    others = {name: p for name, p in model.trainable("b").items() if name not in mine}
    assert all(p.grad is None for p in others.values())
    assert bool(others) == any(adapter.role == "private" for adapter in architecture.adapters(TASKS))


@pytest.mark.parametrize("name", ["encoder.layer.0.attention.self.query", "encoder.layer.1.output.dense"])
def test_the_deltas_of_shared_and_private_add_up(name: str) -> None:
    model = trained(SharedAndPrivate())
    layer = model.backbone.get_submodule(name)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    hook = layer.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    with torch.no_grad():
        model("b", IDS, MASK)
    hook.remove()
    (x, out), state = seen[0], model.state()
    delta = sum(
        x @ state[f"adapter.{adapter}.{name}.A"].T @ state[f"adapter.{adapter}.{name}.B"].T * 2
        for adapter in ("shared", "private-b")
    )
    assert delta.abs().max() > 0.1
    assert torch.allclose(out, layer.base_layer(x) + delta, atol=1e-5)


def test_each_task_takes_its_own_private_adapter() -> None:
    model = trained(PrivateOnly())
    with torch.no_grad():
        a, b = model("a", IDS, MASK), model("b", IDS, MASK)
        assert not torch.allclose(a, b, atol=1e-3)
        assert torch.equal(model("a", IDS, MASK), a)
        for name, tensor in model.state().items():
            if name.startswith("adapter.private-b."):
                tensor.zero_()
        assert torch.equal(model("a", IDS, MASK), a)
        assert not torch.allclose(model("b", IDS, MASK), b, atol=1e-3)


def test_fusion_weighs_every_token_by_attention_over_the_passes() -> None:
    model = trained(Fused())
    assert [model.passes(task) for task in TASKS] == [2, 2]
    passes: list[torch.Tensor] = []
    hook = model.backbone.register_forward_hook(lambda _m, _i, out: passes.append(out.last_hidden_state))
    with torch.no_grad():
        out = model("a", IDS, MASK)
    hook.remove()
    shared, private = passes
    assert not torch.allclose(shared, private, atol=1e-3)
    weights = model.fusion.weights(passes)
    assert weights.shape == (2, 5, 2)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 5))
    assert weights.std() > 0
    query = shared[1, 2] @ model.fusion.query.weight.T
    scores = torch.stack([query @ (state[1, 2] @ model.fusion.key.weight.T) / 8 for state in passes])
    by_hand = (scores.softmax(0)[:, None] * torch.stack([shared[1, 2], private[1, 2]])).sum(0)
    assert torch.allclose(out[1, 2], by_hand, atol=1e-5)
    assert sum(p.numel() for p in model.fusion.parameters()) == 2 * WIDTH * 64


def test_a_hook_on_the_backbone_sees_the_mask_of_every_pass() -> None:
    model = adapted(Fused())
    seen: list[int] = []
    model.backbone.register_forward_pre_hook(
        lambda _m, _a, named: seen.append(int(named["attention_mask"].sum())), with_kwargs=True
    )
    with torch.no_grad():
        model("a", IDS, MASK)
    assert seen == [8, 8]


def test_every_arm_starts_alike() -> None:
    drawn, shared = [], {}
    for architecture in LORA:
        model = adapted(architecture, seed=5)
        drawn.append(torch.rand(3))
        shared[architecture.name] = {
            n: t for n, t in model.state().items() if n.startswith("adapter.shared.") and n.endswith(".A")
        }
    assert all(torch.equal(one, drawn[0]) for one in drawn)
    for name, tensor in shared["A3"].items():
        rows = min(len(tensor), len(shared["A1"][name]))
        assert torch.equal(tensor[:rows], shared["A1"][name][:rows])
    other = adapted(SharedOnly(), seed=6).state()
    assert not any(torch.equal(tensor, other[name]) for name, tensor in shared["A1"].items())
    first = next(iter(shared["A1"].values()))
    assert 0.9 / WIDTH**0.5 < first.abs().max() <= 1 / WIDTH**0.5


@BACKBONES
@pytest.mark.parametrize("architecture", [SharedOnly(), PrivateOnly(), Dora(), RankStabilised()], ids=lambda a: a.name)
@pytest.mark.parametrize("rank", [5, 16])
def test_peft_alone_loads_what_was_saved(
    architecture: Architecture, make: Callable[[], torch.nn.Module], rank: int, tmp_path: Path
) -> None:
    model = trained(architecture, make, rank)
    mixed = architecture.name == "A1-dora" or (rank == 5 and architecture.name == "A2")
    assert bool(next(iter(model.plan.adapters.values())).pattern) == mixed
    model.save(tmp_path)
    for task, (names,) in ((task, architecture.passes(task)) for task in TASKS):
        torch.manual_seed(11)
        alone = peft.PeftModel.from_pretrained(make(), tmp_path / names[0]).eval()
        with torch.no_grad():
            want = alone(input_ids=IDS, attention_mask=MASK).last_hidden_state
            found = model(task, IDS, MASK)
            # a scale that is no power of two is rounded where PEFT multiplies by it, and here in the sum
            exact = not architecture.variant.rslora
            assert torch.equal(found, want) if exact else torch.allclose(found, want, atol=1e-5)


def test_patterns_reach_layer_1_and_not_11(tmp_path: Path) -> None:
    model = trained(PrivateOnly(), lambda: bert(12), 5)
    ranks = model.plan.adapters["private-a"]
    assert ranks.pattern
    model.save(tmp_path)
    alone = peft.PeftModel.from_pretrained(bert(12), tmp_path / "private-a")
    for linear, rank in ranks.ranks:
        layer = alone.base_model.model.get_submodule(linear.name)
        assert (layer.r["default"], layer.scaling["default"]) == (rank, 2.0)


def test_the_pooler_gets_no_adapter() -> None:
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48
    )
    backbone = transformers.BertModel(config)
    wanted = tuple(one for one in linears(backbone) if "pooler" not in one.name)
    model = AdaptedModel(backbone, SharedOnly(), TASKS, solve_ranks(SharedOnly(), TASKS, wanted, 4))
    assert type(model.backbone.pooler.dense) is torch.nn.Linear
    assert not model.backbone.pooler.dense.weight.requires_grad
    assert len(model.components()["shared"]) == 2 * 6


@ARMS
def test_save_and_load_are_exact(architecture: Architecture, tmp_path: Path) -> None:
    model = trained(architecture)
    model.save(tmp_path)
    fresh = adapted(architecture, seed=99)
    fresh.load(tmp_path)
    assert all(torch.equal(tensor, fresh.state()[name]) for name, tensor in model.state().items())
    with torch.no_grad():
        assert torch.equal(model("b", IDS, MASK), fresh("b", IDS, MASK))
    assert (tmp_path / "fusion.safetensors").exists() == (architecture.fusion(WIDTH) is not None)


def test_no_path_of_this_machine_is_saved(tmp_path: Path) -> None:
    backbone = bert()
    backbone.name_or_path = backbone.config._name_or_path = "/home/someone/models/tiny"
    plan = solve_ranks(SharedOnly(), TASKS, linears(backbone), 4)
    AdaptedModel(backbone, SharedOnly(), TASKS, plan, base_name="/home/someone/models/tiny").save(tmp_path / "path")
    AdaptedModel(bert(), SharedOnly(), TASKS, plan).save(tmp_path / "none")
    assert json.loads((tmp_path / "path" / "shared" / "adapter_config.json").read_text())["base_model_name_or_path"] == "tiny"
    assert not any("someone" in p.read_text() for p in tmp_path.rglob("*.json"))


def test_a_state_that_is_not_this_models_is_refused_whole(tmp_path: Path) -> None:
    model = trained(Fused())
    state = {name: tensor.clone() for name, tensor in model.state().items()}
    first = next(iter(state))
    for broken, said in (
        ({n: t for n, t in state.items() if n != first}, f"lacks 1 of {len(state)} trainable tensors, such as {first!r}"),
        (state | {"fusion.extra": torch.zeros(1)}, "has 1 tensor that this model does not, such as 'fusion.extra'"),
        (state | {first: torch.zeros(1, 1)}, r"is stored as \(1, 1\); this model has"),
    ):
        fresh = adapted(Fused(), seed=1)
        before = {name: tensor.clone() for name, tensor in fresh.state().items()}
        with pytest.raises(RunStateError, match=said):
            fresh.load_state(broken)
        assert all(torch.equal(tensor, fresh.state()[name]) for name, tensor in before.items())
    model.save(tmp_path)
    with pytest.raises(RunStateError, match=r"Adapter weights private-a/adapter_model\.safetensors are not there"):
        adapted(PrivateOnly()).load(tmp_path / "nowhere")
    (tmp_path / "shared" / "adapter_model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0garbage")
    with pytest.raises(RunStateError, match=r"shared/adapter_model\.safetensors cannot be read"):
        adapted(Fused()).load(tmp_path)


def test_adapters_stay_in_fp32_on_a_bf16_backbone() -> None:
    model = adapted(Fused(), lambda: bert().to(torch.bfloat16))
    assert {t.dtype for t in model.state().values()} == {torch.float32}
    out = model("a", IDS, MASK)
    assert out.dtype == torch.bfloat16
    out.float().square().sum().backward()
    assert all(p.grad is not None for p in model.trainable("a").values())


def test_a_copy_routes_and_trains_on_its_own() -> None:
    model = trained(SharedAndPrivate())
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for tensor in twin.state().values():
            tensor.zero_()
        assert not torch.allclose(model("a", IDS, MASK), twin("a", IDS, MASK), atol=1e-3)
    assert {id(p) for p in twin.trainable("a").values()} <= {id(p) for p in twin.parameters()}


@ARMS
def test_batches_side_by_side_give_the_states_of_one_after_the_other(architecture: Architecture) -> None:
    model = trained(architecture)
    batches = [torch.randint(1, 50, (3, 4 + n)) for n in range(12)]
    threads = torch.get_num_threads()
    assert copied(model) is not None

    def work(used: AdaptedModel, ids: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            out: torch.Tensor = used("ab"[ids.shape[1] % 2], ids, torch.ones_like(ids))
        return out

    torch.set_num_threads(2)
    try:
        beside = [states for _, states in side_by_side(model, "cpu", work, batches)]
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(states, work(model, ids)) for states, ids in zip(beside, batches, strict=True))


@pytest.mark.parametrize("kind", ["Linear8bitLt", "Linear4bit"])
def test_bitsandbytes_layers_get_adapters_of_their_kind(kind: str) -> None:
    bnb = pytest.importorskip("bitsandbytes")
    torch.manual_seed(0)
    backbone = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=50, hidden_size=64, num_hidden_layers=1, num_attention_heads=2, intermediate_size=128
        ),
        add_pooling_layer=False,
    )
    wanted = linears(backbone)
    for linear in wanted:
        old = backbone.get_submodule(linear.name)
        named = {"has_fp16_weights": False} if kind == "Linear8bitLt" else {"quant_type": "nf4", "compute_dtype": torch.float32}
        new = getattr(bnb.nn, kind)(linear.inputs, linear.outputs, **named)
        new.load_state_dict({"weight": old.weight.data, "bias": old.bias.data})
        parent, _, child = linear.name.rpartition(".")
        setattr(backbone.get_submodule(parent), child, new)
    backbone = backbone.to("cpu")
    for module in backbone.modules():
        if isinstance(module, bnb.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False
    model = AdaptedModel(backbone, SharedAndPrivate(), TASKS, solve_ranks(SharedAndPrivate(), TASKS, wanted, 4))
    assert type(model.backbone.get_submodule(wanted[0].name)).__module__ == "peft.tuners.lora.bnb"
    optimizer = torch.optim.SGD(model.trainable("a").values(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model("a", IDS, MASK).square().sum().backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.trainable("a").values())
    assert {t.dtype for t in model.state().values()} == {torch.float32}


class Custom(Architecture):
    name, version, summary = "custom", "1", "for tests"

    def __init__(self, passes: tuple[tuple[str, ...], ...], fusion: Callable[[int], torch.nn.Module | None]) -> None:
        self._passes, self._fusion = passes, fusion

    def adapters(self, tasks: Sequence[str]) -> tuple[Adapter, ...]:
        return tuple(Adapter(name, "shared") for name in dict.fromkeys(n for one in self._passes for n in one))

    def passes(self, task: str) -> tuple[tuple[str, ...], ...]:
        return self._passes

    def fusion(self, hidden_size: int) -> torch.nn.Module | None:
        return self._fusion(hidden_size)


@pytest.mark.parametrize(
    ("architecture", "said"),
    [
        (Custom((("s",), ("t",)), lambda _: None), "several passes and no fusion"),
        (Custom((("s",),), lambda width: torch.nn.Linear(width, width)), "a fusion that no task uses"),
        (Custom((("s",), ("t",)), lambda width: torch.nn.Linear(width, width).requires_grad_(False)), "a frozen parameter"),
    ],
)
def test_passes_and_fusion_have_to_agree(architecture: Architecture, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        adapted(architecture)


def test_gptq_layers_get_adapters_through_which_gradients_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gptqmodel")
    pytest.importorskip("optimum")
    from peft.import_utils import is_gptqmodel_available

    is_gptqmodel_available.cache_clear()
    with monkeypatch.context() as hidden:
        hidden.setitem(sys.modules, "gptqmodel", None)  # type: ignore[arg-type]
        assert not is_gptqmodel_available()  # which peft remembers: what a run imports first leaves it like that
    monkeypatch.setattr("torch.compile", lambda function, **_: function)  # gptqmodel compiles its unpacking, half a minute here
    from gptqmodel.nn_modules.qlinear.torch import TorchLinear

    torch.manual_seed(0)
    backbone = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=50, hidden_size=64, num_hidden_layers=1, num_attention_heads=2, intermediate_size=128
        ),
        add_pooling_layer=False,
    ).to(torch.bfloat16)
    wanted = linears(backbone)
    for linear in wanted:
        new = TorchLinear(
            bits=4, group_size=32, sym=True, desc_act=False, in_features=linear.inputs, out_features=linear.outputs, bias=True
        )
        new.qweight.random_(-(2**31), 2**31 - 1)
        new.qzeros.fill_(0x77777777)
        new.scales.fill_(0.01)
        new.post_init()
        parent, _, child = linear.name.rpartition(".")
        setattr(backbone.get_submodule(parent), child, new)
    model = AdaptedModel(backbone, SharedAndPrivate(), TASKS, solve_ranks(SharedAndPrivate(), TASKS, wanted, 4)).eval()
    assert type(model.backbone.get_submodule(wanted[0].name)).__name__ == "GPTQLoraLinear"
    assert {t.dtype for t in model.state().values()} == {torch.float32}
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == model.plan.total
    optimizer = torch.optim.SGD(model.trainable("a").values(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model("a", IDS, MASK).float().square().sum().backward()
        optimizer.step()
        with torch.no_grad():
            model("a", IDS, MASK)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.trainable("a").values())
    assert all(p.grad is None for name, p in model.trainable("b").items() if name not in model.trainable("a"))
