"""How well readings of the same frames agree: intra-observer and inter-observer variability.

The figures are those of the field: Dice, bias and limits of agreement (Bland and Altman, Lancet
1986;327:307-310, with intervals as in Stat Methods Med Res 1999;8:135-160), the intraclass
correlation (Shrout and Fleiss, Psychol Bull 1979;86:420-428; McGraw and Wong, Psychol Methods
1996;1:30-46) and the technical error of measurement.

The published intervals hold for independent frames. Where a subject has several frames, the
intervals here are those of a jackknife that leaves out whole subjects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fetalstudio.core.biometry import measure
from fetalstudio.core.calibration import Calibration
from fetalstudio.core.distributions import NORMAL_95, f_quantile, t_quantile
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.metrics import Interval
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.core.statistics import FEW_SUBJECTS, effective_number, mean_interval

Size = Literal["HC", "BPD", "OFD"]
"""Head circumference, short and long axis, outer to outer."""
SIZES: tuple[Size, ...] = ("HC", "BPD", "OFD")

_Values = NDArray[np.float64]
_ALMOST = 1e-9


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval, whose ends are NaN where it cannot be computed."""

    value: float
    low: float
    high: float

    def text(self, digits: int, sign: Literal["", "+"] = "") -> str:
        """For a person: ``0.981 (0.950 to 0.993)``; ``+`` writes the sign of positive ones too."""
        if math.isnan(self.value):
            return "not known"
        said = f"{self.value:{sign}z.{digits}f}"
        if math.isnan(self.low):
            return said
        return f"{said} ({self.low:{sign}z.{digits}f} to {self.high:{sign}z.{digits}f})"


@dataclass(frozen=True, slots=True)
class TwoReadings:
    """Two ellipses that were drawn independently on one frame."""

    frame_id: str
    subject: str
    calibration: Calibration | None
    first: Ellipse
    second: Ellipse

    @property
    def dice(self) -> float:
        """Dice of the two, 0 to 1."""
        return dice_of(self.first, self.second)

    def sizes_mm(self, size: Size) -> tuple[float, float] | None:
        """The first and the second reading of a size in mm; None without a calibration."""
        if self.calibration is None:
            return None
        return size_mm(self.first, self.calibration, size), size_mm(
            self.second, self.calibration, size
        )


@dataclass(frozen=True, slots=True)
class SizeAgreement:
    """How well two readings, or two observers, agree on a size; all lengths in mm.

    The bias is that of the second minus the first.
    """

    n: int
    """Frames with a calibration."""
    subjects: int
    mean: float
    """Over all readings."""
    bias: Interval
    sd: float
    """Standard deviation of the differences; NaN for one frame, as all that follows."""
    lower: Estimate
    """The lower 95 % limit of agreement."""
    upper: Estimate
    icc_agreement: Estimate
    """Absolute agreement, one reading: ICC(2,1) or ICC(A,1). A bias lowers it."""
    icc_consistency: Estimate
    """The same without the bias: ICC(3,1) or ICC(C,1)."""
    technical_error: float
    """The standard deviation of one reading around the mean of a frame's readings."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well the first and the second readings of some frames agree."""

    pairs: tuple[TwoReadings, ...]
    dices: tuple[float, ...]
    """In the order of the pairs."""
    subjects: int
    dice: Interval
    sizes: dict[Size, SizeAgreement]
    """Empty if no frame has a calibration."""

    @property
    def too_few(self) -> bool:
        """Whether nothing may be claimed: the figures are those of a few heads."""
        return self.subjects < FEW_SUBJECTS


@dataclass(frozen=True, slots=True)
class Correlation:
    """The intraclass correlation of (frames, readings), single readings in a two-way design."""

    agreement: Estimate
    consistency: Estimate


@lru_cache(maxsize=20_000)
def dice_of(first: Ellipse, second: Ellipse) -> float:
    """Dice of two ellipses, 0 to 1. Computed once for each two: it takes some 10 ms."""
    return first.overlap(second)


def mean_ellipse(ellipses: Sequence[Ellipse]) -> Ellipse:
    """The mean of some ellipses: of their centres, and of their axes as vectors, so that the angle
    of one that is nearly a circle counts for little. Raises ``ValueError`` for none."""
    if not ellipses:
        raise ValueError("there is no ellipse to take the mean of")
    shapes = [e.axes.T @ np.diag([e.a, e.b]) @ e.axes for e in ellipses]
    lengths, vectors = np.linalg.eigh(np.mean(shapes, axis=0))
    cx, cy = np.mean([(e.cx, e.cy) for e in ellipses], axis=0)
    angle = math.degrees(math.atan2(vectors[1, 1], vectors[0, 1]))
    return Ellipse.of(cx, cy, lengths[1], lengths[0], angle)


