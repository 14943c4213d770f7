"""The head ellipse.

Pixel coordinates follow :mod:`fetalstudio.core.geometry`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.components import areas, labelled
from fetalstudio.core.fit import fit_ellipse
from fetalstudio.core.geometry import Affine, Size


@dataclass(frozen=True, slots=True)
class Ellipse:
    """An ellipse in image pixels.

    ``cx, cy`` centre; ``a >= b > 0`` semi-axes; ``angle_deg`` in [0, 180) is the direction of the
    major axis, from +x towards +y (clockwise on screen).

    Raises ``ValueError`` for values that are not finite, a < b or b <= 0; use :meth:`of` for
    axes in any order and any angle.
    """

    cx: float
    cy: float
    a: float
    b: float
    angle_deg: float

    def __post_init__(self) -> None:
        cx, cy, a, b, angle = values = self.cx, self.cy, self.a, self.b, self.angle_deg
        finite = math.isfinite  # written out, because a project makes hundreds of thousands
        if not (finite(cx) and finite(cy) and finite(a) and finite(b) and finite(angle)):
            raise ValueError(f"an ellipse needs finite numbers, not {values}")
        if not self.a >= self.b > 0:
            raise ValueError(f"an ellipse needs a >= b > 0, not a={self.a}, b={self.b}")
        if not 0 <= self.angle_deg < 180:
            raise ValueError(f"the angle must be in [0, 180) degrees, not {self.angle_deg}")

    @classmethod
    def of(cls, cx: float, cy: float, a: float, b: float, angle_deg: float) -> Ellipse:
        """Like the constructor, with the semi-axes in any order and any finite angle."""
        if a < b:
            a, b, angle_deg = b, a, angle_deg + 90.0
        # A tiny negative angle wraps to exactly 180.0 in floating point, hence the second modulo.
        return cls(float(cx), float(cy), float(a), float(b), float(angle_deg) % 180.0 % 180.0)

    # -- found in images and from points ---------------------------------------------------

    @classmethod
    def from_mask(cls, mask: NDArray[np.generic]) -> Ellipse:
        """From a filled mask (H x W, nonzero = head): its largest component, holes filled.

        A head inside the frame is described by its second moments. If the border cuts the head,
        its visible outline is fitted. Raises ``ValueError`` if there is no usable component or if
        none of its outline is in the frame.
        """
        component = largest_component(mask)
        contours, _ = cv2.findContours(component, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        if not contours or cv2.contourArea(contours[0]) < 16:
            raise ValueError("the mask holds no region large enough for an ellipse")
        outline = contours[0][:, 0].astype(float)
        h, w = component.shape
        x, y = outline.T
        free = outline[(x > 0) & (y > 0) & (x < w - 1) & (y < h - 1)]
        if len(free) == len(outline):
            filled = cv2.drawContours(np.zeros_like(component), contours, -1, 1, cv2.FILLED)
            return _from_moments(filled.astype(np.uint8))
        if len(free) < 16:
            raise ValueError("the mask is cut by the border and shows no outline of a head")
        fitted = cls.from_points(free)
        # The outline runs through pixel centres, which lie inside the region's edge by 0.5 px
        # along the grid, 0.35 px at 45 degrees and 0.45 px on average.
        a, b = fitted.a + 0.45, fitted.b + 0.45
        return cls.of(fitted.cx, fitted.cy, a, b, fitted.angle_deg)

    @classmethod
    def from_ring(cls, ring: NDArray[np.generic]) -> Ellipse:
        """The centre line of a thin drawn ellipse (H x W, nonzero = line), closed or cut open.

        For a closed ring, the ellipses of its outer and inner region are averaged, which reproduces
        the HC of the HC18 tables within 0.03 %. An open ring (cut by the border) is fitted by least
        squares.
        Raises ``ValueError`` if the line does not describe an ellipse.
        """
        line = main_strokes(ring)
        ys, xs = np.nonzero(line)
        if len(xs) < 16:
            raise ValueError("the annotation holds no ring to fit an ellipse to")
        fitted = cls.from_points(np.column_stack([xs, ys]))
        outside = np.pad(line, 1)
        cv2.floodFill(outside, None, (0, 0), 2)
        hole = (outside[1:-1, 1:-1] == 0).astype(np.uint8)
        if hole.sum() < 0.5 * fitted.area:
            return fitted
        outer, inner = _from_moments(hole | line), _from_moments(largest_component(hole))
        return cls.of(
            (outer.cx + inner.cx) / 2,
            (outer.cy + inner.cy) / 2,
            (outer.a + inner.a) / 2,
            (outer.b + inner.b) / 2,
            outer.angle_deg,
        )

    @classmethod
    def from_points(cls, points: NDArray[np.floating]) -> Ellipse:
        """The ellipse closest to (n, 2) points on its outline, n >= 5, in the least-squares sense.

        Raises ``ValueError`` for fewer points, or points that lie on a line.
        """
        return cls.of(*fit_ellipse(np.asarray(points, dtype=np.float64).reshape(-1, 2)))

    @classmethod
    def from_axis(
        cls, end1: tuple[float, float], end2: tuple[float, float], side: tuple[float, float]
    ) -> Ellipse:
        """From the two ends of one axis and a point on the outline beside it, (x, y) in px each.

        Raises ``ValueError`` if that point lies on the axis or beyond its ends.
        """
        p, q = np.array(end1, float), np.array(end2, float)
        centre, half = (p + q) / 2, float(np.linalg.norm(q - p)) / 2
        if half <= 0:
            raise ValueError("the two ends of the axis are the same point")
        direction = (q - p) / (2 * half)
        rel = np.array(side, float) - centre
        along = float(rel @ direction) / half
        across = abs(float(rel[0] * direction[1] - rel[1] * direction[0]))
        if abs(along) >= 1 or across <= 0:
            raise ValueError("a side point must lie beside the axis, between its ends")
        other = across / math.sqrt(1 - along * along)
        angle = math.degrees(math.atan2(direction[1], direction[0]))
        return cls.of(centre[0], centre[1], half, other, angle)

    # -- derived ----------------------------------------------------------------------------

    @property
    def area(self) -> float:
        """In px^2."""
        return math.pi * self.a * self.b

    @property
    def perimeter(self) -> float:
        """In px, by Ramanujan's second approximation (relative error below 1e-6 for heads)."""
        h = ((self.a - self.b) / (self.a + self.b)) ** 2
        return math.pi * (self.a + self.b) * (1 + 3 * h / (10 + math.sqrt(4 - 3 * h)))

    @property
    def axes(self) -> NDArray[np.float64]:
        """(2, 2): the unit vectors of the major and the minor axis, one per row."""
        t = math.radians(self.angle_deg)
        return np.array([[math.cos(t), math.sin(t)], [-math.sin(t), math.cos(t)]])

    def contour(self, n: int = 360) -> NDArray[np.float64]:
        """``n`` points on the outline, (n, 2), starting at an end of the major axis."""
        t = np.linspace(0, 2 * math.pi, n, endpoint=False)
        local = np.column_stack([self.a * np.cos(t), self.b * np.sin(t)])
        return np.asarray(local @ self.axes + np.array([self.cx, self.cy]))

    def box(self) -> tuple[float, float, float, float]:
        """The tight box (x0, y0, x1, y1) of the rotated ellipse."""
        extent = np.hypot(self.a * self.axes[0], self.b * self.axes[1])
        return (
            self.cx - extent[0],
            self.cy - extent[1],
            self.cx + extent[0],
            self.cy + extent[1],
        )

    def reaches(self, size: Size) -> bool:
        """Whether the box lies at least partly on an image of this (width, height)."""
        x0, y0, x1, y1 = self.box()
        return bool(x1 >= 0 and y1 >= 0 and x0 <= size[0] - 1 and y0 <= size[1] - 1)

    def is_centred_on(self, size: Size) -> bool:
        """Whether the centre lies on an image of this (width, height)."""
        return -0.5 <= self.cx <= size[0] - 0.5 and -0.5 <= self.cy <= size[1] - 0.5

    def local(self, size: Size) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Each pixel's coordinates along the major and minor axis, in px, two (H, W) float32."""
        x = np.arange(size[0], dtype=np.float32)[None] - np.float32(self.cx)
        y = np.arange(size[1], dtype=np.float32)[:, None] - np.float32(self.cy)
        (ux, uy), (vx, vy) = self.axes.astype(np.float32)
        return x * ux + y * uy, x * vx + y * vy

    def mask(self, size: Size) -> NDArray[np.uint8]:
        """The filled mask, (H, W) of 0 and 1: pixels whose centre lies inside."""
        u, v = self.local(size)
        return ((u / self.a) ** 2 + (v / self.b) ** 2 <= 1).astype(np.uint8)

    def sdf(self, size: Size) -> NDArray[np.float32]:
        """Signed distance to the outline in px, (H, W) float32, negative inside.

        The nearest point is found by Newton steps on the ellipse's evolute (A. Yershov's
        iteration), good to well under 0.1 px for heads.
        """
        u, v = self.local(size)
        # The centre of a circle is equally near to all of its points: a nudge picks one.
        px, py = np.maximum(np.abs(u), 1e-4), np.maximum(np.abs(v), 1e-4)
        a, b = np.float32(self.a), np.float32(self.b)
        bend = a * a - b * b
        tx = ty = np.full_like(px, math.sqrt(0.5))
        # Products and square roots take half the time of powers and hypot.
        for _ in range(4):
            ex, ey = bend / a * (tx * tx * tx), -bend / b * (ty * ty * ty)
            rx, ry = a * tx - ex, b * ty - ey
            qx, qy = px - ex, py - ey
            ratio = np.sqrt((rx * rx + ry * ry) / np.maximum(qx * qx + qy * qy, 1e-12))
            tx = np.maximum(qx * ratio + ex, 0) / a
            ty = np.maximum(qy * ratio + ey, 0) / b
            norm = np.sqrt(np.maximum(tx * tx + ty * ty, 1e-12))
            tx, ty = tx / norm, ty / norm
        dx, dy = px - a * tx, py - b * ty
        distance = np.sqrt(dx * dx + dy * dy)
        inside = (px / a) ** 2 + (py / b) ** 2 <= 1
        return np.where(inside, -distance, distance).astype(np.float32)

    def transformed(self, affine: Affine) -> Ellipse:
        """This ellipse under an affine map, which is again an ellipse, exactly."""
        scaled = affine.linear @ self.axes.T @ np.diag([self.a, self.b])
        vectors, lengths, _ = np.linalg.svd(scaled)
        cx, cy = affine.apply(np.array([self.cx, self.cy]))
        angle = math.degrees(math.atan2(vectors[1, 0], vectors[0, 0]))
        return Ellipse.of(cx, cy, lengths[0], lengths[1], angle)

    def overlap(self, other: Ellipse) -> float:
        """Dice of the two filled ellipses, 0 to 1, on a grid about 500 px wide that covers both."""
        boxes = np.array([self.box(), other.box()])
        low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        step = 500.0 / float((high - low).max())
        to_grid = Affine.scaling(step) @ Affine.translation(-float(low[0]), -float(low[1]))
        w, h = np.ceil((high - low) * step).astype(int) + 1
        m1, m2 = (e.transformed(to_grid).mask((int(w), int(h))) for e in (self, other))
        return float(2 * (m1 & m2).sum() / max(int(m1.sum()) + int(m2.sum()), 1))


