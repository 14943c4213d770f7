"""Where a project's exports were written, so that forgetting a patient finds them.

A project may be passed on and holds no path of a person's computer. The places are kept in the
user's settings, a file for each project under its random id, as its secret is. An export in the
project's own folder needs no entry.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.formats.files import read_bounded, write_bytes
from fetalstudio.project.project import Project
from fetalstudio.resources import user_config_dir

_MOST = 10_000
"""Folders that are remembered of a project, the newest."""
_MAX_BYTES = 64 * 2**20


def remember_export(project: Project, folder: Path) -> None:
    """Remember that an export of the project was written into a folder, an absolute path.

    Raises :class:`UserError` where it cannot be, and :class:`InputError` as
    :func:`export_places`.
    """
    if folder.is_relative_to(project.path):
        return
    others = [place for place in export_places(project) if place != folder]
    _write(project, [*others, folder])


def export_places(project: Project) -> tuple[Path, ...]:
    """The folders outside the project into which exports were written on this computer, the oldest
    first, whether they are still there or not.

    Raises :class:`InputError` for a damaged file.
    """
    path = _path(project)
    if not path.exists():
        return ()
    try:
        folders = json.loads(read_bounded(path, _MAX_BYTES))["folders"]
        if not all(isinstance(folder, str) for folder in folders):
            raise ValueError("a folder is no text")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(
            f"{path}, which says where exports of this project were written, is damaged. Delete "
            "it, and look for exports yourself when you forget a patient."
        ) from error
    return tuple(map(Path, folders))


def drop_places(project: Project, folders: Iterable[Path]) -> None:
    """Remember these folders no longer. Raises as :func:`remember_export`."""
    gone = set(folders)
    _write(project, [place for place in export_places(project) if place not in gone])


def _write(project: Project, folders: list[Path]) -> None:
    value = {"folders": [str(folder) for folder in folders[-_MOST:]]}
    write_bytes(_path(project), (json.dumps(value, indent=1) + "\n").encode())


def _path(project: Project) -> Path:
    return user_config_dir() / "exports" / f"{project.patients.project_id}.json"
