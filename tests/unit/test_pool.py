"""Studies pooled over sites: what a site shares, the sites that are named and left out, and what the others come to."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from bench.api.study import StudyRun
from bench.cli import main
from bench.config import from_mapping
from bench.errors import ContractError, StorageError, UsageError
from bench.naming import flatten
from bench.pooling.pool import Pool, _arms, pool
from bench.pooling.share import SharedRun, pack, plan_sha256, register
from bench.registry import load
from bench.results.manifest import JournalEnd, file_sums, sums_sha256, write_manifest
from bench.results.statistics import read_statistics
from bench.results.store import read_json, read_result, write_json
from bench.sealed import SEAL, sealed
from bench.stats.intervals import Estimate, interval
from bench.stats.multiplicity import holm
from bench.stats.pooled import pooled, tie_groups
from bench.stats.sequential import Look, looks_of_plan
from bench.studies.looks import looks_of, spent_at
from bench.studies.study import LookRecord, Study, find_study
from bench.tracking.journal import Journal

pytest.importorskip("statsmodels")

TASKS = ("ncbi-disease", "bc5cdr")


def sign(folder: Path, data: str, waive: str | None, like: str | None = None) -> None:
    """Makes a made-up run what the runner would have left: scores that its statistics give, and a manifest."""
    result = read_json(folder / "result.json")
    for name in result["scores"]:
        task = load().get("tasks", name)
        scores = flatten(task.summarise(read_statistics(folder, name, "test", "trained").sums()))
        result["scores"][name] |= {"trained": {key: float(value) for key, value in scores.items()}, "dev": {}, "baselines": {}}
    metric = result["headline"]["metric"]
    values = {name: scores["trained"][metric] for name, scores in result["scores"].items()}
    result["headline"] |= {"value": values[result["headline"]["task"]], "ci95": None}
    if len(values) > 1:
        result["macro"] |= {
            "mean": sum(values.values()) / len(values),
            "tasks": [{"task": name, "metric": metric, "value": value} for name, value in values.items()],
        }
    result["hashes"]["data"] = dict.fromkeys(values, data * 32)
    result["waivers"] = [waive] if waive else []
    if like is not None:
        result["config"] |= {"tokens": None, "tokens_like": like}
    write_json(folder / "result.json", result)
    files, path = file_sums(folder), folder / "journal.jsonl"
    path.unlink()
    with Journal(path, identity=folder.name) as journal:
        journal.write("result", sha256=sums_sha256(files))
        journal.write("end", status="finished")
    write_manifest(
        folder, read_result(folder), files, JournalEnd(journal.position, path.stat().st_size, journal.sha256), "c0" * 32
    )


def studied(out: Path, made: Any, data: str, gain: float, documents: int, waive: str | None = None, seeds: int = 6) -> Study:
    """A finished token-control study of a site, with a corpus of its own."""
    runs, names = [], dict[str, str]()
    for seed in range(seeds):
        multi = f"multi-s{seed}"
        planned = [(multi, "multi", None, None, made.Made(TASKS, seed=seed, gain=gain, documents=documents))]
        for task in TASKS:
            alone = made.Made((task,), seed=seed, documents=documents)
            planned.append((f"{task}-total-s{seed}", "total", task, multi, alone))
            half = made.Made((task,), seed=seed, documents=documents, tokens=30_000)
            planned.append((f"{task}-share-s{seed}", "share", task, f"{multi}:{task}", half))
        for key, role, task, like, one in planned:
            (folder,) = made.make(out, [one])
            copied, _, of = (like or "").partition(":")
            sign(folder, data, waive if key == "multi-s3" else None, like and f"{names[copied]}{':' * bool(of)}{of}")
            names[key] = folder.name
            config = from_mapping({name: v for name, v in one.config.items() if name != "resolved"}, "made up")
            config = config if like is None else replace(config, tokens=None)
            runs.append(StudyRun(key, role, task, seed, "A1", config, like=like, run=folder.name))
    study = Study(out, "token-control", "made", {"margin": 0.01}, runs)
    study.save()
    return study


SITES = {"north": ("a1", 0.05, 40), "south": ("b2", 0.08, 60), "east": ("c3", 0.02, 80)}


@pytest.fixture(scope="module")
def folders(made: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of runs of three sites."""
    root = tmp_path_factory.mktemp("sites")
    for name, (data, gain, documents) in SITES.items():
        studied(root / name, made, data, gain, documents)
    return {name: root / name for name in SITES}


