"""The weights that a fine-tuning changes, with their optimizer and their moving average."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from fetalstudio.learning import MovingAverage
from fetalstudio.segmentation.lora import merged_state
from fetalstudio.segmentation.segmenter import Segmenter


class TunedWeights:
    """``parameters`` of a segmenter, which change from step to step."""

    def __init__(
        self,
        segmenter: Segmenter,
        plain: Segmenter,
        parameters: Sequence[nn.Parameter],
        optimizer: torch.optim.Optimizer,
        decay: float,
    ) -> None:
        """``plain`` is the segmenter itself, or a copy from before low-rank changes were added.

        ``decay`` is that of the moving average, by step; the average begins with the weights as
        they are.
        """
        self.segmenter, self.plain, self.optimizer = segmenter, plain, optimizer
        self.parameters = nn.ParameterList(parameters)
        self._average = MovingAverage(self.parameters, decay, seasoned=True)

    def step(self) -> None:
        """One optimizer step along the gradients of the parameters, then update the average."""
        self.optimizer.step()
        self._average.update(self.parameters)

    @contextmanager
    def averaged(self) -> Iterator[Segmenter]:
        """The plain segmenter with the average for its weights; low-rank changes are merged."""
        live = [p.detach().clone() for p in self.parameters]
        self._set(self._average.shadow.values())
        if self.plain is not self.segmenter:
            self.plain.sam.load_state_dict(merged_state(self.segmenter.sam))
        try:
            yield self.plain
        finally:
            self._set(live)

    def state(self) -> dict[str, Any]:
        """What :meth:`restore` needs to resume the training from here."""
        trained = [p.detach().clone() for p in self.parameters]
        optimizer, average = self.optimizer.state_dict(), self._average.state()
        return {"trained": trained, "optimizer": optimizer, "average": average}

    def restore(self, state: Mapping[str, Any]) -> None:
        """From :meth:`state`."""
        self._set(state["trained"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._average.restore(state["average"])

    @torch.no_grad()
    def _set(self, values: Iterable[Tensor]) -> None:
        for parameter, value in zip(self.parameters, values, strict=True):
            parameter.copy_(value)
