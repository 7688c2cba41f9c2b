"""The task `chemprot`: relations between chemicals and genes in abstracts, the mentions given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from bench.api.data import Document
from bench.api.task import Scores, TaskMetadata
from bench.kit.corpus_task import CorpusTask
from bench.kit.faults import of_documents

LAYOUT = "FOLDER/{train,validation,test}.jsonl, one abstract a line with passages, entities and relations (BigBio's schema)"


class ChemProt(CorpusTask):
    """ChemProt, BioCreative VI track 5."""

    name = "chemprot"
    version = "1"
    summary = "ChemProt: relations between given chemicals and genes in abstracts, five classes"
    citation = (
        "Krallinger et al. 2017, Overview of the BioCreative VI chemical-protein interaction track, "
        "https://biocreative.bioinformatics.udel.edu/news/corpora/chemprot-corpus-biocreative-vi/"
    )
    licence = "Public Domain Mark 1.0 as BigBio lists it; abstracts are PubMed's (the synthetic corpus: Apache-2.0)"
    heads = ("relation",)
    reader = "bench_tasks.chemprot.corpus:load"
    writer = "bench_tasks.chemprot.synthetic:write_corpus"
    faults: ClassVar[Mapping[str, str]] = of_documents(
        "not-utf8", "malformed-line", "repeated-id", "outside-text", "text-mismatch", "missing-mention"
    )
    metadata = TaskMetadata(
        reference="https://biocreative.bioinformatics.udel.edu/news/corpora/chemprot-corpus-biocreative-vi/",
        access="open: BioCreative's page after a free registration, or https://huggingface.co/datasets/bigbio/chemprot",
        domain="biomedical",
        primary_metric="relations.f1",
        layout=LAYOUT,
        unit="abstracts",
        published_best={"relations.f1": 0.7998},
        published_source="BioLinkBERT-large on BLURB, Yasunaga et al. 2022, arXiv 2203.15827",
    )

    def parameters(self) -> Mapping[str, str]:
        """What `bench show` prints below the metadata."""
        from bench_tasks.chemprot import corpus

        return {
            **super().parameters(),
            "classes": ", ".join(f"{label} {name}" for label, name in corpus.NAMES.items()),
            "mentions": "CHEMICAL and GENE (GENE-Y and GENE-N) are given; candidates are their pairs within a sentence",
            "synthetic corpus": "300 train, 80 dev and 80 test abstracts, seeded, in the same format",
            "scores": "relations (micro over the five classes), by_type",
        }

    def prepared(self, document: Document) -> Document:
        """The sentences of an abstract become its passages, as those of the corpus do."""
        from bench_tasks.common.sentences import sentence_passages

        return replace(document, passages=document.passages or sentence_passages(document.text))

    def statistics(self, gold: Sequence[Document], predicted: Sequence[Document]) -> list[Mapping[str, float]]:
        """Additive statistics of every gold document, in order; predictions are matched by the document's id."""
        from bench.kit import relations
        from bench_tasks.chemprot.corpus import CLASSES

        return relations.statistics(gold, predicted, CLASSES)

    def summarise(self, sums: Mapping[str, Any]) -> Scores:
        """Scores from summed statistics, numbers or arrays."""
        from bench.kit import relations

        return relations.summarise(sums)

    def score_files(self, gold: Path, pred: Path) -> Scores:
        """Scores of JSON Lines files, each one file or a folder of them; texts are not needed.

        Raises:
            DataError: a path or a line that cannot be read, or no abstract in common.
        """
        from bench.kit.documents import refuse_disjoint
        from bench_tasks.chemprot import corpus

        wanted, given = corpus.read_annotations(gold), corpus.read_annotations(pred)
        refuse_disjoint([d.id for d in wanted], [d.id for d in given], gold, pred)
        return self.score(wanted, given)

    def read_predictions(self, path: Path, gold: Sequence[Document]) -> Sequence[Document]:
        """A system's annotations, from files as `score_files` reads them.

        Raises:
            DataError: a line cannot be read, or is of a document that is none of gold.
        """
        from bench.kit.documents import of_gold
        from bench_tasks.chemprot import corpus

        return of_gold(corpus.read_annotations(path), gold, path)

    def write(self, folder: Path, documents: Sequence[Document]) -> None:
        """Writes ``relations.jsonl``, one document a line, without text; mentions that only relations name are written too."""
        folder.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(_record(document), ensure_ascii=False, sort_keys=True) + "\n" for document in documents]
        (folder / "relations.jsonl").write_bytes("".join(lines).encode("utf-8"))


def _record(document: Document) -> dict[str, Any]:
    from bench_tasks.chemprot import corpus

    ends = [key for relation in document.relations for key in (relation.source, relation.target)]
    names = {key: f"T{n}" for n, key in enumerate(dict.fromkeys([*(m.key for m in document.mentions), *ends]), 1)}
    return {
        "document_id": document.id,
        "entities": [
            {"id": name, "type": label, "offsets": [list(part) for part in fragments]}
            for (fragments, label), name in names.items()
        ],
        "relations": [
            {"id": f"R{n}", "type": corpus.NAMES[r.label], "arg1_id": names[r.source], "arg2_id": names[r.target]}
            for n, r in enumerate(document.relations, 1)
        ],
    }
