"""A folder of frames with masks or rings beside them, and perhaps tables.

Frames lie at the top, one folder down, and in folders deeper in it that are given. An annotation
lies beside its frame (``NAME_mask.png``) or in a folder of its own (``masks/NAME.png``), which may
be divided as that of the frames is (``images/train/NAME.png``, ``masks/train/NAME.png``) or lie
with it in the folder of a patient (``P1/images/NAME.png``, ``P1/masks/NAME.png``). A table gives
pixel sizes, ellipses (``name,cx,cy,a,b,angle_deg``), patients or labels.

An annotation that could belong to several frames, and several for one frame, are named and not
used.
"""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fetalstudio.formats.folders.annotation_folders import AnnotationFolders, others_beside
from fetalstudio.formats.folders.annotation_names import IMAGE_FOLDERS, names_of, shows_a_frame
from fetalstudio.formats.folders.annotation_words import is_of_heads, no_head_in
from fetalstudio.formats.folders.other_frames import takes_masks, takes_tables, with_folder
from fetalstudio.formats.folders.picture_records import (
    cohort_of,
    records_of,
    repeated_names,
    unsure_records,
)
from fetalstudio.formats.folders.picture_roles import (
    annotations_in,
    chosen_annotations,
    joined_annotations,
    no_head_doubt,
    not_taken,
    orphans,
    shared_annotations,
    shown_doubt,
    split,
)
from fetalstudio.formats.pictures.picture_files import pictures_in, stem_of
from fetalstudio.formats.reading.doubts import Doubt
from fetalstudio.formats.reading.frame_records import FrameRecord, FrameSource
from fetalstudio.formats.reading.repeated_pictures import named_after
from fetalstudio.formats.tables.frame_rows import Row, some
from fetalstudio.formats.tables.frame_tables import (
    HC18_TABLE,
    joined,
    place_key,
    read_folder_tables,
    unmatched,
)
from fetalstudio.formats.tables.named_pictures import NamedPictures
from fetalstudio.formats.tables.names import key_of
from fetalstudio.formats.writing.pair_files import with_pairs


def recognise(source: Path) -> bool:
    """Whether the source can be read as such a folder."""
    return source.is_dir()


