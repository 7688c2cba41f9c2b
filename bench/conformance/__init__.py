"""Conformance: one list of named checks for every part, run by ``bench check`` and by pytest.

`bench check PLUGIN` and `bench.testing.conformance_suite` run the same cases, on tiny models and synthetic corpora that the
parts make themselves. First-party parts pass the same list as those of a third party. A check that needs a package which is
not installed is reported with the command that installs it, never as passed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from bench.conformance.cases import CHECKS, Case, CheckResult, cases, checks_of
from bench.conformance.workbench import Workbench
from bench.registry import Registry

__all__ = ["CHECKS", "Case", "CheckResult", "Workbench", "cases", "check", "checks_of"]


def check(ref: str, registry: Registry, data: Mapping[str, Path] | None = None) -> list[CheckResult]:
    """Runs every check of the parts that a reference names; gives a result each, part by part, in the order of `CHECKS`.

    Args:
        ref: a part's name, ``kind/name``, a plugin ``distribution:entry-point``, or a distribution.
        registry: has the parts, and the tiny models for the checks.
        data: task to a folder with a corpus, for tasks without a synthetic one; else most of their checks do not run.

    Raises:
        UsageError: nothing has that name, or the plugin could not be loaded.
    """
    with tempfile.TemporaryDirectory(prefix="bench-check-") as folder:
        bench = Workbench(registry, Path(folder), data)
        return [case.run(bench) for case in cases(ref, registry)]
