"""A base model is tried before anything is planned on it: a few forward passes show what its files alone do not tell.

Names and shapes on disk say neither which linear layers a pass goes through, nor whether training mode draws random numbers,
nor whether padding moves what stands beside it. Each of these would change what a comparison measures, in silence. What was
seen is kept in the user's cache by the model's hash, so that a base model is tried once a machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from bench import user_cache
from bench.api.model import LinearShape, ModelSpec
from bench.errors import UsageError
from bench.modeling.find import BaseModel
from bench.sealed import read_sealed, write_sealed
from bench.steps.resolve import Parts

if TYPE_CHECKING:
    from torch import Tensor, nn

VERSION = 1
"""Raised when a trial looks at more, so that kept ones are made again."""
LONG, SHORT = 24, 11
"""Tokens of the two texts; in a batch the shorter one is padded."""
MOVED = 1e-3
"""Relative difference of hidden states above which it is no rounding: in fp32 it stays below 1e-5, padding that is seen makes
3 % and more. In bf16, which holds models that fp32 has no room for, rounding reaches `MOVED_BF16`."""
MOVED_BF16 = 0.1
LARGE = 3 * 10**9
"""Parameters from which on a model is tried in bf16."""
BESIDE = 0.25
"""Share of the weights of a model's layers that may lie outside of `nn.Linear`: convolutions and tables of positions do."""
_TEXT = (
    "The patient denies chest pain. Left and right atrial enlargement, mild mitral regurgitation; no pericardial effusion was "
    "seen, and the ejection fraction is 55 per cent."
)
_TAKE_ANOTHER = "Take another base model; docs/models.md lists families that were tried."


@dataclass(frozen=True)
class Trial:
    """What a trial of a base model showed.

    Args:
        linears: name, inputs and outputs of the linear layers that a forward pass goes through, in order.
        unused: names of those that no pass goes through, so that an adapter there would never be trained.
        max_length: longest input in tokens that the table of positions has rows for.
        rows: of the embedding table; None where the model does not tell its table.
        bf16: whether it computes under autocast to bf16.
        fp16: whether its weights and states stay finite in fp16; None where that was not tried.
    """

    linears: tuple[LinearShape, ...]
    unused: tuple[str, ...]
    max_length: int
    rows: int | None
    bf16: bool
    fp16: bool | None = None


def as_loaded(parts: Parts, precision: str) -> Parts:
    """The parts of a run with the base model's spec as the loaded model has it, not as names on disk suggest.

    Args:
        parts: of a run.
        precision: that it computes in: ``fp32``, ``bf16`` or ``fp16``.

    Raises:
        UsageError: the model cannot be loaded or run, or is of a kind that no arm could be compared on: random numbers in
            training mode, padding that moves hidden states, or layers that are mostly not `nn.Linear`.
    """
    model, spec = parts.model, parts.model.spec
    seen = kept(model, precision == "fp16")
    if precision == "bf16" and not seen.bf16:
        raise UsageError(
            f"{spec.name} ({spec.model_type}) cannot compute in bf16: its own code fails.", "Add --precision fp32."
        )
    if precision == "fp16" and not seen.fp16:
        raise UsageError(
            f"{spec.name} ({spec.model_type}) cannot compute in fp16: its weights or states leave the range of fp16, or its "
            "own code fails.",
            "Add --precision fp32.",
        )
    loaded = replace(spec, linears=seen.linears, max_length=seen.max_length)
    return replace(parts, model=model.loaded(loaded, seen.rows, seen.unused))


def kept(model: BaseModel, fp16: bool = False) -> Trial:
    """The trial of a model, in fp16 too or not, from the user's cache or made now."""
    versions = {name: version(name) for name in ("torch", "transformers")}
    key = {"model": model.sha256(), "trial": VERSION, **versions}
    if model.bidirectional:
        key["attention"] = "bidirectional"
    if fp16:
        key["precision"] = "fp16"
    path = user_cache.path("trials", model.spec.model_type, ".json", key)
    known = read_sealed(path)
    if known is None:
        known = asdict(attempt(model, fp16))
        with suppress(OSError):  # where it cannot be written, the next run tries the model again
            write_sealed(path, known)
    linears = tuple(LinearShape(**linear) for linear in known["linears"])
    return Trial(linears, tuple(known["unused"]), known["max_length"], known["rows"], known["bf16"], known.get("fp16"))


