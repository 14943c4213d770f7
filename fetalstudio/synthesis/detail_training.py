"""Training the detail stage against a critic that sees real and made patches.

Real frames are reduced to the canvas, and drawn again or made from nothing by the synthesizer. The
critic has to distinguish what the detail stage makes of these canvases from the real frames. What
the network sees are patches of both at the frame's own size, so it cannot remember anatomy.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from fetalstudio.core.augment import NONE, augment
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine, letterbox
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.probe import Probe
from fetalstudio.core.sector import sector_mask
from fetalstudio.learning import (
    MovingAverage,
    Schedule,
    TrainingRun,
    autocast,
    load_checkpoint,
    save_checkpoint,
)
from fetalstudio.synthesis.conditions import CANVAS, Condition
from fetalstudio.synthesis.detail import (
    CELL,
    CONDITIONS,
    DetailNet,
    beam_maps,
    lent_by,
    noise_of,
)
from fetalstudio.synthesis.pipeline import CompactPipeline

PATCH = 96
"""Side in px of the patches."""
SIZES = (0.55, 0.75, 1.0, 1.3)
"""Factors by which frames are resized, so that other scales of the canvas are learnt too."""
_SHARES = (0.2, 0.4, 1.0)
"""Cumulative shares of canvases that are reduced real frames, drawn again, and made."""
_LEVELS = (0.2, 0.55)
"""Noise levels from which real canvases are drawn again."""
_ON_HEAD = 0.7
"""Share of patches that lie on the head."""
_REACH = 1.1
_CRITICS_PACE = 2.0
"""How much faster the critic learns than the network."""
_KEPT = 10
"""Side in px of the blocks whose mean stays that of the canvas."""
_FINE = 4.0
"""How much stronger the critic sees fine detail."""
_POWER = 3e-4
"""What the mean square of the detail comes to. Relative to its own, less detail would do."""
_TEXTURED = 3.0
"""Patches with less spread, in grey levels, teach nothing."""


@dataclass(frozen=True, slots=True)
class DetailSettings:
    """What the training of a detail stage depends on besides its data."""

    steps: int = 8000
    batch: int = 16
    width: int = 16
    learning_rate: float = 4e-4
    ema: float = 0.999
    warmup: int = 100
    seed: int = 0
    faithful: float = 4.0
    """Weight of the difference from the canvas, in the mean of blocks."""
    true: float = 1.0
    """Weight of the difference from the real frame, where the canvas shows the same."""
    even: float = 1.0
    """Weight of the difference between what is made of a patch and of the same patch on another
    grid. Without it, the network's coarse grid shows as a pattern that repeats every 4 px."""


@dataclass(frozen=True, slots=True)
class Material:
    """A real frame at one size, and canvases of it."""

    frame: NDArray[np.uint8]
    canvases: NDArray[np.uint8]
    """(3, 256, 384): reduced, drawn again, made."""
    ellipse: Ellipse
    probe: Probe
    speckle: NDArray[np.float64]
    """(2, 12), see ``detail.lent_by``."""
    to_canvas: Affine


def canvases_of(
    pipeline: CompactPipeline, examples: Sequence[LabelledFrame], seeds: Sequence[int]
) -> NDArray[np.uint8]:
    """(n, 3, 256, 384): each frame reduced to the canvas, drawn again by the pipeline, and made by
    it from nothing, for the same head and sector."""
    rng = np.random.default_rng(seeds[0])
    laid = [augment(rng, NONE, e.image, e.ellipse, CANVAS) for e in examples]
    conditions = [
        Condition(ellipse, sector_mask(image), e.style)
        for (image, ellipse), e in zip(laid, examples, strict=True)
    ]
    reduced = np.stack([image for image, _ in laid])
    unit = torch.from_numpy(reduced).float()[:, None] / 127.5 - 1
    again = pipeline.redraw(conditions, unit, seeds, float(rng.uniform(*_LEVELS)))
    return np.stack([reduced, again, pipeline(conditions, seeds)], axis=1)


def material_of(example: LabelledFrame, canvases: NDArray[np.uint8]) -> list[Material]:
    """A frame at :data:`SIZES`, with its canvases, (3, 256, 384). Sizes at which it shows too
    little tissue are left out."""
    found = []
    w, h = example.size
    for factor in SIZES:
        size = round(w * factor), round(h * factor)
        kind = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        frame = np.asarray(cv2.resize(example.image, size, interpolation=kind), np.uint8)
        probe, speckle = lent_by(frame)
        if speckle is None or min(size) < PATCH:
            continue
        ellipse = example.ellipse.transformed(letterbox((w, h), size))
        found.append(Material(frame, canvases, ellipse, probe, speckle, letterbox(size, CANVAS)))
    return found


