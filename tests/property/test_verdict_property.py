"""Every pair of estimates has one word, and it is the one of the table."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from bench.stats.intervals import MINIMUM_SEEDS, Estimate
from bench.studies.verdict import WORDS, Kind, Outcome, judge, outcome

MARGIN, ALPHA = 0.01, 0.05


@st.composite
def estimates(draw: st.DrawFn) -> Estimate:
    """Any estimate that `bench.stats.intervals.estimate` can give, the ones without an interval included."""
    difference = draw(st.floats(-1, 1, allow_subnormal=False))
    seeds, documents = draw(st.integers(1, 30)), draw(st.integers(1, 5000))
    if seeds == 1 or documents == 1 or draw(st.integers(0, 9)) == 0:
        return Estimate(difference, seeds, documents)
    half = draw(st.sampled_from((1e-9, 0.001, 0.004, 0.01, 0.03, 0.3)) | st.floats(1e-9, 1))
    p = 0.001 if abs(difference) > half else 0.5
    return Estimate(
        difference, seeds, documents, difference - half, difference + half, difference - 0.8 * half, difference + 0.8 * half, p,
        draw(st.just(p) | st.floats(p, 1)), half / 2, half / 3, half / 3, 9.0, 1.5 * half, 1.4 * half,
    )  # fmt: skip


def expected(estimate: Estimate) -> Outcome:
    """The outcome as the definition says it, apart from the code that is tested."""
    assert None not in (estimate.low, estimate.high, estimate.tight_low, estimate.tight_high, estimate.p_holm)
    if estimate.tight_low > -MARGIN and estimate.tight_high < MARGIN:  # type: ignore[operator]
        return "equivalent"
    if estimate.p_holm >= ALPHA or estimate.low <= 0 <= estimate.high:  # type: ignore[operator]
        return "open"
    return "better" if estimate.difference > 0 else "worse"


def test_the_table_is_complete_and_uses_every_word() -> None:
    outcomes = get_args(Outcome)
    assert set(WORDS) == {(total, own) for total in outcomes for own in outcomes}
    assert set(WORDS.values()) == set(get_args(Kind))
    for (total, own), word in WORDS.items():
        assert (word == "genuine transfer") == (total == "better" and own != "worse")
        assert (word == "negative transfer") == (own == "worse" and total != "better")
        assert (word == "unresolved") == ((total, own) == ("better", "worse") or (total != "better" and own == "open")
                                          or (total == "open" and own != "worse"))  # fmt: skip


@given(estimates(), estimates())
def test_any_two_estimates_have_the_one_word_of_the_table(at_total: Estimate, at_own: Estimate) -> None:
    kind, reason = judge(at_total, at_own, MARGIN)
    assert kind in get_args(Kind)
    assert reason.endswith(".")
    if min(at_total.seeds, at_own.seeds) < MINIMUM_SEEDS or at_total.se is None or at_own.se is None:
        assert kind == "unresolved"
    else:
        assert kind == WORDS[expected(at_total), expected(at_own)]


@given(estimates(), st.floats(0.0001, 0.5))
def test_the_outcome_turns_with_the_sign(estimate: Estimate, margin: float) -> None:
    turned = Estimate(
        -estimate.difference, estimate.seeds, estimate.documents,
        *(None if end is None else -end for end in (estimate.high, estimate.low, estimate.tight_high, estimate.tight_low)),
        estimate.p, estimate.p_holm, estimate.se,
    )  # fmt: skip
    signs: dict[Outcome, Outcome] = {"better": "worse", "worse": "better", "equivalent": "equivalent", "open": "open"}
    assert outcome(turned, margin, ALPHA) == signs[outcome(estimate, margin, ALPHA)]
