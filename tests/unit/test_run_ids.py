"""A run is found by its id: however the configuration is written down, every old run keeps the id that it has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.config import RunConfig, run_id

NEVER_IN_THE_ID: dict[str, Any] = {
    "tracker": ("none",), "memory_limit": 2**30, "max_hours": 1.5, "out": "/elsewhere", "name": "mine", "study": "s",
    "micro_batch": 64, "checkpoint_every": 5, "data": {"2015-T14": "/a"}, "task_set": "clinical",
    "concepts": {"2015-T14": "n.tsv"}, "concept_language": "GER", "concept_sources": ("MSH",),
}  # fmt: skip
RESOLVED: dict[str, Any] = {
    "data": {"2015-T14": "ab12"}, "precision": "fp32", "device": "cpu", "lr": 0.003, "threads": 2, "tokens_like": None,
}  # fmt: skip

WRITTEN: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"task": ("2015-T14",)}, {}, "2015-t14_a1_none_db7889774485"),
    ({"task": ("2015-T14",)}, RESOLVED, "2015-t14_a1_none_ffa5a9764dff"),
    ({"task": ("2015-T14",), "arch": "A2", "quant": "gptq", "quant_when": "after"}, {}, "2015-t14_a2_gptq_714c49e36242"),
    (
        {"task": ("2015-T14",), "arch": "A4", "quant": "nf4", "model": "org/name@abc", "head": "bioes", "rank": 8},
        {},
        "2015-t14_a4_nf4_be35b24d69a9",
    ),
    ({"task": ("2015-T14",), "seed": 7, "replicate": 2, "steps": 9}, {}, "2015-t14_a1_none_b7cb1217cc05"),
    (
        {"task": ("2015-T14",), "epochs": 2.5, "lr": 0.001, "max_length": 99, "batch_tokens": 512},
        {},
        "2015-t14_a1_none_4b8d59997e1f",
    ),
    (
        {"task": ("2015-T14",), "tokens": 1000000, "eval_every": 6, "precision": "bf16", "device": "cuda:1"},
        RESOLVED,
        "2015-t14_a1_none_1534f7d47874",
    ),
    ({"task": ("2015-T14",), "tokens_like": "other-run", "waive": ("smoke", "batch")}, {}, "2015-t14_a1_none_189f63cd9d8f"),
    (
        {
            "task": ("ncbi-disease", "bc5cdr"),
            "arch": "A3",
            "sampling": "uniform",
            "gradients": "pcgrad",
            "loss_weighting": "uncertainty",
        },
        {},
        "ncbi-disease+bc5cdr_a3_none_d25cba51a0e1",
    ),
    (
        {"task": ("ncbi-disease", "bc5cdr"), "temperature": 5.0, "loss_weights": {"bc5cdr": 0.5}},
        RESOLVED,
        "ncbi-disease+bc5cdr_a1_none_100252d00830",
    ),
    ({"task": ("a", "b"), "schedule": "sequential", "schedule_options": {"lambda": 10.0}}, {}, "a+b_a1_none_a9f03001ab1c"),
    (
        {"task": ("2015-T14",), "allow_leak": True, "tolerate": ("text-mismatch", "empty-span")},
        {},
        "2015-t14_a1_none_e4f4c0419622",
    ),
    (
        {
            "task": (
                "a-rather-long-name-of-a-task-0",
                "a-rather-long-name-of-a-task-1",
                "a-rather-long-name-of-a-task-2",
                "a-rather-long-name-of-a-task-3",
                "a-rather-long-name-of-a-task-4",
                "a-rather-long-name-of-a-task-5",
                "a-rather-long-name-of-a-task-6",
                "a-rather-long-name-of-a-task-7",
                "a-rather-long-name-of-a-task-8",
            )
        },
        {},
        "a-rather-long-name-of-a-task-0+a-rather-long-name-of-a-task-1+a-rather-long-name-of-a-task-2+a-rather-long-name-of-a-task-3+a-rather-long-name-of-a-task-4+a-rather-long-name-of-a-task-5+3-more_a1_none_844fc4a63af5",
    ),
]
"""Fields, facts that a run resolves, and the id, as `bench` 0.1.0 gave it."""


@pytest.mark.parametrize(("given", "resolved", "ident"), WRITTEN, ids=[row[2] for row in WRITTEN])
def test_every_old_run_keeps_its_id(given: dict[str, Any], resolved: dict[str, Any], ident: str) -> None:
    config = RunConfig(**given)
    assert run_id(config, **resolved) == ident
    assert run_id(replace(config, **NEVER_IN_THE_ID), **resolved) == ident


def test_the_identity_of_a_run_of_defaults_word_for_word() -> None:
    assert RunConfig(task=("2015-T14",)).identity() == {
        "arch": "A1",
        "batch_tokens": 2048,
        "device": "auto",
        "epochs": None,
        "eval_every": None,
        "head": None,
        "lr": None,
        "max_length": None,
        "model": "minilm-l6",
        "precision": "auto",
        "quant": "none",
        "quant_when": None,
        "rank": 16,
        "replicate": 1,
        "seed": 0,
        "steps": None,
        "task": ["2015-T14"],
        "tokens": None,
        "tokens_like": None,
        "waive": [],
    }
