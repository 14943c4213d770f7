"""Training code shared by all models: schedule, moving average, batches and checkpoints."""

from __future__ import annotations

import copy
import io
import signal
import time
import types
import zipfile
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
from fetalstudio.core.errors import InputError, UserError, is_out_of_memory
from fetalstudio.formats.files import atomic_path

Module = TypeVar("Module", bound=nn.Module)
Batch = TypeVar("Batch")
_CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Linear warm-up, a plateau, then a cosine to zero.

    The decay starts at a share of ``steps``. A training that is resumed with a different ``steps``
    therefore decays at the right time.
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
        """Move towards the module. The first updates average over all values so far.

        A ``seasoned`` module was trained before, so its average begins with it and moves slowly.
        """
        self.updates += 1
        young = (1 + self.updates) / (10 + self.updates)
        decay = self.decay if self.seasoned else min(self.decay, young)
        values = module.state_dict()
        # All at once: otherwise a GPU would wait for the launch of hundreds of small kernels.
        move = get_ema_multi_avg_fn(decay)
        move([*self.shadow.values()], [values[k].float() for k in self.shadow], self.updates)

    def averaged(self, module: Module) -> Module:
        """A copy of ``module`` that holds the average."""
        result = copy.deepcopy(module)
        own = result.state_dict()
        result.load_state_dict({k: v.to(own[k].dtype) for k, v in self.shadow.items()})
        return result.eval()

    def state(self) -> dict[str, Any]:
        """The values for a checkpoint."""
        return {"shadow": self.shadow, "updates": self.updates}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the values of :meth:`state`."""
        # A checkpoint is read onto the CPU; the module may be elsewhere.
        self.shadow = {k: v.to(self.shadow[k].device) for k, v in state["shadow"].items()}
        self.updates = state["updates"]


@dataclass(frozen=True, slots=True)
class OptimizerSettings:
    """The settings of a training that do not depend on the model."""

    steps: int
    learning_rate: float
    weight_decay: float
    ema: float
    seed: int
    warmup: int = 100
    """Steps until the learning rate reaches its peak."""
    seasoned: bool = False
    """Whether the module was trained before."""
    plateau: float = 0.5
    """See :class:`Schedule`. Without warm-up, a plateau of 1 keeps the rate constant."""


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One run of a training: where it is kept and calculated, and who follows it.

    None of this changes what is learnt. A training may be resumed by a run that differs in it.
    """

    checkpoint: Path
    """The training resumes from this file if it exists, and is saved there."""
    on_step: Callable[[int, float], None] = lambda step, loss: None
    """Called after each step with (steps done, loss)."""
    stopped: Callable[[], bool] = lambda: False
    """Checked before each step. If it returns True, the state is saved and the training ends."""
    save_every_s: float = 120.0
    device: torch.device = _CPU
    workers: int = 0
    """Processes that draw the batches ahead, so that a GPU does not wait."""


def train_resumably(
    module: Module,
    draw: Callable[[np.random.Generator], Batch],
    loss_of: Callable[[Batch], Tensor],
    settings: OptimizerSettings,
    run: TrainingRun,
    keep: Mapping[str, Any],
) -> Module:
    """Train with AdamW, or resume. Returns the averaged module.

    The ``module`` is on the device of the ``run``. ``draw`` makes a batch on the CPU with a
    generator that is seeded by the step, so a resumed training sees the same batches as an
    uninterrupted one, with any number of workers. It must be picklable for workers. ``keep`` (plain
    values) is stored in the checkpoint. Raises :class:`UserError` if the loss is not finite or a
    checkpoint cannot be written.
    """
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    average = MovingAverage(module, settings.ema, seasoned=settings.seasoned)
    schedule = Schedule(settings.learning_rate, settings.steps, settings.warmup, settings.plateau)
    step = 0
    if state := load_checkpoint(run.checkpoint):
        module.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.restore(state["average"])
        step = state["step"]

    def save() -> None:
        parts = {"model": module.state_dict(), "optimizer": optimizer.state_dict()}
        save_checkpoint(run.checkpoint, {**keep, **parts, "average": average.state(), "step": step})

    saved_at = time.monotonic()
    for batch in _batches(_Drawn(draw, settings.seed, range(step, settings.steps)), run.workers):
        if run.stopped():
            break
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        loss = loss_of(batch)
        if not torch.isfinite(loss):
            # Stop before it reaches the weights and the checkpoint.
            raise UserError(
                f"The loss of the training is not a finite number after {step} steps. The last "
                f"checkpoint, {run.checkpoint}, is from before. Start a new training with a "
                "smaller learning rate."
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        average.update(module)
        step += 1
        run.on_step(step, loss.item())
        if time.monotonic() - saved_at > run.save_every_s:
            save()
            saved_at = time.monotonic()
    save()
    return average.averaged(module)


@dataclass(frozen=True, slots=True)
class _Drawn(Dataset[Batch]):
    """The batches of a range of steps."""

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
        # Otherwise it would draw from the global generator, which dropout uses too.
        generator=torch.Generator(),
    )
    return iter(loader)


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _one_thread(_worker: int) -> None:
    # OpenCV's threads do not survive the fork, and the processes already run in parallel.
    cv2.setNumThreads(0)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write plain values and tensors atomically; the previous checkpoint survives a crash.

    Raises :class:`UserError` like ``files.atomic_path``.
    """
    # Via memory, because torch reports a full disk as "unexpected pos".
    stream = io.BytesIO()
    torch.save(state, stream)
    with atomic_path(path) as temporary:
        temporary.write_bytes(stream.getbuffer())


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """Read what :func:`save_checkpoint` wrote, onto the CPU. None if there is no file.

    The checksums in the file are compared first. Raises :class:`InputError` for a damaged file.
    """
    if not path.exists():
        return None
    try:
        # PyTorch's files are zip archives with a checksum for each tensor, but it reads damaged
        # tensors without a word.
        with zipfile.ZipFile(path) as archive:
            if (damaged := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # PyTorch raises errors of many types for a damaged file.
        if is_out_of_memory(error):
            raise
        raise InputError(
            f"{path} is damaged ({error}), so this training cannot be resumed. Start a new one."
        ) from error
    return state


def autocast(device: torch.device) -> torch.autocast:
    """A context with bfloat16 if the hardware has instructions for it, else with float32.

    On a CPU without these instructions bfloat16 would be slower.
    """
    native = device.type == "cuda"
    if device.type == "cpu":
        can = torch.cpu.get_capabilities()
        native = bool(can.get("avx512_bf16") or can.get("amx_bf16"))
    return torch.autocast(device.type, torch.bfloat16, enabled=native)


def describe(device: torch.device) -> str:
    """Device and precision of a training in words, such as ``the CPU in bfloat16``."""
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
    """Within the block, SIGINT and SIGTERM only set the first entry of the yielded list.

    Trainings that were started from a shell then write a last checkpoint and end.
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
