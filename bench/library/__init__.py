"""`bench` as a Python library: what the commands do, as functions that return their results.

Importing it loads nothing heavy. Errors are `bench.errors.BenchError`, with the words that the commands print.

>>> import bench
>>> bench.plan(task="2015-T14", arch="A2", quant="gptq")["budget"]["tokens"]  # doctest: +SKIP
203106
>>> result = bench.run(task="2015-T14", arch="A2", quant="gptq")  # doctest: +SKIP
>>> result.model().predict("The left atrium is mildly dilated.")  # doctest: +SKIP
"""

from bench.library.fields import RunFields
from bench.library.functions import compare, load, plan, plan_power, prepare, report, run, runs, score, study
from bench.library.results import RunResult, Runs, StudyResult

__all__ = [
    "RunFields",
    "RunResult",
    "Runs",
    "StudyResult",
    "compare",
    "load",
    "plan",
    "plan_power",
    "prepare",
    "report",
    "run",
    "runs",
    "score",
    "study",
]
