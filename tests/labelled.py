"""Labelled frames of a given style, for tests."""

from __future__ import annotations

import numpy as np

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.labelled import LabelledFrame

_HC_MM = {"first": 80.0, "second": 180.0, "third": 300.0}


def of_style(image: np.ndarray, ellipse: Ellipse, style: str) -> LabelledFrame:
    """A frame whose calibration gives its head the size of that trimester; ``any`` has none."""
    calibration = None
    if style != "any":
        mm_per_px = _HC_MM[style] / ellipse.perimeter
        calibration = Calibration(mm_per_px, mm_per_px, "manual")
    return LabelledFrame.of(image, ellipse, calibration=calibration)
