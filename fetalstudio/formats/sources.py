"""The formats that frames are imported from, and which of them a source is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.formats import hc18, mask_folders
from fetalstudio.formats.frame_records import FrameSource
from fetalstudio.formats.pictures import SUFFIXES

AUTO = "auto"
"""Take the first format that recognises the source."""


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """How frames can lie in a folder."""

    recognise: Callable[[Path], bool]
    """Whether the folder is in this format."""
    read: Callable[[Path], FrameSource]
    """Find the frames; opens no picture. Raises :class:`InputError`, and ``OSError`` for a folder
    that cannot be listed."""


FORMATS: Mapping[str, SourceFormat] = {
    "hc18": SourceFormat(hc18.recognise, hc18.read),
    "folder": SourceFormat(mask_folders.recognise, mask_folders.read),
}
"""By name, the most particular first. A new format joins by an entry here."""


def recognise(source: Path) -> str:
    """The name of the format that a folder is in."""
    return next(name for name, format in FORMATS.items() if format.recognise(source))


def read_source(source: Path, format: str = AUTO) -> FrameSource:
    """Find the frames in a folder, or a single picture with what lies beside it.

    ``format`` is :data:`AUTO` or a name in :data:`FORMATS`. No picture is opened.

    Raises :class:`InputError` if there is no picture, if the format is not known, and if a table
    is missing, cannot be read or lacks columns.
    """
    if format != AUTO and format not in FORMATS:
        known = ", ".join((AUTO, *FORMATS))
        raise InputError(f"There is no format {format!r} to import from. Choose one of {known}.")
    source = Path(source).absolute()
    try:
        if source.is_file():
            return _single(source, format)
        if not source.is_dir():
            raise InputError(f"{source} does not exist. Check the path.")
        found = FORMATS[recognise(source) if format == AUTO else format].read(source)
        if not found.records:
            raise InputError(
                f"{source} holds no images (PNG, JPEG, TIFF or BMP), nor does a folder in it. "
                + " ".join(mask_folders.unread([source]) or ("Choose the folder with the frames.",))
            )
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}. Check the path.") from error
    return found


def _single(path: Path, format: str) -> FrameSource:
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} is not a PNG, JPEG, TIFF or BMP image. Choose an image.")
    notes: tuple[str, ...] = ()
    try:
        found = read_source(path.parent, format)
    except InputError as error:
        if format not in (AUTO, "folder"):
            raise
        # A table that lies beside it, in a folder of downloads perhaps, need not be about it.
        found = mask_folders.read(path.parent, with_tables=False)
        notes = (f"{error} {path.name} was imported without it.",)
    only = tuple(record for record in found.records if record.path == path)
    if not only:
        raise InputError(f"{path} annotates a frame and is not one itself. Import the frame.")
    return replace(found, records=only, problems=notes)
