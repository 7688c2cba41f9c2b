"""A finished run that is bent in every way that a careful cheat would try: each is named, where it should be."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench import runner  # noqa: E402
from bench.cli import main  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.library.results import RunResult  # noqa: E402
from bench.registry import load  # noqa: E402
from bench.results.layout import ADAPTERS, CORPUS, JOURNAL, MANIFEST, PREDICTIONS, RESULT, STATISTICS  # noqa: E402
from bench.results.manifest import cut_short, file_sums, read_manifest, sums_sha256  # noqa: E402
from bench.results.reading import plain  # noqa: E402
from bench.results.store import as_json  # noqa: E402
from bench.sealed import SEAL, sealed  # noqa: E402
from bench.tracking.journal import checked  # noqa: E402
from bench.verifying.records import files  # noqa: E402

Make = Callable[..., RunConfig]
Bend = Callable[[Path], None]
TASK = "2015-T14"


@pytest.fixture(scope="module")
def made() -> dict[int, Path]:
    """Seed to the folder of a finished run; made by `runs`."""
    return {}


@pytest.fixture
def runs(tiny: Make, tmp_path_factory: pytest.TempPathFactory, made: dict[int, Path]) -> Mapping[int, Path]:
    """Two runs that differ in their seeds, and one with more parameters as seed 3; nobody changes them."""
    if not made:
        out = tmp_path_factory.mktemp("runs")
        for seed, more in {1: {}, 2: {}, 3: {"rank": 24}}.items():
            folder = runner.run(tiny(seed=seed, out=str(out), **more), load()).folder
            assert folder is not None
            made[seed] = folder
    return made


@pytest.fixture
def copy(runs: Mapping[int, Path], tmp_path: Path) -> Path:
    """A copy of the first run that a test may bend."""
    return Path(shutil.copytree(runs[1], tmp_path / "bent" / runs[1].name))


def edited(path: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(path.read_bytes())
    change(value)
    path.write_bytes(as_json(value) if path.name in (RESULT, MANIFEST) else (json.dumps(value) + "\n").encode())


def resealed(folder: Path) -> None:
    """Writes a manifest that fits what is there, as whoever knows its layout can."""
    last = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
    end = {"events": len(last), "bytes": (folder / JOURNAL).stat().st_size, "sha256": sha256(last[-1]).hexdigest()}
    result = json.loads((folder / RESULT).read_bytes())
    value = json.loads((folder / MANIFEST).read_bytes())
    value |= {"files": plain(file_sums(folder)), "journal": end, "waivers": result["waivers"]}
    value["ledger"] = result["invariants"]["tokens"]["tasks"]
    (folder / MANIFEST).write_bytes(as_json(sealed({name: member for name, member in value.items() if name != SEAL})))


def relined(folder: Path, change: Callable[[list[dict[str, Any]]], Any], chain: bool = False) -> None:
    """Rewrites the journal with positions and CRCs that fit; the chain is made anew if asked for."""
    records = [json.loads(line) for line in (folder / JOURNAL).read_bytes().splitlines()]
    change(records)
    lines: list[bytes] = []
    for seq, record in enumerate(records):
        record.pop("crc32")
        record["seq"] = seq
        if chain:
            record["previous"] = sha256(lines[-1] if lines else folder.name.encode()).hexdigest()
        lines.append(checked(json.dumps(record, separators=(",", ":")).encode()))
    (folder / JOURNAL).write_bytes(b"".join(lines))


def score(folder: Path) -> None:
    def change(result: Any) -> None:
        result["headline"]["value"] = 0.99

    edited(folder / RESULT, change)


def every_score(folder: Path) -> None:
    """The headline and the score that it repeats."""

    def change(result: Any) -> None:
        head = result["headline"]
        head["value"] = result["scores"][TASK]["trained"][head["metric"]] = 0.99

    edited(folder / RESULT, change)


def interval(folder: Path) -> None:
    def change(result: Any) -> None:
        head = result["headline"]
        head["ci95"] = result["scores"][TASK]["trained"][f"{head['metric']}.ci95"] = [0.98, 0.995]

    edited(folder / RESULT, change)


def counts(folder: Path) -> None:
    def change(statistics: Any) -> None:
        statistics["rows"][0] = [cell + 1 for cell in statistics["rows"][0]]

    edited(folder / STATISTICS / f"{TASK}.test.trained.json", change)


def predictions(folder: Path) -> None:
    path = folder / PREDICTIONS / f"{TASK}.test.trained.jsonl"
    first, *rest = path.read_text().splitlines()
    record = json.loads(first)
    record["mentions"] = record["mentions"][1:] or [{"fragments": [[0, 3]], "label": "Disease_Disorder"}]
    path.write_text("\n".join([json.dumps(record), *rest]) + "\n")


def tokens(folder: Path) -> None:
    def change(result: Any) -> None:
        counted = result["invariants"]["tokens"]
        counted["total"] -= 100
        counted["tasks"][TASK]["tokens"] -= 100

    edited(folder / RESULT, change)


def tokens_in_the_journal(records: list[dict[str, Any]]) -> None:
    for record in records:
        if record["kind"] == "step":
            record["values"]["ledger"][TASK]["tokens"] -= 100 * (record["step"] >= 3)


def waiver(folder: Path) -> None:
    def change(result: Any) -> None:
        result["waivers"] = []
        result["config"]["waive"] = []
        result["invariants"]["smoke"]["status"] = "held"

    edited(folder / RESULT, change)


def scorer(folder: Path) -> None:
    """A score, and the version of the scorer, so that the one that is installed does not compute it again."""
    every_score(folder)
    edited(folder / RESULT, lambda result: result["versions"]["parts"].update({f"task {TASK}": "99"}))


def told_anew(folder: Path) -> None:
    """Makes the journal tell of the files as they are now, and the manifest fit that: the work of a careful forger."""

    def change(records: list[dict[str, Any]]) -> None:
        (result,) = (record for record in records if record["kind"] == "result")
        result["values"]["sha256"] = sums_sha256(file_sums(folder))

    relined(folder, change, chain=True)
    resealed(folder)


def swapped(seed: int) -> Callable[[Path, Mapping[int, Path]], None]:
    def swap(folder: Path, runs: Mapping[int, Path]) -> None:
        shutil.rmtree(folder / ADAPTERS)
        shutil.copytree(runs[seed] / ADAPTERS, folder / ADAPTERS)

    return swap


def differing(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, str]:
    """What `bench verify` says differs, by check."""
    capsys.readouterr()
    code = main(["verify", str(folder), "--json", *words])
    (told,) = json.loads(capsys.readouterr().out)
    wrong = {check["what"]: check["note"] for check in told["checks"] if check["outcome"] == "differs"}
    assert (code, told["holds"]) == ((6, False) if wrong else (0, True))
    return wrong


def test_a_run_as_it_was_written_holds(runs: Mapping[int, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(runs[1])]) == 0
    told = capsys.readouterr().out
    assert "differs" not in told
    for line in (
        "journal",
        "ledger",
        "parity",
        "waivers",
        f"{TASK}: test, trained, predictions",
        f"{TASK}: baseline dictionary",
    ):
        assert any(row.startswith(line) and " holds " in row for row in told.splitlines()), line
    assert "not enforced: smoke" in told
    assert main(["verify", str(runs[1].parent), "--json"]) == 0
    assert [row["run"] for row in json.loads(capsys.readouterr().out)] == sorted(path.name for path in runs.values())
    assert main(["show", "run", str(runs[1])]) == 0
    assert "CHANGED" not in capsys.readouterr().out
    assert RunResult.read(runs[1]).standing.changed == ()
    assert RunResult.read(runs[1]).verify().differs == ()
    manifest = read_manifest(runs[1])
    assert manifest is not None
    assert {RESULT, "plan.json", f"{STATISTICS}/{TASK}.dev.trained.json", f"{ADAPTERS}/head-0.safetensors"} <= set(
        manifest.files
    )


BENT: dict[str, tuple[Bend, set[str], set[str]]] = {
    # what is bent, to what differs; then what is still marked where journal and manifest were made to fit
    "score": (score, {"headline", "files in the journal"}, {"headline"}),
    "every score": (
        every_score,
        {f"{TASK}: test, trained, scores", "scores in the journal", "files in the journal"},
        {f"{TASK}: test, trained, scores"},
    ),
    "interval": (interval, {f"{TASK}: test, trained, scores", "scores in the journal", "files in the journal"}, set()),
    "statistics": (
        counts,
        {f"{TASK}: test, trained, scores", f"{TASK}: test, trained, predictions", "files in the journal"},
        {f"{TASK}: test, trained, scores"},
    ),
    "predictions": (predictions, {f"{TASK}: test, trained, predictions", "files in the journal"}, set()),
    "tokens": (tokens, {"ledger", "files in the journal"}, set()),
    "waiver": (waiver, {"waivers in the journal", "run id", "files in the journal"}, set()),
    "scorer": (scorer, {"result and manifest", "files in the journal"}, set()),
}


@pytest.mark.parametrize("what", BENT)
def test_each_bent_file_is_named_with_and_without_a_manifest_that_fits(
    what: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bend, differ, _ = BENT[what]
    bend(copy)
    wrong = differing(copy, capsys)
    assert "files against the manifest" in wrong
    assert main(["show", "run", str(copy)]) == 0
    assert "CHANGED since it was written" in capsys.readouterr().out
    resealed(copy)
    wrong = differing(copy, capsys)
    assert set(wrong) >= differ, wrong
    assert "files against the manifest" not in wrong
    # the end of the journal holds the hash of all files, so that a manifest that fits does not hide a change
    assert f"{MANIFEST} (not of the files that the journal tells of)" in RunResult.read(copy).standing.changed
    told_anew(copy)
    # scores are computed again wherever a result is shown, whatever manifest and journal say
    changed = RunResult.read(copy).standing.changed
    assert bool(changed) == bool(BENT[what][2]), changed
    assert differing(copy, capsys)


JUNK: dict[str, Callable[[list[bytes]], Any]] = {
    "last line of junk": lambda lines: lines.__setitem__(-1, b"junk\n"),
    "last line of other JSON": lambda lines: lines.__setitem__(-1, b"[]\n"),
    "end that follows from nothing": lambda lines: lines.__setitem__(-1, lines[-1].replace(b'"previous":"', b'"previous":"0')),
    "no end": lambda lines: lines.pop(),
    "an end alone": lambda lines: lines.__delitem__(slice(0, -1)),
}


@pytest.mark.parametrize("what", JUNK)
def test_a_journal_that_ends_otherwise_is_marked_wherever_the_run_is_shown(
    what: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (copy / JOURNAL).read_bytes().splitlines(keepends=True)
    JUNK[what](lines)
    (copy / JOURNAL).write_bytes(b"".join(lines))
    assert JOURNAL in RunResult.read(copy).standing.changed
    resealed(copy)
    assert f"{JOURNAL} (does not end as that of a finished run)" in RunResult.read(copy).standing.changed
    assert main(["board", "--out", str(copy.parent)]) == 0
    assert "CHANGED" in capsys.readouterr().out
    assert "journal" in differing(copy, capsys)


JOURNALS: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "update removed": lambda records: records.remove(next(r for r in records if (r["kind"], r["step"]) == ("step", 4))),
    "lines reordered": lambda records: records.insert(4, records.pop(5)),
    "token count": tokens_in_the_journal,
}


def test_a_journal_that_holds_nothing_but_its_end_is_named(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scores and statistics that fit, and a journal that says nothing against them."""

    def cut(records: list[dict[str, Any]]) -> None:
        records[:] = [record for record in records if record["kind"] in ("start", "end")]

    relined(copy, cut, chain=True)
    resealed(copy)
    assert {"ledger", "files in the journal"} <= set(differing(copy, capsys))
    assert f"{JOURNAL} (does not end as that of a finished run)" in RunResult.read(copy).standing.changed


