"""What a site shares of a finished study: its plan, the manifest of every run, and statistics of the test split. No text.

    site.json                     who, the plan, and which run is which
    runs/<id>/manifest.json       hashes of all that the run wrote, its tokens, waivers, data and code
    runs/<id>/statistics/*.json   additive statistics of every test document, with the documents' ids

A folder or a zip file. A site may register its corpora beforehand: a file with their hashes, which tells later whether the
study ran on them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import __version__
from bench.api.study import StudyRun
from bench.errors import ContractError, UsageError
from bench.modeling.files import written_whole
from bench.registry import Registry
from bench.results.layout import MANIFEST, STATISTICS, statistics_name
from bench.results.store import read_result, write_bytes, write_json
from bench.sealed import sealed
from bench.studies.arms import Run
from bench.studies.review import reviewed
from bench.studies.standing import installed
from bench.studies.study import Study
from bench.wording import some

POOL_VERSION = 2
"""Of the layout of what is shared."""
SITE = "site.json"
SETTINGS = ("seeds", "tasks", "arms", "tokens", "margin", "options", "looks", "spending")
"""Of a study, those that a site shares."""
SPLIT = "test"
LARGEST = 1 << 28
"""Bytes of a member of a zip file that is read at most: more is no file of a study."""
NAME = r"[\w+][\w.+-]{0,200}"
"""Of a run, as a regular expression."""
_MEMBER = re.compile(rf"{re.escape(SITE)}|runs/{NAME}/({re.escape(MANIFEST)}|{STATISTICS}/{NAME}\.json)")
_PATHS = ("data", "concepts", "tokens_like")
_WHOLE = 1 << 30
"""Bytes that a zip file unpacks to at most."""
_LONGEST = 80
"""Characters of a site's name."""


@dataclass(frozen=True)
class SharedRun:
    """A run of the plan of a site, as it was shared; those of looks that the site did not have are in the plan alone.

    Args:
        key: in the plan.
        role: what it is compared as.
        task: the task's name; None of several.
        seed: of the run.
        arm: architecture.
        group: runs of one group are compared.
        like: the run, and task of it, whose tokens are its budget.
        tokens: its own budget; None where it is another's.
        trial: whether it only searches; such runs are pooled with nothing.
        run: id of the run; None of a trial that was refused, and of a look that was not had.
        stage: of its scores.
        identity: all of its settings that can change the outcome, without paths.
    """

    key: str
    role: str
    task: str | None
    seed: int
    arm: str
    group: str | None
    like: str | None
    tokens: int | None
    trial: bool
    run: str | None
    stage: str
    identity: Mapping[str, Any]


@dataclass(frozen=True)
class Packed:
    """What `pack` wrote: where, how many runs, and the plan's hash, which is the same at every site."""

    path: Path
    runs: int
    plan: str


def pack(study: Study, site: str, out: Path) -> Packed:
    """Writes what a site shares of a finished study, or of the last look that a study had.

    Args:
        study: whose runs are all finished, or all of a look.
        site: the name that it will have.
        out: a new folder, or a file that ends in ``.zip``.

    Raises:
        UsageError: the place is taken, or the name is none.
        ContractError: a run is not finished or has no manifest, or it or the study was changed since it was written.
        StorageError: the disk is full or cannot be written.
    """
    site = site_name(site)
    if out.exists():
        raise UsageError(f"{out} is there already; wanted a new folder or zip file.", "Name another place.")
    if "looks" in study.settings:
        if not study.looks:
            raise ContractError(f"Study {study.name} has had no look yet.", "Type the study's command again first.")
        study = study.at_last_look()
    due = study.due()
    left = [run.key for run in due if run.run is None and not run.refused]
    if left:
        raise ContractError(
            f"Not finished: {len(left)} of {some(len(due), 'run')} of study {study.name}: {', '.join(left[:4])}.",
            "Type the study's command again first: a site shares a whole study.",
        )
    files: dict[str, bytes] = {}
    finished = [run for run in due if run.run is not None]
    for run in finished:
        folder = study.out / str(run.run)
        whole = Run.read(folder)
        if whole.standing.manifest != "there" or whole.standing.changed:
            raise ContractError(f"Run {run.run} ({run.key}): {whole.standing}.", f"bench verify {run.run}")
        stage = whole.result.headline.stage
        if stage != _stage(run):
            raise ContractError(
                f"Run {run.run} ({run.key}) has no scores of the {_stage(run)} model.",
                "Run it again, where there is more memory.",
            )
        files[f"runs/{run.run}/{MANIFEST}"] = (folder / MANIFEST).read_bytes()
        for task in whole.result.scores:
            name = statistics_name(task, SPLIT, stage)
            files[f"runs/{run.run}/{STATISTICS}/{name}"] = (folder / STATISTICS / name).read_bytes()
    if (review := reviewed(study, installed())).changed:
        raise ContractError(f"Study {study.name} {review}.", f"bench verify {study.name} --out {study.out}")
    kept = {run.key for run in due}
    shared = [_shared(run if run.key in kept else replace(run, run=None), run.key in study.trials) for run in study.runs]
    settings = {key: study.settings.get(key) for key in SETTINGS}
    plan = plan_sha256(study.kind, settings, shared)
    about = {
        "pool_version": POOL_VERSION, "site": site, "kind": study.kind,
        "settings": settings, "plan_sha256": plan, "runs": [vars(run) | {} for run in shared],
        "looks": [{"seeds": look.seeds, "elsewhere": look.elsewhere} for look in study.looks],
        "synthetic": any(read_result(study.out / str(run.run)).synthetic for run in finished),
        "bench": __version__, "date": _today(),
    }  # fmt: skip
    files[SITE] = (json.dumps(sealed(about), indent=1, ensure_ascii=False) + "\n").encode()
    _write(out, files)
    return Packed(out, len(finished), plan)


