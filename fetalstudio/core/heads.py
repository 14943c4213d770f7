"""Draws ellipses that resemble those of a cohort, with constraints if a person sets any.

The method is a smoothed bootstrap: an annotated head is picked, and a little noise is added to its
size, axis ratio, angle and position. The noise has the cohort's own covariance, on the scale of a
kernel density estimate (B. W. Silverman, Density Estimation, 1986, 4.3.2 and 6.4.1). Size and
position are relative to the lender, the frame of the picked head. Sonographers zoom in on small
heads, and this relation is preserved. The mm per pixel of a frame never change: a head that is
requested larger in mm is larger in the image, and is put on the frame of a head of similar size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.biometry import (
    SECOND_TRIMESTER_FROM_MM,
    THIRD_TRIMESTER_FROM_MM,
    Trimester,
    trimester,
)
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Size
from fetalstudio.core.labelled import LabelledFrame, Unit

Range = tuple[float, float]
Balance = Literal["cohort", "trimester"]
TRIMESTERS: tuple[Trimester, ...] = ("first", "second", "third")

_PLAUSIBLE_RATIO = (0.65, 0.95)
"""Minor over major axis of nearly all heads. A cohort's own extremes are plausible too."""
MAX_SPREAD, MAX_SHIFT = 3.0, 0.3

_USUAL_SD = np.array([0.12, 0.05, 15.0, 0.05, 0.05])
"""Prior standard deviations for small cohorts: of log size, log ratio, angle in degrees, and x
and y as shares of the frame."""
_USUAL_WEIGHT = 4.0
"""The prior counts as much as this number of frames."""
_NARROW = 0.5
"""Share of Silverman's bandwidth, which suits one normal mode and would blur several."""
_LENDING = 0.08
"""Scale, in log size, on which a head may differ from the head of its lender."""
_MARGIN = 0.01
"""An outline may lie off the frame by this share more than the outline of the lender's head."""
_TRIES = 400
_POINTS = np.linspace(0, 2 * math.pi, 60, endpoint=False)


@dataclass(frozen=True, slots=True)
class HeadConstraints:
    """How the drawn heads shall differ from those of the cohort; by default, not at all.

    Within a range (low, high) the heads are spread evenly, whatever the cohort contains.
    """

    hc_mm: Range | None = None
    """Head circumference in mm. Needs calibrated frames."""
    hc_px: Range | None = None
    """Head circumference in px, for frames without calibration."""
    ratio: Range | None = None
    """Minor over major axis, above 0 and at most 1."""
    angle: Range | None = None
    """Angle of the major axis in degrees, -180 to 360, at most 180 apart; (-20, 20) is level."""
    shift: tuple[float, float] = (0.0, 0.0)
    """Shift to the right and down, as shares of the frame's width and height, -0.3 to 0.3."""
    spread: float = 1.0
    """Factor for the distance from the cohort's mean, 0 (equal shape and place) to 3."""
    balance: Balance = "cohort"
    """``trimester``: equal numbers of heads for each trimester (by HC in mm) in the cohort."""

    def __post_init__(self) -> None:
        """Raises :class:`InputError` for values that no head can meet."""
        self._check("The head circumference in mm", self.hc_mm, 5, 1000)
        self._check("The head circumference in px", self.hc_px, 5, 30_000)
        self._check("The axis ratio", self.ratio, 0.2, 1)
        self._check("The angle", self.angle, -180, 360)
        if self.angle is not None and self.angle[1] - self.angle[0] > 180:
            raise InputError("The range of angles is wider than 180 degrees. Give a smaller range.")
        if self.hc_mm is not None and self.hc_px is not None:
            raise InputError("Give the head circumference in mm or in px, not in both.")
        if not 0 <= self.spread <= MAX_SPREAD:
            raise InputError(
                f"A spread of {self.spread:g} is outside 0 to {MAX_SPREAD:g}. "
                "Choose a value between."
            )
        if not all(abs(s) <= MAX_SHIFT for s in self.shift):
            raise InputError(
                f"The shift {self.shift[0]:g}, {self.shift[1]:g} is larger than {MAX_SHIFT:g} of "
                f"the frame. Choose two values from {-MAX_SHIFT:g} to {MAX_SHIFT:g}."
            )

    @staticmethod
    def _check(what: str, wanted: Range | None, least: float, most: float) -> None:
        if wanted is None:
            return
        low, high = wanted
        if not (math.isfinite(low) and math.isfinite(high)) or not least <= low or high > most:
            raise InputError(
                f"{what}: {low:g} to {high:g} is outside {least:g} to {most:g}. "
                "Choose a range within these."
            )
        if low >= high:
            raise InputError(
                f"{what}: {low:g} to {high:g} is an empty range. Give the smaller value first."
            )


