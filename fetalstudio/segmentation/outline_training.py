"""Training the second look: strips around ellipses that are a little off the true ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.learning import OptimizerSettings, TrainingRun, autocast, train_resumably
from fetalstudio.segmentation.outline import (
    RAYS,
    OutlineConfig,
    OutlineNet,
    fit,
    radii_of,
    ray_features,
    size_variances,
    sizes_of,
    strip,
)
from fetalstudio.simulation import Clutter, draw_clutter

_MARKS = Clutter(text=True, calipers=True)
_SCALE = 0.01
"""Share of the radius. Smaller errors of the fitted ellipse count squared, larger ones linearly."""


@dataclass(frozen=True, slots=True)
class OutlineSettings:
    """Everything that a training depends on besides its data."""

    steps: int = 4000
    batch: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    ema: float = 0.998
    seed: int = 0
    jitter: float = 0.025
    """Standard deviation of the first ellipse's errors: of the logs of the axes, of the centre as
    a share of the axes, and of the angle as a share of a radian. It varies from frame to frame, by
    a factor of 0.5 to 1.5."""
    wide: float = 0.2
    """Share of frames with errors that are three times as large, as those of a rough ellipse."""
    turn_deg: float = 20.0
    """Largest turn of the direction from which the beam comes."""
    marked: float = 0.1
    """Share of frames with text and calipers drawn over them."""
    cropped: float = 0.1
    """Share of frames in which a part of the head is beyond the border."""
    shrunk: float = 0.3
    """Share of frames with fewer pixels, down to 0.4 of their width."""
    third: float = 2.0
    """How often a third-trimester frame is drawn, compared with the others. An error of the same
    share is larger in mm there."""
    simulated: float = 0.2
    """Share of simulated frames, whose outline is exact, if there are any."""


class _Learner(nn.Module):
    """The network, and how far the errors of neighbouring rays go together."""

    def __init__(self, config: OutlineConfig) -> None:
        super().__init__()
        self.net = OutlineNet(config)
        self.log_together = nn.Parameter(torch.tensor(math.log(10.0)))


def pretrain_outline(
    examples: Sequence[LabelledFrame],
    settings: OutlineSettings,
    run: TrainingRun,
    *,
    simulated: Sequence[LabelledFrame] = (),
    config: OutlineConfig | None = None,
) -> OutlineNet:
    """Train, or resume. Returns the averaged network in evaluation mode.

    ``settings`` say how often one of the ``simulated`` frames is drawn.
    """
    device = run.device
    torch.manual_seed(settings.seed)
    learner = _Learner(config or OutlineConfig()).to(device)
    shares = np.array([settings.third if e.style == "third" else 1.0 for e in examples])
    shares /= max(shares.sum(), 1.0)
    if simulated:
        part = settings.simulated if examples else 1.0
        drawn = np.full(len(simulated), part / len(simulated))
        shares = np.concatenate([shares * (1 - part), drawn])

    def loss_of(batch: _Batch) -> Tensor:
        with autocast(device):
            offsets, log_scales = learner.net(batch.strips.to(device), batch.features.to(device))
        centre, matrix = batch.centre.to(device), batch.matrix.to(device)
        together = learner.log_together
        return _loss(offsets, log_scales, centre, matrix, batch.ratio.to(device), together)

    optimizer = OptimizerSettings(
        settings.steps,
        settings.learning_rate,
        settings.weight_decay,
        settings.ema,
        settings.seed,
    )
    trained = train_resumably(
        learner,
        partial(_draw, [*examples, *simulated], shares, settings),
        loss_of,
        optimizer,
        run,
        keep={"settings": asdict(settings)},
    )
    return trained.net


def _loss(
    offsets: Tensor,
    log_scales: Tensor,
    centre: Tensor,
    matrix: Tensor,
    ratio: Tensor,
    log_together: Tensor,
) -> Tensor:
    """Of the rays, of the ellipse fitted to them, of its sizes and of their uncertainty.

    ``centre`` (B, 2) and ``matrix`` (B, 2, 2) describe the true ellipse where the first one is the
    unit circle, and ``ratio`` (B,) is that of the first one's axes.
    """
    true = radii_of(centre, matrix)
    away = (offsets - (true - 1)).abs()
    rays = (away * (-log_scales).exp() + log_scales).mean()
    found = fit(offsets, (-2 * log_scales).exp())
    outline = _huber(radii_of(*found) - true).mean()
    errors = sizes_of(*found, ratio) - sizes_of(centre, matrix, ratio)
    sizes = _huber(errors).mean()
    variances = size_variances(log_scales, ratio) * log_together.exp()
    # The errors are detached: uncertainty shall follow them, and not the other way round.
    sure = (errors.detach().square() / variances + variances.log()).mean()
    return rays + outline + sizes + 0.1 * sure


def _huber(errors: Tensor) -> Tensor:
    return functional.smooth_l1_loss(errors / _SCALE, torch.zeros_like(errors), reduction="none")


@dataclass(frozen=True, slots=True)
class _Batch:
    """See :func:`_loss`."""

    strips: Tensor
    features: Tensor
    centre: Tensor
    matrix: Tensor
    ratio: Tensor


def _draw(
    examples: Sequence[LabelledFrame],
    shares: NDArray[np.float64],
    settings: OutlineSettings,
    rng: np.random.Generator,
) -> _Batch:
    strips, features, truths, ratios = [], [], [], []
    for index in rng.choice(len(examples), settings.batch, p=shares):
        image, true = examples[index].image, examples[index].ellipse
        if rng.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
            true = true.transformed(Affine(xx=-1.0, x0=image.shape[1] - 1.0))
        if rng.random() < settings.shrunk:
            image, true = _shrunk(rng, image, true)
        if rng.random() < settings.cropped:
            image, true = _cropped(rng, image, true)
        if rng.random() < settings.marked:
            image = image.copy()
            draw_clutter(rng, image, _MARKS)
        first = jittered(rng, true, settings.jitter * (3 if rng.random() < settings.wide else 1))
        samples, known = strip(image, first), ray_features(first)
        if rng.random() < 0.5:  # the major axis has two ends
            samples, known = np.roll(samples, RAYS // 2, 1), np.roll(known, RAYS // 2, 1)
            truths.append(in_units(first, true, turned=True))
        else:
            truths.append(in_units(first, true))
        samples[0] = _varied(rng, samples[0], known[:2])
        angle = math.radians(rng.uniform(-1, 1) * settings.turn_deg)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        known[:2] = turn @ known[:2]
        strips.append(samples)
        features.append(known)
        ratios.append(first.b / first.a)
    return _Batch(
        torch.from_numpy(np.stack(strips)),
        torch.from_numpy(np.stack(features)),
        torch.from_numpy(np.stack([centre for centre, _ in truths])).float(),
        torch.from_numpy(np.stack([matrix for _, matrix in truths])).float(),
        torch.tensor(ratios).float(),
    )


def _shrunk(
    rng: np.random.Generator, image: NDArray[np.uint8], true: Ellipse
) -> tuple[NDArray[np.uint8], Ellipse]:
    h, w = image.shape
    factor = rng.uniform(0.4, 1.0)
    size = (round(w * factor), round(h * factor))
    sx, sy = size[0] / w, size[1] / h
    move = Affine(xx=sx, x0=0.5 * sx - 0.5, yy=sy, y0=0.5 * sy - 0.5)
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return small, true.transformed(move)


def _cropped(
    rng: np.random.Generator, image: NDArray[np.uint8], true: Ellipse
) -> tuple[NDArray[np.uint8], Ellipse]:
    """A part of the frame whose border cuts off up to a fifth of the head, on one side."""
    height, width = image.shape
    x0, y0, x1, y1 = true.box()
    cut = rng.uniform(0, 0.2)
    left, top, right, bottom = (
        (round(x0 + cut * (x1 - x0)), 0, width, height),
        (0, round(y0 + cut * (y1 - y0)), width, height),
        (0, 0, round(x1 - cut * (x1 - x0)), height),
        (0, 0, width, round(y1 - cut * (y1 - y0))),
    )[rng.integers(4)]
    left, top = max(left, 0), max(top, 0)
    part = np.ascontiguousarray(image[top:bottom, left:right])
    return part, true.transformed(Affine.translation(-left, -top))


def jittered(rng: np.random.Generator, true: Ellipse, jitter: float) -> Ellipse:
    """An ellipse near the true one, with errors of a random size around ``jitter``."""
    sd = jitter * rng.uniform(0.5, 1.5)
    u, v, major, minor, turn = np.clip(rng.standard_normal(5), -2.5, 2.5) * sd
    cx, cy = np.array([u * true.a, v * true.b]) @ true.axes + (true.cx, true.cy)
    a, b = true.a * math.exp(major), true.b * math.exp(minor)
    return Ellipse.of(cx, cy, a, b, true.angle_deg + math.degrees(1.5 * turn))


def in_units(
    first: Ellipse, true: Ellipse, *, turned: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre (2,) and matrix (2, 2) of ``true`` in coordinates where ``first`` is the unit circle.

    ``turned`` by half a turn.
    """
    sign = -1.0 if turned else 1.0
    half = np.array([first.a, first.b])
    centre = sign * (first.axes @ np.array([true.cx - first.cx, true.cy - first.cy])) / half
    matrix = true.axes.T @ np.diag([true.a**-2.0, true.b**-2.0]) @ true.axes
    return centre, np.outer(half, half) * (first.axes @ matrix @ first.axes.T)


