"""The box for authors of plugins: what a task or a quantizer of your own needs beside `bench.api`. Nothing here imports torch.

Reading: `corpora` (whole corpora of JSON Lines), `jsonl` (a strict reader of lines), `records` (lines of each kind of task),
`brat` and `roles` (of its relations), `texts` (without gold, to be predicted), `pubtator`, `iob` and `iob_folder`,
`documents` (folders of a text and an annotation file each), `files` (bytes and UTF-8), `formats` (what there is).
Faults: `faults` collects what is wrong with a corpus and tells it at once; `repeats` finds texts that stand in two splits.
Scoring: `scores` (precision, recall, F1 from counts), `mentions`, `relations`, `classes`, `rankings`.
Writing: `iob_write`, `brat.write`, `records.write`, `documents.write_each`; `weights` (quantized weights in GPTQ's layout).
Synthetic corpora: `synthetic` (marker, draws that stay the same everywhere, word lists from files).
Tasks: `corpus_task` and `class_task`, base classes that leave a task its metadata, its loader and its scorer.

The names of these modules and what they hold are public: they change with a line in the changelog.
"""
