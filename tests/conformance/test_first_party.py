"""Every registered first-party part is held to the whole list of checks."""

from __future__ import annotations

import pytest

from bench.conformance import CHECKS, Case, checks_of
from bench.registry import FIRST_PARTY, KINDS, Registry, load
from bench.testing import conformance_suite

REGISTRY = load()
if not any(REGISTRY.entries(kind) for kind in KINDS):
    pytest.skip("bench is not installed here, so it has no parts", allow_module_level=True)

test_conformance = conformance_suite(FIRST_PARTY, registry=REGISTRY)


def test_every_part_has_all_checks_of_its_kind(registry: Registry) -> None:
    mark = next(m for m in test_conformance.pytestmark if m.name == "parametrize")  # type: ignore[attr-defined]
    held: dict[str, list[str]] = {}
    for parameter in mark.args[1]:
        case: Case = parameter.values[0]
        held.setdefault(case.part, []).append(case.check)
    wanted = {
        f"{kind}/{entry.name}": list(checks_of(kind))
        for kind in KINDS
        for entry in registry.entries(kind)
        if entry.distribution == FIRST_PARTY
    }
    assert held == wanted
    assert {name for kind in KINDS for name in checks_of(kind)} == set(CHECKS)
