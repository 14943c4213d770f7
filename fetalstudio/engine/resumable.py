"""Runs that can be resumed: their names, their checkpoints and the time that they have taken.

The jobs ``train``, ``adapt``, ``adapt-sd`` and ``experiment`` all start, resume and end their runs
here. Importing this module imports no torch.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fetalstudio.core.errors import UserError
from fetalstudio.core.names import checked_model_name, free_model_name
from fetalstudio.core.progress import Stopped
from fetalstudio.engine.models.catalogue import list_models
from fetalstudio.formats.model_card import Kind
from fetalstudio.project.project import Project
from fetalstudio.project.records import Run, RunState

_MAKES: Mapping[str, Kind | None] = {
    "train": "segmenter",
    "adapt": "synthesizer",
    "adapt-sd": "synthesizer",
    "experiment": None,
}
"""What kind of model each of the jobs makes; an experiment makes none."""
_STATE_FILES = ("models/.run-{id}.pt", "models/{id}/state.pt", "models/.adapt-{id}.pt")
"""Where the checkpoint of an unfinished run is; the last two are those of earlier versions."""


class ResumableRun:
    """A run that this process holds: nobody else can resume it or take its name."""

    def __init__(self, project: Project, record: Run) -> None:
        self._project = project
        self.id, self.name = record.id, record.name
        self.history = record.history
        """The entries from before the run was resumed; none of a new run."""
        self.folder = project.path / "models" / str(record.id)
        """Where the run's model goes."""
        self.state_file = state_file(project, record.id)
        """Where the run keeps what it needs to be resumed."""
        before = max((row.get("seconds", 0.0) for row in record.history), default=0.0)
        self._started = time.monotonic() - before

    @property
    def elapsed_s(self) -> float:
        """Seconds that the run has taken, those before it was resumed included."""
        return time.monotonic() - self._started

    def record(self, entry: Mapping[str, Any]) -> None:
        """Append an entry to the history, with ``seconds`` (elapsed) unless it has its own."""
        entry = {"seconds": self.elapsed_s, **entry}
        self._project.runs.update(self.id, history_entry=entry)

    def finish(self, verdict: Mapping[str, Any], *, cancelled: bool = False) -> None:
        """End the run with its verdict. A ``cancelled`` one keeps its checkpoint."""
        state: RunState = "cancelled" if cancelled else "finished"
        self._project.runs.update(self.id, state=state, verdict=verdict)
        if not cancelled:
            self.drop_state()

    def drop_state(self) -> None:
        """Remove the checkpoint: the run cannot be resumed any more."""
        self.state_file.unlink(missing_ok=True)


@contextlib.contextmanager
def resumable_run(
    project: Project,
    job: str,
    *,
    name: str | None,
    stem: str,
    settings: Mapping[str, Any],
    data: Mapping[str, Any],
    resume: Run | None = None,
) -> Iterator[ResumableRun]:
    """Start a run of ``job``, or take up the run ``resume``, and hold it for the ``with`` block.

    A new run is called ``name``, or ``<stem>-<number>`` where that is None. The name is its own
    until it is finished, or can no longer be resumed. A run that the block neither finishes nor
    cancels is marked as failed; after :class:`Stopped` or an interrupt it is marked as cancelled.

    Raises :class:`InputError` for a name that cannot be or is taken, and :class:`UserError` where
    another process is busy with the run ``resume``.
    """
    project.runs.fail_crashed()
    # In one transaction, so that no other process can choose the same name meanwhile.
    with project.transaction():
        if resume is None:
            chosen = _name_of_new(project, job, name, stem)
            record = project.runs.start(chosen, {**settings, "job": job}, data)
        else:
            record = _taken_up(project, resume)
    run = ResumableRun(project, record)
    ended: RunState = "failed"
    try:
        yield run
    except (Stopped, KeyboardInterrupt):
        ended = "cancelled"
        raise
    finally:
        if project.runs.get(run.id).state == "running":
            project.runs.update(run.id, state=ended)


def state_file(project: Project, run_id: int) -> Path:
    """Where an unfinished run keeps what it needs to be resumed; the file may not exist yet."""
    places = [project.path / place.format(id=run_id) for place in _STATE_FILES]
    return next((place for place in places if place.exists()), places[0])


def can_resume(project: Project, run: Run) -> bool:
    """Whether ``run`` was cancelled or failed and has kept what it needs to be resumed.

    An experiment keeps that in its history alone.
    """
    ended = run.state in ("cancelled", "failed")
    return ended and (run.job == "experiment" or state_file(project, run.id).exists())


def newest_resumable(
    project: Project, job: str, matches: Callable[[Run], bool] = lambda run: True
) -> Run | None:
    """The newest run of ``job`` that can be resumed and ``matches``; crashed runs are found too."""
    project.runs.fail_crashed()
    runs = (run for run in project.runs.all() if run.job == job)
    return next((run for run in runs if can_resume(project, run) and matches(run)), None)


def names_in_use(project: Project, kind: Kind | None, *, besides: int | None = None) -> set[str]:
    """The names that a new model of ``kind`` cannot have.

    These are the names of the models that can be loaded and of the runs that are under way or can
    be resumed; those of the run ``besides`` do not count. Without a kind: names of experiments.
    """
    names = {model.name for model in list_models() if model.kind == kind}
    names |= {
        model.name
        for model in project.models.all()
        if model.kind == kind and (model.run_id is None or model.run_id != besides)
    }
    for run in project.runs.all():
        unfinished = run.state == "running" or can_resume(project, run)
        if unfinished and _MAKES.get(run.job) == kind and run.id != besides:
            names.add(run.name)
    return names


def _name_of_new(project: Project, job: str, name: str | None, stem: str) -> str:
    kind = _MAKES[job]
    taken = names_in_use(project, kind)
    if name is not None:
        return checked_model_name(name, taken)
    # Two runs with one name in the list would confuse, even where the first left no model.
    taken |= {run.name for run in project.runs.all() if _MAKES.get(run.job) == kind}
    return free_model_name(stem, taken)


def _taken_up(project: Project, run: Run) -> Run:
    taken = names_in_use(project, _MAKES[run.job], besides=run.id)
    # Earlier versions gave the name of an unfinished run to other runs too.
    other = free_model_name(run.name, taken) if run.name in taken else None
    resumed = project.runs.resume(run.id, name=other)
    if resumed is None:
        raise UserError(
            f"Another process is busy with {run.name} or has just finished it. Wait until it ends."
        )
    return resumed
