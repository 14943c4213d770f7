"""What can be asked of the engine, and what it answers: one request and one result class a job.

Requests carry paths, plain values and numpy arrays, so that they cross a process boundary and the
window can build them without importing torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.heads import Wish

Prompt = Literal["auto", "box"]
Protocol = Literal["native", "paper", "both"]
Recipe = Literal["recommended", "paper"]
RECIPES: Mapping[Recipe, Mapping[str, Any]] = {
    "recommended": {"epochs": 20, "batch": 8, "learning_rate": 1e-4, "patience": 5, "copies": 2},
    "paper": {"epochs": 20, "batch": 5, "learning_rate": 1e-5, "patience": 20, "copies": 1},
}
"""The other fields of ``TrainRequest`` that go with a recipe."""
Background = Literal["made", "frame"]
"""Whether the tissue around a synthetic head is made too, or stays that of the real frame."""


MAX_SEED = 2**31 - 1
"""Of every request; 0 is the least."""
DRAFT_STEPS = 2
"""Of a picture while the ellipse is dragged: enough to see where the skull will be."""


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """Job ``import``: bring frames into a project."""

    project: Path
    source: Path
    format: Literal["auto", "hc18", "folder"] = "auto"
    cohort: str | None = None
    """Default: the source folder's name."""


@dataclass(frozen=True, slots=True)
class ImportResult:
    cohort: str
    frames: int
    annotated: int
    duplicates: int
    """Pictures that the project already held."""
    problems: tuple[str, ...]
    """One message a file that was left out, naming the file and the cure."""


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
class SampleRequest:
    """Job ``sample``: one synthetic frame for the canvas; nothing is stored."""

    ellipse: Ellipse
    size: tuple[int, int]
    """(width, height) of the picture in px."""
    calibration: Calibration | None = None
    style: str = "auto"
    """``first``, ``second``, ``third`` (trimester), ``any``; ``auto``: by the HC if calibrated;
    ``simulated``: by the scanner simulator, without the network."""
    reference: NDArray[np.uint8] | None = None
    """A real frame (H, W) whose sector the picture takes over."""
    replaces: Ellipse | None = None
    """The head in ``reference``: given, the picture keeps the tissue around the heads."""
    project: Path | None = None
    """Where a synthesizer that is not built in is looked up."""
    cohort: str | None = None
    """Of the project: what the picture's texture is compared with; None is all of them."""
    synthesizer: str | None = None
    steps: int | None = None
    """Default: the model's own."""
    guidance: float | None = None
    seed: int = 0
    previews: bool = True
    measure: bool = True
    """Judge the picture. A draft that another will replace need not be: its quality is empty."""


@dataclass(frozen=True, slots=True)
class SampleResult:
    image: NDArray[np.uint8]
    ellipse: Ellipse
    seconds: float
    provenance: Mapping[str, Any]
    quality: Mapping[str, float]
    to_scale: bool = True
    """Whether the head is as large as it was asked for, so that a scale in mm holds."""


@dataclass(frozen=True, slots=True)
class NamedEllipse:
    """A row of ``--ellipses FILE.csv``: an ellipse on a picture of this size in px."""

    name: str
    ellipse: Ellipse
    size: tuple[int, int]
    source_frame: str | None = None
    """Id of the project's frame whose sector and calibration the picture takes over."""


@dataclass(frozen=True, slots=True)
class SynthesizeRequest:
    """Job ``synthesize``: a batch of pairs, stored in the project and with ``out`` as files too.

    Give one of ``count``, ``ellipses`` and ``resume``.
    """

    project: Path
    count: int | None = None
    """That many ellipses like the project's own."""
    ellipses: tuple[NamedEllipse, ...] | None = None
    """One pair each."""
    resume: int | None = None
    """Id of an unfinished batch: make the rest of it, by its own settings."""
    wish: Wish | None = None
    """With ``count``: how the heads shall differ from the cohort's."""
    cohort: str | None = None
    synthesizer: str | None = None
    steps: int | None = None
    guidance: float | None = None
    style: str = "auto"
    background: Background = "made"
    """``frame`` keeps the tissue around the head of the frame that lends its sector; a frame
    without an annotation lends its sector only."""
    seed: int = 0
    out: Path | None = None