class HeadDistribution:
    """The heads of a cohort, and the constraints for the ellipses that are drawn from them.

    Raises :class:`InputError` if the cohort is empty or cannot meet the constraints.
    """

    def __init__(
        self, heads: Sequence[LabelledFrame], constraints: HeadConstraints | None = None
    ) -> None:
        if not heads:
            raise InputError("There is no annotated head to draw others from. Draw one first.")
        self.heads, self.constraints = tuple(heads), constraints or HeadConstraints()
        self.unit: Unit = "mm" if all(h.calibration is not None for h in heads) else "px"
        """Unit of the circumference: mm if every frame is calibrated, else px."""
        self._check_unit()
        doubled = np.radians([2 * h.ellipse.angle_deg for h in heads])
        self._level = math.degrees(float(np.angle(np.exp(1j * doubled).mean()))) / 2
        self._points = np.array([self._to_space(h, h.ellipse) for h in heads])
        self._middle = self._points.mean(axis=0)
        self._noise = _kernel(self._points)
        self._hc = np.array([h.circumference(h.ellipse, self.unit) for h in heads])
        self.hc = _ends(self._hc)
        """The cohort's own smallest and largest circumference, in :attr:`unit`."""
        self.ratio = _ends([h.ellipse.b / h.ellipse.a for h in heads])
        """The cohort's own axis ratios."""
        self.angle = _ends([self.angle_of(h.ellipse) for h in heads])
        """The cohort's own angles in degrees, see :meth:`angle_of`."""
        self._outside = [_outside(h.ellipse, h.size) for h in heads]
        self.trimesters = self._trimesters()
        """The trimesters of the requested heads, in order; empty without calibration."""

    def angle_of(self, ellipse: Ellipse) -> float:
        """The angle in degrees, wrapped to within 90 of the middle of the requested range.

        Without a range it is wrapped to begin at -90 or at 0, so that a histogram is not cut at its
        mode.
        """
        about = 0.0 if abs(self._level) <= 45 else 90.0
        if self.constraints.angle is not None:
            about = sum(self.constraints.angle) / 2
        return about + _turn(ellipse.angle_deg - about)

    def draw(self, number: int, seed: int) -> tuple[int, Ellipse]:
        """The index of the lender, and ellipse ``number`` (0, 1, ...) on its frame.

        The ellipse depends on the number and the seed, not on how many are drawn. Raises
        :class:`InputError` if no requested ellipse fits on the frames.
        """
        rng = np.random.default_rng([seed, number])
        wanted = None
        if self.constraints.balance == "trimester":
            wanted = self.trimesters[number % len(self.trimesters)]
            number //= len(self.trimesters)
        group = [
            i for i, hc in enumerate(self._hc) if wanted in (None, trimester(hc)) or self._size
        ]
        # Each head is used once before any is used again: a small batch is as varied as the cohort.
        turn, place = divmod(number, len(group))
        lender = group[np.random.default_rng([seed, turn, 1]).permutation(len(group))[place]]
        shares = np.random.default_rng([seed, number, 2])
        share = shares.uniform(size=3)
        for attempt in range(_TRIES):
            # The requested value is kept while heads are tried. Otherwise values that seldom fit
            # would be rare. Only if none fits is another value drawn.
            if attempt > _TRIES // 2:
                share = shares.uniform(size=3)
            hc = None
            if self._size is not None:
                low, high = _overlap(self._size, _band(wanted))
                hc = float(low + share[0] * (high - low))
                lender = self._lender(rng, hc)
            elif attempt > _TRIES // 8:
                # A head that cannot be varied as requested is replaced by another.
                lender = int(rng.choice(group))
            ellipse = self._vary(rng, lender, hc, share[1:])
            if self._meets(lender, ellipse, wanted):
                return lender, ellipse
        raise InputError(
            f"No head as requested fits on the frames. The cohort has an HC of {self.hc[0]:.0f} to "
            f"{self.hc[1]:.0f} {self.unit} and axis ratios of {self.ratio[0]:.2f} to "
            f"{self.ratio[1]:.2f}. Choose ranges nearer to these, or a smaller shift or spread."
        )

    @property
    def _size(self) -> Range | None:
        return self.constraints.hc_mm or self.constraints.hc_px

    def _vary(
        self, rng: np.random.Generator, lender: int, hc: float | None, even: NDArray[np.float64]
    ) -> Ellipse:
        """A head like the lender's with the requested circumference, shape and place.

        ``even`` holds positions, 0 to 1, within the requested ranges of axis ratio and angle.
        """
        head, wanted = self.heads[lender], self.constraints
        noise = self._noise @ rng.standard_normal(5)
        size, log_ratio, turn, x, y = self._middle + wanted.spread * (
            self._points[lender] - self._middle + noise
        )
        rng.uniform(size=2)  # unused, but without it a seed would give other heads than before
        ratio = math.exp(min(log_ratio, 0.0))
        if wanted.ratio is not None:
            ratio = wanted.ratio[0] + even[0] * (wanted.ratio[1] - wanted.ratio[0])
        angle = self._level + turn
        if wanted.angle is not None:
            angle = wanted.angle[0] + even[1] * (wanted.angle[1] - wanted.angle[0])
        w, h = head.size
        shape = Ellipse.of(
            (x + wanted.shift[0]) * w, (y + wanted.shift[1]) * h, 1.0, float(ratio), angle
        )
        if hc is None:
            grow = math.exp(size) * math.hypot(w, h) / shape.perimeter
        else:
            grow = hc / head.circumference(shape, self.unit)
        return Ellipse(shape.cx, shape.cy, grow, grow * shape.b, shape.angle_deg)

    def _meets(self, lender: int, ellipse: Ellipse, wanted: Trimester | None) -> bool:
        """Whether shape and size are as requested and the head is as far inside as the lender's."""
        head = self.heads[lender]
        if wanted is not None and trimester(head.circumference(ellipse, self.unit)) != wanted:
            return False
        low = min(_PLAUSIBLE_RATIO[0], self.ratio[0])
        high = max(_PLAUSIBLE_RATIO[1], self.ratio[1])
        if self.constraints.ratio is None and not low <= ellipse.b / ellipse.a <= high:
            return False
        return _outside(ellipse, head.size) <= self._outside[lender] + _MARGIN

    def _lender(self, rng: np.random.Generator, hc: float) -> int:
        """The index of a head of similar circumference, so that the scale of its frame fits."""
        apart = np.abs(np.log(self._hc / hc))
        # If the cohort has no head of this size, the nearest ones lend their frames.
        weight = np.exp(-0.5 * ((apart - apart.min()) / _LENDING) ** 2)
        return int(rng.choice(len(weight), p=weight / weight.sum()))

    def _trimesters(self) -> tuple[Trimester, ...]:
        if self.unit == "px":
            return ()
        if self._size is not None:
            low, high = self._size
            # A trimester that only begins at the high end does not count.
            first, last = TRIMESTERS.index(trimester(low)), TRIMESTERS.index(trimester(high - 1e-3))
            return TRIMESTERS[first : last + 1]
        found = {trimester(hc) for hc in self._hc}
        return tuple(t for t in TRIMESTERS if t in found)

    def _check_unit(self) -> None:
        without = sum(h.calibration is None for h in self.heads)
        if self.unit == "px" and (
            self.constraints.hc_mm or self.constraints.balance == "trimester"
        ):
            raise InputError(
                f"{without} of {len(self.heads)} annotated frames are not calibrated, so heads "
                "cannot be drawn by their size in mm. Calibrate the frames; or give the size in "
                "px, and the balance of the cohort."
            )
        if self.unit == "mm" and self.constraints.hc_px is not None:
            raise InputError("The frames are calibrated: give the head circumference in mm.")

    def _to_space(self, head: LabelledFrame, e: Ellipse) -> NDArray[np.float64]:
        """(5,): log size, log ratio, degrees from the mean angle, centre as shares of the frame."""
        w, h = head.size
        size = math.log(e.perimeter / math.hypot(w, h))
        angle = _turn(e.angle_deg - self._level)
        return np.array([size, math.log(e.b / e.a), angle, e.cx / w, e.cy / h])


