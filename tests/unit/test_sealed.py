"""JSON that holds its own hash, and the encoded corpus, which is made again where its hash does not hold."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.sealed import beside, read_sealed, sealed, unsealed, write_sealed

VALUES = st.dictionaries(
    st.text(max_size=4).filter(lambda name: name != "sha256"),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@given(VALUES)
def test_what_is_sealed_is_read_back(value: dict[str, Any]) -> None:
    assert unsealed(json.loads(json.dumps(sealed(value)))) == value


@given(VALUES, st.data())
def test_a_changed_byte_never_gives_another_value(value: dict[str, Any], data: st.DataObject) -> None:
    content = bytearray(json.dumps(sealed(value)).encode())
    at, mask = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(1, 255))
    content[at] ^= mask
    try:
        record = json.loads(bytes(content))
    except ValueError:
        return
    assert unsealed(record) in (None, value)


@pytest.mark.parametrize("record", [None, 3, [], {}, {"a": 1}, {"a": 1, "sha256": None}, {"sha256": "0" * 64}])
def test_what_was_never_sealed_is_nothing(record: Any) -> None:
    assert unsealed(record) is None


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff", b'{"sha256": "x"}'])
def test_a_missing_or_torn_file_is_nothing(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "facts.json").write_bytes(content)
    assert read_sealed(tmp_path / "facts.json") is None


def test_many_write_one_file_and_it_is_whole_at_all_times(tmp_path: Path) -> None:
    path = tmp_path / "below" / "facts.json"
    write_sealed(path, {"numbers": [0] * 2000})
    seen: list[Any] = []

    def write(number: int) -> None:
        for _ in range(20):
            write_sealed(path, {"numbers": [number] * 2000})
            seen.append(read_sealed(path))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 80
    assert all(value is not None and len(set(value["numbers"])) == 1 for value in seen)
    assert [found.name for found in path.parent.iterdir()] == ["facts.json"]
    assert beside(path).parent == path.parent


@pytest.fixture
def encoded(tmp_path: Path) -> Callable[[], tuple[Any, list[str], int]]:
    """Encodes a small split, or opens it; gives it, what was said, and how often progress was told."""
    pytest.importorskip("datasets")
    transformers = pytest.importorskip("transformers")
    from bench_plugins.models.tokenizers import word_pieces
    from tokenizers import Tokenizer

    from bench.api.data import Document, Mention
    from bench.data.cache import encode_split
    from bench.heads.bio import TokenClassificationHead

    documents = [Document(f"d{i}", f"pain {'in the left knee ' * i}", (Mention(((0, 4),), "X"),)) for i in range(1, 5)]
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(word_pieces(1664)), unk_token="[UNK]", sep_token="[SEP]", pad_token="[PAD]",
        cls_token="[CLS]", mask_token="[MASK]",
    )  # fmt: skip
    head = TokenClassificationHead()
    head.fit(documents)

    def encode() -> tuple[Any, list[str], int]:
        said: list[str] = []
        cuts: list[int] = []
        split = encode_split(documents, head, tokenizer, 32, tmp_path / "x.train.arrow", cuts.append, said.append)
        return split, said, len(cuts)

    return encode


def test_an_encoded_split_is_opened_or_made_again(encoded: Callable[[], Any], tmp_path: Path) -> None:
    arrow, facts = tmp_path / "x.train.arrow", tmp_path / "x.train.json"

    def content(split: Any) -> Any:
        return split.take(range(len(split))), split.lengths.tolist(), split.supervised.tolist(), split.documents, split.gold

    first, said, cuts = encoded()
    assert (said, cuts) == ([], 4)
    wanted = content(first)
    assert content(encoded()[0]) == wanted
    assert encoded()[1:] == ([], 1)  # progress is told of all four at once
    whole = arrow.read_bytes(), facts.read_bytes()

    def changed(path: Path, at: int) -> None:
        damaged = bytearray(path.read_bytes())
        damaged[at] ^= 1
        path.write_bytes(bytes(damaged))

    for damage in (
        *(lambda at=at: changed(arrow, at) for at in range(0, len(whole[0]), 397)),
        *(lambda at=at: changed(facts, at) for at in range(0, len(whole[1]), 41)),
        lambda: arrow.write_bytes(whole[0][:100]),
        lambda: facts.write_bytes(b""),
        lambda: facts.unlink(),
        lambda: arrow.unlink(),
    ):
        damage()
        found, said, cuts = encoded()
        assert content(found) == wanted
        assert cuts == 4
        assert len(said) == 1
        assert "x.train.arrow or its facts are damaged" in said[0]
        assert (arrow.read_bytes(), facts.read_bytes()) == whole
        del found
    assert sorted(found.name for found in tmp_path.iterdir()) == [arrow.name, facts.name]
