"""A folder of frames with masks or rings beside them, and perhaps tables.

Frames lie at the top and one folder down. An annotation lies beside its frame (``NAME_mask.png``)
or in a folder of its own (``masks/NAME.png``), which may be divided as that of the frames is
(``images/train/NAME.png``, ``masks/train/NAME.png``). A table gives pixel sizes, ellipses
(``name,cx,cy,a,b,angle_deg``), patients or labels.

An annotation that could belong to several frames, and several for one frame, are named and not
used.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.formats.annotation_names import (
    base_of,
    by_plain_numbers,
    frame_in,
    is_frame_word_alone,
    is_mask_folder,
    is_word_alone,
    keys_of,
    names_of,
    no_head_in,
    numbered_alike,
    plain_numbers,
    prefixed_base,
    shown_frame,
    shows_a_frame,
    without_channel,
)
from fetalstudio.formats.doubts import Doubt, Question, annotation_doubt, role_doubt
from fetalstudio.formats.files import read_bounded
from fetalstudio.formats.frame_records import JNU_IFM, PSFHS, Coding, FrameRecord, FrameSource
from fetalstudio.formats.frame_rows import Row, some
from fetalstudio.formats.frame_tables import (
    HC18_TABLE,
    agreed,
    joined,
    key_of,
    read_folder_tables,
    unmatched,
)
from fetalstudio.formats.pair_files import with_pairs
from fetalstudio.formats.pictures import MAX_BYTES, is_picture, stem_of
from fetalstudio.formats.repeated_pictures import named_after
from fetalstudio.formats.stacks import with_headers
from fetalstudio.formats.subjects import country_of, subject_of, subject_of_folder

IMAGE_FOLDERS = frozenset(
    {"image", "images", "img", "imgs", "frames", "training_set", "test_set"}
    | {"imagestr", "imagests", "jpegimages", "image_png", "images_png", "image_mha", "images_mha"}
)
"""Names (lower case) of folders that say nothing about what is in them."""

_JNU_IFM = re.compile(r"\d{8}T\d{6}_\d+")

_NO_ROW = Row()
_NO_DOUBTS: Mapping[Path, Doubt] = {}

Annotations = dict[str, list[Path]]
"""Annotation pictures by the key of the frame that they say they annotate."""


@dataclass(slots=True)
class Split:
    """The pictures of one folder."""

    frames: list[Path] = field(default_factory=list)
    annotations: Annotations = field(default_factory=lambda: defaultdict(list))
    unsure: dict[Path, Doubt] = field(default_factory=dict)
    """Pictures that are left out, though they may be frames."""


def recognise(source: Path) -> bool:
    """Whether the source can be read as such a folder."""
    return source.is_dir()


def read(
    source: Path,
    *,
    with_tables: bool = True,
    deeper: Iterable[Path] = (),
    without: frozenset[str] = frozenset(),
) -> FrameSource:
    """Find the frames in a folder, and in folders ``deeper`` in it; no picture is decoded. Folders
    in it whose names are among ``without`` (lower case) are left out.

    Raises ``OSError`` where the folder itself cannot be listed.
    """
    inner, problems = _folders_in(source)
    inner = [p for p in inner if p.name.lower() not in without]
    beside = mask_folders_beside(source)
    mask_folders = [p for p in inner if is_mask_folder(p)]
    of_others = [p for p in (*mask_folders, *beside) if no_head_in(p.name)]
    mask_folders, beside = ([p for p in f if p not in of_others] for f in (mask_folders, beside))
    drawn_on = [p for p in inner if shows_a_frame(p.name) and not is_mask_folder(p)]
    others = [p for p in inner if not is_mask_folder(p) and p not in drawn_on]
    parts, unlisted = _divided(others)
    problems += unlisted
    with_files = (p for p in deeper if not _in_mask_folder(p, source))
    image_folders = list(dict.fromkeys((source, *others, *parts, *with_files)))
    splits = {folder: split(pictures_in(folder)) for folder in image_folders}
    frames = [path for found in splits.values() for path in found.frames]
    names = names_of(frames)
    inside, outside = _annotations_in(mask_folders, names), _annotations_in(beside, names)
    # Masks inside the source win over those in a folder beside it.
    elsewhere = {**{k: p for k, p in outside.items() if k in names}, **inside}
    repeated = _repeated(frames)
    for key in sorted(repeated & elsewhere.keys()):
        for path in elsewhere.pop(key):
            problems += (
                f"{path}: several folders have such a frame, so it was not used. Give each frame a "
                "name of its own, and its mask the same one.",
            )
    annotated: dict[Path, Path] = {}
    doubts: dict[Path, Doubt] = {}
    unsure: dict[Path, Doubt] = {}
    files: set[Path] = set()
    for folder, found in splits.items():
        own = names_of(found.frames)
        of_part = _annotations_in(_masks_of_part(folder), own)
        files.update(path for paths in of_part.values() for path in paths)
        unsure |= found.unsure | orphans(names, found.annotations) | orphans(own, of_part)
        drawn = _joined(elsewhere, found.annotations, of_part)
        chosen, more = chosen_annotations(found.frames, drawn)
        annotated |= chosen
        doubts |= more
    unsure |= orphans(names, inside)
    for folder in drawn_on:
        unsure |= {path: _shows(path) for path in pictures_in(folder)}
    for folder in of_others:
        unsure |= {path: _no_head(path, no_head_in(folder.name)) for path in pictures_in(folder)}
    rows, notes = _tables(source, image_folders, frames) if with_tables else ({}, ())
    records, unclear = records_of(frames, annotated, rows, doubts)
    plain = [p for p in image_folders if p == source or p.name.lower() in IMAGE_FOLDERS]
    again = named_after(frames, plain)
    records, pairs = with_pairs(replace(r, may_show=again.get(r.path, ())) for r in records)
    return FrameSource(
        cohort_of(source),
        records,
        problems + notes + unclear + pairs,
        unsure=unsure_records(unsure),
        files=frozenset(files),
    )


def pictures_in(folder: Path) -> list[Path]:
    """The picture files of a folder, by name."""
    return sorted(
        p for p in folder.iterdir() if is_picture(p) and not p.name.startswith(".") and p.is_file()
    )


def split(pictures: Sequence[Path]) -> Split:
    """Which pictures of one folder are frames, and which annotate one."""
    alone = [p for p in pictures if is_word_alone(p)]
    numbered = names_of(p for p in pictures if p not in alone)
    if not all(prefixed_base(p) in numbered for p in alone):
        return _split_by_word(pictures, alone)
    found = Split()
    names = {key_of(stem_of(p)) for p in pictures}
    called = names_of(pictures)
    for path in pictures:
        base, prefixed, shown = base_of(path), prefixed_base(path), shown_frame(path)
        if base is None or base not in names:
            within = frame_in(path, names)
            base = within or base
        other = numbered_alike(base, path, names) if base in names else None
        if shown in names:
            found.unsure[path] = _shows(path)
        elif other is not None:
            found.unsure[path] = role_doubt(
                f"{path} may annotate {base} or {other}.",
                "Name it after its frame, such as NAME_mask.png.",
            )
        elif base in names and (word := no_head_in(key_of(stem_of(path))[len(base) :])):
            found.unsure[path] = _no_head(path, word)
        elif base is not None:
            found.annotations[base].append(path)
        elif prefixed in called:
            found.annotations[prefixed].append(path)
        else:
            found.frames.append(path)
    return found


def _split_by_word(pictures: Sequence[Path], alone: list[Path]) -> Split:
    """A folder for each frame: image.png, mask.png and perhaps pictures of both."""
    others = [p for p in pictures if p not in alone]
    shows = [p for p in others if shows_a_frame(stem_of(p))]
    frames = [p for p in others if p not in shows]
    named = [p for p in frames if is_frame_word_alone(p)]
    if len(named) == 1 and len(pictures) <= len(alone) + len(shows) + 2:
        left = [p for p in frames if p not in named]
        found = Split(named, unsure={p: _shows(p) for p in (*shows, *left)})
        found.annotations[key_of(stem_of(named[0]))] += alone
        return found
    if len(frames) == 1:
        found = Split(frames, unsure={p: _shows(p) for p in shows})
        found.annotations[key_of(stem_of(frames[0]))] += alone
        return found
    found = split(others)
    found.unsure |= {
        path: role_doubt(
            f"{path} does not say which frame it annotates.",
            "Name it after its frame, such as NAME_mask.png.",
        )
        for path in alone
    }
    return found


def chosen_annotations(
    frames: Sequence[Path], annotations: Mapping[str, Sequence[Path]]
) -> tuple[dict[Path, Path], dict[Path, Doubt]]:
    """The annotation of each frame, and the doubt about each frame for which it is not clear.

    ``frames`` are those of one folder.
    """
    by_key: dict[str, list[Path]] = defaultdict(list)
    for path in frames:
        keys = keys_of(stem_of(path))
        key = next((key for key in keys if key in annotations), None)
        if key is not None:
            by_key[key].append(path)
    chosen: dict[Path, Path] = {}
    doubts: dict[Path, Doubt] = {}
    for key, found in by_key.items():
        drawn = annotations[key]
        if len(found) > 1:
            message = (
                f"{some([str(p) for p in drawn])} could annotate each of "
                f"{some([str(p) for p in found])}."
            )
            cure = "Give each frame a name of its own, and its mask the same one."
            doubts |= {f: annotation_doubt(message, cure, f, tuple(drawn)) for f in found}
        elif len(drawn) > 1 and not _same(drawn):
            message = f"{found[0]} has several annotations: {some([str(p) for p in drawn])}."
            cure = "Keep the right one and import again."
            doubts[found[0]] = annotation_doubt(message, cure, found[0], tuple(drawn))
        else:
            chosen[found[0]] = drawn[0]
    return chosen, doubts


def records_of(
    frames: Sequence[Path],
    annotated: Mapping[Path, Path],
    rows: Mapping[Path, Mapping[str, Row]],
    doubts: Mapping[Path, Doubt] = _NO_DOUBTS,
) -> tuple[tuple[FrameRecord, ...], tuple[str, ...]]:
    """A record for each frame, with its annotation, the doubt about it and the table row of its
    name, and notes."""
    repeated = _repeated(frames)
    in_folder = Counter((path.parent, key_of(stem_of(path))) for path in frames)
    records = []
    problems: tuple[str, ...] = ()
    for path in frames:
        stem, folder = _text(stem_of(path)), _text(path.parent.name)
        name = f"{folder}_{stem}" if key_of(stem_of(path)) in repeated else stem
        subject = subject_of(stem)
        if subject == stem:
            subject = subject_of_folder(folder) or name
        named = rows.get(path.parent, {})
        row = named.get(key_of(path.name), _NO_ROW)
        by_stem = named.get(key_of(stem_of(path)), _NO_ROW)
        if in_folder[path.parent, key_of(stem_of(path))] == 1:
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
        if row.ellipse_mm is not None and row.in_px() is None:
            problems += (
                f"{path}: a table gives its ellipse in mm, but no table its pixel size, so the "
                "ellipse was not used. Add a table with the pixel size.",
            )
        doubt = doubts.get(path)
        drawn = [annotated[path]] if path in annotated else _candidates(doubt)
        records.append(
            FrameRecord(
                path=path,
                name=name,
                subject=row.subject or subject,
                annotation=annotated.get(path),
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
    return completed, problems + more


def unsure_records(pictures: Mapping[Path, Doubt]) -> tuple[FrameRecord, ...]:
    """A record for each picture that may be a frame, with the doubt whether it is one."""
    records, _ = records_of(list(pictures), {}, {}, pictures)
    return records


def orphans(names: Iterable[str], annotations: Mapping[str, Sequence[Path]]) -> dict[Path, Doubt]:
    """The doubt about each annotation, by its frame's key, whose frame is not among ``names``."""
    known = set(names)
    return {
        path: role_doubt(
            f"{path} annotates a frame that is not there.",
            "Import its frame with it, and name it after that, such as NAME_mask.png.",
        )
        for base, paths in sorted(annotations.items())
        if base not in known
        for path in paths
    }


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


