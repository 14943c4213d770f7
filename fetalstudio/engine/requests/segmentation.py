"""Of the segmenter: propose, train, evaluate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fetalstudio.core.ellipse import Ellipse

Prompt = Literal["auto", "box"]
Protocol = Literal["native", "paper", "both"]
Recipe = Literal["recommended", "paper"]
RECIPES: Mapping[Recipe, Mapping[str, Any]] = {
    "recommended": {"epochs": 20, "batch": 8, "learning_rate": 1e-4, "patience": 5, "copies": 2},
    "paper": {"epochs": 20, "batch": 5, "learning_rate": 1e-5, "patience": 20, "copies": 1},
}


@dataclass(frozen=True, slots=True)
class ProposeRequest:
    """Job ``propose``: the segmenter proposes ellipses for frames without an annotation."""

    project: Path
    segmenter: str | None = None
    """Default: the adopted one, else ``compact``."""
    cohort: str | None = None
    frame_ids: tuple[str, ...] | None = None
    """These frames only (annotated ones too: a new proposal never replaces a person's ellipse)."""
    again: bool = False
    """Also where a proposal of this segmenter waits already, or was rejected."""
    prompt: Prompt = "auto"
    """``box``: show the segmenter the box of the ellipse that a frame has, as another segmenter's
    proposal; frames without one are left out."""


@dataclass(frozen=True, slots=True)
class Proposal:
    frame_id: str
    ellipse: Ellipse
    confidence: float


@dataclass(frozen=True, slots=True)
class ProposeResult:
    proposals: tuple[Proposal, ...]
    without: tuple[str, ...]
    """Names of the frames where no head was found."""


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """Job ``train``: fine-tune the segmenter on real plus accepted synthetic pairs."""

    project: Path
    segmenter: str | None = None
    """Start from this one; default as for ``propose``."""
    cohort: str | None = None
    real: int | None = None
    """Use at most that many real frames; default all with a final or draft annotation."""
    synthetic: int | None = None
    """Use at most that many accepted pairs; default all. 0 for none."""
    epochs: int = 20
    batch: int = 8
    learning_rate: float = 1e-4
    patience: int = 5
    """Stop after that many epochs without a better validation Dice."""
    copies: int = 2
    """Of each frame: as it is, and varied ones."""
    recipe: Recipe = "recommended"
    """Optimizer and prompts; see ``segmentation.fine_tuning.FineTuneSettings``."""
    lora: int = 0
    """Rank of low-rank changes of the encoder, 0 for none: better where a GPU allows it."""
    seed: int = 0
    name: str | None = None
    """Of the new model; default ``<cohort>-<run>``."""
    resume: int | None = None
    """Id of a run that did not finish: go on with it, by its own settings."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    run_id: int
    model: str | None
    """None where no epoch was better than the model that it started from."""
    dice_before: float
    dice_after: float
    difference: float
    difference_ci95: tuple[float, float]
    test_frames: int
    test_subjects: int
    real: int
    synthetic: int
    epochs_run: int
    best_epoch: int
    verdict: str
    """One sentence for a person."""
    copies_left_out: int = 0
    """Accepted pairs that are too much like a training frame of the synthesizer."""
    device: str = ""
    """Where it was trained, and in which numbers."""


@dataclass(frozen=True, slots=True)
class EvaluateRequest:
    """Job ``evaluate``: a segmenter against the project's annotations."""

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
