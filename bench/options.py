"""The table of a configuration's fields: each field is declared once for flags, files, checks and comparisons.

A field is declared as ``rank: int = option(16, COMPARED, "N", "the parameter budget")``. Its type comes from the annotation;
the flag, its help, what a file may hold, the range, the identity of a run and the contract of a comparison follow from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from bench.errors import UsageError, unknown
from bench.wording import some

T = TypeVar("T")
_METADATA = "option"
_WANTED = {int: "a whole number", float: "a number", bool: "true or false", str: "a string", tuple: "a name or a list of names"}
MOST = {int: 10**15, float: 10**9}  # of tokens a hundred times what the largest models have seen; what is larger overflows
_UNITS = {"": 1, "B": 1}
for _power, _prefix in enumerate("KMGT", start=1):
    _UNITS |= {f"{_prefix}B": 1000**_power, f"{_prefix}IB": 1024**_power, _prefix: 1024**_power}


Identity = Literal["always", "given", "content", "never"]
Contract = Literal["choice", "control", "elsewhere"]


@dataclass(frozen=True)
class Group:
    """Fields that stand together in ``--help``; what they are where they do not say otherwise, see `Option`."""

    title: str
    identity: Identity = "always"
    contract: Contract = "choice"


@dataclass(frozen=True)
class Option:
    """A field of a configuration; `option` declares it, `table` adds what follows from the field itself.

    Args:
        group: that it belongs to.
        metavar: what stands for the value in ``--help``; of a mapping ``KEY=VALUE``.
        help: what it is, in a line.
        identity: whether it is part of a run's id: ``always``; ``given``, where it is not the default, as every new field that
            can change the outcome must be, so that older runs keep their ids; ``content``, by what it leads to instead;
            ``never``, since it cannot change the outcome: a resumed run may be given another value.
        contract: in a comparison ``choice``, what may be compared; ``control``, the same in all runs; ``elsewhere``, left to
            what a result says, e.g. its tokens. Only what is part of the id by its value is in the contract.
        unset: what holds where it is not given, in words; empty where the default says it.
        flag: its flag; empty where that is the field's name.
        example: a pair as a mapping takes it.
        low: the smallest number; where None, 1 of a whole number and all above 0 of another.
        most: the largest number; where None, 10¹⁵ of a whole number and 10⁹ of another.
        hint: the next move where a number is out of range.
        size: whether it is a number of bytes, which may be written as ``2GiB``.
        place: ``path``, a file or folder on this machine; ``run``, a run's id or folder; None. Trackers get no places.
        name: of the field.
        default: of the field.
        type: ``int``, ``float``, ``bool``, ``str``, ``tuple`` (of names) or ``dict``.
        values: type of a mapping's values, or of what a repeatable flag takes.
        optional: whether None is a value.
        choices: the values there are; empty where any will do.
    """

    group: Group
    metavar: str
    help: str
    identity: Identity
    contract: Contract
    unset: str = ""
    flag: str = ""
    example: str = ""
    low: float | None = None
    most: float | None = None
    hint: str | None = None
    size: bool = False
    place: Literal["path", "run"] | None = None
    name: str = ""
    default: Any = None
    type: Any = str
    values: Any = str
    optional: bool = False
    choices: tuple[str, ...] = ()

    @property
    def shown_default(self) -> str:
        """The default in words; empty where there is none."""
        if self.unset or self.type is bool or self.default in (None, (), {}):
            return self.unset
        return ", ".join(self.default) if self.type is tuple else str(self.default).removesuffix(".0")

    def compared(self, *roles: str) -> bool:
        """Whether it has one of the roles in the contract of a comparison."""
        return self.identity in ("always", "given") and self.contract in roles

    def read(self, value: Any, source: str) -> Any:
        """A value of a file, the command line or a program as the configuration holds it.

        Raises:
            UsageError: it is of another type, or none of the choices; `source` is named.
        """
        if value is None and self.optional:
            return None
        texts = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else [value]
        if any(isinstance(text, str) and "\0" in text for text in texts):
            raise UsageError(f"{source}: {self.name} holds a zero byte, which no name and no path can hold.")
        if self.type is tuple:
            items = (value,) if isinstance(value, str) else value
            if isinstance(items, (list, tuple)) and all(isinstance(item, str) for item in items):
                return tuple(items)
        elif self.type is dict:
            if isinstance(value, Mapping) and all(_is_a(item, self.values) for item in value.values()):
                return {key: _as(item, self.values) for key, item in value.items()}
        elif self.size and isinstance(value, str):
            try:
                return parsed_size(value)
            except ValueError as error:
                raise UsageError(f"{source}: {self.name}: {error}.") from None
        elif _is_a(value, self.type):
            if self.choices and value not in self.choices:
                raise unknown(f"value of {self.name} in {source}", value, self.choices, "bench run --help")
            return _as(value, self.type)
        expected = _WANTED.get(self.type, f"a table of {self.metavar}, such as {self.example}")
        raise UsageError(f"{source}: {self.name} is {value!r}; it must be {expected}.")

    def check(self, value: Any) -> None:
        """Refuses a number out of range.

        Raises:
            UsageError: naming the flag, the number and the bound.
        """
        kind = self.values if self.type is dict else self.type
        if kind not in MOST or value is None:
            return
        most = MOST[kind] if self.most is None else self.most
        least = f"at least {self.low}" if self.low is not None else "at least 1" if kind is int else "above 0"
        for key, number in value.items() if self.type is dict else [("", value)]:
            enough = number > 0 if self.low is None else number >= self.low
            if not enough or number > most:
                bound = f"at most {most:,}" if enough else least
                raise UsageError(f"{self.flag}{key and f' of {key}'} is {brief(number)}; it must be {bound}.", self.hint)


def option(default: T, group: Group, metavar: str, help: str, **more: Any) -> T:
    """Declares a field of a configuration by its default and the fields of `Option`."""
    more = {"identity": group.identity, "contract": group.contract, **more}
    metadata = {_METADATA: Option(group, metavar, help, **more)}
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata=metadata)  # type: ignore[return-value]
    return field(default=default, metadata=metadata)


def table(configuration: Any) -> dict[str, Option]:
    """The fields of a dataclass that `option` declares, in their order, by name."""
    hints = get_type_hints(configuration)
    options = {}
    for each in (each for each in fields(configuration) if _METADATA in each.metadata):
        hint, more = hints[each.name], {}
        if optional := get_origin(hint) in (Union, UnionType):
            (hint,) = (inner for inner in get_args(hint) if inner is not NoneType)
        origin = get_origin(hint)
        if origin is Literal:
            hint, more = str, {"choices": get_args(hint)}
        elif origin is Mapping:
            hint, more = dict, {"values": get_args(hint)[1]}
        elif origin is not None:
            hint = origin
        declared = each.metadata[_METADATA]
        default = each.default if each.default_factory is MISSING else each.default_factory()
        flag = declared.flag or "--" + each.name.replace("_", "-")
        options[each.name] = replace(declared, name=each.name, default=default, flag=flag, type=hint, optional=optional, **more)
    return options


def parsed_size(text: str) -> int:
    """Bytes: ``2GiB``, ``500MB``, ``1.5G`` (powers of 1024 without the B) or a plain number.

    Raises:
        ValueError: it is none of these.
    """
    match = re.fullmatch(r"\s*([0-9][0-9_]*\.?[0-9]*)\s*([A-Za-z]*)\s*", text)
    if not match or match[2].upper() not in _UNITS:
        raise ValueError(f"{text!r} is not a size such as 2GiB, 500MB or 1073741824")
    try:
        return int(float(match[1]) * _UNITS[match[2].upper()])
    except OverflowError:
        raise ValueError(f"a size of {some(len(match[1]), 'digit')} is none") from None


def _is_a(value: Any, kind: Any) -> bool:
    return isinstance(value, (int, float) if kind is float else kind) and (kind is bool or not isinstance(value, bool))


def _as(value: Any, kind: Any) -> Any:
    try:
        return kind(value)
    except OverflowError:  # a whole number of hundreds of digits
        return float("inf")


def brief(number: float) -> str:
    """A number; a whole one that fills the screen in powers of ten."""
    if isinstance(number, int) and abs(number) >= 10**30:
        return f"about {'-' if number < 0 else ''}10^{round((number.bit_length() - 1) * 0.30103)}"
    return str(number).removesuffix(".0")