def cohort_of(source: Path) -> str:
    """The folder's name, or its parent's where the name says nothing."""
    generic = source.name.lower() in IMAGE_FOLDERS
    return _text(source.parent.name if generic else source.name) or "frames"


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


def _divided(folders: Sequence[Path]) -> tuple[list[Path], tuple[str, ...]]:
    """The parts into which folders of images are divided as folders of annotations beside them are,
    and a message for each that cannot be listed."""
    parts: list[Path] = []
    problems: tuple[str, ...] = ()
    for folder in folders:
        if mask_folders_beside(folder):
            inner, unlisted = _folders_in(folder)
            if any(_masks_of_part(part) for part in inner):
                parts += (p for p in inner if not _in_mask_folder(p, folder))
                problems += unlisted
    return parts, problems


def _masks_of_part(folder: Path) -> list[Path]:
    """The folders of annotations of ``images/train``: ``masks/train``."""
    inside = (above / folder.name for above in mask_folders_beside(folder.parent))
    return [path for path in inside if path.is_dir()]


def _annotations_in(folders: Sequence[Path], names: frozenset[str]) -> Annotations:
    """The pictures of mask folders, by the frames that they annotate."""
    found: Annotations = defaultdict(list)
    plain = by_plain_numbers(names) if folders else {}
    for folder in folders:
        for path in pictures_in(folder):
            keys = [
                base_of(path),
                prefixed_base(path),
                key_of(stem_of(path)),
                without_channel(stem_of(path)),
                frame_in(path, names),
                key_of(stem_of(Path(stem_of(path)))),  # masks/x.jpg.png
            ]
            known = [key for key in keys if key in names]
            if not known:
                known = [
                    plain[key] for key in map(plain_numbers, filter(None, keys)) if key in plain
                ]
            found[known[0] if known else (keys[0] or key_of(stem_of(path))) or ""].append(path)
    return found


