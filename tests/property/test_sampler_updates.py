"""What an update holds is a function of seed and position alone, and tokens are spent to within one example."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.data.batches import Sampler, bundles, micro_batches, shares, units_of
from bench.errors import DataError

lengths = st.lists(st.integers(3, 64), min_size=1, max_size=40)
tasks = st.dictionaries(st.sampled_from(["a", "b", "c", "2015-T14"]), lengths, min_size=1, max_size=4)
seeds = st.integers(0, 2**32 - 1)


strategies = st.one_of(
    st.sampled_from([("proportional", 2.0), ("uniform", 2.0)]), st.tuples(st.just("temperature"), st.floats(1, 20))
)


def sampler(
    sizes: Mapping[str, Sequence[int]], seed: int, batch: int, budget: int, strategy: tuple[str, float] = ("temperature", 2.0)
) -> Sampler:
    lengths = {task: np.array(values, dtype=np.int64) for task, values in sizes.items()}
    return Sampler(lengths, seed, batch, budget, *strategy)  # type: ignore[arg-type]


@given(tasks, seeds, st.integers(64, 400), st.integers(64, 6000), strategies)
def test_tokens_are_within_one_example_all_the_way(
    sizes: dict[str, list[int]], seed: int, batch: int, budget: int, strategy: tuple[str, float]
) -> None:
    drawing = sampler(sizes, seed, batch, budget, strategy)
    longest = max(max(values) for values in sizes.values())
    seen = 0
    for number, update in enumerate(drawing):
        assert update.step == number
        held = sum(sizes[task][i] for task, examples in update.examples.items() for i in examples)
        assert held == update.tokens > 0
        seen += held
        assert abs(seen - min((number + 1) * batch, budget)) <= longest
        assert seen == drawing.tokens
    assert abs(seen - budget) <= longest
    assert drawing.done


@given(tasks, seeds, st.integers(1, 400), st.integers(100, 3000), st.integers(0, 12), strategies)
def test_a_restored_sampler_goes_on_as_the_one_that_never_stopped(
    sizes: dict[str, list[int]], seed: int, batch: int, budget: int, stop: int, strategy: tuple[str, float]
) -> None:
    whole = list(sampler(sizes, seed, batch, budget, strategy))
    first = sampler(sizes, seed, batch, budget, strategy)
    before = [first.draw() for _ in range(stop) if not first.done]
    again = sampler(sizes, seed, batch, budget, strategy)
    again.restore(json.loads(json.dumps(first.state())))
    assert before + list(again) == whole
    assert again.epochs() == pytest.approx({t: n / sum(sizes[t]) for t, n in _drawn(whole, sizes).items()})


@given(lengths, seeds, st.integers(0, 5), st.integers(1, 200))
def test_an_epoch_is_a_permutation(sizes: list[int], seed: int, epoch: int, bundle: int) -> None:
    values = np.array(sizes, dtype=np.int64)
    found = [one.tolist() for one in bundles(values, (seed, 0, epoch), bundle)]
    assert sorted(itertools.chain(*found)) == list(range(len(sizes)))
    assert found == [one.tolist() for one in bundles(values, (seed, 0, epoch), bundle)]
    assert all(one and sum(sizes[i] for i in one[:-1]) < bundle + 64 for one in found)


@given(lengths, seeds, st.integers(1, 4))
def test_a_task_repeats_its_data_epoch_by_epoch(sizes: list[int], seed: int, epochs: int) -> None:
    drawn = [i for update in sampler({"a": sizes}, seed, 64, epochs * sum(sizes)) for i in update.examples["a"]]
    for start in range(0, len(drawn) - len(sizes) + 1, len(sizes)):
        assert sorted(drawn[start : start + len(sizes)]) == list(range(len(sizes)))
    most = Counter(drawn).most_common(1)[0][1] if drawn else 0
    assert most <= epochs


@given(tasks, seeds, strategies)
def test_shares_are_kept_over_time(sizes: dict[str, list[int]], seed: int, strategy: tuple[str, float]) -> None:
    drawing = sampler(sizes, seed, 128, 5000, strategy)
    wanted = shares({task: sum(values) for task, values in sizes.items()}, *strategy)  # type: ignore[arg-type]
    assert sum(wanted.values()) == pytest.approx(1)
    assert drawing.shares == wanted
    drawn: Counter[str] = Counter()
    total = 0
    for update in drawing:
        for task, examples in update.examples.items():
            drawn[task] += sum(sizes[task][i] for i in examples)
        total += update.tokens
        assert all(abs(drawn[task] - wanted[task] * total) <= (2 * 64 + 32) * len(sizes) for task in sizes)


def test_shares_are_of_tokens_and_not_of_examples() -> None:
    sizes = {"long": [50] * 9, "short": [5] * 90}
    updates = list(sampler(sizes, 0, 200, 9000, ("uniform", 2.0)))
    drawn = _drawn(updates, sizes)
    assert abs(drawn["long"] - drawn["short"]) <= 100
    examples = {task: sum(len(update.examples.get(task, ())) for update in updates) for task in sizes}
    assert examples["short"] > 9 * examples["long"]


def test_what_each_strategy_makes_of_sizes() -> None:
    sizes = {"large": 900, "small": 100}
    assert shares(sizes) == pytest.approx({"large": 0.75, "small": 0.25})
    assert shares(sizes, "proportional") == pytest.approx({"large": 0.9, "small": 0.1})
    assert shares(sizes, "uniform") == {"large": 0.5, "small": 0.5}
    assert shares(sizes, "temperature", 1.0) == pytest.approx(shares(sizes, "proportional"))
    assert shares(sizes, "temperature", 1e9) == pytest.approx(shares(sizes, "uniform"))
    assert shares({"only": 7}, "temperature", 3.0) == {"only": 1.0}


@given(st.dictionaries(st.text("abc", min_size=1, max_size=2), st.integers(1, 10**12), min_size=2), st.floats(1, 50))
def test_temperature_lies_between_proportional_and_uniform(sizes: dict[str, int], temperature: float) -> None:
    low, found, high = (shares(sizes, kind, temperature) for kind in ("uniform", "temperature", "proportional"))
    assert sum(found.values()) == pytest.approx(1)
    largest, smallest = max(sizes, key=lambda t: sizes[t]), min(sizes, key=lambda t: sizes[t])
    assert low[largest] - 1e-9 <= found[largest] <= high[largest] + 1e-9
    assert high[smallest] - 1e-9 <= found[smallest] <= low[smallest] + 1e-9


def test_a_task_that_is_used_up_begins_anew_while_the_others_go_on() -> None:
    sizes = {"small": [10] * 4, "large": [10] * 400}
    updates = list(sampler(sizes, 1, 100, 2000, ("uniform", 2.0)))
    small = [i for update in updates for i in update.examples.get("small", ())]
    large = [i for update in updates for i in update.examples["large"]]
    rounds = [tuple(small[start : start + 4]) for start in range(0, len(small) - 3, 4)]
    assert len(rounds) >= 20
    assert all(sorted(one) == [0, 1, 2, 3] for one in rounds)
    assert len(set(rounds)) > 5
    assert len(large) == len(set(large))


def test_a_task_has_its_turn_for_a_bundle_at_a_time() -> None:
    sizes = {name: [8] * 500 for name in "abcde"}
    updates = list(sampler(sizes, 0, 160, 16_000))
    assert sum(len(update.examples) for update in updates) <= 4.5 * len(updates)
    turns = Counter(len(examples) for update in updates for examples in update.examples.values())
    assert turns[5] > 0.9 * turns.total()  # 40 tokens, a quarter of an update


def test_another_seed_is_another_order() -> None:
    sizes = {"a": list(range(5, 60)), "b": [7] * 30}
    assert list(sampler(sizes, 1, 128, 2000)) != list(sampler(sizes, 2, 128, 2000))
    assert list(sampler(sizes, 1, 128, 2000)) == list(sampler(sizes, 1, 128, 2000))


def test_a_task_without_examples_is_refused() -> None:
    with pytest.raises(DataError, match="empty has no training example"):
        sampler({"a": [5], "empty": []}, 0, 64, 100)


@given(st.lists(st.integers(1, 128), min_size=1, max_size=60), st.integers(1, 2048))
def test_micro_batches_cut_an_update_and_change_nothing_else(sizes: list[int], limit: int) -> None:
    values = np.array(sizes, dtype=np.int64)
    examples = list(range(len(sizes)))[::-1]
    parts = micro_batches(examples, values, limit)
    assert sorted(i for part in parts for i in part) == list(range(len(sizes)))
    padded = 0
    for part in parts:
        assert part
        cost = len(part) * max(sizes[i] for i in part)
        assert cost <= limit or len(part) == 1
        padded += cost
    assert padded <= len(sizes) * max(sizes)
    if limit >= len(sizes) * max(sizes):
        assert padded + 48 * (len(parts) - 1) <= len(sizes) * max(sizes)


@given(st.lists(st.integers(4, 128), min_size=1, max_size=60))
def test_like_lengths_stand_together(sizes: list[int]) -> None:
    parts = micro_batches(range(len(sizes)), np.array(sizes, dtype=np.int64), 512)
    ends = [(min(sizes[i] for i in part), max(sizes[i] for i in part)) for part in parts]
    assert all(high <= low for (_, high), (low, _) in itertools.pairwise(ends))


def _drawn(updates: Sequence[object], sizes: Mapping[str, Sequence[int]]) -> Counter[str]:
    drawn: Counter[str] = Counter(dict.fromkeys(sizes, 0))
    for update in updates:
        for task, examples in update.examples.items():  # type: ignore[attr-defined]
            drawn[task] += sum(sizes[task][i] for i in examples)
    return drawn


documents = st.lists(st.lists(st.integers(3, 64), min_size=1, max_size=12), min_size=1, max_size=12)


def comparing(
    sizes: Mapping[str, Sequence[Sequence[int]]], together: set[str], seed: int, batch: int, budget: int
) -> tuple[Sampler, dict[str, list[int]], dict[str, NDArray[np.int64]]]:
    """A sampler, the lengths of its examples, and the unit of each; tasks that are not `together` draw example by example."""
    flat = {task: list(itertools.chain(*documents)) for task, documents in sizes.items()}
    owners = {t: np.repeat(np.arange(len(d)), [len(one) for one in d]) for t, d in sizes.items() if t in together}
    lengths = {task: np.array(values, dtype=np.int64) for task, values in flat.items()}
    units = {t: units_of(owners[t], lengths[t], batch) if t in owners else np.arange(len(flat[t])) for t in flat}
    return Sampler(lengths, seed, batch, budget, documents=owners), flat, units


@given(documents, st.integers(1, 600), st.randoms(use_true_random=False))
def test_a_unit_is_a_document_or_a_part_of_one(sizes: list[list[int]], most: int, random: Random) -> None:
    places = [(d, length) for d, lengths in enumerate(sizes) for length in lengths]
    random.shuffle(places)
    owners, lengths = (np.array(column, dtype=np.int64) for column in zip(*places, strict=True))
    units = units_of(owners, lengths, most)
    assert sorted(set(units.tolist())) == list(range(int(units.max()) + 1))
    for d, own in enumerate(sizes):
        mine = set(units[owners == d].tolist())
        assert not mine & set(units[owners != d].tolist())
        assert len(mine) == min(len(own), -(-sum(own) // most))
        held = [int((units == unit).sum()) for unit in mine]
        assert max(held) - min(held) <= 1


@given(st.dictionaries(st.sampled_from("abc"), documents, min_size=1), seeds, st.integers(40, 500), st.integers(100, 4000))
@example({"a": [[61]]}, 0, 40, 153)
def test_a_document_is_drawn_whole_and_tokens_keep_to_within_one_draw(
    sizes: dict[str, list[list[int]]], seed: int, batch: int, budget: int
) -> None:
    drawing, flat, units = comparing(sizes, {"a", "b"}, seed, batch, budget)
    draws = {t: np.bincount(units[t], weights=flat[t]) for t in flat}
    largest = max(float(values.max()) for values in draws.values())
    seen = 0
    for number, update in enumerate(drawing):
        held = 0
        for task, examples in update.examples.items():
            runs = [
                (unit, sorted(group)) for unit, group in itertools.groupby(examples, key=lambda i, t=task: int(units[t][i]))
            ]
            for unit, group in runs:
                own = np.flatnonzero(units[task] == unit).tolist()
                assert group == sorted(own * (len(group) // len(own)))
            held += sum(flat[task][i] for i in examples)
        assert held == update.tokens
        seen += held
        if largest <= batch:  # else an update of one draw holds more than its share already
            assert abs(seen - min((number + 1) * batch, budget)) <= largest
        assert held < batch + largest
    assert abs(seen - budget) <= largest
    assert drawing.done
    assert list(comparing(sizes, {"a", "b"}, seed, batch, budget)[0]) == list(
        comparing(sizes, {"a", "b"}, seed, batch, budget)[0]
    )


@given(st.dictionaries(st.sampled_from("ab"), documents, min_size=1), seeds, st.integers(40, 500), st.integers(0, 9))
def test_a_restored_sampler_of_documents_goes_on(sizes: dict[str, list[list[int]]], seed: int, batch: int, stop: int) -> None:
    whole = list(comparing(sizes, {"a"}, seed, batch, 3000)[0])
    first, again = (comparing(sizes, {"a"}, seed, batch, 3000)[0] for _ in range(2))
    before = [first.draw() for _ in range(stop) if not first.done]
    again.restore(json.loads(json.dumps(first.state())))
    assert before + list(again) == whole


@given(documents, st.integers(1, 2048), st.integers(64, 2048))
def test_micro_batches_split_a_unit_only_where_it_alone_is_too_large(sizes: list[list[int]], limit: int, most: int) -> None:
    lengths = np.array(list(itertools.chain(*sizes)), dtype=np.int64)
    units = units_of(np.repeat(np.arange(len(sizes)), [len(one) for one in sizes]), lengths, most)
    parts = micro_batches(range(len(lengths))[::-1], lengths, limit, units)
    assert sorted(i for part in parts for i in part) == list(range(len(lengths)))
    assert all(len(part) == 1 or len(part) * int(lengths[list(part)].max()) <= limit for part in parts)
    for unit in range(int(units.max()) + 1):
        own = np.flatnonzero(units == unit)
        homes = sum(bool(set(part) & set(own.tolist())) for part in parts)
        assert homes == 1 or len(own) * int(lengths[own].max()) > limit
    assert micro_batches(range(len(lengths)), lengths, limit, np.arange(len(lengths))) == micro_batches(
        range(len(lengths)), lengths, limit
    )


def test_the_passages_of_a_query_meet_in_an_update() -> None:
    sizes = {"a": [[60, 80, 100, 40, 90] for _ in range(40)]}
    drawing, _, units = comparing(sizes, {"a"}, 0, 800, 20_000)
    alone = sampler({"a": [n for one in sizes["a"] for n in one]}, 0, 800, 20_000)
    met = {}
    for name, one in (("together", drawing), ("alone", alone)):
        pairs = [Counter(int(units["a"][i]) for i in update.examples["a"]) for update in one]
        met[name] = sum(n for counts in pairs for n in counts.values() if n >= 5) / sum(c.total() for c in pairs)
    assert met["together"] == 1.0
    assert met["alone"] < 0.1