class Critic(nn.Module):
    """Says how real a patch looks, given its beams and its lender's speckle.

    Spectral norms keep it from changing too fast for the network to follow (Miyato et al. 2018).
    """

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        before = 2
        for i in range(4):
            wide = width * 2 ** min(i, 2)
            self.stages.append(spectral_norm(nn.Conv2d(before, wide, 4, stride=2, padding=1)))
            before = wide
        self.given = nn.Conv2d(CONDITIONS, 2 * width, 1)
        self.inner = spectral_norm(nn.Conv2d(before, before, 3, padding=1))
        self.answer = spectral_norm(nn.Conv2d(before, 1, 1))
        self.match = spectral_norm(nn.Linear(CONDITIONS, before))

    def forward(self, patch: Tensor, conditions: Tensor) -> Tensor:
        """(B, n) from patches (B, 1, 96, 96) and the conditions (B, 16, 24, 24)."""
        # Texture is weak beside anatomy.
        fine = patch - functional.avg_pool2d(patch, 5, stride=1, padding=2, count_include_pad=False)
        x = torch.cat([patch, _FINE * fine], dim=1)
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i == 1:
                x = x + self.given(conditions)
            x = functional.leaky_relu(x, 0.2)
        x = functional.leaky_relu(self.inner(x), 0.2)
        matched = (x * self.match(conditions.mean((2, 3)))[:, :, None, None]).sum(1)
        return (self.answer(x)[:, 0] + matched).flatten(1)


@dataclass(frozen=True, slots=True)
class _Patches:
    real: Tensor
    """(B, 1, 96, 96) in [-1, 1], as ``base`` and ``truth``."""
    real_conditions: Tensor
    base: Tensor
    """What a canvas shows at another place."""
    noise: Tensor
    conditions: Tensor
    truth: Tensor
    """The real patch at the place of ``base``."""
    known: Tensor
    """(B,): 1 where ``base`` shows what ``truth`` does."""
    looks: Tensor
    """(3, B, 2): standard normal, see :func:`_varied`."""
    shift: tuple[int, int]
    """(x, y) in px, each from 1 to 3, of another grid of the network."""


def train_detail(
    material: Sequence[Material],
    settings: DetailSettings,
    run: TrainingRun,
) -> DetailNet:
    """Train, or resume. Returns the averaged network.

    The ``run`` needs no workers, since patches are drawn on its device. Raises ``ValueError``
    without material.
    """
    if not material:
        raise ValueError("no frame shows enough tissue to learn its detail from")
    torch.manual_seed(settings.seed)
    lent = np.concatenate([m.speckle for m in material])
    mean, std = lent.mean(0).tolist(), np.maximum(lent.std(0), 1e-2).tolist()
    net = DetailNet(settings.width, tuple(mean), tuple(std)).to(run.device)
    critic = Critic().to(run.device)
    average = MovingAverage(net, settings.ema)
    schedule = Schedule(settings.learning_rate, settings.steps, settings.warmup, plateau=0.6)
    makers = [
        torch.optim.Adam(module.parameters(), settings.learning_rate, betas=(0.0, 0.9))
        for module in (net, critic)
    ]
    step = 0
    if state := load_checkpoint(run.checkpoint):
        net.load_state_dict(state["net"])
        critic.load_state_dict(state["critic"])
        for maker, saved in zip(makers, state["makers"], strict=True):
            maker.load_state_dict(saved)
        average.restore(state["average"])
        step = state["step"]

    def save() -> None:
        save_checkpoint(
            run.checkpoint,
            {
                "net": net.state_dict(),
                "critic": critic.state_dict(),
                "makers": [maker.state_dict() for maker in makers],
                "average": average.state(),
                "step": step,
                "settings": asdict(settings),
            },
        )

    saved_at = time.monotonic()
    while step < settings.steps and not run.stopped():
        for maker, factor in zip(makers, (1.0, _CRITICS_PACE), strict=True):
            for group in maker.param_groups:
                group["lr"] = factor * schedule.rate(step)
        rng = np.random.default_rng((settings.seed, step))
        batch = _drawn(rng, net, material, settings, run.device)
        loss = _step(net, critic, makers, batch, settings)
        average.update(net)
        step += 1
        run.on_step(step, loss)
        if time.monotonic() - saved_at > run.save_every_s:
            save()
            saved_at = time.monotonic()
    save()
    return average.averaged(net)


