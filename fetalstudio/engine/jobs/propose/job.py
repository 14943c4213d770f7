"""Job ``propose``: the segmenter proposes ellipses; a person decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.convention import Convention
from fetalstudio.engine.cohort_split import check_cohort
from fetalstudio.engine.jobs.propose.request import Proposal, ProposeRequest, ProposeResult
from fetalstudio.engine.measured_conventions import proposal_conventions
from fetalstudio.engine.models.loading import BUILT_IN, find_model, load_outline, load_segmenter
from fetalstudio.engine.process.events import Warned
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import FOLLOWING, PROPOSED_BY, Annotation, Frame

if TYPE_CHECKING:
    from fetalstudio.segmentation.box_prompt import Box
    from fetalstudio.segmentation.outline import SecondLook
    from fetalstudio.segmentation.segmenter import Segmenter

_NOTHING = {
    "auto": "all frames have an ellipse, or had a proposal that was rejected. Propose again "
    "(Library, Propose for all again; or --again) for other proposals.",
    "box": "no frame has a proposal of another segmenter whose box could be used. Let another "
    "segmenter propose first.",
}


def run(request: ProposeRequest, report: Report, cancelled: CancelCheck) -> ProposeResult:
    """Store a ``proposed`` revision for each frame that no person has annotated.

    Frames that have a proposal of this segmenter, or had one that a person rejected, are left out
    unless they are given by id or with ``again``. Frames given by id that a person has annotated
    get a proposal in the result only.

    The ellipses follow the convention of their cohort, where one was measured and the request does
    not say otherwise; with ``snap``, the one that is left after they were moved onto the skull. The
    author of such a proposal ends in ``+cohort``.
    """
    with Project.open(request.project) as project:
        model = find_model("segmenter", request.segmenter, project)
        author = f"{PROPOSED_BY}{model.name}"
        check_cohort(project, request.cohort)
        frames = _frames(project, request, author)
        if not frames:
            report(Warned(f"There is nothing to propose: {_NOTHING[request.prompt or 'auto']}"))
            return ProposeResult((), ())
        segmenter = load_segmenter(model)
        prompt = request.prompt or segmenter.prompt
        boxes = _Boxes(project, request, frames, report, cancelled) if prompt == "box" else None
        conventions: dict[str, Convention] = {}
        outline = load_outline() if request.snap else None
        if request.convention:
            conventions = proposal_conventions(
                project, model, prompt, frames, report, cancelled, outline
            )
        proposer = _Proposer(segmenter, boxes, outline, conventions)
        steps = Steps(len(frames), report, cancelled, "proposing")
        proposals, without = [], []
        for frame in frames:
            if project.frames.find(frame.id) is None:  # another process has removed it meanwhile
                steps.advance()
                continue
            proposal = proposer.proposal(frame, project.frames.pixels(frame.id))
            if proposal is None:
                without.append(frame.name)
            else:
                proposals.append(proposal)
                follows = FOLLOWING if frame.cohort in conventions else ""
                _store(project, proposal, author + follows)
            steps.advance(note=frame.name)
    return ProposeResult(tuple(proposals), tuple(without), conventions)


@dataclass(frozen=True, slots=True)
class _Proposer:
    """What finds the ellipses to propose."""

    segmenter: Segmenter
    boxes: _Boxes | None
    """The boxes to prompt it with; None for no prompt."""
    outline: SecondLook | None
    """What moves its ellipses onto the skull; None to leave them as they are."""
    conventions: Mapping[str, Convention]
    """By cohort, how its annotators draw."""

    def proposal(self, frame: Frame, pixels: NDArray[np.uint8]) -> Proposal | None:
        """The ellipse to propose on a frame with these ``pixels``; None if no head is found."""
        box = None if self.boxes is None else self.boxes.of(frame, pixels)
        if self.boxes is not None and box is None:
            return None
        found = self.segmenter.predict(pixels, box=box)
        ellipse, spread = found.ellipse, None
        if ellipse is None:
            return None
        if self.outline is not None:
            snapped = self.outline.snap(pixels, ellipse)
            if snapped.ellipse is not None:
                ellipse, spread = snapped.ellipse, snapped.spread
        if (convention := self.conventions.get(frame.cohort)) is not None:
            ellipse = convention.apply(ellipse)
        return Proposal(frame.id, ellipse, found.confidence, spread)


def _store(project: Project, proposal: Proposal, author: str) -> None:
    """Store a proposal, unless the frame has an ellipse of a person."""
    held = project.annotations.newest(proposal.frame_id)
    if held is None or held.ellipse is None or held.state == "proposed":
        project.annotations.add(
            proposal.frame_id,
            proposal.ellipse,
            author=author,
            state="proposed",
            confidence=proposal.confidence,
        )


class _Boxes:
    """The boxes to prompt a segmenter with: those of the frames' ellipses, where a person asked for
    them. Otherwise those of other segmenters' proposals, which no person has drawn, and where there
    is none, those of what the built-in segmenter finds, drawn as the cohort's annotators do."""

    def __init__(
        self,
        project: Project,
        request: ProposeRequest,
        frames: Sequence[Frame],
        report: Report,
        cancelled: CancelCheck,
    ) -> None:
        self._project, self._asked = project, request.prompt == "box"
        self._conventions: Mapping[str, Convention] = {}
        bare = [frame for frame in frames if self._held(frame) is None]
        if not bare:
            return
        self._model = find_model("segmenter", BUILT_IN, project)
        if request.convention:
            self._conventions = proposal_conventions(
                project, self._model, "auto", bare, report, cancelled
            )

    def of(self, frame: Frame, pixels: NDArray[np.uint8]) -> Box | None:
        """The box for a frame; None if nothing was found in it."""
        if (held := self._held(frame)) is not None:
            return held
        found = load_segmenter(self._model).predict(pixels).ellipse
        if found is None:
            return None
        convention = self._conventions.get(frame.cohort)
        return (found if convention is None else convention.apply(found)).box()

    def _held(self, frame: Frame) -> Box | None:
        held = self._project.annotations.newest(frame.id)
        if held is None or held.ellipse is None:
            return None
        return held.ellipse.box() if self._asked or held.state == "proposed" else None


def _frames(project: Project, request: ProposeRequest, author: str) -> list[Frame]:
    boxed = request.prompt == "box"
    if request.frame_ids is not None:
        asked = [project.frames.get(frame_id) for frame_id in request.frame_ids]
        drawn = (project.annotations.newest(frame.id) for frame in asked)
        return [
            frame
            for frame, held in zip(asked, drawn, strict=True)
            if not boxed or (held is not None and held.ellipse is not None)
        ]
    annotations = project.annotations.by_frame(request.cohort)

    def waits(frame: Frame) -> bool:
        held = annotations.get(frame.id)
        if held is None:
            return not boxed and (request.again or not _rejected(project, frame, author))
        return held.state == "proposed" and (request.again or not _is_by(held, author))

    return [frame for frame in project.frames.all(cohort=request.cohort) if waits(frame)]


def _rejected(project: Project, frame: Frame, author: str) -> bool:
    """Whether a person removed this segmenter's proposal and has drawn no ellipse since."""
    last = project.annotations.revisions(frame.id)[-2:]
    return len(last) == 2 and last[1].ellipse is None and _is_by(last[0], author)


def _is_by(annotation: Annotation, author: str) -> bool:
    return annotation.author in (author, author + FOLLOWING)
