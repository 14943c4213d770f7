"""Importing frames that keep the names of their files, for tests about what is found in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fetalstudio.project.importing import importers
from fetalstudio.project.importing.importers import ImportReport
from fetalstudio.project.importing.options import ImportOptions
from fetalstudio.project.project import Project


def import_named(
    project: Project, source: Path, *, keep_labels: tuple[str, ...] = (), **others: Any
) -> ImportReport:
    """As :func:`fetalstudio.project.importing.importers.import_frames`."""
    options = ImportOptions(keep_names=True, keep_labels=keep_labels)
    return importers.import_frames(project, source, options=options, **others)


def keys(project: Project, *patients: str) -> list[str]:
    """The keys of these patients in the project."""
    return [project.patients.key(patient) for patient in patients]
