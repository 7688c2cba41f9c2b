"""Checks of what a run wrote down: its files, its journal, its ledger and its saved weights; no corpus is needed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.adapters.ranks import FUSION
from bench.api.architecture import Architecture
from bench.api.tracker import RunEvent
from bench.config import run_id
from bench.errors import BenchError, RunStateError
from bench.registry import Registry
from bench.results.layout import ADAPTERS, JOURNAL, MANIFEST, RESULT
from bench.results.manifest import Manifest, UnreadableManifest, chained, differing, read_manifest, sums_sha256
from bench.results.reading import plain
from bench.results.schema import Result
from bench.results.store import read_json
from bench.steps.start import given
from bench.studies.standing import headline_holds, mean_holds, same, same_bounds, stated_scores
from bench.tracking.journal import read_chain, read_journal, timeline
from bench.verifying.check import Check, verdict
from bench.wording import some


def files(folder: Path) -> tuple[Manifest | None, list[Check]]:
    """Every file against the manifest, which is given where it can be read."""
    what = "files against the manifest"
    try:
        manifest = read_manifest(folder)
    except UnreadableManifest as error:
        return None, [Check(what, "differs", f"{MANIFEST}: {error}")]
    if manifest is None:
        if chained(folder):
            return None, [Check(what, "differs", f"{MANIFEST} is missing")]
        return None, [Check(what, "not checked", "no manifest: an older bench wrote this run")]
    wrong = [f"{name} {why}" for name, why in differing(folder, manifest, whole=True)]
    return manifest, [verdict(what, wrong, f"{some(len(manifest.files), 'file')} and the journal")]


def cross_checks(result: Result, manifest: Manifest | None) -> list[Check]:
    """What result and manifest both say, and what the result says in several places."""
    waived = set(result.waivers)
    statuses = {name: getattr(result.invariants, name).status for name in ("tokens", "parity", "smoke", "batch", "checkpoint")}
    wrong = [name for name, status in statuses.items() if status == "waived" and name not in waived]
    wrong += [name for name in waived if statuses.get(name) == "held"]
    wrong += [f"the configuration waives {name}" for name in {*result.config.get("waive", ())} ^ waived]
    if manifest is not None and set(manifest.waivers) != waived:
        wrong.append("the manifest lists others")
    note = f"not enforced: {', '.join(result.waivers)}" if waived else "none"
    checks = [verdict("waivers", wrong, note)]
    wrong = ["the headline is not among the scores"] * (not headline_holds(result))
    wrong += ["the mean over tasks is not theirs"] * (not mean_holds(result))
    checks.append(verdict("headline", wrong, f"{result.headline.metric} of {result.headline.task}"))
    if manifest is not None:
        stated = {"run": result.id, "hashes": plain(result.hashes), "ledger": plain(result.invariants.tokens.tasks),
                  "git": plain(result.git), "versions": plain(result.versions)}  # fmt: skip
        known = {"run": manifest.run, "hashes": manifest.hashes, "ledger": plain(manifest.ledger),
                 "git": manifest.code.get("git"), "versions": manifest.code.get("versions")}  # fmt: skip
        wrong = [name for name, value in stated.items() if value != known[name]]
        checks.append(verdict("result and manifest", wrong, "same hashes, ledger, commit and versions"))
        if result.imported is None:
            checks.append(
                verdict("run id", ["it is not the hash of the configuration"] * (_id_of(result) != result.id), result.id)
            )
    return checks


def _id_of(result: Result) -> str | None:
    """The id of the configuration that a result tells; None where that is none."""
    try:
        return run_id(given(result), **result.config["resolved"])
    except (BenchError, KeyError, TypeError):
        return None


def journal(folder: Path, result: Result, manifest: Manifest | None) -> list[Check]:
    """The chain of the journal, and what it says of ledger, scores, waivers and files."""
    path = folder / JOURNAL
    try:
        chain = read_chain(path, result.id)
        events = [*read_journal(path)]
    except OSError:
        return [Check("journal", "differs", f"{JOURNAL} is missing")]
    except RunStateError as error:
        return [Check("journal", "differs", error.message.rpartition("/")[2])]
    wrong = [] if chain.broken is None else [f"line {chain.broken + 1} does not follow from the line before it"]
    wrong += ["it ends in the middle of a line"] * chain.torn
    if manifest is not None and (not events or (events[-1].kind, events[-1].values.get("status")) != ("end", "finished")):
        wrong.append("it does not end as that of a finished run")
    note = f"{some(chain.events, 'event')}, each with the hash of the one before"
    lines = verdict("journal", wrong, note)
    if not wrong and chain.unchained:
        lines = Check(
            "journal", "not checked", f"an older bench wrote {chain.unchained:,} of {some(chain.events, 'event')}: not chained"
        )
    kept = timeline(events)
    ledger = _ledger(kept, events, result)
    if manifest is not None and result.imported is None and ledger.outcome == "not checked":
        ledger = replace(ledger, outcome="differs")  # a run that has a manifest logs every update
    checks = [lines, ledger, _journal_scores(kept, result)]
    begun = next((event.values.get("config", {}).get("waive") for event in events if event.kind == "start"), None)
    if begun is not None:
        checks.append(
            verdict("waivers in the journal", ["the run was begun with others"] * (set(begun) != set(result.waivers)))
        )
    told = [event.values.get("sha256") for event in kept if event.kind == "result"]
    if manifest is not None:
        wrong = [f"not those that were there when {RESULT} was written"] * (told[-1:] != [sums_sha256(manifest.files)])
        checks.append(verdict("files in the journal", wrong, "the hashes of the manifest"))
    return checks


def _ledger(kept: Sequence[RunEvent], events: Sequence[RunEvent], result: Result) -> Check:
    """The ledger, added up update by update, against the result's."""
    what, wrong = "ledger", []
    steps = [event for event in kept if event.kind == "step" and "ledger" in event.values]
    sums: dict[str, dict[str, int]] = {}
    before: Mapping[str, Mapping[str, int]] = {}
    number, lost = 0, 0
    resumed = {event.step for event in events if event.kind == "resume"}
    for event in steps:
        step = event.step or 0
        if step != number + 1:
            # After a power cut the last events before a checkpoint can be missing; what is resumed from says so.
            missing = range(number + 1, step)
            if step > number and step - 1 in resumed:
                lost += len(missing)
            else:
                wrong.append(f"update {step} follows update {number}")
        number = step
        for task, account in event.values["ledger"].items():
            for name, amount in account.items():
                grown = amount - before.get(task, {}).get(name, 0)
                if grown < 0:
                    wrong.append(f"{name} of {task} shrink at update {step}")
                row = sums.setdefault(task, {})
                row[name] = row.get(name, 0) + grown
        before = event.values["ledger"]
    if not steps:
        return Check(what, "not checked", "the journal holds no update")
    stated = plain(result.invariants.tokens.tasks)
    wrong += [f"tokens of {task}: {row['tokens']:,} in the journal, {stated.get(task, {}).get('tokens', 0):,} in the result"
              for task, row in sums.items() if row.get("tokens") != stated.get(task, {}).get("tokens")]  # fmt: skip
    wrong += [f"{name} of {task}" for task, row in sums.items() for name, amount in row.items()
              if name != "tokens" and amount != stated.get(task, {}).get(name)]  # fmt: skip
    total = sum(row.get("tokens", 0) for row in sums.values())
    if result.invariants.tokens.total != total:
        wrong.append(f"in all {some(total, 'token')} in the journal, {result.invariants.tokens.total} in the result")
    note = f"{some(total, 'token')} in {some(number, 'update')}" + (f", {lost} of them lost in a power cut" if lost else "")
    return verdict(what, wrong, note)


