"""Hatchling's hook that writes the commit into what is built: `bench/commit.json` of the wheel and of the sdist."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "bench/commit.json"


class CommitHook(BuildHookInterface):
    """Adds the commit of the checkout that is built; an unpacked sdist has the file that it came with already."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Hands the file over. An editable installation asks git each time, and gets none."""
        root = Path(self.root)
        if version == "editable" or (root / NAME).is_file():
            return
        commit = _git(root, "rev-parse", "HEAD")
        if commit is None or not _git(root, "ls-files", "--", "bench/__init__.py"):  # the checkout of another project
            return
        made = Path(self.directory) / "commit.json"
        made.parent.mkdir(parents=True, exist_ok=True)
        dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
        made.write_text(json.dumps({"commit": commit, "dirty": dirty}) + "\n", encoding="utf-8")
        build_data["force_include"][str(made)] = NAME

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leaves nothing beside what was built."""
        (Path(self.directory) / "commit.json").unlink(missing_ok=True)


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
