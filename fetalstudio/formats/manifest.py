"""The list of a data set's files with their SHA-256, and the check of a data set against it.

``manifest-sha256.txt`` is as BagIt and ``sha256sum --check`` have it: a hash, two spaces and a path
a line. ``synthetic-files.txt`` lists the pictures that say in their file that they are synthetic.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.formats.dicom import source as dicom
from fetalstudio.formats.files import is_inside, read_bounded, sha256_of, write_bytes
from fetalstudio.formats.pictures import picture_files
from fetalstudio.formats.pictures.picture_files import is_synthetic

MANIFEST, SYNTHETIC_FILES = "manifest-sha256.txt", "synthetic-files.txt"
_MAX_BYTES = 256 * 2**20
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_OF_THE_SYSTEM = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
"""Names (lower case) of files that file managers leave in any folder."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a data set has become since it was written. Paths are relative, with ``/``."""

    files: int
    """Files that the manifest lists."""
    missing: tuple[str, ...]
    changed: tuple[str, ...]
    """Files with another content."""
    added: tuple[str, ...]
    """Files that the manifest does not list."""
    unmarked: tuple[str, ...]
    """Synthetic pictures that no longer say so."""

    @property
    def whole(self) -> bool:
        """Whether it is what was written, file by file."""
        return not (self.missing or self.changed or self.added or self.unmarked)


def write_manifest(folder: Path) -> None:
    """List all files below ``folder``. Nothing may be written into it afterwards.

    Raises :class:`~fetalstudio.core.errors.UserError` where it cannot be written.
    """
    synthetic = [name for name in _files(folder) if is_synthetic(_note_in(folder / name))]
    write_bytes(folder / SYNTHETIC_FILES, "".join(f"{name}\n" for name in synthetic).encode())
    lines = [f"{sha256_of(folder / name)}  {name}\n" for name in _files(folder)]
    write_bytes(folder / MANIFEST, "".join(lines).encode())


def check_manifest(folder: Path, progress: Progress = NO_PROGRESS) -> Checked:
    """Compare the files below ``folder`` with its manifest.

    Raises :class:`InputError` where there is no manifest or it is damaged, and
    :class:`~fetalstudio.core.progress.Stopped` if asked to.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder. Name the folder of a data set.")
    if not (folder / MANIFEST).exists():
        raise InputError(
            f"{folder} has no {MANIFEST}, so it cannot be checked. Name the folder that an export "
            "wrote."
        )
    listed = _listed(folder / MANIFEST)
    there = set(_files(folder))
    missing: list[str] = []
    changed: list[str] = []
    for done, (name, digest) in enumerate(listed.items()):
        progress.advance(done, len(listed))
        if name not in there:
            missing.append(name)
        elif sha256_of(folder / name) != digest:
            changed.append(name)
    progress.advance(len(listed), len(listed))
    synthetic = _lines(folder / SYNTHETIC_FILES) if SYNTHETIC_FILES in there else []
    unmarked = [n for n in synthetic if n in there and not is_synthetic(_note_in(folder / n))]
    added = sorted(name for name in there - listed.keys() if not _is_the_systems(name))
    return Checked(len(listed), *map(tuple, (missing, changed, added, unmarked)))


def remove_listed(folder: Path) -> list[str]:
    """Delete the files below ``folder`` that are as its manifest lists them, the manifest, and the
    folders that are then empty. Returns what is left of the folder, such as files that were changed
    since: paths of files, sorted.

    Raises :class:`InputError` as :func:`check_manifest`, and
    :class:`~fetalstudio.core.errors.UserError` where a file cannot be deleted.
    """
    if not (folder / MANIFEST).is_file():
        raise InputError(
            f"{folder} has no {MANIFEST}, so it is not known which of its files an export wrote. "
            "Delete it yourself."
        )
    listed = _listed(folder / MANIFEST)
    inside = folder.resolve()
    try:
        for name, digest in listed.items():
            path = folder / name
            if not path.parent.resolve().is_relative_to(inside):
                continue  # a link leads out of it
            if path.is_symlink() or (path.is_file() and sha256_of(path) == digest):
                path.unlink()
        (folder / MANIFEST).unlink()
        for parent, _, _ in os.walk(folder, topdown=False):
            if not any(Path(parent).iterdir()):
                Path(parent).rmdir()
    except OSError as error:
        raise UserError(
            f"{folder} could not be deleted: {error.strerror or error}. Close the programs that "
            "use it and try again."
        ) from error
    return _files(folder) if folder.is_dir() else []


def _note_in(path: Path) -> str | None:
    """The note that a picture of ours carries, whatever its format."""
    of_dicom = path.suffix.lower() in dicom.DICOM_SUFFIXES
    return dicom.note_in(path) if of_dicom else picture_files.note_in(path)


def _files(folder: Path) -> list[str]:
    """The regular files below, sorted, without the manifest; links are not followed."""
    paths = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    regular = (path for path in paths if path.is_file() and not path.is_symlink())
    found = sorted(path.relative_to(folder).as_posix() for path in regular)
    return [name for name in found if name != MANIFEST]


def _is_the_systems(name: str) -> bool:
    return name.rpartition("/")[2].lower() in _OF_THE_SYSTEM


def _listed(path: Path) -> dict[str, str]:
    """The hash of each file by its path."""
    listed: dict[str, str] = {}
    for number, line in enumerate(_lines(path), 1):
        found = _LINE.fullmatch(line)
        if found is None or not is_inside(found[2]) or found[2] in listed:
            raise InputError(
                f"{path}, line {number}: it does not give the SHA-256 and the path of a file. Copy "
                "the data set again."
            )
        listed[found[2]] = found[1]
    return listed


def _lines(path: Path) -> list[str]:
    try:
        return read_bounded(path, _MAX_BYTES).decode().splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is damaged. Copy the data set again.") from error