def _joined(*several: Mapping[str, Sequence[Path]]) -> Annotations:
    joined: Annotations = defaultdict(list)
    for by_key in several:
        for key, paths in by_key.items():
            joined[key] += paths
    return joined


def _candidates(doubt: Doubt | None) -> list[Path]:
    """The annotation pictures that may belong to a frame."""
    if doubt is None or doubt.question is not Question.ANNOTATION:
        return []
    return [answer.file for answer in doubt.answers if answer.file is not None]


def _same(paths: Sequence[Path]) -> bool:
    """Whether these files are copies of one."""
    try:
        return len({read_bounded(path, MAX_BYTES) for path in paths}) == 1
    except InputError:
        return False


def _shows(path: Path) -> Doubt:
    return role_doubt(
        f"{path} seems to show a frame with something drawn on it.",
        "If it is a frame, import it by itself.",
    )


def _no_head(path: Path, word: str | None) -> Doubt:
    return role_doubt(
        f"{path} is named as if it showed something else than an outlined head ({word}).",
        "If it marks the head of its frame, call it NAME_mask.png.",
    )


def _repeated(frames: Iterable[Path]) -> frozenset[str]:
    """Keys of names that frames of several folders have."""
    places: dict[str, set[Path]] = defaultdict(set)
    for path in frames:
        places[key_of(stem_of(path))].add(path.parent)
    return frozenset(name for name, folders in places.items() if len(folders) > 1)


