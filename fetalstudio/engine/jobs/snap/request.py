"""Request and result types for snapping an ellipse to the skull."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fetalstudio.core.biometry import Spread
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.process.job import Job


@dataclass(frozen=True, slots=True)
class SnapRequest:
    """Job ``snap``: move a rough ellipse onto the outline of the skull near it."""

    job: ClassVar[Job[SnapRequest, SnapResult]] = Job(
        "snap", "Snapping to the skull", "fetalstudio.engine.jobs.snap.job:run"
    )
    project: Path
    frame_id: str
    ellipse: Ellipse
    """In px of the frame, off by up to about a tenth of the head."""


@dataclass(frozen=True, slots=True)
class SnapResult:
    """The outline of the skull near an ellipse of a frame, in px."""

    frame_id: str
    ellipse: Ellipse | None
    """None if there is no outline of a skull near the ellipse. Nothing is stored."""
    spread: Spread
    elsewhere: bool = False
    """Whether the built-in segmenter finds the head elsewhere. The outline may then be another
    one, such as that of the gestational sac, of which ``spread`` says nothing."""
