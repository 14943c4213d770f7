"""Request and result types for one synthetic frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.convention import NO_OFFSET, Offset
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.process.job import Job

Background = Literal["made", "frame"]
"""Whether the tissue around a synthetic head is made or kept from the real frame."""
MAX_SEED = 2**31 - 1
"""Largest seed of a request; the smallest is 0."""
DRAFT_STEPS = 2
"""Steps of a draft while the ellipse is dragged: enough to see where the skull will be."""


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """Job ``sample``: one synthetic frame for the canvas; nothing is stored."""

    job: ClassVar[Job[SampleRequest, SampleResult]] = Job(
        "sample", "Synthesising a frame", "fetalstudio.engine.jobs.sample.job:run", stopped=""
    )
    ellipse: Ellipse
    size: tuple[int, int]
    """(width, height) of the frame in px."""
    calibration: Calibration | None = None
    style: str = "auto"
    """``first``, ``second``, ``third`` (trimester), ``any``; ``auto``: by the HC if calibrated;
    ``simulated``: by the scanner simulator, without the network."""
    reference: NDArray[np.uint8] | None = None
    """A real frame, (H, W) uint8, that lends its sector, brightness and grain."""
    replaces: Ellipse | None = None
    """The head in ``reference``. If it is given, the tissue around the heads is kept."""
    project: Path | None = None
    """The project whose synthesizers can be named too."""
    cohort: str | None = None
    """The cohort that the texture is compared with; None for all cohorts of the project."""
    convention: Offset = NO_OFFSET
    """How the annotators of ``cohort`` draw, as job ``pair_convention`` finds it: the skull is
    shown where they draw the ellipse around it. Nothing is measured here, as drafts cannot wait."""
    synthesizer: str | None = None
    steps: int | None = None
    """The number of steps; by default that of the model."""
    guidance: float | None = None
    seed: int = 0
    previews: bool = True
    measure: bool = True
    """Whether to measure the frame. Drafts that will be replaced are not measured."""


@dataclass(frozen=True, slots=True)
class SampleResult:
    """An image and how it was made."""

    image: NDArray[np.uint8]
    """(H, W)."""
    ellipse: Ellipse
    """The label, in px."""
    seconds: float
    """How long it took."""
    provenance: Mapping[str, Any]
    """The plain values with which the image can be made again."""
    quality: Mapping[str, float]
    """The image's figures, by name; a judge's are among them only if they were asked for."""
    to_scale: bool = True
    """Whether the head has the requested size, so that a scale in mm is valid."""
