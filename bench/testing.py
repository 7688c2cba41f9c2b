"""For the tests of a plugin: one pytest test per part and named check.

A plugin's whole conformance test::

    from bench.testing import conformance_suite

    test_conformance = conformance_suite("my-plugin")
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench.conformance import Case, Workbench, cases
from bench.registry import Registry, load

if TYPE_CHECKING:
    import pytest

__all__ = ["conformance_suite"]


def conformance_suite(
    *refs: str,
    registry: Registry | None = None,
    marks: Callable[[Case], list[pytest.MarkDecorator]] = lambda case: [],
    data: Mapping[str, Path] | None = None,
) -> Callable[[Case], None]:
    """A test function, parametrised by the checks of the parts that the references name; ids read ``tasks/NAME-privacy``.

    A check that needs a package which is not installed is skipped, with the command that installs it.

    Args:
        refs: as `bench check` takes them: a distribution, ``distribution:entry-point``, ``kind/name`` or a part's name.
        registry: where the parts are; what is installed where None.
        marks: further marks of a case, for suites that leave slow ones out.
        data: task to a folder with a small corpus, for tasks that write no synthetic one; checks that want it are skipped else.

    Raises:
        UsageError: nothing has such a name, or the plugin could not be loaded; pytest tells it while collecting.
    """
    import pytest

    known = registry or load()
    scratch = tempfile.TemporaryDirectory(prefix="bench-check-", ignore_cleanup_errors=True)
    bench = Workbench(known, Path(scratch.name), data)
    found = [case for ref in refs for case in cases(ref, known)]

    @pytest.mark.parametrize("case", [pytest.param(case, id=str(case), marks=marks(case)) for case in found])
    def test_conformance(case: Case) -> None:
        """One named check of one part."""
        result = case.run(bench)
        if result.missing:
            pytest.skip(result.detail)
        assert result.passed, f"{result.part} fails {result.name}: {result.detail}"

    test_conformance.scratch = scratch  # type: ignore[attr-defined]  # lives, and is cleaned up, with the test function
    return test_conformance
