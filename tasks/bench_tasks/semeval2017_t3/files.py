"""Files of the official scorer: relevancy (gold) and predictions, both ``qid aid rank score true|false``.

The scorer reads both files line by line and stops where they name different candidates. So does this reader.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.api.data import Document
from bench.errors import DataError
from bench.kit.files import decode, read_bytes
from bench.wording import some

FILE = "ranking.tsv"
"""Name of the file that `write` makes."""
_COLUMNS = 5


@dataclass(frozen=True)
class Row:
    """One line.

    Args:
        query: its id.
        candidate: its id.
        score: higher is ranked higher.
        relevant: the label of the line.
    """

    query: str
    candidate: str
    score: float
    relevant: bool


def read(path: Path) -> list[Row]:
    """The lines of a file, or of the one file in a folder.

    Raises:
        DataError: it cannot be read, is empty, or a line is wrong.
    """
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if not p.name.startswith("."))
        if len(files) != 1:
            raise DataError(
                f"{path} holds {some(len(files), 'file')}; wanted one file of lines 'qid aid rank score true|false'."
            )
        path = files[0]
    lines = decode(read_bytes(path), path).rstrip().split("\n")
    if lines == [""]:
        raise DataError(f"{path} is empty; wanted lines 'qid aid rank score true|false'.")
    rows = [_row(path, number, line) for number, line in enumerate(lines, 1)]
    seen: dict[tuple[str, str], int] = {}
    for number, row in enumerate(rows, 1):
        before = seen.setdefault((row.query, row.candidate), number)
        if before != number:
            raise DataError(f"{path}:{number}: line {before} names the same query and candidate; wanted each pair once.")
    return rows


def read_pair(gold: Path, pred: Path) -> list[tuple[Row, Row]]:
    """Reads both files: pairs of lines.

    Raises:
        DataError: see `read`; also if the files do not name the same candidates in the same order.
    """
    golds, preds = read(gold), read(pred)
    for number, (gold_row, pred_row) in enumerate(zip(golds, preds, strict=False), 1):
        if (gold_row.query, gold_row.candidate) != (pred_row.query, pred_row.candidate):
            raise DataError(
                f"{pred}: line {number} names another query and candidate than line {number} of {gold}; wanted the same.",
                "The official scorer wants both files in the same order.",
            )
    if len(golds) != len(preds):
        raise DataError(
            f"{pred} has {some(len(preds), 'line')} and {gold} has {len(golds)}; wanted a prediction for every candidate."
        )
    return list(zip(golds, preds, strict=True))


def write(folder: Path, documents: Sequence[Document]) -> None:
    """Writes the judgements of documents, one line a candidate, in the order of the passages.

    Args:
        folder: made if it is missing; one file is written to it.
        documents: judgements of a document without passages, such as a prediction, are ordered by the numbers in their ids, as
            in the official files.
    """
    lines: list[str] = []
    for document in documents:
        said = {judgement.name: judgement for judgement in document.judgements}
        order = [passage.id for passage in document.passages] or sorted(said, key=_by_numbers)
        rows = [said[name] for name in order if name in said]
        ranks = sorted(range(len(rows)), key=lambda i: -rows[i].score)
        rank = {place: number for number, place in enumerate(ranks, 1)}
        lines += [
            f"{document.id}\t{j.name}\t{rank[i]}\t{j.score!r}\t{'true' if j.chosen else 'false'}\n" for i, j in enumerate(rows)
        ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes("".join(lines).encode("utf-8"))


def _by_numbers(name: str) -> list[tuple[int, str]]:
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in re.split(r"([0-9]+)", name)]


def _row(path: Path, number: int, line: str) -> Row:
    where = f"{path}:{number}"
    columns = line.split()
    if len(columns) != _COLUMNS:
        raise DataError(f"{where}: {some(len(columns), 'column')}; wanted {_COLUMNS}, 'qid aid rank score true|false'.")
    query, candidate, _, score, label = columns
    if label not in ("true", "false"):
        raise DataError(f"{where}: the last column is neither true nor false.")
    try:
        value = float(score)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: the score is no finite number.")
    return Row(query, candidate, value, label == "true")
