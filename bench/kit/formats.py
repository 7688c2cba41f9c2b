"""Formats that this package reads: the layout of a folder, the kinds of faults, and the modules of readers.

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
    "bioc": "FOLDER/{train,dev,test}.xml or .json, or folders train, dev, test of such files",
    "pubtator": "FOLDER/{train,dev,test}.pubtator or .txt",
    "i2b2": "FOLDER/{train,dev,test}/ with DOC.txt and DOC.con, beside each other or in txt and concept",
    "huggingface": "FOLDER/{train,validation,test} saved by save_to_disk, or .parquet files (train-*.parquet, also in data)",
    "doccano": "FOLDER/{train,dev,test}.jsonl or .json",
    "label-studio": "FOLDER/{train,dev,test}.json or .jsonl",
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
    "bioc": (
        MALFORMED, "repeated-id", "empty-span", "outside-text", "text-mismatch", "unknown-label", "missing-mention",
        "self-relation", "unknown-role",
    ),
    "pubtator": (
        MALFORMED, "repeated-id", "empty-span", "outside-text", "text-mismatch", "other-document", "unknown-label",
    ),
    "i2b2": (
        "missing-file", "not-utf8", MALFORMED, "empty-span", "outside-text", "text-mismatch", "unknown-label",
        "missing-mention", "self-relation",
    ),
    "huggingface": (
        MALFORMED, "repeated-id", "empty-span", "outside-text", "text-mismatch", "unknown-label", "missing-mention",
        "self-relation", "orphan-tag",
    ),
    "doccano": (
        "not-utf8", MALFORMED, "repeated-id", "empty-span", "outside-text", "unknown-label", "missing-mention", "self-relation",
    ),
    "label-studio": (
        "not-utf8", MALFORMED, "repeated-id", "empty-span", "outside-text", "text-mismatch", "unknown-label",
        "missing-mention", "self-relation",
    ),
}  # fmt: skip
"""Format to the kinds of faults of its files."""

READERS: Mapping[str, str] = {
    "bioc": "bench.kit.bioc:read", "pubtator": "bench.kit.pubtator:read_split", "i2b2": "bench.kit.i2b2:read",
    "huggingface": "bench.kit.huggingface:read", "doccano": "bench.kit.doccano:read",
    "label-studio": "bench.kit.label_studio:read",
}  # fmt: skip
"""Format to the function that reads a split, as `bench.kit.reading` says; the others are read by functions of their own."""
