"""Job ``evaluate``: a segmenter against the project's annotations."""

from __future__ import annotations

from fetalstudio.core.errors import BadInput
from fetalstudio.core.model_card import training_frames
from fetalstudio.engine.data import labelled_frames
from fetalstudio.engine.evaluation import score_frame, summarise
from fetalstudio.engine.events import Warned
from fetalstudio.engine.job import CancelCheck, Report
from fetalstudio.engine.models import find_model, load_segmenter
from fetalstudio.engine.progress import Steps
from fetalstudio.engine.requests import EvaluateRequest, EvaluateResult
from fetalstudio.project.store import Project


def run(request: EvaluateRequest, report: Report, cancelled: CancelCheck) -> EvaluateResult:
    """Over all annotated frames asked for; says so where the model was trained on some of them."""
    if request.prompt not in ("auto", "box") or request.protocol not in ("native", "paper"):
        raise BadInput(
            f"There is no evaluation with prompt {request.prompt!r} and protocol "
            f"{request.protocol!r}. Prompts: auto, box; protocols: native, paper."
        )
    with Project.open(request.project) as project:
        model = find_model("segmenter", request.segmenter, project)
        items = labelled_frames(project, request.cohort)
        if request.frame_ids is not None:
            items = [item for item in items if item.frame.id in set(request.frame_ids)]
            if not items:
                raise BadInput("None of these frames is annotated. Choose annotated frames.")
        seen = training_frames(model.folder)
        known = sum(item.frame.id[:16] in seen for item in items)
        if known:
            report(
                Warned(
                    f"{known} of the {len(items)} frames were used to train {model.name}: "
                    "these figures are better than they would be on new frames."
                )
            )
        segmenter = load_segmenter(model)
        steps = Steps(len(items), report, cancelled, "evaluating")
        scores = []
        for i, item in enumerate(items):
            image = project.pixels(item.frame.id)
            scores.append(
                score_frame(
                    segmenter,
                    item,
                    image,
                    prompt=request.prompt,
                    protocol=request.protocol,
                    seed=i,
                )
            )
            steps.advance(note=item.frame.name)
    return summarise(model.name, scores)
