"""Whether an exported folder gives what the run's model gives, on texts that are made up here.

The folder is loaded in a process of its own in which bench cannot be imported. Compared are hidden states at real tokens, the
head's logits and the predictions; differences of the first two are relative to the largest number of the run's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.data import Document
from bench.api.head import Head
from bench.errors import BenchError
from bench.exporting import runtime
from bench.wording import some

if TYPE_CHECKING:
    from torch import Tensor

    from bench.steps.trained import TrainedModel

BOUNDS = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-1, "quantized": 1e-1}
"""Largest relative difference by the dtype that is written. Merging rounds each weight once: in fp32 some 1e-6 is left of it
after all layers, in bf16, of eight bits, some percent. Kernels for quantized weights compute in 16 bits."""
_TEXTS = (
    "The left atrium is mildly dilated. There is no pericardial effusion; mitral regurgitation was seen.",
    "Aspirin inhibits COX-1 and reduces the risk of stroke.",
    "Denies fever.",
    "Right and left ventricular hypertrophy, most likely due to hypertension, were noted on admission. The patient was given "
    "furosemide for two days, after which the swelling of both legs had gone, and went home in good condition.",
)
_CHILD = """
import json, sys
for name in ("bench", "bench_plugins", "bench_tasks"):
    sys.modules[name] = None
sys.path.insert(0, sys.argv[1])
import torch
from safetensors.torch import save_file
torch.set_num_threads(int(sys.argv[4]))
import modeling
texts = json.load(sys.stdin)
model = modeling.load(sys.argv[1], base=sys.argv[2] or None)
tensors = {}
with torch.no_grad():
    for number, (_, batch) in enumerate(model.batches(texts)):
        for name, value in model(batch).items():
            if value is not None:
                tensors[f"{name}.{number}"] = value.float().contiguous()
