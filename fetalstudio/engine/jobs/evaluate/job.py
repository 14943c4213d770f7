"""Job ``evaluate``: a segmenter against the project's annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

from fetalstudio import distributed
from fetalstudio.core.errors import InputError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.prompts import Prompt
from fetalstudio.engine.cohort_split import checked_real, labelled_frames
from fetalstudio.engine.jobs.evaluate.evaluation import conventions_of, score_frame, summarise
from fetalstudio.engine.jobs.evaluate.request import (
    EvaluateRequest,
    EvaluateResult,
    FrameScore,
    Protocol,
)
from fetalstudio.engine.models.loading import (
    FoundModel,
    find_model,
    load_outline,
    load_segmenter,
)
from fetalstudio.engine.models.not_known import not_known
from fetalstudio.engine.models.seen import seen_by, seen_by_outline
from fetalstudio.engine.process.events import Warned
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.formats.model_card import fingerprint
from fetalstudio.project.project import Project

_AT_ONCE = 8
"""Frames for each process between two checks for cancellation."""


@dataclass(frozen=True, slots=True)
class _How:
    """How each frame is measured, for the processes that share the frames."""

    model: FoundModel
    prompt: Prompt
    protocol: Protocol
    snap: bool


def run(request: EvaluateRequest, report: Report, cancelled: CancelCheck) -> EvaluateResult:
    """Evaluate on the requested frames; warns if the model was trained on some of them."""
    prompt_known = request.prompt in (None, *get_args(Prompt))
    if not prompt_known or request.protocol not in get_args(Protocol):
        raise InputError(
            f"There is no evaluation with prompt {request.prompt!r} and protocol "
            f"{request.protocol!r}. Choose the prompt auto or box, and the protocol native, paper "
            "or both."
        )
    protocols: Sequence[Protocol] = (
        ("native", "paper") if request.protocol == "both" else (request.protocol,)
    )
    with Project.open(request.project) as project:
        model = find_model("segmenter", request.segmenter, project)
        items, known = _frames(project, request, model, report)
        prompt = request.prompt or load_segmenter(model).prompt
        if request.snap:
            load_outline()
        steps = Steps(len(items) * len(protocols), report, cancelled, "evaluating")
        subjects = {item.subject for item in known}
        unsure = () if len(known) == len(items) else tuple(not_known(model))
        taken_over = project.annotations.taken_over()
        results = []
        for protocol in protocols:
            scores = _scores(_How(model, prompt, protocol, request.snap), items, steps)
            result = summarise(model.name, scores, prompt=prompt, protocol=protocol)
            conventions = {}
            # A box draws the answer to the person's ellipse, and snapping is not the segmenter's.
            if prompt == "auto" and not request.snap:
                conventions = conventions_of(model.name, scores, subjects)
            results.append(
                replace(
                    result,
                    model_sha256=fingerprint(model.folder),
                    trained_on=len(known),
                    held_out=request.held_out,
                    not_known=unsure,
                    taken_over=sum(item.id in taken_over for item in items),
                    snapped=request.snap,
                    conventions=conventions,
                )
            )
    return results[0] if len(results) == 1 else replace(results[0], paper=results[1])


def _frames(
    project: Project, request: EvaluateRequest, model: FoundModel, report: Report
) -> tuple[list[LabelledFrame], list[LabelledFrame]]:
    """The frames to measure on, and those of them that are of subjects that the model saw."""
    items = checked_real(labelled_frames(project, request.cohort))
    if request.frame_ids is not None:
        items = [item for item in items if item.id in set(request.frame_ids)]
        if not items:
            raise InputError("None of the chosen frames is annotated. Choose annotated frames.")
    seen = seen_by(project, model)
    if request.snap:
        seen |= seen_by_outline()
    known = seen.known(items)
    if request.held_out:
        subjects = {item.subject for item in known}
        items = [item for item in items if item.subject not in subjects]
        if not items:
            raise InputError(
                f"{model.name} saw all of these subjects before. Annotate frames of other "
                "subjects, or evaluate without leaving out the subjects that it saw."
            )
        return items, []
    if known:
        report(
            Warned(
                f"{len(known)} of the {len(items)} frames are of subjects that {model.name} saw "
                "before: in its training, when its best epoch was chosen, or in its calibration. "
                "The figures are better than they would be on new subjects."
            )
        )
    return items, known


def _scores(how: _How, items: Sequence[LabelledFrame], steps: Steps) -> list[FrameScore]:
    """The scores of all frames, divided among the processes, a few frames at a time."""
    scores: list[FrameScore] = []
    at_once = _AT_ONCE * distributed.size() if distributed.size() > 1 else 1
    for start in range(0, len(items), at_once):
        some = items[start : start + at_once]
        work = [(how, item.loaded(), start + i) for i, item in enumerate(some)]
        scores += distributed.each(_score, work)
        steps.advance(steps.done + len(some), note=some[-1].name)
    return scores


def _score(how: _How, frame: LabelledFrame, seed: int) -> FrameScore:
    return score_frame(
        load_segmenter(how.model),
        frame,
        prompt=how.prompt,
        protocol=how.protocol,
        seed=seed,
        outline=load_outline() if how.snap else None,
    )
