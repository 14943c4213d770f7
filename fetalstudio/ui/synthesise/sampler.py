"""One picture after another for a moving ellipse: drafts while it moves, the full one at rest."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject, QTimer, Signal

from fetalstudio.engine.jobs.sample.request import DRAFT_STEPS, SampleRequest, SampleResult
from fetalstudio.ui.job_runner import JobHandle
from fetalstudio.ui.session import Session

REST_MS = 400


class Sampler(QObject):
    """Keeps at most one job ``sample`` under way, and only the newest wish waiting behind it.

    A draft in flight is let finish, so that a long drag shows pictures all along; anything else is
    replaced by what was asked last. Results of replaced jobs are never seen.
    """

    began = Signal(object)
    """A job was submitted: its handle."""
    sampled = Signal(object, object, bool)
    """A picture is there: the request, its ``SampleResult``, and whether it is only a draft."""
    preview = Signal(object)
    """A step of the picture to come (event ``Preview``)."""
    stopped = Signal()
    """The job ended without a picture: cancelled or failed."""

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
        """Whether a picture is being made, or will be when the hand rests."""
        return self._handle is not None or self._at_rest is not None

    def full(self, request: SampleRequest) -> None:
        """Make this picture at full quality, in place of whatever is under way."""
        self._forget()
        self._submit(request, draft=False)

    def follow(self, request: SampleRequest, *, resting: bool) -> None:
        """A quick draft of ``request`` as soon as may be; at rest, the full picture after it."""
        self._rest.stop()
        self._at_rest = request if resting else None
        if self._handle is not None and self._draft:
            self._waiting = request
        else:
            self._submit(request, draft=True)
        if resting:
            self._rest.start()

    def abandon(self) -> None:
        """Stop; nothing of what is under way will be seen, even if it is just done."""
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
        # After a draft, the first steps of the full picture would be a step back.
        asked = _draft(request) if draft else replace(request, previews=previews)
        handle = self._session.submit(asked, replace=True)
        self._handle = handle
        handle.preview.connect(lambda event: self._previewed(handle, event))
        handle.on_finished(lambda result: self._finished(handle, request, result))
        handle.ended.connect(lambda: self._ended(handle))
        self.began.emit(handle)

    def _previewed(self, handle: JobHandle[SampleResult], event: object) -> None:
        if handle is self._handle:
            self.preview.emit(event)

    def _finished(
        self, handle: JobHandle[SampleResult], request: SampleRequest, result: SampleResult
    ) -> None:
        if handle is not self._handle:
            return
        self._handle = None
        self.sampled.emit(request, result, self._draft)
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
        # A draft still under way is let finish: _finished comes back here.
        if self._at_rest is not None and self._handle is None:
            request, self._at_rest = self._at_rest, None
            self._submit(request, draft=False, previews=False)


def _draft(request: SampleRequest) -> SampleRequest:
    steps = min(DRAFT_STEPS, request.steps or DRAFT_STEPS)
    return replace(request, steps=steps, previews=False, measure=False)
