"""What every training here shares: schedule, moving average, batches, resumable checkpoints."""

from __future__ import annotations

import copy
import io
import signal
import time
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from fetalstudio import distributed
from fetalstudio.core.errors import UserError
from fetalstudio.formats.files import atomic_path

Module = TypeVar("Module", bound=nn.Module)
Batch = TypeVar("Batch")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Linear warm-up, a plateau, then a cosine to zero.

    The decay starts at a share of ``steps``, so a training resumed with another ``steps`` decays
    at the right time without having known it from the start.
    """

    peak: float
    steps: int
    warmup: int = 100
    plateau: float = 0.5
    """The decay starts at this share of ``steps``."""

    def rate(self, step: int) -> float:
        """Learning rate at ``step`` (0-based)."""
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        start = self.plateau * self.steps
        if step < start:
            return self.peak
        done = min((step - start) / max(self.steps - start, 1), 1.0)
        return self.peak * 0.5 * float(1 + torch.cos(torch.tensor(done * torch.pi)))


class MovingAverage:
    """An exponential moving average of a module's parameters, in float32."""

    def __init__(self, module: nn.Module, decay: float, *, seasoned: bool = False) -> None:
        self.decay, self.seasoned = decay, seasoned
        self.shadow = {k: v.detach().clone().float() for k, v in module.state_dict().items()}
        self.updates = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move towards the module; the first updates average over what there is so far.

        A ``seasoned`` module was trained before: its average begins with it and moves slowly.
        """
        self.updates += 1
        young = (1 + self.updates) / (10 + self.updates)
        decay = self.decay if self.seasoned else min(self.decay, young)
        values = module.state_dict()
        # All at once: one by one, a GPU waits for the starts of hundreds of small kernels.
        move = get_ema_multi_avg_fn(decay)
        move([*self.shadow.values()], [values[k].float() for k in self.shadow], self.updates)

    def averaged(self, module: Module) -> Module:
        """A copy of ``module`` that holds the average."""
        result = copy.deepcopy(module)
        result.load_state_dict(
            {k: v.to(result.state_dict()[k].dtype) for k, v in self.shadow.items()}
        )
        return result.eval()

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"shadow": self.shadow, "updates": self.updates}

    def restore(self, state: dict[str, Any]) -> None:
        """From :meth:`state`."""
        # A checkpoint is read onto the CPU; the module may be elsewhere.
        self.shadow = {k: v.to(self.shadow[k].device) for k, v in state["shadow"].items()}
        self.updates = state["updates"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training needs besides its module and its loss."""

    steps: int
    learning_rate: float
    weight_decay: float
    ema: float
    seed: int
    warmup: int = 100
    """Steps until the learning rate is at its peak."""
    seasoned: bool = False
    """The module was trained before."""
    plateau: float = 0.5
    """See :class:`Schedule`; no warm-up and a plateau of 1 keep the rate constant."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Who looks on."""

    on_step: Callable[[int, float], None] = lambda step, loss: None
    """Hears (steps done, loss)."""
    stopped: Callable[[], bool] = lambda: False
    """When it says so, the state is saved and the training ends."""
    save_every_s: float = 120.0


