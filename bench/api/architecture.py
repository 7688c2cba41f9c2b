"""An architecture: what is trained over one base model, and how tasks share it.

Most are LoRA adapters, declared by an `Architecture`. Whatever else trains a base model is a `BaseArchitecture`, which attaches
a module of its own.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from bench.api.model import LinearShape, ModelSpec
from bench.api.part import Part
from bench.api.quantizer import When
from bench.errors import RunStateError
from bench.wording import some

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    _Module = nn.Module
else:
    _Module = object

BUDGET_GROUP = "budget"
"""The group of the arms that train as many parameters as ``--rank`` allows."""
UNMATCHED: Final = "not parameter-matched"
"""How a run of an arm outside every group is stamped."""
TRAINED_WEIGHTS = "trained.safetensors"


@dataclass(frozen=True)
class Adapter:
    """One LoRA adapter over every adapted linear layer, ``shared`` by all tasks or ``private`` to one.

    Its name is unique within the architecture: letters, digits, ``-`` and ``_``.
    """

    name: str
    role: Literal["shared", "private"]
    task: str | None = None


@dataclass(frozen=True)
class LoraVariant:
    """How the adapters of an architecture differ from plain LoRA; alpha is twice the rank in all of them.

    Args:
        dora: a magnitude for each output of an adapted layer is trained as well, and its parameters are paid out of the same
            budget. Source: Liu et al. 2024, DoRA, arXiv 2402.09353.
        rslora: the products are scaled by alpha / √rank instead of alpha / rank. Source: Kalajdzievski 2023, arXiv 2312.03732.
    """

    dora: bool = False
    rslora: bool = False


@dataclass(frozen=True)
class ParameterBudget:
    """How many parameters an arm of the group `BUDGET_GROUP` trains, heads left out.

    Args:
        rank: N, the flag ``--rank``.
        linears: every attention and MLP linear layer of the base model, in order.
        strict: False where the parity invariant is waived: an arm that the budget is too small for is then built with the
            fewest parameters it can have.
        base_name: the base model's name, for what is saved; None where it is not known.
        shared_ranks: shared adapter to its rank in each of `linears`, where a run starts from another one that has fixed them;
            empty where ranks are solved.
        frozen: whether what tasks share is not trained.
    """

    rank: int
    linears: tuple[LinearShape, ...]
    strict: bool = True
    base_name: str | None = None
    shared_ranks: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    frozen: bool = False

    @property
    def parameters(self) -> int:
        """N·S, where S = Σ(in+out) over the linear layers: what one adapter of rank N has."""
        return self.rank * sum(linear.inputs + linear.outputs for linear in self.linears)


class ArchitectureModule(_Module):
    """A base model with what an architecture trains of it. Subclasses inherit from this and `torch.nn.Module`, in that order.

    Only `trained` has to be written: the methods here save, load and count by it. The runner, the smoke gate, parity,
    checkpoints and evaluation know no more of an architecture than these methods.
    """

    backbone: nn.Module
    """The base model, the very object that `attach` was given: the tokens that enter it are counted at its door."""
    virtual_tokens: int = 0
    """`BaseArchitecture.virtual_tokens`; the core sets it."""
    frozen: frozenset[str] = frozenset()
    """Components that stay as they are, where the run says so; the core sets it."""

    def trained(self) -> Mapping[str, nn.Parameter]:
        """Every parameter that is trained, by a stable name, in a fixed order.

        The part of a name before its first dot is its component, such as ``fusion`` in ``fusion.query.weight``; parameters are
        counted and gradients reported by component.
        """
        raise NotImplementedError

    def forward(self, task: str, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Hidden states of the last layer, (batch, seq, hidden), of a batch of a task.

        `input_ids` and `attention_mask`, 1 at real tokens, are (batch, seq).
        """
        states: Tensor = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states

    def passes(self, task: str) -> int:
        """How often a batch of a task goes through the base model."""
        return 1

    def entering(self, task: str, tokens: int, windows: int) -> int:
        """Positions that enter the base model, over all passes, with so many tokens of text in so many windows of a task."""
        return (tokens + windows * self.virtual_tokens) * self.passes(task)

    def recomputing(self) -> AbstractContextManager[None]:
        """A context in which a layer of the pass under way is computed once more, in the backward pass, as it was before.

        Called while the pass is under way. A module whose passes differ in what is active restores here what was.
        """
        return nullcontext()

    def trainable(self, task: str) -> dict[str, nn.Parameter]:
        """Those of `trained` that a batch of this task uses."""
        return dict(self.trained())

    def shared(self) -> tuple[str, ...]:
        """The components that all tasks have in common: what another run can start from, and what it can freeze."""
        return tuple(self.components())

    def learning(self, task: str) -> dict[str, nn.Parameter]:
        """Those of `trainable` that are not frozen; the runner trains and counts by it."""
        return {n: p for n, p in self.trainable(task).items() if self.component(n) not in self.frozen}

    def freeze_shared(self) -> None:
        """Freezes what tasks share."""
        self.frozen = frozenset(self.shared())
        for name, parameter in self.trained().items():
            if self.component(name) in self.frozen:
                parameter.requires_grad_(False)

    def components(self) -> dict[str, list[nn.Parameter]]:
        """Component to its parameters."""
        parts: dict[str, list[nn.Parameter]] = {}
        for name, parameter in self.trained().items():
            parts.setdefault(self.component(name), []).append(parameter)
        return parts

    def component(self, name: str) -> str:
        """The component that a tensor of `trained` belongs to."""
        return name.partition(".")[0]

    def ranks(self) -> Mapping[str, int]:
        """Adapter to its commonest rank, for the table of the plan; empty where there is no such thing."""
        return {}

    def facts(self) -> dict[str, Any]:
        """What the result says of how the budget was spent, JSON-able."""
        counts = {name: sum(p.numel() for p in parts) for name, parts in self.components().items()}
        return {"components": counts, "total": sum(counts.values())}

    def observed(self) -> dict[str, float]:
        """Numbers on the last batch that are worth following, by name; the journal holds them for every update."""
        return {}

    def state(self) -> dict[str, Tensor]:
        """Every trained tensor by its name, detached, and whatever else a checkpoint needs of the module.

        They share their memory with the model, so clone them to keep them.
        """
        return {name: parameter.detach() for name, parameter in self.trained().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Copies what `state` gave back into the model; all of it or nothing.

        Raises:
            RunStateError: a tensor is missing, unknown or of another shape.
        """
        import torch

        trained = self.trained()
        match({n: tuple(p.shape) for n, p in trained.items()}, {n: tuple(t.shape) for n, t in state.items()})
        with torch.no_grad():
            for name, parameter in trained.items():
                parameter.copy_(state[name])

    def save(self, folder: Path) -> None:
        """Writes what was trained below a folder, in safetensors."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.cpu().contiguous() for name, tensor in self.state().items()}
        save_file(tensors, folder / TRAINED_WEIGHTS, metadata={"format": "pt"})

    def read(self, folder: Path, components: Collection[str]) -> dict[str, Tensor]:
        """What `save` wrote of some components, by the names of `trained`.

        Raises:
            RunStateError: a file is missing or damaged.
        """
        return {n: t for n, t in read_tensors(folder / TRAINED_WEIGHTS).items() if self.component(n) in components}

    def load(self, folder: Path) -> None:
        """Reads what `save` wrote.

        Raises:
            RunStateError: a file is missing or damaged, or its tensors are not those of this model.
        """
        self.load_state(self.read(folder, self.components()))

    def load_shared(self, folder: Path) -> None:
        """Reads what tasks share from what `save` wrote of a model for other tasks; the rest stays as it is.

        Raises:
            RunStateError: a file is missing or damaged, or its tensors are not those of this model.
        """
        shared = self.shared()
        rest = {name: tensor for name, tensor in self.state().items() if self.component(name) not in shared}
        self.load_state(rest | self.read(folder, shared))


class BaseArchitecture(Part):
    """Puts what it trains on a base model; everything else of a run is the core's.

    An arm outside every group, as all are by default, is compared with nothing: its runs are stamped *not parameter-matched*
    and `bench compare` refuses them unless ``--allow parameters`` is given.
    """

    group: ClassVar[str | None] = None
    """Arms of one group claim to train the same number of parameters, and the parity invariant holds them to it."""

    trains_base: ClassVar[bool] = False
    """Whether what is trained are weights of the base model and nothing else. They are then loaded in fp32, whatever the
    precision of products, and a quantizer takes them as trained."""

    virtual_tokens: ClassVar[int] = 0
    """Positions of the base model that it takes for itself beside every window, marked by the mask like tokens. Windows are as
    much shorter where the base model's input would not hold both, and the ledger counts the tokens of the text alone."""

    def parameters(self) -> Mapping[str, str]:
        """The group, for `bench show`."""
        return {"trainable parameters": UNMATCHED if self.group is None else f"matched within the group {self.group!r}"}

    def supports(self, spec: ModelSpec, quantized: When | None) -> str | None:
        """Why it cannot train this base model, or None. Asked at plan time; imports nothing heavy.

        `quantized` says when the run quantizes the base, ``load`` or ``after``; None where it does not.
        """
        return None

    def bound(self, levels: Mapping[str, int]) -> BaseArchitecture:
        """The architecture for the tasks of a run: itself, unless it treats tasks by their level.

        A level is 1 where mentions are found, 2 where something is said of a text or of its mentions.
        """
        return self

    @abstractmethod
    def attach(self, backbone: nn.Module, tasks: Sequence[str], budget: ParameterBudget) -> ArchitectureModule:
        """The base model with everything on it that is trained.

        Called on the real backbone, and on one of the ``meta`` device to count what is trained before any weight is loaded.
        What it draws at random comes from torch's global generator, which the core has seeded from ``--seed``.

        Args:
            backbone: what `AutoModel` gives, frozen, possibly quantized, without dropout. It may be changed in place.
            tasks: names of the run's tasks.
            budget: what an arm of `BUDGET_GROUP` may train; the others may ignore it.

        Raises:
            UsageError: it cannot be attached to this backbone.
            InvariantError: the budget is too small.
        """


class Architecture(BaseArchitecture):
    """Declares LoRA adapters and how they meet; the core solves the ranks, attaches, counts, saves and loads.

    A task's hidden states come from one or more passes of the base model, each with a set of adapters active (their deltas
    add up), joined by a fusion module where there is more than one pass.
    """

    group: ClassVar[str | None] = BUDGET_GROUP
    variant: ClassVar[LoraVariant] = LoraVariant()
    """The kind of LoRA."""

    @abstractmethod
    def adapters(self, tasks: Sequence[str]) -> tuple[Adapter, ...]:
        """The adapters for these tasks."""

    @abstractmethod
    def passes(self, task: str) -> tuple[tuple[str, ...], ...]:
        """Names of the adapters active in each pass of the base model for a batch of this task."""

    def fusion(self, hidden_size: int) -> nn.Module | None:
        """Joins the passes; shared by all tasks. None where every task has a single pass.

        Its ``forward(states)`` takes a list of (batch, seq, hidden) tensors and gives one of the same shape.
        """
        return None

    def attach(self, backbone: nn.Module, tasks: Sequence[str], budget: ParameterBudget) -> ArchitectureModule:
        """The adapters on the base model, at the ranks that the budget allows; see `bench.adapters.model.AdaptedModel`."""
        from bench.adapters.model import lora_model

        return lora_model(self, backbone, tasks, budget)


def match(wanted: Mapping[str, tuple[int, ...]], got: Mapping[str, tuple[int, ...]]) -> None:
    """Holds names and shapes of a stored state against the model's.

    Raises:
        RunStateError: naming the first tensor that differs, and how many do.
    """
    if odd := sorted(wanted.keys() - got.keys()):
        raise RunStateError(
            f"The stored state lacks {len(odd)} of {some(len(wanted), 'trainable tensor')}, such as {odd[0]!r}."
        )
    if odd := sorted(got.keys() - wanted.keys()):
        raise RunStateError(f"The stored state has {some(len(odd), 'tensor')} that this model does not, such as {odd[0]!r}.")
    for name, shape in wanted.items():
        if got[name] != shape:
            raise RunStateError(f"Tensor {name!r} is stored as {got[name]}; this model has {shape}.")


def read_tensors(path: Path, content: str = "Adapter weights") -> dict[str, Tensor]:
    """The tensors of a safetensors file of a run; `content` is what it holds, in the plural, for the error.

    Raises:
        RunStateError: it is missing or damaged.
    """
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
    except FileNotFoundError:
        raise RunStateError(f"{content} {path.parent.name}/{path.name} are not there.") from None
    except Exception as error:  # safetensors raises a class of its own for damaged files
        raise RunStateError(f"{content} {path.parent.name}/{path.name} cannot be read: {error}.") from None
    return tensors