def _journal_scores(kept: Sequence[RunEvent], result: Result) -> Check:
    """The scores that the run told as it had them, against the result's."""
    told = {(str(e.values.get("split")), str(e.values.get("stage"))): e.values["scores"] for e in kept if e.kind == "scores"}
    stated = {(split, stage, task): values for task, split, stage, values in stated_scores(result) if (split, stage) in told}
    wrong = [
        f"{name} of {task}, {split}, {stage}"
        for (split, stage, task), values in stated.items()
        for name, value in told[split, stage].get(task, {}).items()
        if not _same_score(values.get(name), value)
    ]
    if not stated:
        return Check("scores in the journal", "not checked", "the journal tells none")
    return verdict("scores in the journal", wrong, f"{some(len(stated), 'set')} of scores")


def _same_score(stated: Any, told: Any) -> bool:
    """Whether a score or an interval of a result is what the journal told, where infinities and NaN are words."""
    if isinstance(stated, (list, tuple)) and isinstance(told, (list, tuple)):
        return same_bounds((stated[0], stated[1]), (told[0], told[1]))
    if isinstance(stated, (list, tuple, str)) or isinstance(told, (list, tuple)):
        return bool(stated == told)  # such as how an interval was computed
    return same(stated, None if isinstance(told, str) else told)


