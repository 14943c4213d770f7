"""What an experiment that was stopped goes on with."""

from __future__ import annotations

from dataclasses import fields, replace

from fetalstudio.core.training_settings import TrainingSettings, settings_of
from fetalstudio.engine.jobs.experiment.findings import Trained
from fetalstudio.engine.jobs.experiment.mixes import BEFORE, MIXES
from fetalstudio.engine.jobs.experiment.request import ExperimentRequest
from fetalstudio.engine.resumable import cohort_now
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Run


def own_settings(settings: TrainingSettings) -> TrainingSettings:
    """The settings with the experiment's own values.

    Without copies and patience, mixes of the same size take the same number of steps.
    """
    return replace(settings, copies=1, patience=settings.epochs, seed=0)


def request_of(run: Run, project: Project) -> ExperimentRequest:
    """The request that resumes a run of the project: that with which it began, with the present
    name of its cohort."""
    known = {field.name for field in fields(ExperimentRequest)}
    stored = {k: v for k, v in run.settings.items() if k in known}
    settings = own_settings(settings_of(run.settings))
    now = {"project": project.path, "cohort": cohort_now(project, run), "settings": settings}
    return ExperimentRequest(**{**stored, **now})


def trainings_of(run: Run) -> tuple[int, int]:
    """How many trainings of an experiment have ended, and how many it has."""
    ended = sum(Trained.of_row(row).mix != BEFORE for row in run.history)
    return ended, len(MIXES) * len(run.data["drawn"])
