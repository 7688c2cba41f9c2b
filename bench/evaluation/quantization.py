"""What quantizing does to a model's output: the relative error of its hidden states, beside that of rounding to nearest.

Both models are compared on the same batches, in the same dtype and with the same adapters attached, so that nothing counts as
error but the quantizing itself. Round to nearest at the same bits, group size and symmetry is the floor that a calibrated
method must beat.
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
    """The relative error ‖other − reference‖ / ‖reference‖ over every position that the mask marks.

    Args:
        reference: gives the unquantized model's hidden states, (batch, seq, hidden), for a batch.
        other: the same for the quantized model.
        batches: each holds ``attention_mask`` of (batch, seq) and whatever the two callables read.

    Returns:
        One number over all batches together; 0 is no error, 1 is as large as the states themselves.

    Raises:
        UsageError: no batch, or no position that is marked.
    """
    return relative_errors(reference, {"other": other}, batches)["other"]


def relative_errors(reference: States, others: Mapping[str, States], batches: Iterable[Batch]) -> dict[str, float]:
    """`relative_error` of several models at once, so that the reference computes each batch only once.

    Args:
        reference: as `relative_error`.
        others: by name.
        batches: as `relative_error`.

    Raises:
        UsageError: no batch, or no position that is marked.
    """
    import torch

    size, wrong = 0.0, dict.fromkeys(others, 0.0)
    with torch.no_grad():
        for batch in batches:
            mask = batch["attention_mask"].bool()
            wanted = reference(batch)[mask].double()
            size += float(wanted.square().sum())
            for name, states in others.items():
                wrong[name] += float((states(batch)[mask].double() - wanted).square().sum())
    if not size > 0:
        raise UsageError("The output error cannot be measured: no dev batch has a marked position.")
    return {name: float((total / size) ** 0.5) for name, total in wrong.items()}


def floor_backbone(source: Path, quantizer: Quantizer, dtype: torch.dtype, device: str) -> nn.Module | None:
    """The backbone rounded to nearest at a quantizer's bits, group size and symmetry; None where it does not quantize.

    Args:
        source: folder of the pristine base model.
        quantizer: whose nominal bits, group size and symmetry are taken.
        dtype: of the weights; the run's, so that both are measured in the same one.
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