def _tables(
    source: Path, folders: Iterable[Path], frames: list[Path]
) -> tuple[dict[Path, dict[str, Row]], tuple[str, ...]]:
    """What the tables say, by folder, and notes.

    A table beside frames is about these alone, any other about all. But of a name that several
    folders have, a table above them cannot say which frame is meant.
    """
    rows: dict[Path, dict[str, Row]] = {}
    notes: tuple[str, ...] = ()
    common: dict[str, Row] = {}
    inhabited = {path.parent for path in frames}
    for folder in folders:
        own, more = read_folder_tables(folder, HC18_TABLE)
        alone = folder in inhabited and folder != source
        about = [path for path in frames if path.parent == folder] if alone else frames
        notes += more + unmatched(folder, own, about)
        if alone:
            rows[folder] = own
        else:
            common |= own
    repeated = _repeated(frames)
    unclear = sorted(name for name in common if stem_of(Path(name)) in repeated)
    if unclear:
        notes += (
            f"Several folders have {some(unclear)}, so what the table in {source} says of "
            f"{'it' if len(unclear) == 1 else 'them'} was not used. Put a table into each folder.",
        )
    shared = {name: row for name, row in common.items() if name not in unclear}
    return {folder: _completed(rows.get(folder, {}), shared) for folder in inhabited}, notes


def _completed(own: Mapping[str, Row], shared: Mapping[str, Row]) -> dict[str, Row]:
    """The rows of a folder's own table, with what only a table above it says."""
    both = {name: joined(shared[name], row) for name, row in own.items() if name in shared}
    return {**shared, **own, **both}


def _neighbours(source: Path) -> list[Path]:
    """What lies beside the source; nothing where that cannot be listed."""
    try:
        return sorted(p for p in source.parent.iterdir() if p != source)
    except OSError:
        return []


def _in_mask_folder(path: Path, source: Path) -> bool:
    """Whether a folder in the source is one of annotations, or lies in one."""
    above = [p for p in (path, *path.parents) if p.is_relative_to(source) and p != source]
    return any(is_mask_folder(p) or shows_a_frame(p.name) for p in above)


def mask_folders_beside(source: Path) -> list[Path]:
    """Folders of annotations beside the source, where its name says that it holds images alone."""
    if source.name.lower() not in IMAGE_FOLDERS:
        return []
    return [path for path in _neighbours(source) if is_mask_folder(path)]


def _text(name: str) -> str:
    """A part of a path as valid text, also where the system's names are in another encoding."""
    return name.encode("utf-8", "replace").decode()
