"""Heads by published biometry, with usual depth settings and probes.

No data set is behind these figures, so that frames which are simulated from them know no hospital.

- *Head circumference*: INTERGROWTH-21st (``core.growth``), at ages at which heads are measured: 11
  to 14 weeks, around the examination at 20 weeks, and 28 to 37 weeks.
- *Shape*: the cephalic index, 78.3 +/- 4.4 % (Hadlock et al., AJR 1981;137:83-85).
- *Scale*: depths in steps of half a centimetre, of which the head takes most, and less in the first
  trimester, when the whole fetus is shown. These shares are usual ones and from no source.
- *Probes*: radius and field of view as convex and endocavity arrays usually have them.
"""

from __future__ import annotations

import math

import numpy as np

from fetalstudio.core.biometry import CEPHALIC_INDEX_USUAL, Trimester, trimester
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Size
from fetalstudio.core.growth import intergrowth_mean_and_sd
from fetalstudio.core.probe import Probe

_WEEKS = {"first": (11.0, 12.7, 14.0), "second": (14.0, 20.5, 28.0), "third": (28.0, 32.0, 37.0)}
"""Gestational age when a head is measured: earliest, most often, latest."""
TYPICAL_HC_MM = {kind: intergrowth_mean_and_sd(most)[0] for kind, (_, most, _) in _WEEKS.items()}
"""The mean HC at the age at which heads of a trimester are most often measured."""
_SHOWN = {"first": (0.33, 0.72), "second": (0.48, 0.9), "third": (0.55, 0.92)}
"""Share of the shown depth that the head takes."""
_DEPTH_STEP_MM = 5.0
_ENDOCAVITY = 0.22
"""Share of examinations through the vagina in the first trimester."""
_ZOOMED = {"first": 0.55, "second": 0.3, "third": 0.1}
"""Share of frames that show a part of the scanned depth, because the head is small."""


def random_head(rng: np.random.Generator, size: Size, kind: Trimester) -> tuple[Ellipse, float]:
    """A head of a trimester somewhere in the middle of a frame, in px, and the mm of a px."""
    hc_mm = _circumference(rng, kind)
    low, high = CEPHALIC_INDEX_USUAL  # two SD to either side; none is drawn beyond three
    spread = (high - low) / 4
    index = float(rng.normal((low + high) / 2, spread))
    ratio = min(max(index, low - spread), high + spread) / 100
    shape = Ellipse.of(0, 0, 1, ratio, 0)
    a_mm = hc_mm / shape.perimeter
    lying = rng.random() < (0.4 if kind == "first" else 0.85)
    angle = float(rng.normal(0, 6) if lying else rng.normal(0, 45 if kind == "first" else 25))
    # The depth that is chosen follows the head's height in the frame.
    _, top, _, bottom = Ellipse.of(0, 0, a_mm, ratio * a_mm, angle).box()
    depth_mm = (bottom - top) / float(rng.uniform(*_SHOWN[kind]))
    depth_mm = max(round(depth_mm / _DEPTH_STEP_MM), 1) * _DEPTH_STEP_MM
    # A frame that is narrow shows the depth that lets the head's width fit.
    mm_per_px = max(depth_mm / size[1], 2 * a_mm / (0.85 * size[0]))
    place = {"first": 0.08, "second": 0.05, "third": 0.04}[kind]
    x, y = (side * float(rng.normal(0.5, place)) for side in size)
    a = a_mm / mm_per_px
    return Ellipse.of(x, y, a, ratio * a, angle), mm_per_px


def _circumference(rng: np.random.Generator, kind: Trimester) -> float:
    """An HC in mm that counts as one of the trimester."""
    while True:
        mean, sd = intergrowth_mean_and_sd(float(rng.triangular(*_WEEKS[kind])))
        hc_mm = float(rng.normal(mean, sd))
        if trimester(hc_mm) == kind:
            return hc_mm


def random_probe(rng: np.random.Generator, size: Size, mm_per_px: float, kind: Trimester) -> Probe:
    """A convex array whose surface is above the frame's middle, or an endocavity probe."""
    w, h = size
    if kind == "first" and rng.random() < _ENDOCAVITY:
        near = float(rng.uniform(8, 14)) / mm_per_px
        top = float(rng.uniform(0.0, 0.06)) * h
        half = math.radians(float(rng.uniform(55, 75)))
        far = near + float(rng.uniform(0.9, 1.2)) * h
        return Probe(w / 2, top - near, near, far, half)
    near = float(rng.uniform(40, 65)) / mm_per_px
    zoomed = rng.random() < _ZOOMED[kind]
    top = float(rng.uniform(-1.0, -0.2) if zoomed else rng.uniform(-0.12, 0.06)) * h
    half = math.radians(float(rng.uniform(55, 75)) / 2)
    x = w / 2 + float(rng.normal(0, 0.04)) * w
    return Probe(x, top - near, near, near - top + float(rng.uniform(0.95, 1.35)) * h, half)
