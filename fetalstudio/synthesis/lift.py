"""From the model's canvas to a frame's own size, with the grain that a scanner's frame has there.

The canvas holds no detail finer than two of its pixels, and the model's cells of 4x4 px do not
join without a seam. What real frames have instead is partly foretold by the canvas (a
least-squares map from each cell and its neighbours) and partly not: that part is added as noise of
the measured spectrum, as strong as the surroundings say. All of it is fitted in closed form, within
seconds, to real frames and to what the model makes of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from fetalstudio.core.files import write_bytes
from fetalstudio.core.geometry import Size, letterbox, warp
from fetalstudio.core.sector import sector_mask
from fetalstudio.synthesis.bands import FACTOR
from fetalstudio.synthesis.conditions import CANVAS, GRID

FILE = "lift.safetensors"
DOUBLE = (2 * CANVAS[0], 2 * CANVAS[1])
"""(width, height) of the grid that the detail is made on, in px."""
_CELL = FACTOR
_PATCH = 3 * _CELL
"""Side in canvas px of what the enlargement of one cell looks at: it and its neighbours."""
_WINDOW = 64
"""Side in px, on the double grid, of the windows whose spectrum is measured."""
_GRAIN = 15
"""Side in px of the kernel that gives noise this spectrum."""
_LARGEST_SCALE = 1.25
"""Frames that would have to be enlarged more than this to fill the double grid show no detail."""
Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Lift:
    """What was measured on real frames."""

    enlargement: NDArray[np.float32]
    """(144, 64): from the 12x12 canvas px around a cell to the 8x8 px of the double grid on it."""
    spread: NDArray[np.float32]
    """(3,): ln variance of the unforetold part is these times (1, ln(mean + 1), ln(variance + 1))
    of the surroundings, in grey levels."""
    grain: NDArray[np.float32]
    """(15, 15) kernel of unit energy that shapes white noise like the unforetold part."""

    @classmethod
    def fit(
        cls, frames: Sequence[NDArray[np.uint8]], canvases: Sequence[NDArray[np.uint8]]
    ) -> Lift:
        """From a few dozen real frames, (H, W) uint8 at their own size, and each one's canvas,
        (256, 384), as the model renders it.

        Raises ``ValueError`` where no frame has more detail than the canvas, or tissue to show it.
        """
        pairs = [
            _Pair.of(frame, canvas)
            for frame, canvas in zip(frames, canvases, strict=True)
            if letterbox((frame.shape[1], frame.shape[0]), DOUBLE).scale <= _LARGEST_SCALE
        ]
        if not pairs:
            raise ValueError("no frame is large enough to measure its fine detail")
        if sum(pair.inside.sum() for pair in pairs) < 2 * _PATCH**2:
            raise ValueError("the frames show too little tissue to measure its fine detail")
        enlargement = _fit_enlargement(pairs)
        return cls(enlargement, _fit_spread(pairs, enlargement), _fit_grain(pairs, enlargement))

    @classmethod
    def read(cls, folder: Path) -> Lift | None:
        """From a model's folder; None where it has none."""
        path = folder / FILE
        return cls(**load_file(path)) if path.exists() else None

    def write(self, folder: Path) -> None:
        """Into a model's folder, atomically."""
        parts = {"enlargement": self.enlargement, "spread": self.spread, "grain": self.grain}
        write_bytes(folder / FILE, save(parts))

    def apply(self, canvas: NDArray[np.uint8], size: Size, seed: int) -> NDArray[np.uint8]:
        """The (256, 384) canvas as a picture of ``size``, (H, W) uint8; the same for a seed."""
        detailed = _enlarge(canvas, self.enlargement)
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


@dataclass(frozen=True, slots=True)
class _Pair:
    """A frame as the model renders it, and as it is on the double grid."""

    canvas: Image
    double: Image
    inside: NDArray[np.bool_]
    """(64, 96): cells that lie well inside the sector, with nothing drawn on them."""

    @classmethod
    def of(cls, frame: NDArray[np.uint8], canvas: NDArray[np.uint8]) -> _Pair:
        double = warp(frame, letterbox((frame.shape[1], frame.shape[0]), DOUBLE), DOUBLE)
        sector = cv2.erode(sector_mask(double), np.ones((17, 17), np.uint8))
        # Text and calipers are drawn in white, and sharper than anything that a beam can show.
        drawn = cv2.dilate((double > 230).astype(np.uint8), np.ones((17, 17), np.uint8))
        usable = cv2.resize(sector - cv2.min(sector, drawn), GRID, interpolation=cv2.INTER_AREA)
        return cls(canvas.astype(np.float32), double.astype(np.float32), usable > 0)

    def rest(self, enlargement: NDArray[np.float32]) -> Image:
        """What the enlargement does not foretell."""
        return self.double - _enlarge(self.canvas, enlargement)


