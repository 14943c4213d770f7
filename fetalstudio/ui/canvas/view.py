"""Where a frame lies on screen: one uniform scale and an offset. No Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fetalstudio.core.geometry import Size

Point = tuple[float, float]
"""(x, y) in image px or logical screen px, as the context says."""

MIN_SCALE, MAX_SCALE = 0.05, 32.0
"""5 % to 3200 %."""
FIT_MARGIN = 16.0
"""Free screen px around a fitted frame."""
KEPT_IN_SIGHT = 48.0
"""Screen px of the frame that always stay in the viewport."""


@dataclass(frozen=True, slots=True)
class View:
    """``scale`` screen px per image px; ``x0, y0`` the frame's top left corner on screen."""

    scale: float = 1.0
    x0: float = 0.0
    y0: float = 0.0

    @classmethod
    def fitted(cls, frame: Size, viewport: tuple[float, float]) -> View:
        """The whole frame as large as possible in the middle of a viewport (width, height)."""
        room = (viewport[0] - 2 * FIT_MARGIN, viewport[1] - 2 * FIT_MARGIN)
        scale = _clamped_scale(min(room[0] / frame[0], room[1] / frame[1]))
        x0 = (viewport[0] - scale * frame[0]) / 2
        y0 = (viewport[1] - scale * frame[1]) / 2
        return cls(scale, x0, y0)

    def to_screen(self, point: Point) -> Point:
        """From image px; the centre of the first pixel is (0, 0) there, its corner (-0.5, -0.5)."""
        return self.x0 + self.scale * (point[0] + 0.5), self.y0 + self.scale * (point[1] + 0.5)

    def to_image(self, point: Point) -> Point:
        """From screen px."""
        return (point[0] - self.x0) / self.scale - 0.5, (point[1] - self.y0) / self.scale - 0.5

    def zoomed(self, factor: float, about: Point) -> View:
        """Scaled, within the limits, about the screen point ``about``."""
        scale = _clamped_scale(self.scale * factor)
        ratio = scale / self.scale
        x0 = about[0] + ratio * (self.x0 - about[0])
        y0 = about[1] + ratio * (self.y0 - about[1])
        return View(scale, x0, y0)

    def panned(self, dx: float, dy: float) -> View:
        """Shifted by screen px."""
        return replace(self, x0=self.x0 + dx, y0=self.y0 + dy)

    def kept_in_sight(self, frame: Size, viewport: tuple[float, float]) -> View:
        """Shifted back so far that a strip of the frame stays in the viewport."""

        def kept(start: float, length: float, room: float) -> float:
            margin = min(KEPT_IN_SIGHT, length, room)
            return min(max(start, margin - length), room - margin)

        return replace(
            self,
            x0=kept(self.x0, self.scale * frame[0], viewport[0]),
            y0=kept(self.y0, self.scale * frame[1], viewport[1]),
        )


def _clamped_scale(scale: float) -> float:
    return min(max(scale, MIN_SCALE), MAX_SCALE)
