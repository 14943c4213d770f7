"""Of the synthesizer: one picture, a batch, adapting to one's own frames."""

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

Background = Literal["made", "frame"]
"""Whether the tissue around a synthetic head is made too, or stays that of the real frame."""


MAX_SEED = 2**31 - 1
"""Of every request; 0 is the least."""
DRAFT_STEPS = 2
"""Of a picture while the ellipse is dragged: enough to see where the skull will be."""


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
