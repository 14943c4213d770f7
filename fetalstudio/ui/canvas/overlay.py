"""Paints the ellipse, its handles and drafts at the resolution of the device."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QCursor, QPainter, QPen, QPixmap, QPolygonF

from fetalstudio.core.biometry import Spread
from fetalstudio.core.calibration import Calibration
from fetalstudio.core.distributions import NORMAL_95
from fetalstudio.ui import theme
from fetalstudio.ui.canvas.handles import Handle, Shape, handle_points
from fetalstudio.ui.canvas.view import Point, View

_LINE = 1.5
_HALO = 3.6
_HALO_COLOUR = QColor(0, 0, 0, 130)
_FLATNESS = 0.1
"""Largest error of the painted line in screen px."""
_SCALE_BARS_MM = (1, 2, 5, 10, 20, 50, 100)
_UNSURE = 0.05
"""Share of the radius. An outline that is surer than this is not doubled."""


@dataclass(frozen=True, slots=True)
class EllipseStyle:
    """How an ellipse looks; dashed if no person has drawn or confirmed it."""

    colour: str = theme.ELLIPSE
    dashed: bool = False
    label: str = ""
    """Small text beside the ellipse."""


def outline(shape: Shape, view: View) -> QPolygonF:
    """The closed outline on screen, exact to a tenth of a px at any zoom.

    Qt's own ellipse consists of Bezier curves, which are off by several px at a large zoom.
    """
    x, y = view.to_screen((shape.cx, shape.cy))
    first, second = shape.first * view.scale, shape.second * view.scale
    t = math.radians(shape.angle_deg)
    c, s = math.cos(t), math.sin(t)
    # A chord over the angle d misses a circle by r (1 - cos d/2), about r d^2 / 8.
    steps = max(24, math.ceil(2 * math.pi * math.sqrt(max(first, second) / (8 * _FLATNESS))))
    points = []
    for i in range(steps + 1):
        d = 2 * math.pi * (i % steps) / steps
        u, v = first * math.cos(d), second * math.sin(d)
        points.append(QPointF(x + c * u - s * v, y + s * u + c * v))
    return QPolygonF(points)


def paint_ellipse(painter: QPainter, shape: Shape, view: View, style: EllipseStyle) -> None:
    """The outline, with a dark halo so that it shows on bright bone."""
    points = outline(shape, view)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(_HALO_COLOUR, _HALO))
    painter.drawPolyline(points)
    pen = QPen(QColor(style.colour), _LINE)
    if style.dashed:
        pen.setDashPattern([5, 4])
    painter.setPen(pen)
    painter.drawPolyline(points)
    if style.label:
        box = points.boundingRect()
        _text(painter, QPointF(box.center().x(), box.top() - 12), style.label, style.colour)


def paint_spread(painter: QPainter, shape: Shape, spread: Spread, view: View, colour: str) -> None:
    """Faint lines on both sides of the outline, between which 95 % of sonographers' lie.

    Only where they are far apart, which is where the skull is not seen. ``shape`` has the major
    axis as its first one.
    """
    faint = QColor(colour)
    faint.setAlpha(130)
    painter.setPen(QPen(faint, 1))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    points = outline(shape, view)
    centre = QPointF(*view.to_screen((shape.cx, shape.cy)))
    steps = points.size() - 1
    shares = []
    for i in range(steps):
        d = 2 * math.pi * i / steps
        along, across = spread.ofd * math.cos(d) ** 2, spread.bpd * math.sin(d) ** 2
        shares.append(NORMAL_95 * math.hypot(along, across))
    for sign in (-1, 1):
        for i in range(steps):
            here, there = shares[i], shares[(i + 1) % steps]
            if min(here, there) > _UNSURE:
                first, second = points.at(i), points.at(i + 1)
                painter.drawLine(
                    centre + (first - centre) * (1 + sign * here),
                    centre + (second - centre) * (1 + sign * there),
                )


def paint_axes(painter: QPainter, shape: Shape, view: View, colour: str) -> None:
    """The two axes as faint lines, like the callipers of OFD and BPD."""
    x, y = view.to_screen((shape.cx, shape.cy))
    faint = QColor(colour)
    faint.setAlpha(190)
    painter.setPen(QPen(faint, 1, Qt.PenStyle.DotLine))
    for handle, axis in ((Handle.FIRST_END, shape.first), (Handle.SECOND_END, shape.second)):
        ux, uy = shape.outward(handle)
        dx, dy = ux * axis * view.scale, uy * axis * view.scale
        painter.drawLine(QPointF(x - dx, y - dy), QPointF(x + dx, y + dy))


def paint_handles(
    painter: QPainter, shape: Shape, view: View, colour: str, active: Handle | None
) -> None:
    """All handles, at the same size at every zoom; ``active`` is the one under the pointer."""
    points = handle_points(shape, view)
    line = QColor(colour)
    end, knob = QPointF(*points[Handle.FIRST_END]), QPointF(*points[Handle.TURN])
    for pen in (QPen(_HALO_COLOUR, _HALO), QPen(line, 1)):
        painter.setPen(pen)
        painter.drawLine(end, knob)
    for handle, point in points.items():
        lit = handle is active
        at = QPointF(*point)
        if handle is Handle.CENTRE:
            _paint_cross(painter, at, QColor(theme.TEXT_BRIGHT) if lit else line, 9 if lit else 7)
            continue
        radius = 6.5 if lit else 5.0
        painter.setPen(QPen(_HALO_COLOUR, 1.2 + 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawEllipse(at, radius, radius)
        painter.setPen(QPen(line, 1.5))
        painter.setBrush(line if lit else QColor(theme.CANVAS))
        painter.drawEllipse(at, radius, radius)
        if handle is Handle.TURN:
            painter.setBrush(QColor(theme.CANVAS) if lit else line)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.drawEllipse(at, 2.0, 2.0)


def paint_line(painter: QPainter, line: tuple[Point, Point], view: View, colour: str) -> None:
    """A straight line with a calliper's cross at each end."""
    ends = [QPointF(*view.to_screen(point)) for point in line]
    for pen in (QPen(_HALO_COLOUR, _HALO), QPen(QColor(colour), 1.2)):
        painter.setPen(pen)
        painter.drawLine(ends[0], ends[1])
    for end in ends:
        _paint_cross(painter, end, QColor(colour), 7)


