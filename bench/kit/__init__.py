"""Tools for authors of plugins: what a task or a quantizer needs beside `bench.api`. No module here imports torch when loaded.

Reading: `corpora`, `jsonl`, `records` (JSON Lines), `brat` and `roles` (direction of its relations), `iob`, `iob_folder`,
`tagging` (schemes of tags), `documents` (a text and an annotation file each), `tables`, `texts` (without gold), `files`,
`formats` (layouts, faults and readers). Corpora of other tools, whose readers have the shape of `reading`: `bioc`, `pubtator`,
`i2b2`, `huggingface`, `bigbio`, `doccano`, `label_studio`; `xmltree` (XML without its dangers). Releases: `release`, `prepare`.
Faults: `faults` collects the errors of a corpus and reports them together; `repeats` finds texts that are in two splits.
Scoring: `scores` (precision, recall, F1 from counts), `mentions`, `relations`, `classes`, `labels`, `rankings`, `ratings`.
Writing: `iob_write`, `pubtator.write`, `tables.write`, `brat.write`, `records.write`, `documents.write_each`; `weights`
(quantized weights in GPTQ's layout).
Synthetic corpora: `synthetic` (marker file, reproducible random draws, word lists from files).
Tasks: `corpus_task` and `class_task`, base classes; a task adds its metadata, its loader and its scorer.

The names in these modules are public: the changelog says when they change.
"""
