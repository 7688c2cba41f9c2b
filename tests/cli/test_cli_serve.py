"""`bench serve` without the packages that it needs."""

from __future__ import annotations

import sys

import pytest

from bench.errors import MissingError
from bench.registry import load
from bench.reporting import SilentReporter


@pytest.mark.parametrize("name", ["fastapi", "uvicorn"])
def test_a_package_that_is_missing_names_the_extra(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    from bench.serving.serve import ServeConfig, serve

    for module in [m for m in sys.modules if m.partition(".")[0] == name or m.startswith("bench.serving.app")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingError, match=r"pip install 'bench-suite\[serve\]'") as caught:
        serve(tmp_path, load(), ServeConfig(), SilentReporter())  # type: ignore[arg-type]
    assert caught.value.exit_code == 5
