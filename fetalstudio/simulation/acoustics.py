"""Speckle, blur by pulse and beam, attenuation with depth, and log compression."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


def amplitude(level_db: Any) -> Any:
    """Decibels (a number or an array) to amplitude."""
    return 10 ** (level_db / 20)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int]) -> Field:
    """Smooth noise, zero mean and unit variance, with about ``cells`` waves down and across."""
    coarse = rng.standard_normal((cells[0] + 3, cells[1] + 3), dtype=np.float32)
    fine: Any = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    mean, deviation = cv2.meanStdDev(fine)
    fine -= np.float32(mean[0, 0])
    fine /= np.float32(max(deviation[0, 0], 1e-6))
    return fine


def envelope(
    rng: np.random.Generator,
    diffuse: Field,
    mirror: Field,
    *,
    axial: float,
    lateral: Field,
    looks: int = 1,
) -> Field:
    """The received envelope of an echogenicity map, (depths, beams).

    ``diffuse`` is the amplitude of many small scatterers per cell, whose echoes return in random
    phase (a circular complex Gaussian: speckle). ``mirror`` is that of smooth walls, whose echoes
    add up. Both pass a separable Gaussian pulse, ``axial`` cells long (sigma) and ``lateral[row]``
    cells wide, which preserves the power of speckle and the height of a wall. ``looks`` is the
    number of independent envelopes that are averaged, as in compounding.

    With one look, a large uniform region has a mean of 1.91 standard deviations (Rayleigh; Wagner
    et al., IEEE Trans Sonics Ultrason 1983;30:156-163).
    """
    walls = _lateral_blur(_axial_blur(mirror, axial), lateral)
    power = 1 / (2 * np.sqrt(math.pi) * max(axial, 0.4)) / (2 * np.sqrt(math.pi) * lateral)
    keep = (1 / np.sqrt(2 * power)).astype(np.float32)[:, None]
    total = np.zeros_like(diffuse)
    for _ in range(looks):
        real, imaginary = (
            keep
            * _lateral_blur(
                _axial_blur(diffuse * rng.standard_normal(diffuse.shape, dtype=np.float32), axial),
                lateral,
            )
            for _ in range(2)
        )
        total += np.hypot(real + walls, imaginary)
    return total / np.float32(looks)


def _axial_blur(field: Field, sigma: float) -> Field:
    blurred = cv2.GaussianBlur(
        field, (1, 0), sigmaX=1.0, sigmaY=sigma, borderType=cv2.BORDER_REFLECT
    )
    return np.asarray(blurred, np.float32)


def _lateral_blur(field: Field, sigma: Field, *, levels: int = 5) -> Field:
    """A Gaussian filter with a width for each row, interpolated between ``levels`` widths."""
    widths = np.linspace(float(sigma.min()), float(sigma.max()), levels)
    if widths[-1] - widths[0] < 0.05:
        widths = widths[:1]
    position = np.interp(sigma, widths, np.arange(len(widths))).astype(np.float32)
    result = np.zeros_like(field)
    for i, width in enumerate(widths):
        share = np.clip(1 - np.abs(position - i), 0, 1)
        rows = np.nonzero(share)[0]
        if len(rows):
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            blurred = cv2.GaussianBlur(
                field[part], (0, 1), sigmaX=width, sigmaY=1.0, borderType=cv2.BORDER_REFLECT
            )
            result[part] += share[part, None] * blurred
    return result


def path_loss(loss_per_cm: Field, step_cm: float) -> Field:
    """Loss in dB on the way to each cell and back, from the loss in each cell (dB/cm, one way)."""
    return 2 * np.float32(step_cm) * np.cumsum(loss_per_cm, axis=0, dtype=np.float32)


def compress(envelope_: Field, *, range_db: float, curve: float) -> Field:
    """Log compression to grey values, 0 to 255: ``range_db`` below an amplitude of 1 is black.

    ``curve`` is the exponent of the scanner's grey map; above 1 it darkens weak echoes.
    """
    level = 20 * np.log10(np.maximum(envelope_, 1e-6))
    grey = 255 * np.clip(1 + level / range_db, 0, 1) ** np.float32(curve)
    return grey.astype(np.float32)
