from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.api.data import Document, Judgement, Mention, Relation
from bench.errors import RunInUseError, RunStateError, StorageError, UsageError
from bench.naming import flatten
from bench.results.evidence import Calibration
from bench.results.invariants import Account, ArmParameters, Batch, Checkpoint, Invariants, Parity, Smoke, Tokens
from bench.results.layout import LOCK
from bench.results.lock import RunLock, holder
from bench.results.schema import SCHEMA_VERSION, Headline, Quantization, Result, TaskScores
from bench.results.scores import interval_of, score_of
from bench.results.store import (
    find_run,
    read_json,
    read_predictions,
    read_result,
    write_bytes,
    write_json,
    write_predictions,
    write_result,
)

COUNTS = {"tp": 3.0, "fp": 1.0, "fn": 1.0, "precision": 0.75, "recall": 0.75, "f1": 0.75, "f1.ci95": (0.5, 0.9)}
STRICT = {f"task1.strict.{name}": value for name, value in COUNTS.items()}
RESULT = Result(
    id="toy_a2_none_000000000000",
    config={"task": ["toy"], "rank": 16},
    headline=Headline("toy", "test", "trained", "task1.strict.f1", 0.75, (0.5, 0.9)),
    scores={"toy": TaskScores(STRICT, None, {"trained": STRICT})},
    invariants=Invariants(
        Tokens(total=100, tasks={"toy": Account(tokens=100)}),
        Parity(arm="A2", rows=(ArmParameters("A2", 5, 0, 2, 7, {"toy": 7}, 1.0, 1.0, {"shared": 1}),)),
        Smoke(status="waived", loss={"toy": (1.0, 0.25)}),
        Batch(micro_batch=64, limit=2**30, peak=None, binds="memory", longest=32, probes=[(64, None)]),
        Checkpoint(resumed_from=(3,)),
    ),
    quantization=Quantization(4.5, 1000, 0.2, 0.3),
    timings={"train": 12.5},
    memory={"peak": 3 << 30},
    hashes={"data": {"toy": "ab"}},
    versions={"torch": "2.13.0"},
    hardware={"cores": 2},
    git={"commit": None, "dirty": None},
    waivers=("smoke",),
    synthetic=True,
    calibration={"toy": {"trained": {"mentions": Calibration(ece={"equal_mass": 0.1})}}},
    extra={"of_a_plugin": {"x": 0.1}},
)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = write_result(tmp_path, RESULT)
    assert path == tmp_path / "result.json"
    assert read_result(tmp_path) == RESULT
    value = json.loads(path.read_text())
    assert list(value)[:6] == ["schema_version", "id", "waivers", "synthetic", "headline", "leaks"]
    assert value["scores"]["toy"]["trained"]["task1.strict.f1"] == 0.75
    assert value["scores"]["toy"]["trained"]["task1.strict.f1.ci95"] == [0.5, 0.9]
    assert value["scores"]["toy"]["quantized"] is None
    assert value["calibration"]["toy"]["trained"]["mentions"]["ece"] == {"equal_mass": 0.1}
    assert value["of_a_plugin"] == {"x": 0.1}
    assert "funnel" not in value  # there is nothing to say of it


def test_names_of_a_newer_bench_are_kept_at_the_top_and_passed_over_below() -> None:
    value = RESULT.to_json() | {"newer": [1]}
    value["invariants"]["tokens"]["newer"] = 2
    found = Result.from_json(value)
    assert found == replace(RESULT, extra={**RESULT.extra, "newer": [1]})


def test_what_is_no_number_comes_back_as_none_or_nan() -> None:
    odd = replace(RESULT, invariants=replace(RESULT.invariants, smoke=Smoke(loss={"toy": (1.0, float("nan"))})))
    value = odd.to_json()
    assert value["invariants"]["smoke"]["loss"] == {"toy": [1.0, None]}
    before, after = Result.from_json(value).invariants.smoke.loss["toy"]
    assert (before, math.isnan(after)) == (1.0, True)
    scores = replace(RESULT, scores={"toy": TaskScores({"f1": float("nan"), "tp": 3})})
    read = Result.from_json(scores.to_json()).scores["toy"].trained
    assert read == {"f1": None, "tp": 3}
    assert type(read["tp"]) is int


