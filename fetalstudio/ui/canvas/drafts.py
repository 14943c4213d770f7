"""Drawing an ellipse or a ruler point by point, or placing one. No Qt; all points are image px.

A draft starts where the button is pressed. It follows the pointer, with or without a pressed
button, and sets its points where the button is released, until it is complete. Dragging a line
and clicking its two ends are therefore the same. ``modified`` says whether Shift is held.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.sector import seen_sector
from fetalstudio.ui.canvas.handles import MIN_SEMI_AXIS, Shape
from fetalstudio.ui.canvas.view import Point

TYPICAL_CEPHALIC_INDEX = 0.78
"""Width over length of a head (Hadlock 1981), used until the pointer moves off the axis."""
_ACROSS_SECTOR, _DOWN_SECTOR = 0.31, 0.43
"""The long semi-axis of a placed ellipse as a share of the sector's width and height, at most: the
medians of the heads of 133 frames of HC18."""
_MAX_ALONG = 0.95
"""Share of the semi-axis; a side point nearer to the end would not determine the width."""


class Tool(Enum):
    """What the left button does: edit the ellipse, or draw."""

    EDIT = "edit"
    CALLIPER = "calliper"
    BOX = "box"
    RULER = "ruler"

    @property
    def hint(self) -> str:
        """The first step; empty where there is nothing to draw."""
        return _FIRST_HINTS.get(self, "")


_FIRST_HINTS = {
    Tool.CALLIPER: "Drag the long axis, outer edge to outer edge",
    Tool.BOX: "Drag a box around the head",
    Tool.RULER: "Drag from one ruler mark to another",
}


class Draft(Protocol):
    """An ellipse or a line that is being drawn."""

    @property
    def shape(self) -> Shape | None:
        """The ellipse so far."""

    @property
    def line(self) -> tuple[Point, Point] | None:
        """The line so far."""

    @property
    def hint(self) -> str:
        """The next step."""

    def move(self, at: Point, *, modified: bool) -> None:
        """Follow the pointer."""

    def release(self, at: Point, *, modified: bool) -> bool:
        """Set a point where the button was released. True when the draft is complete."""


class LineDraft:
    """A straight line between two points: the ruler."""

    def __init__(self, start: Point, min_length: float) -> None:
        """``min_length`` in px: a shorter stroke is a click."""
        self._pointer = start
        self.points = [start]
        self._min_length = min_length

    @property
    def shape(self) -> Shape | None:
        return None

    @property
    def line(self) -> tuple[Point, Point] | None:
        return self.points[0], self.points[1] if len(self.points) > 1 else self._pointer

    @property
    def hint(self) -> str:
        return "Now another ruler mark"

    def move(self, at: Point, *, modified: bool) -> None:
        self._pointer = at

    def release(self, at: Point, *, modified: bool) -> bool:
        self._pointer = at
        if math.dist(self.points[0], at) < self._min_length:
            return False
        self.points.append(at)
        return True


class CalliperDraft:
    """Both ends of the long axis, as with callipers, then one side point, or two with Shift."""

    def __init__(self, start: Point, min_length: float) -> None:
        """``min_length`` in px: a shorter stroke is a click."""
        self._pointer = start
        self._axis = LineDraft(start, max(min_length, 2 * MIN_SEMI_AXIS))
        self._sides: list[Point] = []
        self._complete = False

    @property
    def shape(self) -> Shape | None:
        if len(self._axis.points) < 2:
            return None
        end1, end2 = self._axis.points
        sides = self._sides if self._complete else [*self._sides, self._pointer]
        if not self._sides and math.dist(self._pointer, end2) < MIN_SEMI_AXIS:
            return _on_axis(end1, end2, TYPICAL_CEPHALIC_INDEX * math.dist(end1, end2) / 2)
        widths = [_width_through(end1, end2, side) for side in sides]
        return _on_axis(end1, end2, sum(widths) / len(widths))

    @property
    def line(self) -> tuple[Point, Point] | None:
        if len(self._axis.points) < 2:
            return self._axis.points[0], self._pointer
        return self._axis.points[0], self._axis.points[1]

    @property
    def hint(self) -> str:
        if len(self._axis.points) < 2:
            return "Now the other end of the long axis"
        if self._sides:
            return "Click the edge on the other side"
        return "Click the edge on one side (Shift: both sides)"

    def move(self, at: Point, *, modified: bool) -> None:
        self._pointer = at

    def release(self, at: Point, *, modified: bool) -> bool:
        self._pointer = at
        if len(self._axis.points) < 2:
            self._axis.release(at, modified=modified)
            return False
        # A click without a move accepts the typical width, as previewed.
        if self._sides or math.dist(at, self._axis.points[1]) >= MIN_SEMI_AXIS:
            self._sides.append(at)
        self._complete = not (modified and len(self._sides) == 1)
        return self._complete


class BoxDraft:
    """An upright ellipse, dragged from corner to corner, or with Shift from centre to corner."""

    def __init__(self, start: Point, min_length: float) -> None:
        """``min_length`` in px: a shorter stroke is a click."""
        self._pointer = start
        self._centred = False
        self._start = start
        self._min_length = min_length

    @property
    def shape(self) -> Shape | None:
        (x1, y1), (x2, y2) = self._start, self._pointer
        if math.dist(self._start, self._pointer) < self._min_length:
            return None
        share = 1.0 if self._centred else 0.5
        cx, cy = (x1, y1) if self._centred else ((x1 + x2) / 2, (y1 + y2) / 2)
        first, second = (max(MIN_SEMI_AXIS, share * abs(d)) for d in (x2 - x1, y2 - y1))
        return Shape(cx, cy, first, second, 0.0)

    @property
    def line(self) -> tuple[Point, Point] | None:
        return None

    @property
    def hint(self) -> str:
        return "Now the opposite corner (Shift: from the centre)"

    def move(self, at: Point, *, modified: bool) -> None:
        self._pointer, self._centred = at, modified

    def release(self, at: Point, *, modified: bool) -> bool:
        self.move(at, modified=modified)
        return self.shape is not None


_DRAFTS: dict[Tool, type[CalliperDraft | BoxDraft | LineDraft]] = {
    Tool.CALLIPER: CalliperDraft,
    Tool.BOX: BoxDraft,
    Tool.RULER: LineDraft,
}


def begin_draft(tool: Tool, start: Point, min_length: float) -> Draft:
    """The draft of a drawing tool from ``start``. A stroke below ``min_length`` px is a click."""
    return _DRAFTS[tool](start, min_length)


def placed(pixels: NDArray[np.uint8], start: Point, end: Point) -> Shape:
    """A lying ellipse in the middle of the sector, or of the frame where none is seen.

    Only the part of the frame (H, W) between the corners ``start`` and ``end`` counts.
    """
    height, width = pixels.shape
    x0, x1 = (round(min(max(x, 0), width)) for x in (start[0], end[0]))
    y0, y1 = (round(min(max(y, 0), height)) for y in (start[1], end[1]))
    sector = seen_sector(pixels)
    inside = None if sector is None else np.argwhere(sector[y0:y1, x0:x1])
    if inside is None or not len(inside):
        inside = np.array([(0, 0), (max(y1 - y0, 1) - 1, max(x1 - x0, 1) - 1)])
    tall, wide = np.ptp(inside, axis=0) + 1
    cy, cx = inside.mean(axis=0)
    long = max(MIN_SEMI_AXIS, min(_ACROSS_SECTOR * wide, _DOWN_SECTOR * tall))
    short = max(MIN_SEMI_AXIS, TYPICAL_CEPHALIC_INDEX * long)
    return Shape(x0 + float(cx), y0 + float(cy), float(long), float(short), 0.0)


def _on_axis(end1: Point, end2: Point, half_width: float) -> Shape:
    """The shape whose first axis runs from ``end1`` to ``end2``."""
    angle = math.degrees(math.atan2(end2[1] - end1[1], end2[0] - end1[0]))
    return Shape(
        (end1[0] + end2[0]) / 2,
        (end1[1] + end2[1]) / 2,
        math.dist(end1, end2) / 2,
        max(MIN_SEMI_AXIS, half_width),
        angle,
    )


def _width_through(end1: Point, end2: Point, side: Point) -> float:
    """Half the width of the ellipse on that axis through ``side``, which may lie anywhere."""
    length = math.dist(end1, end2)
    ux, uy = (end2[0] - end1[0]) / length, (end2[1] - end1[1]) / length
    rx, ry = side[0] - (end1[0] + end2[0]) / 2, side[1] - (end1[1] + end2[1]) / 2
    along = min(max(rx * ux + ry * uy, -_MAX_ALONG * length / 2), _MAX_ALONG * length / 2)
    across = max(abs(rx * uy - ry * ux), 1e-6)
    beside = (
        (end1[0] + end2[0]) / 2 + along * ux - across * uy,
        (end1[1] + end2[1]) / 2 + along * uy + across * ux,
    )
    # from_axis orders the semi-axes by size; their product gives the unknown one.
    ellipse = Ellipse.from_axis(end1, end2, beside)
    return ellipse.a * ellipse.b / (length / 2)
