"""Head circumference for a gestational age that is known: z-scores and centiles of three charts.

For research only. A centile compares one measurement with a chart's cohort and diagnoses nothing.
"""

from __future__ import annotations

import bisect
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist

AGE_LABEL = "gestational_age"
"""The label of a frame that holds its gestational age as weeks+days, such as ``20+3``."""

_AGES_DAYS = (4 * 7, 44 * 7 + 6)
_AGE = re.compile(r"(\d{1,2})(?:\s*\+|\s*(?:weeks?|wks?|w)\s*\+?|\s)\s*([0-6])\s*(?:days?|d)?")
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class _Chart:
    """What is the same for every head that is compared with a chart."""

    name: str
    citation: str
    cohort: str
    """Whom the chart describes."""
    ages: tuple[int, int] = (14 * 7, 40 * 7)
    """The first and the last age that it covers, in days."""

    def unanswered(self, age_days: int) -> SizeForAge | None:
        """The answer for an age that the chart does not cover; None for one that it does."""
        low, high = self.ages
        if low <= age_days <= high:
            return None
        reason = f"out of range: {self.name} covers {age_text(low)} to {age_text(high)}"
        return self.answer(None, None, reason=reason)

    def normal(self, hc_mm: float, age_days: int, mean: float, sd: float) -> SizeForAge:
        """The answer of a chart whose HCs in mm are normally distributed at this age."""
        z = (hc_mm - mean) / sd
        return self.unanswered(age_days) or self.answer(z, 100 * _NORMAL.cdf(z))

    def answer(
        self,
        z: float | None,
        centile: float | None,
        *,
        beyond: str = "",
        reason: str | None = None,
    ) -> SizeForAge:
        """An answer of this chart; see :class:`SizeForAge`."""
        return SizeForAge(self.name, self.citation, self.cohort, z, centile, beyond, reason)


@dataclass(frozen=True, slots=True)
class SizeForAge:
    """Where a head circumference lies in one chart, or the reason why the chart has no answer."""

    chart: str
    citation: str
    cohort: str
    """Whom the chart describes."""
    z: float | None
    """Standard deviations above the mean; ``None`` with a ``reason``, and where the chart's
    outermost centile is exceeded."""
    centile: float | None
    """Per cent of the cohort with a smaller head, 0 to 100. Where ``beyond`` is set, the chart's
    outermost centile. ``None`` with a ``reason``."""
    beyond: str
    """``<`` or ``>`` where the head lies outside the chart's outermost centiles, else empty."""
    reason: str | None
    """``out of range: ...`` where the chart does not cover the age, else ``None``."""

    @property
    def text(self) -> str:
        """The figures in short: ``54th, z +0.1``; ``<2.5th``; ``out of range``."""
        if self.centile is None:
            return "out of range"
        if self.beyond:
            return f"{self.beyond}{_ordinal(self.centile)}"
        low, high = 1.0, 99.0
        if self.centile < low or self.centile > high:
            sign, limit = ("<", low) if self.centile < low else (">", high)
            return f"{sign}{_ordinal(limit)}, z {self.z:+.1f}"
        return f"{_ordinal(round(self.centile))}, z {self.z:+.1f}"


def parse_age(text: str) -> int:
    """The days of a gestational age written as weeks and days: ``20+3``, ``20w3d``, ``20w+3d``.

    Raises ``ValueError`` for another spelling, and for an age outside 4+0 to 44+6. ``20.3`` is
    refused: it could be 20 weeks and 3 days or 20.3 weeks. ``20`` is refused as well: it could be
    20 completed weeks and some days.
    """
    found = _AGE.fullmatch(text.strip().lower())
    days = 7 * int(found[1]) + int(found[2]) if found else -1
    low, high = _AGES_DAYS
    if not low <= days <= high:
        raise ValueError(
            f"{text.strip()!r} is not a gestational age. Give weeks+days, such as 20+3, from "
            f"{age_text(low)} to {age_text(high)}"
        )
    return days


def age_text(days: int) -> str:
    """An age in days as weeks+days: 143 is ``20+3``. :func:`parse_age` reads it."""
    return f"{days // 7}+{days % 7}"


def age_of(labels: Mapping[str, str]) -> int | None:
    """The gestational age in days among a frame's labels; None without one that can be read."""
    try:
        return parse_age(labels.get(AGE_LABEL, ""))
    except ValueError:
        return None


_INTERGROWTH = _Chart(
    "INTERGROWTH-21st 2014",
    "Papageorghiou AT et al. Lancet 2014;384:869-879",
    "a standard: 4,321 healthy pregnancies of 8 countries, examined every 5 weeks",
)
_HADLOCK = _Chart(
    "Hadlock 1984",
    "Hadlock FP et al. Radiology 1984;152:497-501",
    "a reference: 361 fetuses of 14 to 42 weeks, each examined once",
)
_WHO = _Chart(
    "WHO 2017",
    "Kiserud T et al. PLoS Med 2017;14:e1002220",
    "a reference: 1,387 low-risk women of 10 countries, each examined several times",
)


def intergrowth_2014(hc_mm: float, age_days: int) -> SizeForAge:
    """INTERGROWTH-21st fetal growth standard, for ages of 14+0 to 40+0 (98 to 280 days).

    With w in exact weeks and the HC in mm, normally distributed around

    - mean = -28.2849 + 1.69267 w^2 - 0.397485 w^2 ln w
    - SD = 1.98735 + 0.0136772 w^3 - 0.00726264 w^3 ln w + 0.000976253 w^3 (ln w)^2

    Papageorghiou AT et al. Lancet 2014;384:869-879. Checked against the standard's own tables of
    centiles and z-scores (University of Oxford), which it reproduces to 0.1 mm at every week.
    """
    return _INTERGROWTH.normal(hc_mm, age_days, *intergrowth_mean_and_sd(age_days / 7))