def parity(folder: Path, result: Result, registry: Registry) -> Check:
    """Trainable parameters by the shapes of the saved tensors, against those that parity was proved with."""
    what, row = "parity", result.invariants.parity.own
    if row is None:
        return Check(what, "not checked", "the result tells no parameters")
    try:
        saved = _saved_numbers(folder / ADAPTERS)
    except ImportError:
        return Check(what, "not checked", "safetensors is not installed")
    except (OSError, RunStateError):
        return Check(what, "differs", f"{ADAPTERS}/ cannot be read")
    counted, stated = saved["heads"], row.heads
    if counted != stated:
        return Check(what, "differs", f"heads: {some(counted, 'parameter')} saved, {stated:,} in the result")
    body = row.adapters + row.fusion
    if (saved["adapters"], saved[FUSION]) == (row.adapters, row.fusion) or saved["adapters"] + saved[FUSION] == body:
        return Check(what, "holds", f"{some(body, 'parameter')} of adapters and {stated:,} of heads are saved")
    found = f"adapters: {some(saved['adapters'] + saved[FUSION], 'parameter')} saved, {body:,} in the result"
    with suppress(BenchError):
        solved = isinstance(registry.get("architectures", str(result.config["arch"])), Architecture)
        if (
            solved
            and not result.config.get("freeze_shared")
            and not (_doubled(folder, result) and saved["adapters"] == 2 * body)
        ):
            return Check(what, "differs", found)
    return Check(what, "not checked", f"{found}: the arm saves more than it trains")


def _saved_numbers(folder: Path) -> dict[str, int]:
    """Numbers in the saved tensors of adapters, fusion and heads; shapes alone are read."""
    from safetensors import SafetensorError, safe_open

    counts = {"adapters": 0, FUSION: 0, "heads": 0}
    for path in sorted(folder.rglob("*.safetensors")):
        kind = "heads" if path.name.startswith("head-") else FUSION if path.stem == FUSION else "adapters"
        try:
            with safe_open(path, framework="np") as file:
                counts[kind] += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
        except SafetensorError:
            raise RunStateError(f"{path} is damaged.") from None
    return counts


def _doubled(folder: Path, result: Result) -> bool:
    """Whether every adapter is saved at twice the rank of the plan, as of an arm whose adapter does not start at zero."""
    adapters = result.invariants.parity.plan.get("adapters", {})
    ranks = {name: read_json(folder / ADAPTERS / name / "adapter_config.json").get("r") for name in adapters}
    return bool(adapters) and all(ranks[name] == 2 * adapter["rank"] for name, adapter in adapters.items())
