"""The dictionary of the training mentions: links by normalised text, and annotates by the longest match."""

from __future__ import annotations

from bench.api.data import Document, Mention
from bench.data.concepts import ConceptDictionary


def document(text: str, *found: tuple[str, str | None]) -> Document:
    mentions = []
    for pieces, concept in found:
        fragments = tuple((text.index(p), text.index(p) + len(p)) for p in pieces.split(" … "))
        mentions.append(Mention(fragments, concept=concept))
    return Document("d", text, tuple(mentions))


TRAIN = [
    document("Left  Atrial\nenlargement and pain in the chest", ("Left  Atrial\nenlargement", "C1"), ("pain … chest", "C2")),
    document("atrial enlargement, fever", ("atrial enlargement", "C4"), ("fever", "C9")),
    document("fever", ("fever", "C5")),
    document("a fever", ("fever", "C5")),
    document("cough", ("cough", "C7")),
    document("cough", ("cough", "C6")),
    document("x-ray cold", ("cold", None)),
]


def test_the_longest_match_wins_and_case_and_white_space_do_not_count() -> None:
    text = "FEVER with left atrial   enlargement; atrial enlargements; right atrial enlargement"
    found = ConceptDictionary().fit(TRAIN).annotate(Document("t", text))
    assert [(text[m.fragments[0][0] : m.fragments[0][1]], m.concept) for m in found] == [
        ("FEVER", "C5"),
        ("left atrial   enlargement", "C1"),
        ("atrial enlargement", "C4"),
    ]


def test_linking_goes_by_text_of_the_fragments() -> None:
    target = document(
        "pain of the chest, chest pain, cough, cold", ("pain … chest", None), ("chest pain", None), ("cough", None)
    )
    linked = ConceptDictionary("CUI-less").fit(TRAIN).link(target, target.mentions)
    assert [m.concept for m in linked] == ["C2", "CUI-less", "C6"]
    assert [m.fragments for m in linked] == [m.fragments for m in target.mentions]


def test_a_concept_that_training_left_open_stays_open() -> None:
    target = document("cold", ("cold", "C1"))
    assert ConceptDictionary("CUI-less").fit(TRAIN).link(target, target.mentions)[0].concept is None


def test_order_of_the_documents_does_not_matter_and_fitting_starts_anew() -> None:
    dictionary = ConceptDictionary().fit(TRAIN)
    text = Document("t", "cough fever cold")
    assert dictionary.annotate(text) == ConceptDictionary().fit(TRAIN[::-1]).annotate(text)
    assert dictionary.fit([]).annotate(text) == ()
