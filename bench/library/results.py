"""What the functions of `bench` return: runs and studies, as objects, as tidy rows, and as tables in a notebook."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from bench.errors import MissingError
from bench.registry import load
from bench.results import display
from bench.results.schema import Headline, Stage, TaskScores
from bench.results.scores import interval_of, numbers
from bench.studies.arms import Run
from bench.wording import some

if TYPE_CHECKING:
    import pandas
    import polars

    from bench.api.data import Document
    from bench.exporting.export import Exported
    from bench.exporting.requests import Form
    from bench.pages.collect import Evidence
    from bench.pages.inline import Figures
    from bench.steps.predicting import Written
    from bench.steps.trained import TrainedModel
    from bench.studies.review import Review
    from bench.studies.study import Study
    from bench.verifying.check import Verification


class Tabular(ABC):
    """What gives tidy rows, and data frames of them."""

    @abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """Tidy rows: one a run, task, split, stage and metric."""

    def to_pandas(self) -> pandas.DataFrame:
        """`rows` as a data frame.

        Raises:
            MissingError: pandas is not installed.
        """
        return _package("pandas").DataFrame(self.rows())

    def to_polars(self) -> polars.DataFrame:
        """`rows` as a data frame.

        Raises:
            MissingError: polars is not installed.
        """
        return _package("polars").DataFrame(self.rows(), infer_schema_length=None)


class RunResult(Run, Tabular):
    """A finished run: `folder` of its files, `result`, what ``result.json`` holds, and `standing`, whether it changed since."""

    @property
    def headline(self) -> Headline:
        """The one number."""
        return self.result.headline

    @property
    def scores(self) -> Mapping[str, TaskScores]:
        """Task to its scores by stage."""
        return self.result.scores

    def model(self, stage: Stage = "trained", *, device: str | None = None, progress: bool = False) -> TrainedModel:
        """The trained model, ready to predict; see `bench.steps.trained.TrainedModel.predict`.

        Args:
            stage: ``trained``, or ``quantized`` for the same adapters on the quantized base model that the run keeps.
            device: where it computes, e.g. ``cpu``; the run's where None.
            progress: whether progress is printed.

        Raises:
            UsageError: the run quantized nothing, or there is no such device.
            RunStateError: weights are missing, damaged, or of another base model.
            MissingError: a part of the run is not installed.
        """
        from bench.library.reporters import reporter
        from bench.steps.threads import settle_threads
        from bench.steps.trained import load_trained

        settle_threads(os.environ)
        return load_trained(self.folder, load(), stage, device, reporter(progress))

    def predict(self, texts: str | Document | Sequence[str | Document], task: str | None = None) -> tuple[Document, ...]:
        """The trained model's predictions for texts: `model`, loaded at the first call and kept, and its `predict`.

        `task` may be left out where the run has one.

        Raises:
            BenchError: as of `model` and of `TrainedModel.predict`.
        """
        return self._loaded.predict(texts, task)

    @cached_property
    def _loaded(self) -> TrainedModel:
        return self.model()

    def predict_files(
        self,
        *inputs: str | Path,
        out: str | Path,
        formats: Sequence[str] = ("jsonl",),
        task: str | None = None,
        stage: Stage = "trained",
        device: str | None = None,
        with_text: bool = False,
        progress: bool = False,
    ) -> Written:
        """Predicts the texts of files into a folder, as ``bench predict`` does; any number of them, in bounded memory.

        Args:
            inputs: files and folders, as `bench.kit.texts` reads them.
            out: the folder to be made; it appears when all is done.
            formats: some of ``jsonl``, ``official`` and ``brat``.
            task: which of the run's tasks; may be left out where it has one.
            stage: as of `model`.
            device: as of `model`.
            with_text: whether brat's files hold the text.
            progress: whether progress is printed.

        Raises:
            BenchError: with the words of the command line.
        """
        from bench.library.reporters import reporter
        from bench.steps.predicting import Request, predict_files
        from bench.steps.threads import settle_threads

        settle_threads(os.environ)
        request = Request(tuple(map(Path, inputs)), Path(out), tuple(formats), task, stage, device, with_text)
        return predict_files(self.folder, load(), request, reporter(progress))

    def export(
        self,
        out: str | Path,
        form: Form = "merge",
        *,
        task: str | None = None,
        stage: Stage = "trained",
        dtype: str = "auto",
        device: str = "cpu",
        progress: bool = False,
    ) -> tuple[Exported, ...]:
        """Writes what the run trained as a folder that is used without bench, as ``bench export`` does; one for each task.

        Args:
            out: the folder to be made; it must not exist.
            form: ``merge``, ``peft`` or ``onnx``.
            task: which of the run's tasks; all of them where None.
            stage: ``trained``, or ``quantized`` for the quantized base model with the adapter beside it.
            dtype: of merged weights: ``fp32``, ``bf16``, ``fp16``; ``auto``: as the base model is stored.
            device: where the run's model computes what the folder is held against.
            progress: whether progress is printed.

        Raises:
            BenchError: with the words of the command line.
        """
        from bench.exporting.export import export
        from bench.exporting.requests import Request
        from bench.library.reporters import reporter
        from bench.steps.threads import settle_threads

        settle_threads(os.environ)
        return export(self.folder, load(), Request(Path(out), form, task, stage, dtype, device), reporter(progress))

    def serve(
        self,
        *,
        task: str | None = None,
        stage: Stage = "trained",
        device: str | None = None,
        host: str = "127.0.0.1",
        port: int = 8000,
        token: str | None = None,
    ) -> None:
        """Serves the trained model as ``bench serve`` does; prints the address, and returns when it is interrupted.

        A prediction that takes some seconds longer goes on in its thread until it is done.

        Args:
            task: which of the run's tasks; may be left out where it has one.
            stage: as of `model`.
            device: as of `model`.
            host: name or address to listen on.
            port: to listen on; 0 for any that is free.
            token: that requests have to bring; one is made and printed where `host` is more than this machine.

        Raises:
            BenchError: with the words of the command line.
        """
        from bench.library.reporters import reporter
        from bench.serving.serve import ServeConfig, serve
        from bench.steps.threads import settle_threads

        settle_threads(os.environ)
        serve(self.folder, load(), ServeConfig(task, stage, device, host, port, token), reporter(progress=True))

    def verify(self, data: Mapping[str, str | Path] | None = None) -> Verification:
        """Holds the run against all that is there, as ``bench verify`` does; its ``differs`` is empty where all holds.

        Args:
            data: task to the folder of its corpus; those that the run read, where they still are.
        """
        from bench.verifying.checks import verify

        return verify(self.folder, load(), {task: str(place) for task, place in (data or {}).items()})

    def figures(self) -> Figures:
        """The figures of `bench.report` about this run, by name; in a notebook each is drawn."""
        return Runs([self]).figures()

    def rows(self) -> list[dict[str, Any]]:
        """One row a task, split, stage and metric: the run's choices, ``value``, and ``low`` and ``high`` of its interval."""
        choices = {name: self.result.resolved(name) for name in ("arch", "quant", "rank", "seed", "replicate", "lr")}
        model = self.result.resolved("model")
        columns = {
            "run": self.id,
            "name": self.result.config.get("name"),
            **choices,
            "model": model["name"] if isinstance(model, Mapping) else model,
            "tokens": self.result.invariants.tokens.total,
            "synthetic": self.result.synthetic,
            "waived": ", ".join(self.result.waivers),
            "matched": self.result.matched,
            "changed": bool(self.standing.changed),
        }
        rows = []
        for task, scores in self.result.scores.items():
            for split, stages in (("test", scores.stages), ("dev", scores.dev)):
                for stage, values in stages.items():
                    for metric, value in numbers(values):
                        low, high = interval_of(values, metric) or (None, None)
                        place = {"task": task, "split": split, "stage": stage, "metric": metric}
                        rows.append(columns | place | {"value": value, "low": low, "high": high})
        return rows

    def __repr__(self) -> str:
        head = self.headline
        stamp = ", synthetic" if self.result.synthetic else ""
        stamp += f", {self.standing}" if self.standing.changed else ""
        return f"RunResult({self.id}: {head.task} {head.metric} {display.score(head.value, head.ci95)}{stamp})"

    def _repr_html_(self) -> str:
        head = self.headline
        rows = [
            (task, stage, metric, display.score(value, interval_of(values, metric)))
            for task, scores in self.scores.items()
            for stage, values in scores.stages.items()
            for metric, value in numbers(values)
            if metric.rpartition(".")[2] in ("f1", "accuracy") or metric == head.metric
        ]
        title = f"{self.id}: {head.metric} {display.score(head.value, head.ci95)}"
        title += f" – {self.standing}" if self.standing.changed else ""
        return display.html_table(title, ("task", "stage", "metric", "test"), rows, synthetic=self.result.synthetic)


