"""What wandb's local files of a run hold. They are LevelDB logs of protobuf records.

Source: https://github.com/google/leveldb/blob/main/doc/log_format.md; wandb's file has a seven-byte header of its own. A file:
``:W&B`` + magic + version, then blocks of 32 KiB of (checksum 4, length 2, type 1, data), type 1 a whole record, 2-4 parts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from glob import escape
from pathlib import Path
from typing import Any

_BLOCK = 1 << 15
_FILE_HEADER = 7
_RECORD_HEADER = 7
_FULL, _FIRST, _LAST = 1, 2, 4


def records(content: bytes) -> Iterator[bytes]:
    """The records of a log; a torn end is left out."""
    offset, parts = _FILE_HEADER, b""
    while offset + _RECORD_HEADER <= len(content):
        left = _BLOCK - offset % _BLOCK
        if left < _RECORD_HEADER:
            offset += left
            continue
        length, kind = int.from_bytes(content[offset + 4 : offset + 6], "little"), content[offset + 6]
        data = content[offset + _RECORD_HEADER : offset + _RECORD_HEADER + length]
        if len(data) < length or not _FULL <= kind <= _LAST:
            return
        offset += _RECORD_HEADER + length
        parts = data if kind in (_FULL, _FIRST) else parts + data
        if kind in (_FULL, _LAST):
            yield parts


def history(folder: Path, run_id: str) -> list[dict[str, Any]]:
    """The history rows of a run, over all its sessions, oldest session first.

    Args:
        folder: wandb's folder.
        run_id: the run's id.
    """
    from wandb.proto import wandb_internal_pb2

    rows = []
    for path in sorted(
        folder.glob(f"*run-*-{escape(run_id)}/run-{escape(run_id)}.wandb"), key=lambda p: p.parent.name.split("run-", 1)[1]
    ):
        for content in records(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(content)
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                rows.append({"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in items})
    return rows


def next_event(folder: Path, run_id: str, default: int) -> int:
    """The next event to write to the run's local files, read from the files themselves.

    Numbers that were given to a wandb that was then killed may never have reached its file.

    Args:
        folder: wandb's folder.
        run_id: the run's id.
        default: the answer where there are no files, as after ``wandb sync --clean``.
    """
    if not any(folder.glob(f"*run-*-{escape(run_id)}")):
        return default
    return max((int(row["_step"]) + 1 for row in history(folder, run_id) if "_step" in row), default=0)
