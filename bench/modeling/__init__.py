"""Base models: find one by name, describe it without torch, load it frozen.

torch and transformers are imported by the functions that need them, not by these modules.
"""

from bench.modeling.backbone import adapted_linears, load_backbone, load_tokenizer, meta_backbone
from bench.modeling.files import sha256_folder, weight_bytes, written_whole
from bench.modeling.find import BaseModel, find_model
from bench.modeling.spec import describe, inspect

__all__ = [
    "BaseModel",
    "adapted_linears",
    "describe",
    "find_model",
    "inspect",
    "load_backbone",
    "load_tokenizer",
    "meta_backbone",
    "sha256_folder",
    "weight_bytes",
    "written_whole",
]
