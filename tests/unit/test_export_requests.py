"""What an export refuses before anything is loaded, and whose text the weights of a task saw."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.api.architecture import LoraVariant
from bench.errors import MissingError, UsageError
from bench.exporting import requests
from bench.exporting.requests import Request, check, restricted
from bench.registry import load

OPEN, CLOSED = "ncbi-disease", "2016-T12"


def run(
    arch: str,
    *tasks: str,
    synthetic: bool = False,
    when: str | None = None,
    folder: Path = Path("none"),
    attention: str | None = None,
) -> Any:
    """A finished run as far as a request looks at it."""
    registry = load()
    architecture = registry.get("architectures", arch).bound(dict.fromkeys(tasks, 1))
    parts = SimpleNamespace(
        architecture=architecture, tasks={name: registry.get("tasks", name) for name in tasks},
        quantizer=SimpleNamespace(name="gptq"), quantizes=when is not None, when=when,
    )  # fmt: skip
    result, config = SimpleNamespace(id="a-run", synthetic=synthetic), SimpleNamespace(attention=attention)
    return SimpleNamespace(parts=parts, result=result, config=config, folder=folder)


@pytest.mark.parametrize(
    ("arch", "form", "stage", "says", "instead"),
    [
        ("A4", "merge", "trained", r"in 2 passes \(shared; private-ncbi-disease\)", "bench predict"),
        ("A4-gated", "peft", "trained", "in 2 passes", "bench predict"),
        ("prefix", "onnx", "trained", "neither a LoRA adapter nor a weight", "bench predict"),
        ("prompt", "peft", "trained", "neither a LoRA adapter nor a weight", "bench predict"),
        ("full", "peft", "trained", "has no adapter", "--merge"),
        ("full", "onnx", "quantized", "not written as ONNX", "--merge"),
        ("A1", "merge", "quantized", "cannot be merged into weights that gptq rounded", "--peft --stage quantized"),
    ],
)
def test_a_form_that_a_run_does_not_have_is_refused_with_the_one_it_has(
    arch: str, form: Any, stage: Any, says: str, instead: str, tmp_path: Path
) -> None:
    finished = run(arch, OPEN, when="after")
    with pytest.raises(UsageError, match=says) as refused:
        check(finished, Request(tmp_path / "out", form, stage=stage), [OPEN])
    assert instead in str(refused.value.hint)


def test_a_decoder_that_sees_both_ways_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="see both ways"):
        check(run("A1", OPEN, attention="bidirectional"), Request(tmp_path / "out"), [OPEN])
    check(run("A1", OPEN, attention="causal"), Request(tmp_path / "out"), [OPEN])


def test_adapters_that_peft_cannot_hold_as_one_are_refused(tmp_path: Path) -> None:
    finished = run("A3", OPEN)
    shared_and_private = copy(finished.parts.architecture)
    shared_and_private.__class__ = type("Dora", (type(shared_and_private),), {"variant": LoraVariant(dora=True)})
    finished.parts.architecture = shared_and_private
    with pytest.raises(UsageError, match="PEFT cannot hold as one") as refused:
        check(finished, Request(tmp_path / "out", "peft"), [OPEN])
    assert refused.value.hint == "Take --merge."
    check(finished, Request(tmp_path / "out", "merge"), [OPEN])
    for arch in ("A1-dora", "A1-rslora"):  # one adapter each
        check(run(arch, OPEN), Request(tmp_path / "out", "peft"), [OPEN])


def test_packages_that_onnx_needs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "find_spec", lambda name: None if name == "onnxscript" else object())
    with pytest.raises(MissingError, match="needs onnxscript, not installed") as refused:
        check(run("A1", OPEN), Request(tmp_path / "out", "onnx"), [OPEN])
    assert refused.value.hint == "pip install 'bench-suite[onnx]'"
    check(run("A1", OPEN), Request(tmp_path / "out", "merge"), [OPEN])


def test_names_and_places_are_looked_at_first(tmp_path: Path) -> None:
    finished = run("A3", OPEN)
    check(finished, Request(tmp_path / "out"), [OPEN])
    check(finished, Request(tmp_path / "out", "peft"), [OPEN])
    for request, says in (
        (Request(tmp_path), "exists"),
        (Request(tmp_path / "out", "merged"), "Unknown form 'merged'. Did you mean 'merge'"),  # type: ignore[arg-type]
        (Request(tmp_path / "out", dtype="bf32"), "Unknown dtype"),
        (Request(tmp_path / "out", "peft", dtype="bf16"), "without --merge"),
        (Request(tmp_path / "out", stage="quantized"), "quantized nothing"),
    ):
        with pytest.raises(UsageError) as refused:
            check(finished, request, [OPEN])
        assert says in str(refused.value)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="exists"):
        check(finished, Request(tmp_path / "link"), [OPEN])


def test_text_under_an_agreement_marks_every_task_whose_adapters_it_trained(tmp_path: Path) -> None:
    assert restricted(run("A1", CLOSED), CLOSED)
    assert not restricted(run("A1", CLOSED, synthetic=True), CLOSED)
    assert not restricted(run("A1", OPEN), OPEN)
    # A shared adapter saw both tasks' text; a private one only its own.
    assert restricted(run("A1", OPEN, CLOSED), OPEN)
    assert restricted(run("A3", OPEN, CLOSED), OPEN)
    assert not restricted(run("A2", OPEN, CLOSED), OPEN)
    assert restricted(run("full", OPEN, CLOSED), OPEN)
    # Of a run on generated and on real text, the generated corpus is the one that the run keeps a copy of.
    assert restricted(run("A1", OPEN, CLOSED, synthetic=True, folder=tmp_path), CLOSED)
    (tmp_path / "corpus" / CLOSED).mkdir(parents=True)
    assert not restricted(run("A1", OPEN, CLOSED, synthetic=True, folder=tmp_path), CLOSED)