def test_a_result_from_before_leaks_were_recorded_is_still_read(tmp_path: Path) -> None:
    value = RESULT.to_json()
    del value["leaks"]
    assert Result.from_json(value) == RESULT
    recorded = {"toy": {"allowed": 1, "tolerated": 0, "documents": [{"document": "d"}]}}
    write_result(tmp_path, replace(RESULT, leaks=recorded))
    assert read_result(tmp_path).leaks == recorded


def test_a_result_is_strict_json(tmp_path: Path) -> None:
    odd = replace(RESULT, timings={"train": float("nan"), "eval": float("inf")})
    text = write_result(tmp_path, odd).read_text()
    assert json.loads(text, parse_constant=pytest.fail)["timings"] == {"train": None, "eval": None}


def test_a_document_cannot_get_into_a_result() -> None:
    with pytest.raises(TypeError) as caught:
        replace(RESULT, extra={"x": Document("d", "CANARY-7F3A")}).to_json()
    assert "CANARY" not in str(caught.value)


def test_extra_keys_do_not_replace_promised_ones() -> None:
    with pytest.raises(ValueError, match="headline"):
        replace(RESULT, extra={"headline": 1}).to_json()


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    path = write_result(tmp_path, RESULT)
    path.write_text(path.read_text().replace(f'"schema_version": {SCHEMA_VERSION}', '"schema_version": 99'))
    with pytest.raises(RunStateError, match="schema version 99; this bench reads 1 and 2"):
        read_result(tmp_path)


def test_a_run_that_another_process_works_on_is_told_from_one_that_ended_early(tmp_path: Path) -> None:
    with RunLock(tmp_path):
        assert holder(tmp_path) == f"process {os.getpid()}"
        with pytest.raises(RunStateError, match=f"no result yet: it is still running, in process {os.getpid()}") as raised:
            read_result(tmp_path)
        assert str(tmp_path / "journal.jsonl") in str(raised.value.hint)
    assert holder(tmp_path) is None
    (tmp_path / LOCK).write_text("4711\n", encoding="utf-8")  # of a process that was killed
    assert holder(tmp_path) is None
    with RunLock(tmp_path), pytest.raises(RunInUseError, match="is in use by process"):
        RunLock(tmp_path).__enter__()
    with pytest.raises(RunStateError, match="did not finish"):
        read_result(tmp_path)


