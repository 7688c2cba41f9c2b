"""Conformance: one named list of checks that every part is held against, by ``bench check`` and by pytest alike.

`bench check PLUGIN` and `bench.testing.conformance_suite` run the same cases, on tiny models and synthetic corpora that the
parts make themselves. First-party parts are held to the same list as a third party's. Parts, and checks, that need a package
which is not installed are reported with the command that installs it, and never as passed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.conformance.cases import CHECKS, Case, CheckResult, cases, checks_of
from bench.conformance.workbench import Workbench
from bench.registry import Registry

__all__ = ["CHECKS", "Case", "CheckResult", "Workbench", "cases", "check", "checks_of"]


def check(
    ref: str,
    registry: Registry,
    advance: Callable[[CheckResult], None] = lambda result: None,
    data: Mapping[str, Path] | None = None,
) -> list[CheckResult]:
    """Runs every check that applies to the parts that a reference names.

    Args:
        ref: a part's name, ``kind/name``, a plugin ``distribution:entry-point``, or a distribution.
        registry: where the parts are looked up, and which supplies the tiny models they are tried on.
        advance: told every result as it comes.
        data: task to a folder with a corpus, for tasks that write no synthetic one; without it most of their checks do not run.

    Returns:
        One result a check, part by part, in the order of `CHECKS`.

    Raises:
        UsageError: nothing has that name, or the plugin could not be loaded.
    """
    results = []
    with tempfile.TemporaryDirectory(prefix="bench-check-") as folder:
        bench = Workbench(registry, Path(folder), data)
        for case in cases(ref, registry):
            results.append(case.run(bench))
            advance(results[-1])
    return results