def paint_scale_bar(
    painter: QPainter, calibration: Calibration, view: View, corner: QPointF
) -> None:
    """A bar of a round number of mm; its right end is at ``corner``."""
    px_per_mm = view.scale / calibration.mm_per_px_x
    mm = max((m for m in _SCALE_BARS_MM if m * px_per_mm <= 160), default=_SCALE_BARS_MM[0])
    left = corner - QPointF(mm * px_per_mm, 0)
    colour = QColor(theme.TEXT_DIM)
    for pen in (QPen(_HALO_COLOUR, _HALO), QPen(colour, 1.2)):
        painter.setPen(pen)
        painter.drawLine(left, corner)
        for end in (left, corner):
            painter.drawLine(end - QPointF(0, 3), end + QPointF(0, 3))
    _text(painter, (left + corner) / 2 - QPointF(0, 12), f"{mm} mm", theme.TEXT_DIM)


def axis_cursor(outward: Point) -> Qt.CursorShape:
    """The double arrow nearest to a direction."""
    shapes = (
        Qt.CursorShape.SizeHorCursor,
        Qt.CursorShape.SizeFDiagCursor,
        Qt.CursorShape.SizeVerCursor,
        Qt.CursorShape.SizeBDiagCursor,
    )
    return shapes[round(math.degrees(math.atan2(outward[1], outward[0])) / 45) % 4]


def turn_cursor() -> QCursor:
    """A round arrow, as Qt has no cursor for turning."""
    pixmap = QPixmap(24, 24)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for colour, width in ((QColor(0, 0, 0, 200), 4.5), (QColor("white"), 2.0)):
        painter.setPen(QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.drawArc(QRectF(5, 5, 14, 14), 40 * 16, 280 * 16)
        painter.drawPolyline([QPointF(13, 4.5), QPointF(18, 7), QPointF(18.5, 1.5)])
    painter.end()
    return QCursor(pixmap)


def _paint_cross(painter: QPainter, at: QPointF, colour: QColor, arm: float) -> None:
    for pen in (QPen(_HALO_COLOUR, _HALO), QPen(colour, _LINE)):
        painter.setPen(pen)
        painter.drawLine(at - QPointF(arm, 0), at + QPointF(arm, 0))
        painter.drawLine(at - QPointF(0, arm), at + QPointF(0, arm))


def _text(painter: QPainter, centre: QPointF, text: str, colour: str) -> None:
    """Small text on a dark background, kept inside the viewport."""
    metrics = painter.fontMetrics()
    box = QRectF(0, 0, metrics.horizontalAdvance(text) + 10, metrics.height() + 2)
    box.moveCenter(centre)
    room = QRectF(painter.viewport())
    box.moveLeft(min(max(box.left(), 2), room.width() - box.width() - 2))
    box.moveTop(min(max(box.top(), 2), room.height() - box.height() - 2))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(10, 11, 13, 170))
    painter.drawRoundedRect(box, 3, 3)
    painter.setPen(QColor(colour))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
