"""From an ellipse in pixels to the biometry that a sonographer reads.

For research only: the figures describe an image and diagnose nothing. A gestational age is given
within the range that its source covers. Outside this range a reason is given instead of a number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse

Trimester = Literal["first", "second", "third"]

CEPHALIC_INDEX_USUAL = (69.5, 87.1)
"""Mean cephalic index minus and plus two SD, in per cent: 78.3 and 4.4 in 316 examinations at 14 to
40 weeks (Hadlock et al., AJR 1981;137:83-85). Some 5 % of normal heads lie outside."""

BPD_DATES_UNTIL = (74.0, 83.0)
"""One SD around that mean. The same paper says that outside of it an age from the BPD may mislead,
and that the HC can be used instead. All ages here are from the HC."""

SECOND_TRIMESTER_FROM_MM = 98.0
THIRD_TRIMESTER_FROM_MM = 260.0
"""Mean HC at 14+0 and 28+0 weeks in whole mm: INTERGROWTH-21st (Papageorghiou et al., Lancet
2014;384:869-879) has -28.2849 + 1.69267 w^2 - 0.397485 w^2 ln w."""

_HADLOCK_RANGE_MM = (68.0, 360.0)
_HADLOCK_SD2 = ((144.0, 1.19), (219.0, 1.48), (280.0, 2.06), (325.0, 2.98), (360.0, 3.2))
"""(last HC in mm of the band, 2 SD in weeks). Between two bands the wider one is taken. For the
last band the tables of scanners have 3.2, and 2.7 is cited too. The paper's own table was not seen,
so the wider one is kept."""
_HADLOCK_FITTED_FROM_MM = 97.0
"""The formula was fitted to fetuses of 14 weeks and more, whose mean HC is 97 mm in that paper.
Its tables begin at 68 mm, at 12 weeks."""

_INTERGROWTH_RANGE_DAYS = (14 * 7, 25 * 7 + 6)
"""The ages for which the equation is documented, in days: 14+0 to 25+6 weeks."""
_INTERGROWTH_HALF_WIDTHS = ((14 * 7, 7.0), (26 * 7, 14.0))
"""(age, half width of the 95 % prediction interval), in days. The paper gives 6-7 days at 14 weeks
and 12-14 at 26; the wider ends are taken, and a straight line between them."""


@dataclass(frozen=True, slots=True)
class Biometry:
    """The head in mm, diameters outer to outer: the ellipse follows the skull's outer edge."""

    hc_mm: float
    """Head circumference: the perimeter of the ellipse."""
    bpd_mm: float
    """Biparietal diameter, the minor axis, outer to outer."""
    bpd_outer_inner_mm: float
    """The BPD from the outer to the inner edge, as many charts want it, estimated from ``bpd_mm``:
    0.9714153 BPD - 0.403458 in mm (Wong et al., Australas J Ultrasound Med 2018;21:161-168; 543
    fetuses of 14 to 40 weeks)."""
    ofd_mm: float
    """Occipitofrontal diameter, the major axis."""
    cephalic_index: float
    """100 BPD / OFD, in per cent."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How far the sizes of a found ellipse may be from those that a sonographer would draw.

    Standard deviations, each as a share of the size: 0.01 is 1 %.
    """

    hc: float
    bpd: float
    ofd: float


@dataclass(frozen=True, slots=True)
class GestationalAge:
    """A gestational age by one formula, or the reason why there is none."""

    weeks: float | None
    """Exact weeks; ``None`` outside the formula's range."""
    formula: str
    citation: str
    reason: str | None
    """``out of range: ...`` where ``weeks`` is ``None``, else ``None``."""
    half_width_weeks: float | None
    """Half the width of the interval around ``weeks``; ``None`` where ``weeks`` is."""
    interval: str
    """What that interval is: ``2 SD`` or ``95 % prediction interval``."""
    extrapolated: bool = False
    """Whether the formula was fitted to larger heads only."""


def measure(ellipse: Ellipse, calibration: Calibration) -> Biometry:
    """Measure an ellipse given in px. Its axes are taken in mm, so oblong pixels are handled."""
    mm = calibration.to_mm(ellipse)
    bpd = 2 * mm.b
    outer_inner = max(0.0, 0.9714153 * bpd - 0.403458)
    return Biometry(mm.perimeter, bpd, outer_inner, 2 * mm.a, 100 * mm.b / mm.a)


def hadlock_1984(hc_mm: float) -> GestationalAge:
    """GA in weeks = 8.96 + 0.540 HC + 0.0003 HC^3 with HC in cm, for an HC of 68 to 360 mm.

    Below 97 mm, the mean of the youngest fetuses that it was fitted to, it extrapolates.
    """
    formula, interval = "Hadlock 1984", "2 SD"
    citation = "Hadlock FP et al. Radiology 1984;152:497-501"
    low, high = _HADLOCK_RANGE_MM
    if not low <= hc_mm <= high:
        reason = f"out of range: {formula} covers an HC of {low:.0f} to {high:.0f} mm"
        return GestationalAge(None, formula, citation, reason, None, interval)
    hc_cm = hc_mm / 10
    weeks = 8.96 + 0.540 * hc_cm + 0.0003 * hc_cm**3
    sd2 = next(sd2 for last_mm, sd2 in _HADLOCK_SD2 if hc_mm <= last_mm)
    extrapolated = hc_mm < _HADLOCK_FITTED_FROM_MM
    return GestationalAge(weeks, formula, citation, None, sd2, interval, extrapolated)


def intergrowth_21st(hc_mm: float) -> GestationalAge:
    """INTERGROWTH-21st dating by HC alone, for ages of 14+0 to 25+6 weeks.

    ln(GA in days) = 0.05970 (ln HC)^2 + 6.409e-9 HC^3 + 3.3258 with HC in mm. The half width of
    the 95 % prediction interval grows from 7 days at 14 weeks to 14 days at 26.
    """
    formula, interval = "INTERGROWTH-21st", "95 % prediction interval"
    citation = "Papageorghiou AT et al. Ultrasound Obstet Gynecol 2016;48:719-726"
    days = _intergrowth_days(hc_mm)
    low, high = _INTERGROWTH_RANGE_DAYS
    # The upper end is compared in whole days, as it is shown: 26w+0d is outside.
    if days is None or days < low or round(days) > high:
        covered = f"{format_weeks(low / 7)} to {format_weeks(high / 7)}"
        reason = f"out of range: {formula} dating by HC covers {covered}"
        return GestationalAge(None, formula, citation, reason, None, interval)
    (first, narrow), (last, wide) = _INTERGROWTH_HALF_WIDTHS
    half = narrow + (wide - narrow) * (days - first) / (last - first)
    return GestationalAge(days / 7, formula, citation, None, half / 7, interval)


def format_weeks(weeks: float) -> str:
    """Exact weeks as completed weeks and days, rounded to the day: 20.143 is ``20w+1d``."""
    whole, days = divmod(round(weeks * 7), 7)
    return f"{whole}w+{days}d"


def trimester(hc_mm: float) -> Trimester:
    """The trimester in which the average head has this circumference. It does not date a head."""
    if hc_mm < SECOND_TRIMESTER_FROM_MM:
        return "first"
    return "second" if hc_mm < THIRD_TRIMESTER_FROM_MM else "third"


def _intergrowth_days(hc_mm: float) -> float | None:
    """The regression itself, in days; ``None`` if it cannot be evaluated."""
    if not 1 <= hc_mm <= 1000:
        return None
    return math.exp(0.05970 * math.log(hc_mm) ** 2 + 6.409e-9 * hc_mm**3 + 3.3258)
