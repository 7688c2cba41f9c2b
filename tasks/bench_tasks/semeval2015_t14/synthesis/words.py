"""Word lists, read from ``words.json``. Each maps ``shared`` or a split to entries.

A split draws from its own entries and from the shared ones. Splits have different entries of their own, so that some test
mentions are not in training. All notes are invented; no entry is about a patient, and concept identifiers made from these words
are not UMLS's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.kit.synthetic import read_words

Entries = Mapping[str, tuple[str, ...]]

_LISTS: Mapping[str, Any] = read_words(Path(__file__).with_name("words.json"))

PAIRED: Entries = _LISTS["paired"]
"""Sites with two sides, as noun:adjective."""
SINGLE: Entries = _LISTS["single"]
"""Sites without sides, as noun:adjective."""
FINDINGS: Entries = _LISTS["findings"]
"""Findings after the adjective of a site: "left atrial enlargement"."""
COMPLAINTS: Entries = _LISTS["complaints"]
"""Complaints before a site: "pain in the chest"."""
PREDICATES: Entries = _LISTS["predicates"]
"""Predicates of a site: "the abdomen was tender"."""
NOUN_OF: Mapping[str, str] = _LISTS["noun_of"]
"""Predicate to the noun of the same finding, if there is one: both are one concept."""
PLURALS: Mapping[str, str] = _LISTS["plurals"]
HEALTHY: Entries = _LISTS["healthy"]
DISEASES: Entries = _LISTS["diseases"]
SYMPTOMS: Entries = _LISTS["symptoms"]
ROOTS: Entries = _LISTS["roots"]
"""A root and its endings; no root is in two splits."""
ABBREVIATIONS: Entries = _LISTS["abbreviations"]
"""Abbreviation=long form; both have the same concept."""
TUMORS: Entries = _LISTS["tumors"]
GRADES: Entries = _LISTS["grades"]
COMPLICATIONS: Entries = _LISTS["complications"]
"""A closed class, the same in every split: a mention is annotated with and without it, as the guideline says."""
TYPES: Entries = _LISTS["types"]
"""A closed class, too: a mention is annotated with it only. A severity or a course is no part of it."""
DRUGS: Entries = _LISTS["drugs"]
LABS: Entries = _LISTS["labs"]
PROCEDURES: Entries = _LISTS["procedures"]
TESTS: Entries = _LISTS["tests"]
SERVICES: Entries = _LISTS["services"]
"""What turns a disorder's name into the name of something else."""
SURNAMES: Entries = _LISTS["surnames"]
JOBS: Entries = _LISTS["jobs"]
ADVERBS: Entries = _LISTS["adverbs"]
SEVERITIES: tuple[tuple[str, str], ...] = _LISTS["severities"]
"""Word and value of its slot."""
COURSES: tuple[tuple[str, str], ...] = _LISTS["courses"]
"""Word and value of its slot."""
RELATIVES: tuple[str, ...] = _LISTS["relatives"]
