"""Commands as a shell sees them: what they import, what goes to which stream, pipes, and unknown names that end at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "torch",
    "transformers",
    "peft",
    "datasets",
    "wandb",
    "mlflow",
    "accelerate",
    "bitsandbytes",
    "gptqmodel",
    "scipy",
    "rich",
)


def bench(*words: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "COLUMNS": "80", **environ}
    return subprocess.run(
        [sys.executable, "-m", "bench", *words], cwd=cwd, env=env, capture_output=True, text=True, timeout=120
    )


def imported_by(words: list[str], cwd: Path) -> set[str]:
    program = f"""
import sys
from bench.cli import main
code = main({words!r})
print("\\n" + " ".join([str(code), *(m for m in {HEAVY!r} if m in sys.modules)]), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=cwd, capture_output=True, text=True, timeout=120)
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("words", [["list"], ["list", "--json"], ["list", "tasks"], ["--help"], ["run", "--help"]])
def test_listing_imports_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    assert imported_by(words, tmp_path) == {"0"}


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--task", "2015-T41"],
        ["run", "--task", "2015-T14", "--arch", "A9"],
        ["run", "--task", "2015-T14", "--quant", "nf5"],
        ["run", "--task", "2015-T14", "--model", "minilm"],
        ["run", "--task", "2015-T14", "--head", "crf"],
        ["run", "--task", "2015-T14", "--tracker", "tensorboard"],
        ["run", "--task", "2015-T14", "--tracker", "none", "--tracker", "wandb"],
        ["run", "--task", "2015-T14", "--device", "tpu"],
        ["run", "--task", "2015-T14", "--data", "2015-T41=."],
        ["run", "--task", "2015-T14", "--data", "2015-T14=nowhere"],
        ["run", "--task", "2015-T14", "--quant", "none", "--quant-when", "load", "--head", "x"],
    ],
)
def test_bad_names_end_before_anything_heavy_is_imported(words: list[str], tmp_path: Path) -> None:
    assert imported_by(words, tmp_path) == {"2"}
    assert not list(tmp_path.iterdir())


def test_suggestions_reach_the_terminal(tmp_path: Path) -> None:
    done = bench("run", "--task", "2015-T41", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "error: Unknown task '2015-T41'. Did you mean '2015-T14' or '2016-T12'?\nRun 'bench list tasks'.\n"


def test_piped_output_is_plain_and_unwrapped(tmp_path: Path) -> None:
    done = bench("list", cwd=tmp_path)
    assert "\x1b" not in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["architectures"] in rows
    (a4,) = [row for row in rows if row[:1] == ["A4"]]
    assert a4[2] == "bench-suite"


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "bench", "list", "--json"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_doctor_tells_no_secrets(tmp_path: Path) -> None:
    home = tmp_path / "home" / "jane-doe"
    home.mkdir(parents=True)
    (home / ".netrc").write_text("machine api.wandb.ai\n  login user\n  password 0123456789secret\n")
    (tmp_path / "phi" / "2015-T14").mkdir(parents=True)
    (tmp_path / "cache" / "bench" / "concepts" / "0f").mkdir(parents=True)
    (tmp_path / "cache" / "bench" / "concepts" / "0f" / "names.npy").write_bytes(bytes(3 << 20))
    done = bench(
        "doctor", cwd=tmp_path, HOME=str(home), USER="jane-doe", WANDB_API_KEY="k3y-of-jane", HF_TOKEN="hf_secret",
        BENCH_DATA=str(tmp_path / "phi"), XDG_CACHE_HOME=str(tmp_path / "cache"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "3.0 MiB of names of concepts; to clear it: rm -r $XDG_CACHE_HOME/bench/concepts" in done.stdout
    assert "0 B of encoded corpora\n" in done.stdout
    for secret in ("jane-doe", "0123456789secret", "k3y-of-jane", "hf_secret", os.uname().nodename, str(tmp_path)):
        assert secret not in done.stdout + done.stderr
    lines = {
        line.split("  ")[1].strip() + "|" + " ".join(line.split()[1:]) for line in done.stdout.splitlines() if line[:2] == "  "
    }
    assert "ok|1 of them below BENCH_DATA: 2015-T14" in lines
    assert "ok|wandb login yes" in lines


def test_doctor_as_json_compares_with_the_pins(tmp_path: Path) -> None:
    from importlib.metadata import version

    from bench.cli.doctor import pins

    done = bench("doctor", "--json", cwd=tmp_path)
    findings = {(f["section"], f["name"]): f for f in json.loads(done.stdout)["findings"]}
    numpy = findings["packages", "numpy"]
    assert numpy["found"].startswith(version("numpy"))
    assert (numpy["state"] == "ok") == (version("numpy") == pins()["numpy"])
    assert findings["interpreter", "python"]["found"].startswith(".".join(map(str, sys.version_info[:3])))