def read(
    source: Path,
    *,
    with_tables: bool = True,
    deeper: Iterable[Path] = (),
    without: frozenset[str] = frozenset(),
    others: Sequence[FrameRecord] = (),
) -> FrameSource:
    """Find the frames in a folder, and in folders ``deeper`` in it. No picture is decoded, but for
    those by which :class:`AnnotationFolders` tells masks. Folders in it whose names
    are among ``without`` (lower case) are left out. ``others`` are frames of another format in it,
    which masks and tables may be about, too.

    Raises ``OSError`` where the folder itself cannot be listed.
    """
    inner, problems = _folders_in(source)
    inner = [p for p in inner if p.name.lower() not in without]
    folders = AnnotationFolders(source)
    of_masks = [p for p in inner if folders.has(p)]
    of_others = {p: word for p in of_masks if (word := no_head_in(p.name))}
    about_all = (p for p in of_masks if p not in of_others and not folders.is_target(p))
    mask_folders = _with_folders_of_heads(about_all)
    problems += tuple(
        f"{path} seems to hold masks of something else than heads ({word}) and was not used. If "
        "they mark heads, call it masks."
        for path, word in others_beside(source).items()
    )
    beside = _with_folders_of_heads(folders.beside(source))
    drawn_on = [p for p in inner if shows_a_frame(p.name) and p not in of_masks]
    of_frames = [p for p in inner if p not in of_masks and p not in drawn_on]
    parts, unlisted = _divided(of_frames, folders)
    problems += unlisted
    with_files = (p for p in deeper if not folders.has_around(p))
    image_folders = list(dict.fromkeys((source, *of_frames, *parts, *with_files)))
    splits = {folder: split(pictures_in(folder)) for folder in image_folders}
    frames = [path for found in splits.values() for path in found.frames]
    # A picture of the same name, such as one that was exported from a DICOM file, comes first.
    named = names_of(frames)
    told = [r for r in others if takes_tables(r) and names_of([r.path]).isdisjoint(named)]
    unmasked = [record.path for record in told if takes_masks(record)]
    taken = {key: r.path for r in told if not takes_masks(r) for key in names_of([r.path])}
    maskable = [*frames, *unmasked]
    names = names_of(maskable)
    inside, outside = annotations_in(mask_folders, names), annotations_in(beside, names)
    # Masks inside the source win over those in a folder beside it.
    elsewhere = {**{k: p for k, p in outside.items() if k in names}, **inside}
    repeated = repeated_names(maskable)
    for key in sorted(repeated & elsewhere.keys()):
        for path in elsewhere.pop(key):
            problems += (
                f"{path}: several folders have such a frame, so it was not used. Give each frame a "
                "name of its own, and its mask the same one.",
            )
    annotated: dict[Path, Path] = {}
    doubts: dict[Path, Doubt] = {}
    unsure: dict[Path, Doubt] = {}
    files = {p for path in mask_folders if path not in of_masks for p in pictures_in(path)}
    for folder, found in splits.items():
        here = [*found.frames, *(path for path in unmasked if path.parent == folder)]
        own = names_of(here)
        masks_of_part = folders.of_part(folder)
        if here:
            masks_of_part += folders.of_folder(folder)
        words = {path: _no_head_of(folder, path, source) for path in masks_of_part}
        of_others |= {path: word for path, word in words.items() if word}
        masks_of_part = _with_folders_of_heads(p for p, word in words.items() if not word)
        files.update(path for path, word in words.items() if word for path in pictures_in(path))
        of_part = annotations_in(masks_of_part, own)
        files.update(*of_part.values(), *found.annotations.values(), found.unsure)
        unsure |= found.unsure | orphans(names, found.annotations) | orphans(own, of_part)
        unsure |= not_taken(taken, found.annotations) | not_taken(taken, of_part)
        drawn = joined_annotations(elsewhere, found.annotations, of_part)
        chosen, more = chosen_annotations(here, drawn)
        annotated |= chosen
        doubts |= more
    shared = shared_annotations(annotated)
    doubts |= shared
    annotated = {frame: path for frame, path in annotated.items() if frame not in shared}
    unsure |= orphans(names, inside) | not_taken(taken, inside)
    for folder in drawn_on:
        unsure |= {path: shown_doubt(path) for path in pictures_in(folder)}
    for folder, word in of_others.items():
        unsure |= {path: no_head_doubt(path, word) for path in pictures_in(folder)}
    about = [*frames, *(record.path for record in told)]
    rows, notes = _tables(source, image_folders, about) if with_tables else ({}, ())
    records, unclear = records_of(frames, annotated, rows, doubts, source)
    plain = [p for p in image_folders if p == source or p.name.lower() in IMAGE_FOLDERS]
    again = named_after(frames, plain)
    records, pairs = with_pairs(replace(r, may_show=again.get(r.path, ())) for r in records)
    known, untold = with_folder(told, annotated, rows, doubts)
    by_path = {record.path: record for record in known}
    others = tuple(by_path.get(record.path, record) for record in others)
    return FrameSource(
        cohort_of(source),
        records + others,
        problems + notes + unclear + pairs + untold,
        unsure=unsure_records(unsure),
        files=frozenset(files),
    )


def _folders_in(source: Path) -> tuple[list[Path], tuple[str, ...]]:
    """The folders in the source that can be listed, and a message for each that cannot."""
    folders: list[Path] = []
    problems: tuple[str, ...] = ()
    for path in sorted(source.iterdir()):
        if path.name.startswith("."):
            continue
        try:
            if path.is_dir():
                next(path.iterdir(), None)
                with contextlib.suppress(FileNotFoundError):
                    (path / "x").stat()  # a folder that may be listed need not be entered
                folders.append(path)
        except OSError as error:
            problems += (f"{path} cannot be read: {error.strerror}. It was left out.",)
    return folders, problems