def shared(folders: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """What the sites share, as folders that a test may change."""
    return {name: pack(find_study("made", folder), name, tmp_path / name).path for name, folder in folders.items()}


def problems(paths: dict[str, Path], *registrations: Path) -> dict[str, str]:
    """Site to what is wrong with it; sites that are pooled are left out."""
    found = pool([*paths.values()], load(), registrations)
    return {site.name: " ".join(site.problems) for site in found.sites if site.problems}


def reseal(path: Path, change: Any) -> None:
    """Changes sealed JSON and its seal with it, as a forger would."""
    value = json.loads(path.read_bytes())
    del value[SEAL]
    change(value)
    write_json(path, sealed(value))


def test_three_honest_sites_are_pooled(folders: dict[str, Path], tmp_path: Path) -> None:
    found = pool([*shared(folders, tmp_path).values()], load())
    assert [site.name for site in found.sound] == [*SITES]
    assert {(c.task, c.first, c.second) for c in found.contrasts} == {
        (t, r, "multi") for t in TASKS for r in ("total", "share")
    }
    for contrast in found.contrasts:
        assert contrast.difference.estimate.documents == 180
        weights = {name: documents / 180 for name, (_, _, documents) in SITES.items()}
        mean = sum(weights[name] * each.difference for name, each in contrast.difference.sites.items())
        assert contrast.difference.estimate.difference == pytest.approx(mean)
        assert contrast.difference.heterogeneity is not None
        assert contrast.difference.heterogeneity.df == 2
    assert {verdict.task: verdict.kind for verdict in found.verdicts} == dict.fromkeys(TASKS, "genuine transfer")
    json.dumps(found.to_json(), allow_nan=False)


def test_a_zip_file_is_the_same_as_a_folder(folders: dict[str, Path], tmp_path: Path) -> None:
    study = find_study("made", folders["north"])
    archive = pack(study, "north", tmp_path / "north.zip").path
    folder = pack(study, "north", tmp_path / "north").path
    assert pool([archive], load()).contrasts == pool([folder], load()).contrasts
    assert sorted(zipfile.ZipFile(archive).namelist()) == sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    text = b"".join(zipfile.ZipFile(archive).read(name) for name in zipfile.ZipFile(archive).namelist())
    assert str(folders["north"]).encode() not in text  # paths are the site's own


def test_what_a_zip_file_smuggles_is_not_unpacked(folders: dict[str, Path], tmp_path: Path) -> None:
    archive = pack(find_study("made", folders["north"]), "north", tmp_path / "north.zip").path
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("../outside", "x")
        file.writestr("runs/../../outside", "x")
        file.writestr("more.txt", "x")
    assert not problems({"north": archive})
    assert not (tmp_path.parent / "outside").exists()


@pytest.mark.parametrize("again", [False, True], ids=["edited", "edited and sealed again"])
def test_an_edited_score_is_named(folders: dict[str, Path], tmp_path: Path, again: bool) -> None:
    paths = shared(folders, tmp_path)
    file = next((paths["south"] / "runs").glob("*/statistics/*.json"))
    value = json.loads(file.read_bytes())
    value["rows"] = [[number + 1 for number in row] for row in value["rows"]]
    file.write_text(json.dumps(value))
    if again:  # the manifest's seal is made anew around the old hash of the file
        reseal(file.parent.parent / "manifest.json", lambda manifest: manifest.update(waivers=[]))
    named = problems(paths)
    assert [*named] == ["south"]
    assert "was changed since it was written" in named["south"]


def test_other_data_than_registered_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    paths = shared(folders, tmp_path)
    known = {}
    for name, (data, _, _) in SITES.items():
        digest = "d4" * 32 if name == "east" else data * 32
        known[name] = tmp_path / f"{name}.json"
        about = {"pool_version": 2, "site": name, "data": {task: {"sha256": digest} for task in TASKS}}
        known[name].write_text(json.dumps(sealed(about)))
    named = problems(paths, *known.values())
    assert [*named] == ["east"]
    assert "its corpus of ncbi-disease is not the one that it registered" in named["east"]
    assert pool([*paths.values()], load(), [known["north"]]).registered == ("north",)
    known["north"].write_text(known["north"].read_text().replace("a1a1", "b1a1"))
    with pytest.raises(UsageError, match="was changed since it was written"):
        pool([*paths.values()], load(), [known["north"]])


def test_a_waived_gate_is_named(made: Any, folders: dict[str, Path], tmp_path: Path) -> None:
    studied(tmp_path / "runs", made, "e5", 0.05, 30, waive="smoke")
    paths = shared(folders, tmp_path) | {"west": pack(find_study("made", tmp_path / "runs"), "west", tmp_path / "west").path}
    assert problems(paths) == {"west": "multi-s3: the invariant smoke was waived."}


def test_a_run_of_more_tokens_another_plan_and_a_missing_file_are_named(folders: dict[str, Path], tmp_path: Path) -> None:
    paths = shared(folders, tmp_path)
    about = json.loads((paths["north"] / "site.json").read_bytes())
    total = next(run["run"] for run in about["runs"] if run["key"] == "bc5cdr-total-s2")

    def more(manifest: dict[str, Any]) -> None:
        manifest["ledger"]["bc5cdr"]["tokens"] *= 2

    reseal(paths["north"] / "runs" / total / "manifest.json", more)
    reseal(paths["south"] / "site.json", lambda site: site["settings"].update(margin=0.05))
    next((paths["east"] / "runs").glob("*/statistics/*.json")).unlink()
    with pytest.raises(ContractError) as caught:
        pool([*paths.values()], load())
    for words in (
        "north: bc5cdr-total-s2: 120,000 tokens counted; the plan says 60,000.",
        "south: the plan's hash is not that of its runs.",
        "is missing.",
    ):
        assert words in caught.value.message


def each(site: dict[str, Any], change: Any, **of: Any) -> None:
    """Changes the runs of a plan that have these values."""
    for run in site["runs"]:
        if all(run[name] == value for name, value in of.items()):
            change(run)


PLANS = {
    "a seed left out": (lambda site: each(site, lambda run: run.update(run=None), seed=0, role="multi"), "run is missing"),
    "a seed that only searched": (lambda site: each(site, lambda run: run.update(trial=True), seed=0), "plan's hash"),
    "another role": (lambda site: each(site, lambda run: run.update(role="total"), role="multi"), "not what its settings say"),
    "another seed": (lambda site: each(site, lambda run: run.update(seed=run["seed"] + 1), role="multi"), "not what its"),
    "one run for all": (
        lambda site: each(site, lambda run: run.update(run=site["runs"][0]["run"]), role="multi"), "stands for another",
    ),
    "no budget": (lambda site: each(site, lambda run: run.update(tokens=None)), "plan's hash"),
    "another group": (lambda site: each(site, lambda run: run.update(group="g")), "plan's hash"),
    "no kind": (lambda site: site.pop("kind"), "not what bench writes"),
    "no settings of a run": (lambda site: each(site, lambda run: run["identity"].update(config=[1])), "not what bench writes"),
    "waivers of no kind": (lambda site: each(site, lambda run: run["identity"]["config"].update(waive=5)), "not what bench"),
    "tokens of nobody": (lambda site: each(site, lambda run: run.update(like="x:y")), "not what its"),
    "no margin": (lambda site: site["settings"].update(margin="wide"), "margin is no number"),
    "a margin out of all numbers": (lambda site: site["settings"].update(margin=10**400), "margin is no number"),
    "a run with too long a name": (
        lambda site: each(site, lambda run: run.update(run="é" * 200), seed=0, role="multi"), "cannot be read",
    ),
    "a stage elsewhere": (lambda site: each(site, lambda run: run.update(stage="/../../x")), "not what bench writes"),
    "a stage with too long a name": (lambda site: each(site, lambda run: run.update(stage="x" * 300)), "not what bench writes"),
    "no name": (lambda site: site.update(site="\x1b[31m"), "no name"),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_that_was_sealed_anew_is_named(folders: dict[str, Path], tmp_path: Path, name: str) -> None:
    paths = shared(folders, tmp_path)
    change, words = PLANS[name]
    reseal(paths["north"] / "site.json", change)
    named = problems(paths)
    assert [*named] == ["north"]
    assert words in named["north"]


@pytest.mark.parametrize(("margin", "pooled"), [(0, 0.0), (0.02, 0.02), (None, 0.01)])
def test_the_margin_is_that_of_the_plan(folders: dict[str, Path], tmp_path: Path, margin: float | None, pooled: float) -> None:
    def change(site: dict[str, Any]) -> None:
        site["settings"]["margin"] = margin
        site["plan_sha256"] = plan_sha256(site["kind"], site["settings"], [SharedRun(**run) for run in site["runs"]])

    paths = shared(folders, tmp_path)
    for path in paths.values():
        reseal(path / "site.json", change)
    assert pool([*paths.values()], load()).margin == pooled


def test_a_site_is_packed_whole_or_not_at_all(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        if path.name == "site.json":
            raise StorageError("The disk is full.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    monkeypatch.setattr("bench.pooling.share.write_bytes", full)
    with pytest.raises(StorageError):
        pack(find_study("made", folders["north"]), "north", tmp_path / "site")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda manifest: manifest["hashes"].update(data={}), "does not tell the hash of its corpus"),
        (lambda manifest: manifest["hashes"].update(data=[1]), "not what bench writes"),
        (lambda manifest: manifest["code"].update(versions=[1]), "not what bench writes"),
        (lambda manifest: manifest["hashes"].update(config=""), "of another configuration"),
        (
            lambda manifest: manifest["ledger"].update({"x" * 300: next(iter(manifest["ledger"].values()))}),
            "not what bench writes",
        ),
        (
            lambda manifest: manifest["ledger"].update({"a\0b": next(iter(manifest["ledger"].values()))}),
            "not what bench writes",
        ),
    ],
    ids=["no corpus", "corpora of no kind", "versions of no kind", "no configuration", "a long task", "a task with a null"],
)
def test_a_manifest_that_was_sealed_anew_is_named(folders: dict[str, Path], tmp_path: Path, change: Any, words: str) -> None:
    paths = shared(folders, tmp_path)
    for path in paths["north"].glob("runs/*/manifest.json"):
        reseal(path, change)
    named = problems(paths)
    assert [*named] == ["north"]
    assert words in named["north"]


def test_a_zip_file_with_too_long_a_name_is_told(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "site.zip", "w") as archive:
        archive.writestr(f"runs/{'é' * 200}/manifest.json", "{}")
    with pytest.raises(UsageError, match="name is too long"):
        pool([tmp_path / "site.zip"], load())


def test_damaged_and_vast_zip_files_are_told(folders: dict[str, Path], tmp_path: Path) -> None:
    archive = pack(find_study("made", folders["north"]), "north", tmp_path / "north.zip").path
    content = bytearray(archive.read_bytes())
    content[content.rfind(b"PK\1\2") + 8] |= 1  # says that it is encrypted
    (tmp_path / "locked.zip").write_bytes(content)
    with pytest.raises(UsageError, match="damaged zip file"):
        pool([tmp_path / "locked.zip"], load())
    (tmp_path / "half.zip").write_bytes(archive.read_bytes()[archive.stat().st_size // 2 :])
    with pytest.raises(UsageError, match="part of a zip file"):
        pool([tmp_path / "half.zip"], load())
    content = bytearray(archive.read_bytes())
    place = -1
    for _ in range(5):
        place = content.rfind(b"PK\1\2", 0, place)
        content[place + 24 : place + 28] = (1 << 28).to_bytes(4, "little")
    (tmp_path / "vast.zip").write_bytes(content)
    with pytest.raises(UsageError, match="unpack to more than 1 GiB"):
        pool([tmp_path / "vast.zip"], load())


def test_arms_that_differ_in_a_setting_alone_stay_apart() -> None:
    def run(key: str, role: str, seed: int, **config: Any) -> SharedRun:
        identity = {"config": {"task": ["bc5cdr"], "seed": seed} | config}
        return SharedRun(key, role, None, seed, config["arch"], None, None, 1, False, "x", "trained", identity)

    grid = [run(f"{a}{r}{s}", "point", s, arch=a, rank=r) for a in ("A1", "A2") for r in (8, 16) for s in (0, 1)]
    assert {*_arms(grid).values()} == {"A1 rank=8", "A1 rank=16", "A2 rank=8", "A2 rank=16"}
    quantized = [run(f"{q}{s}", "quantizer", s, arch="A1", quant=q) for q in ("none", "rtn") for s in (0, 1)]
    assert {*_arms(quantized).values()} == {"A1 quant=none", "A1 quant=rtn"}
    pairs = [run(f"{t}0", "pair", 0, arch="A1", task=["bc5cdr", t]) for t in ("a", "b")]
    assert [*_arms([*pairs, run("s0", "single", 0, arch="A1")]).values()] == ["pair bc5cdr+a", "pair bc5cdr+b", "single"]


def test_a_plan_unlike_that_of_the_others_is_named(made: Any, folders: dict[str, Path], tmp_path: Path) -> None:
    study = studied(tmp_path / "runs", made, "e5", 0.05, 30)
    study.settings = {"margin": 0.05}
    study.save()
    paths = shared(folders, tmp_path) | {"west": pack(find_study("made", tmp_path / "runs"), "west", tmp_path / "west").path}
    named = problems(paths)
    assert [*named] == ["west"]
    assert "margin 0.05, not 0.01" in named["west"]


def test_the_same_corpus_does_not_count_twice(folders: dict[str, Path], tmp_path: Path) -> None:
    paths = shared(folders, tmp_path)
    shutil.copytree(paths["north"], tmp_path / "twin")
    reseal(tmp_path / "twin" / "site.json", lambda site: site.update(site="twin"))
    named = problems(paths | {"twin": tmp_path / "twin"})
    assert sorted(named) == ["north", "twin"]
    assert "documents would count twice" in named["twin"]


def test_an_unfinished_study_or_a_changed_run_is_not_packed(made: Any, tmp_path: Path) -> None:
    study = studied(tmp_path, made, "a1", 0.05, 10)
    folder = tmp_path / str(study.runs[0].run)
    (folder / "result.json").write_text((folder / "result.json").read_text().replace('"seed": 0', '"seed": 9'))
    with pytest.raises(ContractError, match=r"changed since it was written: result\.json"):
        pack(study, "north", tmp_path / "shared")
    study.update(study.runs[1].key, run=None)
    with pytest.raises(ContractError, match="Not finished: 1 of 30 runs of study made"):
        pack(study, "north", tmp_path / "shared")
    assert not (tmp_path / "shared").exists()


def test_a_study_that_was_changed_is_not_packed(made: Any, tmp_path: Path) -> None:
    study = studied(tmp_path, made, "a1", 0.05, 10)
    path = study.folder / "study.json"
    path.write_text(path.read_text().replace('"margin": 0.01', '"margin": 0.02'))
    with pytest.raises(ContractError, match=r"Study made changed since it was written: study\.json"):
        pack(find_study("made", tmp_path), "north", tmp_path / "shared")
    reseal(path, lambda value: value["runs"][0].update(run=value["runs"][5]["run"]))
    with pytest.raises(ContractError, match=r"run multi-s0 \(.* has other settings than the plan\)"):
        pack(find_study("made", tmp_path), "north", tmp_path / "shared")
    assert not (tmp_path / "shared").exists()


def test_a_registration_holds_the_hash_that_runs_state(tmp_path: Path) -> None:
    task = load().get("tasks", "ncbi-disease")
    task.synthesize(tmp_path / "corpus", 1, {"train": 6, "dev": 2, "test": 2})
    about = register("north", {"ncbi-disease": tmp_path / "corpus"}, tmp_path / "north.json", load())
    assert about["data"]["ncbi-disease"]["sha256"] == task.load(tmp_path / "corpus").sha256
    assert about["data"]["ncbi-disease"]["documents"]["train"] >= 6
    with pytest.raises(UsageError, match="is there already"):
        register("north", {"ncbi-disease": tmp_path / "corpus"}, tmp_path / "north.json", load())


def test_the_command_line_names_who_is_left_out(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, folder in folders.items():
        assert main(["pool", "pack", "made", str(tmp_path / f"{name}.zip"), "--site", name, "--runs", str(folder)]) == 0
    archives = [str(tmp_path / f"{name}.zip") for name in SITES]
    assert main(["pool", *archives]) == 0
    capsys.readouterr()
    with zipfile.ZipFile(archives[0], "a") as file:
        file.writestr("site.json", "{}")
    assert main(["pool", *archives, "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert [bool(site["problems"]) for site in told["sites"]] == [True, False, False]
    assert main(["pool", str(tmp_path)]) == 2
    assert "holds no site.json" in capsys.readouterr().err


def at(difference: float, se: float, documents: int = 100) -> Estimate:
    return interval(difference, se, 8.0, 6, documents, {}, (0.95, 0.8, 1))


def looked_at(study: Study, had: int, looks: tuple[int, ...], name: str, elsewhere: float = 0.0) -> Study:
    """The study with planned looks, at the first `had` of them."""
    settings = {**study.settings, "looks": [*looks], "spending": "obrien-fleming"}
    one = replace(study, name=name, settings=settings, looks=[])
    for seeds in looks[:had]:
        one.looks.append(LookRecord(seeds, "", 0.0, 0.0, 0.0, elsewhere, False, {}))
        look = looks_of(one.at_last_look(), load().get("studies", one.kind))[-1]
        spent = spent_at(seeds, look.alpha)
        one.looks[-1] = replace(one.looks[-1], level=look.alpha, spent=spent, cumulative=look.cumulative)
    one.save()
    return one


@pytest.fixture(scope="module")
def longer(made: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Study]:
    """Studies of seven seeds at two sites."""
    root = tmp_path_factory.mktemp("longer")
    return {name: studied(root / name, made, data, 0.08, 60, seeds=7) for name, data in {"north": "a1", "south": "b2"}.items()}


def looks_pooled(longer: dict[str, Study], out: Path, had: dict[str, int], **elsewhere: float) -> Pool:
    paths = []
    for name, study in longer.items():
        one = looked_at(study, had[name], (6, 7), f"looked-{len([*study.out.glob('studies/*')])}", elsewhere.get(name, 0.0))
        paths.append(pack(one, name, out / f"{name}-{one.name}").path)
    return pool(paths, load())


def test_looks_of_the_plan_are_looks_of_the_pool(longer: dict[str, Study], tmp_path: Path) -> None:
    first, second = looks_of_plan((6, 7))
    early = looks_pooled(longer, tmp_path, {"north": 1, "south": 1})
    assert [site.problems for site in early.sites] == [(), ()]
    assert (early.look, early.apart) == (first, False)
    assert {contrast.difference.estimate.seeds for contrast in early.contrasts} == {6}
    late = looks_pooled(longer, tmp_path, {"north": 2, "south": 2})
    assert (late.look, {c.difference.estimate.seeds for c in late.contrasts}) == (second, {7})
    # Intervals have the level of the look, at every site and over them; p is that over all looks.
    once = pool([pack(study, name, tmp_path / f"{name}-once").path for name, study in longer.items()], load())
    for one, other in zip(late.contrasts, once.contrasts, strict=True):
        at_look, alone = one.difference.estimate, other.difference.estimate
        assert at_look.df is not None
        assert at_look.se is not None
        half = float(stats.t.ppf((1 + second.level) / 2, at_look.df)) * at_look.se
        assert (at_look.difference, at_look.high) == pytest.approx((alone.difference, at_look.difference + half))
        assert at_look.p == alone.p
    adjusted = holm([second.adjusted(c.difference.estimate.p) for c in once.contrasts], 0.95)
    assert [c.difference.estimate.p_holm for c in late.contrasts] == pytest.approx(adjusted)
    assert "Look 2 of 2" in late.looks[0]
    assert once.looks == []
    json.dumps(late.to_json(), allow_nan=False)


def test_what_a_look_of_the_pool_resolved_stays(
    longer: dict[str, Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def told(at_total: Estimate, at_own: Estimate, margin: float, look: Look) -> tuple[str, str]:
        asked.append(at_total.seeds)
        assert look.seeds[-1] == at_total.seeds
        return ("genuine transfer", "By much.") if at_total.seeds == 6 else ("unresolved", "By nothing.")

    monkeypatch.setattr("bench.pooling.pool.judge", told)
    late = looks_pooled(longer, tmp_path, {"north": 2, "south": 2})
    assert asked == [6, 6, 7, 7]
    assert [(v.kind, v.reason) for v in late.verdicts] == [
        ("genuine transfer", "By much. Resolved at look 1 of 2, 6 seeds.")
    ] * 2


def test_sites_at_different_looks_conclude_nothing(
    longer: dict[str, Study], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = looks_pooled(longer, tmp_path, {"north": 1, "south": 2})
    assert [site.problems for site in found.sites] == [(), ()]
    assert (found.verdicts, found.ties, {c.better for c in found.contrasts}) == ((), {}, {None})
    assert found.look == looks_of_plan((6, 7))[0]
    assert {c.difference.estimate.seeds for c in found.contrasts} == {6}
    assert "north at 6, south at 7 of 7 seeds" in found.looks[0]
    assert main(["pool", *(str(site.path) for site in found.sites)]) == 0
    assert "nothing is concluded" in capsys.readouterr().out


def test_what_was_spent_on_the_runs_of_one_site_is_gone_for_the_pool(longer: dict[str, Study], tmp_path: Path) -> None:
    found = looks_pooled(longer, tmp_path, {"north": 2, "south": 2}, south=0.05)
    assert found.look.exhausted
    assert {verdict.kind for verdict in found.verdicts} == {"unresolved"}
    assert found.verdicts[0].reason.startswith("The 5% were spent at an earlier look")


def test_sites_with_other_looks_are_of_another_plan(longer: dict[str, Study], tmp_path: Path) -> None:
    once = pack(longer["north"], "north", tmp_path / "north").path
    several = pack(looked_at(longer["south"], 2, (6, 7), "several"), "south", tmp_path / "south").path
    named = {site.name: " ".join(site.problems) for site in pool([once, several], load()).sites if site.problems}
    assert [*named] == ["south"]
    assert "looks [6, 7], not None" in named["south"]


LOOKS = {
    "looks that do not grow": (lambda site: site["settings"].update(looks=[7, 6]), "no plan of looks"),
    "more seeds than there are": (lambda site: site["settings"].update(looks=[6, 12]), "no plan of looks"),
    "no such spending": (lambda site: site["settings"].update(spending="all"), "no plan of looks"),
    "a look that is not planned": (lambda site: site["looks"][0].update(seeds=5), "not those of its plan"),
    "a look twice": (lambda site: site["looks"].append(site["looks"][0]), "not those of its plan"),
    "no look": (lambda site: site.update(looks=[]), "not those of its plan"),
    "looks of no kind": (lambda site: site.update(looks=5), "not what bench writes"),
    "too much spent": (lambda site: site["looks"][0].update(elsewhere=-1), "no error rate"),
    "a look less": (lambda site: site["looks"].pop(), "of a look that the site did not have"),
    "another plan of looks": (lambda site: site["settings"].update(spending="pocock"), "the plan's hash is not"),
}


@pytest.mark.parametrize("name", LOOKS)
def test_looks_that_were_sealed_anew_are_named(longer: dict[str, Study], tmp_path: Path, name: str) -> None:
    path = pack(looked_at(longer["north"], 2, (6, 7), "sealed"), "north", tmp_path / "north").path
    change, words = LOOKS[name]
    reseal(path / "site.json", change)
    with pytest.raises(ContractError, match=words):
        pool([path], load())


def test_a_study_that_planned_looks_and_had_none_is_not_packed(longer: dict[str, Study], tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="has had no look yet"):
        pack(looked_at(longer["north"], 0, (6, 7), "none"), "north", tmp_path / "north")


def test_a_site_that_registered_and_is_missing_is_named(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = shared(folders, tmp_path)
    known = {}
    for name in (*SITES, "west"):
        data = SITES.get(name, ("f6",))[0]
        known[name] = tmp_path / f"{name}.json"
        about = {"pool_version": 2, "site": name, "data": {task: {"sha256": data * 32} for task in TASKS}}
        known[name].write_text(json.dumps(sealed(about)))
    found = pool([*paths.values()], load(), [*known.values()])
    assert (found.absent, found.registered) == (("west",), (*SITES,))
    flags = [word for path in known.values() for word in ("--registered", str(path))]
    assert main(["pool", *map(str, paths.values()), *flags]) == 3
    assert "west registered its corpora, and no site of that name is here" in capsys.readouterr().out
    # A site that is there and has a problem is named as such.
    reseal(paths["east"] / "site.json", lambda site: site["settings"].update(margin=0.05))
    assert pool([*paths.values()], load(), [*known.values()]).absent == ("west",)


def test_a_site_packed_by_an_older_bench_is_asked_to_pack_again(folders: dict[str, Path], tmp_path: Path) -> None:
    paths = shared(folders, tmp_path)
    reseal(paths["north"] / "site.json", lambda site: site.update(pool_version=1))
    assert problems(paths) == {"north": "site.json is of version 1; this bench reads 2. Pack the study again."}


def test_sites_that_disagree_are_told_apart_from_sites_that_agree() -> None:
    alike = pooled({"a": at(0.02, 0.005), "b": at(0.021, 0.005), "c": at(0.019, 0.005)})
    unlike = pooled({"a": at(0.08, 0.005), "b": at(0.02, 0.005), "c": at(-0.04, 0.005)})
    assert alike.heterogeneity is not None
    assert unlike.heterogeneity is not None
    assert (alike.heterogeneity.tau2, alike.heterogeneity.i2) == (0.0, 0.0)
    assert unlike.heterogeneity.p < 0.001
    assert unlike.heterogeneity.tau2**0.5 == pytest.approx(0.06, rel=0.02)  # the sites' own spread, less their errors
    assert alike.estimate.difference == pytest.approx(unlike.estimate.difference)
    assert alike.low is not None
    assert unlike.low is not None
    assert alike.low > 0 > unlike.low


def test_one_site_alone_is_what_it_says() -> None:
    alone = at(0.02, 0.005)
    found = pooled({"a": alone})
    assert (found.estimate.low, found.estimate.high) == pytest.approx((alone.low, alone.high))
    assert found.heterogeneity is None


def test_arms_that_are_not_told_apart_stand_together() -> None:
    means = {"A1": 0.50, "A2": 0.49, "A3": 0.40, "A4": 0.30}
    apart = {("A1", "A3"): True, ("A1", "A4"): True, ("A2", "A4"): True, ("A4", "A3"): True}
    assert tie_groups(means, apart) == [("A1", "A2"), ("A2", "A3"), ("A4",)]
    assert tie_groups(means, {}) == [("A1", "A2", "A3", "A4")]


def test_the_page_shows_every_site_and_names_who_is_left_out(made: Any, folders: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    studied(tmp_path / "runs", made, "e5", 0.05, 30, waive="smoke")
    paths = shared(folders, tmp_path) | {"west": pack(find_study("made", tmp_path / "runs"), "west", tmp_path / "west").path}
    assert main(["pool", *map(str, paths.values()), "--out", str(tmp_path / "page")]) == 3
    page = (tmp_path / "page" / "index.html").read_text()
    for words in ("north", "sites like these", "the invariant smoke was waived", "not registered before the study"):
        assert words in page
    table = (tmp_path / "page" / "tables" / "sites-differences.csv").read_text().splitlines()
    assert len(table) == 1 + len(TASKS) * 2 * (3 + 2)


def test_what_is_counted_as_a_document_is_told_of_all_sites_alike() -> None:
    sentences = [replace(at(0.02, 0.005), unit="sentences", design_effect=effect) for effect in (2.0, 3.0)]
    both = pooled(dict(zip("ab", sentences, strict=True)))
    assert (both.estimate.unit, both.estimate.design_effect) == ("sentences", 3.0)
    assert "sentences" in both.estimate.caution
    mixed = pooled({"a": sentences[0], "b": replace(at(0.02, 0.005), unit="notes")})
    assert mixed.estimate.unit == ""
