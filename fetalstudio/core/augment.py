"""Random but plausible variations of a frame; the ellipse moves with the pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine, Size, letterbox, warp


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How much a frame is varied. It is never flipped upside down: the beam comes from above."""

    rotation_deg: float = 0.0
    """Largest turn to either side."""
    log_scale: float = 0.0
    """Largest change of size, as |ln factor|."""
    log_aspect: float = 0.0
    """Largest change of the aspect ratio, as |ln factor|."""
    shift: float = 0.0
    """Largest shift, as a share of the target's width and height."""
    flip: bool = False
    """Whether half of the frames are mirrored left to right."""
    gamma: float = 0.0
    """Largest |ln gamma|."""
    gain: float = 0.0
    """Largest change of contrast (ln factor); brightness moves by up to 40 % of it."""
    blur_px: float = 0.0
    """Largest Gaussian sigma, applied to a third of the frames."""
    speckle: float = 0.0
    """Largest standard deviation of the multiplicative noise, applied to half of the frames."""
    tilt: float = 0.0
    """Largest |ln gain| at the frame's border, for a gain that changes evenly across the frame.
    Uneven time-gain compensation or a probe with contact on one side causes this."""
    shadow: float = 0.0
    """Largest loss of brightness in an acoustic shadow, 0 to 1; a third of the frames have one."""


NONE = Augmentation()


def place(
    rng: np.random.Generator,
    kind: Augmentation,
    source: Size,
    target: Size,
    *,
    keep: Ellipse | None = None,
) -> Affine:
    """A random map from a source frame onto a target grid, close to the plain letterbox.

    With ``keep``, maps that push the ellipse's centre off the target are drawn again (ten times
    at most, then the plain letterbox is used).
    """
    base = letterbox(source, target)
    centre = ((target[0] - 1) / 2, (target[1] - 1) / 2)
    for _ in range(10):
        size = np.exp(rng.uniform(-1, 1) * kind.log_scale)
        aspect = np.exp(rng.uniform(-0.5, 0.5) * kind.log_aspect)
        mirror = -1.0 if kind.flip and rng.random() < 0.5 else 1.0
        dx, dy = rng.uniform(-1, 1, 2) * kind.shift * np.array(target)
        about = (
            Affine.translation(centre[0] + float(dx), centre[1] + float(dy))
            @ Affine.rotation(float(rng.uniform(-1, 1)) * kind.rotation_deg)
            @ Affine.scaling(mirror * float(size * aspect), float(size / aspect))
            @ Affine.translation(-centre[0], -centre[1])
        )
        placed = about @ base
        if keep is None:
            return placed
        x, y = placed.apply(np.array([keep.cx, keep.cy]))
        if 0 <= x < target[0] and 0 <= y < target[1]:
            return placed
    return base


def _vary(
    rng: np.random.Generator, kind: Augmentation, image: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """An (H, W) uint8 image with random tilt, shadow, blur, speckle, gamma and gain.

    Black stays black.
    """
    x = image.astype(np.float32) / 255
    if kind.tilt:
        x = x * np.exp(_ramp(rng, x.shape) * float(rng.uniform(0, kind.tilt)))
    if kind.shadow and rng.random() < 1 / 3:
        x = x * (1 - float(rng.uniform(0, kind.shadow)) * _shadow(rng, x.shape))
    if kind.blur_px and rng.random() < 1 / 3:
        sigma = float(rng.uniform(0.2, max(kind.blur_px, 0.21)))
        x = cv2.GaussianBlur(x, (0, 0), sigma).astype(np.float32)
    if kind.speckle and rng.random() < 0.5:
        h, w = x.shape
        coarse = rng.standard_normal((h // 2 + 1, w // 2 + 1), dtype=np.float32)
        grain = cv2.resize(coarse, (w, h), interpolation=cv2.INTER_LINEAR)
        x = x * (1 + grain * float(rng.uniform(0, kind.speckle)))
    lit = x > 0
    x = np.clip(x, 0, 1) ** float(np.exp(rng.uniform(-1, 1) * kind.gamma))
    x = x * float(np.exp(rng.uniform(-1, 1) * kind.gain))
    x = x + lit * float(rng.uniform(-0.4, 0.4) * kind.gain)
    return (np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8)


def augment(
    rng: np.random.Generator,
    kind: Augmentation,
    image: NDArray[np.uint8],
    ellipse: Ellipse,
    target: Size,
) -> tuple[NDArray[np.uint8], Ellipse]:
    """A varied copy of a frame, (H, W) uint8, on a ``target`` grid, with its ellipse there."""
    h, w = image.shape
    affine = place(rng, kind, (w, h), target, keep=ellipse)
    moved = warp(image, affine, target).astype(np.uint8)
    return _vary(rng, kind, moved), ellipse.transformed(affine)


def _ramp(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A plane in a random direction: 0 in the middle, 1 at the farthest border."""
    h, w = shape
    angle = rng.uniform(0, 2 * np.pi)
    x = np.linspace(-1, 1, w, dtype=np.float32)[None] * np.float32(np.cos(angle))
    y = np.linspace(-1, 1, h, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    reach = np.float32(abs(np.cos(angle)) + abs(np.sin(angle)))
    return np.asarray((x + y) / reach, np.float32)


def _shadow(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Values 0 to 1: a wedge with soft edges that begins at some depth and widens downwards."""
    h, w = shape
    top, middle = rng.uniform(-0.1, 0.7) * h, rng.uniform(0.1, 0.9) * w
    lean, width, spread = rng.uniform(-0.5, 0.5), rng.uniform(0.02, 0.08) * w, rng.uniform(0, 0.1)
    depth = np.arange(h, dtype=np.float32)[:, None] - np.float32(top)
    x = np.arange(w, dtype=np.float32)[None]
    aside = (x - np.float32(middle) - np.float32(lean) * depth) / (
        np.float32(width) + np.float32(spread) * np.maximum(depth, 0)
    )
    begins = np.clip(depth / np.float32(0.05 * h), 0, 1)
    return np.asarray(begins * np.exp(-(aside**4)), np.float32)
