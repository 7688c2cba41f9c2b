"""A frozen base model with LoRA adapters, routed by task: what a declared architecture attaches."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from math import sqrt
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.adapters import naming
from bench.adapters.fused import fuse
from bench.adapters.ranks import FUSION, AdapterRanks, RankPlan, solve_ranks
from bench.api.architecture import Architecture, ArchitectureModule, LoraVariant, ParameterBudget, read_tensors
from bench.errors import InvariantError, UsageError
from bench.modeling.noise import let_peft_look_again
from bench.wording import some

WEIGHTS = "adapter_model.safetensors"
FUSION_WEIGHTS = "fusion.safetensors"


def lora_model(
    architecture: Architecture,
    backbone: nn.Module,
    tasks: Sequence[str],
    budget: ParameterBudget,
    kind: type[AdaptedModel] | None = None,
) -> AdaptedModel:
    """A backbone with an architecture's adapters, at the ranks that are solved for a budget.

    Args:
        architecture: declares them.
        backbone: changed in place.
        tasks: of the run.
        budget: of trained parameters.
        kind: the class of the model; `AdaptedModel` where None.

    Raises:
        InvariantError: the budget is too small, or the fusion cannot be counted.
        UsageError: the architecture declares what cannot be, or the backbone lacks a layer.
    """
    fusion = fusion_parameters(architecture, _hidden_size(backbone))
    plan = solve_ranks(
        architecture, tasks, budget.linears, budget.rank, fusion, refuse=budget.strict, shared=budget.shared_ranks
    )
    return (kind or AdaptedModel)(backbone, architecture, tasks, plan, base_name=budget.base_name)


def fusion_parameters(architecture: Architecture, hidden_size: int) -> int:
    """Parameters of an architecture's fusion, counted on the meta device; 0 where it has none.

    Raises:
        InvariantError: a parameter takes its shape only when it is first used, so that nothing can be counted beforehand.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        fusion = architecture.fusion(hidden_size)
    parameters = list(fusion.parameters()) if fusion is not None else []
    if any(isinstance(parameter, nn.UninitializedParameter) for parameter in parameters):
        raise InvariantError("parity", f"the fusion of {architecture.name} has lazy parameters, which cannot be planned.")
    return sum(parameter.numel() for parameter in parameters)


