"""How well a mask or an ellipse matches the reference: each figure is computed here and only here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.generic]
"""(H, W), nonzero = head."""


def dice(predicted: Mask, reference: Mask) -> float:
    """2|A & B| / (|A| + |B|), 0 to 1; two empty masks agree (1)."""
    p, r = _pair(predicted, reference)
    total = int(p.sum()) + int(r.sum())
    return 2 * int((p & r).sum()) / total if total else 1.0


def iou(predicted: Mask, reference: Mask) -> float:
    """|A & B| / |A | B|, 0 to 1; two empty masks agree (1)."""
    p, r = _pair(predicted, reference)
    union = int((p | r).sum())
    return int((p & r).sum()) / union if union else 1.0


@dataclass(frozen=True, slots=True)
class SurfaceDistances:
    """Distances between two outlines in px (or mm): 95th percentile and symmetric mean."""

    hd95: float
    assd: float


def surface_distances(
    predicted: Mask, reference: Mask, spacing: tuple[float, float] = (1.0, 1.0)
) -> SurfaceDistances:
    """HD95 (the larger of both directions' 95th percentile) and ASSD (mean over both outlines).

    ``spacing`` is the pixel's (width, height), for instance in mm. An empty mask against one that
    is not gives infinity for both; two empty masks give 0.
    """
    p, r = _pair(predicted, reference)
    if not p.any() and not r.any():
        return SurfaceDistances(0.0, 0.0)
    if not p.any() or not r.any():
        return SurfaceDistances(float("inf"), float("inf"))
    outlines = [_outline(m) * np.array(spacing) for m in (p, r)]
    one, other = _nearest(outlines[0], outlines[1]), _nearest(outlines[1], outlines[0])
    hd95 = max(np.percentile(one, 95), np.percentile(other, 95))
    return SurfaceDistances(float(hd95), float(np.concatenate([one, other]).mean()))


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its confidence interval."""

    mean: float
    low: float
    high: float
    n: int
    """Number of values (frames, not subjects)."""


def bootstrap_ci(
    values: Sequence[float],
    subjects: Sequence[str],
    *,
    level: float = 0.95,
    repeats: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap of the mean, resampling whole subjects (frames of one are not independent).

    Raises ``ValueError`` where there are no values or the lengths differ.
    """
    x = np.asarray(values, dtype=float)
    if len(x) == 0 or len(x) != len(subjects):
        raise ValueError("bootstrap_ci needs one subject for each of at least one value")
    _, group = np.unique(np.asarray(subjects), return_inverse=True)
    sums = np.bincount(group, weights=x)
    counts = np.bincount(group)
    draws = np.random.default_rng(seed).integers(0, len(sums), (repeats, len(sums)))
    means = sums[draws].sum(axis=1) / counts[draws].sum(axis=1)
    low, high = np.percentile(means, [50 * (1 - level), 50 * (1 + level)])
    return Interval(float(x.mean()), float(low), float(high), len(x))


def _pair(predicted: Mask, reference: Mask) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    if predicted.shape != reference.shape:
        raise ValueError(f"masks differ in size: {predicted.shape} and {reference.shape}")
    return predicted > 0, reference > 0


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    contours, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
    )
    return np.concatenate([c[:, 0] for c in contours]).astype(float)


def _nearest(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from each point to the nearest other one, in blocks to bound the memory."""
    blocks = [
        np.sqrt(((block[:, None] - others[None]) ** 2).sum(axis=2).min(axis=1))
        for block in np.array_split(points, max(1, len(points) // 512))
    ]
    return np.concatenate(blocks)