save_file(tensors, sys.argv[3])
print(json.dumps(model.predict(texts, everything=True)))
"""

Outputs = tuple[dict[str, "Tensor"], list[dict[str, Any]]]
"""Tensors by name and number of the batch; predictions of each text, those below the thresholds included."""


@dataclass(frozen=True)
class Parity:
    """How an exported folder differs from the run's model.

    Args:
        hidden: largest difference of a hidden state, relative to the largest hidden state.
        logits: of a logit, likewise; None where the head shows none.
        predictions: that the run's model makes on the texts.
        equal: how many of them the folder makes too.
        moved: largest difference of a probability or score among these.
        dtype: of the weights that were compared.
    """

    hidden: float
    logits: float | None
    predictions: int
    equal: int
    moved: float
    dtype: str

    def __str__(self) -> str:
        logits = "" if self.logits is None else f", logits {self.logits:.1e}"
        found = (
            f"{self.equal} of {some(self.predictions, 'prediction')} on made-up texts equal, probabilities within "
            f"{self.moved:.1e}"
        )
        return (
            f"largest relative difference from the run's model: hidden states {self.hidden:.1e}{logits}; "
            f"{found if self.predictions else 'no predictions on made-up texts'}"
        )


def made_up(head: Head) -> list[dict[str, Any]]:
    """A few texts, with mentions and passages for heads that are given these.

    Every mention has a concept, which heads that relate mentions do not read. Mentions share concepts, and some have two.
    """
    from bench.data.windows import words
    from bench.steps.trained import given

    wanted = given(head)
    if wanted == "passages":
        passages = [{"id": f"p{number}", "text": text} for number, text in enumerate(_TEXTS)]
        return [{"id": str(n), "query": text, "passages": passages} for n, text in enumerate(_TEXTS[:2])]
    texts: list[dict[str, Any]] = [{"id": str(number), "text": text} for number, text in enumerate(_TEXTS)]
    if wanted == "mentions":
        kinds = list(getattr(getattr(head, "pairs", None), "kinds", ())) or [""]
        for record in texts:
            places = words(record["text"])[::3]
            labels = [kinds[number % len(kinds)] for number in range(len(places))]
            record["mentions"] = [
                {"fragments": [list(place)], "label": label, "concept": f"{label}{at % 3}" + f"|{label}9" * (at % 4 == 3)}
                for at, (place, label) in enumerate(zip(places, labels, strict=True))
            ]
    return texts


def _own(trained: TrainedModel, task: str, facts: Mapping[str, Any]) -> runtime.ExportedModel:
    """What ``modeling.py`` makes of the folder, made of the run's own modules."""
    model, device = trained.model, trained.device

    def states(input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        with device.autocast():
            return model.hidden(task, {"input_ids": input_ids, "attention_mask": attention_mask})

    plain = {**facts, "prepare": None}
    return runtime.ExportedModel(plain, trained.tokenizer, states, trained.heads[task], model.head(task), device.name)


def _prepared(trained: TrainedModel, task: str, texts: Sequence[Mapping[str, Any]]) -> list[Document]:
    return [trained.parts.tasks[task].prepared(runtime.document(text)) for text in texts]


def of_run(trained: TrainedModel, task: str, facts: Mapping[str, Any], texts: Sequence[Mapping[str, Any]]) -> Outputs:
    """What the run's model gives, by the modules that it was evaluated with."""
    import torch

    from bench.training.devices import current

    own, documents = _own(trained, task, facts), _prepared(trained, task, texts)
    tensors: dict[str, Tensor] = {}
    with torch.no_grad(), current(own.device):
        for number, (_, batch) in enumerate(own.batches(documents)):
            tensors[f"seen.{number}"] = batch["attention_mask"].bool().cpu()
            tensors |= {f"{name}.{number}": value.float().cpu() for name, value in own(batch).items() if value is not None}
        return tensors, own.predict(documents, everything=True)


def batches_of(
    trained: TrainedModel, task: str, facts: Mapping[str, Any], texts: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Texts as batches of ``modeling.py``: all of them, then one at a time."""
    own, documents = _own(trained, task, facts), _prepared(trained, task, texts)
    return [batch for part in (documents, *([d] for d in documents)) for _, batch in own.batches(part)]


def of_folder(folder: Path, texts: Sequence[Mapping[str, Any]], base: Path | None) -> Outputs:
    """What an exported folder gives, in a process of its own.

    Args:
        folder: with ``modeling.py``.
        texts: from `made_up`.
        base: the base model of an adapter; None where the folder is whole.

    Raises:
        BenchError: it cannot be loaded there.
    """
    import torch
    from safetensors.torch import load_file

    with tempfile.TemporaryDirectory(prefix="bench-export-") as aside:
        place = Path(aside) / "outputs.safetensors"
        words = [str(folder), "" if base is None else str(base.absolute()), str(place), str(torch.get_num_threads())]
        done = subprocess.run(
            [sys.executable, "-I", "-B", "-c", _CHILD, *words], input=json.dumps(texts), text=True, capture_output=True,
            cwd=aside, check=False,
        )  # fmt: skip
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise BenchError(
                f"The exported folder cannot be loaded without bench ({last[:200]}); nothing was written.",
                "A head of a plugin has to be plain Python and torch; else please report this with 'bench doctor'.",
            )
        return load_file(place), json.loads(done.stdout.splitlines()[-1])


def compared(expected: Outputs, loaded: Outputs, dtype: str) -> Parity:
    """Holds the folder's outputs against the run's.

    Raises:
        BenchError: they differ by more than rounding.
    """
    (run_tensors, run_found), (tensors, found) = expected, loaded
    numbers = [name.partition(".")[2] for name in run_tensors if name.startswith("seen.")]
    states = [(run_tensors[f"hidden_states.{n}"][m], tensors[f"hidden_states.{n}"][m]) for n in numbers
              for m in [run_tensors[f"seen.{n}"]]]  # fmt: skip
    logits = [(run_tensors[f"logits.{n}"], tensors[f"logits.{n}"]) for n in numbers if f"logits.{n}" in run_tensors]
    by_key, own = _by_key(run_found), _by_key(found)
    both = by_key.keys() & own.keys()
    parity = Parity(
        hidden=difference(states),
        logits=difference(logits) if logits else None,
        predictions=len(by_key),
        equal=len(both),
        moved=max((abs(by_key[key] - own[key]) for key in both), default=0.0),
        dtype=dtype,
    )
    few = dtype == "float32" and parity.equal < 0.9 * parity.predictions
    if not (max(parity.hidden, parity.logits or 0.0) <= BOUNDS[dtype]) or few:
        raise BenchError(
            f"The exported folder does not give what the run's model gives ({parity}); nothing was written.",
            "With --dtype fp32 this is a bug; please report it with 'bench doctor'.",
        )
    return parity


def difference(pairs: Sequence[tuple[Tensor, Tensor]]) -> float:
    """The largest difference within pairs, relative to the largest number of the first ones; infinite where shapes differ."""
    filled = [(a, b) for a, b in pairs if a.numel()]
    if any(a.shape != b.shape for a, b in pairs):
        return float("inf")
    largest = max((float(a.abs().max()) for a, _ in filled), default=0.0)
    return max((float((a - b).abs().max()) for a, b in filled), default=0.0) / max(largest, 1e-12)


def _by_key(found: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Every prediction by what it says, to its probability or score."""
    chances: dict[str, float] = {}
    for record in found:
        for kind in ("mentions", "relations", "judgements"):
            for item in record.get(kind, ()):
                said = {name: value for name, value in item.items() if name not in ("confidence", "score", "chosen")}
                chance = item.get("confidence", item.get("score", 1.0))
                chances[json.dumps([record["id"], kind, said], sort_keys=True)] = float(chance)
    return chances
