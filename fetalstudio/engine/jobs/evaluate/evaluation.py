"""A segmenter's figures on annotated frames, as docs/guide/evaluation.md defines them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fetalstudio.core.biometry import measure, trimester
from fetalstudio.core.convention import Convention
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.growth import AGE_LABEL
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.metrics import (
    FAILURE,
    Interval,
    dice,
    iou,
    limits_of_agreement,
    surface_distances,
    wilson_interval,
)
from fetalstudio.core.prompts import Prompt
from fetalstudio.core.statistics import mean_interval
from fetalstudio.engine.jobs.evaluate.request import EvaluateResult, FrameScore, Protocol

if TYPE_CHECKING:
    from fetalstudio.segmentation.outline import SecondLook
    from fetalstudio.segmentation.segmenter import Segmenter

_PAPER_SIDE, _PAPER_JITTER, _PAPER_REPEATS = 256, 20, 5


def score_frame(
    segmenter: Segmenter,
    frame: LabelledFrame,
    *,
    prompt: Prompt = "auto",
    protocol: Protocol = "native",
    seed: int = 0,
    outline: SecondLook | None = None,
) -> FrameScore:
    """One frame's figures. The box prompt is the tight box of the known ellipse.

    ``paper`` follows the paper's code: the frame is squashed to 256 x 256 px, the reference is
    eroded by its resampling, boxes are moved outwards by up to 19 px, there are five repeats (one
    without box), and masks are compared instead of ellipses. With ``outline``, protocol ``native``
    measures the ellipse that was moved onto the skull. Raises :class:`InputError` if the erosion
    leaves nothing of the reference, or if the segmenter needs a prompt.
    """
    if protocol == "paper":
        return _score_paper(segmenter, frame, prompt, seed)
    reference = frame.ellipse.mask(frame.size)
    found = segmenter.predict(frame.image, box=frame.prompt_box(prompt))
    ellipse = found.ellipse
    if outline is not None and ellipse is not None:
        ellipse = outline.snap(frame.image, ellipse).ellipse or ellipse
    mask = replace(found, ellipse=ellipse).head
    score = replace(_score(frame, mask, reference), found=ellipse)
    calibration = frame.calibration
    if calibration is None:
        return score
    found_hc = None if ellipse is None else measure(ellipse, calibration).hc_mm
    spacing = (calibration.mm_per_px_x, calibration.mm_per_px_y)
    distances = surface_distances(mask, reference, spacing)
    return replace(
        score,
        hd95_mm=distances.hd95,
        assd_mm=distances.assd,
        hc_error_mm=None if found_hc is None or score.hc_mm is None else found_hc - score.hc_mm,
    )


def summarise(
    segmenter: str,
    scores: Sequence[FrameScore],
    *,
    prompt: Prompt = "auto",
    protocol: Protocol = "native",
) -> EvaluateResult:
    """Means over the frames; also by cohort, trimester and label if there are several.

    The label of the gestational age makes no groups: nearly every frame has its own.
    """
    whole = _means(segmenter, scores, prompt, protocol)
    groups = {
        name: _means(segmenter, members, prompt, protocol)
        for name, members in _groups(scores).items()
    }
    return replace(whole, groups=groups, frames=tuple(scores))


def conventions_of(
    segmenter: str, scores: Sequence[FrameScore], known: Collection[str]
) -> dict[str, Convention]:
    """By cohort, how its annotators draw, where enough subjects are not among the ``known`` ones.

    Scores without a segmenter's ellipse, as those of protocol ``paper``, are left out.
    """
    pairs: dict[str, list[tuple[Ellipse, Ellipse]]] = {}
    subjects: dict[str, list[str]] = {}
    for s in scores:
        if s.reference is not None and s.found is not None and s.subject not in known:
            pairs.setdefault(s.cohort, []).append((s.reference, s.found))
            subjects.setdefault(s.cohort, []).append(s.subject)
    measured = {c: Convention.measure(segmenter, pairs[c], subjects[c]) for c in sorted(pairs)}
    return {cohort: found for cohort, found in measured.items() if found is not None}


def _means(
    segmenter: str, scores: Sequence[FrameScore], prompt: Prompt, protocol: Protocol
) -> EvaluateResult:
    values = [s.dice for s in scores]
    interval = _mean(scores, lambda s: s.dice, _SHARE)
    means = {name: _mean(scores, figure, bounds) for name, (figure, bounds) in _FIGURES.items()}
    errors = [s.hc_error_mm for s in scores if s.hc_error_mm is not None]
    failures = sum(v < FAILURE for v in values)
    figures: dict[str, Any] = {name: mean and mean.mean for name, mean in means.items()}
    return EvaluateResult(
        segmenter=segmenter,
        n=len(scores),
        subjects=len({s.subject for s in scores}),
        dice={
            "mean": interval and interval.mean,
            "ci95": interval and [interval.low, interval.high],
            "median": float(np.median(values)),
            "min": float(np.min(values)),
        },
        ci95={name: (mean.low, mean.high) for name, mean in means.items() if mean is not None},
        hc_limits_mm=limits_of_agreement(errors),
        failures=failures,
        failure_ci95=wilson_interval(failures, len(scores)),
        prompt=prompt,
        protocol=protocol,
        **figures,
    )


def _hc_error(score: FrameScore) -> float | None:
    return None if score.hc_error_mm is None else abs(score.hc_error_mm)


_SHARE, _DISTANCE, _ANY = (0.0, 1.0), (0.0, np.inf), (-np.inf, np.inf)
_FIGURES: Mapping[str, tuple[Callable[[FrameScore], float | None], tuple[float, float]]] = {
    "iou": (attrgetter("iou"), _SHARE),
    **{n: (attrgetter(n), _DISTANCE) for n in ("hd95_px", "assd_px", "hd95_mm", "assd_mm")},
    "hc_mae_mm": (_hc_error, _DISTANCE),
    "hc_bias_mm": (attrgetter("hc_error_mm"), _ANY),
}
"""Each figure of a frame, and the bounds that it has by its nature."""


def _mean(
    scores: Sequence[FrameScore],
    figure: Callable[[FrameScore], float | None],
    within: tuple[float, float],
) -> Interval | None:
    """The mean over the frames with a value, and its interval over their subjects.

    A frame without a mask has an infinite distance, which would hide all others. It is left out and
    counts as a failure.
    """
    known = [(value, s.subject) for s in scores if (value := figure(s)) is not None]
    finite = [(value, subject) for value, subject in known if np.isfinite(value)]
    if known and not finite:
        return Interval(np.inf, np.inf, np.inf, 0)
    if not finite:
        return None
    values, subjects = zip(*finite, strict=True)
    return mean_interval(values, subjects, within=within)


def _groups(scores: Sequence[FrameScore]) -> Mapping[str, list[FrameScore]]:
    kinds: dict[str, dict[str, list[FrameScore]]] = {"cohort": {}, "trimester": {}}
    for score in scores:
        labels = {name: value for name, value in score.labels.items() if name != AGE_LABEL}
        of = {"cohort": score.cohort, **labels}
        if score.hc_mm is not None:
            of["trimester"] = trimester(score.hc_mm)
        for kind, name in of.items():
            kinds.setdefault(kind, {}).setdefault(name, []).append(score)
    return {
        f"{kind} {name}": groups[name]
        for kind, groups in kinds.items()
        if len(groups) > 1
        for name in sorted(groups)
    }


def _score(
    frame: LabelledFrame, mask: NDArray[np.uint8], reference: NDArray[np.uint8]
) -> FrameScore:
    distances = surface_distances(mask, reference)
    calibration = frame.calibration
    return FrameScore(
        frame_id=frame.id,
        name=frame.name,
        subject=frame.subject,
        cohort=frame.cohort,
        labels=frame.labels,
        reference=frame.ellipse,
        dice=dice(mask, reference),
        iou=iou(mask, reference),
        hd95_px=distances.hd95,
        assd_px=distances.assd,
        hc_mm=None if calibration is None else measure(frame.ellipse, calibration).hc_mm,
    )


def _score_paper(
    segmenter: Segmenter, frame: LabelledFrame, prompt: Prompt, seed: int
) -> FrameScore:
    # Bicubic resampling and truncation keep only fully white pixels: the eroded reference.
    white = frame.ellipse.mask(frame.size) * np.uint8(255)
    eroded = (_squashed(white) == 255).astype(np.uint8)
    if not eroded.any():
        raise InputError(
            f"The ellipse of {frame.name} vanishes at 256 x 256 px, the size of the protocol "
            "'paper'. Correct the ellipse, or evaluate with the protocol 'native'."
        )
    squashed = _squashed(frame.image)
    if prompt == "box":
        rng = np.random.default_rng(seed)
        boxes = [_jittered_box(rng, eroded) for _ in range(_PAPER_REPEATS)]
        predictions = segmenter.predict_boxes(squashed, boxes)
    else:
        predictions = [segmenter.predict(squashed)]
    repeats = [_score(frame, found.mask, eroded) for found in predictions]
    means = np.mean([(r.dice, r.iou, r.hd95_px, r.assd_px) for r in repeats], axis=0)
    d, i, hd95, assd = means.tolist()
    return replace(repeats[0], dice=d, iou=i, hd95_px=hd95, assd_px=assd)


def _squashed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(256, 256) uint8 by Pillow's ``resize``, whose default is what the paper's code uses."""
    side = (_PAPER_SIDE, _PAPER_SIDE)
    return np.asarray(Image.fromarray(image).resize(side, Image.Resampling.BICUBIC))


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
