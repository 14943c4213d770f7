"""What a removal, or another subject, of frames would touch, for a person to read before it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from fetalstudio.core.progress import NO_PROGRESS, Progress, followed
from fetalstudio.core.words import counted, listed
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import RemovalEffect

_NAMED = 8
"""How many names of a longer list are shown."""


def removal_effect(
    project: Project, frame_ids: Collection[str], progress: Progress = NO_PROGRESS
) -> RemovalEffect:
    """What ``project.amendments.remove(frame_ids)`` takes with it, and what was made from them.

    Raises :class:`UserError` for a frame that the project does not hold.
    """
    chosen = list(frame_ids)
    frames = [project.frames.get(i) for i in followed(chosen, progress, "reading frames")]
    pairs = [project.pairs.get(pair_id) for pair_id in project.pairs.made_from(frame_ids)]
    ids = {frame.id for frame in frames} | {pair.frame.id for pair in pairs}
    pair_ids = {pair.id for pair in pairs}
    runs = [run for run in project.runs.all() if uses(run.data, ids, pair_ids)]
    return RemovalEffect(
        frames=tuple(frame.name for frame in frames),
        annotations=sum(
            len(project.annotations.revisions(frame.id))
            for frame in followed(frames, progress, "reading annotations")
        ),
        readings=sum(reading.frame_id in ids for reading in project.readings.all()),
        pairs=tuple(pair.frame.name for pair in pairs),
        accepted=sum(pair.state == "accepted" for pair in pairs),
        batch_items=sum(
            item.source_frame in ids and item.number not in made
            for batch in project.batches.unfinished()
            for made in [project.batches.made(batch.id)]
            for item in project.batches.items(batch.id)
        ),
        runs=tuple(run.name for run in reversed(runs)),
        models=_models(project, ids, pair_ids),
    )


def sentences(effect: RemovalEffect) -> list[str]:
    """The effect in words, a sentence for each thing that goes or that is touched."""
    said = [
        f"This removes {counted(len(effect.frames), 'frame')}: {listed(effect.frames, _NAMED)}."
    ]
    if effect.annotations:
        said.append(f"It also removes {counted(effect.annotations, 'annotation revision')}.")
    if effect.readings:
        said.append(f"It also removes {counted(effect.readings, 'reading')}.")
    if effect.pairs:
        accepted = f", {effect.accepted} of them accepted" if effect.accepted else ""
        said.append(
            f"It also removes {counted(len(effect.pairs), 'synthetic pair')} made from them"
            f"{accepted}: {listed(effect.pairs, _NAMED)}."
        )
    if effect.batch_items:
        said.append(f"Unfinished batches will make {counted(effect.batch_items, 'pair')} fewer.")
    if effect.runs:
        said.append(f"Runs that used them keep their records: {listed(effect.runs, _NAMED)}.")
    if effect.models:
        said.append(
            f"Models that were trained on them stay as they are: {listed(effect.models, _NAMED)}. "
            "Train again if the frames must have no influence."
        )
    return said


def subject_effect(project: Project, frame_ids: Collection[str]) -> list[str]:
    """What another subject of these frames means for the runs that used them: sentences."""
    ids = set(frame_ids)
    runs = [run.name for run in reversed(project.runs.all()) if uses(run.data, ids, ())]
    if not runs:
        return []
    return [
        f"Runs that used them under their present subject: {listed(runs, _NAMED)}. If that is "
        "wrong, a patient may have been in two parts of their split, and their figures are too "
        "good. Train again after the correction."
    ]


def _models(project: Project, ids: Collection[str], pair_ids: Collection[int]) -> tuple[str, ...]:
    runs = {run.id: run for run in project.runs.all()}
    found: list[tuple[str, str]] = []
    # The oldest first: a model may have started from an older one.
    for model in reversed(project.models.all()):
        run = runs.get(model.run_id or 0)
        if run is None:
            continue
        parent = model.kind, str(run.settings.get("started_from"))
        # The frames of the test part were measured on, not learned from.
        learned = {part: value for part, value in run.data.items() if part != "test"}
        if uses(learned, ids, pair_ids) or parent in found:
            found.append((model.kind, model.name))
    return tuple(name for _, name in found)


def uses(data: Any, ids: Collection[str], pair_ids: Collection[int]) -> bool:
    """Whether a run's data, nested by part, holds one of the frames, or one of the pairs."""
    if isinstance(data, Mapping):
        pairs = data.get("pairs")
        if isinstance(pairs, list) and any(isinstance(p, int) and p in pair_ids for p in pairs):
            return True
        return any(uses(value, ids, pair_ids) for value in data.values())
    if isinstance(data, list | tuple):
        return any(uses(value, ids, pair_ids) for value in data)
    return data in ids