def largest_component(mask: NDArray[np.generic]) -> NDArray[np.uint8]:
    """The largest 8-connected region of a mask, (H, W) of 0 and 1; empty stays empty."""
    binary = _binary(mask)
    labels = labelled(binary)
    sizes = areas(labels)[1:]
    return binary if len(sizes) <= 1 else _binary(labels == 1 + np.argmax(sizes))


def main_strokes(ring: NDArray[np.generic]) -> NDArray[np.uint8]:
    """The ring without specks, (H, W) of 0 and 1. The border may cut it into several strokes."""
    binary = _binary(ring)
    # Dilating by a pixel joins strokes across small gaps before they are labelled.
    grown = np.asarray(cv2.dilate(binary, np.ones((3, 3), np.uint8)), np.uint8)
    labels = labelled(grown)
    sizes = np.bincount(labels[binary > 0], minlength=1)
    return binary & _binary((sizes >= max(0.2 * sizes.max(), 1))[labels])


def _binary(mask: NDArray[np.generic]) -> NDArray[np.uint8]:
    if mask.ndim != 2:
        raise ValueError(f"a mask has two dimensions, not shape {mask.shape}")
    return np.greater(mask, 0).astype(np.uint8)


def _from_moments(region: NDArray[np.uint8]) -> Ellipse:
    """The ellipse with the region's area moments (a solid ellipse has variance axis^2 / 4)."""
    m = cv2.moments(region, binaryImage=True)
    n = m["m00"]
    # Pixels count as points, as in Ellipse.mask: their own extent would add a bias.
    covariance = np.array([[m["mu20"], m["mu11"]], [m["mu11"], m["mu02"]]]) / n
    values, vectors = np.linalg.eigh(covariance)
    angle = math.degrees(math.atan2(vectors[1, 1], vectors[0, 1]))
    axes = 2 * np.sqrt(values)
    return Ellipse.of(m["m10"] / n, m["m01"] / n, axes[1], axes[0], angle)