def attempt(model: BaseModel, fp16: bool = False) -> Trial:
    """Loads a base model on the CPU and runs it on two short texts: alone, in a batch, and twice in training mode.

    Args:
        model: to be tried.
        fp16: whether it is tried in fp16 too.

    Raises:
        UsageError: as `as_loaded`.
    """
    import torch

    from bench.adapters.attach import Attention, prepare
    from bench.modeling.backbone import adapted_linears, load_backbone, random_state_kept, usable

    spec, folder = model.spec, model.folder()
    large = spec.parameters > LARGE
    with random_state_kept(), torch.no_grad():
        backbone = load_backbone(folder, torch.bfloat16 if large else torch.float32, "cpu")
        prepare(backbone)
        linears = adapted_linears(backbone)
        _refuse_layers(spec, backbone, linears)
        rows, longest = _rows(backbone), _longest(backbone, spec.max_length)
        ids, mask, lengths = _batch(model, longest, rows)
        attention, limit = Attention(backbone), MOVED_BF16 if large else MOVED

        def states(training: bool, which: Any = slice(None), length: int | None = None) -> Tensor:
            attention.choose(training)
            backbone.train(training)
            out: Tensor = backbone(input_ids=ids[which, :length], attention_mask=mask[which, :length]).last_hidden_state
            return out.float()

        with usable(folder, "A forward pass of", _TAKE_ANOTHER), _called(backbone) as called:
            together = states(False)
            trained = states(True)
        if together.shape[-1] != spec.hidden_size:
            raise UsageError(
                f"The hidden states of {spec.name} ({spec.model_type}) are {together.shape[-1]} wide; by its config.json they "
                f"were to be {spec.hidden_size}.",
                _TAKE_ANOTHER,
            )
        real = mask.bool()
        if not bool(together[real].isfinite().all()):
            raise UsageError(
                f"The hidden states of {spec.name} ({spec.model_type}) are not finite for an ordinary sentence.",
                "Copy the folder again, whole, or take another base model.",
            )
        if not torch.equal(trained[real], states(True)[real]):
            module = _first_apart(backbone, lambda: states(True), lambda: states(True))
            raise UsageError(
                f"{spec.name} ({spec.model_type}) draws random numbers in training mode that cannot be switched off, first in "
                f"{module}: what it learns would depend on how memory cuts an update into micro-batches.",
                _TAKE_ANOTHER,
            )
        if (gap := _gap(trained[real], together[real])) > limit:
            module = _first_apart(backbone, lambda: states(False), lambda: states(True))
            raise UsageError(
                f"{spec.name} ({spec.model_type}) gives other hidden states in training mode than in evaluation, by {gap:.0%}, "
                f"first in {module}.",
                _TAKE_ANOTHER,
            )
        if model.bidirectional:
            _refuse_one_way(spec, ids, states)
        try:
            with torch.autocast("cpu", torch.bfloat16):
                states(True)
            bf16 = True
        except RuntimeError:  # such as DeBERTa's, which fills a mask with the least number of another dtype
            bf16 = False
        alone = [states(False, slice(index, index + 1), length)[0] for index, length in enumerate(lengths)]
        finite = _finite_in_fp16(backbone, states, real) if fp16 else None
    if (gap := _gap(together[real], torch.cat(alone))) > limit:
        raise UsageError(
            f"Padding moves the hidden states of {spec.name} ({spec.model_type}) by {gap:.1%}: what a text gives would depend "
            "on the texts beside it in a batch, and on how memory cuts an update into micro-batches.",
            _TAKE_ANOTHER,
        )
    live = tuple(linear for linear in linears if linear.name in called)
    if not live:
        raise UsageError(f"No linear layer of {spec.name} ({spec.model_type}) is used in a forward pass.", _TAKE_ANOTHER)
    unused = tuple(linear.name for linear in linears if linear.name not in called)
    return Trial(live, unused, longest, rows, bf16, finite)


