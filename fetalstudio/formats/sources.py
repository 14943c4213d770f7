"""The formats that frames are imported from, and which of them a source is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.formats import hc18, mask_folders
from fetalstudio.formats.frame_records import FrameSource
from fetalstudio.formats.frame_tables import NOT_USED
from fetalstudio.formats.pictures import KINDS, SUFFIXES
from fetalstudio.formats.unread_files import unread_below, unread_messages

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

    Raises :class:`InputError` if there is no picture, if the format is not known, and if what makes
    up the format is missing or damaged.
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
        found = _folder(source, format)
        unread = unread_below(source)
    except OSError as error:
        raise _unreadable(source, error) from error
    messages = unread_messages(source, unread)
    if not found.records:
        raise InputError(
            f"{source} holds no images ({KINDS}), nor does a folder in it. "
            + " ".join(messages or ("Choose the folder with the frames.",))
        )
    return replace(found, problems=found.problems + messages, unread=unread)


def _folder(source: Path, format: str) -> FrameSource:
    return FORMATS[recognise(source) if format == AUTO else format].read(source)


def _single(path: Path, format: str) -> FrameSource:
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} is not a {KINDS} image. Choose an image.")
    notes: tuple[str, ...] = ()
    try:
        found = _folder(path.parent, format)
        notes = tuple(p for p in found.problems if str(path) in p or p.endswith(NOT_USED))
    except InputError as error:
        if format not in (AUTO, "folder"):
            raise
        # What lies beside it, in a folder of downloads perhaps, need not be about it.
        found = mask_folders.read(path.parent, with_tables=False)
        notes = (f"{error} {path.name} was imported without it.",)
    only = tuple(record for record in found.records if record.path == path)
    # Whoever imports a picture by itself says that it is a frame; its content is still checked.
    only += tuple(replace(record, doubts=()) for record in found.unsure if record.path == path)
    if not only:
        raise InputError(f"{path} annotates a frame and is not one itself. Import the frame.")
    return replace(found, records=only, problems=notes, unsure=())


def _unreadable(source: Path, error: OSError) -> InputError:
    return InputError(
        f"{error.filename or source} cannot be read: {error.strerror}. Check the path."
    )
