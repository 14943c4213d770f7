"""Request and result types for one synthetic frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.process.job import Job

Background = Literal["made", "frame"]
"""Whether the tissue around a synthetic head is made too, or stays that of the real frame."""
MAX_SEED = 2**31 - 1
"""Of every request; 0 is the least."""
DRAFT_STEPS = 2
"""Of a picture while the ellipse is dragged: enough to see where the skull will be."""


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """Job ``sample``: one synthetic frame for the canvas; nothing is stored."""

    job: ClassVar[Job[SampleRequest, SampleResult]] = Job(
        "sample", "Synthesising a frame", "fetalstudio.engine.jobs.sample.job:run"
    )
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
