"""`bench compare` on made-up runs: the contract, the numbers, and one clear message for everything that cannot be compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.cli import main
from bench.config import RunConfig
from bench.errors import ContractError, UsageError
from bench.naming import flatten
from bench.registry import Registry, load
from bench.results.invariants import ArmParameters, Batch, Checkpoint, Invariants, Parity, Smoke, Tokens
from bench.results.schema import Headline, Quantization, Result, TaskScores
from bench.results.statistics import Statistics, write_statistics
from bench.results.store import write_result
from bench.studies.arms import Run, read_runs
from bench.studies.compare import compare
from bench.studies.contract import FIELDS, check_fields, compared, differences, facts
from bench.studies.finished import compared_by

TASKS = ("ncbi-disease", "bc5cdr")
# Strict tp, fp and fn of four documents: 4/7 + … see the tests.
WEAK = [(1, 1, 1), (1, 0, 1), (2, 1, 1), (0, 2, 2)]
STRONG = [(2, 0, 0), (2, 0, 0), (3, 0, 0), (1, 1, 1)]

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, registry: Registry) -> Make:
    """Writes a finished run as the runner leaves it, and returns its folder."""

    def write(
        rows: list[tuple[int, int, int]] = WEAK,
        *,
        unit: str = "",
        tasks: tuple[str, ...] = TASKS[:1],
        name: str | None = None,
        tokens: int = 200_000,
        parameters: int = 663_552,
        versions: dict[str, Any] | None = None,
        resolved: dict[str, Any] | None = None,
        change: dict[str, Any] | None = None,
        **config: Any,
    ) -> Path:
        settings = RunConfig(task=tasks, **config)
        ident = name or "-".join((*tasks, settings.arch, settings.quant, f"s{settings.seed}", f"r{settings.replicate}")).lower()
        folder = tmp_path / "runs" / ident
        scores: dict[str, TaskScores] = {}
        for task in tasks:
            prefix = registry.get("tasks", task).metadata.primary_metric.rpartition(".")[0]
            columns = [{f"{prefix}.{n}": float(v) for n, v in zip(("tp", "fp", "fn"), row, strict=True)} for row in rows]
            every = dict.fromkeys(_names(registry, task), 0.0)
            documents = [f"d{i}" for i in range(len(rows))]
            statistics = Statistics.of(task, "test", "trained", documents, [every | row for row in columns], unit)
            write_statistics(folder, statistics)
            with np.errstate(all="ignore"):
                scores[task] = TaskScores(flatten(registry.get("tasks", task).summarise(statistics.sums())))
        metric = registry.get("tasks", tasks[0]).metadata.primary_metric
        row = ArmParameters(settings.arch, parameters, 0, 0, parameters, {}, 1.0, 1.0, {})
        batch = Batch(micro_batch=2048, limit=2**33, peak=None, binds="user", longest=64)
        facts = {"device": "cpu", "precision": "fp32", "lr": 0.003, "head": dict.fromkeys(tasks, "span")}
        result = Result(
            id=ident,
            config=settings.as_json()
            | {"resolved": facts | {"model": {"name": "minilm-l6", "sha256": "a" * 64}} | (resolved or {})},
            headline=Headline(tasks[0], "test", "trained", metric, scores[tasks[0]].trained[metric], None),
            scores=scores,
            invariants=Invariants(Tokens(total=tokens), Parity(arm=settings.arch, rows=(row,)), Smoke(), batch, Checkpoint()),
            quantization=Quantization(),
            timings={},
            memory={},
            hashes={"data": dict.fromkeys(tasks, "b" * 64)},
            versions={"torch": "2.13.0", "parts": {f"task {t}": registry.get("tasks", t).version for t in tasks}}
            | (versions or {}),
            hardware={},
            git={"commit": "c" * 40, "dirty": False},
            waivers=(),
            synthetic=False,
        )
        write_result(folder, replace(result, **(change or {})))
        return folder

    return write


def _names(registry: Registry, task: str) -> list[str]:
    from bench.api.data import Document

    return list(registry.get("tasks", task).statistics([Document("d", "")], [Document("d", "")])[0])


def failed(words: list[str], capsys: pytest.CaptureFixture[str], code: int) -> str:
    """The message of a command that fails: one or two lines, no traceback, nothing on stdout."""
    assert main(words) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert len(err.splitlines()) <= 2
    assert "Traceback" not in err
    return err


def test_two_runs_by_hand(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    weak, strong = make(WEAK, arch="A1"), make(STRONG, arch="A2")
    assert main(["compare", str(weak), str(strong), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["by"] == ["arch"]
    assert found["arms"] == {"A1": [weak.name], "A2": [strong.name]}
    # Sums: 4, 4, 5 and 8, 1, 1: F 8/17 and 16/18.
    assert [one["spread"]["mean"] for one in found["scores"]] == pytest.approx([8 / 17, 16 / 18])
    (pair,) = found["pairs"]
    assert pair["estimate"]["difference"] == pytest.approx(16 / 18 - 8 / 17)
    # Every document speaks for the second arm: only as it is and all swapped are as far apart, 2 of 16.
    assert (pair["documents"]["p"], pair["documents"]["exact"]) == (2 / 16, True)
    assert pair["documents_p_holm"] == 2 / 16
    assert pair["conclusion"] == "not resolved at this number of seeds"
    assert (pair["estimate"]["low"], pair["estimate"]["seeds"], pair["estimate"]["documents"]) == (None, 1, 4)
    assert pair["tally"] == {"wins": 1, "ties": 0, "losses": 0}
    assert found["floors"]["ncbi-disease"]["sd"] is None


def test_people_read_arms_scores_and_what_is_missing(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    make(WEAK, arch="A1")
    folder = make(STRONG, arch="A2", change={"synthetic": True}).parent
    assert main(["compare", str(folder), "--allow", "synthetic"]) == 0
    text = capsys.readouterr().out
    assert "Compared by arch: A1 (1 run), A2 (1 run)" in text
    assert "ncbi-disease A2 − A1 +.418 – – – not resolved" in " ".join(text.split())
    assert "not resolved at this number of seeds" in text
    assert ".125 exact" in text
    assert "A conclusion wants 6 seeds or more" in text
    assert "warning: SYNTHETIC data" in text
    assert "warning: allowed: the runs differ in synthetic: False in 1 run, True in 1 run." in text
    assert "Noise floor of ncbi-disease: not known; it wants two seeds of an arm; means over seeds tie within .010." in text


def noisy(seed: int, better: int, documents: int = 40) -> list[tuple[int, int, int]]:
    rng = np.random.default_rng(seed)
    found = rng.integers(4, 9, documents)
    return [(int(n) + better, 3 - better, 3 - better) for n in found]


def test_six_seeds_resolve_what_five_do_not(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("statsmodels")
    for seed in range(6):
        for arch, better in (("A1", 0), ("A2", 1), ("A4", 0)):
            folder = make(noisy(seed if arch != "A4" else 10 + seed, better), arch=arch, seed=seed, tasks=TASKS)
    assert main(["compare", str(folder.parent), "--by", "arch", "--json", "--resamples", "500"]) == 0
    found = json.loads(capsys.readouterr().out)
    told = {(p["task"], p["first"], p["second"]): p for p in found["pairs"]}
    assert len(told) == 6
    for task in TASKS:
        assert told[task, "A1", "A2"]["conclusion"] == "A2 is better"
        assert told[task, "A2", "A4"]["conclusion"] == "A2 is better"
        assert told[task, "A1", "A4"]["conclusion"] == "not resolved"
        assert told[task, "A1", "A2"]["estimate"]["p_holm"] >= told[task, "A1", "A2"]["estimate"]["p"]
        assert told[task, "A1", "A2"]["documents"]["p"] == pytest.approx(1 / 501)
        assert found["floors"][task]["source"] == "seeds"
        assert found["floors"][task]["sd"] > 0
    by_task = {(one["first"], one["second"]): one["tally"] for one in found["tasks"]}
    for pair in found["tasks"]:  # of means over six seeds, not of one score
        assert pair["ties"] == {task: pytest.approx(found["floors"][task]["sd"] * np.sqrt(2 / 6)) for task in TASKS}
    assert by_task["A1", "A2"] == {"wins": 2, "ties": 0, "losses": 0}
    assert by_task["A2", "A4"] == {"wins": 0, "ties": 0, "losses": 2}
    assert sum(by_task["A1", "A4"].values()) == 2
    five = [str(path) for path in folder.parent.iterdir() if not path.name.endswith("s5-r1")]
    assert main(["compare", *five, "--by", "arch", "--json", "--resamples", "500"]) == 0
    assert {p["conclusion"] for p in json.loads(capsys.readouterr().out)["pairs"]} == {"not resolved at this number of seeds"}


def test_a_seed_that_one_arm_lacks_is_left_out_and_told(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        make(noisy(seed, 0), arch="A1", seed=seed)
    for seed in range(2):
        folder = make(noisy(seed, 1), arch="A2", seed=seed)
    assert main(["compare", str(folder.parent), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pairs"][0]["estimate"]["seeds"] == 2
    fixed, older, alone = found["notes"]
    assert older == "Of 5 runs nothing says whether files changed: an older bench wrote no manifest."
    assert fixed.startswith("For this training set")
    assert alone == "Seed 2 is in one of A1 and A2 only, and left out."


THREE = (*TASKS, "bc2gm")


def test_three_tasks_are_also_judged_together(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("statsmodels")
    for seed in range(6):
        for arch, better in (("A1", 0), ("A2", 1)):
            folder = make(noisy(seed, better), arch=arch, seed=seed, tasks=THREE).parent
    assert main(["compare", str(folder), "--by", "arch", "--json", "--resamples", "500", "--rope", "0.02"]) == 0
    (tasks,) = json.loads(capsys.readouterr().out)["tasks"]
    whole = tasks["across"]
    assert whole["tasks"] == 3
    assert whole["second_better"] == {"dependent": 3, "independent": 3, "tasks": [*THREE]}
    assert whole["first_better"] == {"dependent": 0, "independent": 0, "tasks": []}
    assert whole["aggregate"]["improvement"]["value"] > 0.9
    less = whole["aggregate"]["difference"]
    assert 0 < less["low"] <= less["value"] <= less["high"]
    assert whole["posterior"]["rope"] == 0.02
    assert whole["posterior"]["right"] > 0.9
    assert sum(whole["posterior"][name] for name in ("left", "inside", "right")) == pytest.approx(1)
    assert main(["compare", str(folder), "--by", "arch", "--resamples", "500"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "All tasks together" in text
    assert "What this means: A2 is better on at least 3 of 3 tasks, by name ncbi-disease, bc5cdr, bc2gm." in text
    comparison = compare(read_runs([str(folder)], folder)[0], load(), by=("arch",), resamples=200)
    assert "A2 is better on at least 3 of 3 tasks" in comparison._repr_html_()
    few = [str(path) for path in folder.iterdir() if path.name.endswith(("s0-r1", "s1-r1", "s2-r1"))]
    assert main(["compare", *few, "--by", "arch", "--json", "--resamples", "500"]) == 0
    whole = json.loads(capsys.readouterr().out)["tasks"][0]["across"]
    assert (whole["second_better"], whole["posterior"]) == (None, None)
    assert whole["aggregate"]["improvement"]["value"] > 0.9


def test_two_tasks_say_nothing_about_others(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("statsmodels")
    folder = (make(WEAK, arch="A1", tasks=TASKS), make(STRONG, arch="A2", tasks=TASKS))[0].parent
    assert main(["compare", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tasks"][0]["across"] is None
    assert "it must be above 0" in failed(["compare", str(folder), "--rope", "0"], capsys, 2)


def test_arms_share_the_draw_of_a_seed(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """Seeds of an arm have draws of their own; both arms of a seed the same one, and none is held against a whole corpus."""
    runs = [
        make(WEAK if arch == "A1" else STRONG, arch=arch, seed=seed, train_resample=seed)
        for seed in (0, 1)
        for arch in ("A1", "A2")
    ]
    assert main(["compare", *map(str, runs), "--by", "arch", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"][0].startswith("Over training documents as well")
    other = make(STRONG, name="other", arch="A2", seed=1, train_resample=5)
    message = failed(["compare", *map(str, (*runs[:3], other)), "--by", "arch"], capsys, 3)
    assert "train_resample: seed 1 draw 1 in 1 run, draw 5 in 1 run" in message
    whole = make(STRONG, name="whole", arch="A2")
    message = failed(["compare", str(runs[0]), str(whole), "--by", "arch"], capsys, 3)
    assert "train_resample: documents a random half in 1 run, all in 1 run" in message


def test_replicates_are_checked(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    make(WEAK)
    folder = make(WEAK, replicate=2).parent
    assert main(["compare", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pairs"] == []
    assert any("Replicates are identical on ncbi-disease (1 checked)" in note for note in found["notes"])
    make(STRONG, replicate=3)
    assert main(["compare", str(folder), "--json"]) == 0
    assert any("seed 0, are not identical" in note for note in json.loads(capsys.readouterr().out)["notes"])


def test_on_an_accelerator_the_noise_is_that_of_replicates(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    gpu = {"device": "cuda"}
    make(WEAK, resolved=gpu)
    folder = make(STRONG, resolved=gpu, replicate=2).parent
    assert main(["compare", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    floor = found["floors"]["ncbi-disease"]
    assert (floor["source"], floor["runs"]) == ("replicates", 2)
    assert floor["sd"] == pytest.approx((16 / 18 - 8 / 17) / np.sqrt(2))
    assert not any("identical" in note for note in found["notes"])


def test_on_an_accelerator_without_replicates_the_noise_is_that_of_seeds(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    gpu = {"device": "cuda"}
    for seed, better in enumerate((0, 1, 0)):
        for arch in ("A1", "A2"):
            folder = make(noisy(seed, better + (arch == "A2") * (-1) ** seed), arch=arch, seed=seed, resolved=gpu).parent
    assert main(["compare", str(folder), "--by", "arch", "--json", "--resamples", "100"]) == 0
    found = json.loads(capsys.readouterr().out)
    floor = found["floors"]["ncbi-disease"]
    assert (floor["source"], floor["groups"], floor["runs"]) == ("seeds", 2, 6)
    (pair,) = found["tasks"]
    assert abs(found["pairs"][0]["estimate"]["difference"]) < pair["ties"]["ncbi-disease"] < floor["sd"]
    assert pair["tally"] == {"wins": 0, "ties": 1, "losses": 0}


def test_one_seed_ties_within_the_margin(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    make([(1000, 100, 100)] * 4, arch="A1")
    folder = make([(1002, 98, 98)] * 4, arch="A2").parent
    assert main(["compare", str(folder), "--json", "--resamples", "100"]) == 0
    (pair,) = json.loads(capsys.readouterr().out)["tasks"]
    assert (pair["ties"], pair["tally"]["ties"]) == ({"ncbi-disease": 0.01}, 1)
    assert main(["compare", str(folder), "--resamples", "100"]) == 0
    assert "wants two seeds of an arm; means over seeds tie within .010." in " ".join(capsys.readouterr().out.split())


def test_sentences_are_told_with_their_design_effect(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    easy, hard = [(3, 0, 0)] * 5, [(1, 2, 2)] * 5  # five sentences of each document are alike
    make((easy + hard) * 10, arch="A1", unit="sentences")
    folder = make((hard + hard + easy + hard) * 5, arch="A2", unit="sentences").parent
    assert main(["compare", str(folder), "--json", "--resamples", "100"]) == 0
    found = json.loads(capsys.readouterr().out)
    estimate = found["pairs"][0]["estimate"]
    assert estimate["unit"] == "sentences"
    assert estimate["design_effect"] > 2
    effect = f"√{estimate['design_effect']:.2f}"
    (note,) = (note for note in found["notes"] if "sentences" in note)
    assert note.startswith("ncbi-disease: 100 sentences, not documents: intervals may be too narrow")
    assert effect in note


def test_a_run_of_several_tasks_and_one_of_one_share_what_they_share(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    make(WEAK, tasks=TASKS, sampling="uniform", temperature=2.0)
    folder = make(STRONG, tasks=TASKS[:1]).parent
    assert main(["compare", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["by"] == ["tasks"]
    assert [(p["task"], p["first"], p["second"]) for p in found["pairs"]] == [
        ("ncbi-disease", "ncbi-disease", "bc5cdr+ncbi-disease")
    ]


def test_another_metric(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    folder = (make(WEAK, arch="A1"), make(STRONG, arch="A2"))[0].parent
    assert main(["compare", str(folder), "--metric", "strict.recall", "--json"]) == 0
    pair = json.loads(capsys.readouterr().out)["pairs"][0]
    assert pair["metric"] == "strict.recall"
    assert pair["estimate"]["difference"] == pytest.approx(8 / 9 - 4 / 9)
    assert "Did you mean 'strict.recall'" in failed(["compare", str(folder), "--metric", "strict.recal"], capsys, 2)


@pytest.mark.parametrize(
    ("field", "other", "told"),
    [
        ("tokens", {"tokens": 203_000}, "tokens: 200,000 in 1 run, 203,000 in 1 run"),
        ("parameters", {"parameters": 620_000}, "parameters: 663,552 in 1 run, 620,000 in 1 run"),
        ("data", {"change": {"hashes": {"data": {"ncbi-disease": "d" * 64}}}}, "data: ncbi-disease bbbbbbbbbbbbbbbb in 1 run"),
        ("versions", {"versions": {"torch": "2.14.1"}}, "versions: torch 2.13.0 in 1 run, 2.14.1 in 1 run"),
        ("model", {"resolved": {"model": {"name": "x", "sha256": "e" * 64}}}, "model: minilm-l6 aaaaaaaa in 1 run, x eeeeeeee"),
        ("precision", {"resolved": {"precision": "bf16"}}, "precision: fp32 in 1 run, bf16 in 1 run"),
        ("device", {"resolved": {"device": "cuda"}}, "device: cpu in 1 run, cuda in 1 run"),
        ("head", {"resolved": {"head": {"ncbi-disease": "bio"}}}, "head: ncbi-disease span in 1 run, bio in 1 run"),
        ("rank", {"rank": 8}, "rank: 16 in 1 run, 8 in 1 run"),
        ("batch_tokens", {"batch_tokens": 1024}, "batch_tokens: 2048 in 1 run, 1024 in 1 run"),
        ("synthetic", {"change": {"synthetic": True}}, "synthetic: False in 1 run, True in 1 run"),
        ("waivers", {"change": {"waivers": ("smoke",)}}, "waivers: none in 1 run, smoke in 1 run"),
        (
            "left_out",
            {"change": {"left_out": {"ncbi-disease": {"orphan-tag": 2}}}},
            "left_out: ncbi-disease nothing in 1 run, orphan-tag 2 in 1 run",
        ),
        (
            "adjusted",
            {"change": {"adjusted": {"ncbi-disease": {"joined": 1}}}},
            "adjusted: ncbi-disease nothing in 1 run, joined 1 in 1 run",
        ),
        ("leaks", {"change": {"leaks": {"ncbi-disease": {"allowed": 2, "tolerated": 0}}}}, "leaks: ncbi-disease 2 in 1 run"),
        ("git", {"change": {"git": {"commit": "f" * 40}}}, "git: cccccccccccccccc in 1 run, ffffffffffffffff in 1 run"),
    ],
)
def test_what_differs_beyond_what_is_compared_is_refused_by_name(
    field: str, other: dict[str, Any], told: str, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", str(make(WEAK, arch="A1")), str(make(STRONG, arch="A2", **other)), "--by", "arch"]
    message = failed(words, capsys, 3)
    assert told in message
    assert f"--allow {field}" in message
    assert message.count("--allow") == 1
    assert main([*words, "--allow", field, "--json"]) == 0
    (difference,) = json.loads(capsys.readouterr().out)["differences"]
    assert (difference["field"], difference["allowed"]) == (field, True)


def test_tolerances_and_fields_that_follow_are_let_pass(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    one = make(WEAK, arch="A1")
    near = make(STRONG, arch="A2", tokens=201_900, parameters=640_000, versions={"wandb": "9", "mlflow": "9"}, eval_every=7)
    assert main(["compare", str(one), str(near), "--by", "arch", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"] == []
    other = make(STRONG, name="other", rank=8, parameters=331_776)
    assert main(["compare", str(one), str(other), "--by", "rank", "--json"]) == 0
    capsys.readouterr()
    with_waiver = [make(WEAK, name=f"w{a}", arch=a, change={"waivers": ("parity",)}) for a in ("A1", "A2")]
    assert "waivers: parity in 2 runs" in failed(["compare", *map(str, with_waiver)], capsys, 3)


def test_kinds_that_were_tolerated_count_by_what_was_left_out(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """Named and never met, a kind changes nothing; the same lines left out of both corpora are no difference either."""
    change = {"left_out": {"ncbi-disease": {"orphan-tag": 2}}}
    one, other = make(name="a", arch="A1"), make(STRONG, name="b", arch="A2", tolerate=("orphan-tag",))
    assert main(["compare", str(one), str(other)]) == 0
    one, other = make(name="c", change=change, arch="A1"), make(STRONG, name="d", change=change, arch="A2")
    assert main(["compare", str(one), str(other)]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("allowed", "code"), [(2, 3), (0, 0)])
def test_leaks_that_were_allowed_count_even_if_all_runs_have_them(
    allowed: int, code: int, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    change = {"leaks": {"ncbi-disease": {"allowed": allowed, "tolerated": 5}}}
    runs = [make(WEAK if arch == "A1" else STRONG, arch=arch, change=change) for arch in ("A1", "A2")]
    assert main(["compare", *map(str, runs), "--by", "arch"]) == code
    error = capsys.readouterr().err
    assert ("leaks: ncbi-disease 2 in 2 runs" in error) is (code == 3)
    assert "they differ" not in error  # none differs: all have it


def test_what_all_runs_have_is_not_called_a_difference(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [make(WEAK if arch == "A1" else STRONG, arch=arch, change={"waivers": ("smoke",)}) for arch in ("A1", "A2")]
    assert main(["compare", *map(str, runs), "--by", "arch"]) == 3
    error = " ".join(capsys.readouterr().err.split())
    assert "all of them have what a comparison forbids: waivers: smoke in 2 runs" in error
    assert "differ" not in error
    assert main(["compare", *map(str, runs), "--by", "arch", "--allow", "waivers"]) == 0
    assert "allowed: all runs have waivers: smoke in 2 runs." in " ".join(capsys.readouterr().out.split())
    runs.append(make(arch="A3"))
    assert main(["compare", *map(str, runs), "--by", "arch"]) == 3
    assert "they differ in more than arch: waivers: smoke in 2 runs, none in 1 run" in " ".join(capsys.readouterr().err.split())


def test_a_study_holds_its_runs_with_what_its_plan_says_itself(make: Make) -> None:
    planned = {"leaks": {"ncbi-disease": {"allowed": 2, "tolerated": 0}}, "waivers": ("parity",)}
    moved = planned | {"git": {"commit": "d" * 40, "dirty": False}}
    runs = {arch: Run.read(make(arch=arch, change=change)) for arch, change in (("A1", planned), ("A2", moved))}
    told: list[str] = []
    assert {one["field"] for one in compared_by(runs, ("arch",), told.append)} == {"leaks", "waivers", "git"}
    assert [line.split(":")[0] for line in told] == ["In this study the runs differ in git"]
    with pytest.raises(ContractError, match="arch"):
        compared_by(runs, (), told.append)


def test_arms_that_are_not_parameter_matched_count_even_if_all_runs_have_them(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    loose = {"matched": False}
    runs = [make(WEAK, arch="full", name=f"f{seed}", seed=seed, change=loose) for seed in range(2)]
    for words in (["compare", *map(str, runs)], ["compare", *map(str, runs), "--by", "rank"]):
        told = failed(words, capsys, 3)
        assert "parameters: 663,552 (not parameter-matched) in 2 runs" in told
        assert "--allow parameters" in told
        assert main([*words, "--allow", "parameters"]) == 0
        capsys.readouterr()
    # A study of one such arm holds it against itself; beside another arm it is refused as in a comparison.
    own = {path.name: Run.read(path) for path in runs}
    warned: list[str] = []
    assert [one["field"] for one in compared_by(own, ("arch",), warned.append)] == ["parameters"]
    assert "not parameter-matched" in warned[0]
    with pytest.raises(ContractError, match="parameters: "):
        compared_by(own | {"a1": Run.read(make(arch="A1"))}, ("arch",), warned.append)


def test_tokens_can_be_what_is_compared(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [make(WEAK, name=f"t{tokens}-{s}", tokens=tokens + s, seed=s) for tokens in (100_000, 200_000) for s in range(2)]
    assert main(["compare", *map(str, runs), "--by", "tokens", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {name: len(ids) for name, ids in found["arms"].items()} == {"100,000 tokens": 2, "200,000 tokens": 2}


def test_several_choices_at_once_are_told(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = make(WEAK, arch="A1"), make(STRONG, arch="A2", quant="rtn")
    assert main(["compare", str(one), str(other)]) == 0
    text = capsys.readouterr().out
    assert "Compared by arch and quant: A1, none (1 run), A2, rtn (1 run)" in text
    assert "no difference can be put down to one of them" in text
    assert "quant: none in 1 run, rtn in 1 run" in failed(["compare", str(one), str(other), "--by", "arch"], capsys, 3)


def test_bad_input_is_one_clear_message(make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = make(WEAK, arch="A1")
    other = make(STRONG, arch="A2")
    result = other / "result.json"
    whole = result.read_text()
    result.write_text(whole.replace('"schema_version": 2', '"schema_version": 99'))
    assert "schema version 99; this bench reads 1 and 2" in failed(["compare", str(good), str(other)], capsys, 6)
    result.write_text(whole[: len(whole) // 2])
    assert "truncated" in failed(["compare", str(good), str(other)], capsys, 6)
    assert "truncated" in failed(["compare", str(good.parent)], capsys, 6)
    result.write_text(whole)
    alien = make(WEAK, tasks=TASKS[1:])
    message = failed(["compare", str(good), str(alien)], capsys, 3)
    assert "different tasks" in message
    assert "ncbi-disease" in message
    assert "bc5cdr" in message
    empty = tmp_path / "empty"
    empty.mkdir()
    assert f"{empty} holds no run" in failed(["compare", str(empty)], capsys, 2)
    (empty / "begun").mkdir()
    (empty / "begun" / "journal.jsonl").touch()
    assert "1 run, none of them finished" in failed(["compare", str(empty)], capsys, 6)
    assert "did not finish" in failed(["compare", str(good), str(empty / "begun")], capsys, 6)
    assert "wants two runs or more; got 1" in failed(["compare", str(good), str(good)], capsys, 2)
    assert "There is no run 'nope'" in failed(["compare", str(good), "nope", "--out", str(good.parent)], capsys, 2)
    assert "Did you mean 'tokens'" in failed(["compare", str(good), str(other), "--allow", "token"], capsys, 2)
    assert "Unknown field of --by 'archi'" in failed(["compare", str(good), str(other), "--by", "archi"], capsys, 2)
    assert "split is 'train'" in failed(["compare", str(good), str(other), "--split", "train"], capsys, 2)
    assert "number of resamples is 5" in failed(["compare", str(good), str(other), "--resamples", "5"], capsys, 2)
    assert "has no statistics of ncbi-disease, dev" in failed(["compare", str(good), str(other), "--split", "dev"], capsys, 6)


def test_statistics_must_be_those_of_the_result_and_of_the_same_documents(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    good, other = make(WEAK, arch="A1"), make(STRONG, arch="A2")
    (path,) = (other / "statistics").iterdir()
    value = json.loads(path.read_text())
    changed = value | {"rows": [[cell + 1 for cell in row] for row in value["rows"]]}
    path.write_text(json.dumps(changed))
    refused = failed(["compare", str(good), str(other)], capsys, 3)
    assert "changed since it was written: " in refused
    assert "strict.tp, strict.fp, strict.fn and " in refused
    path.write_text(json.dumps(value | {"documents": ["d0", "d1", "d2", "other"]}))
    assert "4 and 4 documents, 3 of them of the same id" in failed(["compare", str(good), str(other)], capsys, 3)
    path.write_text(path.read_text()[:30])
    assert f"statistics/{path.name} (unreadable)" in failed(["compare", str(good), str(other)], capsys, 3)
    assert "truncated" in failed(["compare", str(good), str(other), "--allow", "changed"], capsys, 6)


def test_a_scorer_of_another_version_than_the_installed_one_is_refused(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    parts = {"parts": {"task ncbi-disease": "0.0.1"}}
    words = ["compare", str(make(WEAK, arch="A1", versions=parts)), str(make(STRONG, arch="A2", versions=parts))]
    assert "was scored by version 0.0.1 of ncbi-disease" in failed(words, capsys, 3)
    mixed = ["compare", words[1], str(make(STRONG, arch="A3"))]
    assert "scorer: ncbi-disease 0.0.1 in 1 run" in failed(mixed, capsys, 3)


def test_the_contract_reads_every_field_and_knows_its_names(make: Make) -> None:
    run = Run.read(make(WEAK))
    assert set(run.facts) == set(FIELDS)
    assert compared([run.facts, run.facts]) == ()
    assert differences([run.facts, run.facts], ()) == []
    assert facts(run.result)["sampling"] is None
    assert check_fields(["arch,quant", "arch"], "--by") == ("arch", "quant")
    with pytest.raises(UsageError, match="Did you mean 'versions'"):
        check_fields(["version"], "--allow")


def test_the_functions_are_there_for_programs(make: Make, registry: Registry) -> None:
    weak, strong = make(WEAK, arch="A1"), make(STRONG, arch="A2")
    runs, notes = read_runs([weak.name, str(strong), strong.name], weak.parent)
    assert ([run.folder.name for run in runs], notes) == ([weak.name, strong.name], [])
    found = compare(runs, registry, resamples=200)
    assert found.pairs[0].documents.low is not None
    assert 0 < found.pairs[0].documents.low < found.pairs[0].estimate.difference
    with pytest.raises(UsageError, match="two runs or more"):
        compare(runs[:1], registry)


def test_a_folder_of_several_tasks_is_compared_task_by_task(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = TASKS[:2]
    kept = [make(rows, arch=arch, tasks=(one,)) for arch, rows in (("A1", WEAK), ("A2", STRONG))]
    for arch in ("A1", "A2"):
        make(WEAK, arch=arch, tasks=(two,), tokens=1_000)
    folder = str(kept[0].parent)
    assert f"Runs of one task: --task {two} or --task {one}." in failed(["compare", folder], capsys, 3)
    assert main(["compare", folder, "--task", one, "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert {pair["task"] for pair in compared["pairs"]} == {one}
    assert "--task" not in failed(["compare", folder, "--by", "arch"], capsys, 3)
    assert "Unknown task of these runs 'x'" in failed(["compare", folder, "--task", "x"], capsys, 2)
