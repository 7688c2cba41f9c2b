"""The funnel of gold mentions, on windows made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from bench.api.data import Document, Fragment, Mention, Relation
from bench.api.head import Proposals, Window
from bench.evaluation.funnel import STAGES, Funnel
from bench.evaluation.mention_sorts import Sorter
from bench.heads import make_head
from bench.heads.mentions import Parts
from bench.heads.slots import SlotSpanHead
from bench.heads.span import Found, Proposed, SpanClassificationHead

A, B, C, D = (0, 4), (5, 9), (10, 14), (15, 19)
TEXT = "left arms hurt here"
SORTER = Sorter({})


def m(*fragments: Fragment, label: str = "X", concept: str | None = None) -> Mention:
    return Mention(fragments, label, concept)


def window(text: str = TEXT) -> Window:
    starts = [i for i in range(len(text)) if text[i] != " " and (i == 0 or text[i - 1] == " ")]
    words = tuple((start, (text + " ").index(" ", start)) for start in starts)
    places = tuple(range(1, len(words) + 1))
    return Window("d", tuple(range(len(words) + 2)), words, places, places, 0, len(text))


def proposed(*candidates: tuple[Fragment, ...], fragments: set[Fragment], links: Any = ()) -> Proposals:
    return Proposals(frozenset(fragments), frozenset(links), frozenset(candidates))


def reached(counts: Any) -> list[tuple[int, int]]:
    """Gold and reached of every stage."""
    return [(counts[stage]["gold"], counts[stage]["reached"]) for stage in STAGES]


def followed(gold: list[Mention], predicted: list[Mention], *seen: Proposals, text: str = TEXT) -> dict[str, Any]:
    funnel = Funnel([Document("d", text, tuple(gold))])
    for one in seen:
        funnel.see(window(text), one)
    return funnel.tabulate([Document("d", "", tuple(predicted))], SORTER)


def test_each_stage_is_reached_or_not() -> None:
    gold = [m(A, C)]
    assert reached(followed(gold, [])) == [(2, 0), (1, 0), (1, 0), (1, 0)]
    assert reached(followed(gold, [], proposed(fragments={A, B}))) == [(2, 1), (1, 0), (1, 0), (1, 0)]
    linked = proposed((A,), (C,), fragments={A, C}, links={(A, C), (A, B)})
    assert reached(followed(gold, [], linked)) == [(2, 2), (1, 1), (1, 0), (1, 0)]
    built = proposed((A, C), fragments={A, C}, links={(A, C)})
    assert reached(followed(gold, [m(A), m(A, C, label="Y")], built)) == [(2, 2), (1, 1), (1, 1), (1, 0)]
    assert reached(followed(gold, gold, built)) == [(2, 2), (1, 1), (1, 1), (1, 1)]


def test_links_are_all_pairs_of_a_mention() -> None:
    given = proposed((A, C), fragments={A, C, D}, links={(A, C), (C, D)})
    assert reached(followed([m(A, C, D)], [], given)) == [(3, 3), (3, 2), (1, 0), (1, 0)]
    assert reached(followed([m(B)], [m(B)], proposed((B,), fragments={B}))) == [(1, 1), (0, 0), (1, 1), (1, 1)]


def test_two_labels_on_the_same_fragments_are_two_mentions() -> None:
    given = proposed((B,), fragments={B})
    assert reached(followed([m(B), m(B, label="Y")], [m(B, label="Y")], given)) == [(2, 2), (0, 0), (2, 2), (2, 1)]


def test_two_concepts_of_one_mention_count_once() -> None:
    given = proposed((B,), fragments={B})
    counts = followed([m(B, concept="C1"), m(B, concept="C2")], [m(B, concept="C2")], given)
    assert reached(counts) == [(1, 1), (0, 0), (1, 1), (1, 1)]


def test_windows_of_a_document_add_up() -> None:
    apart = proposed((A,), fragments={A}), proposed((C,), (D,), fragments={C, D}, links={(C, D)})
    assert reached(followed([m(A, C, D)], [], *apart)) == [(3, 3), (3, 1), (1, 0), (1, 0)]


def test_counts_by_sort_add_up_to_all() -> None:
    gold = [m(A, C), m(B), m((0, 9)), m((0, 14))]
    funnel = Funnel([Document("d", TEXT, tuple(gold))])
    funnel.see(window(), proposed((B,), ((0, 14),), fragments={A, B, (0, 14)}))
    counts = funnel.tabulate([Document("d", "", (m(B),))], Sorter({("arms",): 1}))
    by = counts["by"]
    assert {sort: list(groups) for sort, groups in by.items()} == {
        "fragments": ["1", "2+"], "length": ["1", "2", "3-4", "5+"], "training": ["0", "1", "2-5", "6+"],
    }  # fmt: skip
    assert reached(by["fragments"]["2+"]) == [(2, 1), (1, 0), (1, 0), (1, 0)]
    assert reached(by["fragments"]["1"]) == [(3, 2), (0, 0), (3, 2), (3, 1)]
    assert reached(by["length"]["1"]) == reached(by["training"]["1"]) == [(1, 1), (0, 0), (1, 1), (1, 1)]
    assert reached(by["length"]["3-4"]) == [(1, 1), (0, 0), (1, 1), (1, 0)]
    for groups in by.values():
        summed = [tuple(map(sum, zip(*stage, strict=True))) for stage in zip(*map(reached, groups.values()), strict=True)]
        assert summed == reached(counts)


def test_fragments_that_only_white_space_parts_are_one_as_in_predictions() -> None:
    """So that a mention which is predicted in two pieces of a line was a candidate, too."""
    given = proposed((A, B), fragments={A, B}, links={(A, B)})
    assert reached(followed([m((0, 9))], [], given)) == [(1, 1), (0, 0), (1, 1), (1, 0)]


def test_what_is_accepted_has_passed_every_stage_whatever_a_head_says() -> None:
    assert reached(followed([m(A, C)], [m(A, C)], proposed(fragments=set()))) == [(2, 2), (1, 1), (1, 1), (1, 1)]


def test_what_a_head_cannot_hold_counts_as_gold() -> None:
    """Of the span head: inside a word, too wide, too many fragments, a label that was never seen."""
    inside, wide, many = m((1, 4)), m((0, 19)), m(A, B, D)
    head = SpanClassificationHead(width=2, fragments=2)
    head.fit([Document("t", TEXT, (m(A, C),))])
    gold = [inside, wide, many, m(B, label="unseen"), m(A, C)]
    document = Document("d", TEXT, tuple(gold))
    encoding = head.encode(window(), document)
    assert encoding.lost == {"inside-word": 1, "width": 1, "cap": 1, "label": 1}
    oracle = head.oracle(encoding)
    counts = followed(gold, list(head.decode(window(), oracle)), head.proposals(window(), oracle))
    # Of `many` one fragment is one of the mention that can be held, and is proposed.
    assert reached(counts) == [(1 + 1 + 3 + 1 + 2, 3), (3 + 1, 1), (5, 1), (5, 1)]


def test_a_head_says_what_it_proposed_in_characters() -> None:
    spans = [(2, 3), (0, 0)]
    for name in ("span", "slots", "joint"):
        head: Any = SlotSpanHead() if name == "slots" else make_head(name)
        related = (Relation(((A,), "X"), ((A, C), "X"), "r"),)
        head.fit([Document("t", TEXT, (Mention((A,), "X", slots={"NI": ("yes",)}), m(A, C)), related)])
        accepted: list[tuple[Parts, int, float]] = [(((0, 0),), 0, 0.9)]
        found: Any = Found(accepted, Proposed(spans, [(0, 1)], [(0,), (1,), (0, 1)]))
        whole = head.proposals(window(), {"slots": (found, [()]), "joint": (found, [])}.get(name, found))
        assert whole == proposed(((10, 19),), (A,), (A, (10, 19)), fragments={A, (10, 19)}, links={(A, (10, 19))})


def test_a_head_without_stages_says_nothing() -> None:
    for name in ("bio", "bioes", "relation", "classify", "ranking"):
        assert make_head(name).proposals(window(), []) is None


def test_the_module_hands_over_what_it_judged() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    head = SpanClassificationHead(cap=5)
    head.fit([Document("t", TEXT, (m(A), m(B, D)))])
    module: Any = head.module(16)
    for parameter in module.parameters():
        parameter.data += torch.randn(parameter.shape) * 0.3
    places = torch.tensor([[1, 2, 3, 4], [1, 2, 0, 0]])
    words = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    seen = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]])
    batch = {"first": places, "last": places, "word_mask": words, "attention_mask": seen}
    hidden = torch.randn(2, 6, 16)
    short = Window("d", (0, 1, 2, 3), (A, B), (1, 2), (1, 2), 0, 9)
    for one, prediction in zip((window(), short), module.predict(hidden, batch), strict=True):
        proposals = head.proposals(one, prediction)
        assert 0 < len(proposals.candidates) <= 5
        assert {mention.fragments for mention in head.decode(one, prediction)} <= proposals.candidates
        assert {part for candidate in proposals.candidates for part in candidate} <= proposals.fragments
        assert all(end <= one.end for _, end in proposals.fragments)
