"""What a listing tells of the tasks, apart from their loaders, so that it costs no more than reading this page."""

from __future__ import annotations

T7_LAYOUT = "FOLDER/{train,dev,test}/DOC.text with DOC.pipe beside it ('||' lines; empty where a document has no mention)"
T14_LAYOUT = (
    "FOLDER/{train,dev,test}/DOC.text with DOC.pipe beside it (19 or 22 columns; empty where a document has no mention)"
)
T3_LAYOUT = "FOLDER/{train,dev,test}/*.xml, the official files (for subtask A also the '-subtaskA' ones)"
GAD_LAYOUT = "FOLDER/train.jsonl, test.jsonl and, where you have one, dev.jsonl (else a seeded tenth of train)"
GAD_CLASSES = ("0", "1")
PUBMEDQA_LAYOUT = "FOLDER/all.jsonl, which is split here, or train.jsonl, dev.jsonl and test.jsonl"
PUBMEDQA_CLASSES = ("yes", "no", "maybe")
IOB_LAYOUT = "FOLDER/{train,devel,test}.tsv (or dev.tsv): token, tab, IOB2 tag; a blank line after a sentence"
CHEMPROT_LAYOUT = (
    "FOLDER/{train,validation,test}.jsonl, one abstract a line with passages, entities and relations (BigBio's schema)"
)
T12_LAYOUT = "FOLDER/{train,dev,test}/DOC/DOC with DOC.*.xml beside it (Anafora); or all documents of a split in one folder"