def site_name(name: object) -> str:
    """The name of a site, without blanks around it.

    Raises:
        UsageError: it is none: empty, too long, or with slashes or signs that are not printed.
    """
    text = name.strip() if isinstance(name, str) else ""
    if not 0 < len(text) <= _LONGEST or not text.isprintable() or "/" in text or "\\" in text:
        raise UsageError(f"--site is {name!r:.100}; wanted a name of 1 to {_LONGEST} characters without slashes.")
    return text


def _shared(run: StudyRun, trial: bool) -> SharedRun:
    identity = run.identity()
    identity["config"] = {name: value for name, value in identity["config"].items() if name not in _PATHS}
    tokens = run.config.tokens if run.like is None else None
    return SharedRun(
        run.key, run.role, run.task, run.seed, run.arm, run.group, run.like, tokens, trial, run.run, _stage(run), identity
    )


def _stage(run: StudyRun) -> str:
    """The stage that a run is compared by: known from the plan, so that it is the same for runs of looks that were not had."""
    return "trained" if run.config.quant == "none" else "quantized"


def plan_sha256(kind: str, settings: Mapping[str, Any], runs: list[SharedRun]) -> str:
    """The hash of a plan: its kind, margin, options and looks, and of every run all but its id, without paths."""
    planned = [{name: value for name, value in vars(run).items() if name != "run"} for run in runs]
    content = [kind, *(settings.get(name) for name in ("margin", "options", "looks", "spending")), planned]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _write(out: Path, files: Mapping[str, bytes]) -> None:
    if out.suffix != ".zip":
        with written_whole(out, 0o700) as folder:  # ids of documents: for the eyes of the site until it sends them
            for name, content in files.items():
                write_bytes(folder / name, content)
        return
    from io import BytesIO

    memory = BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content)
    write_bytes(out, memory.getvalue())


def register(site: str, corpora: Mapping[str, Path], out: Path, registry: Registry) -> Mapping[str, Any]:
    """Writes the hashes and sizes of a site's corpora, before a study runs on them; returns what it wrote.

    Raises:
        UsageError: no corpus, no such task, or the file is there already.
        DataError: a corpus cannot be read.
    """
    if not corpora:
        raise UsageError("A site registers its corpora; got none.", "Add --data TASK=DIR, repeated for several.")
    if out.exists():
        raise UsageError(f"{out} is there already; wanted a new file.", "A registration is made once, before the study.")
    data = {}
    for name, folder in corpora.items():
        task = registry.get("tasks", name)
        corpus = task.load(folder)
        data[task.name] = {
            "sha256": corpus.sha256, "documents": {split: len(documents) for split, documents in corpus.splits.items()},
        }  # fmt: skip
    about = {"pool_version": POOL_VERSION, "site": site_name(site), "data": data, "bench": __version__, "date": _today()}
    write_json(out, sealed(about))
    return about


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """The folder of what a site shares; of a zip file a private one for the block, with no other files than a site shares.

    Raises:
        UsageError: there is nothing at the path, or nothing of a site.
    """
    hint = "'bench pool pack STUDY OUT --site NAME' writes what a site shares."
    if path.is_dir():
        if not (path / SITE).is_file():
            raise UsageError(f"{path} holds no {SITE}.", hint)
        yield path
        return
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise UsageError(f"{path} is no folder and no zip file of a site.", hint)
    with TemporaryDirectory(prefix="bench-pool-") as aside:
        try:
            _unpack(path, Path(aside))
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise UsageError(f"{path} has a member whose name is too long: it is not of a site.") from None
            if error.errno != errno.EINVAL:  # of a place before the file's beginning, where its end alone is left
                raise
            raise UsageError(f"{path} is a part of a zip file.", "Ask the site to send it again.") from None
        except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, ValueError, lzma.LZMAError):
            raise UsageError(
                f"{path} is a damaged zip file, or not one of a site.", "Ask the site to pack its study again."
            ) from None
        if not (Path(aside) / SITE).exists():
            raise UsageError(f"{path} holds no {SITE}.", hint)
        yield Path(aside)


def _unpack(path: Path, aside: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = [m for m in archive.infolist() if _MEMBER.fullmatch(m.filename) and m.file_size <= LARGEST]
        if sum(member.file_size for member in members) > _WHOLE:
            raise UsageError(f"{path} would unpack to more than {_WHOLE >> 30} GiB: it is not of a site.")
        for member in members:
            place = aside / member.filename
            place.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as file:
                place.write_bytes(file.read(LARGEST))  # by blocks: what is packed can be more than the header says


def _today() -> str:
    return datetime.now(timezone.utc).date().isoformat()
