"""A tox runner for environments that share one folder.

tox throws an environment's folder away when it finds it was made under another name. The matrix of architectures and
quantizers needs one installation, not twenty-four: the runner ``shared`` goes by the name of the folder instead.
"""

from __future__ import annotations

from contextlib import _GeneratorContextManager
from typing import Any

from tox.plugin import impl
from tox.tox_env.info import Info
from tox.tox_env.python.virtual_env.runner import VirtualEnvRunner
from tox.tox_env.register import ToxEnvRegister


class SharedInfo(Info):
    """The folder's record, in which every environment that shares it has the folder's name."""

    def compare(
        self, value: Any, section: str, sub_section: str | None = None
    ) -> _GeneratorContextManager[tuple[bool, Any], None, None]:
        """Compares and updates the record."""
        if section == "ToxEnv":
            value = {**value, "name": self._path.parent.name}
        return super().compare(value, section, sub_section)


class SharedRunner(VirtualEnvRunner):
    """A virtual environment that several names share; they must ask for the same dependencies."""

    @staticmethod
    def id() -> str:
        """What `runner =` takes."""
        return "shared"

    @property
    def cache(self) -> Info:
        """The record of the last installation."""
        return SharedInfo(self.env_dir)


@impl
def tox_register_tox_env(register: ToxEnvRegister) -> None:
    """Registers the runner."""
    register.add_run_env(SharedRunner)
