"""Describes a model folder from `config.json` and the safetensors headers, without torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.api.model import LinearShape, ModelSpec
from bench.errors import UsageError
from bench.modeling.files import Header, read_headers, read_json
from bench.wording import some

_BOTH_SIDES = """
    albert bert big_bird camembert convbert deberta deberta-v2 distilbert electra ernie esm eurobert flaubert fnet funnel ibert
    layoutlm longformer luke megatron-bert mobilebert modernbert mpnet mra nomic_bert nystromformer rembert roberta
    roberta-prelayernorm roc_bert roformer splinter squeezebert xlm xlm-roberta xlm-roberta-xl xlnet xmod yoso
"""
ENCODERS = frozenset(_BOTH_SIDES.split())
"""Model types with bidirectional attention."""
_CONV1D = frozenset({"gpt2", "openai-gpt", "imagegpt", "ctrl", "decision_transformer"})
_ENCODER_DECODERS = frozenset({"t5", "mt5", "umt5", "longt5", "switch_transformers"})  # also where only the encoder was saved
_PADDED_POSITIONS = frozenset(
    {"roberta", "camembert", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "longformer", "mpnet", "esm"}
)
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json")
_LAYER = re.compile(r"(?:^|\.)\d+\.")
# Two-dimensional weights inside a layer that are embeddings or biases, not linear layers.
_NO_LINEAR = re.compile(r"embed|norm|relative_attention_bias|position_bias", re.IGNORECASE)


def inspect(folder: Path, name: str | None = None) -> ModelSpec:
    """The spec of a model folder in Hugging Face's layout, named as the user typed it; by the folder's path where None.

    Raises:
        UsageError: a file is missing or not safe to read, or it is no text model with `nn.Linear` layers.
    """
    headers = read_headers(folder)
    config = read_config(folder)
    try:
        quantized = quantization(folder, config)
        spec = describe(name or str(folder), config, headers, quantized)
    except (TypeError, ValueError, AttributeError, KeyError, IndexError, ZeroDivisionError, OverflowError) as error:
        raise UsageError(
            f"config.json of {folder} is no configuration of a model: a value is of the wrong kind ({type(error).__name__}).",
            "Copy it again from where the model came from.",
        ) from error
    if not any((folder / n).is_file() for n in _TOKENIZERS) and not any(folder.glob("*.model")):
        raise UsageError(
            f"Model folder {folder} has no tokenizer: none of {', '.join(_TOKENIZERS)} is there.",
            "Save one beside it: AutoTokenizer.from_pretrained(ORIGINAL).save_pretrained(FOLDER)",
        )
    return spec


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a model folder.

    Raises:
        UsageError: it is missing, not JSON, or names no model type.
    """
    path = folder / "config.json"
    if not path.is_file():
        adapter = (folder / "adapter_config.json").is_file()
        what = " It holds a PEFT adapter; --model wants the base model." if adapter else ""
        raise UsageError(f"Model folder {folder} has no config.json.{what}", "Copy it from where the model came from.")
    config = read_json(path)
    if not isinstance(config.get("model_type"), str):
        raise UsageError(f"{path} names no model_type, such as 'bert' or 'llama'.")
    return config


