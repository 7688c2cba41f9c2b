"""Formats that this package reads: the layout of a folder, and the kinds of faults.

A module of its own, so that listing tasks imports no reader.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.kit.faults import MALFORMED

LAYOUTS: Mapping[str, str] = {
    "brat": "FOLDER/{train,dev,test}/DOC.txt with DOC.ann beside it; empty where a document has no mention",
    "iob": "FOLDER/{train,devel,test}.tsv (or dev.tsv): token, tab, IOB2 tag; a blank line after a sentence",
    "pipe": "FOLDER/{train,dev,test}/DOC.text with DOC.pipe beside it (19 or 22 columns)",
    "jsonl": "FOLDER/{train,dev,test}.jsonl, one JSON object a line",
}
"""Format to the layout of its folder, in one line."""

BY_FORMAT: Mapping[str, tuple[str, ...]] = {
    "brat": (
        "missing-file", "not-utf8", MALFORMED, "repeated-id", "empty-span", "outside-text",
        "text-mismatch", "unknown-label", "missing-mention", "self-relation", "unknown-role",
    ),
    "pipe": (
        "missing-file", "not-utf8", MALFORMED, "empty-span", "outside-text", "other-document",
    ),
    "iob": (MALFORMED, "repeated-id", "unknown-label", "orphan-tag"),
    "jsonl": (
        "not-utf8", MALFORMED, "repeated-id", "repeated-annotation", "empty-span", "outside-text",
        "unknown-label", "missing-mention", "self-relation",
    ),
}  # fmt: skip
"""Format to the kinds of faults of its files."""
