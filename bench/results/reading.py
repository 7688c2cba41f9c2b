"""JSON to the dataclasses that it stands for, and back.

Written out rather than taken from msgspec or pydantic: it is all that files of results need, costs nothing at import, and a
message says what is wrong without a word of the content.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from bench.errors import RunStateError

Kind = TypeVar("Kind")
_WORDS = {float: "a number", int: "an integer", str: "text", bool: "true or false"}


def read_as(kind: Any, value: Any, place: str = "", whole: bool = False) -> Any:
    """A value of parsed JSON as what a type hint says: a dataclass, a mapping, a tuple, a union, a literal or a plain value.
    What is such a dataclass already stays as it is.

    Names that a dataclass does not know are passed over, or refused if `whole`, and those that are missing take its defaults.
    ``null`` for a number is NaN, as `plain` writes it. `place` is the value's dotted name, for messages.

    Raises:
        ValueError: what is wrong where, and what was wanted; never the value.
    """
    if type(value) in _as_is(kind) or (isinstance(kind, type) and type(value) is kind):
        return value
    if isinstance(value, Mapping) and isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        if missing := [_below(place, name) for name in _required(kind) if name not in value]:
            raise ValueError(f"it lacks {', '.join(missing)}")
        if unknown := [_below(place, name) for name in value if whole and name not in hints]:
            raise ValueError(f"nothing is known of {', '.join(unknown)}")
        return kind(**_read_all({n: (hint, value[n]) for n, hint in hints.items() if n in value}, place, whole))
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        options = [option for option in inner if option is not NoneType]
        for option in options[:-1]:
            try:
                return read_as(option, value, place, whole)
            except ValueError:
                continue
        return read_as(options[-1], value, place, whole)
    if origin is Literal and value in inner:
        return value
    if origin in (Mapping, dict) and isinstance(value, Mapping):
        return _read_all({str(name): (inner[1], member) for name, member in value.items()}, place, whole)
    if origin in (tuple, list) and isinstance(value, (list, tuple)):
        each = inner[:1] * len(value) if origin is list or inner[-1] is Ellipsis else inner
        if len(each) == len(value):
            return origin(_read_all(dict(enumerate(zip(each, value, strict=True))), place, whole).values())
    if kind is float and value is None:
        return math.nan
    raise ValueError(f"{place} is of the type {type(value).__name__}; wanted {_WORDS.get(kind, 'an object or a list')}")


def check_version(value: Any, versions: tuple[int, ...], source: str, what: str) -> Mapping[str, Any]:
    """Parsed JSON of a file that says of which version its layout is; `what` it should be, e.g. ``a result of bench``.

    Raises:
        RunStateError: it says of none, or of another than `versions`; `source` is named.
    """
    if not isinstance(value, Mapping) or "schema_version" not in value:
        raise RunStateError(f"{source} is not {what}: it has no schema_version.")
    if value["schema_version"] not in versions:
        raise RunStateError(
            f"{source} has schema version {value['schema_version']!r}; this bench reads {' and '.join(map(str, versions))}.",
            "Read it with the bench that wrote it, or upgrade: pip install -U bench-suite",
        )
    return value


def plain(value: Any) -> Any:
    """Strict JSON: the dataclasses of results and mappings to dicts, sequences to lists, NaN and infinities to null.

    Raises:
        TypeError: anything else; its content is not shown.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if is_dataclass(value) and type(value).__module__.startswith("bench.results."):  # others may hold text of a corpus
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return plain(value.item())
    raise TypeError(f"A result cannot hold a {type(value).__name__}.")


def narrowed(kind: type[Kind], value: Any) -> Kind:
    """A dataclass as one that it extends, without the fields that it adds."""
    return kind(**{f.name: getattr(value, f.name) for f in fields(kind)})  # type: ignore[arg-type]


def _read_all(values: dict[Any, tuple[Any, Any]], place: str, whole: bool) -> dict[Any, Any]:
    """Each value as its hint says; most stand for themselves, and a report reads hundreds of results."""
    return {
        name: member if type(member) in _as_is(hint) else read_as(hint, member, _below(place, name), whole)
        for name, (hint, member) in values.items()
    }


@cache
def _as_is(kind: Any) -> frozenset[type]:
    """Types of JSON values that stand for themselves under a type hint."""
    if kind is Any:
        return frozenset((dict, list, str, int, float, bool, NoneType))
    if get_origin(kind) in (Union, UnionType):
        return frozenset().union(*map(_as_is, get_args(kind)))
    return frozenset((float, int)) if kind is float else frozenset((kind,)) & {int, str, bool, NoneType}


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return {name: hint for name, hint in get_type_hints(kind).items() if name in {f.name for f in fields(kind)}}


@cache
def _required(kind: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING)


def _below(place: str, name: object) -> str:
    return f"{place}.{name}" if place else str(name)
