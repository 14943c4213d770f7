"""A segmenter's figures on frames whose ellipse is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.biometry import measure
from fetalstudio.core.metrics import bootstrap_ci, dice, iou, surface_distances
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
    error = None
    calibration = item.frame.calibration
    if calibration is not None and found.ellipse is not None:
        error = measure(found.ellipse, calibration).hc_mm - measure(item.ellipse, calibration).hc_mm
    return FrameScore(
        item.frame.id,
        item.frame.name,
        item.frame.subject,
        dice(mask, reference),
        iou(mask, reference),
        surface_distances(mask, reference).hd95,
        error,
    )


def summarise(segmenter: str, scores: Sequence[FrameScore]) -> EvaluateResult:
    """Means over the frames; the interval by bootstrap over subjects (2000 draws, seed 0)."""
    values = [s.dice for s in scores]
    interval = bootstrap_ci(values, [s.subject for s in scores])
    # A frame without any mask has an infinite distance, which would hide all the others.
    distances = [s.hd95_px for s in scores if np.isfinite(s.hd95_px)]
    errors = [s.hc_error_mm for s in scores if s.hc_error_mm is not None]
    figures: dict[str, Any] = {
        "mean": interval.mean,
        "ci95": [interval.low, interval.high],
        "median": float(np.median(values)),
        "min": float(np.min(values)),
    }
    return EvaluateResult(
        segmenter=segmenter,
        n=len(scores),
        dice=figures,
        iou=float(np.mean([s.iou for s in scores])),
        hd95_px=float(np.mean(distances)) if distances else float("inf"),
        hc_mae_mm=float(np.mean(np.abs(errors))) if errors else None,
        hc_bias_mm=float(np.mean(errors)) if errors else None,
        failures=sum(v < FAILURE for v in values),
        frames=tuple(scores),
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
    figures = []
    for _ in range(_PAPER_REPEATS if prompt == "box" else 1):
        box = _jittered_box(rng, eroded) if prompt == "box" else None
        mask = segmenter.predict(squashed, box=box).mask
        hd95 = surface_distances(mask, eroded).hd95
        figures.append((dice(mask, eroded), iou(mask, eroded), hd95))
    mean = np.mean(figures, axis=0)
    frame = item.frame
    return FrameScore(
        frame.id, frame.name, frame.subject, float(mean[0]), float(mean[1]), float(mean[2]), None
    )


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