class Runs(Sequence[RunResult], Tabular):
    """Finished runs, in the order they were named, and notes on what was passed over."""

    def __init__(self, runs: Sequence[RunResult], notes: Sequence[str] = ()) -> None:
        self._runs = tuple(runs)
        self.notes = tuple(notes)

    @overload
    def __getitem__(self, index: int) -> RunResult: ...

    @overload
    def __getitem__(self, index: slice) -> Runs: ...

    def __getitem__(self, index: int | slice) -> RunResult | Runs:
        """A run, or some of them."""
        return Runs(self._runs[index], self.notes) if isinstance(index, slice) else self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    def __repr__(self) -> str:
        return "\n".join([some(len(self), "run"), *(f"  {run!r}" for run in self)])

    def rows(self) -> list[dict[str, Any]]:
        """Tidy rows: one a run, task, split, stage and metric."""
        return [row for run in self for row in run.rows()]

    def figures(self, by: Sequence[str] = (), allow: Sequence[str] = ()) -> Figures:
        """The figures of `bench.report`, by name; in a notebook each is drawn. Arguments as of `bench.compare`.

        Raises:
            UsageError: no such field.
        """
        from bench.pages.collect import of_runs

        return _figures(of_runs([run.folder for run in self]), by, allow)

    def _repr_html_(self) -> str:
        rows = [
            (
                f"{run.id} (changed since it was written)" if run.standing.changed else run.id,
                *(run.headline.task, run.headline.metric, display.score(run.headline.value, run.headline.ci95)),
            )
            for run in self
        ]
        synthetic = any(run.result.synthetic for run in self)
        return display.html_table(some(len(self), "run"), ("run", "task", "metric", "test"), rows, synthetic)


