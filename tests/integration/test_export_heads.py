"""Every head in every form of `bench export`: written, or refused with a reason, as the table of docs/exporting.md says.

Each folder is held against the run's model in a process without bench before it appears; see `bench.exporting.parity`. One such
process does here for all of them, and the base model, which is the same for all of them, is written as a graph once.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

import bench
from bench.errors import BenchError
from bench.exporting import onnx, parity
from bench.registry import load

DOCS = Path(__file__).parents[2] / "docs" / "exporting.md"
TASKS = {
    "span": "2014-T7", "span with slots": "2015-T14", "bio": "ncbi-disease", "bioes": "ncbi-disease", "relation": "chemprot",
    "joint": "causes", "temporal": "2016-T12", "pairs": "bc5cdr-cid", "classify": "pubmedqa", "multilabel": "hoc",
    "ranking": "2017-T3-A", "regress": "biosses",
}  # fmt: skip
"""Head to a task that has it; ``causes`` is made here."""
SIZES = {"train": 12, "dev": 4, "test": 4}
FORMS = {"--merge": "merge", "--peft": "peft", "--onnx": "onnx"}


LOOP = """
import io, json, sys
for line in sys.stdin:
    job = json.loads(line)
    sys.argv, sys.stdin, sys.stdout = ["-c", *job["words"]], io.StringIO(job["texts"]), io.StringIO()
    sys.path[:] = [place for place in sys.path if "modeling" not in sys.modules or place != sys.modules["modeling"].home]
    sys.modules.pop("modeling", None)
    exec(job["code"], {"__name__": "__main__"})
    sys.modules["modeling"].home = job["words"][0]
    print(json.dumps(sys.stdout.getvalue()), file=sys.__stdout__, flush=True)
"""


def table() -> dict[str, dict[str, str]]:
    """The table of the page: head to flag to what it says."""
    lines = DOCS.read_text(encoding="utf-8").splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("| head |"))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:]]
    flags = [re.findall(r"--\w+", cell)[0] for cell in rows[0][2:]]
    found = {}
    for row in rows[2:]:
        if len(row) < len(rows[0]):
            break
        found[row[0].replace("`", "")] = dict(zip(flags, row[2:], strict=True))
    return found


def described(home: Path) -> str:
    """A task of mentions and the relations between them, as files; gives the path of its description."""
    (home / "causes").mkdir(parents=True)
    for split, count in SIZES.items():
        records = []
        for n in range(count):
            text = f"In {split} case {n} aspirin {'caused' if n % 2 else 'eased'} fever."
            places = {word: text.index(word) for word in ("aspirin", "fever")}
            mentions = [{"fragments": [[at, at + len(word)]], "label": word.title()} for word, at in places.items()]
            relations = [{"source": 0, "target": 1, "label": "causes"}] if n % 2 else []
            records.append({"id": f"{split}{n}", "text": text, "mentions": mentions, "relations": relations})
        (home / "causes" / f"{split}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    path = home / "causes.toml"
    path.write_text('kind = "relations"\nformat = "jsonl"\nfolder = "causes"\nhead = "joint"\n')
    return str(path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, bench.RunResult]]:
    """Head to a run that has it: one run of a task for each head, and one for the head that is no task's first."""
    from bench.invariants import smoke

    folder = tmp_path_factory.mktemp("heads")
    data: dict[str, Any] = {}
    for name in dict.fromkeys(TASKS.values()):
        if name != "causes":
            load().get("tasks", name).synthesize(folder / name, 5, SIZES)
            data[name] = folder / name
    settings = {
        "model": "tiny-bert", "arch": "A1", "rank": 24, "max_length": 64, "micro_batch": 512, "waive": "smoke",
        "tracker": "none", "precision": "fp32", "out": folder / "runs",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smoke, "UPDATES", 3)
        patch.setattr(smoke, "EXAMPLES", 4)
        several = bench.run(task=[*data, described(folder)], data=data, steps=24, **settings)
        alone = bench.run(
            task="ncbi-disease", data={"ncbi-disease": folder / "ncbi-disease"}, head="bioes", steps=24, **settings
        )
        yield dict.fromkeys(TASKS, several) | {"bioes": alone}


@pytest.fixture(scope="module")
def lone() -> Iterator[Callable[..., Any]]:
    """`bench.exporting.parity.of_folder` with one process for all folders: its code, run again and again."""
    child = subprocess.Popen([sys.executable, "-I", "-B", "-c", LOOP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    pipes = child.stdin, child.stdout

    def of_folder(folder: Path, texts: Any, base: Path | None) -> Any:
        from safetensors.torch import load_file

        with tempfile.TemporaryDirectory() as aside:
            outputs = Path(aside, "outputs.safetensors")
            words = [str(folder), "" if base is None else str(base.absolute()), str(outputs), "1"]
            print(json.dumps({"words": words, "texts": json.dumps(texts), "code": parity._CHILD}), file=pipes[0], flush=True)
            said = pipes[1].readline()
            if not said:
                raise BenchError("The exported folder cannot be loaded without bench.")
            return load_file(outputs), json.loads(json.loads(said).splitlines()[-1])

    yield of_folder
    pipes[0].close()
    assert child.wait(60) == 0


@pytest.fixture(scope="module")
def written_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """`bench.exporting.onnx._write` that copies the graph of a base model whose weights it has written before."""
    import torch

    write, kept = onnx._write, tmp_path_factory.mktemp("graphs")

    def once(module: Any, example: Any, names: Any, output: str, path: Path) -> None:
        if not isinstance(module, onnx.States):
            write(module, example, names, output, path)
            return
        weights = b"".join(value.contiguous().view(torch.uint8).numpy().tobytes() for value in module.state_dict().values())
        graph = kept / hashlib.sha256(weights).hexdigest()
        if not graph.exists():
            write(module, example, names, output, path)
            shutil.copyfile(path, graph)
        shutil.copyfile(graph, path)

    return once


def test_the_table_has_every_head() -> None:
    assert set(table()) == set(TASKS)
    assert {entry.name for entry in load().entries("heads")} <= set(TASKS)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("head", TASKS)
def test_a_head_is_written_as_the_table_says(
    head: str,
    form: str,
    runs: dict[str, bench.RunResult],
    lone: Callable[..., Any],
    written_once: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if form == "--onnx":
        for module in ("onnx", "onnxruntime", "onnxscript"):
            pytest.importorskip(module)
    monkeypatch.setattr(parity, "of_folder", lone)
    monkeypatch.setattr(onnx, "_write", written_once)
    assert table()[head][form] == "yes"  # none is refused: a "no" wants a test of its refusal here
    (done,) = runs[head].export(tmp_path / "out", FORMS[form], task=TASKS[head])
    assert done.parity is not None
    assert done.parity.hidden < 1e-5
    assert done.parity.equal == done.parity.predictions > 0
    assert done.parity.logits is not None
    assert done.parity.logits < 1e-5
    graphs = {path.name for path in (tmp_path / "out").glob("*.onnx")}
    assert graphs == ({"model.onnx", "head.onnx"} if form == "--onnx" else set())
