"""Affine maps between pixel grids, and warping images along them.

Coordinates are continuous pixels, x to the right and y down; the centre of the first pixel is
(0, 0), so an image of width ``w`` covers x from -0.5 to w - 0.5. Sizes are always (width, height).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
"""(width, height) in pixels."""


@dataclass(frozen=True, slots=True)
class Affine:
    """x' = xx*x + xy*y + x0 and y' = yx*x + yy*y + y0 (pixels to pixels, or pixels to mm)."""

    xx: float = 1.0
    xy: float = 0.0
    x0: float = 0.0
    yx: float = 0.0
    yy: float = 1.0
    y0: float = 0.0

    @classmethod
    def from_matrix(cls, matrix: NDArray[np.floating]) -> Affine:
        """From a 2x3 or 3x3 matrix."""
        m = np.asarray(matrix, dtype=float)
        return cls(*(float(v) for v in m[:2].ravel()))

    @classmethod
    def scaling(cls, sx: float, sy: float | None = None) -> Affine:
        """Scale about the origin (``sy`` defaults to ``sx``)."""
        return cls(xx=sx, yy=sx if sy is None else sy)

    @classmethod
    def translation(cls, dx: float, dy: float) -> Affine:
        """Shift by (dx, dy)."""
        return cls(x0=dx, y0=dy)

    @classmethod
    def rotation(cls, degrees: float, centre: tuple[float, float] = (0.0, 0.0)) -> Affine:
        """Turn from +x towards +y (clockwise on screen) about ``centre``."""
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        turn = cls(xx=c, xy=-s, yx=s, yy=c)
        return cls.translation(*centre) @ turn @ cls.translation(-centre[0], -centre[1])

    @property
    def linear(self) -> NDArray[np.float64]:
        """The 2x2 part."""
        return np.array([[self.xx, self.xy], [self.yx, self.yy]])

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The 2x3 matrix, as OpenCV takes it."""
        return np.array([[self.xx, self.xy, self.x0], [self.yx, self.yy, self.y0]])

    @property
    def scale(self) -> float:
        """Square root of the area factor: the length factor of a uniform map."""
        return math.sqrt(abs(self.xx * self.yy - self.xy * self.yx))

    def __matmul__(self, first: Affine) -> Affine:
        """``(g @ f)(p) == g(f(p))``."""
        linear = self.linear @ first.linear
        x0, y0 = self.linear @ np.array([first.x0, first.y0]) + np.array([self.x0, self.y0])
        return Affine(linear[0, 0], linear[0, 1], float(x0), linear[1, 0], linear[1, 1], float(y0))

    def inverse(self) -> Affine:
        """The map back. Raises ``ValueError`` where there is none."""
        if abs(self.xx * self.yy - self.xy * self.yx) < 1e-12:
            raise ValueError("this affine map flattens the plane and has no inverse")
        linear = np.linalg.inv(self.linear)
        x0, y0 = -linear @ np.array([self.x0, self.y0])
        return Affine(linear[0, 0], linear[0, 1], float(x0), linear[1, 0], linear[1, 1], float(y0))

    def apply(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map points of shape (..., 2)."""
        return np.asarray(points, dtype=float) @ self.linear.T + np.array([self.x0, self.y0])


def letterbox(
    source: Size,
    target: Size,
    *,
    fit: Literal["inside", "cover"] = "inside",
    anchor: Literal["centre", "top-left"] = "centre",
) -> Affine:
    """One uniform scale (never a stretch) that lays a ``source`` grid on a ``target`` grid.

    ``inside`` leaves bars, ``cover`` crops. ``anchor`` says where the spare room goes.
    """
    ratios = (target[0] / source[0], target[1] / source[1])
    s = min(ratios) if fit == "inside" else max(ratios)
    spare = (target[0] - s * source[0], target[1] - s * source[1])
    share = 0.5 if anchor == "centre" else 0.0
    # Pixel centres are at integers, so edges, not centres, are what scales: x' + .5 = s (x + .5).
    return Affine(
        xx=s, x0=0.5 * s - 0.5 + share * spare[0], yy=s, y0=0.5 * s - 0.5 + share * spare[1]
    )


def warp(
    image: NDArray[np.generic], affine: Affine, size: Size, *, border: float = 0.0
) -> NDArray[np.generic]:
    """Resample ``image`` (H x W, uint8 or float32) along ``affine`` onto a grid of ``size``.

    Shrinking is low-pass filtered first, enlarging is cubic, so neither aliases nor blurs more
    than it must. Outside the source the result is ``border``.
    """
    s = affine.scale
    if s < 1.0:
        sigma = 0.5 * math.sqrt(1.0 / (s * s) - 1.0)
        image = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    flags = cv2.INTER_CUBIC if s > 1.0 else cv2.INTER_LINEAR
    return cv2.warpAffine(
        image, affine.matrix, size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=border
    )
