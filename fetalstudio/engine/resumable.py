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
from fetalstudio.engine.process.job import CancelCheck, Report, report_in_run
from fetalstudio.engine.process.progress import Steps
from fetalstudio.project.models import ModelKind
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Run, RunState

_MAKES: Mapping[str, ModelKind | None] = {
    "train": "segmenter",
    "adapt": "synthesizer",
    "adapt-sd": "synthesizer",
    "experiment": None,
}
"""The kind of model that each job makes; an experiment makes none."""
_STATE_FILES = ("models/.run-{id}.pt", "models/{id}/state.pt", "models/.adapt-{id}.pt")
"""Where the checkpoint of an unfinished run is; the last two are those of earlier versions."""


class ResumableRun:
    """A run that this process holds. No other process can resume it or take its name."""

    def __init__(
        self, project: Project, record: Run, report: Report, cancelled: CancelCheck
    ) -> None:
        self.project = project
        self.id, self.name = record.id, record.name
        self.report = report_in_run(report, project.path, record.id)
        """Reports an event of the job, which then names this run."""
        self.cancelled = cancelled
        """How the job is asked to stop."""
        self.has_model = any(model.run_id == record.id for model in project.models.all())
        """Whether the project has a model of this run."""
        self._job = record.job
        self.history = record.history
        """The entries from before the run was resumed; empty for a new run."""
        self.folder = project.path / "models" / str(record.id)
        """The folder for the run's model."""
        self.state_file = state_file(project, record.id)
        """The file with which the run can be resumed."""
        before = max((row.get("seconds", 0.0) for row in record.history), default=0.0)
        self._started = time.monotonic() - before

    @property
    def elapsed_s(self) -> float:
        """Seconds that the run has taken, including those before it was resumed."""
        return time.monotonic() - self._started

    def record(self, entry: Mapping[str, Any]) -> None:
        """Append an entry to the history. ``seconds`` is :attr:`elapsed_s` unless it is given."""
        entry = {"seconds": self.elapsed_s, **entry}
        self.project.runs.update(self.id, history_entry=entry)

    def steps(
        self, total: int | None, note: str = "", *, done: int = 0, finishing: bool = False
    ) -> Steps:
        """The progress of ``total`` steps of this run; see :class:`Steps`."""
        return Steps(total, self.report, self.cancelled, note, done=done, finishing=finishing)

    def add_model(self, metrics: Mapping[str, Any]) -> None:
        """Add the model in :attr:`folder` to the project, unless an earlier step has added it.

        Raises :class:`InputError` for a name that was taken in the meantime.
        """
        kind = _MAKES[self._job]
        assert kind is not None  # an experiment has no folder with a model
        if not self.has_model:
            path = self.folder.relative_to(self.project.path).as_posix()
            self.project.models.add(self.name, kind, path, run_id=self.id, metrics=metrics)
            self.has_model = True

    def finish(self, verdict: Mapping[str, Any], *, cancelled: bool = False) -> None:
        """End the run with its verdict. A ``cancelled`` run keeps its checkpoint."""
        state: RunState = "cancelled" if cancelled else "finished"
        self.project.runs.update(self.id, state=state, verdict=verdict)
        if not cancelled:
            self.drop_state()

    def drop_state(self) -> None:
        """Remove the checkpoint. The run can then no longer be resumed."""
        self.state_file.unlink(missing_ok=True)


