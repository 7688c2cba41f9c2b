"""What keeps a wrong exported folder from appearing: each guard refuses what it is there for."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from bench.errors import BenchError, UsageError  # noqa: E402
from bench.exporting import parity  # noqa: E402
from bench.exporting.parity import BOUNDS, Outputs, compared  # noqa: E402

CANARY = "Zyxqanary"


def outputs() -> Outputs:
    """Two windows of three tokens, the last one padding; logits of them; twenty mentions."""
    mentions = [{"fragments": [[n, n + 1]], "label": "A", "confidence": 0.5} for n in range(20)]
    tensors = {
        "seen.0": torch.tensor([[True, True, False]] * 2),
        "hidden_states.0": torch.linspace(-2, 2, 24).reshape(2, 3, 4),
        "logits.0": torch.linspace(-4, 4, 6).reshape(2, 3),
    }
    return tensors, [{"id": "0", "mentions": mentions}]


def moved(change: Callable[[Any, Any], None]) -> Outputs:
    tensors, found = deepcopy(outputs())
    change(tensors, found)
    return tensors, found


def test_equal_outputs_differ_by_nothing_and_padding_does_not_count() -> None:
    def change(tensors: Any, found: Any) -> None:
        tensors["hidden_states.0"][:, 2] = 99
        found[0]["mentions"][3]["confidence"] = 0.75

    held = compared(outputs(), moved(change), "float32")
    assert (held.hidden, held.logits, held.predictions, held.equal, held.moved) == (0, 0, 20, 20, 0.25)


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("name", ["hidden_states.0", "logits.0"])
def test_numbers_may_differ_by_rounding_and_no_more(name: str, dtype: str) -> None:
    largest = float(outputs()[0][name].abs().max())

    def shifted(share: float) -> Callable[[Any, Any], None]:
        def change(tensors: Any, found: Any) -> None:
            tensors[name][0, 0, ...] += share * BOUNDS[dtype] * largest

        return change

    compared(outputs(), moved(shifted(0.9)), dtype)
    with pytest.raises(BenchError, match="does not give what the run's model gives"):
        compared(outputs(), moved(shifted(1.1)), dtype)
    assert BOUNDS[dtype] <= (1e-4 if dtype == "float32" else 0.1)


def _nan(tensors: Any, found: Any) -> None:
    tensors["hidden_states.0"][0, 0, 0] = float("nan")


def _shape(tensors: Any, found: Any) -> None:
    tensors["logits.0"] = tensors["logits.0"][:, :2]


def _others(tensors: Any, found: Any) -> None:
    for mention in found[0]["mentions"][:3]:
        mention["label"] = "B"


def _fewer(tensors: Any, found: Any) -> None:
    del found[0]["mentions"][:3]


@pytest.mark.parametrize("change", [_nan, _shape, _others, _fewer])
def test_what_is_no_number_has_another_shape_or_says_something_else_is_refused(change: Callable[[Any, Any], None]) -> None:
    with pytest.raises(BenchError, match="does not give what the run's model gives"):
        compared(outputs(), moved(change), "float32")


MODELING = """
import torch
class Model:
    def batches(self, texts):
        yield None, {}
    def __call__(self, batch):
        return {"hidden_states": torch.ones(1), "logits": None}
    def predict(self, texts, everything):
        return [{"id": text["id"]} for text in texts]
def load(folder, base):
    return Model()
"""


@pytest.mark.parametrize("line", ["", "import bench", "from bench_tasks import chemprot", "import bench_plugins.models"])
def test_a_folder_that_needs_bench_cannot_be_loaded(line: str, tmp_path: Path) -> None:
    (tmp_path / "modeling.py").write_text(f"{line}\n{MODELING}")
    texts = [{"id": "0", "text": CANARY}]
    if not line:
        tensors, found = parity.of_folder(tmp_path, texts, None)
        assert (list(tensors), found) == (["hidden_states.0"], [{"id": "0"}])
        return
    with pytest.raises(BenchError, match="cannot be loaded without bench") as refused:
        parity.of_folder(tmp_path, texts, None)
    assert CANARY not in str(refused.value)
    assert "report this" in str(refused.value.hint)


def test_onnxruntime_is_held_against_torch(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from bench.exporting.onnx import TOLERANCE, _hold

    places = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n"]) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", places[:1], places[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "g.onnx")
    inputs, seen = [torch.tensor([1.0, 2.0])], torch.tensor([True, False])
    _hold(lambda x: x, inputs, ["x"], tmp_path / "g.onnx")
    _hold(lambda x: x * torch.tensor([1, 5]), inputs, ["x"], tmp_path / "g.onnx", seen)  # what is not marked does not count
    assert TOLERANCE <= 1e-3
    with pytest.raises(BenchError, match="onnxruntime computes something else than torch for inputs of 2"):
        _hold(lambda x: x * (1 + 2 * TOLERANCE), inputs, ["x"], tmp_path / "g.onnx")


def test_an_adapter_is_not_merged_into_weights_that_are_no_floats() -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("peft")
    from bench_plugins.architectures import SharedOnly

    from bench.adapters.model import AdaptedModel
    from bench.adapters.ranks import solve_ranks
    from bench.api.model import LinearShape
    from bench.exporting.weights import merged

    class Packed(torch.nn.Linear):  # type: ignore[misc]
        """Stands for a layer of bitsandbytes, which is a subclass as well."""

    config = transformers.BertConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48
    )

    def adapted(packed: bool) -> Any:
        backbone = transformers.BertModel(config, add_pooling_layer=False)
        shapes = tuple(
            LinearShape(n, m.in_features, m.out_features) for n, m in backbone.named_modules() if isinstance(m, torch.nn.Linear)
        )
        if packed:
            backbone.encoder.layer[0].output.dense.__class__ = Packed
        return AdaptedModel(backbone, SharedOnly(), ["a"], solve_ranks(SharedOnly(), ["a"], shapes, 4))

    assert type(merged(adapted(packed=False), "a")).__name__ == "BertModel"
    with pytest.raises(UsageError, match=r"quantized weights \(Packed\)") as refused:
        merged(adapted(packed=True), "a")
    assert "--peft" in str(refused.value.hint)


def test_texts_come_with_what_the_head_is_given() -> None:
    from bench.exporting.code import example
    from bench.exporting.runtime import ExportedModel, document
    from bench.heads.bio import TokenClassificationHead
    from bench.heads.pairs import ConceptPairHead, ConceptPairs
    from bench.heads.ranking import SequenceRankingHead

    pairs = ConceptPairHead()
    pairs.pairs = ConceptPairs(("CID",), ("Chemical", "Disease"), ((0, 1),), 9, 0, 1, (1,))
    told = [json.loads(example(head)) for head in (TokenClassificationHead(), pairs, SequenceRankingHead())]
    assert isinstance(told[0], str)
    assert [(m["label"], m["concept"]) for m in told[1]["mentions"]] == [("Chemical", "C0"), ("Disease", "C1")]
    assert set(told[2]) == {"query", "passages"}
    assert [m.concept for m in document(told[1]).mentions] == ["C0", "C1"]
    facts = {"task": "cid", "thresholds": {}, "prepare": None}
    for head, texts, what in ((pairs, [CANARY], "mentions"), (SequenceRankingHead(), [told[2], {"query": CANARY}], "passages")):
        model = ExportedModel(facts, None, None, head, None, "cpu")  # type: ignore[arg-type]
        with pytest.raises(
            ValueError, match=f"Task cid reads texts with their {what}; text {len(texts) - 1} has none"
        ) as refused:
            model.predict(texts)
        assert CANARY not in str(refused.value)
