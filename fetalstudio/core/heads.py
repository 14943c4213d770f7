"""The ellipses of a cohort as a distribution to draw more from, as it is or as a person wants it.

A smoothed bootstrap: an annotated head is picked, and its size, axis ratio, angle and position are
moved by a little noise. The noise has the cohort's own covariance, on the scale of a kernel density
estimate (B. W. Silverman, Density Estimation, 1986, 4.3.2 and 6.4.1). Size and position are taken
relative to the frame that lends them: how far a sonographer zooms in goes with how large the
head is, and so stays as in the cohort. The frame's mm per pixel never changes; a head that is asked
to be larger in mm is larger on the picture, and is put on a frame of a head of about that size.
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

PLAUSIBLE_RATIO = (0.65, 0.95)
"""Minor over major axis of nearly all heads; a cohort's own extremes are plausible too."""
MAX_SPREAD, MAX_SHIFT = 3.0, 0.3

_USUAL_SD = np.array([0.12, 0.05, 15.0, 0.05, 0.05])
"""Of log size, log ratio, angle (degrees), x and y (of the frame), where frames are too few."""
_USUAL_WEIGHT = 4.0
"""As many frames' worth of belief in it."""
_NARROW = 0.5
"""Of Silverman's bandwidth, which is meant for one normal hump, and blurs more than one."""
_LENDING = 0.08
"""How alike in log size a head and the one that lends it its frame are."""
_MARGIN = 0.01
"""So much more of an outline than of the lending head's may lie off the frame."""
_TRIES = 400
_POINTS = np.linspace(0, 2 * math.pi, 60, endpoint=False)


@dataclass(frozen=True, slots=True)
class HeadConstraints:
    """How the drawn heads shall differ from the cohort's; as it is: not at all.

    Over a range (low, high) the heads are spread evenly, whatever the cohort has.
    """

    hc_mm: Range | None = None
    """Head circumference. Needs calibrated frames."""
    hc_px: Range | None = None
    """The same where frames are not calibrated."""
    ratio: Range | None = None
    """Minor over major axis, above 0 and at most 1."""
    angle: Range | None = None
    """Of the major axis in degrees, -180 to 360, at most 180 apart: (-20, 20) is about level."""
    shift: tuple[float, float] = (0.0, 0.0)
    """To the right and down, as a share of the frame's width and height, -0.3 to 0.3."""
    spread: float = 1.0
    """How far from the cohort's middle, 0 (all alike in shape and place on the frame) to 3."""
    balance: Balance = "cohort"
    """``trimester``: as many heads of each trimester (by HC in mm) that the cohort has."""

    def __post_init__(self) -> None:
        """Raises :class:`InputError` for what no head can meet."""
        self._check("The head circumference in mm", self.hc_mm, 5, 1000)
        self._check("The head circumference in px", self.hc_px, 5, 30_000)
        self._check("The axis ratio", self.ratio, 0.2, 1)
        self._check("The angle", self.angle, -180, 360)
        if self.angle is not None and self.angle[1] - self.angle[0] > 180:
            raise InputError("An axis turns round in 180 degrees: give angles no further apart.")
        if self.hc_mm is not None and self.hc_px is not None:
            raise InputError("Give the head circumference in mm or in px, not in both.")
        if not 0 <= self.spread <= MAX_SPREAD:
            raise InputError(f"A spread of {self.spread:g} is outside 0 to {MAX_SPREAD:g}.")
        if not all(abs(s) <= MAX_SHIFT for s in self.shift):
            raise InputError(f"A shift is at most {MAX_SHIFT:g} of the frame either way.")

    @staticmethod
    def _check(what: str, wanted: Range | None, least: float, most: float) -> None:
        if wanted is None:
            return
        low, high = wanted
        if not (math.isfinite(low) and math.isfinite(high)) or not least <= low or high > most:
            raise InputError(f"{what}: {low:g} to {high:g} is outside {least:g} to {most:g}.")
        if low >= high:
            raise InputError(
                f"{what}: {low:g} to {high:g} is an empty range. The first value must be the "
                "smaller one."
            )


