"""Output error of a quantized model: the relative error of its hidden states, and that of rounding to nearest.

Both models are compared on the same batches, in the same dtype and with the same adapters attached, so that the error comes
from quantizing alone. Rounding to nearest at the same bits, group size and symmetry is the baseline for calibrated methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api.quantizer import Quantizer
from bench.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    Batch = Mapping[str, Tensor]
    States = Callable[[Batch], Tensor]


def relative_error(reference: States, other: States, batches: Iterable[Batch]) -> float:
    """The relative error ‖other − reference‖ / ‖reference‖ over all positions that the mask marks.

    Args:
        reference: gives the unquantized model's hidden states (batch, seq, hidden) for a batch.
        other: the same for the quantized model.
        batches: each holds ``attention_mask`` (batch, seq) and what the two callables read.

    Returns:
        One number over all batches; at 1 the error is as large as the states.

    Raises:
        UsageError: there is no batch, or no marked position.
    """
    return relative_errors(reference, {"other": other}, batches)["other"]


def relative_errors(reference: States, others: Mapping[str, States], batches: Iterable[Batch]) -> dict[str, float]:
    """`relative_error` of several models; the reference computes each batch only once.

    Args:
        reference: as in `relative_error`.
        others: name to a quantized model.
        batches: as in `relative_error`.

    Raises:
        UsageError: there is no batch, or no marked position.
    """
    import torch

    size, wrong = 0.0, dict.fromkeys(others, 0.0)
    with torch.no_grad():
        for batch in batches:
            mask = batch["attention_mask"].bool()
            expected = reference(batch)[mask].double()
            size += float(expected.square().sum())
            for name, states in others.items():
                wrong[name] += float((states(batch)[mask].double() - expected).square().sum())
    if not size > 0:
        raise UsageError("The output error cannot be measured: no dev batch has a marked position.")
    return {name: float((total / size) ** 0.5) for name, total in wrong.items()}


def floor_backbone(source: Path, quantizer: Quantizer, dtype: torch.dtype, device: str) -> nn.Module | None:
    """The backbone rounded to nearest at a quantizer's bits, group size and symmetry; None above 8 bits.

    Args:
        source: folder of the unquantized base model.
        quantizer: gives nominal bits, group size and symmetry.
        dtype: of the weights; that of the run, so that both models are compared in the same one.
        device: ``cpu`` or ``cuda``.
    """
    if quantizer.bits > 8:
        return None
    from bench.modeling.backbone import from_state, read_state
    from bench.modeling.packed import dense_gptq, round_to_nearest
    from bench.modeling.spec import backbone_prefix, inspect

    state = read_state(source)
    prefix, bits = backbone_prefix(state), int(quantizer.bits)
    for linear in inspect(source).linears:
        name = f"{prefix}{linear.name}.weight"
        rounded = round_to_nearest(state[name], bits, quantizer.group_size, quantizer.sym)
        state[name] = dense_gptq(rounded, bits, quantizer.group_size)
    return from_state(source, state, dtype).to(device)
