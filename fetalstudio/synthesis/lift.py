"""Enlarges the model's canvas to the size of a frame and adds the grain of a scanner.

The canvas has no detail finer than two of its pixels, and the model's cells of 4x4 px show seams.
The fine detail of real frames is partly predicted from the canvas, by a least-squares map from each
cell and its neighbours. The rest is added as noise whose strength depends on the surroundings.
Together they have the radial power spectrum of a typical real frame. Everything is fitted in closed
form, within seconds, to real frames and to the same frames as the model renders them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from fetalstudio.core.errors import InputError, is_out_of_memory
from fetalstudio.core.geometry import Affine, Size, letterbox, warp
from fetalstudio.core.sector import tissue_mask
from fetalstudio.core.spectrum import radial_power, tissue_power
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.model_card import INTACT_COPY
from fetalstudio.synthesis.bands import FACTOR
from fetalstudio.synthesis.conditions import CANVAS, GRID

FILE = "lift.safetensors"
DOUBLE = (2 * CANVAS[0], 2 * CANVAS[1])
"""(width, height) in px of the double grid, on which the detail is made."""
_CELL = FACTOR
_PATCH = 3 * _CELL
"""Side in canvas px of the input for one cell: the cell and its neighbours."""
_WINDOW = 64
"""Side in px, on the double grid, of the windows whose spectrum is measured."""
_GRAIN = 15
"""Side in px of the kernel that gives noise this spectrum."""
_RINGS = 16
"""Rings of equal width from 0 to 0.5 cycles per px of the double grid, in radial spectra."""
_FREQUENCIES = (np.arange(_RINGS) + 0.5) / (2 * _RINGS)
_LARGEST_SCALE = 1.25
"""Frames that must be enlarged by more than this to fill the double grid show no fine detail."""
_SHAPES = {
    "enlargement": (_PATCH**2, 4 * _CELL**2),
    "spread": (3,),
    "grain": (_GRAIN, _GRAIN),
    "blur": (3,),
}
Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Lift:
    """The enlargement, fitted to real frames."""

    enlargement: NDArray[np.float32]
    """(144, 64): maps the 12x12 canvas px around a cell to the cell's 8x8 px of the double grid."""
    spread: NDArray[np.float32]
    """(3,): coefficients of the ln variance of the noise for (1, ln(mean + 1), ln(variance + 1)) of
    the surroundings, in grey levels."""
    grain: NDArray[np.float32]
    """(15, 15) kernel of unit energy that gives white noise the spectrum of the missing detail."""
    blur: NDArray[np.float32] = field(default_factory=lambda: _blur(0))
    """(3,) taps, along both axes, that remove excess fine detail of the prediction: least squares
    follows the sharpest frames and leaves traces of the cells."""

    @classmethod
    def fit(
        cls, frames: Sequence[NDArray[np.uint8]], canvases: Sequence[NDArray[np.uint8]]
    ) -> Lift:
        """Fit to a few dozen real frames, (H, W) uint8, and to their canvases, (256, 384), as the
        model renders them.

        Raises ``ValueError`` if no frame has more detail than the canvas, or enough tissue.
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
        spread, grain = _fit_spread(pairs, enlargement), _fit_grain(pairs, enlargement)
        return _balanced(cls(enlargement, spread, grain), pairs)

    @classmethod
    def read(cls, folder: Path) -> Lift | None:
        """Read from a model's folder; None if it holds no lift.

        Raises :class:`InputError` for a damaged file.
        """
        path = folder / FILE
        if not path.exists():
            return None
        try:
            lift = cls(**load_file(path))
            for name, shape in _SHAPES.items():
                values = getattr(lift, name)
                if values.shape != shape or not np.isfinite(values).all():
                    raise ValueError(f"'{name}' is not {shape} of finite numbers")
        except Exception as error:
            # safetensors raises errors of its own, and foreign contents any other.
            if is_out_of_memory(error):
                raise
            raise InputError(f"{path} is damaged: {error}. {INTACT_COPY}") from error
        return lift

    def write(self, folder: Path) -> None:
        """Write into a model's folder, atomically."""
        write_bytes(folder / FILE, save({f.name: getattr(self, f.name) for f in fields(self)}))

    def apply(
        self, canvas: NDArray[np.uint8], size: Size, seed: int, view: Affine | None = None
    ) -> NDArray[np.uint8]:
        """Enlarge a (256, 384) canvas to ``size``, (H, W) uint8. A seed gives the same result.

        ``view`` is that of :func:`fit_to`.
        """
        detailed = self.predicted(canvas) + self.noise(canvas, seed)
        return fit_to(np.clip(detailed, 0, 255), size, view)

    def predicted(self, canvas: NDArray[np.generic]) -> Image:
        """The detail predicted from the canvas, on the double grid, in grey levels."""
        enlarged = _enlarge(canvas, self.enlargement)
        blurred = cv2.sepFilter2D(enlarged, -1, self.blur, self.blur)
        return np.asarray(blurred, np.float32)

    def noise(self, canvas: NDArray[np.generic], seed: int) -> Image:
        """The noise in place of the missing detail, on the double grid, in grey levels."""
        noise = cv2.filter2D(_white(seed), -1, self.grain, borderType=cv2.BORDER_REFLECT)
        # There is no grain outside the sector.
        written = (canvas.astype(np.float32) > 1).astype(np.float32)
        lit = cv2.resize(written, DOUBLE, interpolation=cv2.INTER_LINEAR)
        return np.asarray(noise * np.sqrt(_variance(canvas, self.spread)) * lit, np.float32)


