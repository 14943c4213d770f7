"""Exporting frames and ellipses in layouts that others read: all of an export, or nothing of it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.core.splits import Part
from fetalstudio.core.words import counted
from fetalstudio.formats.exports import EXPORTS
from fetalstudio.formats.files import new_folder, write_bytes
from fetalstudio.formats.manifest import write_manifest
from fetalstudio.formats.model_card import ModelCard
from fetalstudio.formats.writing.croissant import write_croissant
from fetalstudio.formats.writing.dataset_card import DATA_CARD, DatasetCard, Origin
from fetalstudio.formats.writing.exported_frames import ExportedFrame, ExportedPair
from fetalstudio.project.exporting.places import remember_export
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Annotation, Frame, Pair
from fetalstudio.resources import models_dir, user_data_dir


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote."""

    out: Path
    frames: int
    """Real ones."""
    pairs: int
    copies: int
    """Accepted pairs that were left out because they copy a training frame."""
    real_pixels: int
    """Other accepted pairs that were left out because they show a part of a real frame."""
    problems: tuple[str, ...]
    """What the layout cannot hold and was left out, a message each."""


def export_frames(
    project: Project,
    out: Path,
    *,
    format: str = "hc18",
    cohort: str | None = None,
    synthetic: bool = True,
    copies: bool = False,
    real_pixels: bool = False,
    maker_saw: Callable[[Pair, Set[str]], bool] = lambda pair, subjects: False,
    not_known: Callable[[Sequence[Pair]], Sequence[str]] = lambda pairs: (),
    progress: Progress = NO_PROGRESS,
) -> ExportReport:
    """Write a format of :mod:`fetalstudio.formats.exports` into ``out``, a new or empty folder.

    The export holds all real frames of the cohort (default: of all cohorts), with a draft or final
    ellipse. With ``synthetic``, and where the format takes pairs, it also holds all accepted pairs,
    whatever their cohort, as ``synthetic_<id>.png``; those that copy a training frame only with
    ``copies``, and those that show a part of a real frame only with ``real_pixels``, as they show a
    patient. A synthetic picture carries a note of how it was made.

    Once a subject has a part, all subjects with an ellipse get one, and the frames are written by
    part, as far as the format has parts. A pair through which a held-out subject could teach a
    segmenter is then left out: its sector is from a frame of such a subject, or, as ``maker_saw``
    says of a pair and these subjects, its synthesizer saw one. What ``not_known`` says of the pairs
    that are written beside held-out subjects is a problem.

    Whatever the format, there are a card of the data, ``croissant.json`` and a manifest of all
    files, by which :func:`~fetalstudio.formats.manifest.check_manifest` checks them.

    Raises :class:`InputError` if ``out`` is in use, there is nothing to export, or no such format,
    :class:`UserError` where it cannot be written, :class:`Stopped` if asked to; ``out`` is
    then as it was.
    """
    if format not in EXPORTS:
        raise InputError(f"There is no format {format!r} to export. Choose {', '.join(EXPORTS)}.")
    out = Path(out).absolute()
    frames = project.frames.all(cohort=cohort)
    synthetic = synthetic and EXPORTS[format].pairs
    accepted = project.pairs.all(state="accepted") if synthetic else []
    originals = [pair for pair in accepted if copies or not pair.copy]
    pairs = [pair for pair in originals if real_pixels or not pair.contains_real_pixels]
    if not frames and (cohort is not None or not pairs):
        known = ", ".join(project.frames.cohorts())
        cure = f"The cohorts are: {known}." if known else "Import frames first."
        raise InputError(f"There is nothing to export in {cohort or project.path}. {cure}")
    annotations = project.annotations.by_frame(cohort)
    copies_left_out = len(accepted) - len(originals)
    real_left_out = len(originals) - len(pairs)
    parts = _parts(project, frames, annotations)
    of_held_out = {pair.id for pair in pairs if _is_held_out(project, pair, parts)}
    pairs = [pair for pair in pairs if pair.id not in of_held_out]
    held_out = {frame.subject for frame in frames if parts.get(frame.subject, "train") != "train"}
    of_makers = {pair.id for pair in pairs if held_out and maker_saw(pair, held_out)}
    pairs = [pair for pair in pairs if pair.id not in of_makers]
    items: list[Frame | Pair] = [*frames, *pairs]
    card = DatasetCard()
    with new_folder(out) as folder:
        writer = EXPORTS[format].writer(folder)
        for done, item in enumerate(items):
            progress.advance(done, len(items))
            if isinstance(item, Pair):
                pair = _exported_pair(project, item)
                writer.add_pair(pair)
                card.add(pair)
            else:
                part = parts.get(item.subject)
                frame = _exported_frame(project, item, annotations.get(item.id), part)
                writer.add_frame(frame)
                card.add(frame)
        progress.advance(len(items), len(items))
        writer.finish()
        problems = tuple(writer.problems)
        if of_held_out:
            problems += (
                f"{counted(len(of_held_out), 'accepted pair')} left out: the sector is from a "
                "frame of a subject that is held out, and pairs are for training alone.",
            )
        if of_makers:
            problems += (
                f"{counted(len(of_makers), 'accepted pair')} left out: their synthesizer learnt "
                "from frames of subjects that are held out in this export, and so would whatever "
                "learns from these pairs. Make pairs with a synthesizer that did not see them, or "
                "export without the held-out subjects (--cohort).",
            )
        if held_out:
            problems += (*not_known(pairs),)
        origin = Origin(
            EXPORTS[format].title,
            f"{datetime.now(UTC):%Y-%m-%d}",
            Counter(pair.state for pair in project.pairs.all()) if synthetic else {},
            copies_left_out,
            real_left_out,
            _licences(project),
        )
        write_bytes(folder / DATA_CARD, card.markdown(origin, problems).encode())
        write_croissant(folder, card, origin)
        write_manifest(folder)
    try:
        remember_export(project, out)
    except UserError as error:
        problems += (
            f"It could not be remembered where this export is, so that forgetting a patient will "
            f"not find it. {error}",
        )
    return ExportReport(out, len(frames), len(pairs), copies_left_out, real_left_out, problems)


