"""Makes and stores the pairs of a batch that are missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetalstudio import distributed
from fetalstudio.core.convention import NO_OFFSET, Offset
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.texture import CohortTexture
from fetalstudio.engine.followed_conventions import asked_for
from fetalstudio.engine.jobs.synthesize.drawing import Made, Wanted, draw
from fetalstudio.engine.jobs.synthesize.request import SynthesizeResult
from fetalstudio.engine.models.loading import FoundModel, load_synthesizer
from fetalstudio.engine.process.events import Warned
from fetalstudio.engine.process.job import Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.engine.quality import Measured, cohort_texture
from fetalstudio.formats.pictures.synthetic_notes import (
    SyntheticNote,
    contains_real_pixels,
    is_marked_copy,
)
from fetalstudio.formats.writing.pair_files import PairFiles, PairRecord
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import SYNTHETIC_COHORT, Batch, BatchItem, Pair
from fetalstudio.synthesis.interface import Drawn
from fetalstudio.synthesis.scene import Scene
from fetalstudio.synthesis.simulated import SIMULATED, scale_of
from fetalstudio.version import __version__

CHUNK = 4
"""Images that are made together. On a CPU more is not faster, and a cancel would take longer."""


class Maker:
    """Makes and stores the pairs of one batch."""

    def __init__(self, project: Project, batch: Batch, model: FoundModel, out: Path | None) -> None:
        self.project, self.batch, self.model = project, batch, model
        self.synthesizer = load_synthesizer(model)
        self.steps, self.guidance = batch.settings["steps"], batch.settings["guidance"]
        self.files = None if out is None else PairFiles(out)
        stored = batch.settings.get("conventions", {})
        self.conventions = {cohort: Offset(**values) for cohort, values in stored.items()}
        self.drawn_by = Offset(**batch.settings.get("drawn_by", {}))
        """How the synthesizer itself draws: from the skull to the ellipse that it is asked for."""
        made = project.batches.made(batch.id)
        items = project.batches.items(batch.id)
        self.missing = [item for item in items if item.number not in made]
        self.pairs = [project.pairs.get(made[item.number]) for item in items if item.number in made]
        self.before = len(self.pairs)
        self.withdrawn = 0
        """How many items were not made because their frame was removed meanwhile."""
        self.known = {pair.id for pair in project.pairs.all()}
        self.cohorts = {frame.id: frame.cohort for frame in project.frames.all()}
        self.textures: dict[str | None, CohortTexture | None] = {}
        done = (item for item in items if item.number in made)
        if self.files is not None:
            for item, pair in zip(done, self.pairs, strict=True):
                record = _record(item, pair.ellipse, pair.quality, pair.provenance)
                self.files.add(record)
                # Corrected in review meanwhile, so the mask must match the row in the table.
                if pair.ellipse != item.ellipse:
                    self.files.write_mask(record)
        self.started = time.monotonic()

    def rounds(self) -> Iterator[list[Sequence[BatchItem]]]:
        """The missing items, one chunk per process at a time.

        The chunks are those of an uninterrupted batch, because the other images of a chunk can
        change single pixels by a grey level.
        """
        chunks = [self.missing[i : i + CHUNK] for i in range(0, len(self.missing), CHUNK)]
        for i in range(0, len(chunks), distributed.size()):
            wanted = self._still_wanted()
            round_ = chunks[i : i + distributed.size()]
            left = [[item for item in chunk if item.number in wanted] for chunk in round_]
            self.withdrawn += sum(map(len, round_)) - sum(map(len, left))
            yield [chunk for chunk in left if chunk]

    def _still_wanted(self) -> set[int]:
        """The numbers of the batch's items, but those whose frame was removed meanwhile."""
        return {item.number for item in self.project.batches.items(self.batch.id)}

    def unscaled(self) -> str | None:
        """A warning about heads whose scale the simulator has to guess, if any."""
        scales = [scale_of(item.style, item.calibration).get("scale") for item in self.missing]
        if (guessed := scales.count("guessed")) == 0:
            return None
        return (
            f"{guessed} of {len(scales)} heads have no calibration, so the simulated scanner "
            "guesses their trimester and scale from their size in the image. Calibrate the frames "
            "that they are based on to have them drawn to scale."
        )

    def make(
        self, chunks: Sequence[Sequence[BatchItem]], report: Report, progress: Steps
    ) -> list[list[Made]]:
        """Synthesise the pictures of each chunk together, and measure them."""

        def on_step(_done: int, _total: int, _preview: Callable[[], NDArray[np.uint8]]) -> None:
            progress.check()

        options = {"steps": self.steps, "guidance": self.guidance}
        options["on_step"] = distributed.Here(on_step)
        options["on_warning"] = distributed.Here(lambda message: report(Warned(message)))
        calls = [(self.model, [self._wanted(item) for item in chunk], options) for chunk in chunks]
        return distributed.each(draw, calls)

    def store(
        self, chunk: Sequence[BatchItem], made: Sequence[Made]
    ) -> list[tuple[BatchItem, Made]]:
        """Store all pairs of the chunk in the project, or none; returns what was stored.

        A pair whose frame was removed while it was made is not stored: it would show that frame's
        sector or tissue. Files are written first: after a crash in between, the resumed batch
        writes them again, and none is missing.
        """
        with self.project.transaction():  # so that no frame is removed meanwhile
            wanted = self._still_wanted()
            kept = [
                (item, one) for item, one in zip(chunk, made, strict=True) if item.number in wanted
            ]
            if self.files is not None:
                for item, (one, measured) in kept:
                    provenance = self._provenance(item, measured)
                    record = _record(item, one.ellipse, measured.quality, provenance)
                    self.files.write(record, one.image, self._note(item, one, measured).text())
                self.files.write_table()
            for item, (one, measured) in kept:
                pair = self._add(item, one, measured)
                self.project.batches.mark_made(self.batch.id, item.number, pair.id)
                self.pairs.append(pair)
        self.withdrawn += len(chunk) - len(kept)
        return kept

    def result(self) -> SynthesizeResult:
        """The result for the pairs of the batch that exist so far."""
        scores = [pair.quality["dice"] for pair in self.pairs]
        made = len(self.pairs) - self.before
        return SynthesizeResult(
            tuple(pair.id for pair in self.pairs),
            float(np.mean(scores)) if scores else 0.0,
            (time.monotonic() - self.started) / max(made, 1),
            None if self.files is None else self.files.folder,
            self.before,
            sum(pair.id in self.known for pair in self.pairs[self.before :]),
            self.batch.settings.get("followed", ""),
        )

    def _add(self, item: BatchItem, drawn: Drawn, measured: Measured) -> Pair:
        return self.project.pairs.add(
            drawn.image,
            name=item.name,
            ellipse=item.ellipse,
            label=drawn.ellipse,
            cohort=SYNTHETIC_COHORT,
            calibration=item.calibration,
            quality=measured.quality,
            provenance={**self._provenance(item, measured), "batch": self.batch.id},
        )

    def _note(self, item: BatchItem, drawn: Drawn, measured: Measured) -> SyntheticNote:
        provenance = self._provenance(item, measured)
        return SyntheticNote(
            drawn.ellipse, item.ellipse, False, item.calibration, measured.quality, provenance
        )

    def _provenance(self, item: BatchItem, measured: Measured) -> dict[str, Any]:
        return {
            **self.synthesizer.provenance(
                seed=item.seed, steps=self.steps, guidance=self.guidance, style=item.style
            ),
            **scale_of(item.style, item.calibration),
            "background": "made" if item.replaces is None else "frame",
            **measured.provenance,
            "fetalstudio": __version__,
            "source_frame": item.source_frame,
        }

    def _texture(self, item: BatchItem) -> CohortTexture | None:
        """The texture that an item is compared with.

        It is that of the lender's cohort, because frames of each scanner look different. If the
        lender is not known, it is that of all annotated frames.
        """
        cohort = self.batch.settings["cohort"] or self._lenders_cohort(item)
        for name in (cohort, None):
            if name not in self.textures:
                self.textures[name] = cohort_texture(self.project, name)
            if (texture := self.textures[name]) is not None:
                return texture
        return None

    def _lenders_cohort(self, item: BatchItem) -> str | None:
        return None if item.source_frame is None else self.cohorts.get(item.source_frame)

    def _convention(self, item: BatchItem) -> Offset:
        """How the annotators of the lender's cohort draw, of the batch's where none is known."""
        cohort = self._lenders_cohort(item) or self.batch.settings["cohort"]
        return self.conventions.get(cohort, NO_OFFSET)

    def _wanted(self, item: BatchItem) -> Wanted:
        return Wanted(
            self._scene(item),
            item.seed,
            item.ellipse,
            self._convention(item),
            self._texture(item),
        )

    def _scene(self, item: BatchItem) -> Scene:
        source, calibration = item.source_frame, item.calibration
        own = NO_OFFSET if item.style == SIMULATED else self.drawn_by
        return Scene(
            asked_for(item.ellipse, self._convention(item), own),
            item.size,
            item.style,
            None if source is None else self.project.frames.pixels(source),
            item.replaces,
            None if calibration is None else calibration.mm_per_px,
        )


def _record(
    item: BatchItem, label: Ellipse, quality: Mapping[str, float], provenance: Mapping[str, Any]
) -> PairRecord:
    return PairRecord(
        item.name,
        label,
        item.size,
        item.seed,
        item.style,
        quality,
        provenance.get("nearest_frame"),
        # A pair that was there before (the same picture again) may be of a version without this.
        is_marked_copy(quality, provenance),
        contains_real_pixels(quality, provenance),
    )
