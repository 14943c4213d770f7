"""Where else in its picture an ellipse may belong, and of which other picture it may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine, Size


@dataclass(frozen=True, slots=True)
class Placement:
    """How a mask lies on its picture if a program exchanged rows and columns or their order."""

    text: str
    """What a person reads, such as ``mirrored left to right``."""
    transposed: bool = False
    """Whether x and y are exchanged, which comes first."""
    mirrored: bool = False
    """Whether x counts from the right."""
    flipped: bool = False
    """Whether y counts from the bottom."""

    def of(self, ellipse: Ellipse, size: Size) -> Ellipse | None:
        """Where the ellipse belongs in a picture of this size (width, height), in px; None where x
        and y cannot have been exchanged, because the picture is no square."""
        width, height = size
        if self.transposed and width != height:
            return None
        placed = Affine()
        if self.transposed:
            placed = Affine(xx=0.0, xy=1.0, yx=1.0, yy=0.0)
        if self.mirrored:
            placed = Affine(xx=-1.0, x0=width - 1.0) @ placed
        if self.flipped:
            placed = Affine(yy=-1.0, y0=height - 1.0) @ placed
        return ellipse.transformed(placed)


PLACEMENTS: Mapping[str, Placement] = {
    "mirrored": Placement("mirrored left to right", mirrored=True),
    "flipped": Placement("flipped top to bottom", flipped=True),
    "turned-180": Placement("turned by 180 degrees", mirrored=True, flipped=True),
    "transposed": Placement("transposed (rows and columns exchanged)", transposed=True),
    "turned-90": Placement("turned clockwise by 90 degrees", transposed=True, mirrored=True),
    "turned-270": Placement("turned anticlockwise by 90 degrees", transposed=True, flipped=True),
    "transposed-turned-180": Placement(
        "transposed and turned by 180 degrees", transposed=True, mirrored=True, flipped=True
    ),
}
"""By the answers."""

NEXT, PREVIOUS = "next", "previous"
ADJACENT: Mapping[str, str] = {
    NEXT: "that of the next picture",
    PREVIOUS: "that of the picture before it",
}
"""What a person reads where the ellipses of a source are numbered otherwise than its pictures."""


def place_text(place: str) -> str:
    """What a person reads of an ellipse that belongs there, by a key of :data:`PLACEMENTS` or of
    :data:`ADJACENT`: ``mirrored left to right``, ``that of the next picture``."""
    return ADJACENT[place] if place in ADJACENT else PLACEMENTS[place].text
