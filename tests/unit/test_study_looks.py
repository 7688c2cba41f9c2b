"""Looks of a study: planned ones end early, every one is kept, and what other studies spent on the same runs is gone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from launching import Idle
from scipy import stats

from bench.api.study import Cost, Request, Statement, StudyKind, StudyRun
from bench.config import RunConfig
from bench.errors import RunStateError, UsageError
from bench.hooks import hookimpl
from bench.launchers import Job, JobOutcome
from bench.library.reporters import watcher
from bench.registry import Registry, load
from bench.stats.intervals import Estimate
from bench.stats.sequential import ALPHA, looks_of_plan
from bench.studies import conduct as conducting
from bench.studies.conduct import conduct
from bench.studies.finished import FinishedStudy, judged, planned_runs
from bench.studies.looks import about_looks, earlier_looks, judged_by, looked_already, record
from bench.studies.power import family_of, pilots_of_study
from bench.studies.request import StudyConfig, planned
from bench.studies.study import Study, open_study, read_study

KNOWN = Estimate(0.01, 6, 100, se=0.012, se_seeds=0.01, se_documents=0.008, df=8.0).to_json()
BASE = RunConfig(task=("bc2gm",), model="tiny-bert", tokens=100, tracker=("none",))


class Told(StudyKind):
    """Two subjects whose p, by the number of seeds, a test puts in."""

    name, version, summary = "told", "1", "verdicts as a test tells them"
    roles: Mapping[str, str] = {"same": "the same run", "other": "another"}  # type: ignore[misc]
    takes = ("looks",)
    tones: Mapping[str, Any] = {"found": "good", "unresolved": "open"}  # type: ignore[misc]

    def __init__(self, **values: Mapping[int, float]) -> None:
        self.values = values
        self.seen: list[int] = []

    def plan(self, request: Request) -> list[StudyRun]:
        runs = []
        for seed in request.seed_list:
            runs.append(request.run(f"same-s{seed}", "same", request.base.task, seed=seed))
            runs.append(request.run(f"other-s{seed}", "other", request.base.task, seed=seed, rank=8))
        return runs

    def judge(self, finished: FinishedStudy) -> Mapping[str, Any]:
        seeds = len(finished.study.runs) // 2
        self.seen.append(seeds)
        items = []
        for subject, values in self.values.items():
            p = finished.look.adjusted(values[seeds])
            assert p is not None
            items.append(
                {
                    "task": subject,
                    "kind": "found" if p < ALPHA else "unresolved",
                    "reason": f"At {seeds}.",
                    "p": p,
                    "gain": KNOWN,
                }
            )
        return {"tasks": items}


class Plugin:
    def __init__(self, kind: StudyKind) -> None:
        self.kind = kind

    @hookimpl
    def bench_studies(self) -> Sequence[StudyKind]:
        return [self.kind]


class AtOnce(Idle):
    """A launcher whose runs are finished as they are submitted."""

    def __init__(self, out: Path, ran: list[str]) -> None:
        self.out, self.ran, self.done = out, ran, list[JobOutcome]()

    def submit(self, job: Job) -> None:
        result = self.out / job.key / "result.json"
        result.parent.mkdir(parents=True, exist_ok=True)
        result.write_text("{}")
        self.ran.append(job.key)
        self.done.append(JobOutcome(job.key, 0, {"result": str(result)}))

    def poll(self, seconds: float) -> list[JobOutcome]:
        done, self.done = self.done, []
        return done


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Keys of the runs that were started."""
    keys: list[str] = []
    monkeypatch.setattr(conducting, "open_launcher", lambda *given: AtOnce(tmp_path, keys))
    monkeypatch.setattr(conducting, "survey", lambda *given: None)
    monkeypatch.setattr(FinishedStudy, "runs", {})  # their results are empty, and nothing here reads them
    return keys


def known(kind: StudyKind) -> Registry:
    registry = load()
    if not registry.entries("tasks"):
        pytest.skip("bench is not installed here, so it has no parts")
    registry.add(Plugin(kind), "other:studies", "other")
    return registry


