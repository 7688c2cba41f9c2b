"""The module of `bench_plugins.architectures.prompts.Prompt`: vectors before the input."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from peft import PromptTuningConfig
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.adapters.model import WEIGHTS
from bench.api.architecture import ArchitectureModule, read_tensors

PROMPT = "prompt"
_PEFT = "prompt_embeddings"


class PromptModel(ArchitectureModule, nn.Module):
    """A frozen backbone and the vectors before its input, which start as embeddings of tokens drawn at random.

    Args:
        backbone: takes embeddings in the place of token ids.
        count: of vectors.
        base_name: the base model's name, for what is saved.
    """

    def __init__(self, backbone: nn.Module, count: int, base_name: str | None) -> None:
        super().__init__()
        self.backbone, self.base_name = backbone, base_name
        table = cast(Any, backbone).get_input_embeddings().weight
        drawn = torch.randint(len(table), (count,)).to(table.device)
        self.prompt = nn.Parameter(table.detach()[drawn].float().clone())

    def trained(self) -> Mapping[str, nn.Parameter]:
        """The vectors, (count, hidden)."""
        return {PROMPT: self.prompt}

    def forward(self, task: str, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Hidden states of the text's own positions, (batch, seq, hidden)."""
        backbone: Any = self.backbone
        text = backbone.get_input_embeddings()(input_ids)
        before = self.prompt.to(text.dtype).expand(len(text), -1, -1)
        marked = attention_mask.new_ones(before.shape[:2])
        states: Tensor = backbone(
            inputs_embeds=torch.cat([before, text], 1), attention_mask=torch.cat([marked, attention_mask], 1)
        ).last_hidden_state
        return states[:, len(self.prompt) :]

    def facts(self) -> dict[str, Any]:
        """What is trained, and how many vectors that is."""
        return {**super().facts(), "virtual_tokens": len(self.prompt)}

    def save(self, folder: Path) -> None:
        """Writes PEFT's own format; `peft.PeftModel.from_pretrained(backbone, folder / "prompt")` loads it."""
        config: Any = cast(Any, self.backbone).config
        name = self.base_name
        place = folder / PROMPT
        place.mkdir(parents=True, exist_ok=True)
        PromptTuningConfig(
            task_type="FEATURE_EXTRACTION",
            base_model_name_or_path=Path(name).name if name and Path(name).is_absolute() else name,
            inference_mode=True,
            num_virtual_tokens=len(self.prompt),
            token_dim=self.prompt.shape[1],
            num_transformer_submodules=1,
            num_attention_heads=config.num_attention_heads,
            num_layers=config.num_hidden_layers,
        ).save_pretrained(str(place))
        save_file({_PEFT: self.prompt.detach().cpu().contiguous()}, place / WEIGHTS, metadata={"format": "pt"})

    def read(self, folder: Path, components: Collection[str]) -> dict[str, Tensor]:
        """What `save` wrote; there is one component."""
        stored = read_tensors(folder / PROMPT / WEIGHTS)
        return {PROMPT if name == _PEFT else name: tensor for name, tensor in stored.items()}
