"""Folders of frames more than one folder down, as where the folder of each patient or of each part
of a data set has one of images and one of masks in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from fetalstudio.formats.annotations.unread_files import files_below
from fetalstudio.formats.folders.annotation_folders import AnnotationFolders
from fetalstudio.formats.folders.annotation_names import IMAGE_FOLDERS, names_of, shows_a_frame
from fetalstudio.formats.folders.picture_roles import annotations_in, split
from fetalstudio.formats.pictures.picture_files import is_picture
from fetalstudio.formats.privacy.subjects import says_patient


def nested_folders(source: Path, is_apart: Callable[[Path], bool]) -> tuple[Path, ...]:
    """The folders more than one folder down whose pictures are frames.

    A folder of images says so by its name (``P1/img``), and any folder below that of a patient
    (``P1/visit2``). If some folders have masks with them, all of the same depth hold frames. What
    lies in a folder that ``is_apart``, as a data set with a layout of its own, is not looked at.
    """
    pictures: dict[Path, list[Path]] = defaultdict(list)
    for path, depth in files_below(source):
        if depth > 1 and is_picture(path):
            pictures[path.parent].append(path)
    drawn = AnnotationFolders(source)
    open_to: dict[Path, bool] = {source: True}

    def is_open(folder: Path) -> bool:
        if folder not in open_to:
            of_masks = drawn.has(folder) or shows_a_frame(folder.name)
            open_to[folder] = not of_masks and is_open(folder.parent) and not is_apart(folder)
        return open_to[folder]

    there = {folder: found for folder, found in pictures.items() if is_open(folder)}
    depths = {
        _depth(folder) for folder, found in there.items() if _is_annotated(folder, found, drawn)
    }
    return tuple(
        folder
        for folder in there
        if folder.name.lower() in IMAGE_FOLDERS
        or any(map(says_patient, folder.relative_to(source).parts))
        or _depth(folder) in depths
    )


def _depth(folder: Path) -> int:
    return len(folder.parts)


def _is_annotated(folder: Path, pictures: list[Path], folders: AnnotationFolders) -> bool:
    """Whether some of the pictures annotate others, or those of a folder of masks do that lies in
    theirs or beside it."""
    found = split(pictures)
    names = names_of(found.frames)
    masks = filter(folders.has, (*folder.iterdir(), *folder.parent.iterdir()))
    drawn = (found.annotations, annotations_in(list(masks), names))
    return not names.isdisjoint(key for of_frames in drawn for key in of_frames)
