"""Records of frames that are picture files: what their names, tables and annotations say."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fetalstudio.formats.folders.annotation_names import IMAGE_FOLDERS
from fetalstudio.formats.folders.annotation_words import unsure_word
from fetalstudio.formats.folders.stacks import with_headers
from fetalstudio.formats.pictures.picture_files import stem_of
from fetalstudio.formats.privacy.subjects import (
    country_of,
    says_patient,
    subject_key,
    subject_of,
    subject_of_place,
    video_of,
)
from fetalstudio.formats.reading.doubts import Doubt, Question
from fetalstudio.formats.reading.frame_records import JNU_IFM, PSFHS, Coding, FrameRecord
from fetalstudio.formats.tables.frame_rows import Row, some
from fetalstudio.formats.tables.frame_tables import agreed, place_key
from fetalstudio.formats.tables.names import key_of

_JNU_IFM = re.compile(r"\d{8}T\d{6}_\d+")
_PARTS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})
"""Folders (lower case) into which the frames of one patient may be divided."""

_NO_ROW = Row()
_NO_DOUBTS: Mapping[Path, Doubt] = {}


def records_of(
    frames: Sequence[Path],
    annotated: Mapping[Path, Path],
    rows: Mapping[Path, Mapping[str, Row]],
    doubts: Mapping[Path, Doubt] = _NO_DOUBTS,
    source: Path | None = None,
) -> tuple[tuple[FrameRecord, ...], tuple[str, ...]]:
    """A record for each frame, with its annotation, the doubt about it and the table row of its
    name, and notes. If the ``source`` that they lie in is given, its folders may say whose they
    are; else only that of each frame may."""
    repeated = repeated_names(frames)
    in_folder = alike_in_folders(frames)
    records = []
    problems: tuple[str, ...] = ()
    untold: list[str] = []
    split: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in frames:
        stem, folders = _text(stem_of(path)), _folders(path, source)
        name = f"{_joined(folders)}_{stem}" if key_of(stem_of(path)) in repeated else stem
        subject = _subject(stem, folders) or name
        named = rows.get(path.parent, {})
        row, unclear = row_of(path, named, alone=in_folder[path.parent, key_of(stem_of(path))] == 1)
        problems += unclear
        if row.subject is None:
            if subject == name and not_told(path, named):
                untold.append(str(path))
        elif subject != name:
            split[subject].setdefault(row.subject, path)
        doubt = doubts.get(path)
        drawn = [annotated[path]] if path in annotated else _candidates(doubt)
        records.append(
            FrameRecord(
                path=path,
                name=name,
                subject=row.subject or subject,
                annotation=annotated.get(path),
                annotation_doubt=doubt_about(annotated[path], path) if path in annotated else None,
                coding=coding_of(drawn[0]) if drawn else None,
                ellipse=row.in_px(),
                axes=row.axes,
                ellipse_size=row.size,
                calibration=row.calibration,
                hc_mm=row.hc_mm,
                labels={**country_of(stem), **row.labels},
                doubts=() if doubt is None else (doubt,),
            )
        )
    completed, more = with_headers(records)
    problems += about_subjects(untold, split) + _about_namesakes(records, source)
    return completed, problems + more


def alike_in_folders(frames: Iterable[Path]) -> Mapping[tuple[Path, str], int]:
    """How many frames have one name without its ending, by folder and the key of that name."""
    return Counter((path.parent, key_of(stem_of(path))) for path in frames)


def row_of(path: Path, named: Mapping[str, Row], *, alone: bool) -> tuple[Row, tuple[str, ...]]:
    """What tables say about a frame, and a message for what was not used of it. ``named`` has their
    rows by name; ``alone`` says that no other frame of its folder has its name with another
    ending."""
    problems: tuple[str, ...] = ()
    row = named.get(key_of(path.name), _NO_ROW)
    by_stem = named.get(key_of(stem_of(path)), _NO_ROW)
    if alone:
        row, unclear = agreed(by_stem, row)
        if unclear:
            problems += (
                f"{path}: a table gives two values of its {unclear}, with the ending of its "
                "name and without. None was used. Remove the wrong line.",
            )
    elif row is _NO_ROW and by_stem is not _NO_ROW:
        problems += (
            f"{path}: the table names {stem_of(path)}, and several frames are called so. "
            "It was not used for them. Write the names with their endings.",
        )
    row, unclear = agreed(row, named.get(place_key(path), _NO_ROW))
    if unclear:
        problems += (
            f"{path}: tables give two values of its {unclear}, by its path and by its name. "
            "None was used. Remove the wrong line.",
        )
    if row.ellipse_mm is not None and row.in_px() is None:
        problems += (
            f"{path}: a table gives its ellipse in mm, but no table its pixel size, so the "
            "ellipse was not used. Add a table with the pixel size.",
        )
    return row, problems


def not_told(path: Path, named: Mapping[str, Row]) -> bool:
    """Whether tables with these rows say whose some frames are, but do not name this one."""
    keys = {key_of(path.name), key_of(stem_of(path)), place_key(path)}
    return named.keys().isdisjoint(keys) and any(row.subject for row in named.values())


def about_subjects(
    untold: Sequence[str], split: Mapping[str, Mapping[str, Path]]
) -> tuple[str, ...]:
    """A note on frames that a table of patients leaves out, and on those that names and tables give
    to different ones: for each patient of the names, a frame of each patient of the tables."""
    notes: tuple[str, ...] = ()
    if untold:
        notes += (
            f"The table of patients does not name {some(untold)}, each of which counts as another "
            "patient. Add what is missing.",
        )
    torn = [str(path) for of_one in split.values() if len(of_one) > 1 for path in of_one.values()]
    if torn:
        notes += (
            f"{some(torn)} seem to show one patient by their names, but several by the table, "
            "which counts. If its column says something else, such as the examination, rename it.",
        )
    return notes


def _folders(path: Path, source: Path | None) -> list[str]:
    """The name of the source, or of the folder above one that is called as any folder of images,
    and of the folders in it that lead to a frame. A frame that lies in the source itself has this
    as its only folder."""
    generic = source is not None and source.name.lower() in IMAGE_FOLDERS
    if source is None or (path.parent == source and not generic):
        return ["", _text(path.parent.name)]
    above = source.parent if generic else source
    return [_text(above.name), *map(_text, path.parent.relative_to(source).parts)]


def _joined(folders: Sequence[str]) -> str:
    """The names of the folders that say something, or else that of the last: ``P1_visit2``."""
    telling = [name for name in folders[1:] if name.lower() not in IMAGE_FOLDERS]
    return "_".join(telling) or folders[-1]


def _subject(stem: str, folders: Sequence[str]) -> str | None:
    """The patient key in a frame's name, or else in those of its folders. The name of a video, such
    as ``clip_1``, may recur in the folder of another patient."""
    subject = subject_of(stem)
    if subject == video_of(stem) and any(map(says_patient, folders)):
        subject = stem
    return subject_of_place(folders[1:], folders[0]) if subject == stem else subject


def _about_namesakes(records: Sequence[FrameRecord], source: Path | None) -> tuple[str, ...]:
    """A note on each patient whose folders lie in several others, as in those of two sites, where
    there may be two patients."""
    places: dict[str, dict[tuple[str, ...], Path]] = defaultdict(dict)
    for record in records:
        if source is None or not record.path.is_relative_to(source):
            continue
        parts = record.path.parent.relative_to(source).parts
        at = next((i for i, part in enumerate(parts) if says_patient(part)), None)
        if at is not None and record.subject == subject_key(_text(parts[at])):
            telling = tuple(p for p in parts[:at] if p.lower() not in _PARTS | IMAGE_FOLDERS)
            places[record.subject].setdefault(telling, source.joinpath(*parts[: at + 1]))
    recurring = [found.values() for found in places.values() if len(found) > 1]
    return tuple(
        f"The frames in {' and '.join(map(str, folders))} count as those of one patient. If these "
        "are several, rename all but one of the folders."
        for folders in recurring
    )


def unsure_records(pictures: Mapping[Path, Doubt]) -> tuple[FrameRecord, ...]:
    """A record for each picture that may be a frame, with the doubt whether it is one."""
    records, _ = records_of(list(pictures), {}, {}, pictures)
    return records


def cohort_of(source: Path) -> str:
    """The folder's name, or its parent's where the name says nothing."""
    generic = source.name.lower() in IMAGE_FOLDERS
    return _text(source.parent.name if generic else source.name) or "frames"


def coding_of(annotation: Path) -> Coding | None:
    """The data set whose numbers of structures a mask has, as its place and name say."""
    place = "/".join(annotation.parts[-4:])
    folder = annotation.parent
    beside = folder.with_name(folder.name.replace("label_", "image_"))
    layout = folder.name in ("label_mha", "label_png") and beside.is_dir()
    if re.search("psfhs", place, re.IGNORECASE) or (
        layout and re.fullmatch(r"\d{5}", stem_of(annotation))
    ):
        return PSFHS
    if re.search("jnu[-_ ]?ifm", place, re.IGNORECASE) or _JNU_IFM.match(stem_of(annotation)):
        return JNU_IFM
    return None


def repeated_names(frames: Iterable[Path]) -> frozenset[str]:
    """Keys of names that frames of several folders have."""
    places: dict[str, set[Path]] = defaultdict(set)
    for path in frames:
        places[key_of(stem_of(path))].add(path.parent)
    return frozenset(name for name, folders in places.items() if len(folders) > 1)


def _candidates(doubt: Doubt | None) -> list[Path]:
    """The annotation pictures that may belong to a frame."""
    if doubt is None or doubt.question is not Question.ANNOTATION:
        return []
    return [answer.file for answer in doubt.answers if answer.file is not None]


def doubt_about(annotation: Path, frame: Path) -> str | None:
    """What the annotation's name says against it."""
    word = unsure_word(annotation, frame)
    said = "the name says {!r}, so it may not be an outline of the head that a person drew"
    return None if word is None else said.format(word)


def _text(name: str) -> str:
    """A part of a path as valid text, also where the system's names are in another encoding."""
    return name.encode("utf-8", "replace").decode()