def nearest_head(heads: Sequence[LabelledFrame], ellipse: Ellipse, size: Size) -> int | None:
    """The index of the head that is nearest to an ellipse in place and size.

    Only heads on frames of the same ``size`` count; None if there are none. Of equals, the first.
    """
    w, h = size
    best: tuple[float, int] | None = None
    for i, head in enumerate(heads):
        if head.size == size:
            e = head.ellipse
            apart = math.hypot(
                (e.cx - ellipse.cx) / w,
                (e.cy - ellipse.cy) / h,
                math.log(e.perimeter / ellipse.perimeter),
            )
            best = min(best or (apart, i), (apart, i))
    return None if best is None else best[1]


def _kernel(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(5, 5): maps standard normal numbers to noise on the scale of the kernel."""
    n, d = points.shape
    quartiles = np.percentile(points, [25, 75], axis=0)
    # A few heads lie across the frame: their angles must not widen those of all others.
    sd = np.minimum(points.std(axis=0), (quartiles[1] - quartiles[0]) / 1.349)
    correlation = np.eye(d)
    if n > 1:
        deviation = points - points.mean(axis=0)
        norm = np.maximum(np.linalg.norm(deviation, axis=0), 1e-12)
        # Correlations of few frames are unreliable. Shrinking also keeps eigenvalues positive.
        correlation += n / (n + 10.0) * ((deviation / norm).T @ (deviation / norm) - np.eye(d))
        np.fill_diagonal(correlation, 1.0)
    variance = (n * sd**2 + _USUAL_WEIGHT * _USUAL_SD**2) / (n + _USUAL_WEIGHT)
    bandwidth = _NARROW * (4 / ((d + 2) * n)) ** (1 / (d + 4))
    scale = bandwidth * np.sqrt(variance)
    return np.asarray(scale[:, None] * np.linalg.cholesky(correlation + 1e-6 * np.eye(d)))


def _outside(e: Ellipse, size: Size) -> float:
    """Share of the outline that lies off the frame."""
    x0, y0, x1, y1 = e.box()
    if x0 >= 0 and y0 >= 0 and x1 <= size[0] - 1 and y1 <= size[1] - 1:
        return 0.0
    (ux, uy), (vx, vy) = e.axes
    u, v = e.a * np.cos(_POINTS), e.b * np.sin(_POINTS)
    x, y = e.cx + u * ux + v * vx, e.cy + u * uy + v * vy
    return float(((x < 0) | (y < 0) | (x > size[0] - 1) | (y > size[1] - 1)).mean())


def _band(wanted: Trimester | None) -> Range:
    """The range of circumferences of a trimester, in mm."""
    ends = {
        "first": (0.0, SECOND_TRIMESTER_FROM_MM),
        "second": (SECOND_TRIMESTER_FROM_MM, THIRD_TRIMESTER_FROM_MM),
        "third": (THIRD_TRIMESTER_FROM_MM, math.inf),
    }
    return (0.0, math.inf) if wanted is None else ends[wanted]


def _overlap(one: Range, other: Range) -> Range:
    return max(one[0], other[0]), min(one[1], other[1])


def _turn(degrees: float) -> float:
    """The same direction of an axis, in [-90, 90)."""
    return (degrees + 90.0) % 180.0 - 90.0


def _ends(values: Sequence[float] | NDArray[np.float64]) -> Range:
    return float(np.min(values)), float(np.max(values))
