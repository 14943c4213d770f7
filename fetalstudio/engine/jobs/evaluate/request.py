"""Request and result types for an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from fetalstudio.core.convention import Convention
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.prompts import Prompt
from fetalstudio.engine.process.job import Job

Protocol = Literal["native", "paper", "both"]


@dataclass(frozen=True, slots=True)
class EvaluateRequest:
    """Job ``evaluate``: a segmenter against the project's annotations."""

    job: ClassVar[Job[EvaluateRequest, EvaluateResult]] = Job(
        "evaluate", "Evaluating the segmenter", "fetalstudio.engine.jobs.evaluate.job:run"
    )
    project: Path
    segmenter: str | None = None
    cohort: str | None = None
    prompt: Prompt | None = None
    """By default the one that the segmenter is used with. A box is that of the person's ellipse."""
    protocol: Protocol = "native"
    """With ``both``, the result is that of ``native`` and contains that of ``paper``."""
    frame_ids: tuple[str, ...] | None = None
    held_out: bool = False
    """Leave out the subjects that the segmenter saw: in its training, in the choice of its best
    epoch, or in its calibration."""
    snap: bool = False
    """Measure the ellipses after the second look that moves them onto the skull. Frames that this
    second look was trained on count as seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameScore:
    """A segmenter's ellipse on one frame, compared with the person's.

    Distances are infinite if the segmenter found none. Values in mm need a calibrated frame.
    """

    frame_id: str
    name: str
    subject: str
    cohort: str
    labels: Mapping[str, str] = field(default_factory=dict)
    dice: float
    iou: float
    hd95_px: float
    assd_px: float
    hd95_mm: float | None = None
    assd_mm: float | None = None
    hc_mm: float | None = None
    """HC of the person's ellipse in mm."""
    hc_error_mm: float | None = None
    """HC of the segmenter's ellipse minus that of the person's."""
    reference: Ellipse | None = None
    """The person's ellipse."""
    found: Ellipse | None = None
    """The segmenter's ellipse; None if it found none, and in protocol ``paper`` (masks only)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateResult:
    """The means over all frames."""

    segmenter: str
    n: int
    subjects: int
    dice: Mapping[str, Any]
    """``mean``, ``ci95`` (pair, by subject; NaN for a single subject), ``median``, ``min``."""
    iou: float
    hd95_px: float
    """Mean over the frames with a found head, like all distances; infinite if there are none."""
    assd_px: float
    ci95: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Intervals of the other means by name (``iou``, ``hd95_px``, ``hc_mae_mm``, ...)."""
    hd95_mm: float | None = None
    assd_mm: float | None = None
    hc_mae_mm: float | None = None
    hc_bias_mm: float | None = None
    hc_limits_mm: tuple[float, float] | None = None
    """95 % limits of agreement (Bland and Altman 1986); None for fewer than two frames."""
    failures: int
    """Frames with a Dice below 0.9, those without any mask included."""
    failure_ci95: tuple[float, float]
    """Interval of their share (Wilson 1927)."""
    prompt: Prompt = "auto"
    protocol: Protocol = "native"
    model_sha256: str = ""
    trained_on: int = 0
    """Number of frames of subjects that the segmenter saw before: in its training, in the choice
    of its best epoch, or in its calibration."""
    held_out: bool = False
    """Whether all subjects that the segmenter saw before were left out."""
    not_known: tuple[str, ...] = ()
    """Sentences on why the segmenter may have seen subjects that are not counted here."""
    taken_over: int = 0
    """Number of frames whose ellipse is a proposal of a segmenter, confirmed without a change."""
    snapped: bool = False
    """Whether the ellipses were moved onto the skull."""
    groups: Mapping[str, EvaluateResult] = field(default_factory=dict)
    """Results by ``cohort NAME``, ``trimester first`` and each label (``country EGY``) if there are
    several, without ``frames``."""
    conventions: Mapping[str, Convention] = field(default_factory=dict)
    """By cohort, how its annotators draw compared with the segmenter, on subjects that it did not
    see. Empty for prompt ``box``, which draws the answer to the person's ellipse, for protocol
    ``paper``, and in ``groups``."""
    paper: EvaluateResult | None = None
    """The result of protocol ``paper``, with protocol ``both``."""
    frames: tuple[FrameScore, ...] = field(default=())
