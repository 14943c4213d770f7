"""Makes synthetic images of an ellipse: drafts while it moves, the full image when it rests."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, QTimer, Signal

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.jobs.sample.request import DRAFT_STEPS, SampleRequest, SampleResult
from fetalstudio.engine.process.events import Preview
from fetalstudio.project.project import Project
from fetalstudio.project.store.pixels import picture_id
from fetalstudio.project.store.records import SYNTHETIC_COHORT, Frame, Pair
from fetalstudio.ui.job_runner import JobHandle
from fetalstudio.ui.session import Session

REST_MS = 400
"""An ellipse that has not moved for this long is at rest."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A synthetic image on the canvas, with its request; a draft is neither measured nor kept."""

    request: SampleRequest
    result: SampleResult
    draft: bool
    kept: bool = False
    """Whether it is stored as a pair."""

    def answers(self, request: SampleRequest) -> bool:
        """Whether ``request`` would make this image."""
        # Arrays cannot be compared here, and the reference follows from the frame.
        return replace(self.request, reference=None) == replace(request, reference=None)

    def captions(self) -> tuple[str, ...]:
        """The synthesizer, the time it took and what else is to be known; then shorter ones."""
        maker = self.result.provenance.get("synthesizer", "")
        guessed = self.result.provenance.get("scale") == "guessed"
        scale = " Not calibrated: the scale is a guess." if guessed else ""
        follows = "convention" in self.result.provenance
        words = self.request.convention.words.capitalize()
        drawn = f" {words}, as in {self.request.cohort}." if follows else ""
        made = f"Synthetic, made by {maker} in {self.result.seconds:.1f} s."
        return f"{made}{drawn}{scale}", f"{made}{scale}", made

    def unknown_captions(self, *, measuring: bool) -> tuple[str, str]:
        """Why it cannot be kept while it is not known how its cohort is drawn; and in short."""
        cohort = self.request.cohort
        if measuring:
            short = f"Measuring how {cohort} is drawn."
            return f"{short} The image can be kept after that.", short
        return (
            f"How {cohort} is drawn is not known. Press G to measure it, then keep the image.",
            f"Press G to measure how {cohort} is drawn.",
        )

    def outdated_captions(self, ellipse: Ellipse | None) -> tuple[str, str]:
        """What differs from the current request, whose ellipse is ``ellipse``; and in short."""
        moved = self.request.ellipse != ellipse
        how = "an earlier ellipse" if moved else "other settings"
        return (
            f"This image was made with {how}. Press G to make a new one.",
            "Out of date. Press G to make a new one.",
        )

    def name_in(self, frame: Frame) -> str:
        """The name of its pair, made from ``frame``."""
        return f"{frame.name}_seed{self.request.seed}"

    def kept_in(self, project: Project) -> bool:
        """Whether the project has this picture already, such as after the same seed again."""
        return project.frames.find(picture_id(self.result.image)) is not None

    def keep(self, project: Project, frame: Frame) -> Pair:
        """Store it as a pair for review, made from ``frame``. Raises :class:`UserError`."""
        own = frame.calibration if self.result.to_scale else None
        return project.pairs.add(
            self.result.image,
            name=self.name_in(frame),
            ellipse=self.request.ellipse,
            label=self.result.ellipse,
            cohort=SYNTHETIC_COHORT,
            calibration=None if own is None else replace(own, source="inherited"),
            quality=self.result.quality,
            provenance={**self.result.provenance, "source_frame": frame.id},
        )


class Sampler(QObject):
    """Runs at most one job ``sample`` at a time; only the newest request waits behind it.

    A running draft may finish, so that a long drag shows images all along. Any other job is
    replaced by the newest request, and its result is discarded.
    """

    began = Signal(object)
    """A job was submitted; carries its handle."""
    sampled = Signal(object)
    """An image is ready; carries the :class:`Sample`."""
    preview = Signal(object)
    """A step of the image in progress; carries the `Preview`."""
    stopped = Signal()
    """The job was cancelled or failed."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._handle: JobHandle[SampleResult] | None = None
        self._draft = False
        self._waiting: SampleRequest | None = None
        self._at_rest: SampleRequest | None = None
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self._rested)

    @property
    def busy(self) -> bool:
        """Whether an image is being made, or will be once the ellipse rests."""
        return self._handle is not None or self._at_rest is not None

    def full(self, request: SampleRequest) -> None:
        """Make this image at full quality; replaces the current job."""
        self._forget()
        self._submit(request, draft=False)

    def follow(self, request: SampleRequest, *, resting: bool) -> None:
        """Make a draft of ``request``; if ``resting``, the full image follows."""
        self._rest.stop()
        self._at_rest = request if resting else None
        if self._handle is not None and self._draft:
            self._waiting = request
        else:
            self._submit(request, draft=True)
        if resting:
            self._rest.start()

    def abandon(self) -> None:
        """Stop, and discard the current job even if it has just finished."""
        self._forget()
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.cancel()

    def _forget(self) -> None:
        self._rest.stop()
        self._at_rest = self._waiting = None

    def _submit(self, request: SampleRequest, *, draft: bool, previews: bool = True) -> None:
        self._waiting = None
        self._draft = draft
        # After a draft, previews of the first steps of the full image would look worse.
        asked = _draft(request) if draft else replace(request, previews=previews)
        handle = self._session.submit(asked, replace=True)
        self._handle = handle
        handle.preview.connect(lambda event: self._previewed(handle, event))
        handle.on_finished(lambda result: self._finished(handle, request, result))
        handle.ended.connect(lambda: self._ended(handle))
        self.began.emit(handle)

    def _previewed(self, handle: JobHandle[SampleResult], event: Preview) -> None:
        if handle is self._handle:
            self.preview.emit(event)

    def _finished(
        self, handle: JobHandle[SampleResult], request: SampleRequest, result: SampleResult
    ) -> None:
        if handle is not self._handle:
            return
        self._handle = None
        self.sampled.emit(Sample(request, result, self._draft))
        if self._waiting is not None:
            self._submit(self._waiting, draft=True)
        elif not self._rest.isActive():
            self._rested()

    def _ended(self, handle: JobHandle[SampleResult]) -> None:
        if handle is self._handle:
            self._handle = None
            self._forget()
            self.stopped.emit()

    def _rested(self) -> None:
        # A running draft finishes first: _finished calls this again.
        if self._at_rest is not None and self._handle is None:
            request, self._at_rest = self._at_rest, None
            self._submit(request, draft=False, previews=False)


def _draft(request: SampleRequest) -> SampleRequest:
    steps = min(DRAFT_STEPS, request.steps or DRAFT_STEPS)
    return replace(request, steps=steps, previews=False, measure=False)
