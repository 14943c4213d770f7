"""Intervals of means over frames, whose subjects and whose repeats of a training both vary.

Frames of a subject are not independent, and neither are the frames that one training is tested on.
Each interval here holds for other subjects and for other repeats of the same kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fetalstudio.core.metrics import Interval

FEW_SUBJECTS = 20
"""With fewer test subjects, nothing is claimed: the skewed differences of a few heads decide."""
FEW_REPEATS = 5
"""With fewer repeats, nothing is claimed about trainings: how much they vary is hardly known."""
_MANY_SUBJECTS = 1000
"""With more, both intervals are the same, and the bootstrap would take much memory."""
DRAWS = 4000
"""Draws of an error; what is added to the interval of a mean has as many."""
_LEAST_SPREAD = 0.25
"""The least standard error of a resample, as a share of that of the values. Without it, resamples
that happen to hold equal values alone would make intervals without end."""


def mean_interval(
    values: Sequence[float],
    subjects: Sequence[str],
    *,
    within: tuple[float, float] = (-np.inf, np.inf),
    more: NDArray[np.float64] | None = None,
) -> Interval:
    """The mean over the frames with its 95 % interval over subjects; see :func:`over_repeats`.

    The interval is cut at ``within``, the bounds that the values have by their nature. ``more`` are
    :data:`DRAWS` of a further error of the mean that has nothing to do with these frames, such as
    that of a calibration.
    """
    found = over_repeats([values], subjects, more=more)
    low, high = np.clip([found.low, found.high], *within).tolist()
    return replace(found, low=low, high=high)


def percentile_interval(values: Sequence[float], subjects: Sequence[str], q: float) -> Interval:
    """The ``q``-th percentile over the frames, with its 95 % interval by a bootstrap of subjects.

    The interval of one subject is NaN. Raises ``ValueError`` if there are no values or the numbers
    do not match.
    """
    x, (names, owners) = np.asarray(values, float), np.unique(subjects, return_inverse=True)
    if not x.size or len(x) != len(owners):
        raise ValueError(f"{len(x)} values need a subject each, not {len(owners)}")
    value = float(np.percentile(x, q))
    if len(names) < 2:
        return Interval(value, float("nan"), float("nan"), len(x))
    own = [x[owners == i] for i in range(len(names))]
    rng = np.random.default_rng(0)
    drawn = [
        np.percentile(np.concatenate([own[i] for i in rng.integers(0, len(own), len(own))]), q)
        for _ in range(DRAWS // 4)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(value, float(low), float(high), len(x))


def paired_difference(
    first: ArrayLike, second: ArrayLike, subjects: Sequence[str], *, level: float = 0.95
) -> Interval:
    """``first`` minus ``second``, each (repeats, frames) of a figure on the same frames.

    Repeats with the same number are compared. See :func:`over_repeats` for the interval. Raises
    ``ValueError`` if the shapes do not match.
    """
    return over_repeats(_differences(first, second), subjects, level=level)


def by_repeat(first: ArrayLike, second: ArrayLike) -> tuple[float, ...]:
    """The mean difference of each repeat; repeats with the same number are compared."""
    return tuple(_differences(first, second).mean(axis=1).tolist())


def over_repeats(
    values: ArrayLike,
    subjects: Sequence[str],
    *,
    level: float = 0.95,
    more: NDArray[np.float64] | None = None,
) -> Interval:
    """The mean of (repeats, frames) with its interval over other subjects and other repeats.

    ``subjects`` are those of the frames. Over subjects, the interval is the wider one of Student's
    and of a studentised bootstrap that draws whole subjects (from :data:`FEW_SUBJECTS` on). What
    repeats add comes from the analysis of variance of the crossed design, with the chance in the
    variances themselves. With one repeat, the interval is over subjects alone. That of one subject
    is NaN. For ``more`` see :func:`mean_interval`. Raises ``ValueError`` if there are no values or
    the shapes do not match.
    """
    x = np.asarray(values, dtype=float)
    if x.ndim != 2 or not x.size or x.shape[1] != len(subjects):
        raise ValueError(
            f"(repeats, frames) with a subject for each frame are needed, not a shape of {x.shape} "
            f"for {len(subjects)} subjects"
        )
    mean = float(x.mean())
    influence, effective = _influence(x, subjects)
    if influence.shape[1] < 2:
        return Interval(mean, float("nan"), float("nan"), x.shape[1])
    others = _error_over_repeats(influence, x.mean(axis=1)) + (0.0 if more is None else more)
    low, high = np.inf, -np.inf
    for errors in _errors_over_subjects(influence.mean(axis=0), effective):
        above, below = np.quantile(errors + others, [(1 - level) / 2, (1 + level) / 2])
        low, high = min(low, mean - below), max(high, mean - above)
    return Interval(mean, float(low), float(high), x.shape[1])


def effective_number(subjects: Sequence[str]) -> float:
    """How many subjects with equally many frames would say as much as these, the subjects of some
    frames (Kish)."""
    counts = np.unique(np.asarray(subjects), return_counts=True)[1]
    return float(counts.sum() ** 2 / (counts**2).sum())


def _influence(
    x: NDArray[np.float64], subjects: Sequence[str]
) -> tuple[NDArray[np.float64], float]:
    """(repeats, subjects): how far each subject moves the mean, as the jackknife sees it, and the
    effective number of subjects.

    A subject with most of the frames decides the mean almost alone.
    """
    _, group = np.unique(np.asarray(subjects), return_inverse=True)
    counts = np.bincount(group)
    sums = np.stack([np.bincount(group, weights=row) for row in x])
    others = np.maximum(counts.sum() - counts, 1)  # zero for a single subject alone
    moved = (sums - counts * x.mean(axis=1, keepdims=True)) / others
    return moved * (len(counts) - 1), effective_number(subjects)


def _errors_over_subjects(
    values: NDArray[np.float64], effective: float
) -> Iterator[NDArray[np.float64]]:
    """Draws of the error of the mean by Student's distribution and, from :data:`FEW_SUBJECTS` to
    :data:`_MANY_SUBJECTS`, by the bootstrap.

    The first errs where values are skewed, the second where a few of them are far from the others.
    """
    n = len(values)
    error = float(np.sqrt((values**2).sum() / (n - 1) / n))
    yield error * _student(max(effective - 1, 0.1))
    if not FEW_SUBJECTS <= n <= _MANY_SUBJECTS:
        return
    values = values - values.mean()
    means, squares = (_resamples(n) @ np.stack([values, values**2], axis=1)).T
    spread = np.sqrt(np.maximum(squares - means**2, 0) / (n - 1))
    yield error * means / np.maximum(spread, max(_LEAST_SPREAD * error, 1e-12))


@lru_cache(maxsize=4)
def _student(free: float) -> NDArray[np.float64]:
    """(draws,): of Student's distribution with ``free`` degrees of freedom."""
    return np.random.default_rng(0).standard_t(free, DRAWS)


