"""The synthetic picture on the canvas: what was asked for, what came, and what to say of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.cohort_split import SYNTHETIC_COHORT
from fetalstudio.engine.jobs.sample.request import SampleRequest, SampleResult
from fetalstudio.project.project import Project
from fetalstudio.project.records import Frame, Pair


@dataclass(frozen=True, slots=True)
class MadePicture:
    """A picture of the synthesizer's; a draft is not measured and not kept."""

    request: SampleRequest
    result: SampleResult
    draft: bool
    kept: bool = False
    """It is stored as a pair."""

    def answers(self, request: SampleRequest) -> bool:
        """Whether it is what is asked for now."""
        # The reference follows from the frame, and arrays do not compare.
        return replace(self.request, reference=None) == replace(request, reference=None)

    def words(self) -> str:
        """Who made it and how fast, for its caption."""
        maker = self.result.provenance.get("synthesizer", "")
        guessed = self.result.provenance.get("scale") == "guessed"
        scale = " Not calibrated: its scale is guessed." if guessed else ""
        return f"Synthetic, made by {maker} in {self.result.seconds:.1f} s.{scale}"

    def lag(self, ellipse: Ellipse | None) -> str:
        """What to say of it where it is not what is asked for, with this ellipse, any more."""
        moved = self.request.ellipse != ellipse
        of = "of an earlier ellipse" if moved else "made with other settings"
        return f"The picture is {of}. G makes it anew."

    def keep(self, project: Project, frame: Frame) -> Pair:
        """Store it as a pair to be reviewed, made from ``frame``. Raises :class:`UserError`."""
        own = frame.calibration if self.result.to_scale else None
        return project.pairs.add(
            self.result.image,
            name=f"{frame.name}_seed{self.request.seed}",
            ellipse=self.request.ellipse,
            label=self.result.ellipse,
            cohort=SYNTHETIC_COHORT,
            calibration=None if own is None else replace(own, source="inherited"),
            quality=self.result.quality,
            provenance={**self.result.provenance, "source_frame": frame.id},
        )
