"""Any words after `bench`: an exit code that `bench --help` lists, one message, and never "a bug in bench"."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

from bench.registry import load

TASK = "2015-T14"
Draw = Callable[[random.Random, str], list[str]]

NUMBERS = [
    "0", "1", "-1", "2", "3", "16", "64", "-0", "1e3", "0.5", "-0.5", "1e-300", "1e308", "1e309", "nan", "inf",
    "-inf", "+7", "1_000",
    "1,000", "999999999999999999999999", "9" * 400, "9" * 5000, str(2**31), str(2**63), str(2**64), "0x10", "١٢", "",
    " ", "three",
]  # fmt: skip
TEXTS = [
    "", " ", ".", "..", "/", "~", "~nobody/x", "-", "--", "a b", "O'Neil", 'say "x"', "o7?a", "o4%20y", "a\nb",
    "a\tb", "\x1b[31mred",
    "\udc80\udcff", "ü/ö", "名前", "x" * 300, "a/" * 200, "{run}", "%s", "$HOME", "*", "[x]", "[/b]", "a=b", "a:b",
    ":", "\x00", "NaN",
    "none", "None", "auto", "cpu", "cuda:99", "true", "A1", "a1", TASK, "tiny-bert", "runs", "config.toml",
    "no/such", "org/name",
    "org/name@main", "corpus", "file.txt", "task.toml", "odd.json",
]  # fmt: skip
CHOICES = {
    "--task": [TASK, TASK, TASK, "2017-T3-A", "ncbi-disease", "gad", "task.toml"],
    "--task-set": ["clinical", "biomedical", "nothing"], "--arch": ["A1", "A2", "A3", "A4"], "--head": ["bio",
    "span", "classify"],
    "--quant": ["none", "rtn", "int8", "nf4", "gptq", "awq"], "--quant-when": ["load", "after"],
    "--model": ["tiny-bert", "tiny-llama", "model"], "--data": [f"{TASK}=corpus", f"{TASK}=.", "=", f"{TASK}=file.txt"],
    "--tokens-like": ["RUN", f"RUN:{TASK}", "RUN:"], "--sampling": ["proportional", "uniform", "temperature"],
    "--loss-weighting": ["equal", "uncertainty"], "--gradients": ["plain", "pcgrad"], "--precision": ["fp32", "bf16", "auto"],
    "--device": ["cpu", "cuda", "auto", "cuda:0"], "--memory-limit": ["2GiB", "1B", "500MB", "1e9", "0"],
    "--out": ["runs", "new"],
    "--name": ["n"], "--study": ["s"], "--tracker": ["none", "wandb", "mlflow"], "--config": ["config.toml", "odd.toml"],
    "--resume": ["RUN"], "--waive": ["smoke", "parity", "tokens", "batch", "checkpoint"],
}  # fmt: skip
NUMERIC = [
    "--rank", "--seed", "--replicate", "--max-length", "--steps", "--epochs", "--tokens", "--lr", "--batch-tokens",
    "--micro-batch",
    "--eval-every", "--checkpoint-every", "--temperature", "--max-hours",
]  # fmt: skip
READS = ["compare", "report", "board", "show", "score", "check", "sync", "list", "probe", "contamination"]
BARE = ["--allow-leak", "--json"]


@pytest.fixture
def ground(tmp_path: Path, made: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to type in: a corpus, finished, damaged and unfinished runs, a model, and odd files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")))
    load().get("tasks", TASK).synthesize(tmp_path / "corpus", 3, {"train": 2, "dev": 1, "test": 1})
    made.make(tmp_path / "runs", made.grid(8, tasks=("ncbi-disease",), documents=6))
    made.make(tmp_path / "runs", [made.Made((TASK,), seed=9, quant="rtn")])
    shutil.copytree(load().get("models", "tiny-bert").folder(tmp_path / "models"), tmp_path / "model")
    (tmp_path / "file.txt").write_bytes(b"\xff\x00text")
    (tmp_path / "odd.json").write_text("[1, {}]")
    (tmp_path / "odd.toml").write_bytes(b"\xff[")
    return tmp_path


def toml(draw: random.Random) -> str:
    """A configuration file with keys of any type."""
    values = [
        "1",
        "-1",
        "1e400",
        "nan",
        "true",
        '"x"',
        '""',
        "[]",
        '["a"]',
        "[1]",
        "{}",
        "{a = 1}",
        "1979-05-27",
        f'["{TASK}"]',
    ]
    keys = [flag[2:] for flag in (*CHOICES, *NUMERIC, "--allow-leak")] + ["", "nonsense", "memory_limit"]
    lines = [f'"{draw.choice(keys)}" = {draw.choice(values)}' for _ in range(draw.randrange(4))]
    return "\n".join(lines)


def spoiled(draw: random.Random, runs: Path) -> None:
    """Changes one file of one run: a value of its JSON, or its bytes."""
    files = sorted(path for path in runs.rglob("*") if path.is_file() and path.suffix in (".json", ".jsonl"))
    path = draw.choice(files)
    try:
        at = value = json.loads(path.read_bytes())
    except ValueError:  # a journal, or spoiled before
        value = None
    if value is not None and draw.random() < 0.8:
        for _ in range(draw.randrange(1, 5)):
            if not isinstance(at, (dict, list)) or not at:
                break
            key = draw.choice(list(at) if isinstance(at, dict) else range(len(at)))
            inner = at[key]
            if not isinstance(inner, (dict, list)) or not inner or draw.random() < 0.3:
                odd = [None, 0, -1, 1e308, "x", [], {}, True, [1], {"a": 1}, "\x1b[31m", "NaN", 10**30]
                at[key] = draw.choice(odd)
                if draw.random() < 0.2:
                    del at[key]
                break
            at = inner
        path.write_text(json.dumps(value))
    else:
        content = path.read_bytes()
        cut = draw.randrange(len(content) + 1)
        path.write_bytes(draw.choice([content[:cut], content[:cut] + b"\xff" + content[cut + 1 :], b"", b"null", b"[]\n"]))


def value_of(draw: random.Random, flag: str, run: str) -> str:
    """A value: mostly one that could be meant."""
    pool = CHOICES.get(flag, ["1", "3", "16", "64"])
    if draw.random() < 0.35:
        pool = NUMBERS if flag in NUMERIC or draw.random() < 0.2 else TEXTS
    return draw.choice(pool).replace("RUN", run)


def run_words(draw: random.Random, run: str) -> list[str]:
    """`bench run --dry-run` with a few flags."""
    words = ["run", "--dry-run"]
    if draw.random() < 0.9:
        words += ["--task", TASK, "--data", f"{TASK}=corpus", "--model", "tiny-bert"]
    for flag in draw.sample([*CHOICES, *NUMERIC, *BARE], draw.randrange(1, 5)):
        words += [flag] if flag in BARE else [flag, value_of(draw, flag, run)]
    return words


def study_words(draw: random.Random, run: str) -> list[str]:
    """`bench study` with nothing that a dry run would be asked of."""
    kinds = ["token-control", "ablation", "quantization", "transfer", "sweep", "show", *TEXTS]
    words = ["study", draw.choice(kinds), *draw.choice([[], [draw.choice(TEXTS)], ["config.toml"]]), *run_words(draw, run)[1:]]
    own = {"--seeds": NUMBERS, "--set": TEXTS, "--margin": NUMBERS, "--jobs": NUMBERS, "--launcher": TEXTS, "--option": TEXTS}
    for flag in draw.sample([*own], draw.randrange(1, 3)):
        words += [flag, draw.choice(own[flag])]
    return [*words, "--tokens", "-1"] if draw.random() < 0.8 else words


def meant(draw: random.Random, *good: str) -> str:
    """One of what could be meant, or now and then anything."""
    return draw.choice(good) if draw.random() < 0.8 else draw.choice(TEXTS)


def other_words(draw: random.Random, run: str) -> list[str]:
    """A command that reads."""
    command = meant(draw, *READS)
    field = meant(draw, "arch", "seed", "value", "state", "lr", "invariants.tokens.total", "task", "x.y", "quant", "headline")
    ref = meant(draw, run, run[:14], "runs", "runs/" + run)
    flags = {"--out": meant(draw, "runs"), "--json": None}
    words = [command]
    if command == "compare":
        words += [ref, meant(draw, "runs", run), "--resamples", draw.choice(["50", "50", "50", "0", "-1", "x"])]
        flags |= {"--by": field, "--allow": field, "--metric": meant(draw, "strict.f1"), "--split": meant(draw, "test", "dev")}
    elif command == "report":
        words += draw.choice([[], [ref], ["runs"], [ref, run]])
        flags = {"--by": field, "--allow": field, "--json": None, "--runs": meant(draw, "runs")}
        flags |= {"--task": meant(draw, "ncbi-disease", TASK), "--out": meant(draw, "report", "file.txt")}
    elif command == "board":
        flags |= {"--task": meant(draw, "ncbi-disease", TASK), "--arch": meant(draw, "A1", "A2"), "--sort": field + ":desc"}
        flags |= {"--where": f"{field}={meant(draw, *NUMBERS[:8], 'A1', 'none')}"}
    elif command == "show":
        words += [meant(draw, "run", "run", "run", "task", "model", "quantizer"), meant(draw, ref, TASK, "rtn", "tiny-bert")]
    elif command == "score":
        path = ["corpus/test", "corpus/train", "corpus", "file.txt", "odd.json"]
        words += [meant(draw, TASK, "iob", "brat", "gad", "ncbi-disease", "task.toml", "2017-T3-A", "2014-T7")]
        words += ["--gold", meant(draw, *path), "--pred", meant(draw, *path)]
        flags = {"--json": None}
    elif command == "check":
        odd = [text for text in TEXTS if text[:1] not in "a1ART2t"]  # a plugin's checks take minutes
        words, flags = [command, draw.choice(["task.toml", "task.toml", "odd.toml", "file.txt", *odd])], {}
    elif command == "contamination":
        words += [meant(draw, TASK, "gad")]
        flags = {"--data": meant(draw, "corpus"), "--documents": draw.choice(NUMBERS), "--control": meant(draw, "corpus/test")}
        flags |= {"--model": meant(draw, "model", "tiny-bert", "tiny-llama", "org/name")}
    else:
        words += [ref]
    for flag in draw.sample([*flags], draw.randrange(len(flags) + 1)):
        value = flags[flag]
        words += [flag] if value is None else [flag, value]
    return words


@pytest.fixture
def case(ground: Path) -> Callable[..., Callable[[random.Random], tuple[str, list[str]]]]:
    """Makes what readies a case: whole runs of which a few files are spoiled, odd configurations, and words of given kinds."""
    run = min(path.name for path in (ground / "runs").iterdir())
    whole = ground / "whole"
    for name in ("runs", "corpus"):
        shutil.move(ground / name, whole / name)

    def of(*kinds: Draw) -> Callable[[random.Random], tuple[str, list[str]]]:
        def prepare(draw: random.Random) -> tuple[str, list[str]]:
            for name in ("runs", "corpus"):
                shutil.rmtree(ground / name, ignore_errors=True)
                shutil.copytree(whole / name, ground / name)
            (ground / "config.toml").write_text(toml(draw))
            (ground / "task.toml").write_text(toml(draw))
            for _ in range(draw.randrange(3)):
                spoiled(draw, ground / "runs")
            return "", draw.choice(kinds)(draw, run)

        return prepare

    return of


def test_words_of_a_run_quickly(case: Any, fuzz: Any) -> None:
    fuzz(case(run_words), 8)


def test_words_that_read_quickly(case: Any, fuzz: Any) -> None:
    fuzz(case(other_words), 35)


@pytest.mark.nightly
def test_any_words(case: Any, fuzz: Any) -> None:
    fuzz(case(run_words, run_words, study_words, other_words))
