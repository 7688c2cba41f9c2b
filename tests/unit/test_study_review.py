"""Studies whose file, looks or runs were changed by hand: each change is told wherever the verdict is shown."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_runs import Made, make, token_control

from bench.cli import main
from bench.errors import RunStateError, UsageError
from bench.library.results import StudyResult
from bench.registry import load
from bench.sealed import SEAL, sealed
from bench.stats.sequential import ALPHA
from bench.studies.finished import judged
from bench.studies.looks import record
from bench.studies.review import reviewed
from bench.studies.study import STUDIES, STUDY, LookRecord, Study, find_study, folder_of, open_study, read_study
from bench.verifying.study import verify_study

pytest.importorskip("statsmodels")
TASK = "ncbi-disease"


def written(out: Path) -> Study:
    """A study whose verdict is the one that its made-up runs give."""
    study = token_control(out, seeds=6, documents=40)
    study.settings = {"seeds": 6, "margin": 0.01}
    study.verdict = judged(study, load(), pytest.fail)
    assert study.verdict is not None
    kind = load().get("studies", study.kind)
    study.looks = [record(study, study.verdict, kind)]
    study.save()
    return study


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one study; nobody changes it."""
    out = tmp_path_factory.mktemp("runs")
    written(out)
    return out


@pytest.fixture
def out(kept: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(kept, tmp_path / "runs"))


def edited(out: Path, change: Callable[[Any], Any], again: bool = False) -> Path:
    """Changes ``study.json`` by hand; with `again` its hash too, as whoever knows the layout can."""
    path = out / "studies" / "made-up" / STUDY
    value = json.loads(path.read_bytes())
    change(value)
    value = sealed({name: member for name, member in value.items() if name != SEAL}) if again else value
    path.write_text(json.dumps(value))
    return path


def word(value: Any) -> None:
    value["verdict"]["tasks"][0]["kind"] = "negative transfer"


def word_of_a_look(value: Any) -> None:
    value["looks"][0]["verdicts"][TASK] = "negative transfer"


def figure(value: Any) -> None:
    value["verdict"]["tasks"][0]["at_total"]["low"] = 0.001


def no_figure(value: Any) -> None:
    value["verdict"]["tasks"][0]["at_total"]["low"] = "low"


def mean(value: Any) -> None:
    value["verdict"]["tasks"][0]["multi"] = 0.99


def flag(value: Any) -> None:
    value["verdict"]["differences"] = [1, 2]


def level(value: Any) -> None:
    value["looks"][0]["spent"] = 0.0


def look_at_other_seeds(value: Any) -> None:
    value["looks"][0]["seeds"] = 5


def another_run(value: Any) -> None:
    runs = {run["key"]: run for run in value["runs"]}
    runs["multi-s0"]["run"] = runs["multi-s1"]["run"]


def reason(value: Any) -> None:
    value["verdict"]["tasks"][0]["reason"] = "All is well."


def margin(value: Any) -> None:
    value["settings"]["margin"] = 0.05


def no_look(value: Any) -> None:
    value["looks"] = []


def no_verdict(value: Any) -> None:
    value["verdict"] = None


# what is changed, to whether it is found though the hash was made anew
CHANGES: dict[str, tuple[Callable[[Any], None], str | None]] = {
    "word": (word, f"the verdict on {TASK} (negative transfer; its runs' statistics give: "),
    "word of a look": (word_of_a_look, "the verdict at 6 seeds on"),
    "figure": (figure, "tasks.1.at_total.low of the verdict"),
    "no figure": (no_figure, "tasks.1.at_total.low of the verdict"),
    "mean": (mean, "tasks.1.multi of the verdict"),
    "what differs": (flag, "differences, length of the verdict"),
    "level": (level, "the look at 6 seeds (another level"),
    "another run": (another_run, "run multi-s0"),
    "reason": (reason, None),
    "margin": (margin, None),
    "no look": (no_look, None),
    "no verdict": (no_verdict, None),
}


