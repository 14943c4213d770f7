"""Marks that are not ultrasound: grey bar, blanked corners, text, calipers."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.simulation.scene import Clutter

_LETTERS = "ABCDEFGHIKLMNOPRSTVWZ0123456789.:%/"


def draw_clutter(rng: np.random.Generator, image: NDArray[np.uint8], clutter: Clutter) -> None:
    """Draw clutter into an (H, W) uint8 image, over the sector and beside it."""
    h, w = image.shape
    if clutter.text:
        _text(rng, image)
    if clutter.calipers:
        _calipers(rng, image)
    if clutter.boxes:
        _boxes(rng, image)
    if clutter.grey_bar:
        x, top, bottom = max(round(0.004 * w), 1), round(0.045 * h), round(0.33 * h)
        bar = np.linspace(255, 0, bottom - top, dtype=np.float32).astype(np.uint8)
        image[top:bottom, x : x + max(round(0.011 * w), 2)] = bar[:, None]


def _boxes(rng: np.random.Generator, image: NDArray[np.uint8]) -> None:
    """Blank corners as HC18 does: lower right nearly always, upper right sometimes."""
    h, w = image.shape
    if rng.random() < 0.9:
        wide, high = rng.uniform(0.14, 0.28), rng.uniform(0.08, 0.36)
        image[round((1 - high) * h) :, round((1 - wide) * w) :] = 0
    if rng.random() < 0.4:
        wide, high = rng.uniform(0.04, 0.14), rng.uniform(0.1, 0.22)
        image[: round(high * h), round((1 - wide) * w) :] = 0
    if rng.random() < 0.4:
        x, y = round(rng.uniform(0.02, 0.05) * w), round(0.045 * h)
        image[y : y + round(0.04 * h), x : x + round(0.035 * w)] = 0


def _text(rng: np.random.Generator, image: NDArray[np.uint8]) -> None:
    """Lines of letters and digits in the corners."""
    h, w = image.shape
    size, grey = 0.0006 * h, int(rng.integers(110, 255))
    for _ in range(int(rng.integers(1, 5))):
        left, top = rng.random() < 0.5, rng.random() < 0.6
        x = round(rng.uniform(0.02, 0.08) * w if left else rng.uniform(0.72, 0.86) * w)
        y = round(rng.uniform(0.04, 0.25) * h if top else rng.uniform(0.8, 0.97) * h)
        letters = "".join(rng.choice(list(_LETTERS), int(rng.integers(3, 11))))
        cv2.putText(image, letters, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, grey, 1, cv2.LINE_AA)


def _calipers(rng: np.random.Generator, image: NDArray[np.uint8]) -> None:
    """One or two pairs of crosses with a dotted line between them, anywhere."""
    h, w = image.shape
    arm, grey = max(round(0.008 * w), 2), int(rng.integers(160, 255))
    for _ in range(int(rng.integers(1, 3))):
        ends = rng.uniform(0.1, 0.9, (2, 2)) * (w, h)
        for x, y in ends.astype(int).tolist():
            cv2.line(image, (x - arm, y), (x + arm, y), grey, 1)
            cv2.line(image, (x, y - arm), (x, y + arm), grey, 1)
        dots = int(np.linalg.norm(ends[1] - ends[0]) / (3 * arm)) + 2
        for x, y in np.linspace(ends[0], ends[1], dots).astype(int).tolist():
            image[y, x] = grey
