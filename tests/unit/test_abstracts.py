"""ncbi-disease and bc5cdr from the PubTator files of their releases: abstracts as documents, quirks of the files included."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_tasks.bc5cdr.task import Bc5cdr
from bench_tasks.common.abstract_task import OUTPUT, AbstractTask
from bench_tasks.ncbi_disease.task import NcbiDisease

from bench.api.data import Document, Mention
from bench.cli import main
from bench.data.leaks import leaks_of, refuse
from bench.errors import DataError, LeakError
from bench.kit import pubtator
from bench.kit.faults import Fault

Line = tuple[int, int, str, str]
"""Start, end, type and concept."""


def article(number: int, title: str, abstract: str, *mentions: Line) -> str:
    text = f"{title}\n{abstract}"
    rows = [f"{number}\t{low}\t{high}\t{text[low:high]}\t{kind}\t{concept}\n" for low, high, kind, concept in mentions]
    return f"{number}|t|{title}\n{number}|a|{abstract}\n{''.join(rows)}\n"


def ncbi(folder: Path, **splits: str) -> Path:
    """A corpus of the release's shape: four types, a composite mention, title and abstract."""
    folder.mkdir(parents=True, exist_ok=True)
    usual = {
        "train": article(11, "Ataxia in mice.", "Breast or ovarian cancer, and HH. ", (0, 6, "SpecificDisease", "D1"),
                         (16, 40, "CompositeMention", "D2|D3"), (46, 48, "Modifier", "OMIM:9")),
        "dev": article(12, "A case of gout.", "No more.", (10, 14, "DiseaseClass", "D4+D5")),
        "test": article(13, "Lupus, again.", "Mild lupus.", (0, 5, "SpecificDisease", "D6"), (19, 24, "SpecificDisease", "D6")),
    }  # fmt: skip
    for split, text in {**usual, **splits}.items():
        (folder / NcbiDisease.files[split]).write_text(text, encoding="utf-8")
    return folder


def test_abstracts_are_documents_with_offsets_concepts_and_one_label(tmp_path: Path) -> None:
    corpus = NcbiDisease().load(ncbi(tmp_path))
    (train,), (test,) = corpus["train"], corpus["test"]
    assert train.id == "11"
    assert [(train.text[slice(*m.fragments[0])], m.label, m.concept) for m in train.mentions] == [
        ("Ataxia", "Disease", "D1"), ("Breast or ovarian cancer", "Disease", "D2|D3"), ("HH", "Disease", "OMIM:9")
    ]  # fmt: skip
    assert [test.text[slice(*m.fragments[0])] for m in test.mentions] == ["Lupus", "lupus"]
    assert not corpus.synthetic
    rows = NcbiDisease().statistics(corpus["test"], [Document("13", "", test.mentions[:1])])
    assert [(row["strict.tp"], row["strict.fn"]) for row in rows] == [(1.0, 1.0)]  # the abstract is the unit


def test_what_cdr_writes_for_no_concept_is_none(tmp_path: Path) -> None:
    for number, (split, name) in enumerate(Bc5cdr.files.items(), 20):
        title = f"Tremor {split} lithium"
        text = article(number, title, "X.", (0, 6, "Disease", "-1"), (len(title) - 7, len(title), "Chemical", "D008094"))
        (tmp_path / name).write_text(f"{text.rstrip()}\n{number}\tCID\tD008094\tD014202\n", encoding="utf-8")
    (document,) = Bc5cdr().load(tmp_path)["dev"]
    assert {m.label: m.concept for m in document.mentions} == {"Disease": None, "Chemical": "D008094"}


def test_the_release_s_own_faults_are_none(tmp_path: Path) -> None:
    """The training file of NCBI holds one article twice, and blanks where the text has quotation marks."""
    quoted = article(15, 'Seizures " plus " only.', "X.", (0, 17, "SpecificDisease", "D7+D8"))
    again = article(11, "Ataxia.", "Y.", (0, 6, "SpecificDisease", "D1"))
    text = again + quoted.replace('\tSeizures " plus "\t', "\tSeizures   plus  \t") + again
    corpus = NcbiDisease().load(ncbi(tmp_path, train=text))
    assert [d.id for d in corpus["train"]] == ["11", "15"]
    assert corpus.adjusted == {"an article again": 1}
    assert corpus["train"][1].mentions[0].concept == "D7+D8"


@pytest.mark.parametrize(
    ("damage", "kind", "told"),
    [
        (("\t0\t6\t", "\t0\t7\t"), None, ""),  # the full stop is neither letter nor digit
        (("\t0\t6\t", "\t1\t6\t"), "text-mismatch", "line 3"),
        (("\t0\t6\t", "\t6\t6\t"), "empty-span", "line 3"),
        (("\t0\t6\t", "\t0\t600\t"), "outside-text", "line 3"),
        (("\tSpecificDisease\tD1", "\tGene\tD1"), "unknown-label", "article 11"),
        (("11\t0", "12\t0"), "other-document", "line 3"),
        (("\tAtaxia\tSpecificDisease\tD1", ""), "malformed-line", "3 columns"),
        (("11|t|", "11|x|"), "malformed-line", "line 1"),
    ],
)
def test_faulty_lines_are_named_and_left_out_on_request(
    damage: tuple[str, str], kind: str | None, told: str, tmp_path: Path
) -> None:
    good = article(10, "Gout.", "", (0, 4, "SpecificDisease", "D4"))
    bad = article(11, "Ataxia.", "Y.", (0, 6, "SpecificDisease", "D1"), (8, 9, "Modifier", "D9")).replace(*damage)
    folder = ncbi(tmp_path, train=bad + good)
    if kind is None:
        assert len(NcbiDisease().load(folder)["train"]) == 2
        return
    with pytest.raises(Fault) as caught:
        NcbiDisease().load(folder)
    assert caught.value.kind == kind
    assert told in caught.value.message
    assert "Ataxia" not in str(caught.value)
    assert f"--tolerate {kind}" in (caught.value.hint or "")
    corpus = NcbiDisease().tolerating([kind]).load(folder)
    assert corpus.left_out == {kind: 1}
    assert sum(len(d.mentions) for d in corpus["train"]) == (1 if "|t|" in damage[0] else 2)


