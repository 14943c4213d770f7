"""Request and result types for a batch of pairs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fetalstudio.core.heads import HeadConstraints
from fetalstudio.engine.jobs.sample.request import Background
from fetalstudio.engine.process.job import Job
from fetalstudio.formats.ellipse_table import NamedEllipse


@dataclass(frozen=True, slots=True)
class SynthesizeRequest:
    """Job ``synthesize``: a batch of pairs, stored in the project and with ``out`` as files too.

    Give one of ``count``, ``ellipses`` and ``resume``.
    """

    job: ClassVar[Job[SynthesizeRequest, SynthesizeResult]] = Job(
        "synthesize", "Making pairs", "fetalstudio.engine.jobs.synthesize.job:run"
    )
    project: Path
    count: int | None = None
    """That many ellipses like the project's own."""
    ellipses: tuple[NamedEllipse, ...] | None = None
    """One pair each."""
    resume: int | None = None
    """Id of an unfinished batch: make the rest of it, by its own settings."""
    constraints: HeadConstraints | None = None
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