@contextlib.contextmanager
def resumable_run(
    project: Project,
    job: str,
    report: Report,
    cancelled: CancelCheck,
    *,
    name: str | None,
    stem: str,
    settings: Mapping[str, Any],
    data: Mapping[str, Any],
    resume: Run | None = None,
) -> Iterator[ResumableRun]:
    """Start a run of ``job``, or resume the run ``resume``, and hold it for the ``with`` block.

    ``report`` and ``cancelled`` are those of the job, which it uses through the run from then on.

    A new run is called ``name``, or ``<stem>-<number>`` where that is None. No other run gets this
    name until the run is finished or can no longer be resumed. A run that the block neither
    finishes nor cancels is marked as failed. A run that is left by :class:`Stopped` or an
    interrupt is marked as cancelled.

    Raises :class:`InputError` for a name that is not allowed or is taken, and :class:`UserError`
    where another process is working on the run ``resume``.
    """
    project.runs.fail_crashed()
    # In one transaction, so that no other process can choose the same name in between.
    with project.transaction():
        if resume is None:
            chosen = _name_of_new(project, job, name, stem)
            record = project.runs.start(chosen, {**settings, "job": job}, data)
        else:
            record = _taken_up(project, resume)
    run = ResumableRun(project, record, report, cancelled)
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
    """The file with which an unfinished run can be resumed. It may not exist yet."""
    places = [project.path / place.format(id=run_id) for place in _STATE_FILES]
    return next((place for place in places if place.exists()), places[0])


def can_resume(project: Project, run: Run) -> bool:
    """Whether ``run`` was cancelled or failed, and has kept what it needs to be resumed.

    An experiment needs only its history.
    """
    ended = run.state in ("cancelled", "failed")
    return ended and (run.job == "experiment" or state_file(project, run.id).exists())


def newest_resumable(
    project: Project, job: str, matches: Callable[[Run], bool] = lambda run: True
) -> Run | None:
    """The newest run of ``job`` that can be resumed and ``matches``; crashed runs count too."""
    project.runs.fail_crashed()
    runs = (run for run in project.runs.all() if run.job == job)
    return next((run for run in runs if can_resume(project, run) and matches(run)), None)


def cohort_now(project: Project, run: Run) -> str | None:
    """The cohort that ``run`` learns from, by its present name; None where it learns from all.

    A cohort that was renamed is recognised by the frames of the run. Where they are no longer in
    one cohort, this is the name with which the run was started, which may be gone.
    """
    cohort: str | None = run.settings.get("cohort")
    if cohort is None:
        return None
    learnt = {
        frame_id for part in ("train", "validation", "test") for frame_id in run.data.get(part, ())
    }
    now = {frame.cohort for frame in project.frames.all() if frame.id in learnt}
    return now.pop() if len(now) == 1 else cohort


def check_new_name(project: Project, job: str, name: str | None) -> None:
    """Raise :class:`InputError` for a name that a new run of ``job`` cannot have.

    A job calls this before its long preparations; :func:`resumable_run` checks again.
    """
    if name is not None:
        project.runs.fail_crashed()
        checked_model_name(name, names_in_use(project, _MAKES[job]))


def names_in_use(
    project: Project, kind: ModelKind | None, *, besides: int | None = None
) -> set[str]:
    """The names that a new model of ``kind`` cannot have.

    These are the names of the models that can be loaded, and of the runs that are under way or can
    be resumed. The names of the run ``besides`` do not count. If ``kind`` is None, these are the
    names of experiments.
    """
    names = {model.name for model in list_models() if model.kind == kind}
    names |= {
        model.name
        for model in project.models.all()
        if model.kind == kind and (model.run_id is None or model.run_id != besides)
    }
    names |= project.models.removed(kind) if kind is not None else set()
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
    # Two runs of the same name would be confusing, even if the first left no model.
    taken |= {run.name for run in project.runs.all() if _MAKES.get(run.job) == kind}
    return free_model_name(stem, taken)


def _taken_up(project: Project, run: Run) -> Run:
    taken = names_in_use(project, _MAKES[run.job], besides=run.id)
    # Earlier versions gave the name of an unfinished run to other runs too.
    other = free_model_name(run.name, taken) if run.name in taken else None
    resumed = project.runs.resume(run.id, name=other)
    if resumed is None:
        raise UserError(
            f"Another process is working on {run.name}, or has just finished it. Wait until it "
            "ends and look at the list of runs (Train; or fetalstudio runs PROJECT)."
        )
    return resumed
