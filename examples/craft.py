"""One layer of the CRAFT corpus in the file layout of SemEval-2015 Task 14, so that bench can be run on real text.

    git clone https://github.com/UCDenver-ccp/CRAFT
    python examples/craft.py CRAFT/articles/txt CRAFT/concept-annotation/CL/CL/knowtator craft-cl
    bench run --task 2015-T14 --data 2015-T14=craft-cl

Reads Knowtator's files, version 1 (`CL`, `GO_BP`) and 2 (`MONDO`). Articles are 58 for train, 20 for dev and 19 for test, the
same ones for every layer. An article without annotations becomes an empty file. Existing files are written anew.

Sources: Bada et al. 2012, BMC Bioinformatics 13:161; Cohen et al. 2017, Handbook of Linguistic Annotation. Annotations CC BY
3.0, articles under the open-access terms of each.
"""

from __future__ import annotations

import argparse
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

DEV = """
11897010 14691534 14737183 15005800 15018652 15040800 15061865 15314655 15328538 15550985 16109169 16362077 16410827 16433929
16517939 16539743 16670015 17022820 17083276 17201918
""".split()  # noqa: SIM905
TEST = """
14624252 15328533 15619330 15630473 15819996 15850489 15876356 15921521 16110338 16216087 16221973 16504143 16787536 16968134
17002498 17029558 17194222 17244351 17608565
""".split()  # noqa: SIM905
SLOTS = "no|null|patient|null|no|null|unmarked|null|unmarked|null|false|null|false|null|null|null"

Row = tuple[tuple[tuple[int, int], ...], str]
"""The spans of a mention and its concept."""


def rows(path: Path) -> list[Row]:
    """The mentions of a Knowtator file, in the order of the text."""
    root = ET.parse(path).getroot()
    concepts = {}
    for mention in root.iter("classMention"):
        concepts[mention.get("id")] = str(next(mention.iter("mentionClass")).get("id"))
    found: list[Row] = []
    for annotation in root.iter("annotation"):
        spans = sorted((int(span.get("start", "")), int(span.get("end", ""))) for span in annotation.iter("span"))
        kind, held = annotation.find("class"), annotation.find("mention")
        if kind is not None:
            found.append((tuple(spans), str(kind.get("id")).rpartition("/")[2]))
        elif held is not None and held.get("id") in concepts:
            found.append((tuple(spans), concepts[held.get("id")]))
    return sorted(row for row in found if row[0])


def main() -> int:
    """Writes the three splits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path, help="folder of the articles, ID.txt")
    parser.add_argument("annotations", type=Path, help="folder of one layer, ID.txt.knowtator.xml or ID.xml")
    parser.add_argument("out", type=Path, help="folder that train, dev and test are written to")
    options = parser.parse_args()
    layers = {path.name.partition(".")[0]: path for path in sorted(options.annotations.glob("*.xml"))}
    articles = sorted(options.texts.glob("*.txt"))
    if not layers or not articles:
        empty = options.annotations if not layers else options.texts
        print(f"error: {empty} holds no {'.xml' if not layers else '.txt'} file.\nGive the folder that does.", file=sys.stderr)
        return 2
    for article in articles:
        name = article.stem
        folder = options.out / ("dev" if name in DEV else "test" if name in TEST else "train")
        folder.mkdir(parents=True, exist_ok=True)
        lines = [
            f"{name}.text|{','.join(f'{start}-{end}' for start, end in spans)}|{concept}|{SLOTS}\n"
            for spans, concept in (rows(layers[name]) if name in layers else [])
        ]
        (folder / f"{name}.text").write_bytes(article.read_bytes())
        (folder / f"{name}.pipe").write_text("".join(lines), encoding="utf-8")
    print(f"{len(articles)} articles, {len(layers)} of them annotated, in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