@pytest.mark.parametrize("what", JOURNALS)
def test_a_bent_journal_is_named(what: str, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    relined(copy, JOURNALS[what])
    assert "journal" in differing(copy, capsys)
    resealed(copy)
    assert "journal" in differing(copy, capsys)
    relined(copy, lambda records: None, chain=True)
    wrong = differing(copy, capsys)
    assert "files against the manifest" in wrong
    assert "journal" not in wrong
    assert f"{JOURNAL}" in RunResult.read(copy).standing.changed
    resealed(copy)  # now all fits but what the lines say
    assert "ledger" in differing(copy, capsys)


SHAPES = {
    "values": ("step", lambda record: record.update(values=[])),
    "ledger": ("step", lambda record: record["values"].update(ledger=[1])),
    "scores": ("scores", lambda record: record["values"].pop("scores")),
    "configuration": ("start", lambda record: record["values"].update(config=[1])),
}


def test_events_that_bench_does_not_write_differ(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (copy / JOURNAL).read_bytes()
    for kind, change in SHAPES.values():
        (copy / JOURNAL).write_bytes(whole)
        relined(copy, lambda records, k=kind, c=change: c(next(r for r in records if r["kind"] == k)), chain=True)  # type: ignore[misc]
        resealed(copy)
        assert "journal" in differing(copy, capsys)
    (copy / JOURNAL).write_bytes(whole)
    edited(copy / RESULT, lambda value: value["config"].update(waive=5))
    resealed(copy)
    assert RESULT in differing(copy, capsys)


def test_the_end_of_a_run_that_failed_is_none_of_a_finished_one(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    relined(copy, lambda records: records[-1]["values"].update(status="failed"), chain=True)
    resealed(copy)
    assert set(differing(copy, capsys)) == {"journal"}
    assert RunResult.read(copy).standing.changed == (f"{JOURNAL} (does not end as that of a finished run)",)


def test_weights_of_another_run_are_named(
    runs: Mapping[int, Path], copy: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    swapped(2)(copy, runs)
    assert f"{ADAPTERS}/" in differing(copy, capsys)["files against the manifest"]
    resealed(copy)
    assert set(differing(copy, capsys)) == {"files in the journal"}
    swapped(3)(copy, runs)
    resealed(copy)
    assert "parameters saved" in differing(copy, capsys)["parity"]


def test_a_manifest_that_is_gone_or_edited_is_named(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edited(copy / MANIFEST, lambda manifest: manifest.update(waivers=[]))
    assert "its own hash" in differing(copy, capsys)["files against the manifest"]
    (copy / MANIFEST).unlink()
    assert differing(copy, capsys)["files against the manifest"] == f"{MANIFEST} is missing"
    assert main(["show", "run", str(copy)]) == 0
    assert f"CHANGED since it was written: {MANIFEST} (missing)" in capsys.readouterr().out


def test_any_byte_of_any_file_that_the_manifest_covers(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = read_manifest(copy)
    assert manifest is not None
    draw = random.Random(14)
    for name in (*manifest.files, JOURNAL, MANIFEST):
        path = copy / name
        whole = path.read_bytes()
        for _ in range(4):
            at, value = draw.randrange(len(whole)), draw.randrange(256)
            value = value if value != whole[at] else value ^ 1
            path.write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
            # whatever else is found; the journal's middle is found by its chain, which `verify` follows
            found = [check for check in files(copy)[1] if check.outcome == "differs"] or differing(copy, capsys)
            assert found, (name, at, value)
            path.write_bytes(whole)
    assert not differing(copy, capsys)


def test_the_board_the_page_and_json_mark_a_changed_run(
    runs: Mapping[int, Path], copy: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shutil.copytree(runs[2], copy.parent / runs[2].name)
    every_score(copy)
    told_anew(copy)
    assert main(["board", "--out", str(copy.parent)]) == 0
    told = capsys.readouterr().out
    assert sum("CHANGED: task1" in row for row in told.splitlines()) == 1
    assert main(["board", "--out", str(copy.parent), "--json"]) == 0
    assert {row["id"]: bool(row["changed"]) for row in json.loads(capsys.readouterr().out)} == {
        copy.name: True,
        runs[2].name: False,
    }
    assert main(["show", "run", str(copy), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["standing"]["changed"]
    assert "changed since it was written" in repr(RunResult.read(copy))


def test_comparisons_refuse_a_changed_run_unless_it_is_allowed(
    runs: Mapping[int, Path], copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", str(copy), str(runs[2]), "--allow", "waivers", "--resamples", "200"]
    assert main(words) == 0
    every_score(copy)
    capsys.readouterr()
    assert main(words) == 3
    told = capsys.readouterr().err
    assert "changed since it was written: result.json" in told
    assert f"bench verify {copy}" in told
    assert main([*words, "--allow", "changed"]) == 0


def test_a_report_marks_a_changed_run(copy: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("vl_convert")
    counts(copy)
    assert main(["report", str(copy), "--out", str(tmp_path / "page"), "--json"]) == 0
    assert [*json.loads(capsys.readouterr().out)["changed"]] == [copy.name]
    page = (tmp_path / "page" / "index.html").read_text()
    assert "Since they were written" in page
    assert "CHANGED" in (tmp_path / "page" / "tables" / "runs.csv").read_text()


def test_a_run_of_an_older_bench_is_told_as_such_once(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / MANIFEST).unlink()
    relined(copy, lambda records: [record.pop("previous") for record in records])
    assert not differing(copy, capsys)
    assert main(["verify", str(copy)]) == 0
    assert "an older bench wrote" in capsys.readouterr().out
    assert main(["show", "run", str(copy)]) == 0
    assert capsys.readouterr().out.count("older bench") == 1


def test_a_corpus_that_is_not_there_is_not_checked_and_another_one_differs(
    copy: Path, other_corpus: Path, small_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(copy / CORPUS)
    edited(copy / RESULT, lambda result: result["config"]["data"].update({TASK: str(tmp_path / "gone")}))
    resealed(copy)
    assert main(["verify", str(copy)]) == 6  # the journal has the hash of the result
    assert f"--data {TASK}=DIR" in capsys.readouterr().out
    assert f"{TASK}: data" not in differing(copy, capsys, "--data", f"{TASK}={small_corpus}")
    assert "not the one" in differing(copy, capsys, "--data", f"{TASK}={other_corpus}")[f"{TASK}: data"]


def test_an_attestation_is_of_this_run_by_this_key(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    signers = {}
    for who in ("ann", "bob"):
        key = tmp_path / who
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        signers[who] = tmp_path / f"{who}.signers"
        signers[who].write_text(f"{who}@site {key.with_suffix('.pub').read_text()}")
    assert main(["verify", str(copy), "--sign", str(tmp_path / "ann")]) == 0
    assert not differing(copy, capsys, "--signer", str(signers["ann"]))
    assert "signed by ann@site" in _told(copy, capsys, "--signer", str(signers["ann"]))
    assert differing(copy, capsys, "--signer", str(signers["bob"])) == {"attestation": "the signature is not of bob.signers"}
    statement = json.loads((copy / "attestation.json").read_bytes())
    assert statement["holds"] is True
    assert statement["manifest"] == sha256((copy / MANIFEST).read_bytes()).hexdigest()
    (copy / "attestation.json").write_bytes(as_json(statement | {"date": "2020-01-01T00:00:00+00:00"}))
    assert set(differing(copy, capsys, "--signer", str(signers["ann"]))) == {"attestation"}
    every_score(copy)
    capsys.readouterr()
    assert main(["verify", str(copy), "--sign", str(tmp_path / "ann")]) == 6
    assert "is not signed" in capsys.readouterr().err


def _told(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    main(["verify", str(folder), *words])
    return capsys.readouterr().out


def test_a_plugin_that_writes_the_result_anew_is_named(tiny: Make, kit: Any, tmp_path: Path) -> None:
    def better(event: Any) -> None:
        if event.kind == "result":
            every_score(Path(event.values["path"]).parent)

    registry = load()
    registry.add(kit.Observer(better), "test:better", "test")
    folder = runner.run(tiny(), registry).folder
    assert folder is not None
    assert RESULT in RunResult.read(folder).standing.changed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_run_that_was_killed_between_result_and_manifest_goes_on(tiny: Make, kit: Any, imported: None) -> None:
    config = tiny()

    def killed(told: Any) -> None:
        registry = load()

        def see(event: Any) -> None:
            if event.kind == "result":
                os.kill(os.getpid(), signal.SIGKILL)

        registry.add(kit.Observer(see), "test:kill", "test")
        runner.run(config, registry, console=told)

    assert kit.forked(killed).signal == signal.SIGKILL
    (folder,) = Path(config.out).iterdir()
    assert (folder / RESULT).exists()
    assert cut_short(folder)
    runner.run(RunConfig(out=config.out), load(), resume=folder.name)
    assert not cut_short(folder)
    assert RunResult.read(folder).standing.changed == ()
    assert main(["verify", str(folder)]) == 0


def test_an_attestation_by_minisign(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("minisign") is None:
        pytest.skip("minisign is not installed")
    for who in ("ann", "bob"):
        words = ["minisign", "-G", "-W", "-s", str(tmp_path / f"{who}.key"), "-p", str(tmp_path / f"{who}.pub")]
        subprocess.run(words, check=True, capture_output=True)
    assert main(["verify", str(copy), "--sign", str(tmp_path / "ann.key")]) == 0
    assert "signed by ann.pub" in _told(copy, capsys, "--signer", str(tmp_path / "ann.pub"))
    assert set(differing(copy, capsys, "--signer", str(tmp_path / "bob.pub"))) == {"attestation"}


def test_a_key_that_cannot_sign_leaves_no_attestation(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    (tmp_path / "no.key").write_text("no key\n")
    assert main(["verify", str(copy), "--sign", str(tmp_path / "no.key")]) == 2
    assert "did not sign" in capsys.readouterr().err
    assert main(["verify", str(copy), "--sign", str(tmp_path / "nowhere")]) == 2
    assert not (copy / "attestation.json").exists()
