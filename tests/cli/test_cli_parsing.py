"""The command line's manners: flags to a configuration, sizes, suggestions, exit codes, and no traceback."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli import BUG, COMMANDS, EXIT_CODES, main
from bench.cli import run as run_command
from bench.cli.parser import Parser, parse, size, whole
from bench.config import RunConfig
from bench.errors import UsageError
from bench.hooks import hookimpl
from bench.registry import KINDS, Registry, load
from bench.steps.names import written_out


def configure(words: list[str], environ: dict[str, str] | None = None, registry: Registry | None = None) -> RunConfig:
    parser = Parser(prog="bench run")
    run_command.configure(parser)
    args = parse(parser, words)
    assert args is not None
    config = run_command.configuration(args)
    return config if environ is None and registry is None else written_out(config, registry or load(), environ or {})


def test_no_flags_are_the_defaults() -> None:
    assert configure([]) == RunConfig()


def test_flags_as_they_are_spelt_arrive() -> None:
    words = [
        "--task=a", "--task=b", "--arch=X", "--rank=3", "--quant=q", "--quant-when=load", "--model=m", "--head=h", "--data=a=d",
        "--data=b=e", "--seed=7", "--replicate=2", "--steps=9", "--batch-tokens=64", "--micro-batch=32", "--max-length=99",
        "--lr=0.5", "--precision=fp32", "--device=cpu", "--memory-limit=2GiB", "--checkpoint-every=5", "--eval-every=6",
        "--max-hours=1.5", "--out=o", "--name=n", "--tracker=t", "--waive=smoke", "--waive=batch",
        "--task-set=clinical", "--sampling=temperature", "--temperature=3", "--loss-weighting=uncertainty",
        "--gradients=pcgrad", "--allow-leak", "--study=s", "--tolerate=b", "--tolerate=a",
        "--concepts=a=n", "--concepts=b=o", "--concept-language=GER",
        "--concept-sources=MSH", "--concept-sources=ICD10", "--schedule=s", "--schedule-option=k=2", "--schedule-option=l=3e1",
        "--teacher=r", "--teacher=q",
        "--shots=8", "--init-from=r", "--freeze-shared",
    ]  # fmt: skip
    config = configure(words)
    expected = RunConfig(
        task=("a", "b"), arch="X", rank=3, quant="q", quant_when="load", model="m", head="h", data={"a": "d", "b": "e"}, seed=7,
        replicate=2, steps=9, batch_tokens=64, micro_batch=32, max_length=99, lr=0.5, precision="fp32", device="cpu",
        memory_limit=2 * 1024**3, checkpoint_every=5, eval_every=6, max_hours=1.5, out="o", name="n", tracker=("t",),
        waive=("smoke", "batch"), task_set="clinical", temperature=3.0, loss_weighting="uncertainty", gradients="pcgrad",
        allow_leak=True, study="s", tolerate=("a", "b"), concepts={"a": "n", "b": "o"}, concept_language="GER",
        concept_sources=("MSH", "ICD10"), schedule="s", schedule_options={"k": 2.0, "l": 30.0},
        teacher=("r", "q"),
        shots=8, init_from="r", freeze_shared=True,
    )  # fmt: skip
    assert config == expected
    assert configure(["--loss-weight", "a=2", "--loss-weight", "b=0.5"]).loss_weights == {"a": 2.0, "b": 0.5}
    assert configure(["--sampling", "uniform"]).sampling == "uniform"
    assert configure(["--epochs", "2.5"]).epochs == 2.5
    assert configure(["--tokens", "1_000,000"]).tokens == 1_000_000
    assert configure(["--tokens-like", "r"]).tokens_like == "r"
    assert configure(["--train-resample", "3"]).train_resample == 3


def test_flags_win_over_the_file_and_a_budget_replaces_a_budget(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('task = ["a", "b"]\nepochs = 3\nrank = 4\nmemory-limit = "500MB"\n[data]\na = "x"\nb = "y"\n')
    config = configure(["--config", str(path), "--steps", "5", "--data", "b=z"])
    assert (config.task, config.rank, config.steps, config.epochs) == (("a", "b"), 4, 5, None)
    assert (config.memory_limit, config.data) == (500_000_000, {"a": "x", "b": "z"})
    assert configure(["--config", str(path), "--task", "c"]).task == ("c",)
    path.write_text('memory_limit = "lots"\n')
    with pytest.raises(UsageError, match="memory_limit: 'lots' is not a size"):
        configure(["--config", str(path)])


def domains(**tasks: str) -> Registry:
    """A registry with the reference task under other names, each of a domain."""
    registry = load([])
    reference = type(load().get("tasks", "2015-T14"))

    class Plugin:
        @hookimpl
        def bench_tasks(self) -> list[object]:
            return [
                type("Other", (reference,), {"name": name, "metadata": replace(reference.metadata, domain=domain)})()
                for name, domain in tasks.items()
            ]

    registry.add(Plugin(), "test:domains", "test")
    return registry


def test_a_set_of_tasks_is_written_out(tmp_path: Path) -> None:
    registry = domains(a="clinical", b="biomedical", c="clinical", d="")
    assert configure(["--task-set", "clinical"], registry=registry).task == ("a", "c")
    assert configure(["--task", "c", "--task", "b", "--task-set", "clinical"], registry=registry).task == ("c", "b", "a")
    path = tmp_path / "c.toml"
    path.write_text('task-set = "clinical"\n')
    assert configure(["--config", str(path)], registry=registry).task == ("a", "c")
    assert configure(["--config", str(path), "--task", "b"], registry=registry).task == ("b",)
    path.write_text('task = "b"\n')
    assert configure(["--config", str(path), "--task-set", "clinical"], registry=registry).task == ("a", "c")
    (tmp_path / "c").mkdir()
    found = configure(["--task-set", "clinical"], {"BENCH_DATA": str(tmp_path)}, registry)
    assert found.data == {"c": str(tmp_path / "c")}
    with pytest.raises(UsageError, match=r"Unknown set of tasks 'clinicl'\. Did you mean 'clinical'"):
        configure(["--task-set", "clinicl"], registry=registry)


def test_bench_data_fills_in_the_tasks_that_have_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "c").mkdir()
    environ = {"BENCH_DATA": str(tmp_path)}
    assert configure(["--task", "a", "--task", "b"], environ).data == {"a": str(tmp_path / "a")}
    assert configure(["--task", "a", "--data", "a=mine"], environ).data == {"a": str(Path("mine").absolute())}
    with pytest.raises(UsageError, match=r"BENCH_DATA is .* no folder"):
        configure(["--task", "a"], {"BENCH_DATA": str(tmp_path / "nowhere")})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1024", 1024),
        ("2GiB", 2 * 1024**3),
        ("2 gib", 2 * 1024**3),
        ("500MB", 500_000_000),
        ("1.5G", 3 * 1024**3 // 2),
        ("3K", 3072),
    ],
)
def test_sizes(text: str, value: int) -> None:
    assert size(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("-3", -3), ("200000", 200_000), ("200,000", 200_000), ("20_000", 20_000), ("200k", 200_000), ("2M", 2_000_000)],
)
def test_whole_numbers(text: str, value: int) -> None:
    assert whole(text) == value


@pytest.mark.parametrize("text", ["", "k", "M", "1.5", "1e6", "2kM", "2kk", "k2", "2K", "2G", "nan"])
def test_what_is_no_whole_number(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        whole(text)


@pytest.mark.parametrize("text", ["", "GB", "-1", "2XB", "1e9", "2 GiB/s", "nan"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        size(text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lst"], "Unknown command 'lst'. Did you mean 'list'"),
        (["frobnicate"], "Unknown command 'frobnicate'."),
        (["--verison"], "Unknown option '--verison'. Did you mean '--version'?"),
        (["run", "--tsk", "x"], "Unknown option '--tsk'. Did you mean '--task'"),
        (["run", "--rank", "x"], "--rank: 'x' is not a whole number, such as 200000 or 200k."),
        (["run", "--rank"], "--rank: expected one argument."),
        (["run", "--lr", "quick"], "--lr: 'quick' is not a number."),
        (["run", "--memory-limit", "2XB"], "--memory-limit: '2XB' is not a size such as 2GiB"),
        (["run", "--data", "x"], "--data: 'x' is not TASK=DIR, such as 2015-T14=corpus/."),
        (["run", "--batch", "3"], "Unknown option '--batch'."),
        (["run", "extra"], "'bench run' does not know what to do with 'extra'."),
        (["run"], "No task was named."),
        (["run", "--steps", "0", "--task", "x"], "--steps is 0; it must be at least 1."),
        (["run", "--steps", "5", "--epochs", "1", "--task", "x"], "A run has one budget; got --steps and --epochs."),
        (["run", "--config", "absent.toml"], "There is no configuration file absent.toml."),
        (["score", "2015-T14"], "'bench score' wants --gold and --pred."),
        (["list", "quantizr"], "Unknown kind 'quantizr'. Did you mean 'quantizers'"),
        (["show", "task"], "'bench show' wants NAME."),
        (["sync"], "'bench sync' wants RUN."),
    ],
)
def test_a_mistake_is_one_clear_line_and_exit_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.startswith("error: ")
    assert len(err.splitlines()) <= 2
    assert "Traceback" not in err


def test_help_lists_every_command_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out, _ = capsys.readouterr()
    for command in COMMANDS:
        assert f"\n  {command} " in out
    assert EXIT_CODES in out
    assert main([]) == 0
    assert capsys.readouterr().out == out
    for command in COMMANDS:
        assert main([command, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"usage: bench {command}")


@pytest.mark.parametrize(
    ("at", "told"),
    [
        ({"commit": None, "dirty": None}, ""),
        ({"commit": "0123456789abcdef", "dirty": False}, ", commit 0123456789ab"),
        ({"commit": "0123456789abcdef", "dirty": True}, ", commit 0123456789ab, changed since"),
    ],
)
def test_version(at: dict[str, object], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from bench import __version__
    from bench.results import environment

    monkeypatch.setattr(environment, "git", lambda: at)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"bench {__version__}{told}\n"


def raising(error: BaseException) -> object:
    def run(args: argparse.Namespace) -> int:
        raise error

    return run


def test_a_bug_names_the_place_and_never_a_value(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.cli import list_

    monkeypatch.setattr(list_, "run", raising(ValueError("could not parse 'patient John Doe'")))
    assert main(["list"]) == BUG
    err = capsys.readouterr().err
    assert "ValueError" in err
    assert "test_cli_parsing.py:" in err
    assert "John" not in err
    monkeypatch.setenv("BENCH_DEBUG", "1")
    assert main(["list"]) == BUG
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "error: Interrupted."),
        (OSError(28, "No space left on device", "runs/x"), 7, "error: Cannot write runs/x: No space left on device."),
        (PermissionError(13, "Permission denied", "runs"), 7, "error: Cannot write runs: Permission denied."),
        (OSError(5, "Input/output error"), BUG, "This is a bug in bench"),
        (ModuleNotFoundError("No module", name="torch.nn"), 5, "needs the package torch, which is not installed."),
        (ModuleNotFoundError("No module", name="bench.gone"), BUG, "This is a bug in bench"),
    ],
)
def test_what_ends_a_command_from_outside(
    error: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.cli import list_

    monkeypatch.setattr(list_, "run", raising(error))
    assert main(["list"]) == code
    assert message in capsys.readouterr().err


def test_json_of_list_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    listing = json.loads(capsys.readouterr().out)
    assert [*listing] == [*KINDS, "broken"]
    assert main(["list", "task", "--json"]) == 0
    assert [*json.loads(capsys.readouterr().out)] == ["tasks", "broken"]
