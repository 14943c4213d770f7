"""Forgetting a patient: every byte of her frames leaves the project, and it cannot be undone.

What is deleted, and which models learned from her, is said before. A model that is kept goes on
knowing: it keeps the hash of her key, so that a new frame of hers is never new to it.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.words import counted, listed
from fetalstudio.engine.models.catalogue import FoundModel, list_models
from fetalstudio.engine.models.seen import seen_by
from fetalstudio.engine.resumable import state_file
from fetalstudio.formats.export_folders import PROVENANCE
from fetalstudio.formats.files import read_bounded
from fetalstudio.project.project import Project
from fetalstudio.project.records import Frame, ModelRecord, RemovalEffect, Run
from fetalstudio.project.removal import removal_effect, uses

_NAMED = 6
"""How many names of a longer list are shown."""
_MAX_BYTES = 256 * 2**20
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
        if self.unfinished:
            names = listed([run.name for run in self.unfinished], _NAMED)
            said.append(f"Unfinished trainings on them can no longer be resumed: {names}.")
        if self.learned:
            names = listed([model.name for model in self.learned], _NAMED)
            said.append(f"Models that learned from them: {names}.")
        if self.elsewhere:
            said.append(
                "Models outside the project that know the subject too, and stay: "
                f"{listed([model.name for model in self.elsewhere], _NAMED)}."
            )
        said.append(
            "Not deleted are the files that the frames were imported from, copies of the project, "
            "exports outside its folder exports, and every table, report and file of readings that "
            "was written, wherever it lies."
        )
        return said


def plan_forgetting(project: Project, subjects: Iterable[str]) -> ForgettingPlan:
    """What forgetting these subjects would delete. Nothing is changed.

    Raises :class:`InputError` for a subject that no real frame of the project has.
    """
    wanted = tuple(dict.fromkeys(subjects))
    frames = tuple(frame for frame in project.frames.all() if frame.subject in wanted)
    if missing := set(wanted) - {frame.subject for frame in frames}:
        raise InputError(
            f"The project has no frame of subject {min(missing)}. See fetalstudio frames "
            f"{project.path} list."
        )
    if not frames:
        raise InputError("No subject was chosen. Choose at least one.")
    ids = [frame.id for frame in frames]
    effect = removal_effect(project, ids)
    learned = [model for model in list_models(project) if _learned(project, model, wanted)]
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
        exports=tuple(_exports_with(project.path / "exports", _gone(project, ids))),
        unfinished=tuple(
            run
            for run in project.runs.all()
            if run.state != "finished"
            and state_file(project, run.id).exists()
            and uses(run.data, set(ids), set(project.pairs.made_from(ids)))
        ),
    )


def forget(
    project: Project, plan: ForgettingPlan, *, author: str, remove_models: bool
) -> list[str]:
    """Delete what the plan names for good, with the models that learned from it if asked to.

    Frames that were removed before are deleted for good as well. Returns a sentence for each thing
    that is left to do. Raises :class:`UserError` where a training is under way, for a damaged
    project, and where something cannot be deleted; what was deleted until then is gone, and doing
    it again goes on.
    """
    project.runs.fail_crashed()
    if busy := [run.name for run in project.runs.all() if run.state == "running"]:
        raise UserError(
            f"The training {busy[0]} is under way. Let it end or cancel it, then try again."
        )
    if damage := project.check():
        raise UserError(damage[0])
    for folder in plan.exports:
        _delete(folder)
    for run in plan.unfinished:
        state_file(project, run.id).unlink(missing_ok=True)
    if remove_models:
        for model in plan.learned:
            project.models.remove(model.kind, model.name)
    ids = [frame.id for frame in plan.frames]
    project.amendments.remove(ids, author=author)
    if project.forget(plan.subjects):
        return []
    return [
        f"Another program has {project.path} open. Close it, so that the last traces leave "
        "project.db-wal."
    ]


def _gone(project: Project, ids: Collection[str]) -> set[str]:
    """The ids of these frames, and of the synthetic ones that were made from them."""
    return {*ids, *project.pairs.made_from(ids).values()}


def _learned(project: Project, model: FoundModel, subjects: Collection[str]) -> bool:
    try:
        seen = seen_by(project, model)
    except InputError:
        return model.origin == "project"  # its files are damaged, and nothing denies it
    return any(seen.knows_subject(subject) for subject in subjects)


def _exports_with(folder: Path, ids: Collection[str]) -> Iterable[Path]:
    """The exports below a folder that hold one of these frames."""
    for path in sorted(folder.rglob(PROVENANCE)):
        record = read_bounded(path, _MAX_BYTES)
        if any(frame_id.encode() in record for frame_id in ids):
            yield path.parent


def _delete(folder: Path) -> None:
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise UserError(
            f"{folder} could not be deleted: {error.strerror or error}. Close the programs that "
            "use it and try again."
        ) from error