def test_damage_is_told_not_thrown(tmp_path: Path) -> None:
    with pytest.raises(RunStateError, match="did not finish"):
        read_result(tmp_path)
    path = write_result(tmp_path, RESULT)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunStateError, match="truncated"):
        read_result(tmp_path)
    for name in ("headline", "scores", "git", "waivers"):
        value = json.loads(whole)
        del value[name]
        path.write_text(json.dumps(value))
        with pytest.raises(RunStateError, match=f"lacks {name}"):
            read_result(tmp_path)
    odd_values = {"headline": {"task": "toy"}, "scores": [1], "invariants": {"tokens": {}}, "config": 3, "synthetic": "CANARY"}
    for name, odd in odd_values.items():
        path.write_text(json.dumps({**json.loads(whole), name: odd}))
        with pytest.raises(RunStateError, match=r"is not what schema version 2 promises: .*(lacks|wanted)"):
            read_result(tmp_path)
    value = json.loads(whole)
    value["invariants"]["batch"]["limit"] = "CANARY"
    path.write_text(json.dumps(value))
    with pytest.raises(RunStateError, match=r"promises: invariants\.batch\.limit is of the type str; wanted an integer"):
        read_result(tmp_path)
    path.write_text("[]")
    with pytest.raises(RunStateError, match="not a result"):
        read_result(tmp_path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    write_bytes(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_bytes(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_a_path_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        write_bytes(tmp_path / "file" / "below", b"")


def test_a_score_and_its_interval_are_found_by_the_dotted_name() -> None:
    assert score_of(STRICT, "task1.strict.f1") == 0.75
    assert interval_of(STRICT, "task1.strict.f1") == (0.5, 0.9)
    for absent in ("task1.relaxed.f1", "task1.strict", "task1.strict.f1.ci95"):
        assert score_of(STRICT, absent) is None
    assert score_of(None, "task1.strict.f1") is interval_of(STRICT, "task1.strict.tp") is None
    nested = {"by_class": {"v1.0": {"f1": 0.5, "empty": {}}}}
    assert flatten(nested) == {"by_class.v1.0.f1": 0.5}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name in ("toy_a1_none_aaaa", "toy_a1_none_aabb", "toy_a2_gptq_cccc"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "journal.jsonl").write_text("")
    (tmp_path / "wandb").mkdir()
    return tmp_path


def test_a_run_is_found_by_id_prefix_or_folder(runs: Path) -> None:
    assert find_run("toy_a1_none_aaaa", runs) == runs / "toy_a1_none_aaaa"
    assert find_run("TOY_A2_gptq_cccc", runs) == runs / "toy_a2_gptq_cccc"
    assert find_run("toy_a2", runs) == runs / "toy_a2_gptq_cccc"
    assert find_run(str(runs / "toy_a1_none_aabb"), runs / "elsewhere") == runs / "toy_a1_none_aabb"


def test_a_run_that_is_not_there_names_the_near_ones(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"beginning of 2 runs: toy_a1_none_aaaa, toy_a1_none_aabb"):
        find_run("toy_a1", runs)
    with pytest.raises(UsageError, match="Did you mean 'toy_a2_gptq_cccc'"):
        find_run("toy_a2_gptq_cccd", runs)
    with pytest.raises(UsageError, match="There is no run 'wandb'"):
        find_run("wandb", runs)
    with pytest.raises(UsageError, match="It holds toy_a1_none_aaaa, toy_a1_none_aabb, toy_a2_gptq_cccc"):
        find_run("qqqqqqq", runs)
    with pytest.raises(UsageError, match="It holds no run"):
        find_run("x", runs / "wandb")
    monkeypatch.chdir(runs)
    with pytest.raises(UsageError, match=f"in {runs / 'missing'}. There is no such folder") as raised:
        find_run("x", Path("missing"), "--runs")
    assert raised.value.hint == "--runs names another folder of runs."
    with pytest.raises(UsageError, match="got nothing"):
        find_run(" ", runs)


def test_predictions_are_offsets_and_labels_never_text(tmp_path: Path) -> None:
    mention = Mention(((0, 4), (9, 12)), "Disorder", "C0000001", {"NI": ("yes",), "BL": ("C1", "C2")})
    documents = (
        Document("d1", "CANARY-7F3A left and right", (mention, Mention(((5, 6),), "Gene"))),
        Document("d2", "CANARY"),
    )
    path = tmp_path / "predictions" / "toy.test.trained.jsonl"
    write_predictions(path, documents)
    assert "CANARY" not in path.read_text()
    back = read_predictions(path)
    assert back == tuple(d.without_text() for d in documents)
    assert back[0].mentions[0].slots == mention.slots
    assert back[0].mentions[1].concept is None


def test_damaged_predictions_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"id": "d1", "mentions": []}\n{"id": "d2"}\n')
    with pytest.raises(RunStateError, match="line 2"):
        read_predictions(path)
    with pytest.raises(RunStateError, match="cannot be read"):
        read_predictions(tmp_path / "missing")


HOLD = """
import sys, time
from pathlib import Path
from bench.results.layout import LOCK
from bench.results.lock import RunLock, holder
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_told_who_holds_the_folder_and_a_kill_frees_it(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(RunStateError, match=f"in use by process {process.pid}"), RunLock(tmp_path):
            pass
        process.kill()
        process.wait()
    with RunLock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
        with pytest.raises(RunStateError, match=f"process {os.getpid()}"), RunLock(tmp_path):
            pass
    with RunLock(tmp_path):
        pass


def test_an_exception_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(KeyError), RunLock(tmp_path):
        raise KeyError
    with RunLock(tmp_path):
        pass


def test_relations_and_judgements_come_back(tmp_path: Path) -> None:
    a, b = Mention(((0, 2), (5, 7)), "X"), Mention(((3, 4),), "Y")
    document = Document("d", "", (a, b), (Relation(a.key, b.key, "CPR:4"),), (Judgement("yes", 0.75, True),))
    path = tmp_path / "p.jsonl"
    write_predictions(path, [document, Document("e", "")])
    assert read_predictions(path) == (document, Document("e", ""))


def test_names_that_are_not_utf8_read_back_as_they_were(tmp_path: Path) -> None:
    name = os.fsdecode(b"r\xff")
    write_json(tmp_path / "a.json", {name: [name, "ü"]})
    assert read_json(tmp_path / "a.json") == {name: [name, "ü"]}
    write_predictions(tmp_path / "p.jsonl", [Document(name, "", ())])
    assert [document.id for document in read_predictions(tmp_path / "p.jsonl")] == [name]
