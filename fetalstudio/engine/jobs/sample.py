"""Job ``sample``: one synthetic frame for the canvas; nothing is stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from fetalstudio import __version__
from fetalstudio.engine.data import style_of
from fetalstudio.engine.events import Preview, Progress
from fetalstudio.engine.job import CancelCheck, JobCancelled, Report
from fetalstudio.engine.models import BUILT_IN, find_model, load_segmenter, load_synthesizer
from fetalstudio.engine.quality import pair_quality
from fetalstudio.engine.requests import SampleRequest, SampleResult
from fetalstudio.project.store import Project
from fetalstudio.synthesis.synthesizer import Scene


def run(request: SampleRequest, report: Report, cancelled: CancelCheck) -> SampleResult:
    """Synthesise, with a preview a step, and measure what came out."""
    if request.project is None:
        model = find_model("synthesizer", request.synthesizer)
    else:
        with Project.open(request.project) as project:
            model = find_model("synthesizer", request.synthesizer, project)
    synthesizer = load_synthesizer(model)
    style = style_of(request.ellipse, request.calibration, request.style)
    scene = Scene(request.ellipse, request.size, style, request.reference, request.replaces)
    started = time.monotonic()

    def on_step(done: int, total: int, preview: Callable[[], NDArray[np.uint8]]) -> None:
        if cancelled():
            raise JobCancelled
        if request.previews and done < total:
            report(Preview(preview(), f"step {done} of {total}"))
        eta = (time.monotonic() - started) / done * (total - done)
        report(Progress(done, total, eta, "synthesising"))

    image = synthesizer.generate(
        [scene], [request.seed], steps=request.steps, guidance=request.guidance, on_step=on_step
    )[0]
    seconds = time.monotonic() - started
    provenance = {
        **synthesizer.provenance(
            seed=request.seed, steps=request.steps, guidance=request.guidance, style=style
        ),
        "background": "made" if request.replaces is None else "frame",
        "fetalstudio": __version__,
    }
    quality: Mapping[str, float] = {}
    if request.measure:
        judge = load_segmenter(find_model("segmenter", BUILT_IN))
        quality = pair_quality(judge, image, request.ellipse)
    return SampleResult(image, request.ellipse, seconds, provenance, quality)
