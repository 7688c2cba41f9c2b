"""Writes ``result.schema.json`` beside itself: the JSON Schema of ``result.json``, from the dataclasses of `bench.results`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from bench.results.schema import SCHEMA_VERSION, Result

SCHEMA = Path(__file__).with_name("result.schema.json")
_PLAIN = {int: "integer", str: "string", bool: "boolean", NoneType: "null"}


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `bench.results.schema.Result`; names that it does not know may join."""
    known: dict[str, Any] = {}
    _of(Result, known)
    result = known.pop("Result")
    del result["properties"]["extra"]
    result["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "result.json of bench"}
    return {**draft, **result, "required": ["schema_version", *result["required"]], "$defs": dict(sorted(known.items()))}


def _of(kind: Any, known: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type hint; dataclasses are put into `known` and referred to."""
    origin, inner = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        if kind.__name__ not in known:
            known[kind.__name__] = {}  # until it is done, for what refers to itself
            known[kind.__name__] = {
                "type": "object",
                "description": " ".join((kind.__doc__ or "").partition("\n\n")[0].split()),
                "properties": {name: _of(hint, known) for name, hint in get_type_hints(kind).items()},
                "required": [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING],
            }
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if origin in (Union, UnionType):
        return {"anyOf": [_of(option, known) for option in inner]}
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Mapping, dict):
        return {"type": "object", "additionalProperties": _of(inner[1], known)}
    if origin is list or inner[-1:] == (Ellipsis,):
        return {"type": "array", "items": _of(inner[0], known)}
    if origin is tuple:
        return {"type": "array", "prefixItems": [_of(one, known) for one in inner], "minItems": len(inner), "items": False}
    if kind is float:
        return {"type": ["number", "null"]}  # null is what cannot be had
    return {} if kind is Any else {"type": _PLAIN[kind]}


def text() -> str:
    """The file, a definition a line."""
    made = schema()
    definitions = ",\n".join(f"  {json.dumps(name)}: {json.dumps(one)}" for name, one in made.pop("$defs").items())
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in made.items()]
    return "{\n" + ",\n".join([*lines, f' "$defs": {{\n{definitions}\n }}']) + "\n}\n"


if __name__ == "__main__":
    SCHEMA.write_text(text(), encoding="utf-8")
