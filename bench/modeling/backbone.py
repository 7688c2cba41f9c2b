"""Loads backbones: frozen, without a pooler, with dense linear layers, so that gradients reach LoRA's weights."""

from __future__ import annotations

import contextlib
import inspect as signatures
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bench.api.model import LinearShape
from bench.api.part import Requirement
from bench.errors import BenchError, MissingError, UsageError, out_of_memory
from bench.modeling.bidirectional import look_both_ways
from bench.modeling.files import WEIGHTS, weight_files
from bench.modeling.packed import dense_state
from bench.modeling.spec import natural, quantization, read_config
from bench.wording import some

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

# They warn on import about kernels for other hardware.
_NOISY = ("torchao", "torch.utils._pytree")
_AGAIN = "Copy the folder again from where the model came from."
_NUMBERED = re.compile(r"(?:^|\.)\d+\.")


def load_backbone(folder: Path, dtype: torch.dtype, device: str) -> nn.Module:
    """The backbone of a model folder, as `AutoModel` gives it, in evaluation mode, frozen and without a pooler.

    Folders with GPTQ or AWQ weights are read too: stored integers, scales and zero points become dense `nn.Linear` weights of
    `dtype`, the same values that a 4-bit kernel multiplies with. In memory the model is then dense, on disk it has 4 bits.
    Code that comes with a model is never run.

    Raises:
        UsageError: the folder has no safetensors, the weights do not fit its configuration, or transformers has no class for
            the model.
    """
    packed = quantization(folder, read_config(folder))
    state = read_state(folder)
    if packed:
        state = dense_state(state, folder, packed, dtype)
    return from_state(folder, state, dtype).to(device)


def read_state(folder: Path) -> dict[str, Tensor]:
    """Every tensor of a folder's weight files, as stored."""
    from safetensors.torch import load_file

    state: dict[str, Tensor] = {}
    for path in weight_files(folder):
        with usable(path, "The weights in"):
            state |= load_file(path)
    return state


def from_state(folder: Path, state: Mapping[str, Tensor], dtype: torch.dtype) -> nn.Module:
    """A frozen backbone on the CPU with the configuration of `folder` and the given tensors, without pooler and heads.

    Raises:
        UsageError: a tensor of the backbone is missing, has another shape, or holds values that are not finite.
    """
    config, model_class = _classes(folder)
    with usable(folder, "The weights or config.json of"), random_state_kept():
        model, info = model_class.from_pretrained(
            None, config=config, state_dict=dict(state), dtype=dtype, output_loading_info=True, ignore_mismatched_sizes=True,
            **_no_pooler(model_class),
        )  # fmt: skip
    missing = sorted(name for name in info["missing_keys"] if not name.startswith("pooler."))
    for name, stored, expected in sorted(info["mismatched_keys"])[:1]:
        shapes = [" x ".join(map(str, shape)) for shape in (stored, expected)]
        raise UsageError(
            f"The weights in {folder} do not fit its config.json: {name} is {shapes[0]} in the weights and {shapes[1]} by the "
            "configuration.",
            _AGAIN,
        )
    if missing:
        raise UsageError(
            f"The weights in {folder} do not fit its config.json: they lack {some(len(missing), 'tensor')}, such as "
            f"{missing[0]}.",
            _AGAIN,
        )
    broken = [n for n, p in model.named_parameters() if p.is_floating_point() and p.numel() and not _finite(p)]
    if broken:
        raise UsageError(
            f"Numbers that are not finite in {some(len(broken), 'tensor')} of {folder}, {broken[0]} among them.", _AGAIN
        )
    look_both_ways(model)
    return freeze(model)


