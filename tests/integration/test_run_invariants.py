"""Each invariant, broken by what it guards against, stops the run; waived, it is recorded and the run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from bench import runner  # noqa: E402
from bench.config import RunConfig  # noqa: E402
from bench.errors import InvariantError, RunStateError  # noqa: E402
from bench.heads.bio import TokenClassificationHead  # noqa: E402
from bench.pages.board import entries  # noqa: E402
from bench.registry import Registry, load  # noqa: E402
from bench.results.layout import RESULT  # noqa: E402
from bench.results.store import read_result  # noqa: E402

Make = Callable[..., RunConfig]
ARMS = {name: type(load().get("architectures", name)) for name in ("A1", "A4")}


class DeafHead(TokenClassificationHead):
    """Trains itself and gives the adapters no gradient."""

    def module(self, hidden_size: int) -> Any:
        module = super().module(hidden_size)
        loss = module.loss
        module.loss = lambda hidden, batch: loss(hidden.detach(), batch)  # type: ignore[method-assign]
        return module


class GrowingHead(TokenClassificationHead):
    """Has more parameters on a real device than on the meta device, where it is counted."""

    def module(self, hidden_size: int) -> Any:
        module = super().module(hidden_size)
        if next(module.parameters()).device.type != "meta":
            module.more = torch.nn.Parameter(torch.ones(7))
        return module


class WideFusion(ARMS["A4"]):  # type: ignore[misc, valid-type]
    """A fusion that is larger than the whole budget."""

    name = "Wide"
    summary = "adds parameters"

    def fusion(self, hidden_size: int) -> Any:
        class Wide(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.weight = torch.nn.Parameter(torch.ones(200_000))

            def forward(self, states: Any) -> Any:
                return (states[0] + states[1]) / 2 + self.weight.mean()

        return Wide()


def task_with(kit: Any, head: type[TokenClassificationHead]) -> Registry:
    """A registry whose task `cheat` has a head of its own."""
    return kit.with_parts(tasks=[kit.task_like("cheat", heads=("bio",), head=lambda self, name: head())])  # type: ignore[no-any-return]


@pytest.fixture
def cheat(tiny: Make, small_corpus: Path) -> Make:
    def make(**changes: Any) -> RunConfig:
        return tiny(**({"task": ("cheat",), "data": {"cheat": str(small_corpus)}, "waive": ()} | changes))

    return make


def stopped(config: RunConfig, registry: Registry, invariant: str, match: str) -> InvariantError:
    with pytest.raises(InvariantError, match=match) as caught:
        runner.run(config, registry)
    assert caught.value.invariant == invariant
    assert caught.value.exit_code == 3
    assert caught.value.message.startswith(f"Invariant '{invariant}' does not hold: ")
    assert not list(Path(config.out).rglob(RESULT))
    return caught.value


def waived(config: RunConfig, registry: Registry, *names: str) -> dict[str, Any]:
    path = runner.run(config, registry).result_path
    assert path is not None
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["waivers"] == list(names)
    for name, told in result["invariants"].items():
        assert told["status"] == ("waived" if name in names else "held")
    found: dict[str, Any] = result["invariants"]
    return found


def test_a_run_that_a_gate_refused_is_no_unfinished_one(tiny: Make) -> None:
    config = tiny(lr=0.0, waive=())
    error = stopped(config, load(), "smoke", "learning rate 0;")
    assert error.resume is None  # there is nothing to go on from
    (entry,) = entries(Path(config.out))
    assert entry.state == "refused"
    with pytest.raises(RunStateError, match="'smoke' refused it"):
        read_result(Path(config.out) / entry.id)
    stopped(config, load(), "smoke", "learning rate 0;")  # typed again, it is tried again
    assert len(list(entries(Path(config.out)))) == 1


def test_a_head_that_trains_while_the_adapters_do_not(kit: Any, cheat: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.invariants import diagnosis

    registry = task_with(kit, DeafHead)
    # Every loss passes here, so that nothing but the gradients can tell.
    monkeypatch.setattr(diagnosis, "HALF", 1e9)
    error = stopped(cheat(arch="A4"), registry, "smoke", r"cheat: \d+ of \d+ trainable tensors")
    assert "(LoRA A, LoRA B, fusion) have a gradient or an update of zero" in error.message
    assert "the loss over" not in error.message
    assert "what is frozen" in str(error.hint)
    told = waived(cheat(arch="A4", waive=("smoke",)), registry, "smoke")
    assert told["smoke"]["passed"] is False
    assert told["smoke"]["dead"]["cheat"]
    assert told["smoke"]["gradients"]["cheat"]["head"] > 0
    assert told["smoke"]["gradients"]["cheat"]["LoRA A"] == 0


def test_a_learning_rate_of_zero(tiny: Make) -> None:
    error = stopped(tiny(lr=0.0, waive=()), load(), "smoke", "learning rate 0;")
    assert "The learning rate is 0: set --lr." in str(error.hint)
    assert waived(tiny(lr=0.0), load(), "smoke")["smoke"]["lr"] == 0


def test_a_head_that_hides_tokens(kit: Any, cheat: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hiding(TokenClassificationHead):
        """Gives the base model a mask of its own, with the first token of every window hidden."""

        def encode(self, window: Any, gold: Any) -> Any:
            encoding = super().encode(window, gold)
            return type(encoding)(
                dict(encoding.columns) | {"length": [len(window.input_ids)]}, encoding.supervised, encoding.lost
            )

        def collate(self, rows: Any, words: int) -> Any:
            lengths = [row["length"][0] for row in rows]
            mask = torch.zeros(len(rows), max(lengths), dtype=torch.long)
            for i, length in enumerate(lengths):
                mask[i, 1:length] = 1
            return super().collate(rows, words) | {"attention_mask": mask}

    registry = task_with(kit, Hiding)
    stopped(cheat(waive=("smoke",)), registry, "tokens", r"at update 1 the base model saw \d+ tokens where .* hold \d+")
    told = waived(cheat(waive=("smoke", "tokens")), registry, "smoke", "tokens")
    assert told["tokens"]["disagreements"] == 6


def test_an_architecture_that_adds_parameters(kit: Any, tiny: Make) -> None:
    registry = kit.with_parts(architectures=[WideFusion()])
    stopped(tiny(arch="Wide"), registry, "parity", "Wide")
    # Every arm of the group is held against every other, whichever of them runs.
    stopped(tiny(arch="A1"), registry, "parity", "Wide")
    told = waived(tiny(arch="Wide", waive=("smoke", "parity")), registry, "smoke", "parity")
    row = next(row for row in told["parity"]["rows"] if row["arm"] == "Wide")
    assert row["fusion"] == 200_000


def test_an_architecture_that_cannot_be_counted_stops_its_own_runs_only(
    kit: Any, tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Raises(ARMS["A1"]):  # type: ignore[misc, valid-type]
        name = "Raises"

        def adapters(self, tasks: Any) -> Any:
            raise KeyError("whoops")

    registry = kit.with_parts(architectures=[Raises()])
    stopped(tiny(arch="Raises"), registry, "parity", "Raises cannot be counted: KeyError: 'whoops'")
    told = kit.Told()
    rows: list[Any] = []
    monkeypatch.setattr(told, "table", lambda title, columns, found: rows.extend(found), raising=False)
    outcome = runner.run(tiny(), registry, dry_run=True, console=told)
    assert outcome.plan["parity"]["uncounted"] == {"Raises": "KeyError: 'whoops'"}
    assert told.said("Parity says nothing of what cannot be counted (Raises: KeyError: 'whoops')")
    (row,) = [row for row in rows if row[0] == "Raises"]
    assert row[-1] == "cannot be counted"
    held = waived(tiny(), registry, "smoke")["parity"]
    assert (held["status"], held["holds"], list(held["uncounted"])) == ("held", True, ["Raises"])


def test_a_head_that_grows_after_it_was_counted(kit: Any, cheat: Make) -> None:
    stopped(cheat(waive=("smoke",)), task_with(kit, GrowingHead), "parity", "cheat")


def test_an_event_hook_that_unfreezes_the_base_model(kit: Any, tiny: Make) -> None:
    import gc

    from bench.adapters.model import AdaptedModel

    def unfreeze(event: Any) -> None:
        if (event.kind, event.step) == ("step", 2):
            for found in gc.get_objects():
                if type(found) is AdaptedModel:
                    next(p for p in found.backbone.parameters() if p.is_floating_point()).requires_grad_(True)

    registry = load()
    registry.add(kit.Observer(unfreeze), "test:unfreeze", "test")
    stopped(tiny(), registry, "parity", "base model")


def test_a_base_model_that_a_quantizer_unfroze_is_frozen_again(kit: Any, tiny: Make) -> None:
    plain = type(load().get("quantizers", "rtn"))

    class Loose(plain):  # type: ignore[misc, valid-type]
        name = "loose"
        when = ("load",)

        def load(self, *args: Any) -> Any:
            return super().load(*args).requires_grad_(True)

    registry = kit.with_parts(quantizers=[Loose()])
    config = tiny(quant="loose")
    told = waived(config, registry, "smoke")
    # The real model is counted before and after training and must agree with the plan, in which the base trains nothing.
    assert told["parity"]["holds"] is True


def test_a_memory_limit_too_tiny(tiny: Make) -> None:
    error = stopped(tiny(micro_batch=None, memory_limit=1 << 20), load(), "batch", "one example of .* needs at least")
    assert "the limit is 1.0 MiB" in error.message
    told = waived(tiny(micro_batch=None, memory_limit=1 << 20, waive=("smoke", "batch")), load(), "smoke", "batch")
    assert told["batch"]["limit"] == 1 << 20


def test_smoke_leaves_weights_and_random_state_as_it_found_them(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import random

    import numpy as np

    from bench.invariants.checkpoint import random_state
    from bench.steps import gates

    seen: dict[str, Any] = {}
    real = gates.run_smoke

    def watched(trainer: Any, *rest: Any) -> Any:
        def look() -> Any:
            tensors, others = random_state()
            modes = [module.training for module in trainer.model.modules()]
            drops = [getattr(module, "p", None) for module in trainer.model.modules()]
            return {n: p.clone() for n, p in trainer.model.named_parameters()}, tensors, others, modes, drops

        random.seed(7), np.random.seed(7), torch.manual_seed(7)
        before = look()
        report = real(trainer, *rest)
        after = look()
        assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])
        assert all(torch.equal(before[1][name], after[1][name]) for name in before[1])
        assert before[2:] == after[2:]
        assert all(p.grad is None for p in trainer.model.parameters())
        assert trainer.step == trainer.sampler.tokens == trainer.ledger.tokens == 0
        assert not trainer.optimizer.state
        assert report.curve["2015-T14"][0] != report.curve["2015-T14"][-1]
        seen.update(examples=report.examples)
        return report

    monkeypatch.setattr(gates, "run_smoke", watched)
    runner.run(tiny(arch="A4", steps=1, eval_every=1), load())
    assert seen["examples"] == {"2015-T14": 8}


def test_without_the_checkpoint_invariant_only_the_best_and_the_last_are_written(tiny: Make) -> None:
    config = {"steps": 6, "eval_every": 6, "checkpoint_every": 1}
    for waive, written in ((("smoke",), 6), (("smoke", "checkpoint"), 1)):
        outcome = runner.run(tiny(**config, waive=waive), load())
        assert outcome.folder is not None
        found = json.loads((outcome.folder / RESULT).read_text(encoding="utf-8"))
        assert found["invariants"]["checkpoint"]["written"] == written
        assert found["waivers"] == list(waive)
        assert found["invariants"]["checkpoint"]["status"] == ("waived" if "checkpoint" in waive else "held")
