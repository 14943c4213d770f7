"""A frame with its head ellipse: what models learn from, are measured on and draw after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.biometry import measure, trimester
from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Size
from fetalstudio.core.prompts import Prompt

Unit = Literal["mm", "px"]
Pixels = NDArray[np.uint8]
"""A grey image, (H, W) uint8."""


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    """A frame, real or synthetic, and the ellipse of the head on it.

    The pixels are held or read when they are needed, so that hundreds of frames can be listed,
    split and counted without reading them. Two frames are equal when everything but their
    pixels is.
    """

    pixels: Pixels | Callable[[], Pixels] = field(repr=False, compare=False)
    """The pixels, or a function that reads them. Use :attr:`image` to get them."""
    ellipse: Ellipse
    size: Size
    """(width, height) in px."""
    id: str = ""
    name: str = ""
    subject: str = ""
    cohort: str = ""
    calibration: Calibration | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    synthetic: bool = False
    """Whether it is a synthetic frame of a project, on which nothing may be tested."""

    @classmethod
    def of(
        cls,
        image: Pixels,
        ellipse: Ellipse,
        *,
        id: str = "",
        subject: str = "",
        calibration: Calibration | None = None,
    ) -> LabelledFrame:
        """A frame that holds its pixels, (H, W) uint8."""
        height, width = image.shape
        return cls(image, ellipse, (width, height), id, "", subject, calibration=calibration)

    @property
    def image(self) -> Pixels:
        """The pixels, (H, W) uint8, read at every access unless the frame is :meth:`loaded`."""
        return self.pixels() if callable(self.pixels) else self.pixels

    @property
    def style(self) -> str:
        """The style of synthesis that the frame shows: its trimester, or ``any``."""
        return style_of(self.ellipse, self.calibration)

    def prompt_box(self, prompt: Prompt) -> tuple[float, float, float, float] | None:
        """The box (x0, y0, x1, y1) of the ellipse in px for the prompt ``box``; None for another.

        With it a segmenter is measured: it is given the box of the answer.
        """
        return self.ellipse.box() if prompt == "box" else None

    def circumference(self, ellipse: Ellipse, unit: Unit) -> float:
        """Head circumference of an ellipse on this frame, in mm if it is calibrated, else in px."""
        c = self.calibration
        if unit == "px" or c is None:
            return ellipse.perimeter
        if c.mm_per_px_x == c.mm_per_px_y:
            return ellipse.perimeter * c.mm_per_px_x  # the same, in a tenth of the time
        return measure(ellipse, c).hc_mm

    def loaded(self) -> LabelledFrame:
        """The same frame with its pixels held in memory. Only such a frame can be pickled."""
        return replace(self, pixels=self.pixels()) if callable(self.pixels) else self

    def redrawn(self, image: Pixels, ellipse: Ellipse) -> LabelledFrame:
        """The same frame with other pixels, of the same size, and another ellipse."""
        return replace(self, pixels=image, ellipse=ellipse)


def style_of(ellipse: Ellipse, calibration: Calibration | None, style: str = "auto") -> str:
    """The style of synthesis to ask for.

    ``auto`` becomes the trimester by the head circumference, or ``any`` without a calibration.
    Every other style is returned as it is.
    """
    if style != "auto":
        return style
    return "any" if calibration is None else trimester(measure(ellipse, calibration).hc_mm)
