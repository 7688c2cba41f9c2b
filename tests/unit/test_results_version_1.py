"""Results of before scores were flat: a real one, shortened, and what every reader makes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.cli import BUG, main
from bench.errors import RunStateError
from bench.pages.board import entries
from bench.results.schema import Result
from bench.results.store import read_result
from bench.results.version_1 import from_version_1

OLD = Path(__file__).parent / "results" / "version-1.json"
TASKS = ("2015-T14", "bc5cdr")


def old() -> dict[str, Any]:
    value: dict[str, Any] = json.loads(OLD.read_text(encoding="utf-8"))
    return value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / str(old()["id"])
    place.mkdir()
    (place / "result.json").write_bytes(OLD.read_bytes())
    return place


def leaves(node: Mapping[str, Any], *names: str) -> list[tuple[tuple[str, ...], Any]]:
    found = []
    for name, value in node.items():
        found += leaves(value, *names, name) if isinstance(value, Mapping) else [((*names, name), value)]
    return found


def test_every_score_and_interval_is_there_under_its_dotted_name() -> None:
    new, count = Result.from_json(old()), 0
    for task in TASKS:
        before, after = old()["scores"][task], new.scores[task]
        stages = [(before[stage], after.stages[stage]) for stage in ("trained", "quantized")]
        stages += [(before[kind][name], getattr(after, kind)[name]) for kind in ("dev", "baselines") for name in before[kind]]
        for nested, flat in stages:
            wanted = {}
            for (*group, name), value in leaves(nested):
                last = ("f1", "ci95") if name == "ci95" else (name,)
                wanted[".".join((*group, *last))] = tuple(value) if isinstance(value, list) else value
            assert flat == wanted
            count += len(wanted)
    assert count > 200
    assert new.scores["2015-T14"].quantized["task1.strict.f1.ci95"] == new.headline.ci95  # type: ignore[index]


def test_the_rest_is_as_it_was_and_it_is_written_as_version_2() -> None:
    new = Result.from_json(old())
    assert Result.from_json(new.to_json()) == new
    assert new.to_json()["schema_version"] == 2
    assert new.invariants.tokens.total == old()["invariants"]["tokens"]["total"]
    assert new.invariants.parity.own is not None
    assert new.invariants.smoke.status == "waived"
    assert new.macro is not None
    assert [row.task for row in new.macro.tasks] == list(TASKS)
    assert not new.extra
    known = dict(leaves({name: value for name, value in old().items() if name not in ("scores", "schema_version")}))
    told = dict(leaves(new.to_json()))
    assert {path: told.get(path) for path in known} == known


def test_an_interval_stood_beside_the_primary_metric_else_f1() -> None:
    value = old()
    scores: dict[str, Any] = {
        "accuracy": 0.5,
        "ci95": [0.4, 0.6],
        "f1": 0.3,
        "f1_ci95": [0.2, 0.4],
        "by_class": {"1": {"f1": 0.1, "ci95": None}},
    }
    value["headline"] |= {"task": "2015-T14", "metric": "accuracy"}
    value["scores"]["2015-T14"]["best"] = {"step": 3, "tokens": 9, "scores": scores}
    assert from_version_1(value)["scores"]["2015-T14"]["best"] == {
        "step": 3, "tokens": 9,
        "scores": {"accuracy": 0.5, "accuracy.ci95": [0.4, 0.6], "f1": 0.3, "f1.ci95": [0.2, 0.4], "by_class.1.f1": 0.1,
                   "by_class.1.f1.ci95": None},
    }  # fmt: skip
    assert Result.from_json(value).scores["2015-T14"].best.step == 3  # type: ignore[union-attr]


def test_the_commands_read_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_result(folder).headline.metric == "task1.strict.f1"
    assert main(["show", "run", str(folder), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["schema_version"] == 2
    name = "scores.bc5cdr.quantized.strict.f1"
    assert main(["show", "run", str(folder)]) == 0
    assert "bc5cdr, quantized" in capsys.readouterr().out
    (entry,) = entries(folder.parent, whole=True)
    assert (entry.state, entry.field(name)) == ("finished", shown["scores"]["bc5cdr"]["quantized"]["strict.f1"])
    assert main(["board", "--out", str(folder.parent), "--sort", name, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row[name] == entry.field(name) > 0


def test_a_damaged_one_is_one_message(folder: Path) -> None:
    for name, odd, says in (("scores", {"2015-T14": 3}, "no object"), ("headline", {"task": "x"}, "it lacks metric")):
        with pytest.raises(RunStateError, match=f"schema version 1 promises: .*{says}"):
            Result.from_json(old() | {name: odd})
        (folder / "result.json").write_text(json.dumps(old() | {name: odd}))
        assert [entry.state for entry in entries(folder.parent, whole=True)] == ["damaged"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("headline", "value"), None), (("headline", "metric"), ...), (("headline", "task"), ...), (("headline",), []),
        (("macro",), 3), (("config", "resolved"), None), (("waivers",), None), (("config",), 1), (("hashes", "data"), None),
        (("versions", "parts"), None), (("config", "seed"), "zz"), (("scores",), {}), (("headline", "task"), "none of them"),
    ],
)  # fmt: skip
def test_one_odd_result_takes_no_command_down(
    folder: Path, place: tuple[str, ...], value: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """``...``: the key is missing."""
    whole = Result.from_json(old()).to_json()
    for version in (whole, old()):
        changed = json.loads(json.dumps(version))
        parent = changed
        for name in place[:-1]:
            parent = parent[name]
        parent.pop(place[-1]) if value is ... else parent.update({place[-1]: value})
        (folder / "result.json").write_text(json.dumps(changed) + "\n", encoding="utf-8")
        assert main(["board", "--out", str(folder.parent)]) == 0
        page = ["report", str(folder), "--out", str(folder.parent / "page")]
        for words in (["show", "run", str(folder)], ["compare", str(folder), str(folder)], page):
            assert main(words) != BUG, words
        assert "bug in bench" not in capsys.readouterr().err
