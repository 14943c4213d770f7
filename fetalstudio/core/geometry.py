"""Affine maps between pixel grids, and warping images along them.

Coordinates are continuous pixels, x to the right and y down; the centre of the first pixel is
(0, 0), so an image of width ``w`` covers x from -0.5 to w - 0.5. Sizes are always (width, height).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
"""(width, height) in pixels."""

_Scalar = TypeVar("_Scalar", bound=np.generic)


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
        return cls(*np.asarray(matrix, dtype=float)[:2].ravel().tolist())

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
    def _square(self) -> NDArray[np.float64]:
        """The 3x3 matrix on homogeneous coordinates."""
        return np.vstack([self.matrix, [0.0, 0.0, 1.0]])

    @property
    def scale(self) -> float:
        """Square root of the area factor: the length factor of a uniform map."""
        return math.sqrt(abs(self.xx * self.yy - self.xy * self.yx))

    def __matmul__(self, first: Affine) -> Affine:
        """``(g @ f)(p) == g(f(p))``."""
        return Affine.from_matrix(self._square @ first._square)

    def inverse(self) -> Affine:
        """The inverse map. Raises ``ValueError`` if there is none."""
        if abs(self.xx * self.yy - self.xy * self.yx) < 1e-12:
            raise ValueError("this affine map flattens the plane and has no inverse")
        return Affine.from_matrix(np.linalg.inv(self._square))

    def apply(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Map points of shape (..., 2)."""
        mapped = np.asarray(points, dtype=float) @ self.linear.T + np.array([self.x0, self.y0])
        return np.asarray(mapped)


def letterbox(source: Size, target: Size) -> Affine:
    """Fits a ``source`` grid into the middle of a ``target`` grid by one uniform scale.

    Nothing is stretched or cropped; bars are left on two sides.
    """
    s = min(target[0] / source[0], target[1] / source[1])
    spare = (target[0] - s * source[0], target[1] - s * source[1])
    # Pixel centres are at integers, so it is edges that scale: x' + .5 = s (x + .5).
    return Affine(xx=s, x0=0.5 * s - 0.5 + spare[0] / 2, yy=s, y0=0.5 * s - 0.5 + spare[1] / 2)


def warp(
    image: NDArray[_Scalar], affine: Affine, size: Size, *, border: float = 0.0
) -> NDArray[_Scalar]:
    """Resample ``image`` (H x W, uint8 or float32) along ``affine`` onto a grid of ``size``.

    Shrinking is preceded by a low-pass filter against aliasing, enlarging is cubic. Outside the
    source the result is ``border``.
    """
    source: Any = image
    s = affine.scale
    if s < 1.0:
        sigma = 0.5 * math.sqrt(1.0 / (s * s) - 1.0)
        source = cv2.GaussianBlur(source, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    flags = cv2.INTER_CUBIC if s > 1.0 else cv2.INTER_LINEAR
    warped: Any = cv2.warpAffine(
        source, affine.matrix, size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=border
    )
    return np.asarray(warped, dtype=image.dtype)
