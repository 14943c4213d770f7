"""The geometry of the handles of an ellipse, without Qt.

Image points are continuous pixels as in :mod:`fetalstudio.core.geometry`; screen points are
logical pixels of the widget. Every handle changes one thing and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Size
from fetalstudio.ui.canvas.view import Point, View

MIN_SEMI_AXIS = 4.0
"""Image px; an ellipse cannot be made smaller."""
HIT_RADIUS = 10.0
"""Screen px around a handle in which a press grabs it."""
KNOB_DISTANCE = 30.0
"""Screen px from the end of the first axis to the turn knob."""
MIN_REACH = 18.0
"""Smallest distance in screen px from the centre to an axis handle, for tiny ellipses."""


class Handle(Enum):
    """The parts of an ellipse that can be dragged."""

    CENTRE = "centre"
    FIRST_END = "first end"
    FIRST_START = "first start"
    SECOND_END = "second end"
    SECOND_START = "second start"
    TURN = "turn"


_OUTWARD: Mapping[Handle, tuple[bool, int]] = {
    Handle.FIRST_END: (True, 1),
    Handle.FIRST_START: (True, -1),
    Handle.SECOND_END: (False, 1),
    Handle.SECOND_START: (False, -1),
}
"""For each axis handle: whether it is on the first axis, and on which side of the centre."""


@dataclass(frozen=True, slots=True)
class Shape:
    """An ellipse while it is edited: semi-axes in any order, any angle.

    The axes of an :class:`Ellipse` are swapped when one grows past the other. The axes of a shape
    are not, so that nothing jumps under the pointer. The turn knob is beyond the end of the first
    axis.
    """

    cx: float
    cy: float
    first: float
    second: float
    angle_deg: float
    """Direction of the first axis."""

    @classmethod
    def of(cls, ellipse: Ellipse, like: Shape | None = None) -> Shape:
        """The shape of an ellipse; the first axis is the major one.

        Of its two directions the one nearer to that of ``like`` is taken, by default the right.
        """
        angle = ellipse.angle_deg
        if math.cos(math.radians(angle - (like.angle_deg if like is not None else 0.0))) < 0:
            angle += 180.0
        return cls(ellipse.cx, ellipse.cy, ellipse.a, ellipse.b, angle)

    def ellipse(self) -> Ellipse:
        """The same ellipse with its axes ordered by size."""
        return Ellipse.of(self.cx, self.cy, self.first, self.second, self.angle_deg)

    def flipped(self) -> Shape:
        """The same ellipse with the turn knob at the other end."""
        return replace(self, angle_deg=self.angle_deg + 180.0)

    def moved(self, dx: float, dy: float, frame: Size | None = None) -> Shape:
        """Shifted by image px; the centre stays on a ``frame`` of (width, height), if given."""
        cx, cy = self.cx + dx, self.cy + dy
        if frame is not None:
            cx = min(max(cx, -0.5), frame[0] - 0.5)
            cy = min(max(cy, -0.5), frame[1] - 0.5)
        return replace(self, cx=cx, cy=cy)

    def resized(self, first: float = 0.0, second: float = 0.0) -> Shape:
        """With semi-axes longer by ``first`` and ``second`` image px, about the same centre."""
        return replace(
            self,
            first=max(MIN_SEMI_AXIS, self.first + first) if first else self.first,
            second=max(MIN_SEMI_AXIS, self.second + second) if second else self.second,
        )

    def turned(self, degrees: float) -> Shape:
        """Turned about the centre, clockwise on screen."""
        return replace(self, angle_deg=self.angle_deg + degrees)

    def outward(self, handle: Handle) -> Point:
        """Unit vector from the centre to an axis handle, or to the turn knob."""
        on_first, side = _OUTWARD.get(handle, (True, 1))
        t = math.radians(self.angle_deg + (0.0 if on_first else 90.0))
        return side * math.cos(t), side * math.sin(t)

    def dragged(self, handle: Handle, start: Point, to: Point, *, anchored: bool = False) -> Shape:
        """This shape after ``handle`` was pulled from ``start`` to ``to`` (image points).

        Only the distance travelled counts, so that nothing jumps when a handle is grabbed off its
        middle. An axis changes symmetrically about the centre; with ``anchored`` its opposite end
        stays in place instead.
        """
        dx, dy = to[0] - start[0], to[1] - start[1]
        if handle is Handle.CENTRE:
            return self.moved(dx, dy)
        if handle is Handle.TURN:
            return self.turned(self._swept(start, to))
        ux, uy = self.outward(handle)
        on_first = _OUTWARD[handle][0]
        along = (dx * ux + dy * uy) * (0.5 if anchored else 1.0)
        grown = self.resized(first=along) if on_first else self.resized(second=along)
        if not anchored:
            return grown
        growth = grown.first - self.first if on_first else grown.second - self.second
        return grown.moved(growth * ux, growth * uy)

    def _swept(self, start: Point, to: Point) -> float:
        """Degrees between two points as seen from the centre, in [-180, 180]."""
        x1, y1 = start[0] - self.cx, start[1] - self.cy
        x2, y2 = to[0] - self.cx, to[1] - self.cy
        return math.degrees(math.atan2(x1 * y2 - y1 * x2, x1 * x2 + y1 * y2))


def handle_points(shape: Shape, view: View) -> dict[Handle, Point]:
    """The positions of the handles of ``shape`` on screen."""
    x, y = view.to_screen((shape.cx, shape.cy))
    points = {Handle.CENTRE: (x, y)}
    for handle in (*_OUTWARD, Handle.TURN):
        ux, uy = shape.outward(handle)
        axis = shape.first if _OUTWARD.get(handle, (True, 1))[0] else shape.second
        reach = max(axis * view.scale, MIN_REACH)
        reach += KNOB_DISTANCE if handle is Handle.TURN else 0.0
        points[handle] = (x + reach * ux, y + reach * uy)
    return points


def hit(points: Mapping[Handle, Point], at: Point, radius: float = HIT_RADIUS) -> Handle | None:
    """The handle nearest to a screen point within ``radius`` px, or None."""
    nearest = min(points, key=lambda handle: math.dist(points[handle], at), default=None)
    if nearest is None or math.dist(points[nearest], at) > radius:
        return None
    return nearest


def with_knob_in_sight(shape: Shape, view: View, viewport: tuple[float, float]) -> Shape:
    """``shape``, flipped if only then its turn knob is on a viewport of (width, height)."""

    def seen(candidate: Shape) -> bool:
        x, y = handle_points(candidate, view)[Handle.TURN]
        return 0 <= x <= viewport[0] and 0 <= y <= viewport[1]

    return shape.flipped() if not seen(shape) and seen(shape.flipped()) else shape