def quantization(folder: Path, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """How the stored weights are quantized, in the same terms whichever library wrote them; None where they are not.

    Returns:
        ``method`` (``gptq`` or ``awq``), ``bits``, ``group_size`` (-1: one group a row), ``sym`` and ``format``: ``gptq`` (zero
        points stored less one), ``gptq_v2``, or AWQ's ``gemm``.

    Raises:
        UsageError: a method or a layout that cannot be read.
    """
    settings = config.get("quantization_config")
    for name in ("quantize_config.json", "quant_config.json"):  # AutoGPTQ's and AutoAWQ's own files
        if not isinstance(settings, dict) and (folder / name).is_file():
            settings = read_json(folder / name)
            settings.setdefault("quant_method", "awq" if "w_bit" in settings or name == "quant_config.json" else "gptq")
    if not isinstance(settings, dict):
        return None
    method = str(settings.get("quant_method") or settings.get("method") or "").lower()
    bits = settings.get("bits") or settings.get("w_bit") or 4
    if method == "gptq":
        form = str(settings.get("checkpoint_format") or settings.get("format") or "gptq").lower()
        readable = form in ("gptq", "gptq_v2") and bits in (2, 3, 4, 8)
    elif method == "awq":
        form = str(settings.get("format") or settings.get("checkpoint_format") or settings.get("version") or "gemm").lower()
        readable = form in ("gemm", "exllama") and bits == 4  # exllama repacks in memory; on disk it is gemm
        form = "gemm" if readable else form
    else:
        raise UsageError(
            f"Model folder {folder} is quantized with {method or 'an unnamed method'!r}; read are gptq and awq.",
            "Take the unquantized model, with --quant int8 or nf4 to make it small.",
        )
    if not readable:
        raise UsageError(
            f"Model folder {folder} stores {method} in layout {form!r} with {some(bits, 'bit')}; read are gptq and gptq_v2 "
            "(2, 3, 4 or 8 bits) and awq gemm (4 bits).",
            "Save it again with gptqmodel in one of these.",
        )
    group = int(settings.get("group_size") or settings.get("q_group_size") or 128)
    sym = bool(settings.get("sym", not settings.get("zero_point", True)))
    return {"method": method, "bits": int(bits), "group_size": group, "sym": sym, "format": form}


def describe(
    name: str, config: Mapping[str, Any], headers: Mapping[str, Header], quantized: Mapping[str, Any] | None = None
) -> ModelSpec:
    """The spec of a model from its configuration and the headers of its tensors.

    Args:
        name: as the user typed it.
        config: content of ``config.json``.
        headers: tensor name, as stored, to header; with or without a prefix such as ``bert.`` or ``model.``.
        quantized: the result of `quantization`.

    Raises:
        UsageError: an encoder-decoder, a mixture of experts, or no linear layers to adapt.
    """
    kind = str(config["model_type"])
    if config.get("is_encoder_decoder") or kind in _ENCODER_DECODERS:
        raise UsageError(f"{name} is an encoder-decoder ({kind}); wanted is an encoder or a decoder with one stack of layers.")
    if any(key.endswith("experts") and isinstance(number, int) and number > 1 for key, number in config.items()):
        raise UsageError(f"{name} is a mixture of experts ({kind}), whose experts are no nn.Linear layers; take a dense model.")
    if kind in _CONV1D:
        raise UsageError(f"{name} ({kind}) is built of Conv1D, not of nn.Linear layers, which adapters and quantizers need.")
    prefix = backbone_prefix(headers)
    inside = {n[len(prefix) :]: h for n, h in headers.items() if n.startswith(prefix)}
    linears = tuple(sorted(_linears(inside, quantized), key=lambda s: natural(s.name)))
    if not linears:
        raise UsageError(f"{name} ({kind}) has no linear layer inside numbered transformer layers, so nothing can be adapted.")
    return ModelSpec(
        name=name,
        model_type=kind,
        causal=_causal(config),
        hidden_size=_number(name, config, "hidden_size", "dim", "n_embd", "d_model"),
        layers=_number(name, config, "num_hidden_layers", "n_layers", "n_layer", "num_layers"),
        max_length=_max_length(config),
        parameters=_parameters(inside, linears, bool(quantized)),
        linears=linears,
        quantization=str(quantized["method"]) if quantized else None,
    )


def backbone_prefix(names: Mapping[str, Any]) -> str:
    """The prefix of the backbone's tensors in a model with a head, such as ``bert.`` or ``model.``; often empty.

    It is the first component of the names of all layer tensors and of the embeddings; ``encoder`` and ``decoder`` belong to
    the backbone itself.
    """
    layered = [n for n in names if _LAYER.search(n)]
    first = {n.split(".", 1)[0] for n in layered}
    if len(first) != 1:
        return ""
    (word,) = first
    if word in ("encoder", "decoder", "layers", "layer", "h"):
        return ""
    embeddings = [n for n in names if not _LAYER.search(n) and re.search(r"emb|wte", n)]
    return f"{word}." if any(n.startswith(f"{word}.") for n in embeddings) else ""


def _linears(headers: Mapping[str, Header], quantized: Mapping[str, Any] | None) -> list[LinearShape]:
    linears = []
    for full, header in headers.items():
        name, _, kind = full.rpartition(".")
        if len(header.shape) != 2 or not _LAYER.search(full) or _NO_LINEAR.search(name.rsplit(".", 1)[-1]):
            continue
        if kind == "weight":
            linears.append(LinearShape(name, header.shape[1], header.shape[0]))
        elif kind == "qweight" and quantized:
            packed = 32 // quantized["bits"] if quantized["bits"] != 3 else 0
            if quantized["method"] == "awq":
                linears.append(LinearShape(name, header.shape[0], header.shape[1] * packed))
            else:
                rows = header.shape[0] * packed if packed else header.shape[0] * 32 // 3
                linears.append(LinearShape(name, rows, header.shape[1]))
    return linears


def _parameters(headers: Mapping[str, Header], linears: tuple[LinearShape, ...], quantized: bool) -> int:
    extra = {"qweight", "qzeros", "scales", "g_idx", "position_ids", "token_type_ids", "inv_freq", "masked_bias"}
    plain = sum(
        h.numel
        for n, h in headers.items()
        if n.rsplit(".", 1)[-1] not in extra and not re.match(r"pooler\.|lm_head\.|cls\.|classifier\.", n)
    )
    packed = {n.rsplit(".", 1)[0] for n in headers if n.endswith(".qweight")} if quantized else set()
    return plain + sum(s.inputs * s.outputs for s in linears if s.name in packed)


def _causal(config: Mapping[str, Any]) -> bool:
    kind = str(config["model_type"])
    if kind in ENCODERS:
        return bool(config.get("is_decoder"))
    if config.get("is_causal") is False or config.get("use_bidirectional_attention") in (True, "all"):
        return False
    return "MaskedLM" not in str(config.get("architectures"))


def _max_length(config: Mapping[str, Any]) -> int:
    for key in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        value = config.get(key)
        if isinstance(value, int) and value > 0:
            # RoBERTa's positions start after the padding index.
            return value - int(config.get("pad_token_id") or 1) - 1 if config["model_type"] in _PADDED_POSITIONS else value
    return 512


def _number(name: str, config: Mapping[str, Any], *keys: str) -> int:
    for key in keys:
        value = config.get(key)
        if isinstance(value, int) and value > 0:
            return value
    raise UsageError(f"config.json of {name} gives none of {', '.join(keys)}.")


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key for dotted names that compares numbers as numbers; the order of `ModelSpec.linears` and `adapted_linears`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]
