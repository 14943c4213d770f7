"""Exporting frames and ellipses in layouts that others read: all of an export, or nothing of it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.formats.croissant import write_croissant
from fetalstudio.formats.dataset_card import DATA_CARD, DatasetCard, Origin
from fetalstudio.formats.exports import EXPORTS
from fetalstudio.formats.files import new_folder, write_bytes
from fetalstudio.formats.frame_records import ExportedFrame, ExportedPair
from fetalstudio.formats.manifest import write_manifest
from fetalstudio.formats.model_card import ModelCard
from fetalstudio.project.project import Project
from fetalstudio.project.records import Annotation, Frame, Pair
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
    progress: Progress = NO_PROGRESS,
) -> ExportReport:
    """Write a format of :mod:`fetalstudio.formats.exports` into ``out``, a new or empty folder.

    The export holds all real frames of the cohort (default: of all cohorts), with a draft or final
    ellipse. With ``synthetic`` it also holds all accepted pairs, whatever their
    cohort, as ``synthetic_<id>.png``; those that copy a training frame only with ``copies``, and
    those that show a part of a real frame only with ``real_pixels``, as they show a patient. A
    synthetic picture carries a note of how it was made. Whatever the format,
    there are a card of the data, ``croissant.json`` and a manifest of all files, by which
    :func:`~fetalstudio.formats.manifest.check_manifest` checks them.

    Raises :class:`InputError` if ``out`` is in use, there is nothing to export, or no such format,
    :class:`UserError` where it cannot be written, :class:`Stopped` if asked to; ``out`` is
    then as it was.
    """
    if format not in EXPORTS:
        raise InputError(f"There is no format {format!r} to export. Choose {', '.join(EXPORTS)}.")
    out = Path(out).absolute()
    frames = project.frames.all(cohort=cohort)
    accepted = project.pairs.all(state="accepted") if synthetic else []
    originals = [pair for pair in accepted if copies or not pair.copy]
    pairs = [pair for pair in originals if real_pixels or not pair.contains_real_pixels]
    if not frames and (cohort is not None or not pairs):
        known = ", ".join(project.frames.cohorts()) or "none"
        what = cohort or project.path
        raise InputError(f"There is nothing to export in {what}. The cohorts are: {known}.")
    annotations = project.annotations.by_frame(cohort)
    items: list[Frame | Pair] = [*frames, *pairs]
    copies_left_out = len(accepted) - len(originals)
    real_left_out = len(originals) - len(pairs)
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
                frame = _exported_frame(project, item, annotations.get(item.id))
                writer.add_frame(frame)
                card.add(frame)
        progress.advance(len(items), len(items))
        writer.finish()
        origin = Origin(
            EXPORTS[format].title,
            f"{datetime.now(UTC):%Y-%m-%d}",
            Counter(pair.state for pair in project.pairs.all()) if synthetic else {},
            copies_left_out,
            real_left_out,
            _licences(project),
        )
        write_bytes(folder / DATA_CARD, card.markdown(origin, writer.problems).encode())
        write_croissant(folder, card, origin)
        write_manifest(folder)
    return ExportReport(
        out, len(frames), len(pairs), copies_left_out, real_left_out, tuple(writer.problems)
    )


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


def _exported_frame(project: Project, frame: Frame, annotation: Annotation | None) -> ExportedFrame:
    """With the ellipse that a person drew or corrected: nobody has looked at a proposal yet."""
    drawn = annotation is not None and annotation.state != "proposed"
    return ExportedFrame(
        id=frame.id,
        name=frame.name,
        cohort=frame.cohort,
        subject=frame.subject,
        pixels=project.frames.pixels(frame.id),
        ellipse=annotation.ellipse if annotation is not None and drawn else None,
        calibration=frame.calibration,
        labels=frame.labels,
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
