"""Importing frames that keep the names of their files, for tests about what is found in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fetalstudio.project.importing import importers
from fetalstudio.project.importing.importers import ImportReport
from fetalstudio.project.project import Project


def import_named(project: Project, source: Path, **options: Any) -> ImportReport:
    """As :func:`fetalstudio.project.importing.importers.import_frames`."""
    return importers.import_frames(project, source, keep_names=True, **options)


def keys(project: Project, *patients: str) -> list[str]:
    """The keys of these patients in the project."""
    return [project.patients.key(patient) for patient in patients]