def intergrowth_mean_and_sd(weeks: float) -> tuple[float, float]:
    """The mean HC and its SD in mm, by the equations of :func:`intergrowth_2014`.

    They hold from 14 to 40 weeks. At 11 to 14 weeks they go on smoothly (73 mm at 12 weeks, where
    Hadlock's tables begin with 68), which is good enough to simulate a head and not to judge one.
    """
    log, square, cube = math.log(weeks), weeks**2, weeks**3
    mean = -28.2849 + 1.69267 * square - 0.397485 * square * log
    sd = 1.98735 + 0.0136772 * cube - 0.00726264 * cube * log + 0.000976253 * cube * log**2
    return mean, sd


def hadlock_1984(hc_mm: float, age_days: int) -> SizeForAge:
    """Hadlock's HC for a menstrual age, for ages of 14+0 to 40+0 (98 to 280 days).

    With w in weeks and the HC in cm: mean = -11.48 + 1.56 w - 0.0002548 w^3, SD = 1.0 cm at all
    ages.

    Hadlock FP et al. Radiology 1984;152:497-501 (361 fetuses of 14 to 42 weeks). The mean
    reproduces the paper's printed table of 12 to 40 weeks to 0.1 cm. The SD was not seen in the
    paper itself: it is the one that implementations agree on, but for one that has 0.956 cm, and
    it fits the paper's scatter of the ages, which corresponds to 0.8 to 1.1 cm.
    """
    w = age_days / 7
    mean_cm = -11.48 + 1.56 * w - 0.0002548 * w**3
    return _HADLOCK.normal(hc_mm, age_days, mean=10 * mean_cm, sd=10.0)


_WHO_QUANTILES = (
    (0.025, 1.59317517131532, 2.9459800552433e-1, -7.3860372566707e-3, 6.56951770216148e-5),
    (0.05, 1.74883945698398, 2.78405280785763e-1, -6.77990950687641e-3, 5.83587774721548e-5),
    (0.10, 1.83059537388222, 2.7244251174974e-1, -6.59546864496838e-3, 5.63957469365128e-5),
    (0.25, 1.94181945227701, 2.6584757167445e-1, -6.44544904011178e-3, 5.54517813431795e-5),
    (0.50, 2.09924879247164, 2.53373656106037e-1, -6.05647816678282e-3, 5.14256072059917e-5),
    (0.75, 2.20777451923048, 2.45212320927953e-1, -5.78557948887613e-3, 4.83972618799514e-5),
    (0.90, 2.31776999721364, 2.36651510200538e-1, -5.50781288608926e-3, 4.53975879344267e-5),
    (0.95, 2.39550106176494, 2.29586666082063e-1, -5.25318141633775e-3, 4.23738937924844e-5),
    (0.975, 2.50074069629423, 2.20067854715719e-1, -4.93623111462443e-3, 3.89066000946519e-5),
)
"""(quantile, b0, b1, b2, b3): ln HC in mm = b0 + b1 w + b2 w^2 + b3 w^3, w in weeks."""


def who_2017(hc_mm: float, age_days: int) -> SizeForAge:
    """WHO fetal growth charts, for ages of 14+0 to 40+0 (98 to 280 days), both sexes.

    Nine quantiles, 2.5 to 97.5 %, by quantile regression: ln HC is a cubic in the exact weeks.
    Between two quantiles the centile is linear in ln HC, as the authors advise; beyond the
    outermost ones none is given. The chart has no SD: ``z`` is the normal deviate of the centile.

    Kiserud T et al. PLoS Med 2017;14:e1002220. The coefficients are those that its statistician
    J. Carvalho published (whoFetalGrowth, version 3 of March 2023), on which the calculator of
    WHO rests.
    """
    if (unanswered := _WHO.unanswered(age_days)) is not None:
        return unanswered
    w = age_days / 7
    quantiles = [row[0] for row in _WHO_QUANTILES]
    heads = [b0 + b1 * w + b2 * w**2 + b3 * w**3 for _, b0, b1, b2, b3 in _WHO_QUANTILES]
    size = math.log(hc_mm)
    if size < heads[0] or size > heads[-1]:
        beyond, limit = ("<", quantiles[0]) if size < heads[0] else (">", quantiles[-1])
        return _WHO.answer(None, 100 * limit, beyond=beyond)
    above = min(bisect.bisect_right(heads, size), len(heads) - 1)
    (low, high), (at, to) = heads[above - 1 : above + 1], quantiles[above - 1 : above + 1]
    share = at + (to - at) * (size - low) / (high - low)
    return _WHO.answer(_NORMAL.inv_cdf(share), 100 * share)


CHARTS: tuple[Callable[[float, int], SizeForAge], ...] = (intergrowth_2014, hadlock_1984, who_2017)
"""Each takes an HC in mm, above 0, and an age in days."""


def sizes_for_age(hc_mm: float, age_days: int) -> tuple[SizeForAge, ...]:
    """Where an HC in mm, above 0, lies in each of the charts at an age in days."""
    return tuple(chart(hc_mm, age_days) for chart in CHARTS)


def _ordinal(number: float) -> str:
    """``1st``, ``54th``, ``2.5th``."""
    text = f"{number:g}"
    teen = text in ("11", "12", "13")
    ending = {"1": "st", "2": "nd", "3": "rd"}.get(text[-1], "th")
    return text + ("th" if teen or "." in text else ending)