def _licences(project: Project) -> Mapping[str, str]:
    """The licences of the models that can be loaded by name: a project's own count first."""
    own = [project.path / model.path for model in project.models.all("synthesizer")]
    licences: dict[str, str] = {}
    shared = [p for m in (models_dir(), user_data_dir() / "models") for p in sorted(m.glob("*"))]
    for folder in (*shared, *own):
        with contextlib.suppress(InputError):  # a folder that was removed or damaged
            model = ModelCard.read(folder)
            if model.kind == "synthesizer":
                licences[model.name] = model.licence
    return licences


def _parts(
    project: Project, frames: Sequence[Frame], annotations: Mapping[str, Annotation]
) -> Mapping[str, Part]:
    """The part of each subject; empty where none of the frames' subjects was used yet."""
    stored = project.parts.stored()
    if not any(frame.subject in stored for frame in frames):
        return {}
    drawn = {frame.subject for frame in frames if _is_drawn(annotations.get(frame.id))}
    return {**stored, **project.parts.divide(drawn)}


def _is_held_out(project: Project, pair: Pair, parts: Mapping[str, Part]) -> bool:
    """Whether the sector of a pair is from a frame of a held-out subject."""
    source = project.frames.find(str(pair.provenance.get("source_frame")))
    return source is not None and parts.get(source.subject, "train") != "train"


def _is_drawn(annotation: Annotation | None) -> bool:
    """Whether a person drew or corrected the ellipse: nobody has looked at a proposal yet."""
    return annotation is not None and annotation.state != "proposed"


def _exported_frame(
    project: Project, frame: Frame, annotation: Annotation | None, part: Part | None
) -> ExportedFrame:
    drawn = _is_drawn(annotation)
    return ExportedFrame(
        id=frame.id,
        name=frame.name,
        cohort=frame.cohort,
        subject=frame.subject,
        pixels=project.frames.pixels(frame.id),
        ellipse=annotation.ellipse if annotation is not None and drawn else None,
        calibration=frame.calibration,
        labels=frame.labels,
        part=part,
    )


def _exported_pair(project: Project, pair: Pair) -> ExportedPair:
    return ExportedPair(
        id=pair.frame.id,
        name=f"synthetic_{pair.id}",
        cohort=pair.frame.cohort,
        pixels=project.frames.pixels(pair.frame.id),
        ellipse=pair.ellipse,
        requested=pair.requested,
        calibration=pair.frame.calibration,
        quality=pair.quality,
        provenance=pair.provenance,
        corrected=pair.corrected,
    )
