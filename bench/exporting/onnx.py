"""An exported model as ONNX graphs, by torch's own exporter: the base model, and the head's scores where one pass gives them.

optimum's exporter for ONNX wants transformers below 5, so it is not used.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.exporting import runtime
from bench.exporting.parity import difference
from bench.heads.lazy import Module, torch

if TYPE_CHECKING:
    from torch import Tensor

    from bench.api.head import HeadModule

HEAD = "head.onnx"
AXES: Mapping[str, Sequence[str | None]] = {
    "input_ids": ("batch", "tokens"), "attention_mask": ("batch", "tokens"), "hidden_states": ("batch", "tokens", None),
    "first": ("batch", "words"), "last": ("batch", "words"), "word_mask": ("batch", "words"), "passage": ("batch",),
    "places": ("batch", "mentions", None), "mentions": ("batch", "mentions", None), "pairs": ("pairs", None),
    "members": ("concepts", "together"),
}  # fmt: skip
"""The axes of every tensor of a batch that the graphs know; those with a name may be of any length."""
OPSET = 18
MOST = 1_500_000_000
"""Bytes of weights in one file; ONNX itself ends at 2 GB."""
TOLERANCE = 1e-3
"""Of onnxruntime against torch, relative to the largest number, in fp32."""
_SHAPES = ((1, 5), (3, 17), (2, 64))
"""Batch and tokens that the graphs are tried with."""


class States(Module):
    """A backbone as a function of two tensors."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Hidden states of the last layer, (batch, seq, hidden)."""
        states: Tensor = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states


class Scores(Module):
    """A head's logits as a function of hidden states and the tensors of a batch that it reads.

    Args:
        head: the head's module.
        names: of these tensors, in the order of the arguments behind the hidden states.
    """

    def __init__(self, head: HeadModule, names: Sequence[str]) -> None:
        super().__init__()
        self.head, self.names = head, tuple(names)

    def forward(self, hidden_states: Tensor, *tensors: Tensor) -> Tensor:
        """The logits."""
        scores = self.head.logits(hidden_states, dict(zip(self.names, tensors, strict=True)))
        assert scores is not None
        return scores


class _Read(dict[str, Any]):
    """A batch that remembers what was read of it."""

    def __init__(self, batch: Mapping[str, Any]) -> None:
        super().__init__(batch)
        self.names: dict[str, None] = {}

    def __getitem__(self, name: str) -> Any:
        self.names[name] = None
        return super().__getitem__(name)


def write_graphs(
    backbone: Any, head: HeadModule, folder: Path, vocabulary: int, batches: Sequence[Mapping[str, Tensor]]
) -> bool:
    """Writes ``model.onnx``, and ``head.onnx`` where the head's logits need nothing but known tensors; whether it did.

    Args:
        backbone: in fp32, on the CPU.
        head: on the CPU.
        folder: that they go to.
        vocabulary: token ids that the base model has.
        batches: of texts, as ``modeling.py`` makes them, of different shapes; in the first every axis is longer than 1.

    Raises:
        BenchError: torch cannot write the base model as a graph, or onnxruntime computes something else.
    """
    states, batch = States(backbone).eval(), batches[0]
    example = (batch["input_ids"], batch["attention_mask"])
    _write(states, example, ("input_ids", "attention_mask"), "hidden_states", folder / runtime.ONNX)
    for rows, tokens in _SHAPES:
        generator = torch.Generator().manual_seed(rows)
        ids = torch.randint(vocabulary, (rows, tokens), generator=generator)
        mask = torch.ones_like(ids)
        mask[-1, (tokens + 1) // 2 :] = rows == 1
        _hold(states, (ids, mask), ("input_ids", "attention_mask"), folder / runtime.ONNX, mask.bool())
    with torch.no_grad():
        hidden = states(*example)
        read = _Read(batch)
        if head.logits(hidden, read) is None or not set(read.names) <= set(AXES):
            return False
    scores, names = Scores(head, tuple(read.names)).eval(), ("hidden_states", *read.names)
    for number, batch in enumerate(batches):
        with torch.no_grad():
            hidden = states(batch["input_ids"], batch["attention_mask"])
        inputs = (hidden, *(batch[name] for name in read.names))
        if number == 0:
            _write(scores, inputs, names, "logits", folder / HEAD)
        _hold(scores, inputs, names, folder / HEAD)
    return True


def _write(module: Any, example: Sequence[Tensor], names: Sequence[str], output: str, path: Path) -> None:
    dynamic = {axis: torch.export.Dim.DYNAMIC for axes in AXES.values() for axis in axes if axis is not None}
    each = [{at: dynamic[axis] for at, axis in enumerate(AXES[name]) if axis is not None} for name in names]
    shapes = (each[0], tuple(each[1:])) if isinstance(module, Scores) else tuple(each)
    try:
        with _quiet(), torch.no_grad():
            torch.onnx.export(
                module, tuple(example), path, input_names=list(names), output_names=[output], dynamic_shapes=shapes,
                dynamo=True, external_data=_large(module), opset_version=OPSET, verbose=False,
            )  # fmt: skip
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise BenchError(
            f"torch cannot write this model as ONNX ({type(error).__name__}: {reason}); nothing was written.", "Take --merge."
        ) from error


def _hold(module: Any, inputs: Sequence[Tensor], names: Sequence[str], path: Path, seen: Tensor | None = None) -> None:
    """Holds onnxruntime's output against torch's; of hidden states at the tokens that are marked."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    fed = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
    got = torch.from_numpy(session.run(None, {i.name: fed[i.name] for i in session.get_inputs()})[0])
    with torch.no_grad():
        wanted = module(*inputs)
    if seen is not None:
        got, wanted = got[seen], wanted[seen]
    apart = difference([(wanted, got)])
    if not apart <= TOLERANCE:
        shape = " x ".join(map(str, inputs[0].shape))
        raise BenchError(
            f"onnxruntime computes something else than torch for inputs of {shape}: the relative difference is {apart:.1e}. "
            "Nothing was written.",
            "Take --merge.",
        )


def _large(module: Any) -> bool:
    """Whether the weights are written beside the graph, in ``*.data``."""
    size: int = sum(p.numel() * p.element_size() for p in module.parameters())
    return size > MOST


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the exporter's messages off the console."""
    import logging

    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
