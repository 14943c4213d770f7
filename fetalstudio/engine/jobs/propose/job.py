"""Job ``propose``: the segmenter proposes ellipses; a person decides."""

from __future__ import annotations

from fetalstudio.engine.cohort_split import check_cohort
from fetalstudio.engine.jobs.propose.conventions import measured_conventions
from fetalstudio.engine.jobs.propose.request import Proposal, ProposeRequest, ProposeResult
from fetalstudio.engine.models.loading import find_model, load_outline, load_segmenter
from fetalstudio.engine.process.events import Warned
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.project.project import Project
from fetalstudio.project.records import Annotation, Frame

_FOLLOWING = "+cohort"
"""Added to the author of a proposal that follows the convention of its cohort."""
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
    not say otherwise. The author of such a proposal ends in ``+cohort``.
    """
    with Project.open(request.project) as project:
        model = find_model("segmenter", request.segmenter, project)
        author = f"segmenter:{model.name}"
        check_cohort(project, request.cohort)
        frames = _frames(project, request, author)
        if not frames:
            report(Warned(f"There is nothing to propose: {_NOTHING[request.prompt]}"))
            return ProposeResult((), ())
        conventions = {}
        if request.convention and not request.snap:  # which asks for the skull itself
            conventions = measured_conventions(project, model, request, frames, report, cancelled)
        segmenter = load_segmenter(model)
        outline = load_outline() if request.snap else None
        steps = Steps(len(frames), report, cancelled, "proposing")
        proposals, without = [], []
        for frame in frames:
            if project.frames.find(frame.id) is None:  # another process has removed it meanwhile
                steps.advance()
                continue
            box = _box(project, frame) if request.prompt == "box" else None
            pixels = project.frames.pixels(frame.id)
            found = segmenter.predict(pixels, box=box)
            if found.ellipse is None:
                without.append(frame.name)
            else:
                convention = conventions.get(frame.cohort)
                ellipse, spread = found.ellipse, None
                if convention is not None:
                    ellipse = convention.apply(ellipse)
                if outline is not None:
                    snapped = outline.snap(pixels, ellipse)
                    if snapped.ellipse is not None:
                        ellipse, spread = snapped.ellipse, snapped.spread
                proposals.append(Proposal(frame.id, ellipse, found.confidence, spread))
                current = project.annotations.newest(frame.id)
                if current is None or current.ellipse is None or current.state == "proposed":
                    project.annotations.add(
                        frame.id,
                        ellipse,
                        author=author + _FOLLOWING if convention else author,
                        state="proposed",
                        confidence=found.confidence,
                    )
            steps.advance(note=frame.name)
    return ProposeResult(tuple(proposals), tuple(without), conventions)


def _frames(project: Project, request: ProposeRequest, author: str) -> list[Frame]:
    boxed = request.prompt == "box"
    if request.frame_ids is not None:
        asked = [project.frames.get(frame_id) for frame_id in request.frame_ids]
        return [frame for frame in asked if not boxed or _box(project, frame) is not None]
    annotations = project.annotations.by_frame(request.cohort)

    def waits(frame: Frame) -> bool:
        held = annotations.get(frame.id)
        if held is None:
            return not boxed and (request.again or not _rejected(project, frame, author))
        return held.state == "proposed" and (request.again or not _is_by(held, author))

    return [frame for frame in project.frames.all(cohort=request.cohort) if waits(frame)]


def _box(project: Project, frame: Frame) -> tuple[float, float, float, float] | None:
    held = project.annotations.newest(frame.id)
    return None if held is None or held.ellipse is None else held.ellipse.box()


def _rejected(project: Project, frame: Frame, author: str) -> bool:
    """Whether a person removed this segmenter's proposal and has drawn no ellipse since."""
    last = project.annotations.revisions(frame.id)[-2:]
    return len(last) == 2 and last[1].ellipse is None and _is_by(last[0], author)


def _is_by(annotation: Annotation, author: str) -> bool:
    return annotation.author in (author, author + _FOLLOWING)
