"""Calibrates the IoU head's own estimate to the expected IoU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

_WEAK = 1e-3
"""The weight of a prior that decides only where the data do not."""
_SETTLED = 1e-9
_LEAST = 1e-3
"""Estimates are clipped to this margin from 0 and 1, which have infinite odds."""


@dataclass(frozen=True, slots=True)
class Confidence:
    """A logistic curve through log-odds (J. Platt's scaling, for shares instead of yes and no).

    It keeps the order of the estimates. The default curve changes nothing.
    """

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, estimate: float) -> float:
        """The expected IoU, 0 to 1, for the head's ``estimate`` (any value; 0 to 1 counts)."""
        return float(_logistic(self.slope * _log_odds(estimate) + self.offset))

    def of_tensor(self, estimates: Tensor) -> Tensor:
        """The same for many estimates (n,), so that a training can follow it."""
        clamped = estimates.clamp(_LEAST, 1 - _LEAST)
        # The slope is kept beyond the ends, so that gradients can bring an estimate back.
        odds = (estimates + (clamped - estimates).detach()).logit()
        return (self.slope * odds + self.offset).sigmoid()

    def after(self, other: Confidence) -> Confidence:
        """The curve that applies ``other`` first, and then this one to its result."""
        return Confidence(self.slope * other.slope, self.slope * other.offset + self.offset)

    @classmethod
    def fit(cls, estimates: ArrayLike, actual: ArrayLike, *, prior: float = _WEAK) -> Confidence:
        """The curve with the least cross-entropy between its expectation and the ``actual`` IoUs.

        Newton steps with a ``prior`` for a slope of 1, which decides where the estimates are alike.
        The offset is hardly held. Raises ``ValueError`` for fewer than two values, or if larger
        estimates mean smaller IoUs: such an IoU head is useless.
        """
        x = _log_odds(np.asarray(estimates, float))
        y = np.clip(np.asarray(actual, float), 0, 1)
        if len(x) < 2:
            raise ValueError("a curve needs at least two predictions")
        middle = float(x.mean())
        features = np.column_stack([x - middle, np.ones_like(x)])
        start, pull = np.array([1.0, middle]), np.array([prior, _WEAK])

        def loss(w: NDArray[np.float64]) -> float:
            z = features @ w
            pulled = (pull * (w - start) ** 2).sum() / 2
            return float((np.logaddexp(0, z) - y * z).sum() + pulled)

        w = start
        for _ in range(100):
            p = _logistic(features @ w)
            gradient = features.T @ (p - y) + pull * (w - start)
            curvature = (features * (p * (1 - p))[:, None]).T @ features + np.diag(pull)
            step = np.linalg.solve(curvature, gradient)
            # Far from the optimum a full step can overshoot, and come back, without end.
            while loss(w - step) > loss(w) and float(np.abs(step).max()) >= _SETTLED:
                step = step / 2
            w = w - step
            if float(np.abs(step).max()) < _SETTLED:
                break
        slope, level = w.tolist()
        if slope <= 0:
            raise ValueError("larger estimates stand for smaller IoUs")
        return cls(slope, level - slope * middle)


def _log_odds(share: ArrayLike) -> NDArray[np.float64]:
    p = np.clip(np.asarray(share, float), _LEAST, 1 - _LEAST)
    return np.asarray(np.log(p / (1 - p)))


def _logistic(x: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.asarray(x, float))))
