"""Invariant 1, tokens: a ledger per task that no plugin can write to, checked against what the base model really saw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.errors import InvariantError
from bench.results.invariants import Account
from bench.wording import some

if TYPE_CHECKING:
    from torch import Tensor, nn


class Ledger:
    """Cumulative accounts by task. Entries are made for whole updates, once the optimizer has stepped."""

    def __init__(self, tasks: tuple[str, ...]) -> None:
        self.accounts = {task: Account() for task in tasks}

    @property
    def tokens(self) -> int:
        """Marked tokens of all tasks together."""
        return sum(a.tokens for a in self.accounts.values())

    def enter(self, entries: Mapping[str, Account]) -> None:
        """Adds what an update has cost, task by task; all of it or nothing."""
        for task, entry in entries.items():
            for name, amount in asdict(entry).items():
                if amount < 0:
                    raise ValueError(f"{name} of {task} cannot shrink by {-amount}")
        for task, entry in entries.items():
            account = self.accounts[task]
            for name, amount in asdict(entry).items():
                setattr(account, name, getattr(account, name) + amount)

    def state(self) -> dict[str, dict[str, int]]:
        """Every account, JSON-able."""
        return {task: asdict(account) for task, account in self.accounts.items()}

    def restore(self, state: Mapping[str, Mapping[str, int]]) -> None:
        """Replaces the accounts by those of a checkpoint, so that a resumed run counts nothing twice."""
        self.accounts = {task: Account(**values) for task, values in state.items()}


class Tally:
    """Counts the tokens that enter the base model, by a hook on the model itself.

    If `waived`, disagreements are recorded in `disagreements` instead of ending the run.
    """

    def __init__(self, backbone: nn.Module, waived: bool = False) -> None:
        self._seen: Tensor | int = 0
        self._expected = 0
        self._waived = waived
        self.disagreements = 0
        self._handle = backbone.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        mask = kwargs.get("attention_mask", args[1] if len(args) > 1 else None)
        if mask is None:
            ids = kwargs.get("input_ids", args[0] if args else None)
            self._seen = self._seen + (ids.numel() if ids is not None else 0)
        else:
            self._seen = self._seen + mask.detach().sum()

    def expect(self, tokens: int) -> None:
        """Announces tokens about to enter, passes counted apart."""
        self._expected += tokens

    @property
    def counts(self) -> tuple[int, int]:
        """Tokens that entered and tokens that were announced since the last check."""
        return int(self._seen), self._expected

    def add_up(self, counts: Iterable[tuple[int, int]]) -> None:
        """Takes the sum of what every process of the run has counted, this one's included, for its own count."""
        seen, expected = zip(*counts, strict=True)
        self._seen, self._expected = sum(seen), sum(expected)

    def check(self, step: int) -> None:
        """Compares what entered with what was announced, and starts anew.

        Raises:
            InvariantError: the base model saw more or fewer tokens than the ledger was told.
        """
        seen, expected = self.counts
        self.reset()
        if seen == expected:
            return
        self.disagreements += 1
        if not self._waived:
            raise InvariantError(
                "tokens",
                f"at update {step} the base model saw {some(seen, 'token')} where the examples drawn hold {expected:,}; a "
                "plugin feeds or hides tokens that the ledger does not count.",
                "Run 'bench check PLUGIN', or record the gap with --waive tokens.",
            )

    def reset(self) -> None:
        """Sets both counts to zero, as before training starts."""
        self._seen, self._expected = 0, 0

    def close(self) -> None:
        """Takes the hook off."""
        self._handle.remove()


def operations(
    positions: int, longest: int, frozen: int, trained: int, passes: int, layers: int, hidden: int, backward: bool = True
) -> int:
    """Floating-point operations of a training step's forward and backward pass.

    A frozen weight costs 2 forward and 2 backward (its input's gradient), a trained one 2 and 4; attention costs
    4·length·hidden a position and layer forward, twice that backward.

    Args:
        positions: padded tokens.
        longest: padded length of an example.
        frozen: weights that are multiplied with and not trained.
        trained: active adapter parameters.
        passes: of the base model.
        layers: transformer layers.
        hidden: hidden size.
        backward: whether gradients go back through the base model; they do not where heads alone are trained.

    Source: Kaplan et al. 2020, arXiv 2001.08361, section 2.1.
    """
    weights, attention = (4, 12) if backward else (2, 4)
    return passes * positions * (weights * frozen + 6 * trained // max(passes, 1) + attention * layers * longest * hidden)
