"""Which heads a task can take: its own, and every registered one that predicts the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from bench.api.data import Document, Mention
from bench.api.head import Head
from bench.api.part import Requirement
from bench.cli.show import facts
from bench.config import RunConfig
from bench.errors import MissingError, UsageError
from bench.heads import bench_heads, make_head
from bench.heads.bio import TokenClassificationHead
from bench.hooks import hookimpl
from bench.registry import Registry, load, singular
from bench.steps.names import check
from bench.steps.resolve import Parts


class Tagger(TokenClassificationHead):
    """A third party's head of mentions, with an argument of its own."""

    name, version, summary = "tagger", "7", "tags of a third party"

    def __init__(self, kept: Sequence[str] = ()) -> None:
        super().__init__()
        self.kept = list(kept)


class Needy(Tagger):
    name = "needy"
    requires = (Requirement("no_such_module_here", "needy[all]"),)


class Plugin:
    def __init__(self, *heads: Any) -> None:
        self.heads = heads

    @hookimpl
    def bench_heads(self) -> Sequence[Head]:
        return self.heads


@pytest.fixture
def known() -> Registry:
    found = load()
    if not found.entries("heads"):
        pytest.skip("bench is not installed here, so it has no parts")
    found.add(Plugin(Tagger(["x"]), Needy()), "other:heads", "other")
    assert not [broken for broken in found.broken if broken.distribution == "other"]
    return found


@pytest.mark.parametrize(
    ("task", "fitting"),
    [
        ("2015-T14", ("span", "bio", "bioes", "tagger", "needy")),
        ("ncbi-disease", ("bio", "span", "bioes", "tagger", "needy")),
        ("2016-T12", ("temporal", "joint")),
        ("2017-T3-A", ("ranking",)),
        ("chemprot", ("relation",)),
        ("gad", ("classify",)),
        ("ddi-2013", ("relation",)),
        ("hoc", ("multilabel",)),
        ("biosses", ("regress",)),
    ],
)
def test_a_head_fits_a_task_that_asks_for_what_it_predicts(known: Registry, task: str, fitting: tuple[str, ...]) -> None:
    part = known.get("tasks", task)
    assert known.heads_of(part) == fitting
    assert known.head(part).name == part.heads[0] == fitting[0]
    assert facts(part, known)["heads"] == [*fitting]


@pytest.mark.torch
def test_every_run_has_a_head_of_its_own(known: Registry) -> None:
    task = known.get("tasks", "2015-T14")
    one, other = known.head(task, "tagger"), known.head(task, "tagger")
    one.fit([Document("d", "fever", (Mention(((0, 5),)),))])
    assert isinstance(one, Tagger)
    assert isinstance(other, Tagger)
    assert (one.labels, other.labels) == (("Disorder",), ())
    assert one.kept == ["x"]
    assert one.kept is not other.kept
    assert known.get("heads", "tagger").state() == other.state()


def test_a_name_that_a_task_has_for_itself_is_its_own(known: Registry) -> None:
    own, plain = known.head(known.get("tasks", "2015-T14"), "span"), known.get("heads", "span")
    assert (type(own).__name__, type(plain).__name__) == ("SlotSpanHead", "SpanClassificationHead")


@pytest.mark.parametrize(
    ("task", "head", "message", "hint"),
    [
        ("2015-T14", "taggr", "Unknown head of 2015-T14 'taggr'. Did you mean 'tagger'?", "bench show task 2015-T14"),
        ("gad", "tagger", "Head 'tagger' predicts mentions; gad wants classes.", "These fit: classify."),
        (
            "chemprot",
            "joint",
            "Head 'joint' predicts mentions and relations; chemprot wants relations.",
            "These fit: relation.",
        ),
        ("gad", "temporal", "Unknown head of gad 'temporal'.", "bench show task gad"),
    ],
)
def test_a_head_that_does_not_fit_is_refused_before_anything_runs(
    known: Registry, task: str, head: str, message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        check(RunConfig(task=(task,), head=head), known)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_head_whose_packages_are_missing_names_the_command(known: Registry) -> None:
    with pytest.raises(MissingError, match="'needy' needs no_such_module_here") as caught:
        known.head(known.get("tasks", "bc2gm"), "needy")
    assert caught.value.hint == "Type: pip install 'needy[all]'"


@pytest.mark.torch
def test_the_version_of_an_added_head_is_part_of_a_run(known: Registry) -> None:
    task = known.get("tasks", "2015-T14")
    rest: dict[str, Any] = {"architecture": known.get("architectures", "A1"), "quantizer": known.get("quantizers", "none")}
    rest |= {"schedule": known.get("schedules", "joint"), "model": SimpleNamespace(part=None, name="m"), "schedule_options": {}}
    heads = {task.name: known.head(task)}
    parts = Parts({task.name: task}, heads, **rest, installed=(), when="after", trackers=())  # type: ignore[arg-type]
    assert [name for name in parts.versions() if name.startswith("head")] == []
    assert replace(parts, heads={task.name: known.head(task, "tagger")}).versions()["head tagger"] == "7"
    assert parts.fresh_head(task.name) is not parts.heads[task.name]


def test_a_head_must_say_what_it_is(known: Registry) -> None:
    class Bare(TokenClassificationHead):
        name, summary = "bare", ""

    known.add(Plugin(Bare(), Tagger, Tagger()), "third:heads", "third")
    reasons = [broken.reason for broken in known.broken if broken.distribution == "third"]
    assert reasons[0] == "the head Bare has summary = ''; it must be one line of text"
    assert "handed over the class Tagger" in reasons[1]
    assert "its head 'tagger' is left out: other:heads already has that name" in reasons[2]


def test_the_heads_of_bench_are_registered_as_anybody_s_are(known: Registry) -> None:
    ours = [entry.name for entry in known.entries("heads") if entry.distribution == "bench-suite"]
    assert ours == [head.name for head in bench_heads()]
    assert {type(make_head(name)) for name in ours} == {type(known.get("heads", name)) for name in ours}
    assert [singular(kind) for kind in ("heads", "studies", "tasks")] == ["head", "study", "task"]