def study(kind: StudyKind, out: Path, name: str, seeds: int | None = None, *looks: int, **more: Any) -> Study:
    config = StudyConfig("told", replace(BASE, out=str(out), name=name), looks=looks, seeds=seeds, **more)
    return open_study(planned(config, known(kind), {}))


def run(kind: StudyKind, out: Path, name: str, seeds: int | None = None, *looks: int, **more: Any) -> Study:
    opened = study(kind, out, name, seeds, *looks, **more)
    assert conduct(opened, known(kind), watcher(False)) is None
    return read_study(opened.folder)


def words(found: Study) -> dict[str, str]:
    assert found.verdict is not None
    return {item["task"]: item["kind"] for item in found.verdict["tasks"]}


def test_a_study_ends_at_the_first_look_that_leaves_nothing_open(tmp_path: Path, ran: list[str]) -> None:
    kind = Told(a={6: 0.5, 12: 0.001, 24: 0.9}, b={6: 1e-7, 12: 0.9, 24: 0.9})
    found = run(kind, tmp_path, "planned", 24, 6, 12)
    assert (len(ran), len(found.finished()), found.judged) == (24, 24, True)
    first, second = found.looks
    assert (first.seeds, first.verdicts, first.last) == (6, {"a": "unresolved", "b": "found"}, False)
    # What the first look resolved stays, though the second alone would not resolve it.
    assert (second.seeds, second.verdicts, second.last) == (12, {"a": "found", "b": "found"}, True)
    assert [first.level, first.cumulative, first.spent] == pytest.approx([1.4734e-5] * 3, rel=1e-4)
    assert second.cumulative == pytest.approx(0.00305, abs=1e-5)
    assert second.date.endswith("+00:00")
    assert found.verdict is not None
    reasons = [item["reason"] for item in found.verdict["tasks"]]
    assert reasons == ["At 12. Resolved at look 2 of 3, 12 seeds.", "At 6. Resolved at look 1 of 3, 6 seeds."]
    assert found.verdict["look"]["level"] == second.level
    told = about_looks(found, kind)
    assert told[0].startswith("Look 2 of 3, 12 of 24 seeds: p is held to 0.3%, so that 5% hold over all looks (O'Brien–Fleming")
    assert told[1] == "The study ended at this look: it needs no more of the 24 runs of later looks."
    # The same command again trains and judges nothing.
    seen = list(kind.seen)
    again = run(kind, tmp_path, "planned", 24, 6, 12)
    assert (len(ran), again.looks, kind.seen) == (24, found.looks, seen)


def test_every_look_is_had_where_something_stays_open(tmp_path: Path, ran: list[str]) -> None:
    # 4% is enough at the last look, and 1% is not at the second.
    found = run(Told(a={6: 0.04, 12: 0.01, 24: 0.04}), tmp_path, "all", None, 6, 12, 24)
    assert [look.seeds for look in found.looks] == [6, 12, 24]
    assert (len(ran), words(found)) == (48, {"a": "found"})
    assert found.looks[-1].cumulative == pytest.approx(ALPHA)
    assert found.settings["looks"] == [6, 12, 24]
    open_still = run(Told(a={6: 0.04, 12: 0.01, 24: 0.049}), tmp_path / "other", "all", None, 6, 12, 24)
    assert words(open_still) == {"a": "unresolved"}