def _step(
    net: DetailNet,
    critic: Critic,
    makers: Sequence[torch.optim.Optimizer],
    batch: _Patches,
    settings: DetailSettings,
) -> float:
    """One step of the critic and one of the network; returns the loss of the critic (hinge)."""
    device = batch.base.device
    with autocast(device):
        made = net(batch.base, batch.noise, batch.conditions)
        on_real = critic(_varied(batch.real, batch.looks[0]), batch.real_conditions).float()
        on_made = critic(_varied(made.detach(), batch.looks[1]), batch.conditions).float()
    loss = functional.relu(1 - on_real).mean() + functional.relu(1 + on_made).mean()
    makers[1].zero_grad(set_to_none=True)
    loss.backward()
    makers[1].step()
    with autocast(device):
        fooled = -critic(_varied(made, batch.looks[2]), batch.conditions).float().mean()
    # The canvas' coarse structure shall stay, or the head would leave its place.
    apart = functional.avg_pool2d(made - batch.base, _KEPT, stride=_KEPT // 2).abs().mean()
    missed = (batch.known[:, None, None, None] * (made - batch.truth).abs()).mean()
    uneven = _unevenness(net, batch, made) if settings.even else 0.0
    makers[0].zero_grad(set_to_none=True)
    total = fooled + settings.faithful * apart + settings.true * missed + settings.even * uneven
    total.backward()
    makers[0].step()
    return loss.item()


def _unevenness(net: DetailNet, batch: _Patches, made: Tensor) -> Tensor:
    """How much the detail depends on where the grid of the network lies.

    ``made`` is compared with what is made of the patches without their first px.
    """
    dx, dy = batch.shift
    side = PATCH - CELL
    with autocast(batch.base.device):
        moved = net(
            batch.base[..., dy : dy + side, dx : dx + side],
            batch.noise[..., dy : dy + side, dx : dx + side],
            batch.conditions[..., : side // CELL, : side // CELL],
        )
    # Near the border, the network sees less of one than of the other.
    apart = (made[..., dy : dy + side, dx : dx + side] - moved)[..., 8:-8, 8:-8]
    return apart.square().mean() / _POWER


def _varied(patches: Tensor, looks: Tensor) -> Tensor:
    """Brightness and contrast are varied by ``looks``, (B, 2): the texture alone shall decide."""
    gain, shift = looks.T[:, :, None, None, None]
    return patches * torch.exp(0.2 * gain) + 0.1 * shift


def _drawn(
    rng: np.random.Generator,
    net: DetailNet,
    material: Sequence[Material],
    settings: DetailSettings,
    device: torch.device,
) -> _Patches:
    rows: list[Any] = []
    while len(rows) < settings.batch:
        one = material[int(rng.integers(len(material)))]
        shown = _patch(rng, one, net, of=None)
        kind = int(np.searchsorted(_SHARES, rng.random()))
        asked = _patch(rng, one, net, of=min(kind, 2))
        if shown is None or asked is None:
            continue
        real, _, real_conditions, _ = shown
        truth, base, conditions, noise = asked
        rows.append((real, real_conditions, base, noise, conditions, truth, float(kind < 2)))
    columns = [
        torch.from_numpy(np.stack([np.asarray(row[i], np.float32) for row in rows])).to(device)
        for i in range(7)
    ]
    real, real_conditions, base, noise, conditions, truth, known = columns
    unit = [x[:, None] / 127.5 - 1 for x in (real, base, truth)]
    looks = torch.from_numpy(rng.standard_normal((3, len(rows), 2), np.float32)).to(device)
    dx, dy = (int(shift) for shift in rng.integers(1, CELL, 2))
    return _Patches(
        unit[0], real_conditions, unit[1], noise, conditions, unit[2], known, looks, (dx, dy)
    )


def _patch(
    rng: np.random.Generator, one: Material, net: DetailNet, of: int | None
) -> tuple[Any, Any, Any, Any] | None:
    """The real patch, the canvas's, the conditions and the noise; mirrored at random."""
    h, w = one.frame.shape
    for _ in range(8):
        if rng.random() < _ON_HEAD:
            angle, radius = rng.uniform(0, 2 * np.pi), _REACH * np.sqrt(rng.random())
            (ux, uy), (vx, vy) = one.ellipse.axes
            u = one.ellipse.a * radius * np.cos(angle)
            v = one.ellipse.b * radius * np.sin(angle)
            x, y = one.ellipse.cx + u * ux + v * vx, one.ellipse.cy + u * uy + v * vy
        else:
            x, y = rng.uniform(0, w), rng.uniform(0, h)
        left = int(np.clip(x - PATCH / 2, 0, w - PATCH)) // 4 * 4
        top = int(np.clip(y - PATCH / 2, 0, h - PATCH)) // 4 * 4
        real = one.frame[top : top + PATCH, left : left + PATCH]
        if real.std() >= _TEXTURED and (real > 1).mean() > 0.6:
            break
    else:
        return None
    shift = Affine.translation(left, top)
    scale = 1 / one.to_canvas.scale
    maps = net.place_maps(beam_maps(one.probe, (PATCH, PATCH), scale, shift), one.speckle)
    mirrored = rng.random() < 0.5
    base = noise = None
    if of is not None:
        # From canvas px to those of the patch: warpAffine maps the other way with the inverse.
        there = one.to_canvas @ shift
        base = cv2.warpAffine(
            one.canvases[of],
            there.matrix,
            (PATCH, PATCH),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        )
        moved = Probe(
            one.probe.apex_x - left,
            one.probe.apex_y - top,
            one.probe.near,
            one.probe.far,
            one.probe.half_angle,
            one.probe.tilt,
        )
        noise = noise_of.__wrapped__(int(rng.integers(2**31)), moved, (PATCH, PATCH))
    if mirrored:
        real, maps = real[:, ::-1], maps[:, :, ::-1].copy()
        maps[0] *= -1
        if base is not None and noise is not None:
            base, noise = base[:, ::-1], noise[:, :, ::-1]
    return real, base, maps, noise
