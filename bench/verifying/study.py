"""Checks of a study: its own file, the runs of its plan, its looks, and its verdict judged again from their statistics."""

from __future__ import annotations

from pathlib import Path

from bench.errors import RunStateError
from bench.registry import Registry
from bench.studies.finished import kind_of, own_faults
from bench.studies.review import Review, reviewed
from bench.studies.study import STUDY, Study, read_study
from bench.verifying.check import Check, Verification, verdict
from bench.wording import some


def verify_study(folder: Path, registry: Registry) -> Verification:
    """Holds a study against itself and the statistics of its runs; the runs are verified one by one by `verify`.

    Args:
        folder: of the study.
        registry: knows its kind, and the scorers of its tasks.
    """
    try:
        study = read_study(folder)
    except RunStateError as error:
        return Verification(folder.name, folder, (Check(STUDY, "differs", error.message),), "study")
    review = reviewed(study, registry)
    checks = [_file(review), _runs(study, review)]
    if study.looks:
        told = ", ".join(f"{some(look.seeds, 'seed')} at {100 * look.level:.2g}%" for look in study.looks)
        checks.append(verdict("looks", review.looks, told))
    if study.verdict is not None:
        checks.append(_verdict(study, review, registry))
    return Verification(study.name, folder, tuple(checks), "study")


def _file(review: Review) -> Check:
    if review.seal == "none":
        return Check(STUDY, "not checked", "it has no hash: an older bench wrote it")
    return verdict(STUDY, ["its own hash does not hold"] * (review.seal == "broken"), "its own hash holds")


def _runs(study: Study, review: Review) -> Check:
    done, due = len(study.finished()), len(study.due())
    gone = sum(not (study.out / str(run.run)).is_dir() for run in study.finished())
    left = f"; {gone} of them are gone" if gone else f"; {some(due - done, 'run')} not finished" if done < due else ""
    return verdict("runs", review.runs, f"{some(done, 'run')} with the settings of the plan, as they were written{left}")


def _verdict(study: Study, review: Review, registry: Registry) -> Check:
    if review.unjudged or review.note:
        return Check("verdict", "not checked", review.unjudged or review.note)
    kind = kind_of(study.kind, registry)
    with own_faults(kind, "telling the verdict"):
        told = "; ".join(f"{said.subject} {said.verdict}" for said in kind.statements(study.verdict or {}))
    return verdict("verdict", review.verdict, f"judged again from the statistics of the runs: {told}")