class AdaptedModel(ArchitectureModule, nn.Module):
    """The base model with an architecture's adapters on it; nothing else trains.

    The backbone is changed in place: its linear layers are wrapped by PEFT and its parameters frozen. What is active is set
    for every pass and never touches ``requires_grad``.

    Initialisation takes one draw from torch's global generator, whatever the architecture, so that what is made afterwards
    (heads) starts the same in every arm. Each layer's A is drawn row by row from a stream of its own, so that the shared
    adapter of rank 8 in A3 starts as the first 8 rows of A1's of rank 16; B starts at zero, and DoRA's magnitudes at the
    norms of the base model's weights.

    Args:
        backbone: what `AutoModel` gives, possibly quantized, possibly on the meta device.
        architecture: which adapters are active in which pass.
        tasks: names of the tasks, in the order the plan was solved for.
        plan: the ranks.
        dropout: of the input of every LoRA layer while training. 0 by default: every adapter of a pass would draw a mask of
            its own, and arms with more adapters or passes would be regularised differently.
        base_name: the base model's name, stored in ``adapter_config.json``; of a path only the last part is, since the rest may
            name the user.

    Raises:
        UsageError: the architecture lacks a fusion it needs, has one that no task uses, or the backbone lacks a layer.
    """

    def __init__(
        self,
        backbone: nn.Module,
        architecture: Architecture,
        tasks: Sequence[str],
        plan: RankPlan,
        *,
        dropout: float = 0.0,
        base_name: str | None = None,
    ) -> None:
        super().__init__()
        self.plan = plan
        self.tasks = tuple(tasks)
        self._routes = {task: tuple(tuple(names) for names in architecture.passes(task)) for task in self.tasks}
        _mark_quantized(backbone)
        seed = int(torch.randint(2**62, ()).item()) if _device(backbone).type != "meta" else 0
        with torch.random.fork_rng(devices=[]), _device_of(backbone):
            torch.default_generator.manual_seed(seed)
            fusion = architecture.fusion(_hidden_size(backbone))
        self.fusion: nn.Module | None = fusion.to(_device(backbone)) if fusion is not None else None
        if fusion is not None and not all(parameter.requires_grad for parameter in fusion.parameters()):
            raise UsageError(f"The fusion of {architecture.name!r} holds a frozen parameter; what is not trained is a buffer.")
        fused = any(len(passes) > 1 for passes in self._routes.values())
        if fused != (fusion is not None):
            what = "has tasks with several passes and no fusion" if fused else "has a fusion that no task uses"
            raise UsageError(f"Architecture {architecture.name!r} {what}.", f"Run 'bench check {architecture.name}'.")
        self.peft = _inject(backbone, plan, architecture.variant, dropout, base_name)
        self._layers: dict[str, LoraLayer] = {
            name: layer for name, layer in self.backbone.named_modules() if isinstance(layer, LoraLayer)
        }
        self._active: list[str] = []
        for layer in self._layers.values():
            fuse(layer)
        planned = {linear.name for ranks in plan.adapters.values() for linear, _ in ranks.ranks}
        if planned != set(self._layers):
            odd = sorted(planned ^ set(self._layers))
            raise UsageError(
                f"The adapters were to sit on {some(len(planned), 'layer')}; {len(odd)} differ, such as {odd[0]!r}."
            )
        self._trainable = dict(self._collect())
        self._initialise(seed)

    @property
    def backbone(self) -> nn.Module:  # type: ignore[override]
        """The base model with the LoRA layers in it; every pass calls it, so a forward pre-hook sees every attention mask."""
        return cast(nn.Module, self.peft.base_model.model)

    def forward(self, task: str, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Hidden states of the last layer, (batch, seq, hidden).

        Args:
            task: whose adapters are active.
            input_ids: (batch, seq).
            attention_mask: (batch, seq), 1 at real tokens.
        """
        states = [self.one_pass(task, index, input_ids, attention_mask) for index in range(self.passes(task))]
        if len(states) == 1 or self.fusion is None:
            return states[0]
        return cast(Tensor, self.fusion(states))

    def one_pass(self, task: str, index: int, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Hidden states of one of a task's passes, (batch, seq, hidden), with the adapters of that pass."""
        self._activate(self._routes[task][index])
        states: Tensor = self.backbone(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states

    def route(self, task: str) -> tuple[tuple[str, ...], ...]:
        """Names of the adapters of each pass of a task."""
        return self._routes[task]

    def passes(self, task: str) -> int:
        """Passes of the base model that a batch of this task takes."""
        return len(self._routes[task])

    def trained(self) -> Mapping[str, nn.Parameter]:
        """Every parameter: ``adapter.<adapter>.<linear>.A`` and ``.B``, DoRA's ``.M``, and ``fusion.<parameter>``."""
        return self._trainable

    def trainable(self, task: str) -> dict[str, nn.Parameter]:
        """Name to parameter of the adapters and the fusion that this task uses, named as in `state`."""
        used = {name for names in self._routes[task] for name in names}
        if self.passes(task) > 1:
            used.add(FUSION)
        return {name: parameter for name, parameter in self._trainable.items() if naming.component(name) in used}

    def shared(self) -> tuple[str, ...]:
        """The shared adapters and the fusion."""
        adapters = (name for name, ranks in self.plan.adapters.items() if ranks.adapter.role == "shared")
        return (*adapters, *(() if self.fusion is None else (FUSION,)))

    def components(self) -> dict[str, list[nn.Parameter]]:
        """Every adapter by its name, and ``fusion`` with whatever it holds by now, for it may grow in its forward."""
        return super().components() | ({} if self.fusion is None else {FUSION: list(self.fusion.parameters())})

    def component(self, name: str) -> str:
        """The adapter, or ``fusion``, that a tensor belongs to."""
        return naming.component(name)

    def ranks(self) -> Mapping[str, int]:
        """Adapter to its commonest rank."""
        return {name: ranks.base for name, ranks in self.plan.adapters.items()}

    def facts(self) -> dict[str, Any]:
        """The ranks, layer by layer where they differ."""
        return self.plan.as_json()

    def save(self, folder: Path) -> None:
        """Writes every adapter in PEFT's own format to ``folder/<adapter>``, and ``fusion.safetensors``.

        `peft.PeftModel.from_pretrained(backbone, folder / adapter)` loads an adapter on its own.
        """
        state = {name: tensor.cpu().contiguous() for name, tensor in self.state().items()}
        for adapter in self.plan.adapters:
            place = folder / adapter
            place.mkdir(parents=True, exist_ok=True)
            config = copy(self.peft.peft_config[adapter])
            config.inference_mode = True
            config.save_pretrained(str(place))
            tensors = {naming.to_peft(name): t for name, t in state.items() if naming.component(name) == adapter}
            save_file(tensors, place / WEIGHTS, metadata={"format": "pt"})
        if fusion := {name.removeprefix(f"{FUSION}."): t for name, t in state.items() if naming.component(name) == FUSION}:
            save_file(fusion, folder / FUSION_WEIGHTS, metadata={"format": "pt"})

    def read(self, folder: Path, components: Collection[str]) -> dict[str, Tensor]:
        """What `save` wrote of some adapters, and of the fusion."""
        state: dict[str, Tensor] = {}
        for adapter in self.plan.adapters:
            if adapter in components:
                state |= {naming.from_peft(adapter, name): t for name, t in read_tensors(folder / adapter / WEIGHTS).items()}
        if FUSION in components:
            state |= {f"{FUSION}.{name}": tensor for name, tensor in read_tensors(folder / FUSION_WEIGHTS).items()}
        return state

    def recomputing(self) -> AbstractContextManager[None]:
        """The adapters of the present pass are active; in the backward pass those of the last one would be."""
        return self._with(self._active)

    @contextmanager
    def _with(self, names: Sequence[str]) -> Iterator[None]:
        before = self._active
        if names != before:
            self._activate(names)
        try:
            yield
        finally:
            if names != before:
                self._activate(before)

    def _activate(self, names: Sequence[str]) -> None:
        # PEFT's own set_adapter flips requires_grad and is some thirty times slower; this is the one place that goes around it.
        active = self._active = list(names)
        for layer in self._layers.values():
            layer._active_adapter = active

    def _collect(self) -> Iterable[tuple[str, nn.Parameter]]:
        for adapter, ranks in self.plan.adapters.items():
            for linear, _ in ranks.ranks:
                layer = self._layers[linear.name]
                for letter, half in (("A", layer.lora_A), ("B", layer.lora_B)):
                    yield naming.stable(adapter, linear.name, letter), half[adapter].weight
                if adapter in layer.lora_magnitude_vector:
                    yield naming.stable(adapter, linear.name, naming.MAGNITUDE), layer.lora_magnitude_vector[adapter].weight
        if self.fusion is not None:
            for name, parameter in self.fusion.named_parameters():
                yield f"{FUSION}.{name}", parameter

    @torch.no_grad()
    def _initialise(self, seed: int) -> None:
        for name, parameter in self._trainable.items():
            if naming.component(name) == FUSION or parameter.is_meta or name.endswith(f".{naming.MAGNITUDE}"):
                continue
            if name.endswith(".B"):
                parameter.zero_()
                continue
            generator = torch.Generator().manual_seed(naming.stream(seed, name))
            bound = 1 / sqrt(parameter.shape[1])  # PEFT's kaiming_uniform_(a=√5); it does not depend on the rank
            parameter.copy_(torch.empty(parameter.shape, dtype=torch.float32).uniform_(-bound, bound, generator=generator))


def _inject(backbone: nn.Module, plan: RankPlan, variant: LoraVariant, dropout: float, base_name: str | None) -> PeftModel:
    """Wraps the backbone's linears, freezes it, and leaves every adapter active and trainable."""
    names = list(plan.adapters)
    let_peft_look_again()
    # PEFT draws starting values that are overwritten; the global generator must not advance.
    with torch.random.fork_rng(devices=[]), _device_of(backbone), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)  # PEFT's, not ours
        first = _config(plan.adapters[names[0]], variant, dropout, base_name)
        try:
            model = PeftModel(backbone, first, adapter_name=names[0], autocast_adapter_dtype=True)
        except ValueError as error:  # such as Mamba, whose kernels read a layer's weight without calling the layer
            reason = " ".join(str(error).split())[:160].rstrip(".")
            raise UsageError(f"PEFT does not adapt this base model ({reason}).", "Take another base model.") from error
        for name in names[1:]:
            model.add_adapter(name, _config(plan.adapters[name], variant, dropout, base_name), autocast_adapter_dtype=True)
    model.base_model.set_adapter(names)
    return model


def _config(ranks: AdapterRanks, variant: LoraVariant, dropout: float, base_name: str | None) -> LoraConfig:
    patterns = {naming.pattern(name): rank for name, rank in ranks.pattern.items()}
    return LoraConfig(
        task_type="FEATURE_EXTRACTION",
        base_model_name_or_path=Path(base_name).name if base_name and Path(base_name).is_absolute() else base_name,
        r=ranks.base,
        lora_alpha=2 * ranks.base,
        rank_pattern=patterns,
        alpha_pattern={name: 2 * rank for name, rank in patterns.items()},
        target_modules=naming.targets([linear.name for linear, _ in ranks.ranks]),
        lora_dropout=dropout,
        bias="none",
        use_dora=variant.dora,
        use_rslora=variant.rslora,
    )


def _mark_quantized(backbone: nn.Module) -> None:
    """Marks a quantized backbone as PEFT wants it."""
    kinds = {type(module).__name__ for module in backbone.modules()}
    flags = {"is_loaded_in_8bit": "Linear8bitLt" in kinds, "is_loaded_in_4bit": bool(kinds & {"Linear4bit", "LinearNF4"})}
    for flag, present in flags.items():
        if present:  # PEFT picks its layer class by these, which only transformers' own loading sets
            setattr(backbone, flag, True)


def _device(backbone: nn.Module) -> torch.device:
    return next(backbone.parameters()).device


def _device_of(backbone: nn.Module) -> torch.device:
    """Where new tensors are made: the CPU, so that they start the same on every device, unless there are to be no values."""
    device = _device(backbone)
    return device if device.type == "meta" else torch.device("cpu")


def _hidden_size(backbone: nn.Module) -> int:
    config: Any = backbone.config
    return int(config.hidden_size)