def _varied(
    rng: np.random.Generator, grey: NDArray[np.float32], direction: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Random gain, gamma, blur, speckle and shadows on a strip (RAYS, radii), 0 to 255."""
    x: NDArray[Any] = grey / 255
    lit = x > 0
    # Uneven gain across the frame, and skull that is seen worse from some directions.
    toward = rng.standard_normal(2)
    toward /= np.linalg.norm(toward)
    x = x * np.exp(float(rng.uniform(0, 0.7)) * (toward @ direction))[:, None]
    if rng.random() < 0.4:
        middle, width = rng.integers(RAYS), rng.uniform(2, 14)
        apart = np.abs((np.arange(RAYS) - middle + RAYS // 2) % RAYS - RAYS // 2)
        shade = rng.uniform(0.3, 1.0) * np.exp(-((apart / width) ** 4))
        x = x * (1 - shade)[:, None]
    if rng.random() < 0.3:
        sigma = float(rng.uniform(0.3, 1.2))
        x = cv2.GaussianBlur(x, (0, 0), sigmaX=sigma, sigmaY=sigma / 3)
    if rng.random() < 0.5:
        h, w = x.shape
        coarse = rng.standard_normal((h, w // 2), dtype=np.float32)
        x = x * (1 + float(rng.uniform(0, 0.3)) * cv2.resize(coarse, (w, h)))
    x = np.clip(x, 0, 1) ** float(np.exp(rng.uniform(-0.4, 0.4)))
    x = x * float(np.exp(rng.uniform(-0.3, 0.3))) + lit * float(rng.uniform(-0.1, 0.1))
    return np.asarray(np.clip(x, 0, 1) * 255, np.float32)