@lru_cache(maxsize=4)
def _resamples(n: int) -> NDArray[np.float64]:
    """(draws, n): the share of each of ``n`` subjects in a resample."""
    drawn = np.random.default_rng(n).integers(0, n, (DRAWS, n))
    flat = drawn + n * np.arange(DRAWS)[:, None]
    return np.bincount(flat.ravel(), minlength=DRAWS * n).reshape(DRAWS, n) / n


def _error_over_repeats(
    influence: NDArray[np.float64], means: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Draws of the error that repeats add to the mean, beyond what is in that over subjects.

    The variances are as uncertain as those of normal effects with as many degrees of freedom.
    """
    repeats, n = influence.shape
    if repeats < 2:
        return np.zeros(DRAWS)
    rest = influence - influence.mean(axis=0)
    rest = rest - rest.mean(axis=1, keepdims=True)
    free = repeats - 1, (repeats - 1) * (n - 1)
    of_means, of_rest, normal = _normal_effects(*free)
    variance = means.var(ddof=1) / repeats * free[0] / of_means
    variance -= float((rest**2).sum()) / (repeats * n) / of_rest
    return np.asarray(normal * np.sqrt(np.maximum(variance, 0)))


@lru_cache(maxsize=4)
def _normal_effects(first: int, second: int) -> tuple[NDArray[np.float64], ...]:
    """(draws,) each: of the chi-squared distributions with these degrees of freedom, and normal."""
    rng = np.random.default_rng(1)
    return rng.chisquare(first, DRAWS), rng.chisquare(second, DRAWS), rng.standard_normal(DRAWS)


def _differences(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.shape != b.shape:
        raise ValueError(f"repeats are compared one by one: {a.shape} and {b.shape}")
    return np.asarray(a - b)
