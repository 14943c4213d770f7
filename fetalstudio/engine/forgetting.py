"""Forgetting a patient: every byte of her frames leaves the project, and it cannot be undone.

What is deleted, and which models learned from her, is said before. A model that is kept goes on
knowing: it keeps the hash of her key, so that a new frame of hers is never new to it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.progress import NO_PROGRESS, Progress, Stopped, Unstoppable, followed
from fetalstudio.core.words import counted, listed, quoted
from fetalstudio.engine.models.catalogue import FoundModel, list_models
from fetalstudio.engine.models.seen import seen_by
from fetalstudio.engine.resumable import state_file
from fetalstudio.formats.files import read_bounded, sha256_of
from fetalstudio.formats.manifest import MANIFEST, remove_listed
from fetalstudio.formats.writing.export_folders import PROVENANCE
from fetalstudio.project.exporting.places import drop_places, export_places
from fetalstudio.project.project import Project
from fetalstudio.project.removal import removal_effect, uses
from fetalstudio.project.store.records import Frame, ModelRecord, RemovalEffect, Run
from fetalstudio.project.store.storage import remove_folder

_NAMED = 6
"""How many names of a longer list are shown."""
_MAX_BYTES = 256 * 2**20
_IDS = re.compile(rb"[0-9a-f]{64}")
"""What the ids of frames look like in the record of an export."""
CANNOT_BE_UNDONE = (
    "This cannot be undone, and no backup of the project keeps the frames. Frames that were "
    "removed before are deleted for good as well, and earlier steps can no longer be undone."
)


@dataclass(frozen=True, slots=True)
class ForgettingPlan:
    """What forgetting some subjects deletes, and what it cannot reach."""

    subjects: tuple[str, ...]
    frames: tuple[Frame, ...]
    effect: RemovalEffect
    learned: tuple[ModelRecord, ...]
    """The project's models that learned from the subjects."""
    elsewhere: tuple[FoundModel, ...]
    """Built-in models and those of the user that did; they are no part of the project."""
    exports: tuple[Path, ...]
    """Exports inside the project that hold the frames, or pairs made from them."""
    outside: tuple[Path, ...]
    """Exports outside of it that do, where they were written."""
    moved: tuple[Path, ...]
    """Folders outside of it into which exports were written, and which are no longer there."""
    unfinished: tuple[Run, ...]
    """Unfinished trainings on the frames, whose checkpoints are deleted."""

    def sentences(self) -> list[str]:
        """What goes and what stays, for a person to read before."""
        effect = self.effect
        said = [
            f"This deletes {counted(len(self.frames), 'frame')} of "
            f"{counted(len(self.subjects), 'subject')}: {listed(effect.frames, _NAMED)}. Their "
            "annotations, readings, labels and embeddings go too, here and in all backups."
        ]
        if effect.pairs:
            said.append(
                f"It also deletes {counted(len(effect.pairs), 'synthetic pair')} made from them: "
                f"{listed(effect.pairs, _NAMED)}."
            )
        if effect.batch_items:
            pairs = counted(effect.batch_items, "pair")
            said.append(f"Unfinished batches will make {pairs} fewer.")
        if self.exports:
            names = listed([path.name for path in self.exports], _NAMED)
            said.append(
                f"It also deletes the exports in the project's folder that hold them, which you "
                f"can export again: {names}."
            )
        if self.outside:
            said.append(
                "They are also in these folders, from which they are deleted only if you say so: "
                f"{listed([str(path) for path in self.outside], _NAMED)}."
            )
        if self.moved:
            said.append(
                "Exports were written into these folders too, which were not found. If they were "
                f"moved, look into them yourself: {listed([str(p) for p in self.moved], _NAMED)}."
            )
        if self.unfinished:
            names = listed([run.name for run in self.unfinished], _NAMED)
            said.append(f"Unfinished trainings on them can no longer be resumed: {names}.")
        if self.learned:
            names = listed([model.name for model in self.learned], _NAMED)
            said.append(f"Models that learned from them: {names}.")
        if self.elsewhere:
            # Models of several kinds have the same name.
            names = listed([f"{model.name} ({model.kind})" for model in self.elsewhere], _NAMED)
            said.append(f"Models outside the project that know the subject too, and stay: {names}.")
        said.append(
            "Not deleted are the files that the frames were imported from, copies of the project, "
            "copies of exports and exports made on other computers, and every table, report and "
            "file of readings that was written, wherever it lies."
        )
        return said


def plan_forgetting(
    project: Project, subjects: Iterable[str], progress: Progress = NO_PROGRESS
) -> ForgettingPlan:
    """What forgetting these subjects would delete. Nothing is changed.

    Raises :class:`InputError` for a subject that no real frame of the project has, and
    :class:`Stopped` if asked to.
    """
    wanted = tuple(dict.fromkeys(subjects))
    frames = tuple(frame for frame in project.frames.all() if frame.subject in wanted)
    if missing := set(wanted) - {frame.subject for frame in frames}:
        raise InputError(
            f"The project has no frame of subject {min(missing)}. See fetalstudio frames "
            f"{quoted(project.path)} list."
        )
    if not frames:
        raise InputError("No subject was chosen. Choose at least one.")
    ids = [frame.id for frame in frames]
    effect = removal_effect(project, ids, progress)
    gone = _gone(project, ids)
    places = export_places(project)
    learned = [
        model
        for model in followed(list_models(project), progress, "looking at models")
        if _learned(project, model, wanted)
    ]
    own = {(model.kind, model.name) for model in learned if model.origin == "project"}
    return ForgettingPlan(
        subjects=wanted,
        frames=frames,
        effect=effect,
        learned=tuple(
            model
            for model in project.models.all()
            if (model.kind, model.name) in own or model.name in effect.models
        ),
        elsewhere=tuple(model for model in learned if model.origin != "project"),
        exports=tuple(_exports_with([project.path / "exports"], gone, progress)),
        outside=tuple(_exports_with(places, gone, progress)),
        moved=tuple(place for place in places if not place.is_dir()),
        unfinished=tuple(
            run
            for run in project.runs.all()
            if run.state != "finished"
            and state_file(project, run.id).exists()
            and uses(run.data, set(ids), set(project.pairs.made_from(ids)))
        ),
    )


