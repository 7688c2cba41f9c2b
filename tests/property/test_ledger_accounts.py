"""The ledger only grows, adds up, and comes back from a checkpoint exactly."""

from __future__ import annotations

import json
from dataclasses import asdict, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.invariants.tokens import Ledger, operations
from bench.results.invariants import Account

amounts = st.integers(0, 10**15)
accounts = st.builds(Account, **{field.name: amounts for field in fields(Account)})
entries = st.lists(st.dictionaries(st.sampled_from(["a", "b"]), accounts, min_size=1), max_size=8)


@given(entries)
def test_it_never_shrinks_and_adds_up(updates: list[dict[str, Account]]) -> None:
    ledger = Ledger(("a", "b"))
    before = ledger.state()
    for update in updates:
        ledger.enter(update)
        after = ledger.state()
        assert all(after[t][name] >= before[t][name] for t in after for name in after[t])
        before = after
    for task in ("a", "b"):
        for field in fields(Account):
            wanted = sum(getattr(update[task], field.name) for update in updates if task in update)
            assert ledger.state()[task][field.name] == wanted
    assert ledger.tokens == sum(account.tokens for update in updates for account in update.values())


@given(entries, entries)
def test_a_restored_ledger_counts_nothing_twice(first: list[dict[str, Account]], rest: list[dict[str, Account]]) -> None:
    whole, stopped, resumed = Ledger(("a", "b")), Ledger(("a", "b")), Ledger(("a", "b"))
    for update in [*first, *rest]:
        whole.enter(update)
    for update in first:
        stopped.enter(update)
    for update in rest:
        resumed.enter(update)  # what a process did before it was told to resume counts no longer
    resumed.restore(json.loads(json.dumps(stopped.state())))
    for update in rest:
        resumed.enter(update)
    assert resumed.state() == whole.state()


@given(st.sampled_from([field.name for field in fields(Account)]), st.integers(1, 10**9))
def test_a_negative_entry_is_refused(name: str, amount: int) -> None:
    ledger = Ledger(("a",))
    with pytest.raises(ValueError, match=name):
        ledger.enter({"a": Account(**{name: -amount})})
    assert ledger.state() == {"a": asdict(Account())}


def test_an_entry_with_one_bad_number_is_not_entered_in_part() -> None:
    ledger = Ledger(("a", "b"))
    with pytest.raises(ValueError, match="updates"):
        ledger.enter({"a": Account(tokens=5), "b": Account(tokens=7, updates=-1)})
    assert ledger.tokens == 0


@given(st.integers(1, 4096), st.integers(1, 512), st.integers(1, 10**6), st.integers(0, 10**4), st.integers(1, 12))
def test_operations_of_two_passes_are_twice_the_frozen_work(
    positions: int, longest: int, frozen: int, trained: int, layers: int
) -> None:
    one = operations(positions, longest, frozen, 0, 1, layers, 64)
    assert operations(positions, longest, frozen, 0, 2, layers, 64) == 2 * one
    assert operations(positions, longest, frozen, trained, 1, layers, 64) == one + 6 * trained * positions
