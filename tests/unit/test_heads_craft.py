from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("tokenizers")
transformers = pytest.importorskip("transformers")

from bench.api.data import Document, Mention  # noqa: E402
from bench.api.head import Window  # noqa: E402
from bench.data.windows import assign, windows, words  # noqa: E402
from bench.heads import make_head  # noqa: E402

CRAFT = Path(__file__).parents[2].parent / "shared" / "data" / "craft-mondo"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not CRAFT.is_dir(), reason="the CRAFT corpus is not beside the repository"),
]


def read(split: str) -> list[Document]:
    documents = []
    for path in sorted((CRAFT / split).glob("*.text")):
        rows = [line.split("|") for line in path.with_suffix(".pipe").read_text(encoding="utf-8").splitlines() if line.strip()]
        spans = [tuple(tuple(map(int, piece.split("-"))) for piece in row[1].split(",")) for row in rows]
        documents.append(Document(path.stem, path.read_text(encoding="utf-8"), tuple(Mention(s) for s in spans)))  # type: ignore[arg-type]
    return documents


@pytest.fixture(scope="module")
def articles() -> dict[str, list[Document]]:
    return {split: read(split) for split in ("train", "dev", "test")}


@pytest.fixture(scope="module")
def cut(articles: dict[str, list[Document]]) -> list[tuple[Document, list[Window]]]:
    """Every article in windows, by a WordPiece of the frequent words and the letters of the training split."""
    text = " ".join(d.text for d in articles["train"]).lower()
    common = [word for word, _ in Counter(re.findall(r"\w+", text)).most_common(4000)]
    letters = sorted({c for c in text if not c.isspace()})
    vocab = dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{c}" for c in letters), *common])
    tokenizer = transformers.BertTokenizerFast(vocab={token: i for i, token in enumerate(vocab)}, do_lower_case=True)
    return [(d, windows(d, tokenizer, 128)) for split in articles.values() for d in split]


@pytest.mark.parametrize(
    ("name", "allowed"), [("span", {"inside-word", "window"}), ("bio", {"inside-word", "window", "discontiguous", "overlap"})]
)
def test_whole_articles_come_back_but_for_counted_losses(
    articles: dict[str, list[Document]], cut: list[tuple[Document, list[Window]]], name: str, allowed: set[str]
) -> None:
    head = make_head(name)
    head.fit(articles["train"])
    gold = found = 0
    lost: Counter[str] = Counter()
    for document, made in cut:
        assert sum(len(w.words) for w in made) == len(words(document.text))
        shares, outside = assign(document, made)
        lost += outside
        decoded = set()
        for window, share in zip(made, shares, strict=True):
            encoding = head.encode(window, share)
            lost += encoding.lost
            decoded |= {m.key for m in head.decode(window, head.oracle(encoding))}
        keys = {m.key for m in document.mentions}
        assert decoded <= keys
        gold += len(keys)
        found += len(decoded)
    assert gold == 3080
    assert gold - found == lost.total()
    assert set(lost) <= allowed
    assert lost["inside-word"] == 21
    if name == "bio":
        assert lost["discontiguous"] > 50
    else:
        assert found > 0.97 * gold
