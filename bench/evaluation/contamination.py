"""Contamination: whether a decoder was trained on a corpus's test text, by min-k% probability against control text.

Min-k% is the mean log probability of the k% least probable tokens of a text. It is higher for text that was in training. The
score of one text says nothing by itself: test texts are compared with control texts that the model cannot have seen. The result
is *how often a test text scores higher than a control text* (the area under the ROC curve), with its interval.

It is a hint, not a proof. Where test and control text differ in style, subject or time, so do the scores: Duan et al. 2024,
arXiv 2402.07841. Synthetic control text differs in all of them.

Source: Shi et al. 2023, "Detecting Pretraining Data from Large Language Models", arXiv 2310.16789, whose k is 20.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.errors import UsageError
from bench.wording import some

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    Array = NDArray[np.float64]

SHARE = 0.2
"""Share k of a text's tokens, the least probable ones."""
TOKENS = 256
"""Most tokens of a text; the rest is cut off."""
LEAST = 32
"""Texts with no more tokens than this are left out."""
RESAMPLES = 2000


def min_k(log_probabilities: Sequence[float], share: float = SHARE) -> float:
    """Mean log probability of the least probable tokens of a text, at least one.

    Args:
        log_probabilities: natural logarithms, one a token.
        share: share of the tokens that is taken, in (0, 1].
    """
    values = np.sort(np.asarray(log_probabilities, np.float64))
    return float(values[: max(1, int(share * len(values)))].mean())


def higher(test: Sequence[float], control: Sequence[float]) -> dict[str, Any]:
    """How often a test text scores higher than a control text, ties counting half: ``auc``, with ``ci95`` over texts of both.

    Args:
        test: a score a text.
        control: the same.
    """
    test_scores, control_scores = np.asarray(test, np.float64)[:, None], np.asarray(control, np.float64)
    above = (test_scores > control_scores) + 0.5 * (test_scores == control_scores)
    generator = np.random.default_rng(0)
    rows, columns = (_drawn(generator, size) for size in above.shape)
    low, high = np.percentile(np.einsum("rt,tc,rc->r", rows, above, columns, optimize=True), [2.5, 97.5])
    return {"auc": float(above.mean()), "ci95": [float(low), float(high)]}


def _drawn(generator: np.random.Generator, size: int) -> Array:
    """Share of each text in every bootstrap sample, shape (resamples, texts)."""
    return generator.multinomial(size, np.full(size, 1 / size), RESAMPLES) / size


def read(
    model: Callable[[Tensor], Tensor], tokenizer: Any, texts: Sequence[str], advance: Callable[[int], None] = lambda n: None
) -> list[Array]:
    """Log probability of every token but the first of each text that is long enough.

    Args:
        model: gives logits (1, seq, vocabulary) for ids (1, seq).
        tokenizer: of the model.
        texts: of each, the first `TOKENS` tokens are read.
        advance: called with 1 after every text.
    """
    import torch

    log_probabilities = []
    for text in texts:
        encoded = tokenizer(text, truncation=True, max_length=TOKENS, return_tensors="pt", verbose=False)["input_ids"]
        if encoded.shape[1] > LEAST:
            with torch.no_grad():
                logs = model(encoded)[0, :-1].float().log_softmax(-1)
            log_probabilities.append(logs.gather(1, encoded[0, 1:, None].to(logs.device))[:, 0].double().cpu().numpy())
        advance(1)
    return log_probabilities


def contamination(
    folder: Path, test: Sequence[str], control: Sequence[str], device: str, advance: Callable[[int], None] = lambda n: None
) -> dict[str, Any]:
    """Min-k% of test text against control text.

    Args:
        folder: of an unquantized decoder.
        test: texts of the test split.
        control: texts that the model cannot have seen.
        device: ``cpu`` or ``cuda``.
        advance: called with 1 after every text.

    Returns:
        ``share``, ``tokens``; for ``test`` and ``control`` the number of ``texts`` read, mean ``min_k`` and ``perplexity``;
        and ``auc`` and ``ci95`` of `higher`.

    Raises:
        UsageError: the model is no decoder or has no output layer, or fewer than two texts are long enough.
    """
    from bench.modeling.backbone import load_tokenizer

    model, tokenizer = _language_model(folder, device), load_tokenizer(folder)
    logs = {name: read(model, tokenizer, texts, advance) for name, texts in (("test", test), ("control", control))}
    for name, of_texts in logs.items():
        if len(of_texts) < 2:
            raise UsageError(
                f"{len(of_texts)} of the {name} texts have more than {LEAST} tokens; two are wanted, and dozens for an answer.",
                "Give --control a folder with more and longer texts." if name == "control" else None,
            )
    scores = {name: [min_k(values.tolist()) for values in of_texts] for name, of_texts in logs.items()}
    report: dict[str, Any] = {"share": SHARE, "tokens": TOKENS}
    for name, of_texts in logs.items():
        surprise = -float(np.concatenate(of_texts).mean())
        report[name] = {"texts": len(of_texts), "min_k": float(np.mean(scores[name])), "perplexity": float(np.exp(surprise))}
    return report | higher(scores["test"], scores["control"])


def _language_model(folder: Path, device: str) -> Callable[[Tensor], Tensor]:
    import torch
    from transformers import AutoModelForCausalLM

    from bench.modeling.backbone import quiet, random_state_kept
    from bench.modeling.spec import inspect

    spec = inspect(folder)
    if not spec.causal or spec.quantization:
        what = f"holds {spec.quantization} weights" if spec.causal else "is an encoder: it predicts no next token"
        raise UsageError(f"Min-k% wants a decoder as it was published; {folder.name} {what}.", "Name another --model.")
    with quiet(), random_state_kept():
        model, info = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False, output_loading_info=True
        )
    if info["missing_keys"]:
        lacks = some(len(info["missing_keys"]), "tensor")
        raise UsageError(
            f"{folder.name} lacks {lacks} to predict the next token with, such as the output layer.",
            "Name a folder of the whole language model.",
        )
    model = model.to(device).eval()
    return lambda ids: model(input_ids=ids.to(device)).logits
