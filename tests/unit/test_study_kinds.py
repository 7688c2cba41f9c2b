"""Kinds of study as plugins: what one declares, what is refused, and whose fault an exception is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from bench.api.study import Request, Statement, StudyKind, StudyRun
from bench.cli import main
from bench.cli.show import facts
from bench.config import RunConfig
from bench.errors import BenchError, UsageError
from bench.hooks import hookimpl
from bench.pages.collect import collect
from bench.pages.page import notices
from bench.pages.verdicts import statements
from bench.pages.write import sections
from bench.registry import Registry, load
from bench.studies.finished import UnknownKind, judged, kind_of, planned_runs
from bench.studies.request import StudyConfig, own_options, planned
from bench.studies.review import reviewed
from bench.studies.study import Study, find_study, open_study


class Seeds(StudyKind):
    """The same run for every seed, judged by what a test puts in."""

    name, version, summary = "seeds", "1", "the same run for every seed"
    roles: Mapping[str, str] = {"same": "the same run"}  # type: ignore[misc]
    options: Mapping[str, Any] = {"examples": 16, "share": 0.5, "word": "a"}  # type: ignore[misc]
    takes = ("arms",)
    verdict: Any = None

    def plan(self, request: Request) -> list[StudyRun]:
        arms = request.arms or ("A2",)
        return [
            request.run(f"{arm}-s{s}", "same", request.base.task, seed=s, arch=arm) for arm in arms for s in request.seed_list
        ]

    def judge(self, finished: Any) -> Any:
        return self.verdict() if callable(self.verdict) else self.verdict


class Plugin:
    def __init__(self, *kinds: Any) -> None:
        self.kinds = kinds

    @hookimpl
    def bench_studies(self) -> Sequence[StudyKind]:
        return self.kinds


def with_kinds(*kinds: Any) -> Registry:
    known = load()
    if not known.entries("tasks"):
        pytest.skip("bench is not installed here, so it has no parts")
    known.add(Plugin(*kinds), "other:studies", "other")
    return known


BASE = RunConfig(task=("bc2gm",), model="tiny-bert", tokens=100, out="runs")


@pytest.mark.torch
def test_a_kind_of_a_third_party_is_planned_as_one_of_bench() -> None:
    known = with_kinds(Seeds())
    study = planned(StudyConfig("seeds", BASE, seeds=2, options={"examples": "4", "share": "1"}), known, {})
    assert [(run.key, run.arm, run.seed) for run in study.runs] == [("A2-s0", "A2", 0), ("A2-s1", "A2", 1)]
    assert study.settings["options"] == {"examples": 4, "share": 1.0, "word": "a"}
    arms = planned(StudyConfig("seeds", BASE, ("A1", "A3"), seeds=1), known, {})
    assert [run.arm for run in arms.runs] == ["A1", "A3"]
    assert "options" not in planned(StudyConfig("quantization", replace(BASE, tokens=None), seeds=1), known, {}).settings
    assert facts(known.get("studies", "seeds"), known)["options"] == ["examples=16", "share=0.5", "word=a"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"exampels": 3}, "Unknown option of a seeds study: 'exampels'. Did you mean 'examples'?"),
        ({"examples": "many"}, "The option examples of a seeds study is 'many'; it must be a whole number."),
        ({"share": "half"}, "it must be a number"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        own_options(Seeds(), options)
    assert words in caught.value.message
    with pytest.raises(UsageError, match="A unknown study has no options of its own"):
        own_options(UnknownKind("unknown"), {"x": 1})


def test_a_study_with_other_options_is_another_study(tmp_path: Path) -> None:
    known = with_kinds(Seeds())
    plain = StudyConfig("seeds", replace(BASE, out=str(tmp_path), name="mine"), seeds=1)
    worded = planned(replace(plain, options={"word": "b"}), known, {})
    open_study(worded).save()
    assert (worded.name, open_study(worded).settings["options"]["word"]) == ("mine", "b")
    with pytest.raises(BenchError, match="begun with other settings: the options"):
        open_study(planned(plain, known, {}))


def broken() -> Any:
    raise KeyError("text of a corpus")


class Odd(Seeds):
    name = "odd"

    def plan(self, request: Request) -> list[StudyRun]:
        return broken()  # type: ignore[no-any-return]


class Undeclared(Seeds):
    name = "undeclared"

    def plan(self, request: Request) -> list[StudyRun]:
        return [request.run("x", "other", request.base.task)]


def test_what_a_kind_raises_is_its_own_fault_and_quotes_nothing(tmp_path: Path) -> None:
    asked = Request(BASE, 1, {"bc2gm": "bc2gm"})
    with pytest.raises(BenchError) as caught:
        planned_runs(Odd(), asked)
    assert caught.value.message.startswith("The study kind 'odd' raised KeyError while planning (test_study_kinds.py:")
    assert "corpus" not in str(caught.value)
    with pytest.raises(UsageError, match="plans runs of the role 'other', which it does not declare"):
        planned_runs(Undeclared(), asked)
    kind = Seeds()
    known = with_kinds(kind)
    study = Study(tmp_path, "seeds", "x", {}, planned_runs(kind, asked))
    for verdict in (broken, lambda: {"path": tmp_path}):
        kind.verdict = verdict
        with pytest.raises(BenchError, match=r"The study kind 'seeds' raised (KeyError|TypeError) while judging"):
            judged(study, known, pytest.fail)
    kind.verdict = {"note": "Nothing differs."}
    assert judged(study, known, pytest.fail) == {"note": "Nothing differs.", "kind_version": "1"}


def test_a_kind_that_is_gone_still_shows_what_was_kept(tmp_path: Path) -> None:
    known = with_kinds()
    gone = kind_of("seeds", known)
    assert isinstance(gone, UnknownKind)
    verdict = {"tasks": [{"task": "bc2gm", "kind": "better", "reason": "By .1."}, {"task": "no kind"}]}
    assert gone.statements(verdict) == [Statement("bc2gm", "better", "By .1.", "open")]
    assert gone.statements({"summary": "All alike.", "kind": "even"}) == [Statement("seeds", "even", "All alike.", "open")]
    assert gone.statements({"pairs": []}) == []
    with pytest.raises(UsageError, match="The study kind 'seeds' is not installed"):
        gone.plan(Request(BASE))


def test_a_report_tells_what_the_kind_tells(made: Any, tmp_path: Path) -> None:
    from bench.pages.content import Column, Table

    class Telling(Seeds):
        name = "token-control"
        title = "What the kind tells"
        roles: Mapping[str, str] = {"multi": "m", "total": "t", "share": "s"}  # type: ignore[misc]

        def statements(self, verdict: Mapping[str, Any]) -> list[Statement]:
            return [Statement("all", "told", "By the kind.", "good")]

        def tables(self, verdict: Mapping[str, Any]) -> list[Table]:
            return [Table("own", "Own", "One row.", (Column("a", "a"),), (("b",),))]

    class Failing(Telling):
        def tables(self, verdict: Mapping[str, Any]) -> list[Table]:
            return broken()  # type: ignore[no-any-return]

    made.token_control(tmp_path, seeds=1)
    evidence = collect(["made-up"], tmp_path)
    telling = replace(evidence, kind=Telling())
    assert [(said.verdict, said.tone) for said in statements(telling)] == [("told", "good")]
    (section,) = [section for section in sections(telling) if section.title == "What the kind tells"]
    (table,) = section.tables
    assert (table.rows, table.synthetic, len(table.runs)) == ((("b",),), True, 5)
    with pytest.raises(BenchError, match="raised KeyError while drawing the verdict"):
        sections(replace(evidence, kind=Failing()))


def test_a_verdict_in_the_words_of_an_earlier_version_is_judged_again(made: Any, tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("statsmodels")
    known = load()
    if not known.entries("studies"):
        pytest.skip("bench is not installed here, so it has no parts")
    study = made.token_control(tmp_path, seeds=6, documents=60)
    settings = {"seeds": 6, "margin": 0.01}
    now = judged(replace(study, settings=settings), known, pytest.fail)
    assert now is not None
    assert now["kind_version"] == "2"
    old = {**now, "tasks": [{**task, "kind": "old word"} for task in now["tasks"]]}
    del old["kind_version"]  # as version 1 wrote it
    Study(study.out, study.kind, study.name, settings, study.runs, old).save()

    back = find_study("made-up", tmp_path)
    assert "judged again, from the statistics of its runs, by version 2" in reviewed(back, known).note
    assert [task["kind"] for task in back.verdict["tasks"]] == [task["kind"] for task in now["tasks"]]
    assert reviewed(back, known).note == ""
    assert find_study("made-up", tmp_path).verdict == old  # the file stays as it is
    evidence = collect(["made-up"], tmp_path)
    assert [said.verdict for said in statements(evidence)] == [task["kind"] for task in now["tasks"]]
    assert "judged again" in next(notice.text for notice in notices(evidence) if notice.word == "Other words")
    assert main(["study", "show", "made-up", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "judged again" in shown
    assert "old word" not in shown

    # Without the statistics of its runs it is told in the old words, and that they are old.
    for folder in tmp_path.glob("bc5cdr_*/statistics"):
        rmtree(folder)
    back = find_study("made-up", tmp_path)
    assert "in the words of version 1 of the study kind 'token-control'" in reviewed(back, known).note
    assert back.verdict == old
    assert main(["study", "show", "made-up", "--out", str(tmp_path)]) == 0
    assert "old word" in capsys.readouterr().out
