"""Job ``sample``: one synthetic frame for the canvas; nothing is stored."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray

from fetalstudio.core.convention import NO_OFFSET
from fetalstudio.core.labelled import style_of
from fetalstudio.engine.followed_conventions import asked_for, has_learnt, labelled_as, own_offset
from fetalstudio.engine.jobs.sample.request import SampleRequest, SampleResult
from fetalstudio.engine.models.loading import find_model, load_synthesizer
from fetalstudio.engine.process.events import Preview, Warned
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.engine.quality import Judge, Measured
from fetalstudio.formats.pictures.picture_files import check_size
from fetalstudio.learning import autocast
from fetalstudio.project.project import Project
from fetalstudio.synthesis.scene import Scene
from fetalstudio.synthesis.simulated import SIMULATED, scale_of
from fetalstudio.version import __version__


def run(request: SampleRequest, report: Report, cancelled: CancelCheck) -> SampleResult:
    """Synthesise a frame, with a preview per step, and measure it.

    Raises :class:`InputError` for a size that no frame may have.
    """
    check_size(request.size, "The picture")
    # Opened once for both the model and the cohort, because opening takes time.
    with nullcontext() if request.project is None else Project.open(request.project) as project:
        model = find_model("synthesizer", request.synthesizer, project)
        judge = Judge.of(model, project, request.cohort) if request.measure else None
    synthesizer = load_synthesizer(model)
    style = style_of(request.ellipse, request.calibration, request.style)
    card, simulated = synthesizer.card, style == SIMULATED
    to_scale = synthesizer.to_scale or simulated
    learnt = not simulated and request.cohort is not None and has_learnt(card, request.cohort)
    convention = request.convention if to_scale and not learnt else NO_OFFSET
    scene = Scene(
        asked_for(request.ellipse, convention, NO_OFFSET if simulated else own_offset(card)),
        request.size,
        style,
        request.reference,
        request.replaces,
        None if request.calibration is None else request.calibration.mm_per_px,
    )
    started = time.monotonic()
    progress = Steps(None, report, cancelled, "synthesising")

    def on_step(done: int, total: int, preview: Callable[[], NDArray[np.uint8]]) -> None:
        progress.check()
        if request.previews and done < total:
            report(Preview(preview(), f"step {done} of {total}"))
        progress.advance(done, total)

    # A draft that will be replaced may be rough, so bfloat16 is used on CPUs that have it.
    with nullcontext() if request.measure else autocast(torch.device("cpu")):
        drawn = synthesizer.draw(
            [scene],
            [request.seed],
            steps=request.steps,
            guidance=request.guidance,
            on_step=on_step,
            on_warning=lambda message: report(Warned(message)),
        )[0]
    drawn, convention = labelled_as(drawn, scene, request.ellipse, convention)
    seconds = time.monotonic() - started
    provenance = {
        **synthesizer.provenance(
            seed=request.seed, steps=request.steps, guidance=request.guidance, style=style
        ),
        **scale_of(style, request.calibration),
        "background": "made" if request.replaces is None else "frame",
        "fetalstudio": __version__,
    }
    measured = Measured({}, {})
    if judge is not None:
        measured = judge(drawn.image, drawn.ellipse, request.reference, convention)
    provenance |= measured.provenance
    quality = {**measured.quality, **drawn.figures}
    return SampleResult(drawn.image, drawn.ellipse, seconds, provenance, quality, to_scale)
