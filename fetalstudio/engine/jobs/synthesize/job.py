"""Job ``synthesize``: a batch of pairs, stored in the project and, if asked, as files too."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetalstudio import distributed
from fetalstudio.core.calibration import Calibration
from fetalstudio.core.convention import NO_OFFSET, Convention, Offset
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError, check_ranges, is_out_of_memory
from fetalstudio.core.labelled import style_of
from fetalstudio.core.progress import Stopped
from fetalstudio.core.texture import CohortTexture
from fetalstudio.engine.cohort_split import keep_parts
from fetalstudio.engine.conventions import (
    asked_for,
    followed,
    has_learnt,
    labelled_as,
    own_offset,
    pair_conventions,
)
from fetalstudio.engine.jobs.sample.request import MAX_SEED
from fetalstudio.engine.jobs.synthesize.like_cohort import ellipses_like, with_lenders
from fetalstudio.engine.jobs.synthesize.request import (
    SynthesizeRequest,
    SynthesizeResult,
)
from fetalstudio.engine.models.loading import (
    FoundModel,
    find_model,
    judge_model,
    load_neighbours,
    load_segmenter,
    load_synthesizer,
)
from fetalstudio.engine.process.events import Preview, Warned
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.engine.quality import Judge, Measured, cohort_texture
from fetalstudio.formats.ellipse_table import NamedEllipse
from fetalstudio.formats.pair_files import TABLE, PairFiles, PairRecord
from fetalstudio.formats.pictures import check_size
from fetalstudio.formats.synthetic_notes import (
    SyntheticNote,
    contains_real_pixels,
    is_marked_copy,
)
from fetalstudio.project.deidentifying import stored_pair_names
from fetalstudio.project.project import Project
from fetalstudio.project.records import SYNTHETIC_COHORT, Batch, BatchItem, Frame, Pair
from fetalstudio.synthesis.interface import Drawn, SceneSynthesizer
from fetalstudio.synthesis.scene import Scene
from fetalstudio.synthesis.simulated import SIMULATED, scale_of
from fetalstudio.version import __version__

Made = tuple[Drawn, Measured]
_SETTINGS = {"synthesizer", "synthesizer_sha256", "steps", "guidance", "cohort", "out"}
"""The settings of a batch that its resumption needs."""
CHUNK = 4
"""Images that are made together. On a CPU more is not faster, and a cancel would take longer."""


def run(request: SynthesizeRequest, report: Report, cancelled: CancelCheck) -> SynthesizeResult:
    """Make a batch. Finished chunks are stored at once, so a cancel or a crash loses nothing."""
    with Project.open(request.project) as project:
        if request.resume is None:
            batch, model = _begin(project, request, report, cancelled)
        else:
            batch, model = _resume(project, request)
        with project.batches.lock(batch.id):
            maker = _Maker(project, batch, model, request.out)
            files = maker.files
            if files is not None and (request.resume is None or not files.claimed):
                try:
                    files.claim()
                except UserError:  # nothing is made, and nothing is there to be resumed
                    project.batches.drop(batch.id)
                    raise
            if unscaled := maker.unscaled():
                report(Warned(unscaled))
            steps = Steps(batch.wanted, report, cancelled, "synthesising", done=maker.before)
            try:
                for chunks in maker.rounds():
                    for chunk, made in zip(chunks, maker.make(chunks, report, steps), strict=True):
                        for item, (one, measured) in maker.store(chunk, made):
                            caption = f"{item.name}: Dice {measured.quality['dice']:.3f}"
                            report(Preview(one.image, caption))
                        steps.advance(len(maker.pairs), batch.wanted - maker.withdrawn)
            except Stopped:
                raise Stopped(maker.result()) from None
            except InputError:
                # A batch that the synthesizer cannot make must not be offered for resuming.
                if not maker.pairs:
                    project.batches.drop(batch.id)
                    if maker.files is not None:
                        maker.files.give_up()
                raise
            return maker.result()


def _begin(
    project: Project, request: SynthesizeRequest, report: Report, cancelled: CancelCheck
) -> tuple[Batch, FoundModel]:
    """Store the plan of the batch before it begins, so that it can be resumed."""
    model = find_model("synthesizer", request.synthesizer, project)
    synthesizer = load_synthesizer(model)
    to_scale = synthesizer.to_scale or request.style == SIMULATED
    frames = {frame.id: frame for frame in project.frames.all()}
    kept = project.annotations.by_frame() if request.background == "frame" else {}
    owned = {frame_id: annotation.ellipse for frame_id, annotation in kept.items()}
    wanted = _wanted(project, request, Steps(None, report, cancelled))
    names = stored_pair_names([item.name for item in wanted])
    items = [
        _item(request, frames, owned, number, replace(one, name=name), to_scale)
        for number, (one, name) in enumerate(zip(wanted, names, strict=True))
    ]
    if renamed := sum(one.name != name for one, name in zip(wanted, names, strict=True)):
        report(
            Warned(
                f"{renamed} of the ellipses have names that may be those of patients, numbers or "
                "dates. Their pairs are called pair_00001 and so on, by their row in the table."
            )
        )
    if request.out is not None:
        PairFiles(request.out).check_room([item.name for item in items])
    if alone := _without_a_lender(request, items):
        report(Warned(alone))
    conventions: Mapping[str, Convention] = {}
    simulated = request.style == SIMULATED
    if request.convention and to_scale:
        lenders = {frames[i.source_frame].cohort for i in items if i.source_frame is not None}
        if request.cohort is not None:
            lenders.add(request.cohort)
        unknown = {c for c in lenders if simulated or not has_learnt(synthesizer.card, c)}
        conventions = pair_conventions(project, unknown, report, cancelled)
    settings = {
        "conventions": {cohort: asdict(found.offset) for cohort, found in conventions.items()},
        "followed": followed(conventions),
        "drawn_by": asdict(own_offset(synthesizer.card)),
        "synthesizer": model.name,
        "synthesizer_sha256": synthesizer.hash,
        "steps": request.steps,
        "guidance": request.guidance,
        "style": request.style,
        "background": request.background,
        "sector": request.sector,
        "seed": request.seed,
        "cohort": request.cohort,
        "like_cohort": None if request.constraints is None else asdict(request.constraints),
        "out": request.out is not None,  # not where: what is stored may be passed on
    }
    return project.batches.start(settings, items), model


def _without_a_lender(request: SynthesizeRequest, items: Sequence[BatchItem]) -> str | None:
    """A warning about ellipses of a table for which no frame could lend its sector, if any."""
    alone = [item for item in items if item.source_frame is None]
    if request.ellipses is None or request.sector == "made" or not alone:
        return None
    w, h = alone[0].size
    return (
        f"For {len(alone)} of {len(items)} ellipses, such as {alone[0].name} on {w}x{h} px, the "
        "project has no annotated frame of the same size for training, so the synthesizer makes "
        "their sector. Give the table the size of the frames that shall lend theirs."
    )


def _resume(project: Project, request: SynthesizeRequest) -> tuple[Batch, FoundModel]:
    if request.count is not None or request.ellipses is not None:
        raise InputError(
            "A resumed batch already has its ellipses. Leave out the number and the table."
        )
    assert request.resume is not None
    batch = project.batches.get(request.resume)
    if missing := _SETTINGS - batch.settings.keys():
        raise UserError(
            f"Batch {batch.id} of {project.path} lacks the settings {', '.join(sorted(missing))}. "
            "Make a new batch."
        )
    _check_out(batch, project.batches.items(batch.id), request.out)
    name = batch.settings["synthesizer"]
    model = find_model("synthesizer", name, project)
    if load_synthesizer(model).hash != batch.settings["synthesizer_sha256"]:
        raise InputError(
            f"The synthesizer {name} has changed since {batch.done} of {batch.wanted} pairs of "
            "this batch were made, so the others would differ from them. Make a new batch; the "
            "pairs that were made are kept."
        )
    return batch, model


def _check_out(batch: Batch, items: Sequence[BatchItem], out: Path | None) -> None:
    """A folder is written only if the person who resumes names it.

    The project may come from somebody else, so it does not say where the files of a batch are: it
    could be any folder of this machine. The table in the folder says which batch it belongs to.
    """
    writes = bool(batch.settings["out"])  # a path in former versions
    if not writes and out is not None:
        raise InputError(f"Batch {batch.id} writes no files. Resume it without a folder.")
    if writes and out is None:
        raise InputError(
            f"Batch {batch.id} also writes its pairs as files. Name the folder again: fetalstudio "
            "synthesize PROJECT --resume --out FOLDER."
        )
    names = [item.name for item in items]
    if out is not None and batch.done == 0 and not PairFiles(out).claimed:
        PairFiles(out).check_room(names)  # the batch ended before it took its folder
    elif out is not None and not PairFiles(out).holds_only(names):
        raise InputError(
            f"{out} is not the folder that batch {batch.id} was begun with: it holds no {TABLE} of "
            "its pairs. Name that folder."
        )


def _item(
    request: SynthesizeRequest,
    frames: Mapping[str, Frame],
    owned: Mapping[str, Ellipse | None],
    number: int,
    wanted: NamedEllipse,
    to_scale: bool,
) -> BatchItem:
    source = frames.get(wanted.source_frame) if wanted.source_frame else None
    calibration = None
    if source is not None and (c := source.calibration) is not None:
        calibration = Calibration(c.mm_per_px_x, c.mm_per_px_y, "inherited")
    return BatchItem(
        number=number,
        name=wanted.name,
        ellipse=wanted.ellipse,
        size=wanted.size,
        source_frame=None if source is None else source.id,
        calibration=calibration if to_scale else None,
        # Each image has its own seed, which does not depend on the batch.
        seed=request.seed * 1_000_003 + number,
        style=style_of(wanted.ellipse, calibration, request.style),
        replaces=None if source is None else owned.get(source.id),
    )


class _Maker:
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
            wanted = self._wanted()
            round_ = chunks[i : i + distributed.size()]
            left = [[item for item in chunk if item.number in wanted] for chunk in round_]
            self.withdrawn += sum(map(len, round_)) - sum(map(len, left))
            yield [chunk for chunk in left if chunk]

    def _wanted(self) -> set[int]:
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
        calls = []
        for chunk in chunks:
            scenes = [self._scene(item) for item in chunk]
            textures = [self._texture(item) for item in chunk]
            wanted = [(item.ellipse, self._convention(item)) for item in chunk]
            seeds = [item.seed for item in chunk]
            calls.append((self.model, textures, scenes, wanted, seeds, options))
        return distributed.each(_draw, calls)

    def store(
        self, chunk: Sequence[BatchItem], made: Sequence[Made]
    ) -> list[tuple[BatchItem, Made]]:
        """Store all pairs of the chunk in the project, or none; returns what was stored.

        A pair whose frame was removed while it was made is not stored: it would show that frame's
        sector or tissue. Files are written first: after a crash in between, the resumed batch
        writes them again, and none is missing.
        """
        with self.project.transaction():  # so that no frame is removed meanwhile
            wanted = self._wanted()
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


def _draw(
    model: FoundModel,
    textures: Sequence[CohortTexture | None],
    scenes: Sequence[Scene],
    wanted: Sequence[tuple[Ellipse, Offset]],
    seeds: Sequence[int],
    options: Mapping[str, Any],
) -> list[Made]:
    """Make images and their figures in any process. Models are loaded once per process.

    ``wanted`` are the ellipses that label the images, and how these are drawn around the skull.
    """
    segmenter, neighbours = load_segmenter(judge_model()), load_neighbours(model)
    judges = [Judge(segmenter, neighbours, texture) for texture in textures]
    drawn = _drawn_in_memory(load_synthesizer(model), scenes, seeds, options)
    made = []
    for judge, one, scene, (ellipse, offset) in zip(judges, drawn, scenes, wanted, strict=True):
        one, convention = labelled_as(one, scene, ellipse, offset)
        made.append((one, _measured(judge, one, scene.reference, convention)))
    return made


def _drawn_in_memory(
    synthesizer: SceneSynthesizer,
    scenes: Sequence[Scene],
    seeds: Sequence[int],
    options: Mapping[str, Any],
) -> list[Drawn]:
    """The images, in halves if memory runs out for all at once."""
    try:
        return synthesizer.draw(scenes, seeds, **options)
    except Exception as error:
        if len(scenes) == 1 or not is_out_of_memory(error):
            raise
    # Outside the handler, because the error's traceback keeps the tensors alive.
    half = len(scenes) // 2
    first = _drawn_in_memory(synthesizer, scenes[:half], seeds[:half], options)
    return first + _drawn_in_memory(synthesizer, scenes[half:], seeds[half:], options)


def _measured(
    judge: Judge, drawn: Drawn, lender: NDArray[np.uint8] | None, convention: Offset
) -> Measured:
    """The figures of an image and its label, including the synthesizer's own figures."""
    measured = judge(drawn.image, drawn.ellipse, lender, convention)
    return replace(measured, quality={**measured.quality, **drawn.figures})


def _wanted(
    project: Project, request: SynthesizeRequest, progress: Steps
) -> Sequence[NamedEllipse]:
    if (request.count is None) == (request.ellipses is None):
        raise InputError("Give either a number of pairs or a table of ellipses.")
    if request.count is not None and not 1 <= request.count <= 100_000:
        raise InputError(f"{request.count} pairs are outside 1 to 100000. Choose a number between.")
    check_ranges({"seed": (request.seed, 0, MAX_SEED)})
    if request.ellipses is None:
        assert request.count is not None
        keep_parts(project, request.cohort)
        return ellipses_like(
            project,
            request.count,
            cohort=request.cohort,
            seed=request.seed,
            constraints=request.constraints,
            progress=progress,
        )
    for item in request.ellipses:
        width, height = item.size
        check_size(item.size, item.name, "Correct its width and height in the table.")
        if not item.ellipse.reaches(item.size):
            raise InputError(
                f"The ellipse of {item.name} lies outside its frame of {width}x{height} px. "
                "Correct its row in the table."
            )
    if request.sector == "made":
        return request.ellipses
    keep_parts(project, request.cohort)
    return with_lenders(project, request.ellipses, request.cohort, progress)