@lru_cache(maxsize=1)  # while an ellipse is dragged the seed stays
def _white(seed: int) -> Image:
    """White noise on the double grid. Do not write to it."""
    return np.random.default_rng(seed).standard_normal(DOUBLE[::-1], np.float32)


def fit_to(image: Image, size: Size, view: Affine | None = None) -> NDArray[np.uint8]:
    """Map an image of the canvas, at any resolution, back to the frame.

    ``view`` maps the frame to the canvas; by default, the canvas shows the whole frame.
    """
    return rounded(enlarged(image, size, view))


def rounded(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    """An image in whole grey levels."""
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)


def enlarged(image: NDArray[Any], size: Size, view: Affine | None = None) -> Image:
    """As :func:`fit_to`, in grey levels that are not rounded."""
    finer = letterbox(CANVAS, (image.shape[1], image.shape[0]))
    return warp(
        image.astype(np.float32), (finer @ (view or letterbox(size, CANVAS))).inverse(), size
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    """A frame: as the model renders it, itself, and itself on the double grid."""

    frame: NDArray[np.uint8]
    canvas: Image
    double: Image
    inside: NDArray[np.bool_]
    """(64, 96): cells well inside the sector and away from everything that is drawn on it."""

    @classmethod
    def of(cls, frame: NDArray[np.uint8], canvas: NDArray[np.uint8]) -> _Pair:
        double = warp(frame, letterbox((frame.shape[1], frame.shape[0]), DOUBLE), DOUBLE)
        usable = cv2.resize(tissue_mask(double), GRID, interpolation=cv2.INTER_AREA)
        return cls(frame, canvas.astype(np.float32), double.astype(np.float32), usable > 0)

    def rest(self, enlargement: NDArray[np.float32]) -> Image:
        """The detail that the prediction misses."""
        return self.double - _enlarge(self.canvas, enlargement)


def _balanced(lift: Lift, pairs: Sequence[_Pair]) -> Lift:
    """The lift with the blur and the grain that give images the radial spectrum of a typical frame,
    at the frames' own sizes."""
    measured = [found for pair in pairs if (found := _spectra(lift, pair)) is not None]
    if not measured:
        return lift
    real, predicted, noise = np.stack(measured, axis=1)

    def excess(powers: NDArray[np.float64]) -> NDArray[np.float64]:
        """The ln of the power relative to a typical frame, by ring."""
        return np.asarray(np.log(powers / real).mean(axis=-2))

    fine = slice(_RINGS // 2, None)
    blurs = [_blur(share) for share in np.linspace(0, 0.2, 41)]
    blur = min(blurs, key=lambda taps: (excess(predicted * _passed(taps))[fine] ** 2).sum())
    predicted = predicted * _passed(blur)
    gains = np.concatenate([[0.0], np.geomspace(1e-3, 10, 100)])
    best = np.abs(excess(predicted + gains[:, None, None] * noise)).argmin(axis=0)
    radius = np.hypot(np.fft.fftfreq(_WINDOW)[:, None], np.fft.fftfreq(_WINDOW))
    gain = np.interp(radius, _FREQUENCIES, np.sqrt(gains[best]))
    kernel = _cut(gain * np.abs(np.fft.fft2(lift.grain, gain.shape)))
    # No noise where the prediction alone is too strong.
    energy = max(float((kernel * kernel).sum()), 1e-12)
    spread = lift.spread + np.array([np.log(energy), 0, 0], np.float32)
    return Lift(lift.enlargement, spread, kernel / np.float32(np.sqrt(energy)), blur)


def _blur(share: float) -> NDArray[np.float32]:
    """A blur in which each px gives this share to each neighbour."""
    return np.array([share, 1 - 2 * share, share], np.float32)


def _passed(taps: NDArray[np.float32]) -> NDArray[np.float64]:
    """(16,) share of the power that the blur along both axes leaves, by ring."""
    kernel = np.zeros((_WINDOW, _WINDOW))
    kernel[:3, :3] = np.outer(taps, taps)
    return radial_power(kernel, _RINGS)


def _spectra(lift: Lift, pair: _Pair) -> NDArray[np.float64] | None:
    """(3, 16) radial power of the frame, the prediction and the noise, on the double grid.

    None if the frame shows too little tissue.
    """
    size = (pair.frame.shape[1], pair.frame.shape[0])
    to_double = letterbox(size, DOUBLE)
    back = to_double.inverse()
    parts = [lift.predicted(pair.canvas), lift.noise(pair.canvas, 0)]
    images = [pair.frame.astype(np.float32), *(warp(part, back, size) for part in parts)]
    power = tissue_power(images, tissue_mask(pair.frame), _RINGS)
    if power is None:
        return None
    power[1] += 1 / 12  # for rounding to grey levels, as in the frame
    own = _FREQUENCIES * to_double.scale
    return np.exp([np.interp(own, _FREQUENCIES, row) for row in np.log(power)])


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
    # In absolute grey levels, so that a flat patch keeps its own.
    absolute = relative + (1 - relative.sum(axis=0)) / len(normal)
    return np.ascontiguousarray(absolute, np.float32)


def _fit_spread(pairs: Sequence[_Pair], enlargement: NDArray[np.float32]) -> NDArray[np.float32]:
    """Regression of the local log variance, which describes a typical frame. A mean of variances
    would describe the few sharpest frames."""
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
    """A kernel whose spectrum is the root of the mean spectrum of the missing detail."""
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
    kernel = _cut(np.sqrt(power))
    return kernel / np.sqrt((kernel * kernel).sum())


def _cut(amplitude: NDArray[np.floating]) -> NDArray[np.float32]:
    """(15, 15) kernel whose spectrum has this (64, 64) amplitude and no phase."""
    kernel = np.fft.fftshift(np.fft.ifft2(amplitude).real)
    middle, reach = _WINDOW // 2, _GRAIN // 2
    within = slice(middle - reach, middle + reach + 1)
    return kernel[within, within].astype(np.float32)


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
    """The variance of the missing detail, on the double grid, in squared grey levels."""
    on_canvas = np.exp(_surroundings(canvas) @ spread)
    return cv2.resize(on_canvas, DOUBLE, interpolation=cv2.INTER_LINEAR).astype(np.float32)
