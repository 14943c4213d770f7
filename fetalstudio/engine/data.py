"""Which frames a training, a batch or an evaluation uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fetalstudio.core.biometry import measure, trimester
from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import BadInput
from fetalstudio.core.geometry import Affine
from fetalstudio.core.splits import Part, split_subjects
from fetalstudio.engine.requests import NamedEllipse
from fetalstudio.project.records import Frame, Pair
from fetalstudio.project.store import Project

VALIDATION, TEST = 0.15, 0.25
"""Shares of the annotated subjects that are held out."""
SYNTHETIC_COHORT = "synthetic"
"""Where all synthetic frames of a project are."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A real frame with the ellipse that a person stands for (state draft or final)."""

    frame: Frame
    ellipse: Ellipse


def labelled_frames(project: Project, cohort: str | None = None) -> list[Labelled]:
    """The frames to learn from or to measure on. Raises :class:`BadInput` where there are none."""
    annotations = project.annotations(cohort)
    result = [
        Labelled(frame, annotation.ellipse)
        for frame in project.frames(cohort=cohort)
        if (annotation := annotations.get(frame.id)) is not None
        and annotation.ellipse is not None
        and annotation.state != "proposed"
    ]
    if not result:
        where = f"cohort {cohort!r} of {project.path}" if cohort else str(project.path)
        raise BadInput(f"{where} has no annotated frame. Draw or confirm an ellipse first.")
    return result


def split(labelled: list[Labelled]) -> Mapping[str, Part]:
    """Part of each subject; the same for the same subjects, whatever else is asked."""
    return split_subjects(
        (item.frame.subject for item in labelled), validation=VALIDATION, test=TEST
    )


def of_part(labelled: list[Labelled], parts: Mapping[str, Part], part: Part) -> list[Labelled]:
    """The frames whose subject is in ``part``."""
    return [item for item in labelled if parts[item.frame.subject] == part]


def usable_pairs(project: Project, parts: Mapping[str, Part]) -> list[Pair]:
    """Accepted pairs; no copy, and none that took its sector from a held-out subject's frame."""
    subjects = {frame.id: frame.subject for frame in project.frames()}

    def held_out(pair: Pair) -> bool:
        subject = subjects.get(str(pair.provenance.get("source_frame")))
        return subject is not None and parts.get(subject, "train") != "train"

    accepted = reversed(project.pairs(state="accepted"))
    return [pair for pair in accepted if not pair.copy and not held_out(pair)]


def ellipses_like(
    project: Project, count: int, *, cohort: str | None = None, seed: int = 0
) -> list[NamedEllipse]:
    """``count`` ellipses like the annotated ones of the training part, each on its frame's sector.

    A drawn frame lends its size and sector; its ellipse is turned by up to 12 degrees, resized by
    up to 12 %, reshaped by up to 4 % and shifted by up to 5 % of its length, and stays as much
    inside the frame as it was.
    """
    labelled = labelled_frames(project, cohort)
    sources = of_part(labelled, split(labelled), "train")
    rng = np.random.default_rng(seed)
    order = np.concatenate(
        [rng.permutation(len(sources)) for _ in range(-(-count // len(sources)))]
    )
    return [
        NamedEllipse(
            f"synthetic_{seed}_{i:04d}",
            _varied(rng, sources[k]),
            sources[k].frame.size,
            sources[k].frame.id,
        )
        for i, k in enumerate(order[:count])
    ]


def style_of(ellipse: Ellipse, calibration: Calibration | None, style: str) -> str:
    """The style to ask for: ``auto`` is the trimester by HC, or ``any`` without a calibration."""
    if style != "auto":
        return style
    return "any" if calibration is None else trimester(measure(ellipse, calibration).hc_mm)


def _varied(rng: np.random.Generator, source: Labelled) -> Ellipse:
    e, (w, h) = source.ellipse, source.frame.size
    allowed = _outside(e, (w, h)) + 0.01
    for _ in range(20):
        size, shape = np.exp(rng.uniform(-0.12, 0.12)), np.exp(rng.uniform(-0.02, 0.02))
        dx, dy = rng.uniform(-0.05, 0.05, 2) * 2 * e.a
        turned = e.transformed(Affine.rotation(float(rng.uniform(-12, 12)), (e.cx, e.cy)))
        varied = Ellipse.of(
            e.cx + dx, e.cy + dy, e.a * size * shape, e.b * size / shape, turned.angle_deg
        )
        if _outside(varied, (w, h)) <= allowed:
            return varied
    return e


def _outside(ellipse: Ellipse, size: tuple[int, int]) -> float:
    """Share of the outline that lies off the frame."""
    x, y = ellipse.contour(180).T
    return float(((x < 0) | (y < 0) | (x > size[0] - 1) | (y > size[1] - 1)).mean())
