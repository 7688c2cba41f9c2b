"""Similarity in meaning between mentions, names and training mentions, by a frozen sentence encoder.

A terminology of up to `ALL` names is embedded once, and its embeddings are kept beside its columns. Of a larger one, only
names with similar n-grams are embedded.

Source: Reimers and Gurevych 2019, Sentence-BERT, arXiv 1908.10084; names as their own examples, SapBERT, arXiv 2010.11784.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.linking.table import NameTable

ALL = 200_000
"""The most names of a terminology that is embedded as a whole."""
BATCH, LONGEST = 64, 48
"""Texts a batch; tokens a text, the rest is cut off."""

Vectors = NDArray[np.float32]
Encode = Callable[[Sequence[str]], Vectors]
"""Texts to rows of unit length (texts, hidden)."""


def is_sentence_encoder(folder: Path) -> bool:
    """Whether a model's folder is that of a sentence-transformers model with mean pooling."""
    import json

    try:
        config = json.loads((folder / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("pooling_mode_mean_tokens") is True and (folder / "modules.json").is_file()


class Encoder:
    """A frozen sentence encoder: the mean of the last hidden states, scaled to unit length. Loaded at the first call."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self._folder = folder
        self._device = device
        self._loaded: tuple[Any, Any] | None = None

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Rows of unit length (texts, hidden), in the order given."""
        import torch

        if self._loaded is None:
            from bench.modeling.backbone import load_backbone, load_tokenizer

            self._loaded = load_backbone(self._folder, torch.float32, self._device), load_tokenizer(self._folder)
        model, tokenizer = self._loaded
        order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), texts[i]))
        batches: list[Vectors] = []
        for low in range(0, len(order), BATCH):
            part = [texts[i] or " " for i in order[low : low + BATCH]]
            batch = tokenizer(part, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt").to(self._device)
            with torch.inference_mode():
                hidden = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
                mask = batch["attention_mask"].unsqueeze(-1)
                mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
                batches.append(torch.nn.functional.normalize(mean, dim=-1).cpu().numpy())
        back = np.empty(len(order), dtype=np.int64)
        back[order] = np.arange(len(order))
        return np.concatenate(batches)[back] if batches else np.zeros((0, 0), np.float32)


class Meanings:
    """Embeddings of a terminology, of training mentions, and of texts that are looked up.

    The file `kept` holds the names' embeddings, read if it exists, else written; None: they are in memory alone.
    """

    def __init__(self, encode: Encode, names: NameTable, trained: NameTable, kept: Path | None = None) -> None:
        self._encode = encode
        self._names = names
        self._texts: dict[str, Vectors] = {}
        self._some: dict[int, Vectors] = {}
        self._all: Vectors | None = _all_names(encode, names, kept) if len(names) <= ALL else None
        self._trained = encode([trained.texts[i] for i in range(len(trained))])

    def prepare(self, texts: Sequence[str], names: Sequence[int]) -> None:
        """Embeds texts and, of a large terminology, these names."""
        new = [text for text in texts if text not in self._texts]
        self._texts.update(zip(new, self._encode(new), strict=True) if new else ())
        if self._all is None:
            more = [index for index in names if index not in self._some]
            self._some.update(zip(more, self._encode([self._names.texts[i] for i in more]), strict=True) if more else ())

    def forget(self) -> None:
        """Drops the embeddings of texts; those of names stay."""
        self._texts.clear()

    def nearest(self, text: str, count: int) -> list[int]:
        """The names nearest to a text, best first; empty for a large terminology."""
        if self._all is None:
            return []
        scores = self._all @ self._texts[text]
        return [int(i) for i in np.argsort(-scores, kind="stable")[:count]]

    def to_names(self, texts: Sequence[str], names: Collection[int]) -> dict[int, float]:
        """Name to its best cosine with the texts; names that are not embedded are left out."""
        chosen = [i for i in sorted(names) if self._all is not None or i in self._some]
        rows = self._all[chosen] if self._all is not None else np.array([self._some[i] for i in chosen])
        return self._cosines(texts, chosen, rows)

    def to_trained(self, texts: Sequence[str], trained: Collection[int]) -> dict[int, float]:
        """Training mention to its best cosine with the texts."""
        chosen = sorted(trained)
        return self._cosines(texts, chosen, self._trained[chosen])

    def _cosines(self, texts: Sequence[str], chosen: Sequence[int], rows: Vectors) -> dict[int, float]:
        if not chosen:
            return {}
        best = (rows @ np.array([self._texts[text] for text in texts]).T).max(axis=1)
        return dict(zip(chosen, best.tolist(), strict=True))


def _all_names(encode: Encode, names: NameTable, path: Path | None) -> Vectors:
    if path is not None and path.is_file():
        vectors: NDArray[np.float16] = np.load(path)
        if len(vectors) == len(names):
            return vectors.astype(np.float32)
    encoded = encode([names.texts[i] for i in range(len(names))]).astype(np.float16)
    if path is not None:
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        with aside.open("wb") as file:
            np.save(file, encoded)
        aside.replace(path)
    return encoded.astype(np.float32)