def test_a_study_as_it_was_written_holds(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = find_study("made-up", out)
    assert (study.seal, reviewed(study, load()).changed) == ("holds", ())
    assert main(["study", "show", "made-up", "--out", str(out)]) == 0
    assert "CHANGED" not in capsys.readouterr().out
    main(["verify", "made-up", "--out", str(out), "--json"])  # made-up runs do not hold
    told = json.loads(capsys.readouterr().out)
    assert {check["what"]: check["outcome"] for check in told[-1]["checks"]} == dict.fromkeys(
        (STUDY, "runs", "looks", "verdict"), "holds"
    )
    assert (told[-1]["study"], len(told)) == ("made-up", 31)  # every run of the study, and the study


def test_a_study_is_named_by_the_beginning_of_its_name_unless_a_run_begins_so_too(out: Path, tmp_path: Path) -> None:
    shutil.copytree(out, runs := tmp_path / "copy")
    found = (runs / STUDIES / "made-up").resolve()
    assert folder_of("made", runs) == found == folder_of("made-up", runs) == folder_of(str(found), runs)
    assert folder_of("ncbi", runs) is None
    assert folder_of("", runs) is None
    shutil.copytree(found, found.with_name("made-too"))
    with pytest.raises(UsageError, match="is the beginning of 2 studies: made-too, made-up"):
        folder_of("made", runs)
    (runs / "made_a1").mkdir()
    (runs / "made_a1" / "journal.jsonl").touch()
    assert folder_of("made", runs) is None


@pytest.mark.parametrize("again", [False, True], ids=["edited", "edited and hashed again"])
@pytest.mark.parametrize("name", CHANGES)
def test_each_change_is_told_where_the_verdict_is_shown(
    name: str, again: bool, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, words = CHANGES[name]
    edited(out, change, again)
    if again and words is None:
        pytest.skip("only the hash knows of it")
    expected = words if again else STUDY
    review = reviewed(find_study("made-up", out), load())
    assert expected is not None
    assert any(expected in what for what in review.changed), review
    assert main(["study", "show", "made-up", "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert "CHANGED since it was written" in " ".join((told.out + told.err).split())
    assert main(["study", "show", "made-up", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["standing"]["changed"] == list(review.changed)
    assert verify_study(out / "studies" / "made-up", load()).differs


def test_a_file_without_its_hash_is_told_as_such_and_its_verdict_judged(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edited(out, lambda value: value.pop(SEAL))
    assert main(["study", "show", "made-up", "--out", str(out)]) == 0
    assert "an older bench wrote it" in " ".join(capsys.readouterr().out.split())
    edited(out, word)
    assert reviewed(find_study("made-up", out), load()).changed[0].startswith(f"the verdict on {TASK} (negative transfer")


def test_looks_that_the_plan_does_not_have_are_not_read(out: Path) -> None:
    edited(out, look_at_other_seeds, again=True)
    with pytest.raises(RunStateError, match="looks at 5 seeds, which the plan does not have"):
        find_study("made-up", out)


def test_the_list_of_studies_marks_a_changed_one(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edited(out, word)
    assert main(["study", "show", "--out", str(out)]) == 0
    assert any("made-up" in row and "changed" in row for row in capsys.readouterr().out.splitlines())


def test_a_changed_study_is_not_gone_on_with(out: Path) -> None:
    study = find_study("made-up", out)
    assert open_study(study).seal == "holds"
    edited(out, word)
    with pytest.raises(RunStateError, match="changed since it was written") as refused:
        open_study(study)
    assert "--name" in str(refused.value.hint)


def test_a_changed_study_over_the_same_runs_is_told(out: Path) -> None:
    study = find_study("made-up", out)
    replace(study, name="other").save()
    edited(out, level)
    assert reviewed(find_study("other", out), load()).changed == (f"study 'made-up' at the same runs ({STUDY})",)


def test_a_run_of_a_study_that_changed_or_is_gone_is_told(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = find_study("made-up", out)
    run = str(study["multi-s0"].run)
    shutil.rmtree(out / run)
    review = reviewed(find_study("made-up", out), load())
    assert review.changed == ()
    assert run in review.unjudged
    assert main(["study", "show", "made-up", "--out", str(out)]) == 0
    assert "cannot be judged again" in " ".join(capsys.readouterr().out.split())
    other = str(study["multi-s1"].run)
    value = json.loads((out / other / "result.json").read_bytes())
    value["headline"]["value"] = 0.99
    (out / other / "result.json").write_text(json.dumps(value))
    assert reviewed(find_study("made-up", out), load()).changed == (
        "run multi-s1 (result.json (the headline is not among its scores))",
    )


def test_what_another_study_had_spent_cannot_be_left_out(out: Path) -> None:
    """Twelve seeds after six at 5% resolve nothing, unless somebody writes that nothing was spent."""
    study = find_study("made-up", out)
    kind = load().get("studies", study.kind)
    runs = [replace(run, seed=run.seed % 4) for run in study.runs if run.seed < 4]
    fewer = replace(study, name="fewer", runs=runs, looks=[])
    fewer.looks = [LookRecord(4, "2026-01-01T00:00:00+00:00", ALPHA, ALPHA, ALPHA, 0.0, True, {})]
    fewer.save()
    later = replace(study, looks=[])
    later.looks = [record(later, study.verdict or {}, kind)]
    assert later.looks[0].elsewhere == ALPHA
    later.verdict = judged(later, load(), pytest.fail)
    later.looks[0] = replace(later.looks[0], verdicts={task["task"]: task["kind"] for task in (later.verdict or {})["tasks"]})
    later.save()
    assert reviewed(find_study("made-up", out), load()).changed == ()
    study.save()  # as if nothing had been spent, with a hash that holds
    assert reviewed(find_study("made-up", out), load()).looks == (
        "the look at 6 seeds (it leaves out what other studies had spent on the same runs)",
    )


def test_a_folder_that_holds_another_run_is_told(out: Path) -> None:
    study = find_study("made-up", out)
    first, second = (str(study[f"multi-s{seed}"].run) for seed in (0, 1))
    shutil.rmtree(out / first)
    (out / first).symlink_to(out / second)
    assert reviewed(find_study("made-up", out), load()).runs == (
        f"run multi-s0 (the folder {first} holds {second})",
        f"run multi-s0 ({first} has other settings than the plan)",
    )


def test_runs_of_another_study_are_not_those_of_the_plan(out: Path) -> None:
    """A run with more tokens in the place of the planned one, so that the arm does better."""
    (better,) = make(out, [Made((TASK, "bc5cdr"), seed=0, gain=0.2, tokens=90_000, documents=40)])

    def swap(value: Any) -> None:
        value["runs"][0]["run"] = better.name
        study = Study.from_json(value, out, "swapped")
        value["verdict"] = dict(judged(study, load(), pytest.fail) or {})
        value["looks"][0]["verdicts"] = {task["task"]: task["kind"] for task in value["verdict"]["tasks"]}

    edited(out, swap, again=True)
    review = reviewed(find_study("made-up", out), load())
    assert (review.verdict, review.looks) == ((), ())
    assert review.runs == (f"run multi-s0 ({better.name} has other settings than the plan)",)


def test_a_study_reached_by_a_link_is_the_one_that_it_leads_to(out: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(out / "studies" / "made-up")
    place = folder_of(str(tmp_path / "link"), tmp_path)
    assert place == (out / "studies" / "made-up").resolve()
    assert read_study(place).out == out.resolve()
    assert verify_study(tmp_path / "link", load()).differs == ()


def test_a_folder_of_runs_stands_for_its_studies_too(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edited(out, word)
    assert main(["verify", str(out), "--json"]) == 6
    (study,) = (each for each in json.loads(capsys.readouterr().out) if "study" in each)
    assert (study["study"], study["holds"]) == ("made-up", False)


def test_a_program_asks_a_study_whether_it_changed(out: Path) -> None:
    assert StudyResult(find_study("made-up", out)).standing.changed == ()
    edited(out, word)
    shown = StudyResult(find_study("made-up", out))
    assert STUDY in shown.standing.changed
    assert "changed since it was written" in shown._repr_html_()


def test_a_report_marks_a_changed_study(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("vl_convert")
    edited(out, word, again=True)
    words = ["report", "made-up", "--runs", str(out), "--out", str(tmp_path / "page"), "--json"]
    assert main(words) == 0
    assert [*json.loads(capsys.readouterr().out)["changed"]] == ["made-up"]
    assert "The study changed since it was written: the verdict on" in (tmp_path / "page" / "index.html").read_text()
