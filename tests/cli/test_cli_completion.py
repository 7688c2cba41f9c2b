"""`bench completion`: bash itself asks, as it does when the Tab key is pressed, and gets commands, flags, parts and runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench import cli
from bench.cli.completion import SHELLS
from bench.registry import KINDS, load, singular

ASK = """
eval "$(bench completion bash)"
COMP_LINE="$1" COMP_POINT=${#1} COMP_TYPE=9 COMPREPLY=()
_python_argcomplete bench
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def bash(tmp_path: Path) -> Path:
    """A folder of runs, and `bench` on the PATH as this interpreter's."""
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    command = tmp_path / "bin" / "bench"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -X importtime -m bench "$@" 2>>"{tmp_path}/imported"\n')
    command.chmod(0o755)
    for name in ("ncbi-disease_a1_none_0123456789ab", "bc5cdr_a2_nf4_0123456789ab"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "journal.jsonl").write_text("")
    (tmp_path / "runs" / "report").mkdir()
    return tmp_path


def completed(folder: Path, line: str) -> list[str]:
    """What bash would offer after a line."""
    env = {
        **os.environ,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    done = subprocess.run(
        ["bash", "--norc", "-c", ASK, "bash", line], cwd=folder, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return sorted(word.strip() for word in done.stdout.split("\n") if word.strip())


def names(kind: str, beginning: str = "") -> list[str]:
    return sorted(entry.name for entry in load().entries(kind) if entry.name.startswith(beginning))


def test_commands_and_flags(bash: Path) -> None:
    assert completed(bash, "bench ") == sorted(cli.COMMANDS)
    assert completed(bash, "bench co") == ["compare", "completion", "contamination", "convert"]
    assert completed(bash, "bench run --sch") == ["--schedule", "--schedule-option"]
    assert completed(bash, "bench completion ") == sorted(SHELLS)


def test_parts_by_the_flag_that_takes_them(bash: Path) -> None:
    assert completed(bash, "bench run --arch A4") == names("architectures", "A4")
    assert completed(bash, "bench run --task 2015-T14 --quant ") == names("quantizers")
    assert completed(bash, "bench run --data nc") == [f"{name}=" for name in names("tasks", "nc")]
    assert completed(bash, "bench study ") == sorted([*names("studies"), "show"])
    assert completed(bash, "bench list ") == sorted(KINDS)
    assert completed(bash, "bench show ") == sorted([*map(singular, KINDS), "run"])
    assert completed(bash, "bench show schedule ") == names("schedules")
    assert completed(bash, "bench score nc") == names("tasks", "nc")


def test_runs_of_the_folder_that_is_named(bash: Path) -> None:
    both = ["bc5cdr_a2_nf4_0123456789ab", "ncbi-disease_a1_none_0123456789ab"]
    assert completed(bash, "bench predict ") == both
    assert completed(bash, "bench run --resume bc") == both[:1]
    assert completed(bash, "bench show run ") == both
    (bash / "runs").rename(bash / "elsewhere")
    assert completed(bash, "bench predict ") == []
    assert completed(bash, "bench compare --out elsewhere ") == both
    assert completed(bash, "bench serve --runs elsewhere n") == both[1:]


def test_it_loads_nothing_heavy(bash: Path) -> None:
    assert completed(bash, "bench run --task bc") == names("tasks", "bc")
    imported = {line.rpartition("|")[2].strip() for line in (bash / "imported").read_text().splitlines()}
    assert "argcomplete" in imported
    assert not {"torch", "transformers", "numpy", "scipy", "rich"} & imported


def test_each_shell_has_lines_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    told = {}
    for shell in SHELLS:
        assert cli.main(["completion", shell]) == 0
        told[shell] = capsys.readouterr().out
    assert "complete -o nospace -o default -o bashdefault -F _python_argcomplete bench" in told["bash"]
    assert "compdef _python_argcomplete bench" in told["zsh"]
    assert "complete --command bench" in told["fish"]
    assert cli.main(["completion", "csh"]) == 2
