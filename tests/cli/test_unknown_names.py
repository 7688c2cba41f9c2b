"""A name that nothing carries, or several do, is a slip on the command line: exit code 2 from every command."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

from bench.cli import COMMANDS, main
from bench.errors import MissingError
from bench.registry import Registry

NONE = "no-such-name"
HEAVY = ("torch", "jinja2")
TASK = "ncbi-disease"
RUN = ["run", "--task", TASK, "--dry-run"]
PARTS = ("arch", "quant", "model", "head", "tracker", "schedule", "device")
RUNS = {
    "show": ["show", "run", "{run}"],
    "plan-power": ["plan-power", "{run}", "--effect", ".01"],
    "compare": ["compare", "{run}"],
    "verify": ["verify", "{run}"],
    "report": ["report", "{run}", "--runs", "runs"],
    "probe": ["probe", "{run}"],
    "predict": ["predict", "{run}", "texts", "--out", "found", "--runs", "runs"],
    "serve": ["serve", "{run}", "--runs", "runs"],
    "export": ["export", "{run}", "model", "--merge", "--runs", "runs"],
    "sync": ["sync", "{run}"],
    "run --resume": ["run", "--resume", "{run}"],
    "run --init-from": [*RUN, "--init-from", "{run}"],
    "run --teacher": [*RUN, "--schedule", "distill", "--teacher", "{run}"],
    "run --tokens-like": [*RUN, "--tokens-like", "{run}"],
}
"""Commands that take the name of a run; `runs` is where they look unless they say otherwise."""
STUDIES = {
    "study show": ["study", "show", "{study}"],
    "pool pack": ["pool", "pack", "{study}", "site.zip", "--site", "here"],
}
OTHERS = {
    "bench": [NONE],
    "list": ["list", NONE],
    "show": ["show", NONE, "x"],
    "show task": ["show", "task", NONE],
    "show study": ["show", "study", NONE],
    "run": ["run", "--task", NONE],
    **{f"run --{kind}": [*RUN, f"--{kind}", NONE] for kind in PARTS},
    "run --data": [*RUN, "--data", f"{TASK}={NONE}"],
    "run --data TASK": [*RUN, "--data", f"{NONE}=texts"],
    "run --config": ["run", "--config", NONE],
    "run --tokens-like TASK": [*RUN, "--tokens-like", f"ncbi-disease_a1:{NONE}"],
    "study": ["study", NONE, "--task", TASK],
    "study --task": ["study", "ablation", "--task", NONE],
    "study --launcher": ["study", "ablation", "--task", TASK, "--launcher", NONE],
    "study FILE": ["study", "sweep", NONE],
    "compare --by": ["compare", "runs", "--by", NONE],
    "compare --metric": ["compare", "ncbi-disease_a1_none_1", "ncbi-disease_a2", "--metric", NONE],
    "compare DIR": ["compare", "texts"],
    "verify --data": ["verify", "ncbi-disease_a1_none_1", "--data", f"{NONE}=texts"],
    "verify --signer": ["verify", "ncbi-disease_a1_none_1", "--signer", NONE],
    "verify --sign": ["verify", "ncbi-disease_a1_none_1", "--sign", NONE],
    "board --out": ["board", "--out", NONE],
    "board DIR": ["board", "--out", "texts"],
    "board --task": ["board", "--task", NONE],
    "board --arch": ["board", "--arch", NONE],
    "board --sort": ["board", "--sort", NONE],
    "board --where": ["board", "--where", f"{NONE}=1"],
    "pool": ["pool", NONE],
    "pool register": ["pool", "register", "out.json", "--site", "here", "--data", f"{NONE}=texts"],
    "report --runs": ["report", "--runs", NONE],
    "report DIR": ["report", "texts"],
    "report --task": ["report", "runs", "--task", NONE],
    "report --by": ["report", "runs", "--by", NONE],
    "contamination": ["contamination", NONE],
    "contamination --data": ["contamination", TASK, "--data", NONE],
    "score": ["score", NONE, "--gold", "texts", "--pred", "texts"],
    "score --gold": ["score", TASK, "--gold", NONE, "--pred", "texts"],
    "import-predictions": ["import-predictions", NONE, "texts", "--system", "s"],
    "import-predictions FILE": ["import-predictions", TASK, NONE, "--system", "s", "--data", f"{TASK}=bc"],
    "import-predictions --data": ["import-predictions", TASK, "texts", "--system", "s", "--data", f"{TASK}={NONE}"],
    "data": ["data", NONE, TASK, "texts", "out"],
    "data TASK": ["data", "prepare", NONE, "texts", "out"],
    "data RELEASE": ["data", "prepare", "2015-T14", NONE, "out"],
    "convert": ["convert", NONE, "out"],
    "check": ["check", NONE],
    "check FILE": ["check", f"{NONE}.toml"],
    "check --data": ["check", TASK, "--data", f"{TASK}={NONE}"],
    "doctor": ["doctor", "--selftest", "--device", NONE],
    "completion": ["completion", NONE],
}
NAMELESS = {"demo"}
"""Commands that take no name of anything that is to be there."""


@pytest.fixture(scope="module")
def place(made: ModuleType, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs and two studies whose names begin alike, and a folder that holds neither."""
    place = tmp_path_factory.mktemp("names")
    made.make(place / "runs", made.grid(2))
    for name in ("twin-one", "twin-two"):
        study = made.token_control(place / "runs", seeds=1)
        study.name = name
        study.save()
    registry.get("tasks", TASK).synthesize(place / "bc", 1, {"train": 2, "dev": 2, "test": 2})
    (place / "texts").mkdir()
    (place / "texts" / "a.txt").write_text("A made-up note.\n", encoding="utf-8")
    return place


REFS = {
    f"{name}, {how}": [word.format(run=run, study=study) for word in words]
    for how, run, study in (("unknown", NONE, NONE), ("ambiguous", f"{TASK}_a", "twin"))
    for name, words in (RUNS | STUDIES).items()
}


@pytest.mark.parametrize("words", [pytest.param(words, id=name) for name, words in (REFS | OTHERS).items()])
def test_a_name_that_nothing_or_several_carry_is_told_and_ends_with_2(
    words: list[str], place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    code, told = main(words), capsys.readouterr()
    if code == MissingError.exit_code and None in map(find_spec, HEAVY):
        pytest.skip("needs what is not installed here, which is told first")
    assert code == 2
    assert told.err.startswith("error: ")
    assert re.search(rf"{NONE}|is the beginning of \d|holds no run", told.err)


def test_every_command_that_takes_a_name_is_tried() -> None:
    assert {words[0] for words in (REFS | OTHERS).values()} - {NONE} == COMMANDS.keys() - NAMELESS
