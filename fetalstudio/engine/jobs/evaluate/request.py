"""Request and result types for an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.jobs.propose.request import Prompt
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
    prompt: Prompt = "auto"
    protocol: Protocol = "native"
    """With ``both``, the result is that of ``native`` and holds the other as ``paper``."""
    frame_ids: tuple[str, ...] | None = None
    held_out: bool = False
    """Leave out the subjects that the segmenter's training saw, to learn or to choose the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameScore:
    """A segmenter's ellipse on one frame against the person's. Distances are infinite where it
    found none; mm are known where the frame is calibrated."""

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
    """Of the person's ellipse."""
    hc_error_mm: float | None = None
    """The segmenter's less the person's."""
    reference: Ellipse | None = None
    """The person's."""
    found: Ellipse | None = None
    """The segmenter's; None where it found none, and in protocol ``paper`` (masks only)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateResult:
    """Means over frames."""

    segmenter: str
    n: int
    subjects: int
    dice: Mapping[str, Any]
    """``mean``, ``ci95`` (pair, by subject), ``median``, ``min``."""
    iou: float
    hd95_px: float
    """Like all distances over the frames where something was found; infinite where none is."""
    assd_px: float
    ci95: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Of the other means by name (``iou``, ``hd95_px``, ``hc_mae_mm``, ...), by subject."""
    hd95_mm: float | None = None
    assd_mm: float | None = None
    hc_mae_mm: float | None = None
    hc_bias_mm: float | None = None
    hc_limits_mm: tuple[float, float] | None = None
    """95 % limits of agreement (Bland and Altman 1986); None for fewer than two frames."""
    failures: int
    """Frames with a Dice below 0.9, those without any mask included."""
    failure_ci95: tuple[float, float]
    """Of their share, by Wilson (1927)."""
    prompt: Prompt = "auto"
    protocol: Protocol = "native"
    model_sha256: str = ""
    trained_on: int = 0
    """So many of the frames were used to train the segmenter."""
    held_out: bool = False
    """Whether all of its training's subjects were left out."""
    groups: Mapping[str, EvaluateResult] = field(default_factory=dict)
    """By ``cohort NAME``, ``trimester first`` and each label (``country EGY``), where there are
    several; without frames."""
    paper: EvaluateResult | None = None
    """With protocol ``both``."""
    frames: tuple[FrameScore, ...] = field(default=())
