"""Tasks together against each alone, at equal total and on its own tokens: transfer, or only more training tokens?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from bench.api.study import Request, StudyKind, StudyRun, Takes, Tone
from bench.errors import ContractError
from bench.wording import some

if TYPE_CHECKING:
    from bench.results.statistics import Statistics
    from bench.studies.finished import FinishedStudy


class TokenControl(StudyKind):
    """Why a multi-task run beats a single one or does not, in one of seven words a task; see `bench.studies.verdict`."""

    name = "token-control"
    version = "2"  # 1 had no word for costly sharing, no transfer and no effect
    summary = "the tasks together; each alone on as many tokens in all; each alone on its own share; a verdict a task"
    citation = "bench's own design, with two one-sided tests after Schuirmann 1987, doi:10.1007/BF01068419"
    licence = "Apache-2.0"
    takes: ClassVar[tuple[Takes, ...]] = ("looks",)
    one_rate: ClassVar[bool] = True
    roles: ClassVar[Mapping[str, str]] = {
        "multi": "multi-task", "total": "alone, equal total", "share": "alone, own share",
    }  # fmt: skip
    tones: ClassVar[Mapping[str, Tone]] = {
        "genuine transfer": "good", "data exposure": "even", "no effect": "even", "costly sharing": "bad", "no transfer": "bad",
        "negative transfer": "bad", "unresolved": "open",
    }  # fmt: skip
    question: ClassVar[str] = "Does training on {tasks} together help, beyond more training tokens?"
    meanings: ClassVar[Mapping[str, str]] = {
        "genuine transfer": "training with the other tasks is worth more than as many more tokens of its own",
        "data exposure": "the gain is that of more training tokens, which its own text would give as well",
        "costly sharing": "the other tasks help, but as much text of its own would help more",
        "no transfer": "the other tasks do nothing for it, while as much text of its own would help",
        "negative transfer": "training with the other tasks does harm",
        "no effect": "neither the other tasks nor more text of its own changes the score",
        "unresolved": "these runs cannot tell; the card says what is missing",
    }
    words: ClassVar[Mapping[str, str]] = {"at_total": "against alone, equal total", "at_own": "against alone, own share"}

    def plan(self, request: Request) -> list[StudyRun]:
        """The multi-task run, each task alone on as many tokens in all, and each task alone on the tokens that it had in it."""
        tasks = request.several_tasks(self.name)
        request.token_budget(self.name, "in all")
        runs = []
        for seed in request.seed_list:
            multi = request.run(f"multi-s{seed}", "multi", request.base.task, seed=seed)
            runs.append(multi)
            for task in tasks:
                name = request.names[task]
                for role, like in (("total", multi.key), ("share", f"{multi.key}:{name}")):
                    runs.append(request.run(f"{name}-{role}-s{seed}", role, (task,), like, seed=seed, tokens=None))
        return runs

    def judge(self, finished: FinishedStudy) -> Mapping[str, Any]:
        """The verdict of every task, by the rules of `bench.studies.verdict`."""
        from bench.studies.finished import SPLIT
        from bench.studies.verdict import verdicts

        differences = finished.differences(("tasks", "tokens"))
        arms: dict[str, dict[str, dict[Any, Statistics]]] = {role: {} for role in self.roles}
        for run in finished.study.runs:
            for task, statistics in finished.statistics(run.key).items():
                arms[run.role].setdefault(task, {})[run.seed] = statistics
        _equal_total(finished)
        verdict = verdicts(
            arms["multi"], arms["total"], arms["share"], finished.measures, finished.metrics,
            margin=finished.study.settings["margin"], look=finished.look,
        )  # fmt: skip
        return verdict.to_json() | {"split": SPLIT, "differences": differences}


def _equal_total(finished: FinishedStudy) -> None:
    """Refuses a single run that was not trained on what the multi-task run of its seed was."""
    from bench.studies.contract import TOKENS

    for run in finished.study.runs:
        if run.role == "total" and run.after is not None:
            multi, single = finished.tokens(run.after), finished.tokens(run.key)
            if abs(multi - single) > TOKENS * max(multi, single):
                raise ContractError(
                    f"{run.key} was trained on {some(single, 'token')} and {run.after} on {multi:,}: no equal total.",
                    "Remove the folder of the first and type the study's command again.",
                )
