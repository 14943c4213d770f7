"""Where a project's exports were written, so that forgetting a patient finds them.

A project may be passed on and holds no path of a person's computer. The places are kept in the
user's settings, a file for each project under its random id, as its secret is. With each is the
SHA-256 of the export's manifest, which tells whether the folder still holds that export. An export
in the project's own folder needs no entry.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.formats.files import read_bounded, sha256_of, write_bytes
from fetalstudio.formats.manifest import MANIFEST
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
    others = {place: digest for place, digest in export_places(project).items() if place != folder}
    _write(project, {**others, folder: sha256_of(folder / MANIFEST)})


def export_places(project: Project) -> Mapping[Path, str]:
    """The folders outside the project into which exports were written on this computer, the oldest
    first, whether they are still there or not; and the SHA-256 of each export's manifest, in
    hexadecimal digits.

    Raises :class:`InputError` for a damaged file.
    """
    path = _path(project)
    if not path.exists():
        return {}
    try:
        manifests = json.loads(read_bounded(path, _MAX_BYTES))["manifests"]
        if not all(isinstance(digest, str) for digest in manifests.values()):
            raise ValueError("a hash is no text")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path}, which says where exports of this project were written, is damaged. Delete "
            "it, and look for exports yourself when you forget a patient."
        ) from error
    return {Path(folder): digest for folder, digest in manifests.items()}


def drop_places(project: Project, folders: Iterable[Path]) -> None:
    """Remember these folders no longer. Raises as :func:`remember_export`."""
    gone = set(folders)
    _write(project, {p: digest for p, digest in export_places(project).items() if p not in gone})


def _write(project: Project, manifests: Mapping[Path, str]) -> None:
    newest = islice(manifests.items(), max(0, len(manifests) - _MOST), None)
    value = {"manifests": {str(folder): digest for folder, digest in newest}}
    write_bytes(_path(project), (json.dumps(value, indent=1) + "\n").encode())


def _path(project: Project) -> Path:
    return user_config_dir() / "exports" / f"{project.patients.project_id}.json"
