"""The icons: line drawings on a 24 x 24 grid, for any size and colour."""

from __future__ import annotations

from functools import cache

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from fetalstudio.resources import icons_dir
from fetalstudio.ui import theme

_LINES = {
    "library": '<rect x="3.5" y="4.5" width="7" height="6" rx="1.2"/>'
    '<rect x="13.5" y="4.5" width="7" height="6" rx="1.2"/>'
    '<rect x="3.5" y="13.5" width="7" height="6" rx="1.2"/>'
    '<rect x="13.5" y="13.5" width="7" height="6" rx="1.2"/>',
    "annotate": '<ellipse cx="12" cy="12" rx="9" ry="6.2" transform="rotate(-24 12 12)"/>'
    '<rect x="18.3" y="6.4" width="3.6" height="3.6" rx=".8" fill="{0}" stroke="none"/>'
    '<rect x="2.1" y="14" width="3.6" height="3.6" rx=".8" fill="{0}" stroke="none"/>'
    '<path d="M12 10.2v3.6M10.2 12h3.6"/>',
    "synthesise": '<path d="M9 4h6"/><path d="M9.3 4 3.6 15.2M14.7 4l5.7 11.2"/>'
    '<path d="M3.6 15.2a18 18 0 0 0 16.8 0"/><ellipse cx="12" cy="12" rx="3.6" ry="2.4"/>'
    '<path d="M19.5 17.6v4.2M17.4 19.7h4.2"/>',
    "review": '<rect x="3.5" y="5" width="12" height="9.5" rx="1.5"/>'
    '<path d="M18.5 8.5a1.5 1.5 0 0 1 1.5 1.5v7.5a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 8 17.6"/>'
    '<path d="m6.6 9.8 2.2 2.2 3.8-4.2"/>',
    "train": '<path d="M4 4v14.5A1.5 1.5 0 0 0 5.5 20H20.5"/>'
    '<path d="M7.5 16c2.5-.2 3-7.5 6-8.7 1.9-.8 3.5-1 6-1.1"/>'
    '<circle cx="13.5" cy="7.3" r="1.7" fill="{0}" stroke="none"/>',
    "keys": '<rect x="2.5" y="6" width="19" height="12" rx="2"/>'
    '<path d="M6 10h.01M9.5 10h.01M13 10h.01M16.5 10h1.5M6 14h.01M9 14h6M18 14h.01"/>',
    "close": '<path d="m7 7 10 10M17 7 7 17"/>',
    "search": '<circle cx="10.5" cy="10.5" r="6"/><path d="m15 15 5.2 5.2"/>',
    "import": '<path d="M12 4v10.5m-4-4 4 4 4-4"/>'
    '<path d="M4 16v2.5A1.5 1.5 0 0 0 5.5 20h13a1.5 1.5 0 0 0 1.5-1.5V16"/>',
    "propose": '<path d="m4 20 10.5-10.5M17 4v4M15 6h4M19.5 12v3M18 13.5h3M9 4v3M7.5 5.5h3"/>',
    "snap": '<ellipse cx="12" cy="12" rx="8.6" ry="6.4"/>'
    '<path d="M12 1.8v2.4m-1.2-1 1.2 1.2 1.2-1.2M12 22.2v-2.4m-1.2 1 1.2-1.2 1.2 1.2"/>',
    "next": '<path d="M5 12h13m-5.5-5.5L18 12l-5.5 5.5"/>',
    "info": '<circle cx="12" cy="12" r="8.5"/><path d="M12 11v5.5M12 7.8v.01"/>',
    "warning": '<path d="M12 4 2.8 19.5h18.4L12 4zM12 10v4.5M12 17v.01"/>',
    "error": '<circle cx="12" cy="12" r="8.5"/><path d="M12 7v6M12 16.3v.01"/>',
    "good": '<circle cx="12" cy="12" r="8.5"/><path d="m8 12.3 2.8 2.8L16.2 9.3"/>',
    "folder": '<path d="M3.5 18V6.5A1.5 1.5 0 0 1 5 5h4l2 2.5h8A1.5 1.5 0 0 1 20.5 9v9'
    'a1.5 1.5 0 0 1-1.5 1.5H5A1.5 1.5 0 0 1 3.5 18z"/>',
}

_DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="{0}" '
    'stroke-width="{1}" stroke-linecap="round" stroke-linejoin="round">{2}</svg>'
)


def pixmap(name: str, colour: str, size: int, ratio: float = 1.0, width: float = 1.6) -> QPixmap:
    """The icon ``name`` in ``colour``, ``size`` logical px wide, at a device pixel ``ratio``."""
    shapes = _LINES[name].replace("{0}", colour)
    return _render(_DRAWING.format(colour, width, shapes), size, ratio)


@cache
def icon(name: str, colour: str = theme.TEXT, active: str | None = None, size: int = 24) -> QIcon:
    """The icon of a button; ``active`` is its colour while hovered or checked."""
    result = QIcon()
    mode, state = QIcon.Mode, QIcon.State
    for ratio in (1.0, 2.0, 3.0):
        plain = pixmap(name, colour, size, ratio)
        lit = pixmap(name, active or colour, size, ratio)
        result.addPixmap(plain, mode.Normal, state.Off)
        result.addPixmap(lit, mode.Active, state.Off)
        result.addPixmap(lit, mode.Normal, state.On)
        result.addPixmap(pixmap(name, theme.TEXT_OFF, size, ratio), mode.Disabled, state.Off)
    return result


@cache
def dot(colour: str, *, filled: bool = True) -> QIcon:
    """A small disc or ring in the colour of a state."""
    shape = f'<circle cx="12" cy="12" r="4.5" fill="{colour if filled else "none"}"/>'
    return QIcon(_render(_DRAWING.format(colour, 2, shape), 48, 3.0))


@cache
def _application() -> str:
    return (icons_dir() / "fetalstudio.svg").read_text(encoding="utf-8")


def application_icon() -> QIcon:
    """The icon of the window, in the sizes that task bars need."""
    result = QIcon()
    for size in (16, 24, 32, 48, 64, 128, 256):
        result.addPixmap(_render(_application(), size, 1.0))
    return result


def application_pixmap(size: int, ratio: float) -> QPixmap:
    """The icon of the program, for the About window."""
    return _render(_application(), size, ratio)


def _render(svg: str, size: int, ratio: float) -> QPixmap:
    result = QPixmap(round(size * ratio), round(size * ratio))
    result.fill(Qt.GlobalColor.transparent)
    painter = QPainter(result)
    QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(result.rect()))
    painter.end()
    result.setDevicePixelRatio(ratio)
    return result