class StudyResult(Tabular):
    """A study that has been run: its plan, how far it has come, and its verdict."""

    def __init__(self, study: Study) -> None:
        self.study = study

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study.name

    @property
    def folder(self) -> Path:
        """Where its plan and its logs are kept."""
        return self.study.folder

    @property
    def verdict(self) -> Mapping[str, Any] | None:
        """The verdict of its runs, as ``bench study --json`` prints it; None where its kind has no verdict."""
        return self.study.verdict

    @cached_property
    def standing(self) -> Review:
        """Whether it is as it was written: its file, the runs of its plan, and its verdict, which is judged again."""
        from bench.studies.review import reviewed

        return reviewed(self.study, load())

    @property
    def runs(self) -> Runs:
        """Its finished runs, in the order of the plan."""
        return Runs([RunResult.read(self.study.out / str(run.run)) for run in self.study.finished()])

    def rows(self) -> list[dict[str, Any]]:
        """Tidy rows of its runs, each with the run's ``key`` and ``role`` in the study."""
        pairs = zip(self.study.finished(), self.runs, strict=True)
        return [{"key": planned.key, "role": planned.role, **row} for planned, run in pairs for row in run.rows()]

    def figures(self) -> Figures:
        """The figures of `bench.report`, by name; in a notebook each is drawn.

        Raises:
            RunStateError: none of its runs has finished.
        """
        from bench.pages.collect import of_study

        return _figures(of_study(self.study, load()))

    def __repr__(self) -> str:
        return f"StudyResult({self._title()})"

    def _title(self) -> str:
        return f"{self.study.kind} {self.name}: {len(self.study.finished())} of {some(len(self.study.due()), 'run')} finished"

    def _repr_html_(self) -> str:
        from bench.studies.finished import kind_of, own_faults

        done, runs = self.study.finished(), self.runs
        rows = [
            (planned.key, planned.role, run.headline.metric, display.score(run.headline.value, run.headline.ci95))
            for planned, run in zip(done, runs, strict=True)
        ]
        synthetic = any(run.result.synthetic for run in runs)
        title = f"{self._title()}{f' – {self.standing}' if self.standing.changed else ''}"
        table = display.html_table(title, ("run", "role", "metric", "test"), rows, synthetic)
        kind = kind_of(self.study.kind, load())
        with own_faults(kind, "telling the verdict"):
            statements = kind.statements(self.verdict) if self.verdict is not None else []
        verdicts = [(statement.subject, statement.verdict, statement.reason) for statement in statements]
        return table + (display.html_table("Verdict", ("of", "verdict", "why"), verdicts, synthetic) if verdicts else "")


def _figures(evidence: Evidence, by: Sequence[str] = (), allow: Sequence[str] = ()) -> Figures:
    from bench.pages.comparison import with_comparison
    from bench.pages.inline import Figures
    from bench.pages.write import sections
    from bench.studies.contract import check_fields

    whole = with_comparison(evidence, load(), check_fields(by, "by"), check_fields(allow, "allow"))
    return Figures({figure.name: figure for section in sections(whole) for figure in section.figures})


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise MissingError(f"Its data frames need {name}, which is not installed.", f"pip install {name}") from None