def _divided(
    folders: Sequence[Path], drawn: AnnotationFolders
) -> tuple[list[Path], tuple[str, ...]]:
    """The parts into which folders of images are divided as folders of annotations beside them are,
    and a message for each that cannot be listed."""
    parts: list[Path] = []
    problems: tuple[str, ...] = ()
    for folder in folders:
        if drawn.beside(folder):
            inner, unlisted = _folders_in(folder)
            if any(drawn.of_part(part) for part in inner):
                parts += (p for p in inner if not drawn.has_around(p))
                problems += unlisted
    return parts, problems


def _no_head_of(folder: Path, masks: Path, source: Path) -> str | None:
    """The word by which the annotations of a folder's frames show something else than heads: in the
    name of their folder, or of one in the source that the frames lie in."""
    above = (p for p in folder.parents if p.is_relative_to(source) and p != source)
    return next(filter(None, (no_head_in(path.name) for path in (folder, *above, masks))), None)


def _with_folders_of_heads(mask_folders: Iterable[Path]) -> list[Path]:
    """These folders and, where one holds folders alone, its folders of heads: ``masks/head``."""
    found: list[Path] = []
    for path in mask_folders:
        found.append(path)
        if not pictures_in(path):
            found += (p for p in sorted(path.iterdir()) if p.is_dir() and is_of_heads(p.name))
    return found


def _tables(
    source: Path, folders: Iterable[Path], frames: list[Path]
) -> tuple[dict[Path, dict[str, Row]], tuple[str, ...]]:
    """What the tables say, by folder, and notes.

    A table beside frames is about these alone, any other about all. But of a name that several
    folders have, a table above them cannot say which frame is meant, unless it says the folder.
    """
    rows: dict[Path, dict[str, Row]] = {}
    notes: tuple[str, ...] = ()
    common: dict[str, Row] = {}
    inhabited: dict[Path, list[Path]] = defaultdict(list)
    for path in frames:
        inhabited[path.parent].append(path)
    for folder in folders:
        alone = folder in inhabited and folder != source
        about = inhabited[folder] if alone else frames
        pictures = NamedPictures(about, None if folder == source else folder)
        own, more = read_folder_tables(folder, HC18_TABLE, pictures)
        notes += more + unmatched(folder, own, about)
        if alone:
            rows[folder] = _by_names(own, about)
        else:
            common |= own
    repeated = repeated_names(frames)
    places = {place_key(path) for path in frames}
    unclear = sorted(n for n in common.keys() - places if stem_of(Path(n)) in repeated)
    if unclear:
        which = "it" if len(unclear) == 1 else "them"
        notes += (
            f"Several folders have {some(unclear)}, so what the table in {source} says of {which} "
            "was not used. Write the path of each picture from that folder on, such as "
            "P1/images/NAME.png, or put a table into each folder.",
        )
    shared = {name: row for name, row in common.items() if name not in unclear}
    return {
        folder: _completed(rows.get(folder, {}), _by_names(shared, paths))
        for folder, paths in inhabited.items()
    }, notes


def _by_names(rows: Mapping[str, Row], frames: Sequence[Path]) -> dict[str, Row]:
    """The rows of some frames of one folder, where possible by the whole name of the file rather
    than by its path or without its ending: so those of two tables meet."""
    found = dict(rows)
    alike = Counter(key_of(stem_of(path)) for path in frames)
    for path in frames:
        stem, name = key_of(stem_of(path)), key_of(path.name)
        written = [key for key in (place_key(path), stem) if key in found]
        if alike[stem] == 1 and len(written) == 1 and name not in found:
            found[name] = found.pop(written[0])
    return found


def _completed(own: Mapping[str, Row], shared: Mapping[str, Row]) -> dict[str, Row]:
    """The rows of a folder's own table, with what only a table above it says."""
    both = {name: joined(shared[name], row) for name, row in own.items() if name in shared}
    return {**shared, **own, **both}
