"""What the compact models answer is computed once in each process of tests.

Hundreds of tests show the built-in models the same few sample frames, or draw images with the same
seeds, and most of their time goes into this. An answer is given again only to the same question by
the same weights, bit by bit, and once in each test: a test that asks twice, to see that the answers
are equal, has the second one computed.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import pytest
import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from fetalstudio.segmentation.compact import CompactEncoder
from fetalstudio.synthesis.pipeline import CompactPipeline

_MOST = 100
"""Answers of each kind that are kept, of about 1 MB each."""
_NETWORKS = CompactEncoder, UNet2DModel


def remember(patch: pytest.MonkeyPatch) -> None:
    """Let encoders and denoisers answer from memory during a test, except in training."""
    patch.setattr(CompactEncoder, "forward", _encoder.method())
    patch.setattr(CompactPipeline, "velocity", _denoiser.method())


class _Memory:
    """What ``compute``, a method of a model, answered; ``network`` finds the network it asks."""

    def __init__(self, compute: Callable[..., Tensor], network: Callable[[Any], nn.Module]) -> None:
        self._compute, self._network = compute, network
        self._known: OrderedDict[bytes, Tensor] = OrderedDict()

    def method(self) -> Callable[..., Tensor]:
        """The method with this memory, for one test."""
        asked: set[bytes] = set()

        def answer(model: Any, *question: Tensor) -> Tensor:
            network = self._network(model)
            replaced = type(network) not in _NETWORKS or "forward" in vars(network)
            if replaced or torch.is_grad_enabled():
                return self._compute(model, *question)
            key = _weights(network) + _digest(question)
            if key in asked or key not in self._known:
                self._known[key] = self._compute(model, *question)
            asked.add(key)
            self._known.move_to_end(key)
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
            return self._known[key].clone()

        return answer


_DIGESTS: WeakKeyDictionary[nn.Module, tuple[list[tuple[int, int]], bytes]] = WeakKeyDictionary()
"""Of the weights of each network, and where and in which version they were then."""


def _weights(network: nn.Module) -> bytes:
    """The digest of a network's weights. PyTorch counts the versions of a tensor, so that those of
    before need not be read again: that takes as long as many an answer."""
    tensors = tuple(network.state_dict().values())
    now = [(tensor.data_ptr(), tensor._version) for tensor in tensors]
    held = _DIGESTS.get(network)
    if held is None or held[0] != now:
        held = _DIGESTS[network] = now, _digest(tensors)
    return held[1]


def _digest(tensors: tuple[Tensor, ...]) -> bytes:
    digest = hashlib.sha1(usedforsecurity=False)
    digest.update(f"{torch.get_num_threads()} {torch.is_autocast_enabled('cpu')}".encode())
    for tensor in tensors:
        digest.update(f"{tensor.shape} {tensor.dtype}".encode())
        digest.update(tensor.cpu().contiguous().numpy().data)
    return digest.digest()


_encoder = _Memory(CompactEncoder.forward, lambda encoder: encoder)
_denoiser = _Memory(CompactPipeline.velocity, lambda pipeline: pipeline.unet)
