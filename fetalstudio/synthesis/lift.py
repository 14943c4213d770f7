"""From the model's canvas to a frame's own size, with the grain that a scanner's frame has there.

The canvas holds no detail finer than two of its pixels. What real frames have beyond that is
partly foretold by the canvas (a least-squares enlargement) and partly not: that part is added as
noise of the measured spectrum, as strong as the surroundings say. All of it is fitted in closed
form to real frames within seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from fetalstudio.core.files import write_bytes
from fetalstudio.core.geometry import Size, letterbox, warp
from fetalstudio.core.sector import sector_mask
from fetalstudio.synthesis.conditions import CANVAS

FILE = "lift.safetensors"
DOUBLE = (2 * CANVAS[0], 2 * CANVAS[1])
"""(width, height) of the grid that the detail is made on, in px."""
_REACH = 3
"""The enlargement looks at 7x7 canvas pixels."""
_WINDOW = 64
"""Side in px of the windows whose spectrum is measured."""
_GRAIN = 15
"""Side in px of the kernel that gives noise this spectrum."""
_LARGEST_SCALE = 1.25
"""Frames that would have to be enlarged more than this to fill the double grid show no detail."""
Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Lift:
    """What was measured on real frames; without ``grain`` the enlargement is cubic."""

    filters: NDArray[np.float32]
    """(4, 7, 7), one for each pixel of a canvas pixel's 2x2, row by row."""
    spread: NDArray[np.float32]
    """(3,): ln variance of the unforetold part is these times (1, ln(mean + 1), ln(variance + 1))
    of the surroundings, in grey levels."""
    grain: NDArray[np.float32]
    """(15, 15) kernel of unit energy that shapes white noise like the unforetold part."""

    @classmethod
    def fit(cls, frames: Sequence[NDArray[np.uint8]]) -> Lift:
        """From real frames, (H, W) uint8 at their own size, a few dozen of them.

        Raises ``ValueError`` where none has more detail than the canvas shows.
        """
        usable = [f for f in frames if letterbox(f.shape[::-1], DOUBLE).scale <= _LARGEST_SCALE]
        if not usable:
            raise ValueError("no frame is large enough to measure its fine detail")
        filters = _fit_filters(usable)
        spread = _fit_spread(usable, filters)
        return cls(filters, spread, _fit_grain(usable, filters))

    @classmethod
    def read(cls, folder: Path) -> Lift | None:
        """From a model's folder; None where it has none."""
        path = folder / FILE
        return cls(**load_file(path)) if path.exists() else None

    def write(self, folder: Path) -> None:
        """Into a model's folder, atomically."""
        parts = {"filters": self.filters, "spread": self.spread, "grain": self.grain}
        # safetensors writes the memory as it lies, whatever its order.
        write_bytes(folder / FILE, save({k: np.ascontiguousarray(v) for k, v in parts.items()}))

    def apply(self, canvas: NDArray[np.uint8], size: Size, seed: int) -> NDArray[np.uint8]:
        """The (256, 384) canvas as a picture of ``size``, (H, W) uint8; the same for a seed."""
        detailed = _enlarge(canvas, self.filters)
        white = np.random.default_rng(seed).standard_normal(detailed.shape, np.float32)
        noise = cv2.filter2D(white, -1, self.grain, borderType=cv2.BORDER_REFLECT)
        # Where the scanner wrote nothing there is no grain either.
        lit = cv2.resize((canvas > 1).astype(np.float32), DOUBLE, interpolation=cv2.INTER_LINEAR)
        detailed += noise * np.sqrt(_variance(canvas, self.spread)) * lit
        return fit_to(np.clip(detailed, 0, 255), size)


def fit_to(picture: Image, size: Size) -> NDArray[np.uint8]:
    """A picture of the canvas, at any resolution, on the frame that was laid on the canvas."""
    to_frame = letterbox(size, (picture.shape[1], picture.shape[0])).inverse()
    return np.clip(warp(picture, to_frame, size) + 0.5, 0, 255).astype(np.uint8)


