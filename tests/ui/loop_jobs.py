"""Real jobs, small ones, for the pages of the loop. The engine's process imports them by name.

They answer the same requests as the engine's own, without any model: a picture has a bright ring
on the ellipse that was asked for, and a training is a loop that writes its run into the project.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, fields, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import Stopped
from fetalstudio.engine.cohort_split import labelled_frames, of_part, split, usable_pairs
from fetalstudio.engine.jobs.adapt.request import AdaptRequest, AdaptResult
from fetalstudio.engine.jobs.evaluate.evaluation import summarise
from fetalstudio.engine.jobs.evaluate.request import EvaluateRequest, EvaluateResult, FrameScore
from fetalstudio.engine.jobs.sample.request import SampleRequest, SampleResult
from fetalstudio.engine.jobs.synthesize.request import SynthesizeRequest, SynthesizeResult
from fetalstudio.engine.jobs.train.request import TrainRequest, TrainResult
from fetalstudio.engine.models.seen import Seen
from fetalstudio.engine.process.events import Adapting, Checkpoint, Epoch, Preview, Progress
from fetalstudio.engine.process.job import CancelCheck, Job, Report, report_in_run
from fetalstudio.engine.process.progress import Steps
from fetalstudio.engine.resumable import state_file
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import RunState

STEP_S = 0.03
TESTED_SLOWLY = "tested-slowly"
"""A training of this name would test its best epoch for minutes."""
OWN_STEPS = 8


def _instead_of(job: Job[Any, Any], function: str) -> Job[Any, Any]:
    return replace(job, entry=f"tests.ui.loop_jobs:{function}")


class SmallSample(SampleRequest):
    job = _instead_of(SampleRequest.job, "sample")


class SmallSynthesize(SynthesizeRequest):
    job = _instead_of(SynthesizeRequest.job, "synthesize")


class SmallTrain(TrainRequest):
    job = _instead_of(TrainRequest.job, "train")


class SmallAdapt(AdaptRequest):
    job = _instead_of(AdaptRequest.job, "adapt")


class SmallEvaluate(EvaluateRequest):
    job = _instead_of(EvaluateRequest.job, "evaluate")


def small(request: Any) -> Any:
    """``request`` as one for the small job of this module that stands for its own."""
    kind = next(
        k
        for k in (SmallSample, SmallSynthesize, SmallTrain, SmallAdapt, SmallEvaluate)
        if issubclass(k, type(request))
    )
    return kind(**{field.name: getattr(request, field.name) for field in fields(request)})


def ring(ellipse: Ellipse, size: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """Coarse noise with a bright ring on the ellipse."""
    coarse = np.random.default_rng(seed).integers(0, 80, (16, 24), dtype=np.uint8)
    noise = cv2.resize(coarse, size, interpolation=cv2.INTER_NEAREST)
    points = np.round(ellipse.contour(180)).astype(np.int32)
    return np.asarray(cv2.polylines(noise, [points], True, 255, 5), np.uint8)


def sample(request: SampleRequest, report: Report, cancelled: CancelCheck) -> SampleResult:
    if request.seed == 13:
        raise InputError("There is no seed 13. Take another one.")
    steps = request.steps or OWN_STEPS
    image = ring(request.ellipse, request.size, request.seed)
    for done in range(1, steps + 1):
        if cancelled():
            raise Stopped
        time.sleep(STEP_S)
        if request.previews:
            report(Preview(image // np.uint8(2), f"step {done} of {steps}"))
        report(Progress(done, steps, STEP_S * (steps - done)))
    used = {"synthesizer": "rings", "seed": request.seed, "steps": steps, "style": request.style}
    quality = {"dice": 0.981, "hc_difference": 0.012, "hd95_px": 4.0, "edge": 0.9}
    return SampleResult(image, request.ellipse, STEP_S * steps, used, quality)


def synthesize(
    request: SynthesizeRequest, report: Report, cancelled: CancelCheck
) -> SynthesizeResult:
    count = request.count or 0
    ids: list[int] = []

    def result() -> SynthesizeResult:
        return SynthesizeResult(tuple(ids), 0.95, STEP_S, None)

    with Project.open(request.project) as project:
        items = labelled_frames(project, request.cohort)
        for i in range(count):
            if cancelled():
                raise Stopped(result())
            time.sleep(STEP_S)
            item = items[i % len(items)]
            image = ring(item.ellipse, item.size, request.seed * 1000 + i)
            pair = project.pairs.add(
                image,
                name=f"ring_{i}",
                ellipse=item.ellipse,
                cohort="synthetic",
                calibration=item.calibration,
                quality={"dice": 0.9 + 0.005 * i},
                provenance={"synthesizer": "rings", "source_frame": item.id},
            )
            ids.append(pair.id)
            report(Preview(image, f"ring_{i}"))
            report(Progress(i + 1, count, STEP_S * (count - i - 1)))
        return result()


def train(request: TrainRequest, report: Report, cancelled: CancelCheck) -> TrainResult:
    """Epoch 3 is the best, from there on it gets worse."""
    with Project.open(request.project) as project:
        labelled = labelled_frames(project, request.cohort)
        by_subject = split(project, labelled)
        parts = {
            part: [item.id for item in of_part(labelled, by_subject, part)]
            for part in ("train", "validation", "test")
        }
        pairs = [pair.id for pair in usable_pairs(project, by_subject, Seen())]
        settings: dict[str, Any] = {**asdict(request), "project": None, "kind": "compact"}
        name = request.name or "tuned-1"
        run = project.runs.start(name, settings, {**parts, "pairs": pairs})
        report = report_in_run(report, project.path, run.id)
        epoch, epochs, stopped = 0, request.settings.epochs, False
        for epoch in range(1, epochs + 1):
            time.sleep(2 * STEP_S)
            dice = 0.97 - 0.01 * abs(epoch - 3)
            row = {
                "epoch": epoch,
                "train_loss": math.exp(-epoch / 4),
                "validation_loss": math.exp(-epoch / 4) + 0.05,
                "validation_dice": dice,
            }
            project.runs.update(run.id, history_entry={**row, "seconds": 2 * STEP_S * epoch})
            best = epoch <= 3
            report(
                Epoch(
                    epoch,
                    epochs,
                    row["train_loss"],
                    row["validation_loss"],
                    dice,
                    best,
                )
            )
            report(Progress(epoch, epochs, STEP_S * (epochs - epoch)))
            report(Preview(np.full((40, 60, 3), 90, np.uint8), f"epoch {epoch}"))
            if epoch == 1:
                folder = project.path / "models" / str(run.id)
                folder.mkdir(parents=True)
                project.models.add(name, "segmenter", f"models/{run.id}", run_id=run.id)
                report(Checkpoint(folder))
            stopped = bool(cancelled())
            if stopped:
                break
        if name == TESTED_SLOWLY:
            state_file(project, run.id).write_bytes(b"")
            steps = Steps(10_000, report, cancelled, "testing the best epoch", finishing=True)
            try:
                while True:
                    time.sleep(STEP_S)
                    steps.advance()
            except Stopped:
                project.runs.update(run.id, state="cancelled")
                raise
        best_epoch = min(epoch, 3)
        result = TrainResult(
            run_id=run.id,
            model=name,
            dice_before=0.95,
            dice_after=0.97,
            difference=0.02,
            difference_ci95=(0.012, 0.028),
            test_frames=len(parts["test"]),
            test_subjects=len({i.subject for i in of_part(labelled, by_subject, "test")}),
            real=len(parts["train"]),
            synthetic=len(pairs),
            epochs_run=epoch,
            best_epoch=best_epoch,
            verdict="The new model is better.",
        )
        state: RunState = "cancelled" if stopped else "finished"
        project.runs.update(run.id, state=state, verdict=asdict(result))
    if stopped:
        raise Stopped(result)
    return result


def adapt(request: AdaptRequest, report: Report, cancelled: CancelCheck) -> AdaptResult:
    """Step 30 is the best, whatever comes after it."""
    with Project.open(request.project) as project:
        run = project.runs.start(request.name or "ward-1", {"job": "adapt"}, {})
        report = report_in_run(report, project.path, run.id)
        for step in range(0, request.steps + 1, 10):
            time.sleep(STEP_S)
            best = 0 < step <= 30
            grey = 10 - step / 10 if step <= 30 else 9.0
            row = {"step": step, "grey": grey, "seconds": STEP_S * step}
            project.runs.update(run.id, history_entry=row)
            loss = 1.0 if step else math.nan
            report(Adapting(step, request.steps, loss, 0.98, grey, grey / 2, 0, best))
            report(Progress(step, request.steps, STEP_S, "adapting"))
            report(Preview(np.full((40, 60, 3), 90, np.uint8), f"step {step}"))
        (project.path / "models" / str(run.id)).mkdir(parents=True)
        project.models.add(run.name, "synthesizer", f"models/{run.id}", run_id=run.id)
        project.runs.update(run.id, state="finished")
        start = {"fidelity": 0.98, "grey": 10.0, "spectrum": 5.0, "similarity": 0.4, "copies": 0}
        best_figures = {**start, "grey": 7.0, "spectrum": 3.5}
        return AdaptResult(
            run_id=run.id,
            model=run.name,
            parent="compact",
            frames=10,
            subjects=8,
            samples=6,
            held_out_subjects=2,
            fidelity_real=0.98,
            before=start,
            after=best_figures,
            similarity_real=0.4,
            steps_run=request.steps,
            best_step=30,
            verdict="The pictures are nearer.",
        )


def evaluate(request: EvaluateRequest, report: Report, cancelled: CancelCheck) -> EvaluateResult:
    """Every ellipse is found, two per cent too large."""
    with Project.open(request.project) as project:
        items = labelled_frames(project, request.cohort)
    if request.frame_ids is not None:
        items = [item for item in items if item.id in request.frame_ids]
    scores = []
    for item in items:
        e = item.ellipse
        found = Ellipse.of(e.cx, e.cy, 1.02 * e.a, 1.02 * e.b, e.angle_deg)
        dice = found.overlap(e)
        scores.append(
            FrameScore(
                frame_id=item.id,
                name=item.name,
                subject=item.subject,
                cohort=item.cohort,
                dice=dice,
                iou=dice,
                hd95_px=3.0,
                assd_px=1.5,
                hc_mm=180.0,
                hc_error_mm=2.0,
            )
        )
    return summarise(request.segmenter or "compact", scores)