def _fit_enlargement(pairs: Sequence[_Pair]) -> NDArray[np.float32]:
    """Least squares over all usable cells, grey levels relative to each patch's mean."""
    normal, right = np.zeros((_PATCH**2, _PATCH**2)), np.zeros((_PATCH**2, 4 * _CELL**2))
    for pair in pairs:
        x = _patches(pair.canvas)[pair.inside].astype(np.float64)
        y = _blocks(pair.double)[pair.inside].astype(np.float64)
        mean = x.mean(axis=1, keepdims=True)
        normal += (x - mean).T @ (x - mean)
        right += (x - mean).T @ (y - mean)
    normal += 1e-5 * np.trace(normal) / len(normal) * np.eye(len(normal))
    relative = np.linalg.solve(normal, right)
    # In absolute greys: a flat patch keeps its own.
    absolute = relative + (1 - relative.sum(axis=0)) / len(normal)
    return np.ascontiguousarray(absolute, np.float32)


def _fit_spread(pairs: Sequence[_Pair], enlargement: NDArray[np.float32]) -> NDArray[np.float32]:
    """Regression of the local log variance: that of a typical frame, where a mean of variances
    would be that of the few sharpest."""
    features, variances = [], []
    for pair in pairs:
        squared = cv2.GaussianBlur(pair.rest(enlargement) ** 2, (0, 0), 4)
        local = cv2.resize(squared, GRID, interpolation=cv2.INTER_AREA)
        around = cv2.resize(_surroundings(pair.canvas), GRID, interpolation=cv2.INTER_AREA)
        features.append(around[pair.inside])
        variances.append(local[pair.inside])
    x, y = np.concatenate(features), np.concatenate(variances)
    return np.linalg.lstsq(x, np.log(y + 0.05), rcond=None)[0].astype(np.float32)


def _fit_grain(pairs: Sequence[_Pair], enlargement: NDArray[np.float32]) -> NDArray[np.float32]:
    """The square root of the mean spectrum of what is not foretold, as a kernel."""
    power = np.zeros((_WINDOW, _WINDOW))
    taper = np.outer(np.hanning(_WINDOW), np.hanning(_WINDOW))
    cells = _WINDOW // (2 * _CELL)
    for pair in pairs:
        rest = pair.rest(enlargement)
        for i in range(0, GRID[1] - cells + 1, cells // 2):
            for j in range(0, GRID[0] - cells + 1, cells // 2):
                if not pair.inside[i : i + cells, j : j + cells].all():
                    continue
                y, x = 2 * _CELL * i, 2 * _CELL * j
                window = rest[y : y + _WINDOW, x : x + _WINDOW] * taper
                power += np.abs(np.fft.fft2(window)) ** 2 / ((window * window).sum() + 1)
    if not power.any():
        raise ValueError("the frames show too little tissue to measure its fine detail")
    kernel = np.fft.fftshift(np.fft.ifft2(np.sqrt(power)).real)
    middle, reach = _WINDOW // 2, _GRAIN // 2
    cut = kernel[middle - reach : middle + reach + 1, middle - reach : middle + reach + 1]
    return (cut / np.sqrt((cut * cut).sum())).astype(np.float32)


def _patches(canvas: Image) -> Image:
    """(64, 96, 144): each cell with its neighbours."""
    padded = np.pad(canvas, _CELL, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (_PATCH, _PATCH))
    return windows[::_CELL, ::_CELL].reshape(GRID[1], GRID[0], _PATCH**2)


def _blocks(double: Image) -> Image:
    """(64, 96, 64): each cell's 8x8 px of the double grid."""
    split = double.reshape(GRID[1], 2 * _CELL, GRID[0], 2 * _CELL)
    return split.transpose(0, 2, 1, 3).reshape(GRID[1], GRID[0], 4 * _CELL**2)


def _enlarge(canvas: NDArray[np.generic], enlargement: NDArray[np.float32]) -> Image:
    blocks = _patches(canvas.astype(np.float32)) @ enlargement
    split = blocks.reshape(GRID[1], GRID[0], 2 * _CELL, 2 * _CELL)
    return np.ascontiguousarray(split.transpose(0, 2, 1, 3).reshape(DOUBLE[1], DOUBLE[0]))


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
