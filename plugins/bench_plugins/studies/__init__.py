"""The kinds of study that come with bench, each in a module of its own.

| kind | role of a run | compared |
|---|---|---|
| ``token-control`` | ``multi``, ``total``, ``share`` | all tasks; each alone at equal total; each alone on its own tokens |
| ``ablation`` | ``arm`` | architectures, within a set of tasks (the run's group) |
| ``quantization`` | ``quantizer`` | quantizers of one model; each run holds its scores before and after |
| ``transfer`` | ``single``, ``total``, ``pair`` | each task alone, alone on twice the tokens, and with every other one |
| ``unseen`` | ``source``, ``target``, ``fresh`` | few documents: from what other tasks share, and afresh |
| ``tuned`` | ``trial``, ``finalist``, ``tuned`` | architectures, each at its own learning rate |
| ``sweep`` | ``point`` | the points of a grid |
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.api.study import StudyKind
from bench.hooks import hookimpl
from bench_plugins.studies.ablation import Ablation
from bench_plugins.studies.quantization import Quantization
from bench_plugins.studies.sweep import Sweep
from bench_plugins.studies.token_control import TokenControl
from bench_plugins.studies.transfer import Transfer
from bench_plugins.studies.tuned import Tuned
from bench_plugins.studies.unseen import Unseen


@hookimpl
def bench_studies() -> Sequence[StudyKind]:
    """The kinds with a verdict, then those whose runs are compared as `bench compare` does."""
    return (TokenControl(), Transfer(), Unseen(), Tuned(), Ablation(), Quantization(), Sweep())
