"""Vocabularies made in code for the tiny models: pieces of one and two letters, and a few frequent words."""

from __future__ import annotations

from itertools import product
from string import ascii_lowercase, digits

from bench.wording import some

_FREQUENT = """
    the of and to in a with is was for on at by from as no not or he she his her patient history pain left right without
    are were be been has had have this that which an it there but than also after before during
"""
_WORDS = _FREQUENT.split()
_OTHERS = "µ°±×≥≤–—‘’“”•…αβγδκλ½¼é"


def word_pieces(size: int) -> str:
    """``tokenizer.json`` of a lower-casing WordPiece with BERT's special tokens.

    Args:
        size: of the vocabulary; the surplus is filled with unused entries, as BERT's own has them.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = ascii_lowercase + digits
    pairs = ["".join(p) for p in product(ascii_lowercase, repeat=2)]
    marks = [chr(c) for c in range(33, 127) if chr(c) not in letters and not chr(c).isupper()]
    pieces = [*special, *marks, *_OTHERS, *letters, *(f"##{c}" for c in letters + _OTHERS), *_WORDS]
    pieces += [*pairs, *(f"##{p}" for p in pairs)]
    vocabulary = _numbered(pieces, size)
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    tokenizer.add_special_tokens(special)
    return str(tokenizer.to_str())


def byte_pairs(size: int, special: tuple[str, str]) -> str:
    """``tokenizer.json`` of a byte-level BPE whose merges are pairs of letters.

    Args:
        size: of the vocabulary.
        special: the token that starts every text, and the one that ends it.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [(a, b) for a, b in product(("Ġ", *ascii_lowercase), ascii_lowercase)]
    pieces = [*special, *alphabet, *("".join(m) for m in merges)]
    vocabulary = _numbered(pieces, size)
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(single=f"{special[0]} $A", special_tokens=[(special[0], vocabulary[special[0]])]),
        ]
    )
    tokenizer.add_special_tokens(list(special))
    return str(tokenizer.to_str())


def _numbered(pieces: list[str], size: int) -> dict[str, int]:
    distinct = list(dict.fromkeys(pieces))
    distinct += [f"[unused{i}]" for i in range(size - len(distinct))]
    if len(distinct) != size:
        raise ValueError(f"No room for {some(len(distinct), 'piece')} in a vocabulary of {size}.")
    return {piece: number for number, piece in enumerate(distinct)}