def _batch(model: BaseModel, longest: int, rows: int | None) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Ids and mask of a batch of two texts, shape (2, longer), and their lengths."""
    import torch

    from bench.data.windows import special_tokens
    from bench.modeling.backbone import load_tokenizer
    from bench.steps.corpora import pad_id, refuse_past_table

    tokenizer = load_tokenizer(model.folder())
    before, after = special_tokens(tokenizer)
    content = list(tokenizer(_TEXT, add_special_tokens=False, verbose=False)["input_ids"])
    lengths = min(LONG, longest), min(SHORT, max(1, longest // 2))
    texts = [[*before, *content[: max(1, length - len(before) - len(after))], *after] for length in lengths]
    refuse_past_table(model.name, "padding, special tokens and a text", max(pad_id(model.folder()), *map(max, texts)), rows)
    ids = torch.full((2, len(texts[0])), pad_id(model.folder()))
    mask = torch.zeros_like(ids)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(text)
        mask[row, : len(text)] = 1
    return ids, mask, (len(texts[0]), len(texts[1]))


def _refuse_layers(spec: ModelSpec, backbone: nn.Module, linears: Sequence[LinearShape]) -> None:
    """Refuses a model whose layers hold many weights that no adapter and no quantizer would reach.

    Raises:
        UsageError: naming the largest.
    """
    from torch import nn

    inside = sum(linear.inputs * linear.outputs for linear in linears)
    covered = {linear.name for linear in linears}
    beside = {
        f"{name}.{kind}": weight.numel()
        for name, module in backbone.named_modules()
        if name not in covered and not isinstance(module, nn.Embedding) and re.search(r"(^|\.)\d+(\.|$)", name)
        for kind, weight in module.named_parameters(recurse=False)
        if weight.dim() > 1
    }
    if (share := sum(beside.values()) / max(1, inside + sum(beside.values()))) > BESIDE:
        largest = max(beside, key=lambda name: beside[name])
        raise UsageError(
            f"{share:.0%} of the weights in the layers of {spec.name} ({spec.model_type}) are in no nn.Linear, such as "
            f"{largest}; adapters and quantizers would reach the rest only.",
            _TAKE_ANOTHER,
        )


def _finite_in_fp16(backbone: nn.Module, states: Callable[[bool], Tensor], real: Tensor) -> bool:
    """Whether the states of a batch are numbers once the weights are in fp16, which they stay in.

    Args:
        backbone: changed in place.
        states: hidden states of the batch, in training mode or not.
        real: marks the positions that are no padding, shape (2, longer).
    """
    import torch

    backbone.half()
    try:
        with torch.autocast("cpu", torch.float16):
            return all(bool(states(training)[real].isfinite().all()) for training in (False, True))
    except RuntimeError:
        return False


def _refuse_one_way(spec: ModelSpec, ids: Tensor, states: Callable[[bool], Tensor]) -> None:
    """Refuses a decoder that was told to see both ways and does not, in training or in evaluation.

    Args:
        spec: of the decoder.
        ids: that `states` reads, shape (2, longer); the last token of the first text is changed for a while.
        states: hidden states of the batch, in training mode or not.

    Raises:
        UsageError: another last token changes no state before it.
    """
    for training in (False, True):
        before, last = states(training)[0, :-1], int(ids[0, -1])
        ids[0, -1] = next(int(token) for token in ids[0] if int(token) != last)
        after = states(training)[0, :-1]
        ids[0, -1] = last
        if _gap(after, before) == 0:
            raise UsageError(
                f"{spec.name} ({spec.model_type}) sees one way alone: with --attention bidirectional, too, its hidden states "
                "do not depend on the tokens after them.",
                "Leave --attention out, or take another decoder; docs/models.md lists families that were tried.",
            )


def _rows(backbone: nn.Module) -> int | None:
    """How many token ids the embedding table has a row for."""
    owner: Any = backbone
    try:
        weight = getattr(owner.get_input_embeddings(), "weight", None)
    except (AttributeError, NotImplementedError):
        return None
    return None if weight is None else int(weight.shape[0])


def _longest(backbone: nn.Module, announced: int) -> int:
    """The longest input that the tables of absolute positions have rows for; RoBERTa's begin after the padding index."""
    from torch import nn

    tables = (
        module
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Embedding) and name.endswith("position_embeddings") and module.padding_idx is not None
    )
    return min([announced, *(table.num_embeddings - int(table.padding_idx or 0) - 1 for table in tables)])


@contextmanager
def _called(backbone: nn.Module) -> Iterator[set[str]]:
    """Collects the names of the modules whose forward runs while the block does."""
    names: set[str] = set()
    hooks = [
        module.register_forward_pre_hook(lambda _module, _inputs, name=name: names.add(name))
        for name, module in backbone.named_modules()
    ]
    try:
        yield names
    finally:
        for hook in hooks:
            hook.remove()


def _first_apart(backbone: nn.Module, *passes: Callable[[], Tensor]) -> str:
    """Name of the module that is first to finish with another output in the second of two passes."""
    import torch

    seen: list[list[tuple[str, Any]]] = []

    def hook(name: str) -> Callable[..., None]:
        def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple) else output
            if isinstance(first, torch.Tensor) and first.is_floating_point():
                seen[-1].append((name, first.clone()))

        return keep

    hooks = [module.register_forward_hook(hook(name)) for name, module in backbone.named_modules() if name]
    try:
        for run in passes:
            seen.append([])
            run()
    finally:
        for handle in hooks:
            handle.remove()
    pairs = zip(*seen, strict=False)
    return next((a for (a, x), (b, y) in pairs if a != b or x.shape != y.shape or _gap(x, y) > MOVED), "the model itself")


def _gap(states: Tensor, reference: Tensor) -> float:
    """Norm of the difference over that of the reference."""
    return float((states - reference).norm() / reference.norm().clamp(min=1e-30))