def forget(
    project: Project,
    plan: ForgettingPlan,
    *,
    author: str,
    remove_models: bool,
    remove_outside: bool = False,
    progress: Progress = NO_PROGRESS,
) -> list[str]:
    """Delete what the plan names for good, with the models that learned from it and its exports
    outside the project if asked to. Of these, only files that are as the export wrote them are
    deleted.

    Frames that were removed before are deleted for good as well. Returns a sentence for each thing
    that is left to do.

    Exports, checkpoints and models go first. Until the frames follow, it can be stopped: it raises
    :class:`Stopped`, whose result is a sentence on what is left. Raises :class:`UserError` where a
    training is under way, for a damaged project, and where something cannot be deleted. In both
    cases the frames are still in the project, so that planning and doing it again goes on; where
    they are not, the message says so.
    """
    project.runs.fail_crashed()
    if busy := [run.name for run in project.runs.all() if run.state == "running"]:
        raise UserError(
            f"The training {busy[0]} is under way. Let it end or cancel it, then try again."
        )
    if damage := project.check():
        raise UserError(damage[0])
    gone: list[str] = []
    left: list[str] = []
    try:
        if remove_outside:
            left += _remove_outside(project, plan.outside, gone, progress)
        for folder in followed(plan.exports, progress, "deleting exports"):
            remove_folder(folder)
            gone.append(folder.name)
        for run in followed(plan.unfinished, progress, "deleting checkpoints"):
            state_file(project, run.id).unlink(missing_ok=True)
            gone.append(run.name)
        for model in followed(plan.learned if remove_models else (), progress, "deleting models"):
            project.models.remove(model.kind, model.name)
            gone.append(model.name)
        ids = [frame.id for frame in plan.frames]
        removal = project.amendments.remove(ids, author=author, progress=progress)
    except Stopped:
        raise Stopped(_left(gone)) from None
    except (UserError, OSError) as error:
        raise UserError(f"{error} {_left(gone)}") from error
    try:
        emptied = project.forget(plan.subjects, Unstoppable(progress))
    except (UserError, OSError) as error:
        try:
            project.amendments.undo(removal.id, author=author)
        except UserError:
            raise UserError(
                f"{error} The frames are deleted, but traces of them may be left in the project's "
                f"files. Then run fetalstudio frames {quoted(project.path)} purge --yes."
            ) from error
        raise UserError(f"{error} {_left(gone)}") from error
    if plan.outside and not remove_outside:
        left.append(
            f"The frames are still in {listed([str(path) for path in plan.outside], _NAMED)}. "
            "Delete these folders yourself."
        )
    if not emptied:
        left.append(
            f"Another program has {project.path} open. Close it, so that the last traces leave "
            "project.db-wal."
        )
    return left


def _remove_outside(
    project: Project, folders: Sequence[Path], gone: list[str], progress: Progress
) -> list[str]:
    """Delete exports outside the project, and say what is left in their folders. The names of those
    that are deleted are added to ``gone``. A folder that holds another export than the one that
    this project wrote there is left."""
    left = []
    manifests = export_places(project)
    for folder in followed(folders, progress, "deleting exports"):
        manifest = folder / MANIFEST
        if not manifest.is_file() or sha256_of(manifest) != manifests.get(folder):
            left.append(
                f"{folder} holds another export now than this project wrote there, and was left. "
                "Check it, and delete it yourself."
            )
            continue
        if others := remove_listed(folder):
            left.append(
                f"{folder} still has files that the export did not write, or that were changed "
                f"since: {listed(others, _NAMED)}. Check them, and delete them yourself."
            )
        gone.append(str(folder))
        drop_places(project, [folder])
    return left


def _left(gone: Sequence[str]) -> str:
    """What a forgetting that did not come to its end has left."""
    before = f"Deleted already: {listed(gone, _NAMED)}. " if gone else "Nothing was deleted. "
    return f"{before}The frames are still in the project: forget the patient again to go on."


def _gone(project: Project, ids: Collection[str]) -> set[str]:
    """The ids of these frames, and of the synthetic ones that were made from them."""
    return {*ids, *project.pairs.made_from(ids).values()}


def _learned(project: Project, model: FoundModel, subjects: Collection[str]) -> bool:
    try:
        seen = seen_by(project, model)
    except InputError:
        return model.origin == "project"  # its files are damaged, and nothing denies it
    return any(seen.knows_subject(subject) for subject in subjects)


def _exports_with(
    folders: Iterable[Path], ids: Collection[str], progress: Progress
) -> Iterator[Path]:
    """The exports in or below some folders that hold one of these frames."""
    wanted = {frame_id.encode() for frame_id in ids}
    records = sorted({record for folder in folders for record in folder.rglob(PROVENANCE)})
    for path in followed(records, progress, "looking at exports"):
        if any(found[0] in wanted for found in _IDS.finditer(read_bounded(path, _MAX_BYTES))):
            yield path.parent
