"""A segmenter's figures on frames whose ellipse is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.biometry import measure, trimester
from fetalstudio.core.metrics import (
    bootstrap_ci,
    dice,
    iou,
    limits_of_agreement,
    surface_distances,
    wilson_interval,
)
from fetalstudio.engine.data import Labelled
from fetalstudio.engine.requests import EvaluateResult, FrameScore, Prompt, Protocol

if TYPE_CHECKING:
    from fetalstudio.segmentation.segmenter import Segmenter

FAILURE = 0.9
"""A Dice below this counts as a failure."""
_PAPER_SIDE, _PAPER_JITTER, _PAPER_REPEATS = 256, 20, 5


def score_frame(
    segmenter: Segmenter,
    item: Labelled,
    image: NDArray[np.uint8],
    *,
    prompt: Prompt = "auto",
    protocol: Protocol = "native",
    seed: int = 0,
) -> FrameScore:
    """One frame's figures. The box prompt is the tight box of the known ellipse.

    ``paper`` repeats what the paper's code does: the frame squashed to 256 x 256, the reference
    eroded by its resampling, boxes moved outwards by up to 19 px, five repeats (one without box).
    """
    if protocol == "paper":
        return _score_paper(segmenter, item, image, prompt, seed)
    reference = item.ellipse.mask(item.frame.size)
    box = item.ellipse.box() if prompt == "box" else None
    found = segmenter.predict(image, box=box)
    mask = found.mask if found.ellipse is None else found.ellipse.mask(item.frame.size)
    score = _score(item, mask, reference)
    calibration = item.frame.calibration
    if calibration is None:
        return score
    hc = measure(item.ellipse, calibration).hc_mm
    found_hc = None if found.ellipse is None else measure(found.ellipse, calibration).hc_mm
    spacing = (calibration.mm_per_px_x, calibration.mm_per_px_y)
    distances = surface_distances(mask, reference, spacing)
    return replace(
        score,
        hd95_mm=distances.hd95,
        assd_mm=distances.assd,
        hc_mm=hc,
        hc_error_mm=None if found_hc is None else found_hc - hc,
    )


def summarise(
    segmenter: str,
    scores: Sequence[FrameScore],
    *,
    prompt: Prompt = "auto",
    protocol: Protocol = "native",
) -> EvaluateResult:
    """Means over the frames, and by cohort and trimester where there are several."""
    whole = _means(segmenter, scores, prompt, protocol)
    groups = {
        name: _means(segmenter, members, prompt, protocol)
        for name, members in _groups(scores).items()
    }
    return replace(whole, groups=groups, frames=tuple(scores))


def _means(
    segmenter: str, scores: Sequence[FrameScore], prompt: Prompt, protocol: Protocol
) -> EvaluateResult:
    """The interval is by bootstrap over subjects (2000 draws, seed 0)."""
    values = [s.dice for s in scores]
    interval = bootstrap_ci(values, [s.subject for s in scores])
    errors = [s.hc_error_mm for s in scores if s.hc_error_mm is not None]
    failures = sum(v < FAILURE for v in values)
    return EvaluateResult(
        segmenter=segmenter,
        n=len(scores),
        subjects=len({s.subject for s in scores}),
        dice={
            "mean": interval.mean,
            "ci95": [interval.low, interval.high],
            "median": float(np.median(values)),
            "min": float(np.min(values)),
        },
        iou=float(np.mean([s.iou for s in scores])),
        hd95_px=_mean_distance([s.hd95_px for s in scores]),
        assd_px=_mean_distance([s.assd_px for s in scores]),
        hd95_mm=_mean_if_any([s.hd95_mm for s in scores]),
        assd_mm=_mean_if_any([s.assd_mm for s in scores]),
        hc_mae_mm=float(np.mean(np.abs(errors))) if errors else None,
        hc_bias_mm=float(np.mean(errors)) if errors else None,
        hc_limits_mm=limits_of_agreement(errors),
        failures=failures,
        failure_ci95=wilson_interval(failures, len(scores)),
        prompt=prompt,
        protocol=protocol,
    )


def _groups(scores: Sequence[FrameScore]) -> Mapping[str, list[FrameScore]]:
    by_cohort: dict[str, list[FrameScore]] = {}
    by_trimester: dict[str, list[FrameScore]] = {}
    for score in scores:
        by_cohort.setdefault(f"cohort {score.cohort}", []).append(score)
        if score.hc_mm is not None:
            by_trimester.setdefault(f"trimester {trimester(score.hc_mm)}", []).append(score)
    kinds = (by_cohort, by_trimester)
    return {name: kind[name] for kind in kinds if len(kind) > 1 for name in sorted(kind)}


def _mean_distance(distances: Sequence[float]) -> float:
    """A frame without any mask has an infinite distance, which would hide all the others."""
    finite = [d for d in distances if np.isfinite(d)]
    return float(np.mean(finite)) if finite else float("inf")


def _mean_if_any(distances: Sequence[float | None]) -> float | None:
    known = [d for d in distances if d is not None]
    return _mean_distance(known) if known else None


def _score(item: Labelled, mask: NDArray[np.uint8], reference: NDArray[np.uint8]) -> FrameScore:
    distances = surface_distances(mask, reference)
    frame = item.frame
    return FrameScore(
        frame_id=frame.id,
        name=frame.name,
        subject=frame.subject,
        cohort=frame.cohort,
        dice=dice(mask, reference),
        iou=iou(mask, reference),
        hd95_px=distances.hd95,
        assd_px=distances.assd,
    )


def _score_paper(
    segmenter: Segmenter, item: Labelled, image: NDArray[np.uint8], prompt: Prompt, seed: int
) -> FrameScore:
    side = (_PAPER_SIDE, _PAPER_SIDE)
    filled = item.ellipse.mask(item.frame.size) * np.uint8(255)
    # Cubic resampling and then truncation keeps only what is fully white: the eroded reference.
    eroded = (cv2.resize(filled, side, interpolation=cv2.INTER_CUBIC) == 255).astype(np.uint8)
    squashed = cv2.resize(image, side, interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    rng = np.random.default_rng(seed)
    repeats = []
    for _ in range(_PAPER_REPEATS if prompt == "box" else 1):
        box = _jittered_box(rng, eroded) if prompt == "box" else None
        repeats.append(_score(item, segmenter.predict(squashed, box=box).mask, eroded))
    means = np.mean([(r.dice, r.iou, r.hd95_px, r.assd_px) for r in repeats], axis=0)
    d, i, hd95, assd = means.tolist()
    return replace(repeats[0], dice=d, iou=i, hd95_px=hd95, assd_px=assd)


def _jittered_box(
    rng: np.random.Generator, mask: NDArray[np.uint8]
) -> tuple[float, float, float, float]:
    ys, xs = np.nonzero(mask)
    jitter = rng.integers(0, _PAPER_JITTER, 4)
    return (
        float(max(xs.min() - jitter[0], 0)),
        float(max(ys.min() - jitter[1], 0)),
        float(min(xs.max() + jitter[2], _PAPER_SIDE)),
        float(min(ys.max() + jitter[3], _PAPER_SIDE)),
    )