def test_one_text_in_two_splits_and_one_id_with_two_texts_are_refused(tmp_path: Path) -> None:
    train = article(11, "Ataxia.", "Y.", (0, 6, "SpecificDisease", "D1"))
    folder = ncbi(tmp_path / "a", train=train, test=train.replace("11", "99"))
    with pytest.raises(LeakError, match="'99 = 11' \\(train and test\\)"):
        refuse(folder, leaks_of(NcbiDisease().load(folder)))
    with pytest.raises(Fault, match="'11' stands there twice") as caught:
        NcbiDisease().load(ncbi(tmp_path / "b", train=train + train.replace("Y.", "Z.")))
    assert caught.value.kind == "repeated-id"


def test_the_folder_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither train\.tsv nor NCBItrainset_corpus\.txt") as caught:
        NcbiDisease().load(tmp_path)
    assert "devel" in (caught.value.hint or "")
    folder = ncbi(tmp_path)
    (folder / "train.tsv").write_text("x\tO\n")
    with pytest.raises(DataError, match=r"holds NCBItrainset_corpus\.txt and train\.tsv"):
        NcbiDisease().load(folder)
    (folder / "train.tsv").unlink()
    (folder / NcbiDisease.files["dev"]).unlink()
    with pytest.raises(DataError, match=r"Cannot read .*NCBIdevelopset"):
        NcbiDisease().load(folder)
    with pytest.raises(DataError, match="holds no mention at all"):
        NcbiDisease().load(ncbi(tmp_path / "b", dev=article(12, "Nothing", "here.")))
    with pytest.raises(Fault, match="holds no article"):
        NcbiDisease().load(ncbi(tmp_path / "c", dev="\n"))


def test_written_annotations_score_like_their_documents_against_the_release(tmp_path: Path) -> None:
    task = NcbiDisease()
    (document,) = task.load(ncbi(tmp_path / "c"))["test"]
    guess = Document("13", "", (document.mentions[0], Mention(((7, 12),), "Disease")))
    task.write(tmp_path / "out", [guess])
    assert [p.name for p in (tmp_path / "out").iterdir()] == [OUTPUT]
    assert "again" not in (tmp_path / "out" / OUTPUT).read_text()
    gold = tmp_path / "c" / task.files["test"]
    scores = task.score_files(gold, tmp_path / "out")
    assert scores == task.score([document], [guess])
    assert (scores["strict"]["tp"], scores["strict"]["fp"], scores["strict"]["fn"]) == (1, 1, 1)
    task.write(tmp_path / "other", [Document("77", "")])
    with pytest.raises(DataError, match="article '77' that is not in"):
        task.score_files(gold, tmp_path / "other")
    task.write(tmp_path / "iob", [Document("test-1", "", guess.mentions)])
    with pytest.raises(DataError, match="is no PubTator"):
        task.score_files(gold, tmp_path / "iob")
    task.write(tmp_path / "iob", [guess])
    with pytest.raises(DataError, match="PubTator or IOB2"):
        task.score_files(gold, tmp_path / "iob")


def test_pubtator_holds_no_discontiguous_mention(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="discontiguous"):
        pubtator.write(tmp_path / "x", [Document("1", "", (Mention(((0, 2), (4, 6)), "Disease"),))])
    with pytest.raises(DataError, match="cannot be in a PubTator"):
        pubtator.write(tmp_path / "x", [Document("1", "", (Mention(((0, 2),), "a b"),))])


def many(task: AbstractTask, folder: Path, count: int) -> Path:
    folder.mkdir()
    kind = "SpecificDisease" if task.types else "Disease"
    number = 1000
    for name in task.files.values():
        text = ""
        for _ in range(count):
            number += 1
            title = f"Fever {number} after rest."
            text += article(
                number, title, "It was fever again.", (0, 5, kind, "D1"), (len(title) + 8, len(title) + 13, kind, "D1")
            )
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.torch
@pytest.mark.parametrize("task", [NcbiDisease(), Bc5cdr()], ids=lambda task: task.name)
def test_a_run_on_abstracts_from_start_to_scored_predictions(
    task: AbstractTask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    folder = many(task, tmp_path / "c", 40)
    words = ["--task", task.name, "--data", f"{task.name}={folder}", "--model", "tiny-bert", "--arch", "A1", "--quant", "none"]
    words += ["--tokens", "4000", "--tracker", "none", "--micro-batch", "8", "--out", str(tmp_path / "runs")]
    assert main(["run", *words]) == 0
    (run,) = [p for p in (tmp_path / "runs").iterdir() if (p / "result.json").is_file()]
    result = json.loads((run / "result.json").read_text())
    assert result["synthetic"] is False
    scores = result["scores"][task.name]["trained"]
    gold = folder / task.files["test"]
    assert main(["predict", str(run), str(gold), "--out", str(tmp_path / "p"), "--format", "official"]) == 0
    capsys.readouterr()
    assert main(["score", task.name, "--gold", str(gold), "--pred", str(tmp_path / "p" / "official"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"]["strict"]["f1"] == pytest.approx(scores["strict.f1"])
    assert scores["strict.f1"] > 0.9
