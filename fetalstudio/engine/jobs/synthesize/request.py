"""Request and result types for a batch of pairs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from fetalstudio.core.heads import HeadConstraints
from fetalstudio.engine.jobs.sample.request import Background
from fetalstudio.engine.process.job import Job
from fetalstudio.formats.tables.ellipse_table import NamedEllipse

Sector = Literal["lent", "made"]
"""Whether the sector around an ellipse of a table is a frame's or the synthesizer's."""


@dataclass(frozen=True, slots=True)
class SynthesizeRequest:
    """Job ``synthesize``: a batch of pairs, stored in the project and with ``out`` as files too.

    Give one of ``count``, ``ellipses`` and ``resume``.
    """

    job: ClassVar[Job[SynthesizeRequest, SynthesizeResult]] = Job(
        "synthesize",
        "Making pairs",
        "fetalstudio.engine.jobs.synthesize.job:run",
        stopped="The pairs made so far are kept, and Continue in Synthesise makes the others.",
    )
    project: Path
    count: int | None = None
    """Number of ellipses that resemble the project's own."""
    ellipses: tuple[NamedEllipse, ...] | None = None
    """Ellipses to make one pair each for."""
    sector: Sector = "lent"
    """With ``ellipses``: ``lent`` takes sector, brightness, grain and calibration of the annotated
    frame of the same size whose head is nearest; ``made`` leaves them to the synthesizer."""
    resume: int | None = None
    """Id of an unfinished batch, to make the missing pairs with its own settings."""
    constraints: HeadConstraints | None = None
    """With ``count``: how the heads shall differ from the cohort's."""
    cohort: str | None = None
    synthesizer: str | None = None
    steps: int | None = None
    guidance: float | None = None
    style: str = "auto"
    background: Background = "made"
    """``frame`` keeps the tissue around the head of the lender. A frame without an annotation
    lends only its sector."""
    convention: bool = True
    """Show the skull where the annotators of each lender's cohort would have drawn the ellipse
    around it, where that is known."""
    seed: int = 0
    out: Path | None = None
    """Folder for the pairs as files. With ``resume`` it has to be the folder of before."""


@dataclass(frozen=True, slots=True)
class SynthesizeResult:
    """The pairs of a batch."""

    pair_ids: tuple[int, ...]
    """Ids of all pairs of the batch."""
    mean_dice: float
    """Mean Dice of the requested ellipses and the segmenter's, over the batch."""
    seconds_per_pair: float
    out: Path | None
    before: int = 0
    """Number of pairs that existed when the batch was resumed."""
    again: int = 0
    """Number of pairs that the project already had from an earlier batch with the same request."""
    followed: str = ""
    """For a person, which conventions the pairs follow; "" for none."""
