"""Names and shapes of a Llama's tensors, from its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def llama_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Tensor name to shape, as `LlamaForCausalLM` with tied embeddings stores them."""
    width, mlp = int(config["hidden_size"]), int(config["intermediate_size"])
    head = width // int(config["num_attention_heads"])
    keys = head * int(config["num_key_value_heads"])
    layer: dict[str, tuple[int, ...]] = {
        "self_attn.q_proj": (width, width), "self_attn.k_proj": (keys, width), "self_attn.v_proj": (keys, width),
        "self_attn.o_proj": (width, width), "mlp.gate_proj": (mlp, width), "mlp.up_proj": (mlp, width),
        "mlp.down_proj": (width, mlp), "input_layernorm": (width,), "post_attention_layernorm": (width,),
    }  # fmt: skip
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (int(config["vocab_size"]), width),
        "model.norm.weight": (width,),
    }
    for i in range(int(config["num_hidden_layers"])):
        shapes |= {f"model.layers.{i}.{name}.weight": shape for name, shape in layer.items()}
    return shapes
