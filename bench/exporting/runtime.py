"""What an exported folder does: it reads texts and says what the run's model finds in them, without bench.

`bench.exporting.standalone` makes the folder's ``modeling.py`` of this module and of what it needs of bench: the same windows,
batches, head, thresholds and white space as in the evaluation of the run.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.api.data import Annotation, Document, Mention, Passage
from bench.api.head import Head, HeadModule, Window
from bench.data.cache import as_row, collate
from bench.data.cuts import cut, joined
from bench.evaluation.predict import by_length
from bench.evaluation.thresholds import Thresholds
from bench.heads.lazy import Module, torch
from bench.modeling.backbone import freeze
from bench.results.store import as_record
from bench.steps.trained import given

FACTS = "head.json"
HEAD = "head.safetensors"
ONNX = "model.onnx"
BASE = "base"


class ExportedModel(Module):
    """The base model with the run's training in it, and the head of one task.

    Args:
        facts: what ``head.json`` holds.
        tokenizer: of the folder.
        states: gives hidden states (batch, seq, hidden) for ``input_ids`` and ``attention_mask``, each (batch, seq).
        head: encodes and decodes.
        module: of the head.
        device: of the module.
    """

    def __init__(
        self, facts: Mapping[str, Any], tokenizer: Any, states: Callable[..., Any], head: Head, module: HeadModule, device: str
    ) -> None:
        super().__init__()
        self.facts, self.tokenizer, self.head, self.device = facts, tokenizer, head, device
        self.states, self.module = states, module
        self.thresholds = Thresholds.from_json(facts["thresholds"])

    def batches(self, texts: Sequence[str | Mapping[str, Any] | Document]) -> Iterator[tuple[list[Window], dict[str, Any]]]:
        """Texts in batches of windows of like length: the windows of a batch, and its tensors.

        Args:
            texts: each a string, a mapping as `document` takes, or a `Document`.
        """
        return self._batches([self._document(number, text) for number, text in enumerate(texts)])

    def _batches(self, documents: Sequence[Document]) -> Iterator[tuple[list[Window], dict[str, Any]]]:
        rows, windows = [], []
        for number, whole in enumerate(documents):
            cut_windows, golds, _ = cut(whole, self.tokenizer, self.facts["max_length"], self.head.cuts)
            windows += cut_windows
            rows += [as_row(number, w, g, self.head)[0] for w, g in zip(cut_windows, golds, strict=True)]
        lengths = np.array([len(row["input_ids"]) for row in rows], dtype=np.int64)
        for part in by_length(lengths, self.facts["padded"]):
            batch = collate([rows[i] for i in part], self.head, self.facts["pad"])
            yield [windows[i] for i in part], {name: tensor.to(self.device) for name, tensor in batch.items()}

    def forward(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """``hidden_states`` (batch, seq, hidden) of a batch of `batches`, and the head's ``logits``.

        What logits there are depends on the head: of tags (batch, words, tags), of classes (batch, classes), of passages
        (batch,), of the labels of given pairs (pairs, labels), be they of mentions or of concepts, or of spans (batch,
        words · width, labels), which are then made into mentions by `predict`.
        """
        hidden = self.states(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
        return {"hidden_states": hidden, "logits": self.module.logits(hidden, batch)}

    def predict(self, texts: Sequence[str | Mapping[str, Any] | Document], everything: bool = False) -> list[dict[str, Any]]:
        """What the model finds in texts, one mapping for each, as in a run's prediction files.

        Offsets count characters of the text, ends exclusive.

        Args:
            texts: as of `batches`.
            everything: whether what is less probable than the run's thresholds is given too.
        """
        documents = [self._document(number, text) for number, text in enumerate(texts)]
        named = [replace(d, id=str(number)) for number, d in enumerate(documents)]
        found: list[list[Annotation]] = [[] for _ in documents]
        with torch.no_grad():
            for windows, batch in self._batches(named):
                hidden = self.states(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
                for window, prediction in zip(windows, self.module.predict(hidden, batch), strict=True):
                    found[int(window.document)] += self.head.decode(window, prediction)
        raw = [joined(d, annotations) for d, annotations in zip(documents, found, strict=True)]
        accepted = raw if everything or self.head.floor is None else self.thresholds.accept(raw)
        return [as_record(d) for d in accepted]

    def _document(self, number: int, text: str | Mapping[str, Any] | Document) -> Document:
        needs = given(self.head)
        if needs is not None and not isinstance(text, Document) and (isinstance(text, str) or needs not in text):
            raise ValueError(
                f"Task {self.facts['task']} reads texts with their {needs}; text {number} has none. See `document`."
            )
        whole = text if isinstance(text, Document) else document(text, str(number))
        mentions = () if self.head.finds_mentions else whole.mentions
        whole = replace(whole, mentions=mentions, relations=(), judgements=())
        prepare = self.facts["prepare"]
        prepared: Document = PARTS[prepare](None, whole) if prepare else whole
        return prepared


def document(text: str | Mapping[str, Any], name: str = "0") -> Document:
    """A text with what the task is given beside it.

    Args:
        text: a string; or ``{"id": …, "text": …, "mentions": [{"fragments": [[0, 4]], "label": …}]}``, mentions where they
            are to be related, with their ``"concept": …`` where it is concepts that are; or
            ``{"id": …, "query": …, "passages": [{"id": …, "text": …}]}``.
        name: of the document where it has no id.
    """
    if isinstance(text, str):
        return Document(name, text)
    whole, passages = str(text.get("text", text.get("query", ""))), []
    for passage in text.get("passages", ()):
        start = len(whole) + 2
        whole += f"\n\n{passage['text']}"
        passages.append(Passage(str(passage["id"]), (start, len(whole))))
    mentions = [
        Mention(tuple((a, b) for a, b in m["fragments"]), m["label"], m.get("concept")) for m in text.get("mentions", ())
    ]
    return Document(str(text.get("id", name)), whole, tuple(mentions), passages=tuple(passages))


def load(folder: str | Path, base: str | Path | None = None, device: str = "cpu", dtype: Any = "auto") -> ExportedModel:
    """The model of an exported folder, ready to predict.

    Args:
        folder: what was exported.
        base: the base model's folder or hub id, where the folder holds an adapter and no ``base``.
        device: e.g. ``cpu`` or ``cuda``; ONNX computes on the CPU.
        dtype: of the base model, as transformers takes it; ``auto``: as it is stored.
    """
    from safetensors.torch import load_file
    from transformers import AutoTokenizer

    folder = Path(folder)
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    head = _restored(facts["head"])
    head.restore(facts["state"])
    module = head.module(facts["hidden_size"])
    module.load_state_dict(load_file(folder / HEAD))
    states = _onnx(folder) if facts["form"] == "onnx" else _states(folder, facts["form"], base, device, dtype)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return ExportedModel(facts, tokenizer, states, head, module.to(device).eval(), device).eval()


def _states(folder: Path, form: str, base: str | Path | None, device: str, dtype: Any) -> Callable[..., Any]:
    """The base model with the adapter in it, or with the adapter on it."""
    from transformers import AutoConfig, AutoModel
    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    if form == "peft" and base is None and not (folder / BASE).is_dir():
        raise ValueError(
            "This folder holds an adapter alone; wanted load(folder, base=…), the base model that it was trained on."
        )
    source = folder if form != "peft" else base or folder / BASE
    kind = MODEL_MAPPING[type(AutoConfig.from_pretrained(source))]
    kind = kind[0] if isinstance(kind, (tuple, list)) else kind
    poolerless = "add_pooling_layer" in inspect.signature(kind.__init__).parameters
    model: Any = freeze(AutoModel.from_pretrained(source, dtype=dtype, **({"add_pooling_layer": False} if poolerless else {})))
    if form == "peft":
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, folder).eval()
    model = model.to(device)
    return lambda **inputs: model(**inputs).last_hidden_state


def _onnx(folder: Path) -> Callable[..., Any]:
    """The base model as onnxruntime runs it."""
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / ONNX, providers=["CPUExecutionProvider"])
    return lambda **inputs: torch.from_numpy(session.run(["hidden_states"], {n: t.cpu().numpy() for n, t in inputs.items()})[0])


def _restored(spec: Mapping[str, Any]) -> Head:
    """A head with the numbers and words that made it, and the heads that it holds."""
    head: Head = PARTS[spec["class"]].__new__(PARTS[spec["class"]])
    vars(head).update({n: _restored(v) if isinstance(v, Mapping) else v for n, v in spec["values"].items()})
    return head


PARTS: dict[str, Any] = {}
"""What the run is made of, by name: the classes of its heads, and how its task prepares a text. The exported file fills it."""
