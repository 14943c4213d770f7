"""Low-rank changes of an encoder's weights (Hu et al. 2021), merged into the weights at the end.

Each weight is parametrized, so that any layer that reads it (linear, attention, convolution) gets
the sum of the original weight and the change.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


class _LowRank(nn.Module):
    """Adds ``up @ down`` of a given rank to a weight (out, ...); initially zero."""

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        outputs, inputs = weight.shape[0], weight[0].numel()
        self.down = nn.Parameter(torch.randn(rank, inputs).to(weight.device) / inputs**0.5)
        self.up = nn.Parameter(torch.zeros(outputs, rank, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        """The changed weight, of the same shape and dtype."""
        return weight + (self.up @ self.down).reshape(weight.shape).to(weight.dtype)


def add_lora(encoder: nn.Module, rank: int) -> list[nn.Parameter]:
    """Add changes to linear, attention and convolution layers; returns the trained parameters.

    Weights that are hardly larger than their change are left out.
    """
    added: list[nn.Parameter] = []
    for module, name in list(_weights(encoder)):
        weight: Tensor = getattr(module, name)
        if min(weight.shape[0], weight[0].numel()) > 2 * rank:
            change = _LowRank(weight, rank)
            parametrize.register_parametrization(module, name, change)
            added += [change.down, change.up]
    return added


def merged_state(module: nn.Module) -> dict[str, Tensor]:
    """The state dict with the changes merged into the weights, under the original keys."""
    state = {k: v for k, v in module.state_dict().items() if ".parametrizations." not in k}
    for name, part in module.named_modules():
        if isinstance(changed := getattr(part, "parametrizations", None), nn.ModuleDict):
            state |= {f"{name}.{weight}": getattr(part, weight).detach() for weight in changed}
    return state


def _weights(encoder: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    for module in encoder.modules():
        if isinstance(module, nn.MultiheadAttention):
            yield module, "in_proj_weight"
        elif isinstance(module, nn.Linear | nn.Conv2d):
            yield module, "weight"
