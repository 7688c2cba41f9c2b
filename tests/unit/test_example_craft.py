"""examples/craft.py: both versions of Knowtator's files become the layout that the loader of 2015-T14 reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ONE = """<?xml version="1.0" encoding="UTF-8"?>
<annotations textSource="1.txt">
  <annotation><mention id="I_2" /><annotator id="I_0">A</annotator>
    <span start="14" end="19" /><span start="0" end="4" /><spannedText>left ... wing</spannedText></annotation>
  <annotation><mention id="I_1" /><annotator id="I_0">A</annotator><span start="9" end="19" /></annotation>
  <classMention id="I_1"><mentionClass id="X:0000001">x</mentionClass></classMention>
  <classMention id="I_2"><mentionClass id="X:0000002">y</mentionClass></classMention>
</annotations>"""
TWO = """<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<knowtator-project><document id="1" text-file="1.txt">
  <annotation annotator="Default" id="1-2" motivation="" type="identity">
    <class id="http://purl.obolibrary.org/obo/X_0000001" label="x"/><span end="19" id="1-3" start="9">right wing</span>
  </annotation>
  <annotation annotator="Default" id="1-4" motivation="" type="identity">
    <class id="http://purl.obolibrary.org/obo/X_0000002" label="y"/>
    <span end="4" id="1-5" start="0">left</span><span end="19" id="1-6" start="14">wing</span></annotation>
</document></knowtator-project>"""


def converted(root: Path, folder: Path, ending: str, xml: str) -> subprocess.CompletedProcess[str]:
    (folder / "txt").mkdir()
    (folder / "layer").mkdir()
    for article in ("1", "11897010", "14624252"):
        (folder / "txt" / f"{article}.txt").write_text("left and right wings", encoding="utf-8")
        (folder / "layer" / f"{article}{ending}").write_text(xml, encoding="utf-8")
    words = [sys.executable, str(root / "examples" / "craft.py"), "txt", "layer", "out"]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("ending", "xml", "colon"), [(".txt.knowtator.xml", ONE, ":"), (".xml", TWO, "_")])
def test_mentions_come_back_through_the_loader(root: Path, tmp_path: Path, ending: str, xml: str, colon: str) -> None:
    from bench.registry import load

    done = converted(root, tmp_path, ending, xml)
    assert (done.returncode, done.stdout) == (0, "3 articles, 3 of them annotated, in out\n")
    corpus = load().get("tasks", "2015-T14").load(tmp_path / "out")
    assert {split: [d.id for d in corpus[split]] for split in ("train", "dev", "test")} == {
        "train": ["1"], "dev": ["11897010"], "test": ["14624252"],
    }  # fmt: skip
    (document,) = corpus["train"]
    assert [(m.fragments, m.concept) for m in document.mentions] == [
        (((0, 4), (14, 19)), f"X{colon}0000002"),
        (((9, 19),), f"X{colon}0000001"),
    ]


def test_a_folder_without_annotations_is_told(root: Path, tmp_path: Path) -> None:
    done = converted(root, tmp_path, ".md", "")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: layer holds no .xml file.")
    assert not (tmp_path / "out").exists()
