"""torch by the names that heads use, imported when one of them is first used.

Learning labels, encoding and decoding need no torch, a head's module does; by these names both stand in one file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.nn import Module
    from torch.nn import functional as F
else:
    from functools import cache
    from importlib import import_module

    class _Lazy:
        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, attribute: str) -> Any:
            return getattr(import_module(self._name), attribute)

    torch, nn, F = _Lazy("torch"), _Lazy("torch.nn"), _Lazy("torch.nn.functional")

    class Module:
        """Stands for `torch.nn.Module` among the bases of a class; the real one joins them when the first instance is made."""

        def __new__(cls, *arguments: Any, **options: Any) -> Any:
            """An instance of the class that has both."""
            return object.__new__(_joined(cls))

    @cache
    def _joined(kind: type) -> type:
        if issubclass(kind, nn.Module):
            return kind
        names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
        return type(kind.__name__, (kind, nn.Module), names)


__all__ = ["F", "Module", "nn", "torch"]
