"""Which folders hold annotations, by their names and by the folders that lie beside them.

Many names say it: ``masks``, ``labelsTr``. Others say it only beside a folder of images: ``target``
beside ``input``, ``y`` beside ``x``. Patients, sites and videos may be called so, too. So such a
folder counts only if each of its pictures has the name of one in the other folder, and if they are
masks.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.formats.folders.annotation_names import (
    IMAGE_FOLDERS,
    INPUTS,
    TARGETS,
    is_mask_folder,
    names_of,
    shows_a_frame,
)
from fetalstudio.formats.folders.annotation_words import may_be_a_models, no_head_in
from fetalstudio.formats.folders.picture_roles import annotations_in
from fetalstudio.formats.pictures.marked_regions import is_annotation
from fetalstudio.formats.pictures.picture_files import is_picture, pictures_in, read_image

_TARGET = re.compile(rf"(?<![^\W_])(?:{'|'.join(TARGETS)})(?![^\W_])")
_MOST_FOLDERS = 100_000
_LOOKED_AT = 3
"""Pictures of a folder by which it holds masks."""


class AnnotationFolders:
    """The folders of annotations in a source and beside it.

    Some of the pictures in folders that are called as the outputs of a model are decoded.
    """

    def __init__(self, source: Path) -> None:
        self._source = source
        self._images = _targets([*_folders_below(source), *_neighbours(source)])

    def has(self, folder: Path) -> bool:
        """Whether a folder is one of annotations."""
        return is_mask_folder(folder) or folder in self._images

    def is_target(self, folder: Path) -> bool:
        """Whether only the folders of images beside a folder show that it is one of annotations."""
        return folder in self._images and not is_mask_folder(folder)

    def has_around(self, folder: Path) -> bool:
        """Whether a folder in the source is one of annotations or of overlays, or lies in one."""
        above = [p for p in (folder, *folder.parents) if _is_in(p, self._source)]
        return any(self.has(p) or shows_a_frame(p.name) for p in above)

    def beside(self, folder: Path) -> list[Path]:
        """Folders of annotations of heads beside one whose name says that it holds images alone,
        and those whose pictures are known to annotate its own."""
        shown = sorted(path for path, images in self._images.items() if folder in images)
        of_heads = [path for path in shown if no_head_in(path.name) is None]
        return list(dict.fromkeys((*annotations_beside(folder), *of_heads)))

    def of_part(self, folder: Path) -> list[Path]:
        """Those of ``images/train``: ``masks/train``."""
        inside = (above / folder.name for above in self.beside(folder.parent))
        return [path for path in inside if path.is_dir()]

    def of_folder(self, folder: Path) -> list[Path]:
        """Those that are about the frames of one folder in the source: those in it, those that only
        this folder shows to be such, and those beside it where they are not about the frames of
        all folders."""
        source = self._source
        inside = () if folder == source else sorted(folder.iterdir())
        beside = [] if source in (folder, folder.parent) else sorted(folder.parent.iterdir())
        if folder.name.lower() not in IMAGE_FOLDERS:
            others = (p for p in beside if p.is_dir() and p != folder and not self.has(p))
            if any(map(pictures_in, others)):
                beside = []  # they may be about the frames of another folder
        shown = (p for p, images in self._images.items() if folder in images and folder != source)
        targets = sorted(p for p in shown if self.is_target(p) and no_head_in(p.name) is None)
        return [*filter(is_mask_folder, (*inside, *beside)), *targets]


def annotations_beside(folder: Path) -> list[Path]:
    """Folders that are called as those of annotations of heads beside one whose name says that it
    holds images alone."""
    return [path for path in _annotations_beside(folder) if no_head_in(path.name) is None]


def others_beside(source: Path) -> dict[Path, str]:
    """Such folders of annotations of something else, each with the word that says so, beside the
    source and beside the folder that it is a part of."""
    above = (p for p in _annotations_beside(source.parent) if (p / source.name).is_dir())
    beside = (*_annotations_beside(source), *above)
    return {path: word for path in beside if (word := no_head_in(path.name))}


def _annotations_beside(folder: Path) -> list[Path]:
    if folder.name.lower() not in IMAGE_FOLDERS:
        return []
    return [path for path in _neighbours(folder) if is_mask_folder(path)]


def _neighbours(folder: Path) -> list[Path]:
    """What lies beside a folder; nothing where that cannot be listed."""
    try:
        return sorted(p for p in folder.parent.iterdir() if p != folder)
    except OSError:
        return []


def _folders_below(source: Path) -> list[Path]:
    """The visible folders below; links are not followed."""
    found: list[Path] = []
    for folder, folders, _ in islice(os.walk(source), _MOST_FOLDERS):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += (Path(folder, name) for name in folders)
    return found


def _is_in(path: Path, source: Path) -> bool:
    return path.is_relative_to(source) and path != source


def _targets(folders: Iterable[Path]) -> Mapping[Path, frozenset[Path]]:
    """Those of the folders that hold annotations as the ones beside them show, each with these."""
    found: dict[Path, set[Path]] = defaultdict(set)
    for path in folders:
        says_so = is_mask_folder(path)
        names = INPUTS if says_so else _image_names(path.name.lower())
        beside = _neighbours(path) if names and path.is_dir() else []
        images = [p for p in beside if p.name.lower() in names and p.is_dir()]
        if images and not says_so and any(map(_holds_masks, beside)):
            continue  # what says that it holds masks counts
        found[path].update(p for p in images if _annotates(path, p))
    sure = {path.parent for path, images in found.items() if images and not _is_unsure(path)}
    return {
        path: frozenset(images)
        for path, images in found.items()
        if images and not (_is_unsure(path) and path.parent in sure)
    }


def _is_unsure(folder: Path) -> bool:
    return may_be_a_models(folder.name) and not is_mask_folder(folder)


def _image_names(name: str) -> frozenset[str]:
    """What the folder of images is called beside one of annotations of this name (lower case)."""
    return frozenset(
        f"{name[: match.start()]}{images}{name[match.end() :]}"
        for match in _TARGET.finditer(name)
        for images in TARGETS[match[0]]
    )


def _holds_masks(folder: Path) -> bool:
    return is_mask_folder(folder) and any(map(is_picture, folder.rglob("*")))


def _annotates(folder: Path, images: Path) -> bool:
    """Whether each picture of a folder annotates one in the other, which is divided in the same
    way, and the first ones are masks."""
    pictures: list[Path] = []
    try:
        for part in (folder, *_folders_below(folder)):
            drawn = pictures_in(part)
            frames = images / part.relative_to(folder)
            names = names_of(pictures_in(frames) if drawn and frames.is_dir() else ())
            if not names.issuperset(annotations_in([part], names)):
                return False
            pictures += drawn
    except OSError:
        return False
    return bool(pictures) and all(map(_is_mask, pictures[:_LOOKED_AT]))


def _is_mask(path: Path) -> bool:
    try:
        return is_annotation(read_image(path))
    except (InputError, OSError):
        return False  # it is named where it is read as a frame