class HeadDistribution:
    """What to draw ellipses from: the heads of a cohort, and how the drawn ones shall differ.

    Raises :class:`InputError` where the heads cannot meet the constraints.
    """

    def __init__(
        self, heads: Sequence[LabelledFrame], constraints: HeadConstraints | None = None
    ) -> None:
        if not heads:
            raise InputError("There is no annotated head to draw others from. Draw one first.")
        self.heads, self.constraints = tuple(heads), constraints or HeadConstraints()
        self.unit: Unit = "mm" if all(h.calibration is not None for h in heads) else "px"
        """Of the circumference: mm only where every frame is calibrated."""
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
        """Those that the wanted heads are of, in their order; empty without a calibration."""

    def angle_of(self, ellipse: Ellipse) -> float:
        """The angle in degrees, counted from -90 or from 0 so that a histogram is not cut at its
        hump, or within 90 of the middle of the wanted range."""
        about = 0.0 if abs(self._level) <= 45 else 90.0
        if self.constraints.angle is not None:
            about = sum(self.constraints.angle) / 2
        return about + _turn(ellipse.angle_deg - about)

    def draw(self, number: int, seed: int) -> tuple[int, Ellipse]:
        """Ellipse ``number`` (0, 1, ...) and the index of the head whose frame it is for.

        It depends on the number and the seed, not on how many are drawn. Raises
        :class:`InputError` where no ellipse that is wanted fits on the frames.
        """
        rng = np.random.default_rng([seed, number])
        wanted = None
        if self.constraints.balance == "trimester":
            wanted = self.trimesters[number % len(self.trimesters)]
            number //= len(self.trimesters)
        group = [
            i for i, hc in enumerate(self._hc) if wanted in (None, trimester(hc)) or self._size
        ]
        # Each head once before any comes again: a small batch is as varied as the cohort.
        turn, place = divmod(number, len(group))
        lender = group[np.random.default_rng([seed, turn, 1]).permutation(len(group))[place]]
        shares = np.random.default_rng([seed, number, 2])
        share = shares.uniform(size=3)
        for attempt in range(_TRIES):
            # Heads are tried on what a range asks for, or what seldom fits would be rare; where
            # none fits, another is asked for.
            if attempt > _TRIES // 2:
                share = shares.uniform(size=3)
            hc = None
            if self._size is not None:
                low, high = _overlap(self._size, _band(wanted))
                hc = float(low + share[0] * (high - low))
                lender = self._lender(rng, hc)
            elif attempt > _TRIES // 8:
                # A head that cannot be varied as wanted leaves its turn to another.
                lender = int(rng.choice(group))
            ellipse = self._vary(rng, lender, hc, share[1:])
            if self._meets(lender, ellipse, wanted):
                return lender, ellipse
        raise InputError(
            f"No head as wanted fits on the frames. The cohort has an HC of {self.hc[0]:.0f} to "
            f"{self.hc[1]:.0f} {self.unit} and axis ratios of {self.ratio[0]:.2f} to "
            f"{self.ratio[1]:.2f}: go less far from them, or take a smaller shift or spread."
        )

    @property
    def _size(self) -> Range | None:
        return self.constraints.hc_mm or self.constraints.hc_px

    def _vary(
        self, rng: np.random.Generator, lender: int, hc: float | None, even: NDArray[np.float64]
    ) -> Ellipse:
        """A head like the lender's, of that circumference, with the wanted shape and place.

        ``even`` are the shares, 0 to 1, of the wanted ranges of axis ratio and angle.
        """
        head, wanted = self.heads[lender], self.constraints
        noise = self._noise @ rng.standard_normal(5)
        size, log_ratio, turn, x, y = self._middle + wanted.spread * (
            self._points[lender] - self._middle + noise
        )
        rng.uniform(size=2)  # unused: batches that were made before depend on the order of draws
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
        """Whether the shape is plausible, the size as wanted, and as much inside as the lender."""
        head = self.heads[lender]
        if wanted is not None and trimester(head.circumference(ellipse, self.unit)) != wanted:
            return False
        low = min(PLAUSIBLE_RATIO[0], self.ratio[0])
        high = max(PLAUSIBLE_RATIO[1], self.ratio[1])
        if self.constraints.ratio is None and not low <= ellipse.b / ellipse.a <= high:
            return False
        return _outside(ellipse, head.size) <= self._outside[lender] + _MARGIN

    def _lender(self, rng: np.random.Generator, hc: float) -> int:
        """A head of about that circumference: its frame's scale and sector suit it."""
        apart = np.abs(np.log(self._hc / hc))
        # Where the cohort has none of the size, the nearest ones lend.
        weight = np.exp(-0.5 * ((apart - apart.min()) / _LENDING) ** 2)
        return int(rng.choice(len(weight), p=weight / weight.sum()))

    def _trimesters(self) -> tuple[Trimester, ...]:
        if self.unit == "px":
            return ()
        if self._size is not None:
            low, high = self._size
            # The high end is no reason for a trimester that only begins there.
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
                f"{without} of {len(self.heads)} annotated frames are not calibrated: heads cannot "
                "be drawn by their size in mm. Calibrate the frames, or give the size in px."
            )
        if self.unit == "mm" and self.constraints.hc_px is not None:
            raise InputError("The frames are calibrated: give the head circumference in mm.")

    def _to_space(self, head: LabelledFrame, e: Ellipse) -> NDArray[np.float64]:
        """Log size and log ratio, angle from the mean in degrees, centre as shares of the frame."""
        w, h = head.size
        size = math.log(e.perimeter / math.hypot(w, h))
        angle = _turn(e.angle_deg - self._level)
        return np.array([size, math.log(e.b / e.a), angle, e.cx / w, e.cy / h])


def _kernel(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(5, 5): turns standard normal numbers into noise on the scale of the density's kernel."""
    n, d = points.shape
    quartiles = np.percentile(points, [25, 75], axis=0)
    # A few heads lie across: their angles must not blur those of all the others.
    sd = np.minimum(points.std(axis=0), (quartiles[1] - quartiles[0]) / 1.349)
    correlation = np.eye(d)
    if n > 1:
        deviation = points - points.mean(axis=0)
        norm = np.maximum(np.linalg.norm(deviation, axis=0), 1e-12)
        # A few frames tell little about correlations; the eigenvalues stay above zero, too.
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
    """Circumferences in mm of a trimester."""
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
