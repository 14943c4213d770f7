"""Job ``propose``: the segmenter proposes ellipses; a person decides."""

from __future__ import annotations

from fetalstudio.engine.events import Warned
from fetalstudio.engine.job import CancelCheck, Report
from fetalstudio.engine.models import find_model, load_segmenter
from fetalstudio.engine.progress import Steps
from fetalstudio.engine.requests import Proposal, ProposeRequest, ProposeResult
from fetalstudio.project.records import Frame
from fetalstudio.project.store import Project


def run(request: ProposeRequest, report: Report, cancelled: CancelCheck) -> ProposeResult:
    """Store a ``proposed`` revision for each frame that no person has annotated.

    Frames that wait with a proposal of this segmenter already are left out, unless asked for by id
    or with ``again``. Frames asked for by id that a person has annotated get a proposal in the
    result only.
    """
    with Project.open(request.project) as project:
        model = find_model("segmenter", request.segmenter, project)
        author = f"segmenter:{model.name}"
        frames = _frames(project, request, author)
        steps = Steps(len(frames), report, cancelled, "proposing")
        if not frames:
            report(Warned("There is nothing to propose: all frames have an ellipse."))
            return ProposeResult((), ())
        segmenter = load_segmenter(model)
        proposals, without = [], []
        for frame in frames:
            found = segmenter.predict(project.pixels(frame.id))
            if found.ellipse is None:
                without.append(frame.name)
            else:
                proposals.append(Proposal(frame.id, found.ellipse, found.confidence))
                current = project.annotation(frame.id)
                if current is None or current.ellipse is None or current.state == "proposed":
                    project.annotate(
                        frame.id,
                        found.ellipse,
                        author=author,
                        state="proposed",
                        confidence=found.confidence,
                    )
            steps.advance(note=frame.name)
    return ProposeResult(tuple(proposals), tuple(without))


def _frames(project: Project, request: ProposeRequest, author: str) -> list[Frame]:
    if request.frame_ids is not None:
        return [project.frame(frame_id) for frame_id in request.frame_ids]
    annotations = project.annotations(request.cohort)

    def waits(frame: Frame) -> bool:
        held = annotations.get(frame.id)
        if held is None or held.ellipse is None:
            return True
        return held.state == "proposed" and (request.again or held.author != author)

    return [frame for frame in project.frames(cohort=request.cohort) if waits(frame)]