def size_mm(ellipse: Ellipse, calibration: Calibration, size: Size) -> float:
    """A size of the head in mm."""
    head = measure(ellipse, calibration)
    return {"HC": head.hc_mm, "BPD": head.bpd_mm, "OFD": head.ofd_mm}[size]


def compare(pairs: Sequence[TwoReadings], progress: Progress = NO_PROGRESS) -> Agreement:
    """The agreement of two readings on each of some frames. Raises ``ValueError`` for none, and
    :class:`Stopped` if asked to."""
    if not pairs:
        raise ValueError("there are no frames with two readings")
    found = []
    for done, pair in enumerate(pairs):
        progress.advance(done, len(pairs))
        found.append(pair.dice)
    progress.advance(len(pairs), len(pairs))
    dices = tuple(found)
    subjects = [pair.subject for pair in pairs]
    dice = mean_interval(dices, subjects, within=(0, 1))
    calibrated = [pair for pair in pairs if pair.calibration is not None]
    sizes = {size: _size_agreement(calibrated, size) for size in SIZES if calibrated}
    return Agreement(tuple(pairs), dices, len(set(subjects)), dice, sizes)


def intraclass_correlation(values: ArrayLike, subjects: Sequence[str]) -> Correlation:
    """The ICC of (frames, readings) values; ``subjects`` are those of the frames.

    NaN where there is nothing to compare: fewer than two frames or readings, or equal values all
    through. Raises ``ValueError`` if the shapes do not match.
    """
    x = _checked(values, subjects)
    n, k = x.shape
    if n < 2 or k < 2 or np.ptp(x) == 0:
        nothing = Estimate(math.nan, math.nan, math.nan)
        return Correlation(nothing, nothing)
    if len(set(subjects)) < n:

        def clustered(figure: Callable[[_Values], float]) -> Estimate:
            # Fisher's transform: the error of a correlation near 1 is far from symmetric.
            def transformed(part: _Values) -> float:
                r = min(max(figure(part), _ALMOST - 1 / (k - 1)), 1 - _ALMOST)
                return 0.5 * math.log((1 + (k - 1) * r) / (1 - r))

            found = _jackknife(x, subjects, transformed)
            low, high = (_back(end, k) for end in (found.low, found.high))
            return Estimate(figure(x), low, high)

        return Correlation(clustered(_icc_agreement), clustered(_icc_consistency))
    return Correlation(_agreement_interval(x), _consistency_interval(x))


def limits_with_intervals(
    differences: Sequence[float], subjects: Sequence[str]
) -> tuple[Estimate, Estimate]:
    """The lower and the upper 95 % limit of agreement, each with its 95 % interval."""
    x = _checked(np.reshape(differences, (-1, 1)), subjects)
    n = len(x)
    if n < 2:
        nothing = Estimate(math.nan, math.nan, math.nan)
        return nothing, nothing
    mean, sd = float(x.mean()), float(x.std(ddof=1))
    found = []
    for sign in (-1, 1):
        limit = mean + sign * NORMAL_95 * sd
        if len(set(subjects)) < n:

            def at(part: _Values, sign: int = sign) -> float:
                return float(part.mean() + sign * NORMAL_95 * part.std(ddof=1))

            found.append(_jackknife(x, subjects, at))
        else:
            # Bland and Altman 1999, section 3.2; close to sd sqrt(3 / n).
            error = sd * math.sqrt(1 / n + NORMAL_95**2 / (2 * (n - 1)))
            half = t_quantile(0.975, n - 1) * error
            found.append(Estimate(limit, limit - half, limit + half))
    return found[0], found[1]


def technical_error(values: ArrayLike) -> float:
    """The technical error of measurement of (frames, readings): the root of the mean variance
    within frames. For two readings it is sqrt(sum of squared differences / 2n). NaN for one."""
    x = np.asarray(values, dtype=float)
    if x.ndim != 2 or not x.size or x.shape[1] < 2:
        return math.nan
    return float(np.sqrt(x.var(axis=1, ddof=1).mean()))


def _size_agreement(pairs: Sequence[TwoReadings], size: Size) -> SizeAgreement:
    x = np.array([pair.sizes_mm(size) for pair in pairs], dtype=float)
    subjects = [pair.subject for pair in pairs]
    differences = (x[:, 1] - x[:, 0]).tolist()
    lower, upper = limits_with_intervals(differences, subjects)
    correlation = intraclass_correlation(x, subjects)
    return SizeAgreement(
        n=len(pairs),
        subjects=len(set(subjects)),
        mean=float(x.mean()),
        bias=mean_interval(differences, subjects),
        sd=float(np.std(differences, ddof=1)) if len(pairs) > 1 else math.nan,
        lower=lower,
        upper=upper,
        icc_agreement=correlation.agreement,
        icc_consistency=correlation.consistency,
        technical_error=technical_error(x) if len(pairs) > 1 else math.nan,
    )


