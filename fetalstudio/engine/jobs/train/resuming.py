"""Trainings that did not finish and can go on. Importing this imports no torch."""

from __future__ import annotations

from pathlib import Path

from fetalstudio.project.project import Project
from fetalstudio.project.records import Run


def state_file(project: Project, run_id: int) -> Path:
    """Where an unfinished training keeps what it needs to go on."""
    return project.path / "models" / str(run_id) / "state.pt"


def can_go_on(project: Project, run: Run) -> bool:
    """Whether ``run`` is a training that ended after its first epoch and before its last."""
    unfinished = run.job == "train" and run.state in ("cancelled", "failed")
    return unfinished and state_file(project, run.id).exists()