def test_a_study_that_was_stopped_goes_on_at_its_look(tmp_path: Path, ran: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    kind = Told(a={6: 0.5, 12: 1e-4})
    opened = study(kind, tmp_path, "stopped", 12, 6)
    calls: list[int] = []
    drive = conducting.drive

    def stops(study: Study, *given: Any) -> bool:
        calls.append(study.reach)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return drive(study, *given)

    monkeypatch.setattr(conducting, "drive", stops)
    with pytest.raises(Exception, match="stopped with 12 of 24 runs finished"):
        conduct(opened, known(kind), watcher(False))
    kept = read_study(opened.folder)
    assert (kept.reach, [look.seeds for look in kept.looks], kept.judged) == (12, [6], False)
    found = run(kind, tmp_path, "stopped", 12, 6)
    assert (words(found), len(ran)) == ({"a": "found"}, 24)
    assert calls == [6, 12, 12]


def test_more_seeds_after_a_look_at_five_percent_resolve_nothing(tmp_path: Path, ran: list[str]) -> None:
    kind = Told(a={6: 0.2, 12: 1e-6})
    first = run(kind, tmp_path, "six", 6)
    assert (first.looks[0].level, first.looks[0].last, words(first)) == (ALPHA, True, {"a": "unresolved"})
    assert first.verdict is not None
    assert "look" not in first.verdict
    assert "more seeds cannot resolve what is open" in about_looks(first, kind)[0]
    assert "--looks 6,12,24" in about_looks(first, kind)[0]
    opened = study(kind, tmp_path, "twelve", 12)
    assert [(look.study, look.seeds) for look in earlier_looks(opened)] == [("six", 6)]
    told = looked_already(opened, kind)
    assert told is not None
    assert "study 'six' at 6 seeds, at 5%" in told
    assert "cannot resolve anything by the same data" in told
    found = run(kind, tmp_path, "twelve", 12)
    assert words(found) == {"a": "unresolved"}
    assert found.verdict is not None
    assert found.verdict["tasks"][0]["reason"] == (
        "The 5% were spent at an earlier look: this look cannot resolve anything by the same data. "
        "In study 'six' at 6 seeds, at 5%: unresolved. Seen alone: At 12."
    )
    assert (found.looks[0].level, found.looks[0].elsewhere, found.looks[0].spent) == (0.0, ALPHA, 0.0)
    assert about_looks(found, kind) == [
        "The 5% were spent at an earlier look: this look cannot resolve anything by the same data."
    ]
    # A subset of runs that were judged at more seeds is a look as well; the very same runs are not.
    assert looked_already(study(kind, tmp_path, "eight", 8), kind) is not None
    assert words(run(kind, tmp_path, "six-again", 6)) == {"a": "unresolved"}
    assert judged_by({"same-s3"}, [tmp_path]) == [
        "study 'six' at 6 seeds", "study 'six-again' at 6 seeds",
    ]  # fmt: skip


def test_the_same_look_of_another_study_costs_nothing_and_fresh_seeds_are_another_study(tmp_path: Path, ran: list[str]) -> None:
    kind = Told(a={6: 0.04})
    for name in ("one", "two"):
        assert words(run(kind, tmp_path, name, 6)) == {"a": "found"}
    fresh = StudyConfig("told", replace(BASE, out=str(tmp_path), name="fresh", seed=6), seeds=6)
    assert earlier_looks(open_study(planned(fresh, known(kind), {}))) == []
    longer = StudyConfig("told", replace(BASE, out=str(tmp_path), name="longer", tokens=200), seeds=6)
    assert earlier_looks(open_study(planned(longer, known(kind), {}))) == []


def test_a_planned_study_leaves_what_it_did_not_spend(tmp_path: Path, ran: list[str]) -> None:
    kind = Told(a={6: 0.5, 8: 0.04, 12: 1e-7})
    first = run(kind, tmp_path, "planned", 12, 6)
    assert words(first) == {"a": "found"}
    (tmp_path / "studies" / "planned" / "study.json").write_text(
        json.dumps({**first.to_json(), "looks": first.to_json()["looks"][:1], "verdict": None})
    )  # as if it had only had its first look
    found = run(kind, tmp_path, "eight", 8)
    assert found.looks[0].level == pytest.approx(ALPHA - first.looks[0].level)
    assert words(found) == {"a": "found"}
    assert found.verdict is not None
    assert "Other studies spent 0.31% on the same runs." in found.verdict["look"]["summary"]
    # Now nothing is left for the second look of the first one, which ends.
    after = run(kind, tmp_path, "planned", 12, 6)
    assert words(after) == {"a": "unresolved"}
    assert after.looks[-1].level == 0.0


def test_three_seeds_resolve_nothing_and_so_spend_nothing(tmp_path: Path, ran: list[str]) -> None:
    kind = Told(a={3: 0.5, 6: 0.04})
    assert run(kind, tmp_path, "three", 3).looks[0].spent == 0.0
    assert words(run(kind, tmp_path, "six", 6)) == {"a": "found"}


def test_a_study_that_was_judged_before_looks_were_kept_had_one(tmp_path: Path, ran: list[str]) -> None:
    kind = Told(a={6: 0.5, 12: 1e-6})
    old = run(kind, tmp_path, "old", 6)
    written = old.to_json()
    del written["looks"]
    (old.folder / "study.json").write_text(json.dumps(written))
    assert read_study(old.folder).looks == []
    assert words(run(kind, tmp_path, "new", 12)) == {"a": "unresolved"}


def test_looks_are_part_of_the_plan(tmp_path: Path, ran: list[str]) -> None:
    kind = Told(a={6: 0.5, 12: 0.5})
    run(kind, tmp_path, "one", 12, 6)
    with pytest.raises(RunStateError, match=r"looks at 6, 12 seeds \(obrien-fleming\), not no planned looks"):
        study(kind, tmp_path, "one", 12)
    with pytest.raises(RunStateError, match=r"not looks at 6, 12 seeds \(pocock\)"):
        study(kind, tmp_path, "one", 12, 6, spending="pocock")
    unnamed = [
        planned(StudyConfig("told", replace(BASE, out=str(tmp_path)), looks=looks, seeds=12), known(kind), {}).name
        for looks in ((), (6,), (8,))
    ]
    assert len(set(unnamed)) == 3
    with pytest.raises(UsageError, match="Did you mean 'pocock'"):
        study(kind, tmp_path, "two", 12, 6, spending="pocok")
    with pytest.raises(UsageError, match="--spending pocock is for several looks"):
        study(kind, tmp_path, "two", 12, spending="pocock")
    with pytest.raises(UsageError, match=r"Looks are for .*token-control"):
        planned(StudyConfig("ablation", BASE, looks=(6, 12)), known(kind), {})


def test_a_look_that_is_judged_again_is_the_same_look(tmp_path: Path, ran: list[str]) -> None:
    kind = Told(a={6: 0.5, 12: 1e-4})
    found = run(kind, tmp_path, "again", 12, 6)
    (tmp_path / "same-s2" / "result.json").unlink()
    ran.clear()
    again = run(kind, tmp_path, "again", 12, 6)
    assert ran == ["same-s2"]
    assert (again.looks, again.verdict) == (found.looks, found.verdict)
    assert judged(again, known(kind), pytest.fail) == found.verdict


def test_a_pilot_is_found_by_its_arms_whatever_its_seeds(tmp_path: Path, ran: list[str]) -> None:
    kind = Told(a={2: 0.5, 3: 0.5}, b={2: 0.5, 3: 0.5})
    larger = study(kind, tmp_path, "larger", 24, 6)
    assert pilots_of_study(larger, known(kind), pytest.fail) == []
    run(kind, tmp_path, "pilot", 3)
    other = StudyConfig("told", replace(BASE, out=str(tmp_path), name="other", tokens=200), seeds=24)
    assert pilots_of_study(open_study(planned(other, known(kind), {})), known(kind), pytest.fail) == []
    pilots = pilots_of_study(larger, known(kind), pytest.fail)
    assert [(pilot.subject, pilot.documents, pilot.seeds, pilot.seconds) for pilot in pilots] == [
        ("a", 100, 6, None), ("b", 100, 6, None),
    ]  # fmt: skip
    assert pilots[0].components.at(6, 100) == pytest.approx((0.012, pilots[0].components.at(6, 100)[1]))
    assert family_of(pilots, kind) == 2
    larger.runs = [replace(each, estimate=Cost(100, 90.0, 2**20)) for each in larger.runs]
    assert pilots_of_study(larger, known(kind), pytest.fail)[0].seconds == 180
    # A seed of which a run is missing is left out; one seed alone is no pilot.
    for key in ("same-s1", "other-s2"):
        (tmp_path / key / "result.json").unlink()
    assert pilots_of_study(larger, known(kind), pytest.fail) == []


class Worded(Told):
    """Its verdicts have words of their own, such as the name of an arm, and several are on one task."""

    tones: Mapping[str, Any] = {}  # type: ignore[misc]

    def judge(self, finished: FinishedStudy) -> Mapping[str, Any]:
        items = list(super().judge(finished)["tasks"])
        for item in items:
            better = item["task"] if item["kind"] == "found" else None
            kind = f"{better} is better" if better else "not resolved"
            item.update(subject=f"bc2gm: {item['task']}", task="bc2gm", kind=kind, better=better)
        return {"tasks": items}

    def statements(self, verdict: Mapping[str, Any]) -> list[Statement]:
        return [Statement(i["subject"], i["kind"], i["reason"], "good" if i["better"] else "open") for i in verdict["tasks"]]


def test_what_is_open_goes_by_the_tones_of_statements_whatever_the_words_are(tmp_path: Path, ran: list[str]) -> None:
    found = run(Worded(a={6: 0.5, 12: 0.001, 24: 0.9}, b={6: 1e-7, 12: 0.9, 24: 0.9}), tmp_path, "worded", 24, 6, 12)
    assert found.looks[-1].verdicts == {"bc2gm: a": "a is better", "bc2gm: b": "b is better"}
    assert found.verdict is not None
    assert [item["reason"] for item in found.verdict["tasks"]] == [
        "At 12. Resolved at look 2 of 3, 12 seeds.", "At 6. Resolved at look 1 of 3, 6 seeds.",
    ]  # fmt: skip


def tuned(out: Path, made: Any, gain: float) -> Study:
    """A study of two arms at their own rates whose runs are all finished, with looks at six and at twelve seeds."""
    base = replace(BASE, task=("bc5cdr",), tokens=1000, lr=1e-3, out=str(out))
    options = {"rates": 2, "step": 2.0}
    asked = Request(base, 12, {"bc5cdr": "bc5cdr"}, arms=("A1", "A2"), options=options)
    runs = planned_runs(load().get("studies", "tuned"), asked)
    tokens = {"trial": 250, "finalist": 500, "tuned": 1000}
    one = [
        made.Made(
            ("bc5cdr",), run.arm, run.seed, gain=gain * (run.arm == "A2"), documents=40,
            tokens=tokens[run.role] + 10 * (run.role == "trial" and run.key.endswith("lr0.00141")),
        )
        for run in runs
    ]  # fmt: skip
    done = [replace(run, run=folder.name) for run, folder in zip(runs, made.make(out, one), strict=True)]
    settings = {"seeds": 12, "looks": [6, 12], "spending": "obrien-fleming", "options": options}
    return Study(out, "tuned", "rates", settings, done)


def test_tuned_is_judged_at_the_level_of_its_look(tmp_path: Path, made: Any) -> None:
    pytest.importorskip("statsmodels")
    kind = load().get("studies", "tuned")
    study = tuned(tmp_path, made, 0.3)
    first, second = looks_of_plan((6, 12))
    verdict = judged(study, load(), pytest.fail)
    assert verdict is not None
    (told,) = verdict["comparisons"]
    assert (told["kind"], told["estimate"]["seeds"], told["look"]) == ("A2 is better", 6, 1)
    assert told["reason"].endswith("Resolved at look 1 of 2, 6 seeds.")
    estimate = told["estimate"]
    half = float(stats.t.ppf((1 + first.level) / 2, estimate["df"])) * estimate["se"]
    assert estimate["high"] == pytest.approx(estimate["difference"] + half)
    assert estimate["p_holm"] == first.adjusted(estimate["p"])
    assert {trial["role"] for trial in verdict["search"]["A1"]["trials"]} == {"trial", "finalist"}
    study.looks = [record(study, verdict, kind)]
    assert study.over

    alike = tuned(tmp_path / "alike", made, 0.07)  # found at 5%, and not at the level of the first look
    verdict = judged(alike, load(), pytest.fail)
    assert verdict is not None
    told = verdict["comparisons"][0]
    assert (told["kind"], told["estimate"]["p"] < ALPHA) == ("not resolved", True)
    alike.looks = [record(alike, verdict, kind)]
    assert (alike.over, alike.reach) == (False, 12)
    verdict = judged(alike, load(), pytest.fail)
    assert verdict is not None
    assert (verdict["look"]["level"], verdict["comparisons"][0]["estimate"]["seeds"]) == (second.alpha, 12)

    alike.looks = [replace(alike.looks[0], elsewhere=ALPHA)]  # other studies have spent the whole of the 5% on its runs
    verdict = judged(alike.at_last_look(), load(), pytest.fail)
    assert verdict is not None
    (told,) = verdict["comparisons"]
    assert (told["kind"], told["better"], kind.statements(verdict)[0].tone) == ("unresolved", None, "open")


def test_a_pilot_of_draws_is_one_of_another_number_of_draws_and_of_nothing_else(tmp_path: Path, ran: list[str]) -> None:
    kind = Told(a={3: 0.5})
    drawn = study(kind, tmp_path, "drawn", resample_train=24)
    run(kind, tmp_path, "whole", 3)
    assert pilots_of_study(drawn, known(kind), pytest.fail) == []
    run(kind, tmp_path, "pilot", resample_train=3)
    assert [pilot.subject for pilot in pilots_of_study(drawn, known(kind), pytest.fail)] == ["a"]


class Searched(Told):
    """Every seed takes the rate of the better of two trials, which have the first seed; the verdict looks at both."""

    takes = ()

    def plan(self, request: Request) -> list[StudyRun]:
        first, task = request.base.seed, request.base.task
        trials = [request.run(f"trial-{n}", "same", task, seed=first, lr=1e-3 * n) for n in (1, 2)]
        keys = [run.key for run in trials]
        return [*trials, *(request.run(f"s{seed}", "other", task, best_of=keys, seed=seed) for seed in request.seed_list)]

    def judge(self, finished: FinishedStudy) -> Mapping[str, Any]:
        self.seen.append(len(finished.study.runs))
        assert [finished.study[key].refused for key in ("trial-1", "trial-2")] == [True, False]
        return {"tasks": [{"task": "a", "kind": "unresolved", "reason": "So.", "gain": KNOWN}]}


def test_a_pilot_keeps_its_search_whatever_seeds_are_whole_and_was_refused(
    tmp_path: Path, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.studies.study.read_result", lambda folder: folder)
    monkeypatch.setattr("bench.studies.study.ranked", lambda results: [*results])
    submit = AtOnce.submit

    def refusing(launcher: AtOnce, job: Job) -> None:
        submit(launcher, job)
        if job.key == "trial-1":
            launcher.done[-1] = JobOutcome(job.key, 3, {}, "It diverged.", kind="DivergedError")

    monkeypatch.setattr(AtOnce, "submit", refusing)
    kind = Searched()
    run(kind, tmp_path, "pilot", 3)
    (tmp_path / "s0" / "result.json").unlink()  # of the seed that the trials have
    larger = study(kind, tmp_path, "larger", 24)
    larger.runs = [replace(each, estimate=Cost(100, 90.0, 2**20)) for each in larger.runs]
    (pilot,) = pilots_of_study(larger, known(kind), pytest.fail)
    assert kind.seen == [5, 4]
    assert pilot.seconds == 90  # the search is there once, whatever the number of seeds
    (tmp_path / "trial-2" / "result.json").unlink()
    assert pilots_of_study(larger, known(kind), pytest.fail) == []