@dataclass(frozen=True, slots=True)
class SynthesizeResult:
    pair_ids: tuple[int, ...]
    """All that the batch has."""
    mean_dice: float
    """Between requested ellipse and the segmenter's, over the batch."""
    seconds_per_pair: float
    out: Path | None
    before: int = 0
    """So many of them were there when it was resumed."""
    again: int = 0
    """So many are pairs that the project had already: an earlier batch asked for the same."""


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
class AdaptRequest:
    """Job ``adapt``: fit the synthesizer to one's own frames.

    Asked again after a crash, it goes on where it was.
    """

    project: Path
    cohort: str | None = None
    """Learn from this cohort only."""
    synthesizer: str | None = None
    """Start from this one; default: the adopted one, else ``compact``."""
    steps: int = 500
    name: str | None = None
    """Of the new model; default ``<cohort>-<number>``."""
    seed: int = 0
    batch: int = 4
    learning_rate: float = 1e-4
    measure_every: int = 50
    """Steps between two measurements on held-out ellipses."""
    patience: int = 4
    """Stop after that many measurements without a better one."""


@dataclass(frozen=True, slots=True)
class AdaptResult:
    run_id: int
    model: str | None
    """None where no measurement was better than the model that it started from."""
    parent: str
    frames: int
    subjects: int
    """Learnt from."""
    samples: int
    held_out_subjects: int
    """Measured on: pictures, and the subjects whose ellipses and sectors they have."""
    fidelity_real: float
    """Mean Dice of the segmenter on the real held-out frames."""
    before: Mapping[str, float]
    """``fidelity``, ``grey``, ``spectrum``, ``similarity``, ``copies`` of ``HeldOutFigures``."""
    after: Mapping[str, float]
    """Of the best measurement; as ``before`` where there is no model."""
    similarity_real: float | None
    """Mean similarity of a real held-out frame to its nearest training frame; None where the parent
    saw all of them."""
    steps_run: int
    best_step: int
    verdict: str
    """One sentence for a person."""


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


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """Job ``report``: an evaluation as one HTML file to share."""

    project: Path
    """Which holds the frames of the evaluation."""
    out: Path
    result: EvaluateResult


@dataclass(frozen=True, slots=True)
class ReportResult:
    out: Path


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Job ``export``: frames and masks in a layout that others read."""

    project: Path
    out: Path
    format: Literal["hc18"] = "hc18"
    cohort: str | None = None
    synthetic: bool = True
    """With the accepted pairs."""
    copies: bool = False
    """Also with those that copy a training frame."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    out: Path
    frames: int
    pairs: int
    copies_left_out: int
    """Accepted pairs that are too much like a training frame of the synthesizer."""


@dataclass(frozen=True, slots=True)
class AdaptStableDiffusionRequest:
    """Job ``adapt-sd``: fit Stable Diffusion to the project's own frames by a LoRA.

    Cancelled or crashed, it goes on where it was when it is asked for again by the same name.
    """

    project: Path
    base: str
    """Name of a Stable Diffusion that was added to the user's models."""
    mode: Literal["paper", "conditioned"] = "paper"
    steps: int | None = None
    """Default: the paper's 6000."""
    name: str | None = None
    """Of the new model; default ``<base>-<mode>``."""
    cohort: str | None = None
    memory: Literal["auto", "large", "medium", "small"] = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further settings by name, see ``synthesis.stable_diffusion.settings.LoraSettings``."""


@dataclass(frozen=True, slots=True)
class AdaptStableDiffusionResult:
    model: str
    frames: int
    subjects: int
    steps: int
    loss_first: float
    """Mean over the first tenth of the steps that this call took."""
    loss_last: float
    """Mean over the last tenth."""
    seconds: float
