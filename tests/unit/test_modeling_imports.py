"""What a run imports before it starts: no more than it uses, and nothing is changed for what comes after."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

from importlib.util import find_spec

from bench.modeling.noise import hidden

CODE = """
import json, sys, importlib.util
import torch
before = torch.compile
from bench.modeling.noise import UNUSED, import_heavy
import_heavy()
import peft.import_utils as peft
print(json.dumps({
    "imported": [name for name in (*UNUSED, "networkx", "mlflow", "wandb", "sklearn") if name in sys.modules],
    "hidden": [name for name in (*UNUSED, "bitsandbytes") if name in sys.modules and sys.modules[name] is None],
    "there": {name: importlib.util.find_spec(name) is not None for name in (*UNUSED, "bitsandbytes")},
    "peft": {"gptqmodel": peft.is_gptqmodel_available(), "bitsandbytes": peft.is_bnb_4bit_available()},
    "compile": torch.compile is before,
}))
"""


def test_what_no_run_uses_is_neither_imported_nor_lost() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["imported"] == []
    assert found["hidden"] == []
    assert found["there"] == {name: find_spec(name) is not None for name in found["there"]}
    assert found["peft"] == {"gptqmodel": False, "bitsandbytes": found["there"]["bitsandbytes"]}
    assert found["compile"]


def test_hidden_packages_come_back_and_imported_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "this", raising=False)
    with hidden(("this", "json")):
        assert find_spec("this") is None
        with pytest.raises(ModuleNotFoundError):
            __import__("this")
        assert sys.modules["json"] is json
    assert find_spec("this") is not None
    assert "this" not in sys.modules
