"""How well a mask or an ellipse matches the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.distributions import NORMAL_95

FAILURE = 0.9
"""A Dice below this counts as a failure."""
Mask = NDArray[np.generic]
"""A mask, (H, W), nonzero inside the head."""


def dice(predicted: Mask, reference: Mask) -> float:
    """2|A & B| / (|A| + |B|), 0 to 1; two empty masks agree (1).

    Raises ``ValueError`` for masks of different sizes.
    """
    p, r = _pair(predicted, reference)
    total = int(p.sum()) + int(r.sum())
    return 2 * int((p & r).sum()) / total if total else 1.0


def iou(predicted: Mask, reference: Mask) -> float:
    """|A & B| / |A | B|, 0 to 1; two empty masks agree (1).

    Raises ``ValueError`` for masks of different sizes.
    """
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
    is not gives infinity for both; two empty masks give 0. Raises ``ValueError`` for masks of
    different sizes.
    """
    p, r = _pair(predicted, reference)
    if not p.any() and not r.any():
        return SurfaceDistances(0.0, 0.0)
    if not p.any() or not r.any():
        return SurfaceDistances(float("inf"), float("inf"))
    there, back = _nearest(_outline(p) * np.array(spacing), _outline(r) * np.array(spacing))
    hd95 = max(np.percentile(there, 95), np.percentile(back, 95))
    return SurfaceDistances(float(hd95), float(np.concatenate([there, back]).mean()))


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its confidence interval, whose ends are NaN where a single subject gives none."""

    mean: float
    low: float
    high: float
    n: int
    """Number of values (frames, not subjects)."""


def limits_of_agreement(differences: Sequence[float]) -> tuple[float, float] | None:
    """The mean -/+ 1.96 standard deviations (Bland and Altman 1986), in the unit of the values.

    None for fewer than two values.
    """
    if len(differences) < 2:
        return None
    mean, spread = float(np.mean(differences)), NORMAL_95 * float(np.std(differences, ddof=1))
    return mean - spread, mean + spread


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """95 % interval of a share, 0 to 1 (Wilson 1927), which holds for small counts too.

    Raises ``ValueError`` unless 0 <= successes <= n and n > 0.
    """
    if not (0 <= successes <= n and n > 0):
        raise ValueError(f"{successes} of {n} is no share")
    z, share = NORMAL_95, successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, centre - half), min(1.0, centre + half)


def _pair(predicted: Mask, reference: Mask) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    if predicted.shape != reference.shape:
        raise ValueError(f"masks differ in size: {predicted.shape} and {reference.shape}")
    return np.greater(predicted, 0), np.greater(reference, 0)


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n, 2) x and y of the region's pixels that touch the outside or the frame's border."""
    solid = mask.astype(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    inner = cv2.erode(solid, cross, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.argwhere(solid > inner)[:, ::-1].astype(np.float64)


def _nearest(
    points: NDArray[np.float64], others: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The distance of each point to the nearest of the others, and the reverse.

    Computed in blocks to limit the memory.
    """
    there, back = np.empty(len(points)), np.full(len(others), np.inf)
    for start in range(0, len(points), 256):
        block = points[start : start + 256]
        dx = block[:, :1] - others[None, :, 0]
        dy = block[:, 1:] - others[None, :, 1]
        squared = dx * dx + dy * dy
        there[start : start + 256] = squared.min(axis=1)
        np.minimum(back, squared.min(axis=0), out=back)
    return np.sqrt(there), np.sqrt(back)
