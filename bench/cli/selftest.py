"""`bench doctor --selftest`: short runs with tiny models that show whether what a device is needed for works on this machine.

Every check is a run of `bench.runner` in a temporary folder, on generated text. A GPU needs two or three minutes, a CPU one or
two. What it prints holds no names and can be pasted into a bug report or into docs/performance.md.
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from traceback import extract_tb
from typing import Any, Literal

from bench import __version__
from bench.config import RunConfig
from bench.errors import BenchError, Interrupted
from bench.registry import Registry
from bench.reporting import SilentReporter
from bench.results.display import size
from bench.results.environment import hardware, installed
from bench.results.layout import ADAPTERS
from bench.results.schema import Result
from bench.results.store import read_result
from bench.wording import some

Verdict = Literal["ok", "failed", "absent"]
TASK = "2015-T14"
FITS = 1.5
"""Times the planned memory that a run may take."""
CLOSE = 1e-2
"""Relative difference of trained weights after a resume on a GPU; on a CPU there is none."""


class NotSoError(BenchError):
    """A check that ran and did not see what it had to see."""


@dataclass(frozen=True)
class Check:
    """What a check came to: its verdict, what it saw, the next move where it failed, and the seconds it took."""

    name: str
    verdict: Verdict
    saw: str
    fix: str = ""
    seconds: float = 0.0


@dataclass
class SelfTest:
    """The checks of one device.

    Args:
        registry: the plugins.
        device: such as ``auto``, ``cpu`` or ``cuda:1``.
        folder: for corpus and runs.
    """

    registry: Registry
    device: str
    folder: Path
    _results: dict[str, Result] = field(default_factory=dict)

    def checks(self) -> Iterator[Check]:
        """Runs every check; one that fails does not keep the others from running."""
        self.registry.get("tasks", TASK).synthesize(self.folder / "corpus", 3, {"train": 12, "dev": 3, "test": 3})
        checks: tuple[tuple[str, Callable[[], str]], ...] = (
            ("forward and backward", self.forward),
            ("gates", self.gates),
            ("batch search", self.batch_search),
            ("memory against the plan", self.memory),
            ("gradient checkpointing, two passes", self.checkpointing),
            ("8-bit optimizer", self.optimizer),
            ("nf4", lambda: self.quantized("nf4")),
            ("gptq", lambda: self.quantized("gptq")),
            ("resume", self.resume),
        )
        for name, check in checks:
            started = time.monotonic()
            found = self._verdict(name, check)
            yield replace(found, seconds=round(time.monotonic() - started, 1))

    def forward(self) -> str:
        """A run of the plainest kind: its losses are finite, and the model saw the tokens that were counted."""
        result = self._run("plain")
        tokens = result.invariants.tokens
        _hold(bool(tokens.total) and not tokens.disagreements, f"{some(tokens.disagreements, 'update')} counted other tokens.")
        training, count = result.training, some(tokens.total or 0, "token")
        return f"{count} at {training.tokens_per_second or 0:,.0f} a second, attention {training.attention}"

    def gates(self) -> str:
        """Every trained tensor got a gradient and moved, and the arms hold as many parameters as planned."""
        smoke, parity = self._run("plain").invariants.smoke, self._run("plain").invariants.parity
        dead = sum(map(len, smoke.dead.values()))
        _hold(dead == 0, f"{some(dead, 'trained tensor')} got no gradient.", "Run it with --device cpu: does it pass there?")
        _hold(parity.holds is True, f"parity does not hold: {parity.problem}")
        falls = ", ".join(f"{before:.2f} to {after:.2f}" for before, after in smoke.loss.values())
        return f"no dead tensor, loss {falls} in the smoke test"

    def batch_search(self) -> str:
        """The search ended within its limit."""
        batch = self._run("plain").invariants.batch
        _hold(
            batch.peak is not None and batch.peak <= batch.limit, "the search passed its limit.", "Give --micro-batch by hand."
        )
        return (
            f"{some(batch.micro_batch, 'padded token')}, {batch.binds} binds, {some(len(batch.probes), 'probe')}, limit "
            f"{size(batch.limit)}"
        )

    def memory(self) -> str:
        """What the run took is no more than a half above what was planned."""
        result = self._run("plain")
        parts = result.plan.estimate["memory_for"]
        on_device = result.memory.get("peak_device")
        planned = result.plan.estimate["memory"] - (0 if on_device is None else parts["process"])
        taken = on_device if on_device is not None else result.memory["peak_rss"]
        # Of the process on a CPU the interpreter and what this command imported before are the most part.
        _hold(
            on_device is None or taken <= FITS * planned,
            f"a run took {size(taken)}, planned were {size(planned)}.",
            "Report it with this table; --memory-limit keeps runs small until then.",
        )
        return f"{size(taken)} taken, {size(planned)} planned ({'of the process' if on_device is None else 'of the device'})"

    def checkpointing(self) -> str:
        """An arm of two passes comes to the same losses whether its layers are computed again or not."""
        kept = self._run("kept", arch="A4", gradient_checkpointing="off")
        again = self._run("again", arch="A4", gradient_checkpointing="on", out=str(self.folder / "again"))
        first, second = (result.training.evaluations[-1]["scores"][TASK] for result in (kept, again))
        _hold(abs(first - second) <= CLOSE, f"dev scores {first:.4f} and {second:.4f}.", "Take --gradient-checkpointing off.")
        _hold(again.invariants.batch.gradient_checkpointing, "it was not switched on.")
        return f"dev scores {first:.4f} and {second:.4f}"

    def optimizer(self) -> str:
        """Some updates with moments of eight bits, paged where there is a GPU."""
        name = "adamw-8bit" if self._kind() == "cpu" else "paged-adamw-8bit"
        result = self._run("optimizer", optimizer=name)
        return f"{name}, {some(result.invariants.tokens.total or 0, 'token')}"

    def quantized(self, name: str) -> str:
        """A run with a quantizer: better than nothing at its bits, everything measured."""
        result = self._run(name, quant=name)
        found = result.quantization
        _hold(
            found.error is not None and 0 < found.error < 1, f"the error of its states is {found.error}.", "Take --quant none."
        )
        _hold(not found.missing, f"not measured: {', '.join(found.missing)}.", "Free memory.")
        return f"{found.bits_per_weight:.2f} bits a weight, error {found.error:.3f}, rounding {found.rtn_error or 0:.3f}"

    def resume(self) -> str:
        """A run that was stopped and resumed ends with the weights of one that was not: on a CPU bit for bit."""
        from safetensors.torch import load_file

        straight = self._config(checkpoint_every=1, steps=4, seed=7)
        self._finish(straight)
        stopped = replace(straight, out=str(self.folder / "stopped"))
        try:
            self._finish(replace(stopped, max_hours=1e-9))
        except Interrupted as error:
            run = str(error.resume)
        else:
            raise NotSoError("A run that was to stop after its first update did not.")
        self._finish(RunConfig(out=stopped.out, tracker=("none",), max_hours=24), resume=str(Path(stopped.out) / run))
        folders = [Path(out) / run / ADAPTERS for out in (straight.out, stopped.out)]
        worst = 0.0
        for path in folders[0].rglob("*.safetensors"):
            one, other = load_file(path), load_file(folders[1] / path.relative_to(folders[0]))
            for tensor, value in one.items():
                gap = float((other[tensor].float() - value.float()).norm() / value.float().norm().clamp(min=1e-12))
                worst = max(worst, gap)
        _hold(
            worst <= (0 if self._kind() == "cpu" else CLOSE),
            f"weights differ by {worst:.1e}.",
            "Compare resumed runs on this device with care, and report it with this table.",
        )
        return "bit for bit" if worst == 0 else f"weights differ by {worst:.1e}"

    def _kind(self) -> str:
        from bench.training.devices import kind, resolve_device

        return kind(resolve_device(self.device))

    def _config(self, **changes: Any) -> RunConfig:
        values: dict[str, Any] = {
            "task": (TASK,), "model": "tiny-bert", "head": "bio", "data": {TASK: str(self.folder / "corpus")},
            "steps": 6, "eval_every": 6, "batch_tokens": 512, "micro_batch": 512, "max_length": 128, "waive": ("smoke",),
            "device": self.device, "tracker": ("none",), "out": str(self.folder / "runs"),
        }  # fmt: skip
        return RunConfig(**(values | changes))

    def _run(self, key: str, **changes: Any) -> Result:
        """The result of a run, made once for all checks that look at it; the plain one searches its micro-batch."""
        if key not in self._results:
            self._results[key] = self._finish(self._config(**({"micro_batch": None} if key == "plain" else {}), **changes))
        return self._results[key]

    def _finish(self, config: RunConfig, resume: str | None = None) -> Result:
        from bench.runner import run

        outcome = run(config, self.registry, resume=resume, console=SilentReporter())
        assert outcome.folder is not None
        return read_result(outcome.folder)

    def _verdict(self, name: str, check: Callable[[], str]) -> Check:
        from bench.errors import MissingError

        try:
            return Check(name, "ok", check())
        except MissingError as error:
            return Check(name, "absent", error.message, error.hint or "")
        except Interrupted:  # by the user, who wants no further check; nothing of its runs stays to go on with
            raise Interrupted("The self-test was stopped, and its folder is removed.", "Type the command again.") from None
        except BenchError as error:
            return Check(name, "failed", error.message, error.hint or "Report it with this table.")
        except Exception as error:  # what a broken driver or package raises is what this command is for
            frame = extract_tb(error.__traceback__)[-1]
            where = f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno}"
            return Check(name, "failed", f"{type(error).__name__} in {where}", "Report it with this table.")


def selftest(registry: Registry, device: str) -> Iterator[Check]:
    """Every check on a device, one after the other, in a folder that is removed afterwards.

    Args:
        registry: the plugins.
        device: such as ``auto``, ``cpu`` or ``cuda:1``.

    Raises:
        UsageError: there is no such device.
        MissingError: torch is not installed.
    """
    from bench.modeling.noise import import_heavy
    from bench.training.devices import resolve_device

    import_heavy()
    resolve_device(device)
    with tempfile.TemporaryDirectory(prefix="bench-selftest-") as folder:
        yield from SelfTest(registry, device, Path(folder)).checks()


def machine(device: str) -> dict[str, str]:
    """What the checks ran on: device, driver, versions.

    Args:
        device: as for `selftest`.
    """
    import torch

    from bench.training.devices import kind, resolve_device

    name = resolve_device(device)
    facts = hardware(name)
    rows = {"bench-suite": __version__, "python": platform.python_version(), "system": platform.system()}
    rows |= {package: installed(package) or "-" for package in ("torch", "transformers", "peft", "bitsandbytes", "gptqmodel")}
    if kind(name) != "cuda":
        return {"device": f"{name}: {facts['cpu']}, {some(facts['cores'], 'core')}, {size(facts['memory'])}"} | rows
    gpu, (major, minor) = facts["gpu"], torch.cuda.get_device_capability(name)
    what = f"{name}: {gpu['name']}, {size(gpu['memory'])}, compute {major}.{minor}, {gpu['count']} in all"
    return {"device": what, "driver": _driver(), "CUDA": str(gpu["cuda"])} | rows


def _driver() -> str:
    import subprocess

    words = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=10, check=True).stdout.splitlines()[0].strip()
    except (OSError, subprocess.SubprocessError, IndexError):
        return "unknown"


def _hold(holds: bool, otherwise: str, fix: str | None = None) -> None:
    if not holds:
        raise NotSoError(otherwise[0].upper() + otherwise[1:], fix)
