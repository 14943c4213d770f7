"""Quantiles of the normal, Student's and the F distribution.

SciPy is no dependency of the program, and would add 100 MB to a bundle for these few lines.
"""

from __future__ import annotations

import math
from functools import lru_cache

NORMAL_95 = 1.96
"""Standard deviations to either side of the mean that hold 95 % of a normal distribution."""


@lru_cache(maxsize=256)
def f_quantile(p: float, first: float, second: float) -> float:
    """The quantile of the F distribution with these degrees of freedom, which need not be whole.

    ``p`` in (0, 1). Exact to about 9 digits.
    """
    low, high = 0.0, 1.0
    while low < (x := (low + high) / 2) < high:
        if _beta_share(x, first / 2, second / 2) < p:
            low = x
        else:
            high = x
    return second * high / (first * max(1 - high, 1e-300))


def t_quantile(p: float, free: float) -> float:
    """The quantile of Student's distribution with ``free`` degrees of freedom.

    ``p`` in (0.5, 1). Exact to about 9 digits.
    """
    return math.sqrt(f_quantile(2 * p - 1, 1.0, free))


def _beta_share(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (Lentz)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_share(1 - x, b, a)
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(logarithm + a * math.log(x) + b * math.log1p(-x)) / a
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 1000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d = 1 / _not_zero(1 + step * d)
            c = _not_zero(1 + step / c)
            fraction *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return front * fraction


def _not_zero(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300