def save_backbone(backbone: nn.Module, folder: Path) -> None:
    """Writes a dense backbone's current weights and its configuration to a folder that `AutoModel` loads; it is made."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in backbone.state_dict().items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    config = copy(cast(Any, backbone).config)
    config.dtype = next(backbone.parameters()).dtype  # may differ from the dtype it was loaded in
    config.save_pretrained(folder)


def _finite(tensor: Tensor) -> bool:
    low, high = tensor.aminmax()  # one pass without a copy; both are NaN if any value is
    return bool(low.isfinite() and high.isfinite())


def meta_backbone(folder: Path) -> nn.Module:
    """The backbone on the ``meta`` device: shapes without memory, to count parameters before anything is loaded.

    Raises:
        UsageError: transformers has no class for the model.
    """
    import torch

    config, model_class = _classes(folder)
    with usable(folder, "config.json of"), random_state_kept(), torch.device("meta"):
        return freeze(model_class(config, **_no_pooler(model_class)))


def freeze(model: nn.Module) -> nn.Module:
    """Takes the pooler away, freezes every parameter and switches to evaluation mode.

    BigBird changes from sparse to full attention, for good, at the first batch of short texts; it is changed here, so that no
    result depends on which batch comes first.
    """
    import torch
    from torch import nn

    if callable(attention := getattr(model, "set_attention_type", None)):
        with torch.device("meta"):  # what it draws weights for is replaced by the old weights at once
            attention("original_full")

    if isinstance(getattr(model, "pooler", None), nn.Module):
        model.pooler = cast(Any, None)
    return model.requires_grad_(False).eval()


def adapted_linears(backbone: nn.Module) -> tuple[LinearShape, ...]:
    """Every linear layer inside the numbered transformer layers, of attention and MLP.

    Quantized layers have the shape of the dense layer. Names, shapes and order are those of `ModelSpec.linears`.
    """
    from torch import nn

    quantized = ("in_features", "out_features", "qweight")
    linears = (
        LinearShape(name, int(module.in_features), int(module.out_features))
        for name, module in backbone.named_modules()
        if _NUMBERED.search(name) and (isinstance(module, nn.Linear) or all(hasattr(module, part) for part in quantized))
    )
    return tuple(sorted(linears, key=lambda s: natural(s.name)))


def load_tokenizer(folder: Path) -> Any:
    """The fast tokenizer of a model folder, a transformers `PreTrainedTokenizerFast`; code that comes with it is never run.

    Raises:
        UsageError: there is none, or it cannot give character offsets.
        MissingError: it is SentencePiece's own file, and a package that reads it is not installed.
    """
    from transformers import AutoTokenizer

    config, _ = _configuration(folder)
    pieces = sorted(path.name for path in folder.glob("*.model"))
    if pieces and not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt", "vocab.json")):
        readers = (Requirement("sentencepiece", "sentencepiece"), Requirement("google.protobuf", "protobuf"))
        absent = [reader.install for reader in readers if not reader.present()]
        if absent:
            raise MissingError(
                f"The tokenizer of {folder} is in SentencePiece's own file, {pieces[0]}; to read it needs "
                f"{' and '.join(absent)}, not installed here.",
                f"pip install {' '.join(absent)}",
            )
    save = "Save one beside the weights: AutoTokenizer.from_pretrained(ORIGINAL).save_pretrained(FOLDER)"
    with usable(folder, "The tokenizer of", save):
        tokenizer = AutoTokenizer.from_pretrained(folder, config=config, trust_remote_code=False, local_files_only=True)
        if not tokenizer.is_fast:
            raise UsageError(f"The tokenizer of {folder} gives no character offsets; a fast one (tokenizer.json) is wanted.")
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token  # any token will do: padding is masked
        tried = tokenizer("A trial, 1 of 2.", return_offsets_mapping=True, verbose=False)
        if not all(0 <= start <= end <= 16 for start, end in tried["offset_mapping"]):
            raise UsageError(f"The tokenizer of {folder} gives character offsets outside the text.", save)
    return tokenizer


def _classes(folder: Path) -> tuple[Any, Any]:
    """The configuration, without its quantization part, and the backbone's class."""
    config, mapping = _configuration(folder)
    try:
        with quiet():
            model_class = mapping[type(config)]
    except (ValueError, KeyError, OSError, ImportError) as error:
        raise _no_backbone(folder) from error
    return config, model_class[0] if isinstance(model_class, (tuple, list)) else model_class


def _configuration(folder: Path) -> tuple[Any, Any]:
    """The configuration, and transformers' mapping to backbone classes; a tokenizer alone needs no import of the class."""
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    read_config(folder)
    try:
        with quiet():
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (ValueError, KeyError, OSError, ImportError) as error:
        raise _no_backbone(folder) from error
    except Exception as error:
        raise _unusable(folder, "config.json of", error, _AGAIN) from error
    if type(config) not in MODEL_MAPPING:
        raise _no_backbone(folder)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    return config, MODEL_MAPPING


def _no_backbone(folder: Path) -> UsageError:
    raw = read_config(folder)
    remote_code = " It wants to run code that comes with it (auto_map), which bench never does." if "auto_map" in raw else ""
    return UsageError(f"transformers has no backbone for model type {raw['model_type']!r} of {folder}.{remote_code}")


def _no_pooler(model_class: Any) -> dict[str, bool]:
    takes = "add_pooling_layer" in signatures.signature(model_class.__init__).parameters
    return {"add_pooling_layer": False} if takes else {}


@contextlib.contextmanager
def random_state_kept() -> Iterator[None]:
    """Restores the random states of Python, numpy and torch, and torch's default dtype, when the block ends."""
    import random

    import numpy as np
    import torch

    python, array, dtype = random.getstate(), np.random.get_state(), torch.get_default_dtype()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(array)
            torch.set_default_dtype(dtype)


@contextlib.contextmanager
def usable(path: Path, what: str, hint: str = _AGAIN) -> Iterator[None]:
    """Turns any error of transformers, tokenizers or safetensors into a `UsageError` of one line; keeps them quiet.

    They have dozens of exceptions for a folder that is not as they expect. The message begins with `what` and the path.

    Raises:
        UsageError: for any exception but out of memory and those of bench.
    """
    try:
        with quiet():
            yield
    except Exception as error:
        if isinstance(error, BenchError) or out_of_memory(error):
            raise
        raise _unusable(path, what, error, hint) from error


def _unusable(path: Path, what: str, error: Exception, hint: str) -> UsageError:
    reason = " ".join(str(error).split())[:160].rstrip(".")
    return UsageError(f"{what} {path} cannot be used ({type(error).__name__}: {reason}).", hint)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps transformers' messages and progress bars off the console while the block runs."""
    from transformers.utils import logging as reports

    level, bar = reports.get_verbosity(), reports.is_progress_bar_enabled()
    reports.set_verbosity(logging.CRITICAL)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    reports.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        reports.set_verbosity(level)
        if bar:
            reports.enable_progress_bar()
