"""The difference between two methods, measured on the same frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fetalstudio.core.metrics import Interval, bootstrap_ci


def paired_difference(
    first: ArrayLike, second: ArrayLike, subjects: list[str] | tuple[str, ...]
) -> Interval:
    """``first`` minus ``second``, each (repeats, frames) of a figure on the same frames.

    Repeats are averaged within a frame, because they are not independent frames. The 95 % interval
    is a bootstrap over the subjects of the frames. It holds for other subjects of the same kind,
    not for other draws of the training frames; for these see :func:`by_repeat`. Raises
    ``ValueError`` if the shapes do not match.
    """
    return bootstrap_ci((_mean(first) - _mean(second)).tolist(), subjects)


def by_repeat(first: ArrayLike, second: ArrayLike) -> tuple[float, ...]:
    """The mean difference of each repeat; repeats with the same number are compared."""
    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.shape != b.shape:
        raise ValueError(f"repeats are compared one by one: {a.shape} and {b.shape}")
    return tuple((a - b).mean(axis=1).tolist())


def over_repeats(values: ArrayLike, subjects: list[str] | tuple[str, ...]) -> Interval:
    """The mean of (repeats, frames) with its interval, as in :func:`paired_difference`."""
    return bootstrap_ci(_mean(values).tolist(), subjects)


def _mean(values: ArrayLike) -> NDArray[np.float64]:
    """(frames,): the mean over the repeats."""
    x = np.asarray(values, dtype=float)
    if x.ndim != 2 or not len(x):
        raise ValueError(f"(repeats, frames) are needed, not a shape of {x.shape}")
    return np.asarray(x.mean(axis=0))
