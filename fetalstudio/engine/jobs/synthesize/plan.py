"""The plan of a batch: which pairs it makes, from which frames, and by which settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.convention import Convention
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError, check_ranges
from fetalstudio.core.labelled import style_of
from fetalstudio.engine.cohort_split import keep_parts
from fetalstudio.engine.followed_conventions import followed, has_learnt, own_offset
from fetalstudio.engine.jobs.sample.request import MAX_SEED
from fetalstudio.engine.jobs.synthesize.like_cohort import ellipses_like, with_lenders
from fetalstudio.engine.jobs.synthesize.request import SynthesizeRequest
from fetalstudio.engine.measured_conventions import pair_conventions
from fetalstudio.engine.models.loading import FoundModel, find_model, load_synthesizer
from fetalstudio.engine.process.events import Warned
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.formats.pictures.picture_files import check_size
from fetalstudio.formats.tables.ellipse_table import NamedEllipse
from fetalstudio.formats.writing.pair_files import TABLE, PairFiles
from fetalstudio.project.importing.deidentifying import stored_pair_names
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Batch, BatchItem, Frame
from fetalstudio.synthesis.simulated import SIMULATED

_SETTINGS = {"synthesizer", "synthesizer_sha256", "steps", "guidance", "cohort", "out"}
"""The settings of a batch that its resumption needs."""


def begin(
    project: Project, request: SynthesizeRequest, report: Report, cancelled: CancelCheck
) -> tuple[Batch, FoundModel]:
    """Store the plan of a new batch before it begins, so that it can be resumed."""
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


def resume(project: Project, request: SynthesizeRequest) -> tuple[Batch, FoundModel]:
    """The batch to go on with, and its synthesizer.

    Raises :class:`InputError` where the rest would differ from what was made, or the folder is not
    that of the batch, and :class:`UserError` for a batch that lacks what its resumption needs.
    """
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
