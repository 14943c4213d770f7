"""Annotation files of other programs beside frames: which there are, and which frame each is about.

What they say is joined to the frames that another format has found. Nothing is guessed: of several
structures the head is known by its name or asked for, an outline for a picture of another size is
refused, and of two outlines of one head none is used.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from urllib.parse import unquote

from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Affine, Size
from fetalstudio.formats.annotations import coco, cvat, label_studio, labelme, via, voc, yolo
from fetalstudio.formats.annotations.shapes import (
    AnnotatedPicture,
    Shape,
    is_head,
    is_neutral,
    plain_label,
)
from fetalstudio.formats.annotations.unread_files import files_below
from fetalstudio.formats.documents import MAX_BYTES
from fetalstudio.formats.files import read_bounded, start_of
from fetalstudio.formats.pictures.picture_files import SUFFIXES, orientation_in
from fetalstudio.formats.reading.frame_records import FrameRecord, FrameSource
from fetalstudio.formats.reading.outline_pictures import SAME_DICE, ShownEllipse
from fetalstudio.formats.tables.frame_rows import some
from fetalstudio.formats.tables.names import key_of
from fetalstudio.formats.writing.carries import Outline
from fetalstudio.formats.writing.croissant import CROISSANT

_SNIFFED_BYTES = 1 << 18
_OURS = b'"fetalstudio-'
_EQUAL = 0.999
"""Dice from which one outline repeats another."""
_RANKS: Sequence[Outline] = ("exact", "polygon", "mask", "ring", "box")
"""Which outline counts where several agree, the most exact first."""


@dataclass(frozen=True, slots=True)
class AnnotationKind:
    """A format of annotation files."""

    title: str
    suffixes: tuple[str, ...]
    """Of its files, in lower case."""
    matches: Callable[[bytes], bool]
    """Whether a file that begins with these bytes may be in the format."""
    read: Callable[[Path, bytes], Sequence[AnnotatedPicture] | None]
    """The pictures in a file, given its content; None where it is in another format after all.
    Raises ``ValueError`` with the reason for a damaged file."""
    ellipse: tuple[Outline, ...]
    """How it can hold an ellipse."""


ANNOTATION_KINDS: Mapping[str, AnnotationKind] = {
    "coco": AnnotationKind("COCO", (".json",), coco.matches, coco.read, ("polygon", "mask", "box")),
    "labelme": AnnotationKind(
        "labelme", (".json",), labelme.matches, labelme.read, ("polygon", "mask", "box")
    ),
    "cvat": AnnotationKind(
        "CVAT for images", (".xml",), cvat.matches, cvat.read, ("exact", "polygon", "mask", "box")
    ),
    "voc": AnnotationKind(
        "Pascal VOC", (".xml",), voc.matches, voc.read, ("mask", "polygon", "box")
    ),
    "yolo": AnnotationKind("YOLO", (".txt",), yolo.matches, yolo.read, ("polygon", "box")),
    "labelstudio": AnnotationKind(
        "Label Studio",
        (".json",),
        label_studio.matches,
        label_studio.read,
        ("exact", "polygon", "mask", "box"),
    ),
    "via": AnnotationKind(
        "VGG Image Annotator", (".json", ".csv"), via.matches, via.read, ("exact", "polygon", "box")
    ),
}
"""By name. A new kind joins by an entry here."""


@dataclass(frozen=True, slots=True)
class Annotations:
    """What the annotation files of a source say."""

    pictures: tuple[AnnotatedPicture, ...] = ()
    files: frozenset[Path] = frozenset()
    """The annotation files, those that could not be used too."""
    problems: tuple[str, ...] = ()

    def folders(self, source: Path) -> tuple[Path, ...]:
        """Folders more than one level down that hold a picture which an annotation names."""
        names = {key_of(PurePath(_parts(p.name)[-1]).stem) for p in self.pictures}
        return tuple(
            sorted(
                {
                    path.parent
                    for path, depth in files_below(source)
                    if depth > 1 and path.suffix.lower() in SUFFIXES
                    if key_of(path.stem) in names or key_of(unquote(path.stem)) in names
                }
            )
        )


def find_annotations(
    folders: Iterable[Path], kinds: Mapping[str, AnnotationKind] = ANNOTATION_KINDS
) -> Annotations:
    """Read the annotation files of these kinds in and below the folders."""
    pictures: list[AnnotatedPicture] = []
    files: set[Path] = set()
    problems: list[str] = []
    suffixes = {suffix for kind in kinds.values() for suffix in kind.suffixes}
    for folder in folders:
        for path, _ in files_below(folder):
            suffix = path.suffix.lower()
            # A croissant.json is one even where its beginning is damaged.
            if suffix not in suffixes or path.name == CROISSANT:
                continue
            head = start_of(path, _SNIFFED_BYTES)
            if _OURS in head[:1000]:
                continue
            for kind in kinds.values():
                if suffix not in kind.suffixes or not kind.matches(head):
                    continue
                try:
                    found = kind.read(path, read_bounded(path, MAX_BYTES))
                except InputError as error:
                    problems.append(f"{error} The annotations in it were not used.")
                except ValueError as error:
                    problems.append(
                        f"{path} was taken for {kind.title} and cannot be used: {error}. Export "
                        "it again."
                    )
                else:
                    if found is None:
                        continue
                    pictures += found
                files.add(path)
                break
    return Annotations(tuple(pictures), frozenset(files), tuple(problems))


def with_annotations(
    found: FrameSource, annotations: Annotations, head_label: str | None = None
) -> FrameSource:
    """Join what annotation files say to the frames that they are about.

    ``head_label`` says how the head is called in them.
    """
    claims, problems = _claims(annotations.pictures, [record.path for record in found.records])
    labels = sorted({shape.label for p in annotations.pictures for shape in p.shapes})
    problems += tuple(
        f"{p.file}: what it holds about {_parts(p.name)[-1]} ({', '.join(p.unread)}) is no outline "
        "and was not used. Draw an ellipse or a polygon."
        for p in annotations.pictures
        if p.unread and not p.shapes
    )
    heads, unclear = _heads(labels, head_label)
    if unclear:
        files = sorted({str(p.file) for p in annotations.pictures if p.shapes})
        problems += (f"{some(files)}: {unclear}",)
    records = tuple(
        _joined(record, claims[record.path], heads) if record.path in claims else record
        for record in found.records
    )
    return replace(
        found,
        records=records,
        problems=found.problems + annotations.problems + problems,
        files=found.files | annotations.files,
        labels=tuple(labels) if unclear else (),
    )


# -- which frame -----------------------------------------------------------------------------


def _parts(name: str) -> tuple[str, ...]:
    """The parts of a path of any system. It is only compared: nothing is opened by it."""
    return tuple(p for p in re.split(r"[/\\]+", name) if p not in ("", ".", "..")) or (name,)


def _claims(
    pictures: Iterable[AnnotatedPicture], frames: Sequence[Path]
) -> tuple[dict[Path, list[AnnotatedPicture]], tuple[str, ...]]:
    """The annotations of each frame, and a message for those that are of none or of several."""
    by_name: dict[str, list[Path]] = defaultdict(list)
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for path in frames:
        by_name[key_of(path.name)].append(path)
        by_stem[key_of(path.stem)].append(path)
    claims: dict[Path, list[AnnotatedPicture]] = defaultdict(list)
    absent: dict[Path, list[str]] = defaultdict(list)
    unclear: dict[Path, list[str]] = defaultdict(list)
    problems: tuple[str, ...] = ()
    pictures = list(pictures)
    alone = Counter(picture.file for picture in pictures)
    for picture in pictures:
        parts = _parts(picture.name)
        last = parts[-1]
        stem = PurePath(last).stem if PurePath(last).suffix.lower() in SUFFIXES else last
        tries = (
            by_name.get(key_of(last)),
            by_name.get(key_of(unquote(last))),
            by_stem.get(key_of(stem)),
            by_stem.get(key_of(unquote(stem))),
        )
        candidates: Sequence[Path] = next((found for found in tries if found), [])
        if len(candidates) > 1:
            candidates = _nearest(picture, parts, candidates)
        own = by_stem.get(key_of(picture.file.stem), []) if alone[picture.file] == 1 else []
        if not candidates:
            if picture.shapes:
                absent[picture.file].append(last)
        elif own and picture.shapes and not set(own) & set(candidates):
            problems += (
                f"{picture.file} is named after {own[0].name}, but says that it is about {last}. "
                "It was not used. Rename it, or correct the name in it.",
            )
        elif len(candidates) > 1:
            unclear[picture.file].append(last)
        else:
            claims[candidates[0]].append(picture)
    problems += tuple(
        f"{file} annotates {some(names)}: no such frame is there. That was left out."
        for file, names in absent.items()
    ) + tuple(
        f"{file} annotates {some(names)}, and several frames are called so. It was not used for "
        "them. Give each frame a name of its own."
        for file, names in unclear.items()
    )
    return dict(claims), problems


def _nearest(
    picture: AnnotatedPicture, parts: Sequence[str], candidates: Sequence[Path]
) -> Sequence[Path]:
    """Those candidates that share most of the stated path, or else lie beside the file."""

    def shared(path: Path) -> int:
        count = 0
        for one, other in zip(reversed(parts[:-1]), reversed(path.parts[:-1]), strict=False):
            if key_of(unquote(one)) != key_of(other):
                break
            count += 1
        return count

    most = max(map(shared, candidates))
    best = [path for path in candidates if shared(path) == most]
    beside = [path for path in best if path.parent == picture.file.parent]
    return beside if len(beside) == 1 else best


# -- which outline ---------------------------------------------------------------------------


def _heads(labels: Sequence[str], stated: str | None) -> tuple[frozenset[str], str | None]:
    """The labels that mean the head, and what is to be said where that is not known."""
    names = ", ".join(repr(label) for label in labels)
    if not labels:
        return frozenset(), None
    if stated is not None:
        chosen = frozenset(label for label in labels if plain_label(label) == plain_label(stated))
        if chosen:
            return chosen, None
        return frozenset(), (
            f"nothing in it is labelled {stated!r}; the labels are {names}. The frames were "
            "imported without an ellipse from it."
        )
    known = frozenset(label for label in labels if is_head(label))
    if known:
        return known, None
    if len({plain_label(label) for label in labels}) == 1 and is_neutral(labels[0]):
        return frozenset(labels), None
    return frozenset(), (
        f"which of its labels is the head is not known: {names}. The frames were imported without "
        "an ellipse from it. State the label with the option --head-label of the command import."
    )


def _joined(
    record: FrameRecord, claims: Sequence[AnnotatedPicture], heads: frozenset[str]
) -> FrameRecord:
    parts = {claim.part for claim in claims} - {None}
    part = parts.pop() if len(parts) == 1 and record.part is None else record.part
    shapes = [(c, shape) for c in claims for shape in c.shapes if shape.label in heads]
    if not shapes:
        return replace(record, part=part)
    outline = partial(_outline, record, shapes)
    return replace(record, part=part, outline=outline, outline_file=shapes[0][0].file)


def _outline(
    record: FrameRecord, shapes: Sequence[tuple[AnnotatedPicture, Shape]], size: Size
) -> ShownEllipse:
    """The ellipse that the outlines of one frame's head show. Raises :class:`InputError` where
    they cannot be used or differ."""
    turned = _orientation(record)
    found: list[tuple[int, Path, ShownEllipse]] = []
    errors: list[InputError] = []
    for picture, shape in shapes:
        try:
            shown = _in_frame(picture, shape, size, turned, record.path)
            found.append((_RANKS.index(shape.how), picture.file, shown))
        except ValueError as error:
            errors.append(
                InputError(
                    f"{picture.file}: the outline of {shape.label!r} in {_parts(picture.name)[-1]} "
                    f"cannot be used: {error}. Correct or remove it."
                )
            )
    if not found:
        raise errors[0]
    certain = [item for item in found if not item[2].doubt] or found
    certain.sort(key=lambda item: item[0])
    best, file, shown = certain[0]
    notes = [str(error) for error in errors]
    for rank, other, repeated in certain[1:]:
        overlap = shown.ellipse.overlap(repeated.ellipse)
        if overlap >= (_EQUAL if other == file else SAME_DICE):
            continue
        if other == file or rank == best:
            files = some(sorted({str(file), str(other)}))
            raise InputError(
                f"{files}: there are several different outlines of the head in {record.path}, and "
                "none was used. Keep the right one and import again."
            )
        differing = f"it and {other} show different ellipses; the more exact one was taken"
        shown = replace(shown, doubt=shown.doubt or differing)
    return replace(shown, note=" ".join(notes) or None)


def _orientation(record: FrameRecord) -> int:
    plain = record.decode is None and record.path.suffix.lower() in SUFFIXES
    return orientation_in(record.path) if plain else 1


def _in_frame(
    picture: AnnotatedPicture, shape: Shape, size: Size, orientation: int, frame: Path
) -> ShownEllipse:
    """The ellipse in px of the frame, which is turned by the orientation in its file.

    Programs annotate a picture as it is shown or as it is stored. The size may say which.
    """
    sideways = orientation >= 5
    stored = (size[1], size[0]) if sideways else size
    if picture.size is not None and picture.size != size:
        if not (sideways and picture.size == stored):
            raise ValueError(
                f"it is on a picture of {picture.size[0]}x{picture.size[1]} px, but {frame} is "
                f"{size[0]}x{size[1]} px"
            )
        shown = shape.shown(stored)
        return replace(shown, ellipse=shown.ellipse.transformed(_turning(orientation, size)))
    shown = shape.shown(size)
    known = sideways and picture.size is not None and size[0] != size[1]
    if orientation == 1 or known or shown.doubt:
        return shown
    return replace(
        shown,
        doubt="the picture is turned by its orientation tag, and whether the outline was drawn "
        "before or after that is not known",
    )


def _turning(orientation: int, size: Size) -> Affine:
    """From px of the picture as stored to px of the frame, of this size, for an orientation of
    EXIF from 5 to 8."""
    right, down = float(size[0] - 1), float(size[1] - 1)
    flip_x, flip_y = orientation in (6, 7), orientation in (7, 8)
    return Affine(
        xx=0.0,
        xy=-1.0 if flip_x else 1.0,
        x0=right if flip_x else 0.0,
        yx=-1.0 if flip_y else 1.0,
        yy=0.0,
        y0=down if flip_y else 0.0,
    )