def _fit_filters(frames: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Least squares over all pixels of all sectors."""
    taps = (2 * _REACH + 1) ** 2
    normal, right = np.zeros((taps, taps)), np.zeros((taps, 4))
    for canvas, double, inside in _examples(frames):
        padded = cv2.copyMakeBorder(canvas, *[_REACH] * 4, cv2.BORDER_REPLICATE)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * _REACH + 1,) * 2)
        x = windows[inside].reshape(-1, taps).astype(np.float64)
        y = np.stack([double[i::2, j::2][inside] for i in (0, 1) for j in (0, 1)], axis=1)
        # Grey levels add up to themselves, so that a flat region keeps its own.
        middle = x[:, taps // 2].copy()
        x -= middle[:, None]
        normal += x.T @ x
        right += x.T @ (y - middle[:, None])
    normal += 1e-6 * np.trace(normal) / taps * np.eye(taps)
    solved = np.linalg.solve(normal, right)
    solved[taps // 2] += 1 - solved.sum(axis=0)
    return solved.T.reshape(4, 2 * _REACH + 1, 2 * _REACH + 1).astype(np.float32)


def _fit_spread(
    frames: Sequence[NDArray[np.uint8]], filters: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Regression of the local log variance: that of a typical frame, where a mean of variances
    would be that of the few sharpest."""
    features, variances = [], []
    for canvas, double, inside in _examples(frames):
        rest = double - _enlarge(canvas, filters)
        local = cv2.resize(
            cv2.GaussianBlur(rest * rest, (0, 0), 4), CANVAS, interpolation=cv2.INTER_AREA
        )
        features.append(_surroundings(canvas)[inside][::31])
        variances.append(local[inside][::31])
    x, y = np.concatenate(features), np.concatenate(variances)
    return np.linalg.lstsq(x, np.log(y + 0.05), rcond=None)[0].astype(np.float32)


def _fit_grain(
    frames: Sequence[NDArray[np.uint8]], filters: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The square root of the mean spectrum of what is not foretold, as a kernel."""
    power = np.zeros((_WINDOW, _WINDOW))
    taper = np.outer(np.hanning(_WINDOW), np.hanning(_WINDOW))
    for canvas, double, inside in _examples(frames):
        rest = double - _enlarge(canvas, filters)
        step, half = _WINDOW, _WINDOW // 2
        for y in range(0, DOUBLE[1] - step + 1, half):
            for x in range(0, DOUBLE[0] - step + 1, half):
                if inside[y // 2 : (y + step) // 2, x // 2 : (x + step) // 2].all():
                    window = rest[y : y + step, x : x + step] * taper
                    power += np.abs(np.fft.fft2(window)) ** 2 / ((window * window).sum() + 1)
    kernel = np.fft.fftshift(np.fft.ifft2(np.sqrt(power)).real)
    middle, reach = _WINDOW // 2, _GRAIN // 2
    cut = kernel[middle - reach : middle + reach + 1, middle - reach : middle + reach + 1]
    return (cut / np.sqrt((cut * cut).sum())).astype(np.float32)


def _examples(
    frames: Sequence[NDArray[np.uint8]],
) -> Iterator[tuple[Image, Image, NDArray[np.bool_]]]:
    """Canvas, the same frame on the double grid, and which canvas pixels lie well inside."""
    for frame in frames:
        size = (frame.shape[1], frame.shape[0])
        canvas = warp(frame, letterbox(size, CANVAS), CANVAS)
        double = warp(frame, letterbox(size, DOUBLE), DOUBLE)
        sector = cv2.erode(sector_mask(canvas), np.ones((9, 9), np.uint8))
        # Text and calipers are drawn in white, and sharper than anything that a beam can show.
        drawn = cv2.dilate((canvas > 230).astype(np.uint8), np.ones((9, 9), np.uint8))
        yield canvas.astype(np.float32), double.astype(np.float32), (sector > 0) & (drawn == 0)


def _enlarge(canvas: NDArray[np.generic], filters: NDArray[np.float32]) -> Image:
    grey = canvas.astype(np.float32)
    double = np.empty((DOUBLE[1], DOUBLE[0]), np.float32)
    for k, (i, j) in enumerate((i, j) for i in (0, 1) for j in (0, 1)):
        double[i::2, j::2] = cv2.filter2D(grey, -1, filters[k], borderType=cv2.BORDER_REPLICATE)
    return double


def _surroundings(canvas: NDArray[np.generic]) -> NDArray[np.float32]:
    """(256, 384, 3): 1, and the logs of mean and variance within a few px, each plus 1."""
    grey = canvas.astype(np.float32)
    mean = cv2.GaussianBlur(grey, (0, 0), 2)
    variance = cv2.GaussianBlur((grey - mean) ** 2, (0, 0), 2)
    return np.stack([np.ones_like(grey), np.log1p(mean), np.log1p(variance)], axis=-1)


def _variance(canvas: NDArray[np.generic], spread: NDArray[np.float32]) -> Image:
    """Of the unforetold part, on the double grid, in grey levels squared."""
    on_canvas = np.exp(_surroundings(canvas) @ spread)
    return cv2.resize(on_canvas, DOUBLE, interpolation=cv2.INTER_LINEAR).astype(np.float32)
