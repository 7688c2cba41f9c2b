"""The tables of a report, from its runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.pages.collect import Evidence, ReportedRun, rests
from bench.pages.content import Cell, Column, Table
from bench.pages.verdicts import summaries
from bench.results.scores import score_of

FILES = {(False, "there"): "as written", (False, "older"): "no manifest"} | dict.fromkeys(
    [(True, state) for state in ("there", "missing", "older")], "CHANGED"
)
"""What a run's files are, by whether they changed and what there is of a manifest."""
DIGITS = 12
"""Shown digits of a hash."""


def arms(evidence: Evidence) -> Table:
    """Scores by task and arm."""
    columns = (
        Column("task", "task"), Column("arm", "arm"), Column("runs", "runs", "count"), Column("mean", "mean", "score"),
        Column("sd", "SD", "score"), Column("low", "95% low", "score"), Column("high", "95% high", "score"),
        Column("over", "interval over"), Column("metric", "metric"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for s in summaries(evidence):
        rows.append((s.task, s.arm, len(s.runs), s.mean, s.spread, s.low, s.high, s.over, s.runs[0].result.metric(s.task)))
    for task in evidence.tasks:
        run = evidence.of(task)[0]
        for name, value in _baselines(run, task):
            rows.append((task, f"{name} (baseline)", None, value, None, None, None, "", run.result.metric(task)))
    caption = (
        "The primary metric on the test split, after quantizing where a run quantized. The interval of several runs is t over "
        "seeds, cut at 0 and 1; that of a single one is a bootstrap over documents: they answer different questions."
    )
    return table_of("arms", "Scores by arm", caption, columns, rows, evidence.runs)


def runs(evidence: Evidence) -> Table:
    """Every run and task."""
    columns = (
        Column("run", "run"), Column("arm", "arm"), Column("task", "task"), Column("seed", "seed", "count"),
        Column("score", "score", "score"), Column("low", "95% low", "score"), Column("high", "95% high", "score"),
        Column("tokens", "tokens", "count"), Column("model", "model"), Column("quant", "quantizer"),
        Column("seconds", "training", "seconds"), Column("waived", "waived"), Column("synthetic", "synthetic", "flag"),
        Column("files", "files"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for run in evidence.runs:
        config = run.result.config
        seconds = run.result.timings.get("training")
        for task in run.tasks:
            low, high = run.interval(task) or (None, None)
            rows.append((
                run.id, run.arm, task, run.seed, run.score(task), low, high, run.result.invariants.tokens.total,
                str(config.get("model", "")), str(config.get("quant", "")), seconds, ", ".join(run.result.waivers),
                run.result.synthetic, FILES[bool(run.standing.changed), run.standing.manifest],
            ))  # fmt: skip
    caption = (
        "One line a run and task. The interval is over documents; tokens are those of all of the run's tasks. Files that are "
        "CHANGED are not what the run wrote; an older bench wrote no manifest, so that nothing tells."
    )
    return table_of("runs", "Runs", caption, columns, rows, evidence.runs)


def ledger(evidence: Evidence) -> Table | None:
    """Tokens by run and task, as the ledger counted them."""
    columns = (
        Column("run", "run"), Column("arm", "arm"), Column("task", "task"), Column("tokens", "tokens", "count"),
        Column("budget", "budget of the run", "count"), Column("padded", "padded", "count"),
        Column("supervised", "supervised", "count"), Column("examples", "examples", "count"),
        Column("updates", "updates", "count"), Column("flops", "operations", "ratio"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for run in evidence.runs:
        tokens = run.result.invariants.tokens
        for task, c in tokens.tasks.items():
            counts = (c.padded, c.supervised, c.examples, c.updates, c.flops)
            rows.append((run.id, run.arm, task, c.tokens, tokens.budget, *counts))
    caption = (
        "Tokens that the mask marks are what a budget counts; padding, repeated passes and operations are told beside them "
        "and count nothing."
    )
    return table_of("ledger", "Token ledger", caption, columns, rows, evidence.runs) if rows else None


def parity(evidence: Evidence) -> Table | None:
    """Trainable parameters of the arms that ran, each counted on its own model."""
    columns = (
        Column("arm", "arm"), Column("tasks", "tasks"), Column("architecture", "architecture"),
        Column("adapters", "adapters", "count"), Column("fusion", "fusion", "count"), Column("heads", "heads", "count"),
        Column("total", "trainable", "count"), Column("ratio", "ratio (adapters)", "score"),
        Column("ratio_all", "ratio (all)", "score"), Column("status", "status"), Column("runs", "runs", "count"),
    )  # fmt: skip
    counts: dict[tuple[Cell, ...], int] = {}
    for run in evidence.runs:
        row = run.result.invariants.parity.own
        if row is not None:
            parameters = (row.adapters, row.fusion, row.heads, row.total, row.ratio, row.ratio_all)
            key = (run.arm, " + ".join(run.tasks), row.arm, *parameters, run.result.invariants.parity.status)
            counts[key] = counts.get(key, 0) + 1
    rows = [(*key, count) for key, count in counts.items()]
    caption = (
        "A ratio is the arm's count over the largest of its group; the rule is more than .95. Heads differ with the tasks."
    )
    return table_of("parity", "Parameter parity", caption, columns, rows, evidence.runs) if rows else None


def gradients(evidence: Evidence) -> Table | None:
    """How often the gradients of two tasks conflicted."""
    columns = (
        Column("arm", "arm"), Column("tasks", "tasks"), Column("run", "run"), Column("updates", "updates", "count"),
        Column("conflicts", "conflicts", "count"), Column("frequency", "frequency", "score"),
        Column("cosine", "mean cosine", "change"), Column("handling", "handling"),
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    rests: list[ReportedRun] = []
    for run in evidence.runs:
        report = run.gradients
        rests += [run] * bool(report.pairs)
        for pair in report.pairs:
            rows.append((
                run.arm, " × ".join(pair.tasks), run.id, pair.updates, pair.conflicts, pair.conflict_frequency,
                pair.mean_cosine, report.kind,
            ))  # fmt: skip
    caption = "Over the parameters that two tasks share; a conflict is a negative cosine of their gradients in an update."
    return table_of("gradients", "Gradient conflicts", caption, columns, rows, rests) if rows else None


def provenance(evidence: Evidence) -> Table:
    """Data, models, versions and hardware of the runs: each distinct value, and the number of runs with it."""
    counts: dict[tuple[str, str], int] = {}
    for run in evidence.runs:
        for name, value in _rests_on(run):
            counts[name, value] = counts.get((name, value), 0) + 1
    order = {name: i for i, name in enumerate(dict.fromkeys(name for name, _ in counts))}
    rows = sorted(((name, value, n) for (name, value), n in counts.items()), key=lambda row: (order[row[0]], -row[2], row[1]))
    columns = (Column("what", "what"), Column("value", "value"), Column("runs", "runs", "count"))
    caption = "Two lines of one name mean that the runs differ in it. Hashes are cut to twelve digits."
    return table_of("provenance", "What the runs rest on", caption, columns, rows, evidence.runs)


def hardware(run: ReportedRun) -> str:
    """The hardware of a run: its accelerator, else its processor."""
    machine = run.result.hardware
    gpu = machine.get("gpu")
    return str(gpu.get("name", "GPU") if isinstance(gpu, Mapping) else gpu or machine.get("cpu") or "unknown")


def _rests_on(run: ReportedRun) -> Iterable[tuple[str, str]]:
    result = run.result
    for task, digest in result.hashes.get("data", {}).items():
        yield f"data of {task}", f"{str(digest)[:DIGITS]}{' (synthetic)' * result.synthetic}"
    yield "base model", f"{result.config.get('model')} {str(result.hashes.get('model') or '')[:DIGITS]}".strip()
    for name, version in result.versions.get("parts", {}).items():
        if str(name).startswith("task "):
            yield f"scorer of {str(name)[5:]}", f"version {version}"
    for name in ("bench-suite", "python", "torch", "transformers", "peft"):
        if result.versions.get(name):
            yield name, str(result.versions[name])
    commit = result.git.get("commit")
    if commit:
        yield "commit", f"{str(commit)[:DIGITS]}{' with changes' * bool(result.git.get('dirty'))}"
    yield "hardware", hardware(run)


def _baselines(run: ReportedRun, task: str) -> list[tuple[str, float]]:
    metric = run.result.metric(task)
    baselines = ((name, score_of(scores, metric)) for name, scores in run.result.scores[task].baselines.items())
    return [(name, value) for name, value in baselines if value is not None]


def table_of(
    name: str,
    title: str,
    caption: str,
    columns: tuple[Column, ...],
    rows: Sequence[tuple[Cell, ...]],
    runs: Sequence[ReportedRun],
) -> Table:
    """A table with the ids of the runs that it is made from."""
    return Table(name, title, caption, columns, tuple(rows), *rests(runs))
