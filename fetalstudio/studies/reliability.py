r"""Measures how reliable a segmenter's confidence is: the IoU it expects against the actual IoU.

    python -m fetalstudio.studies.reliability PROJECT MODEL --part test

Good frames alone say little about low confidence. Each frame is therefore also shown in
``--copies`` varied copies, some of which are hard.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.augment import NONE, Augmentation, augment
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.metrics import dice, iou
from fetalstudio.engine.cohort_split import bundled_parts, labelled_frames, of_part
from fetalstudio.formats.files import write_bytes
from fetalstudio.project.project import Project
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.studies.plots import blank_figure, pixels_of

COPIES = 6
HARD = Augmentation(
    rotation_deg=40,
    log_scale=0.5,
    log_aspect=0.2,
    shift=0.35,
    flip=True,
    gamma=0.8,
    gain=0.5,
    blur_px=3.0,
    speckle=0.6,
    tilt=1.2,
    shadow=1.0,
)
"""Much more variation than in training. Some of these heads can hardly be found."""
_BINS = np.linspace(0, 1, 11)
_GOOD_DICE = 0.95
_LEAST = 5


@dataclass(frozen=True, slots=True)
class Estimates:
    """The expected and the actual quality of the segmenter's ellipses, (n,) each."""

    expected: NDArray[np.float64]
    """The expected IoU, 0 to 1."""
    actual: NDArray[np.float64]
    """The actual IoU of the ellipse, 0 to 1; 0 if none was found."""
    dice: NDArray[np.float64]


def estimates(
    segmenter: Segmenter, frames: Sequence[LabelledFrame], *, copies: int = COPIES
) -> Estimates:
    """The estimates without a prompt on each frame and on ``copies`` varied copies of it."""
    rng = np.random.default_rng(0)
    rows = []
    for frame in frames:
        image, size = frame.image, frame.size
        for i in range(copies + 1):
            shown, head = augment(rng, NONE if i == 0 else HARD, image, frame.ellipse, size)
            found = segmenter.predict(shown)
            true = head.mask(size)
            rows.append((found.confidence, iou(found.head, true), dice(found.head, true)))
    return Estimates(*np.array(rows, float).T)


def reliability(held: Estimates) -> Mapping[str, Any]:
    """The expected calibration error (Naeini et al. 2015), its ten even bins, and the AUROC.

    The AUROC is the share of all pairs of a bad and a good ellipse in which the bad one has the
    lower confidence. An ellipse with a Dice below 0.95 is bad.
    """
    bins = []
    error = 0.0
    which = np.clip(np.digitize(held.expected, _BINS) - 1, 0, len(_BINS) - 2)
    for k in np.unique(which):
        inside = which == k
        expected, actual = held.expected[inside].mean(), held.actual[inside].mean()
        error += inside.mean() * abs(expected - actual)
        bins.append({"n": int(inside.sum()), "expected": float(expected), "actual": float(actual)})
    return {
        "n": len(held.expected),
        "calibration_error": float(error),
        "bins": bins,
        "auroc": _auroc(held.expected, held.dice < _GOOD_DICE),
        "bad": int((held.dice < _GOOD_DICE).sum()),
    }


def plot(figures: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The actual over the expected IoU as an RGB image, (420, 520, 3) uint8.

    It shows the bins of :func:`reliability` with five or more ellipses, and the line of a perfectly
    calibrated segmenter.
    """
    bins = [b for b in figures["bins"] if b["n"] >= _LEAST]
    expected = [b["expected"] for b in bins]
    sheet = blank_figure((520, 420))
    axes = sheet.subplots()
    axes.plot(expected, [b["actual"] for b in bins], marker="o", label="measured")
    axes.plot(expected, expected, linestyle="dashed", color="grey", label="ideal")
    axes.set(xlabel="expected IoU", ylabel="actual IoU", title=f"n = {figures['n']}")
    axes.grid(color="#e4e6ea")
    axes.legend(frameon=False)
    return pixels_of(sheet)


def _auroc(confidence: NDArray[np.float64], bad: NDArray[np.bool_]) -> float | None:
    if bad.all() or not bad.any():
        return None
    less = confidence[bad][:, None] < confidence[~bad][None]
    same = confidence[bad][:, None] == confidence[~bad][None]
    return float((less + 0.5 * same).mean())


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("project", type=Path, metavar="PROJECT")
    parser.add_argument("model", type=Path, metavar="MODEL", help="its folder")
    parser.add_argument("--part", choices=["validation", "test"], default="test")
    parser.add_argument(
        "--copies", type=int, default=COPIES, help="varied copies of each frame; 0 for none"
    )
    parser.add_argument(
        "--picture", type=Path, metavar="FILE.png", help="write the reliability plot to this file"
    )
    options = parser.parse_args(arguments)
    segmenter = Segmenter.load(options.model)
    with Project.open(options.project) as project:
        labelled = labelled_frames(project)
        frames = of_part(labelled, bundled_parts(labelled), options.part)
        figures = reliability(estimates(segmenter, frames, copies=options.copies))
    if options.picture is not None:
        picture = cv2.imencode(".png", plot(figures)[..., ::-1])[1]
        write_bytes(options.picture, picture.tobytes())
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
