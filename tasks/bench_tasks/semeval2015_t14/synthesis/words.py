"""Word lists, read from ``words.json``. Each maps ``shared`` or a split to entries.

A split draws from its own entries and from the shared ones. Entries that are disjoint between splits make test mentions that
training never saw. All notes are invented; no entry stands for a patient, and concept identifiers made from these words are not
UMLS's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.kit.synthetic import read_words

Entries = Mapping[str, tuple[str, ...]]

_HELD: Mapping[str, Any] = read_words(Path(__file__).with_name("words.json"))

PAIRED: Entries = _HELD["paired"]
"""Sites with two sides, as noun:adjective."""
SINGLE: Entries = _HELD["single"]
"""Sites without sides, as noun:adjective."""
FINDINGS: Entries = _HELD["findings"]
"""What follows a site's adjective: "left atrial enlargement"."""
COMPLAINTS: Entries = _HELD["complaints"]
"""What stands before a site: "pain in the chest"."""
PREDICATES: Entries = _HELD["predicates"]
"""What a site may be said to be: "the abdomen was tender"."""
NOUN_OF: Mapping[str, str] = _HELD["noun_of"]
"""The finding that a predicate says, where it has a noun of its own: both are one concept."""
PLURALS: Mapping[str, str] = _HELD["plurals"]
HEALTHY: Entries = _HELD["healthy"]
DISEASES: Entries = _HELD["diseases"]
SYMPTOMS: Entries = _HELD["symptoms"]
ROOTS: Entries = _HELD["roots"]
"""Root and the endings it takes; roots of two splits never meet."""
ABBREVIATIONS: Entries = _HELD["abbreviations"]
"""Abbreviation=what it stands for; both carry one concept."""
TUMORS: Entries = _HELD["tumors"]
GRADES: Entries = _HELD["grades"]
COMPLICATIONS: Entries = _HELD["complications"]
"""A closed class, the same in every split: a mention is annotated with and without it, as the guideline says."""
TYPES: Entries = _HELD["types"]
"""A closed class, too: a mention is annotated with it only. A severity or a course is no part of it."""
DRUGS: Entries = _HELD["drugs"]
LABS: Entries = _HELD["labs"]
PROCEDURES: Entries = _HELD["procedures"]
TESTS: Entries = _HELD["tests"]
SERVICES: Entries = _HELD["services"]
"""What turns a disorder's name into the name of something else."""
SURNAMES: Entries = _HELD["surnames"]
JOBS: Entries = _HELD["jobs"]
ADVERBS: Entries = _HELD["adverbs"]
SEVERITIES: tuple[tuple[str, str], ...] = _HELD["severities"]
"""Word and value of its slot."""
COURSES: tuple[tuple[str, str], ...] = _HELD["courses"]
"""Word and value of its slot."""
RELATIVES: tuple[str, ...] = _HELD["relatives"]
