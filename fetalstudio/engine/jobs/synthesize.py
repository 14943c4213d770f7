"""Job ``synthesize``: a batch of pairs, stored in the project and, if asked, as files too."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetalstudio import __version__
from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import BadInput
from fetalstudio.core.files import write_bytes
from fetalstudio.core.images import MAX_SIDE, MIN_SIDE, write_png
from fetalstudio.engine.data import SYNTHETIC_COHORT, ellipses_like, style_of
from fetalstudio.engine.events import Preview
from fetalstudio.engine.job import CancelCheck, JobCancelled, Report
from fetalstudio.engine.models import find_model, load_synthesizer
from fetalstudio.engine.progress import Steps
from fetalstudio.engine.quality import Judge, Measured
from fetalstudio.engine.requests import NamedEllipse, SynthesizeRequest, SynthesizeResult
from fetalstudio.project.records import Frame, Pair
from fetalstudio.project.store import Project
from fetalstudio.synthesis.synthesizer import Scene, Synthesizer

BATCH = 4
"""Pictures made at a time: on a CPU more buys no speed, and cancelling answers sooner."""
COLUMNS = (
    *("name", "cx", "cy", "a", "b", "angle_deg", "width", "height"),
    *("seed", "style", "dice", "hc_difference", "hd95_px", "edge"),
    *("similarity", "nearest_frame", "copy"),
    *("speckle_snr", "speckle_difference", "spectrum_db", "grey_difference"),
)


def run(request: SynthesizeRequest, report: Report, cancelled: CancelCheck) -> SynthesizeResult:
    """Every finished pair is stored at once, so a cancel or a crash keeps what is done."""
    with Project.open(request.project) as project:
        model = find_model("synthesizer", request.synthesizer, project)
        wanted = _wanted(project, request)
        synthesizer = load_synthesizer(model)
        judge = Judge.of(model, project, request.cohort)
        batch = _Batch(project, request, synthesizer)
        steps = Steps(len(wanted), report, cancelled, "synthesising")
        started = time.monotonic()
        pairs: list[Pair] = []
        try:
            for start in range(0, len(wanted), BATCH):
                chunk = wanted[start : start + BATCH]
                for item, image, seed, style in batch.make(chunk, start, cancelled):
                    measured = judge(image, item.ellipse)
                    pairs.append(batch.store(item, image, seed, style, measured))
                    report(Preview(image, f"{item.name}: Dice {measured.quality['dice']:.3f}"))
                steps.advance(len(pairs))
        except JobCancelled:
            raise JobCancelled(_result(pairs, started, request.out)) from None
        return _result(pairs, started, request.out)


class _Batch:
    """Makes and stores the pairs of one request."""

    def __init__(
        self, project: Project, request: SynthesizeRequest, synthesizer: Synthesizer
    ) -> None:
        self.project, self.request, self.synthesizer = project, request, synthesizer
        self.frames = {frame.id: frame for frame in project.frames()}
        self.rows: list[dict[str, Any]] = []

    def make(
        self, chunk: Sequence[NamedEllipse], start: int, cancelled: CancelCheck
    ) -> list[tuple[NamedEllipse, NDArray[np.uint8], int, str]]:
        """Synthesise a few pictures together; each has its own seed, whatever the batch."""

        def on_step(_done: int, _total: int, _preview: Callable[[], NDArray[np.uint8]]) -> None:
            if cancelled():
                raise JobCancelled

        request = self.request
        seeds = [request.seed * 1_000_003 + start + i for i in range(len(chunk))]
        styles = [style_of(i.ellipse, self._calibration(i), request.style) for i in chunk]
        scenes = [
            Scene(item.ellipse, item.size, style, self._reference(item), self._replaced(item))
            for item, style in zip(chunk, styles, strict=True)
        ]
        images = self.synthesizer.generate(
            scenes, seeds, steps=request.steps, guidance=request.guidance, on_step=on_step
        )
        return list(zip(chunk, images, seeds, styles, strict=True))

    def store(
        self,
        item: NamedEllipse,
        image: NDArray[np.uint8],
        seed: int,
        style: str,
        measured: Measured,
    ) -> Pair:
        """Into the project, and into the folder that was asked for."""
        provenance = {
            **self.synthesizer.provenance(
                seed=seed, steps=self.request.steps, guidance=self.request.guidance, style=style
            ),
            "background": "made" if self._replaced(item) is None else "frame",
            **measured.provenance,
            "fetalstudio": __version__,
            "source_frame": item.source_frame,
        }
        pair = self.project.add_pair(
            image,
            name=item.name,
            ellipse=item.ellipse,
            cohort=SYNTHETIC_COHORT,
            calibration=self._calibration(item),
            quality=measured.quality,
            provenance=provenance,
        )
        if self.request.out is not None:
            figures = {"seed": seed, "style": style, **measured.quality}
            nearest = {"nearest_frame": provenance["nearest_frame"], "copy": int(pair.copy)}
            self._write(self.request.out, item, image, {**figures, **nearest})
        return pair

    def _write(
        self, out: Path, item: NamedEllipse, image: NDArray[np.uint8], figures: dict[str, Any]
    ) -> None:
        e, (width, height) = item.ellipse, item.size
        write_png(out / f"{item.name}.png", image)
        write_png(out / f"{item.name}_mask.png", e.mask(item.size) * np.uint8(255))
        ellipse = {"cx": e.cx, "cy": e.cy, "a": e.a, "b": e.b, "angle_deg": e.angle_deg}
        self.rows.append(
            {"name": item.name, **ellipse, "width": width, "height": height, **figures}
        )
        table = io.StringIO()
        writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        # Rewritten after every pair, so that the table never lags behind the pictures.
        write_bytes(out / "pairs.csv", table.getvalue().encode())

    def _source(self, item: NamedEllipse) -> Frame | None:
        return self.frames.get(item.source_frame) if item.source_frame else None

    def _calibration(self, item: NamedEllipse) -> Calibration | None:
        source = self._source(item)
        if source is None or source.calibration is None:
            return None
        c = source.calibration
        return Calibration(c.mm_per_px_x, c.mm_per_px_y, "inherited")

    def _reference(self, item: NamedEllipse) -> NDArray[np.uint8] | None:
        source = self._source(item)
        return None if source is None else self.project.pixels(source.id)

    def _replaced(self, item: NamedEllipse) -> Ellipse | None:
        source = self._source(item)
        if self.request.background == "made" or source is None:
            return None
        annotation = self.project.annotation(source.id)
        return None if annotation is None else annotation.ellipse


def _wanted(project: Project, request: SynthesizeRequest) -> Sequence[NamedEllipse]:
    if (request.count is None) == (request.ellipses is None):
        raise BadInput("Ask for a number of pairs or give a table of ellipses, one of the two.")
    if request.count is not None and not 1 <= request.count <= 100_000:
        raise BadInput(f"{request.count} pairs are outside 1 to 100000.")
    if request.ellipses is None:
        assert request.count is not None
        return ellipses_like(project, request.count, cohort=request.cohort, seed=request.seed)
    for item in request.ellipses:
        if not all(MIN_SIDE <= side <= MAX_SIDE for side in item.size):
            width, height = item.size
            raise BadInput(
                f"{item.name} asks for {width}x{height} px; a picture has {MIN_SIDE} to "
                f"{MAX_SIDE} px a side."
            )
    return request.ellipses


def _result(pairs: Sequence[Pair], started: float, out: Path | None) -> SynthesizeResult:
    scores = [pair.quality["dice"] for pair in pairs]
    return SynthesizeResult(
        tuple(pair.id for pair in pairs),
        float(np.mean(scores)) if scores else 0.0,
        (time.monotonic() - started) / max(len(pairs), 1),
        out,
    )
