"""What the numbers of an ellipse in a table may mean."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine


@dataclass(frozen=True, slots=True)
class Meaning:
    """How an ellipse is meant that a table seems to give otherwise."""

    scale: float = 1.0
    """Times the semi-axes, 0.5 where the lengths are diameters, and 2 where they are none."""
    turned: bool = False
    """Whether the angle is that of the minor axis."""
    mirrored: bool = False
    """Whether the angle counts anticlockwise."""

    radians: bool = False
    """Whether the angle is in radians, and was read in degrees."""
    in_mm: bool = False
    """Whether place and lengths are in mm, and were read in px."""

    def of(self, ellipse: Ellipse, calibration: Calibration | None = None) -> Ellipse:
        """The ellipse that is meant. Raises ``ValueError`` for one in mm without the calibration of
        its frame."""
        if self.in_mm:
            return in_px(ellipse, calibration)
        angle = -ellipse.angle_deg if self.mirrored else ellipse.angle_deg
        if self.radians:  # it is near that of an axis, of either one
            axis = 90.0 * round(angle / 90)
            angle = axis + math.degrees(angle - axis)
        a, b = self.scale * ellipse.a, self.scale * ellipse.b
        return Ellipse.of(ellipse.cx, ellipse.cy, a, b, angle + 90 * self.turned)

    @property
    def text(self) -> str:
        """What a person reads, such as ``its lengths are diameters``."""
        said = {0.5: ["its lengths are diameters"], 2.0: ["its lengths are semi-axes"]}
        parts = said.get(self.scale, [])
        if self.turned and self.mirrored:
            parts = [*parts, "its angle counts anticlockwise from the vertical"]
        elif self.turned:
            parts = [*parts, "its angle is that of the minor axis"]
        elif self.radians:
            parts = [*parts, "its angle is in radians"]
        elif self.mirrored:
            parts = [*parts, "its angle counts anticlockwise"]
        elif self.in_mm:
            parts = ["its numbers are in mm"]
        return " and ".join(parts)


def _meanings() -> Iterator[tuple[str, Meaning]]:
    sizes = {"": 1.0, "half": 0.5, "double": 2.0}
    for (size, scale), turned, mirrored in product(sizes.items(), (False, True), (False, True)):
        words = (size, "turned" if turned else "", "mirrored" if mirrored else "")
        yield "-".join(filter(None, words)) or AS_READ, Meaning(scale, turned, mirrored)
    yield IN_RADIANS, Meaning(radians=True)
    yield IN_MM, Meaning(in_mm=True)


def in_px(ellipse: Ellipse, calibration: Calibration | None) -> Ellipse:
    """An ellipse in mm from the first pixel, in px. Raises ``ValueError`` without a calibration."""
    if calibration is None:
        raise ValueError("its ellipse is in mm, and its pixel size is not known")
    x, y = calibration.mm_per_px_x, calibration.mm_per_px_y
    return ellipse.transformed(Affine.scaling(1 / x, 1 / y))


AS_READ = "as-read"
IN_RADIANS = "radians"
IN_MM = "mm"
MEANINGS: Mapping[str, Meaning] = dict(_meanings())
"""By the answers: ``as-read``, ``half``, ``turned-mirrored`` and so on."""