def train_resumably(
    module: Module,
    draw: Callable[[np.random.Generator], Batch],
    loss_of: Callable[[Batch], Tensor],
    plan: Plan,
    checkpoint: Path,
    *,
    watch: Watch,
    keep: Mapping[str, Any],
    workers: int = 0,
) -> Module:
    """Train with AdamW, or go on from ``checkpoint``; returns the averaged module.

    ``draw`` makes a batch, on the CPU, with the generator that it is given, which is seeded by the
    step: a resumed training sees what an unbroken one would have. So it does with any number of
    ``workers``, processes that draw ahead so that a GPU does not wait; ``draw`` must then be
    picklable. ``keep`` (plain values) is stored in the checkpoint too. Raises :class:`UserError`
    where the loss is no number any more, or a checkpoint cannot be written.
    """
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay
    )
    average = MovingAverage(module, plan.ema, seasoned=plan.seasoned)
    schedule = Schedule(plan.learning_rate, plan.steps, plan.warmup, plan.plateau)
    step = 0
    if state := load_checkpoint(checkpoint):
        module.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.restore(state["average"])
        step = state["step"]

    def save() -> None:
        parts = {"model": module.state_dict(), "optimizer": optimizer.state_dict()}
        save_checkpoint(checkpoint, {**keep, **parts, "average": average.state(), "step": step})

    saved_at = time.monotonic()
    for batch in _batches(_Drawn(draw, plan.seed, range(step, plan.steps)), workers):
        if watch.stopped():
            break
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        loss = loss_of(batch)
        if not torch.isfinite(loss):
            # Before it is in the weights, and in the checkpoint.
            raise UserError(
                f"The training's loss is no number after {step} steps. What was saved before is in "
                f"{checkpoint}. Choose a smaller learning rate."
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        average.update(module)
        step += 1
        watch.on_step(step, loss.item())
        if time.monotonic() - saved_at > watch.save_every_s:
            save()
            saved_at = time.monotonic()
    save()
    return average.averaged(module)


@dataclass(frozen=True, slots=True)
class _Drawn(Dataset[Batch]):
    """The batches of some steps."""

    draw: Callable[[np.random.Generator], Batch]
    seed: int
    steps: range

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> Batch:
        return self.draw(np.random.default_rng((self.seed, self.steps[index])))


def _batches(drawn: _Drawn[Batch], workers: int) -> Iterator[Batch]:
    if not workers:
        return (drawn[i] for i in range(len(drawn)))
    loader = DataLoader(
        drawn,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4,
        collate_fn=_as_it_is,
        worker_init_fn=_one_thread,
        # Without one of its own, it would take from the generator that dropout draws from.
        generator=torch.Generator(),
    )
    return iter(loader)


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _one_thread(_worker: int) -> None:
    # OpenCV's threads do not survive the fork, and the processes are parallel as it is.
    cv2.setNumThreads(0)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write plain values and tensors atomically; the previous checkpoint survives a crash.

    Raises :class:`UserError` as ``files.atomic_path``.
    """
    # Into memory first: of a full disk torch would say "unexpected pos".
    stream = io.BytesIO()
    torch.save(state, stream)
    with atomic_path(path) as temporary:
        temporary.write_bytes(stream.getbuffer())


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """What :func:`save_checkpoint` wrote, on the CPU, or None where there is nothing."""
    if not path.exists():
        return None
    return torch.load(path, map_location="cpu", weights_only=True)


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 where the hardware has instructions for it, else as it is.

    On a CPU without them it would take longer than float32.
    """
    native = device.type == "cuda"
    if device.type == "cpu":
        can = torch.cpu.get_capabilities()
        native = bool(can.get("avx512_bf16") or can.get("amx_bf16"))
    return torch.autocast(device.type, torch.bfloat16, enabled=native)


def describe(device: torch.device) -> str:
    """Where and in which numbers a training computes, for a person: ``the CPU in bfloat16``."""
    name = "the CPU"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    elif device.type != "cpu":
        name = "the graphics processor"
    with autocast(device):
        mixed = torch.is_autocast_enabled(device.type)
    return f"{name} in bfloat16" if mixed else name


def pick_device() -> torch.device:
    """This process' CUDA device, else Apple's, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", distributed.local_rank())
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


@contextmanager
def until_stopped() -> Iterator[list[bool]]:
    """Within the block, SIGINT and SIGTERM set the yielded list's first entry instead of killing.

    For trainings started from a shell: they write a last checkpoint and leave.
    """
    stopped = [False]

    def stop(_signal: int, _frame: types.FrameType | None) -> None:
        stopped[0] = True

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
