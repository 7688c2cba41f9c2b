"""Deliberately bad parts: each fails exactly the check that is there for its fault, and is told what is wrong."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
pytest.importorskip("datasets")

# ruff: noqa: E402
from torch import Tensor, nn

from bench.api.architecture import Adapter, Architecture, ArchitectureModule, BaseArchitecture, ParameterBudget
from bench.api.data import Corpus, Document, Mention
from bench.api.head import Encoding, Head, HeadModule, Proposals, Window
from bench.api.model import Model, ModelSpec
from bench.api.part import Part, Requirement
from bench.api.quantizer import QuantizedWeights, Quantizer, When
from bench.api.study import Request, StudyKind, StudyRun
from bench.api.task import Scores, Task, TaskMetadata
from bench.api.tracker import RunEvent, RunInfo, Tracker
from bench.conformance import CHECKS, CheckResult, Workbench, cases, checks_of
from bench.errors import DataError, UsageError
from bench.heads.bio import TokenClassificationHead
from bench.heads.span import Found, SpanClassificationHead
from bench.hooks import hookimpl
from bench.registry import Registry, load
from bench.testing import conformance_suite

# ---- good parts, small enough to be made bad in one line ---------------------------------------------------------------


class Notes(Task):
    """A task of one file a split: text, a tab, and offsets of symptoms."""

    name, version, summary = "notes", "1", "symptoms in one-line notes"
    citation, licence = "made for this test", "Apache-2.0"
    heads = ("bio",)
    metadata = TaskMetadata(
        "https://example.org/notes", "open: synthetic only", "f1", "FOLDER/{train,dev,test}.tsv", unit="notes"
    )

    def synthesize(self, folder: Path, seed: int, sizes: Mapping[str, int] | None = None) -> None:
        folder.mkdir(parents=True)
        for split in ("train", "dev", "test"):
            lines = []
            for n in range((sizes or {}).get(split, 20)):
                draw = random.Random(f"{seed}{split}{n}")
                first = draw.choice(("patient", "lady", "gentleman"))
                symptom = draw.choice(("chest pain", "headache", "shortness of breath", "palpitations"))
                text = f"The {first} complains of {symptom} since {draw.randint(2, 9)} days."
                start = text.index(symptom)
                lines.append(f"{split}{n}\t{text}\t{start}\t{start + len(symptom)}\n")
            (folder / f"{split}.tsv").write_text("".join(lines))

    def load(self, folder: Path) -> Corpus:
        import hashlib

        digest, splits = hashlib.sha256(), {}
        for split in ("train", "dev", "test"):
            path = folder / f"{split}.tsv"
            digest.update(path.read_bytes())
            splits[split] = tuple(self.document(line, f"{path}:{n}") for n, line in enumerate(self.lines(path), 1))
            if not splits[split]:
                raise DataError(f"{path} is empty.")
        return Corpus(splits, True, digest.hexdigest())

    def lines(self, path: Path) -> list[str]:
        try:
            return path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            raise DataError(f"{path} is not UTF-8.") from None

    def document(self, line: str, where: str) -> Document:
        fields = line.split("\t")
        if len(fields) != 4 or not all(f.isdigit() for f in fields[2:]) or int(fields[3]) > len(fields[1]):
            raise DataError(self.complaint(line, where))
        return Document(fields[0], fields[1], (Mention(((int(fields[2]), int(fields[3])),), "Symptom"),))

    def complaint(self, line: str, where: str) -> str:
        return f"{where} has no four columns with offsets inside the text."

    def head(self, name: str) -> Head:
        return TokenClassificationHead()

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        said = {d.id: {m.key for m in d.mentions} for d in predicted}
        rows = []
        for d in gold:
            right, found = {m.key for m in d.mentions}, said.get(d.id, set())
            rows.append({"tp": len(right & found), "said": len(found), "right": len(right)})
        return rows

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        return {"f1": 2 * sums["tp"] / (sums["said"] + sums["right"])}

    def score_files(self, gold: Path, pred: Path) -> Scores:
        return self.score(*([self.unwritten(p) for p in (gold, pred)]))

    def unwritten(self, folder: Path) -> list[Document]:
        rows = json.loads((folder / "all.json").read_text())
        return [Document(i, "", tuple(Mention(tuple(map(tuple, f)), label) for f, label in keys)) for i, keys in rows]

    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        rows = [[d.id, [[m.fragments, m.label] for m in d.mentions]] for d in documents]
        (folder / "all.json").write_text(json.dumps(rows))


class Plain(Architecture):
    """One shared adapter and one private adapter a task, two passes, averaged by a learned weight."""

    name, version, summary = "plain", "1", "two passes and a weight"
    citation, licence = "made for this test", "Apache-2.0"

    def adapters(self, tasks: Sequence[str]) -> tuple[Adapter, ...]:
        return (Adapter("all", "shared"), *(Adapter(self.own(t), "private", t) for t in tasks))

    def own(self, task: str) -> str:
        return "own-" + task.replace(".", "-")

    def passes(self, task: str) -> tuple[tuple[str, ...], ...]:
        return (("all",), (self.own(task),))

    def fusion(self, hidden_size: int) -> nn.Module:
        return Weighted()


class Weighted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.5]))

    def forward(self, states: list[Tensor]) -> Tensor:
        return self.weight * states[0] + (1 - self.weight) * states[1]


class Small(ArchitectureModule, nn.Module):
    """A factor for each dimension of the hidden states."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.scale = nn.Parameter(torch.ones(backbone.config.hidden_size))  # type: ignore[union-attr, arg-type]

    def trained(self) -> Mapping[str, nn.Parameter]:
        return {"scale": self.scale}

    def forward(self, task: str, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return super().forward(task, input_ids, attention_mask) * self.scale


class Undeclared(Small):
    """Trains a bias of the base model as well, and does not say so."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__(backbone)
        next(p for n, p in backbone.named_parameters() if n.endswith("bias")).requires_grad_(True)


class Secretive(Small):
    def trainable(self, task: str) -> dict[str, nn.Parameter]:
        return {"scale": self.scale, "more": nn.Parameter(torch.ones(2))}


class Elsewhere(Small):
    """Calls a copy of the base model, at whose door nothing is counted."""

    def __init__(self, backbone: nn.Module) -> None:
        from copy import deepcopy

        super().__init__(deepcopy(backbone))


class Pickling(Small):
    def save(self, folder: Path) -> None:
        super().save(folder)
        torch.save(self.state(), folder / "extra.bin")


def attaching(module: Callable[[nn.Module], ArchitectureModule], named: str | None = None) -> BaseArchitecture:
    """An architecture that attaches such a module."""

    class Attaching(BaseArchitecture):
        name, version, summary = "attaching", "1", "a module of its own"
        citation, licence = "made for this test", "Apache-2.0"
        group = named

        def attach(self, backbone: nn.Module, tasks: Sequence[str], budget: ParameterBudget) -> ArchitectureModule:
            return module(backbone)

    return Attaching()


class Halved(Quantizer):
    """Sixteen bits."""

    name, version, summary, licence = "halved", "1", "every weight in fp16", "Apache-2.0"
    when: tuple[When, ...] = ("load",)  # type: ignore[misc]
    bits = 16

    def supports(self, spec: ModelSpec, when: When, device: str) -> str | None:
        return None

    def quantize(self, source: Path, out: Path, calibration: Sequence[Sequence[int]], device: str) -> QuantizedWeights:
        from safetensors.torch import save_file

        from bench.modeling.backbone import read_state
        from bench.modeling.files import copy_companions, weight_bytes, written_whole

        with written_whole(out) as folder:
            copy_companions(source, folder)
            self.extra(folder, calibration)
            save_file({n: self.rounded(t) for n, t in read_state(source).items()}, folder / "model.safetensors")
        return QuantizedWeights(16.0, weight_bytes(out))

    def rounded(self, tensor: Tensor) -> Tensor:
        return tensor.half().contiguous()

    def extra(self, folder: Path, calibration: Sequence[Sequence[int]]) -> None:
        pass

    def load(self, folder: Path, dtype: torch.dtype, device: str) -> nn.Module:
        from bench.modeling.backbone import load_backbone

        return load_backbone(folder, dtype, device)


class Lines(Tracker):
    """A file of JSON lines."""

    name, version, summary = "lines", "1", "a file of JSON lines"
    citation, licence = "made for this test", "Apache-2.0"

    def open(self, run: RunInfo) -> int:
        self.path = run.root / f"{run.id}.jsonl"
        return self.held()

    def held(self) -> int:
        return max((json.loads(row)["seq"] + 1 for row in self.rows()), default=0)

    def rows(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []

    def write(self, events: Sequence[RunEvent]) -> None:
        first = self.held()
        with self.path.open("a") as file:
            for event in events:
                if event.seq >= first:
                    file.write(json.dumps({"seq": event.seq, **self.content(event)}) + "\n")

    def content(self, event: RunEvent) -> Mapping[str, Any]:
        return event.metrics()

    def close(self, finished: bool) -> None:
        pass


# ---- and what is done to them ---------------------------------------------------------------------------------------------


class NoSuchMetric(Notes):
    metadata = TaskMetadata("https://example.org", "open: synthetic only", "strict.f1", "FOLDER")


class NoUnit(Notes):
    metadata = TaskMetadata("https://example.org/notes", "open: synthetic only", "f1", "FOLDER/{train,dev,test}.tsv")


class Unseeded(Notes):
    def synthesize(self, folder: Path, seed: int, sizes: Mapping[str, int] | None = None) -> None:
        super().synthesize(folder, random.randrange(10**6), sizes)


class WithHead(Notes):
    made: type[Head]

    def head(self, name: str) -> Head:
        return self.made()


class Uncounted(TokenClassificationHead):
    def encode(self, window: Window, gold: Document) -> Encoding:
        fewer = window.end % 2 == 1
        return super().encode(window, replace(gold, mentions=gold.mentions[:-1]) if fewer else gold)


class Understating(SpanClassificationHead):
    def proposals(self, window: Window, prediction: Found) -> Proposals:
        return Proposals(frozenset(), frozenset(), frozenset())


class DeadHead(TokenClassificationHead):
    def module(self, hidden_size: int) -> HeadModule:
        module = super().module(hidden_size)
        module.unused = nn.Linear(2, 2)
        return module


class MaskEater(TokenClassificationHead):
    def collate(self, rows: Sequence[Mapping[str, Sequence[int]]], words: int) -> dict[str, Tensor]:
        made = super().collate(rows, words)
        return made | {"word_mask": made["tags"] >= 0}


class Averaging(TokenClassificationHead):
    def module(self, hidden_size: int) -> HeadModule:
        module = super().module(hidden_size)
        whole = module.loss
        module.loss = lambda hidden, batch: whole(hidden, batch) / len(hidden)  # type: ignore[method-assign]
        return module


class Forgetful(TokenClassificationHead):
    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self.rates = tuple(sorted(self.rates))


class Unnamed(TokenClassificationHead):
    citation = ""


class Wavering(TokenClassificationHead):
    def fit(self, documents: Sequence[Document]) -> None:
        super().fit(documents)
        self.rates = (random.random(), *self.rates[1:])


class Remembers(TokenClassificationHead):
    def fit(self, documents: Sequence[Document]) -> None:
        super().fit(documents)
        self.seen = sorted({word for d in documents for word in d.text.split()})

    def state(self) -> dict[str, Any]:
        return super().state() | {"vocabulary": self.seen}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self.seen = state["vocabulary"]


class Quoting(Notes):
    def complaint(self, line: str, where: str) -> str:
        return f"{where} cannot be read: {line}"


class WritesText(Notes):
    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        super().write(folder, documents)
        (folder / "texts.txt").write_text("\n".join(d.text for d in documents))


class LosesPredictions(Notes):
    def unwritten(self, folder: Path) -> list[Document]:
        return [replace(d, mentions=d.mentions[-1:]) for d in super().unwritten(folder)]


class Uncited(Plain):
    citation = ""


class Idle(Plain):
    def adapters(self, tasks: Sequence[str]) -> tuple[Adapter, ...]:
        return (*super().adapters(tasks), Adapter("idle", "shared"))


class Shuffled(Plain):
    def adapters(self, tasks: Sequence[str]) -> tuple[Adapter, ...]:
        found = list(super().adapters(tasks))
        random.shuffle(found)
        return tuple(found)


class Deaf(Plain):
    def fusion(self, hidden_size: int) -> nn.Module:
        class Detached(Weighted):
            def forward(self, states: list[Tensor]) -> Tensor:
                return super().forward([states[0], states[1].detach()])

        return Detached()


class Wider(Plain):
    """Gives every token twice, side by side."""

    def fusion(self, hidden_size: int) -> nn.Module:
        class Twice(Weighted):
            def forward(self, states: list[Tensor]) -> Tensor:
                joined = super().forward(states)
                return torch.cat([joined, joined], -1)

        return Twice()


class Fat(Plain):
    def fusion(self, hidden_size: int) -> nn.Module:
        class Wide(Weighted):
            def __init__(self) -> None:
                super().__init__()
                self.more = nn.Linear(hidden_size, 64 * hidden_size)

            def forward(self, states: list[Tensor]) -> Tensor:
                return super().forward(states) + self.more(states[1] - states[0]).unflatten(-1, (64, -1)).mean(-2)

        return Wide()


class Hidden(Plain):
    """What its output depends on is no parameter, so it is not saved."""

    def fusion(self, hidden_size: int) -> nn.Module:
        class Counting(Weighted):
            def __init__(self) -> None:
                super().__init__()
                self.steps = 0.0

            def forward(self, states: list[Tensor]) -> Tensor:
                self.steps += 0.1 * self.training
                return super().forward(states) + self.steps

        return Counting()


class NoBits(Halved):
    bits = 0


class ReusedAlways(Halved):
    reused: Any = "always"


class CalibratedAfterAll(Halved):
    """Says that the model alone decides, and stores how much calibration it was given."""

    reused = "model"

    def extra(self, folder: Path, calibration: Sequence[Sequence[int]]) -> None:
        (folder / "calibration.json").write_text(json.dumps(len(calibration)))


class ImportsTorch(Halved):
    def supports(self, spec: ModelSpec, when: When, device: str) -> str | None:
        import torch

        return None if torch.__version__ else "no torch"


class Dithered(Halved):
    def rounded(self, tensor: Tensor) -> Tensor:
        return (tensor + 1e-3 * torch.rand_like(tensor)).half().contiguous()


class Severed(Halved):
    """As a fused kernel in inference mode: everything computes, nothing learns in the first layer."""

    def load(self, folder: Path, dtype: torch.dtype, device: str) -> nn.Module:
        backbone = super().load(folder, dtype, device)
        layer: Any = backbone.get_submodule("encoder.layer.0")
        layer.register_forward_hook(lambda m, args, out: out.detach() if isinstance(out, Tensor) else (out[0].detach(),))
        return backbone


class WrongBytes(Halved):
    def quantize(self, source: Path, out: Path, calibration: Sequence[Sequence[int]], device: str) -> QuantizedWeights:
        made = super().quantize(source, out, calibration, device)
        return QuantizedWeights(made.bits_per_weight, made.bytes // 2)


class SixBits(Halved):
    """Stores every weight whole and tells of six bits."""

    bits = 6

    def quantize(self, source: Path, out: Path, calibration: Sequence[Sequence[int]], device: str) -> QuantizedWeights:
        return QuantizedWeights(6.0, super().quantize(source, out, calibration, device).bytes)

    def rounded(self, tensor: Tensor) -> Tensor:
        return tensor.contiguous()


class SixBitsOfItsOwn(SixBits):
    """The same, under names of its own."""

    def quantize(self, source: Path, out: Path, calibration: Sequence[Sequence[int]], device: str) -> QuantizedWeights:
        from safetensors.torch import load_file, save_file

        made = super().quantize(source, out, calibration, device)
        weights = load_file(out / "model.safetensors")
        (out / "model.safetensors").unlink()
        save_file({f"own.{n}": t for n, t in weights.items()}, out / "own.safetensors")
        return replace(made, bytes=(out / "own.safetensors").stat().st_size)

    def load(self, folder: Path, dtype: torch.dtype, device: str) -> nn.Module:
        from safetensors.torch import load_file, save_file

        with TemporaryDirectory() as place:
            whole = Path(place) / "whole"
            shutil.copytree(folder, whole)
            weights = load_file(whole / "own.safetensors")
            (whole / "own.safetensors").unlink()
            save_file({n.removeprefix("own."): t for n, t in weights.items()}, whole / "model.safetensors")
            return super().load(whole, dtype, device)


class KeepsCalibration(Halved):
    def extra(self, folder: Path, calibration: Sequence[Sequence[int]]) -> None:
        (folder / "calibration.json").write_text(json.dumps([list(row) for row in calibration]))


class Doubling(Lines):
    def write(self, events: Sequence[RunEvent]) -> None:
        with self.path.open("a") as file:
            for event in events:
                file.write(json.dumps({"seq": event.seq, **self.content(event)}) + "\n")


class Restless(Lines):
    """Marks every opening as if it were news."""

    def open(self, run: RunInfo) -> int:
        held = super().open(run)
        if held > 4:
            with self.path.open("a") as file:
                file.write(json.dumps({"seq": held}) + "\n")
        return held


class OneFile(Lines):
    """Takes every run of a folder for the same."""

    def open(self, run: RunInfo) -> int:
        self.path = run.root / "log.jsonl"
        return self.held()


class LastRun(Lines):
    """Keeps the last run alone."""

    def open(self, run: RunInfo) -> int:
        self.path = run.root / f"{run.id}.jsonl"
        for other in run.root.glob("*.jsonl"):
            if other != self.path:
                other.unlink()
        return self.held()


class Telling(Lines):
    def content(self, event: RunEvent) -> Mapping[str, Any]:
        return event.values


class Unsourced(Lines):
    licence = ""


def renamed(model: Model) -> type[Model]:
    """The tiny encoder under another name, to be made bad."""

    class Copied(Model):
        name, version, summary, licence, plumbing_only = "copied", "1", "a copy", "Apache-2.0", False
        citation = "made for this test"

        def spec(self) -> ModelSpec:
            return replace(model.spec(), name="copied")

        def folder(self, cache: Path) -> Path:
            return model.folder(cache)

    return Copied


class Twice(StudyKind):
    """The same run for every seed, for each of two tasks."""

    name, version, summary = "twice", "1", "each task alone"
    citation, licence = "made for this test", "Apache-2.0"
    roles: ClassVar[Mapping[str, str]] = {"alone": "alone"}

    def plan(self, request: Request) -> list[StudyRun]:
        return [
            request.run(f"{task}-s{seed}", "alone", (task,), seed=seed)
            for seed in request.seed_list
            for task in request.base.task
        ]


class Picky(Twice):
    roles: ClassVar[Mapping[str, str]] = {"alone": "alone", "together": "together"}


class Drawing(Twice):
    def plan(self, request: Request) -> list[StudyRun]:
        return random.sample(super().plan(request), 4)


class Grouping(Twice):
    def plan(self, request: Request) -> list[StudyRun]:
        return [replace(run, group=("a", "b")) for run in super().plan(request)]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def installed() -> Registry:
    known = load()
    if not known.entries("models"):
        pytest.skip("bench is not installed here, so there is no tiny model")
    return known


@pytest.fixture(scope="module")
def bench(installed: Registry, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """One workbench, so that the tiny models are made once."""
    return Workbench(installed, tmp_path_factory.mktemp("bench"))


def held(part: Part, kind: str, bench: Workbench) -> list[CheckResult]:
    """All checks of one part that is registered on its own."""
    registry = Registry()
    hook = hookimpl(lambda: [part])
    hook.__name__ = f"bench_{kind}"
    registry.add(SimpleNamespace(**{f"bench_{kind}": hook}), "bad:plugin", "bad")
    assert registry.broken == []
    return [case.run(bench) for case in cases("bad", registry)]


def head(made: type[Head]) -> Task:
    class Made(WithHead):
        pass

    Made.made = made
    return Made()


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("tasks", Notes),
        ("heads", TokenClassificationHead),
        ("architectures", Plain),
        ("architectures", lambda: attaching(Small)),
        ("quantizers", Halved),
        ("studies", Twice),
        ("trackers", Lines),
    ],
)
def test_the_good_ones_pass(kind: str, make: Callable[[], Part], bench: Workbench) -> None:
    part = make()
    results = held(part, kind, bench)
    assert [r.name for r in results] == list(checks_of(kind))  # type: ignore[arg-type]
    assert [(r.name, r.detail) for r in results if not r.passed] == []
    assert all(r.detail and r.part == f"{kind}/{part.name}" for r in results)


BAD: list[tuple[str, Callable[[], Part], str, str]] = [
    ("tasks", NoSuchMetric, "metadata", "no path into the scores"),
    ("tasks", NoUnit, "metadata", "neither the metadata nor load says what a document is"),
    ("tasks", Unseeded, "determinism", "other bytes for the same seed"),
    ("tasks", lambda: head(Uncounted), "oracle-round-trip", "counts 0"),
    ("tasks", lambda: head(Understating), "oracle-round-trip", "proposals() do not hold"),
    ("tasks", lambda: head(DeadHead), "gradients", "unused.weight"),
    ("tasks", lambda: head(MaskEater), "token-counts", "word_mask"),
    ("tasks", lambda: head(Averaging), "token-counts", "wanted the sum"),
    ("tasks", lambda: head(Forgetful), "save-and-load", "another state after restore"),
    ("tasks", LosesPredictions, "save-and-load", "disagree in f1"),
    ("tasks", lambda: head(Remembers), "privacy", "state of head"),
    ("tasks", Quoting, "privacy", "quotes text of the corpus: 'zqx"),
    ("tasks", WritesText, "privacy", "texts.txt"),
    ("heads", Unnamed, "metadata", "citation is empty"),
    ("heads", Wavering, "determinism", "two states from the same documents"),
    ("heads", Uncounted, "oracle-round-trip", "counts"),
    ("heads", DeadHead, "gradients", "unused.weight"),
    ("heads", MaskEater, "token-counts", "word_mask"),
    ("heads", Averaging, "token-counts", "wanted the sum"),
    ("heads", Forgetful, "save-and-load", "another state after restore"),
    ("heads", Remembers, "privacy", "state of head"),
    ("architectures", Uncited, "metadata", "citation is empty"),
    ("architectures", Shuffled, "determinism", "differ from call to call"),
    ("architectures", Deaf, "gradients", "no gradient"),
    ("architectures", Wider, "token-counts", "have shape"),
    ("architectures", Fat, "parity", "rank 1 in every layer already takes"),
    ("architectures", Hidden, "save-and-load", "is no parameter"),
    ("architectures", lambda: attaching(Small, "budget"), "parity", "more than 95% is asked"),
    ("architectures", lambda: attaching(Pickling), "save-and-load", "extra.bin"),
    ("quantizers", NoBits, "metadata", "bits is 0"),
    ("quantizers", ReusedAlways, "metadata", "reused is 'always'"),
    ("quantizers", CalibratedAfterAll, "determinism", "on another calibration"),
    ("quantizers", ImportsTorch, "metadata", "imports torch"),
    ("quantizers", Dithered, "determinism", "model.safetensors"),
    ("quantizers", Severed, "gradients", "no gradient after two updates"),
    ("quantizers", WrongBytes, "save-and-load", "the weight files have"),
    ("quantizers", SixBits, "save-and-load", "the files hold 32.00"),
    ("quantizers", SixBitsOfItsOwn, "save-and-load", "the files hold 32."),
    (
        "quantizers",
        KeepsCalibration,
        "privacy",
        "calibration.json holds token ids as numbers of the calibration examples, at byte",
    ),
    ("studies", Picky, "metadata", "roles declares together"),
    ("studies", Drawing, "determinism", "other runs for the same request"),
    ("studies", Grouping, "save-and-load", "group is of the type list; wanted text"),
    ("trackers", Unsourced, "metadata", "licence is empty"),
    ("trackers", Doubling, "determinism", "2 times"),
    ("trackers", Restless, "save-and-load", "nothing written between"),
    ("trackers", OneFile, "save-and-load", "open gives 9 for a second run"),
    ("trackers", LastRun, "save-and-load", "for the first, which held 9"),
    ("trackers", Telling, "privacy", "lines|conformance-"),
]


@pytest.mark.parametrize(("kind", "make", "check", "words"), BAD, ids=[f"{b[0]}-{b[2]}-{i}" for i, b in enumerate(BAD)])
def test_a_bad_part_fails_its_check_by_name(
    kind: str, make: Callable[[], Part], check: str, words: str, bench: Workbench
) -> None:
    failed = {r.name: r.detail for r in held(make(), kind, bench) if not r.passed}
    assert list(failed) == [check], failed
    assert any(word in failed[check] for word in words.split("|")), failed[check]
    assert "\n" not in failed[check]
    if check == "privacy" and kind in ("tasks", "heads"):  # which word it is, and where it stands
        sort = r"'zqx\w+', a word (inside a mention|outside of mentions|inside and outside of mentions), of (train|dev|test)"
        assert re.search(sort + r"[\w ]*, (in line \d|at character \d)", failed[check]), failed[check]
    assert len(failed[check]) < 500


@pytest.mark.parametrize(
    ("module", "check", "words"),
    [
        (Undeclared, "gradients", "the base model is not frozen: backbone.embeddings.LayerNorm.bias"),
        (Undeclared, "parity", "trains 64 parameters of the base model"),
        (Secretive, "parity", "trains 'more', which trained() does not name"),
        (Elsewhere, "parity", "does not keep the base model that it was given"),
    ],
)
def test_a_module_that_hides_what_it_does_is_found_out(
    module: Callable[[nn.Module], ArchitectureModule], check: str, words: str, bench: Workbench
) -> None:
    failed = {r.name: r.detail for r in held(attaching(module), "architectures", bench) if not r.passed}
    assert words in failed[check]


def test_every_check_of_these_kinds_has_a_part_that_fails_it() -> None:
    for kind in ("tasks", "heads", "architectures", "quantizers", "studies", "trackers"):
        assert {b[2] for b in BAD if b[0] == kind} == set(checks_of(kind))  # type: ignore[arg-type]
    assert {b[2] for b in BAD} == set(CHECKS)


def test_a_head_that_no_task_asks_for_is_told_so(bench: Workbench) -> None:
    class Classes(TokenClassificationHead):
        predicts = ("mentions", "classes")

    class Colours(TokenClassificationHead):
        predicts = ("colours",)  # type: ignore[assignment]

    for made, words in ((Classes, "no installed task wants mentions, classes"), (Colours, "predicts names colours")):
        (told,) = [r.detail for r in held(made(), "heads", bench) if r.name == "metadata"]
        assert words in told


def test_a_bad_model_fails_by_name(bench: Workbench) -> None:
    tiny = bench.tiny_models()[0]
    good = renamed(tiny)
    assert [r.name for r in held(good(), "models", bench) if not r.passed] == []

    class Nameless(good):  # type: ignore[misc,valid-type]
        def spec(self) -> ModelSpec:
            return tiny.spec()

    class Causal(good):  # type: ignore[misc,valid-type]
        def spec(self) -> ModelSpec:
            return replace(super().spec(), causal=True)

    class Changing(good):  # type: ignore[misc,valid-type]
        def folder(self, cache: Path) -> Path:
            folder = super().folder(cache)
            (folder / "config.json").write_text((folder / "config.json").read_text() + " " * random.randrange(2, 10**4))
            return folder

    class Pickled(good):  # type: ignore[misc,valid-type]
        def folder(self, cache: Path) -> Path:
            folder = super().folder(cache)
            (folder / "pytorch_model.bin").write_bytes(b"")
            return folder

    for bad, names in (
        (Nameless, {"metadata"}),
        (Causal, {"token-counts", "parity"}),
        (Changing, {"determinism"}),
        (Pickled, {"save-and-load"}),
    ):
        random.seed(os.getpid())
        assert {r.name for r in held(bad(), "models", bench) if not r.passed} == names, bad.__name__


def test_what_is_not_installed_is_never_passed(bench: Workbench) -> None:
    class Needy(Lines):
        requires = (Requirement("no_such_module_here", "needy[all]"),)

    results = held(Needy(), "trackers", bench)
    assert [r.passed for r in results] == [False] * len(checks_of("trackers"))
    assert all(r.missing == "pip install 'needy[all]'" and "no_such_module_here" in r.detail for r in results)


def test_a_reference_is_a_part_a_plugin_or_a_distribution(installed: Registry) -> None:
    def parts(ref: str) -> set[str]:
        return {case.part for case in cases(ref, installed)}

    assert parts("A2") == parts("architectures/A2") == parts("architecture/A2") == {"architectures/A2"}
    levels = ("hierarchical", "hierarchical-detached", "hierarchical-flat")
    variants = ("A4-gated", "A1-dora", "A1-rslora", "A1-pissa", "prefix", "prompt")
    names = ("A1", "A2", "A3", "A4", *variants, *levels, "full", "bitfit")
    assert parts("bench-suite:architectures") == {f"architectures/{name}" for name in names}
    assert {"tasks/2015-T14", "quantizers/rtn", "models/tiny-bert"} <= parts("bench-suite")
    with pytest.raises(UsageError, match="bench-suite"):
        cases("bench-suit", installed)
    broken = Registry()
    broken.add(SimpleNamespace(), "empty:plugin", "empty")
    with pytest.raises(UsageError, match="no hook function"):
        cases("empty", broken)


def test_the_pytest_helper_has_one_test_a_check(installed: Registry) -> None:
    suite: Any = conformance_suite("A1", registry=installed)
    (mark,) = [m for m in suite.pytestmark if m.name == "parametrize"]
    assert [p.id for p in mark.args[1]] == [f"architectures/A1-{name}" for name in checks_of("architectures")]
    suite(mark.args[1][0].values[0])
    registry = Registry()
    registry.add(SimpleNamespace(bench_architectures=hookimpl(_bad_architectures)), "bad:plugin", "bad")
    (mark,) = conformance_suite("bad", registry=registry).pytestmark  # type: ignore[attr-defined]
    with pytest.raises(AssertionError, match="architectures/plain fails metadata: idle is never active"):
        conformance_suite("bad", registry=registry)(mark.args[1][0].values[0])


def _bad_architectures() -> list[Architecture]:
    return [Idle()]


_bad_architectures.__name__ = "bench_architectures"