def _checked(values: ArrayLike, subjects: Sequence[str]) -> _Values:
    x = np.asarray(values, dtype=float)
    if x.ndim != 2 or len(x) != len(subjects):
        raise ValueError(f"(frames, readings) and a subject for each frame, not {x.shape}")
    return x


# -- the intraclass correlation ----------------------------------------------------------------


def _mean_squares(x: _Values) -> tuple[float, float, float]:
    """Between frames (rows), between readings (columns), and the rest."""
    n, k = x.shape
    rows, columns, mean = x.mean(axis=1), x.mean(axis=0), x.mean()
    rest = x - rows[:, None] - columns[None, :] + mean
    return (
        float(k * ((rows - mean) ** 2).sum() / (n - 1)),
        float(n * ((columns - mean) ** 2).sum() / (k - 1)),
        float((rest**2).sum() / ((n - 1) * (k - 1))),
    )


def _icc_agreement(x: _Values) -> float:
    n, k = x.shape
    rows, columns, rest = _mean_squares(x)
    total = rows + (k - 1) * rest + k / n * (columns - rest)
    return (rows - rest) / total if total > 0 else math.nan


def _icc_consistency(x: _Values) -> float:
    rows, _, rest = _mean_squares(x)
    total = rows + (x.shape[1] - 1) * rest
    return (rows - rest) / total if total > 0 else math.nan


def _consistency_interval(x: _Values) -> Estimate:
    """Shrout and Fleiss' ICC(3,1), McGraw and Wong's ICC(C,1)."""
    n, k = x.shape
    rows, _, rest = _mean_squares(x)
    value = _icc_consistency(x)
    if rest <= _ALMOST * rows:
        return Estimate(value, value, value)
    free = n - 1, (n - 1) * (k - 1)
    ratios = (
        rows / rest / f_quantile(0.975, free[0], free[1]),
        rows / rest * f_quantile(0.975, free[1], free[0]),
    )
    low, high = ((ratio - 1) / (ratio + k - 1) for ratio in ratios)
    return Estimate(value, low, high)


def _agreement_interval(x: _Values) -> Estimate:
    """Shrout and Fleiss' ICC(2,1), McGraw and Wong's ICC(A,1)."""
    n, k = x.shape
    rows, columns, rest = _mean_squares(x)
    value = _icc_agreement(x)
    if max(rest, columns) <= _ALMOST * rows:
        return Estimate(value, value, value)
    # Both weights of McGraw and Wong times n (1 - value), which may be 0.
    a, b = k * value, n * (1 - value) + k * value * (n - 1)
    parts = (a * columns) ** 2 / (k - 1) + (b * rest) ** 2 / ((n - 1) * (k - 1))
    free = (a * columns + b * rest) ** 2 / parts if parts > 0 else math.inf
    free = min(max(free, 1.0), 1e6)
    above, below = f_quantile(0.975, n - 1, free), f_quantile(0.975, free, n - 1)
    within = k * columns + (k * n - k - n) * rest
    low = n * (rows - above * rest) / (above * within + n * rows)
    high = n * (below * rows - rest) / (within + n * below * rows)
    return Estimate(value, low, high)


def _back(z: float, k: int) -> float:
    """The correlation of a value of Fisher's transform for ``k`` readings."""
    if math.isnan(z):
        return z
    e = math.exp(min(2 * z, 700.0))
    return (e - 1) / (e + k - 1)


# -- subjects with several frames ----------------------------------------------------------------


def _jackknife(x: _Values, subjects: Sequence[str], figure: Callable[[_Values], float]) -> Estimate:
    """A figure with an interval over other subjects, each left out with all of its frames."""
    value = figure(x)
    keys, group = np.unique(np.asarray(subjects), return_inverse=True)
    left = [x[group != i] for i in range(len(keys))]
    if len(keys) < 2 or min(map(len, left)) < 2:
        return Estimate(value, math.nan, math.nan)
    others = np.array([figure(part) for part in left])
    count = len(keys)
    error = math.sqrt((count - 1) / count * float(((others - others.mean()) ** 2).sum()))
    half = error * t_quantile(0.975, max(effective_number(subjects) - 1, 1.0))
    return Estimate(value, value - half, value + half)
