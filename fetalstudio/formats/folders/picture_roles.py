"""Which pictures of a folder are frames, and which of them annotate one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.formats.files import read_bounded
from fetalstudio.formats.folders.annotation_names import (
    base_of,
    by_plain_numbers,
    frame_in,
    is_frame_word_alone,
    is_word_alone,
    keys_of,
    names_of,
    numbered_alike,
    plain_numbers,
    prefixed_base,
    shown_frame,
    shows_a_frame,
    without_channel,
)
from fetalstudio.formats.folders.annotation_words import no_head_in
from fetalstudio.formats.pictures.picture_files import MAX_BYTES, pictures_in, stem_of
from fetalstudio.formats.reading.doubts import Doubt, annotation_doubt, role_doubt
from fetalstudio.formats.tables.frame_rows import some
from fetalstudio.formats.tables.names import key_of

Annotations = dict[str, list[Path]]
"""Annotation pictures by the key of the frame that they say they annotate."""


@dataclass(slots=True)
class Split:
    """The pictures of one folder."""

    frames: list[Path] = field(default_factory=list)
    annotations: Annotations = field(default_factory=lambda: defaultdict(list))
    unsure: dict[Path, Doubt] = field(default_factory=dict)
    """Pictures that are left out, though they may be frames."""


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
            found.unsure[path] = shown_doubt(path)
        elif other is not None:
            found.unsure[path] = role_doubt(
                f"{path} may annotate {base} or {other}.",
                "Name it after its frame, such as NAME_mask.png.",
            )
        elif base in names and (word := _no_head(path, base)):
            found.unsure[path] = no_head_doubt(path, word)
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
        found = Split(named, unsure={p: shown_doubt(p) for p in (*shows, *left)})
        found.annotations[key_of(stem_of(named[0]))] += alone
        return found
    if len(frames) == 1:
        found = Split(frames, unsure={p: shown_doubt(p) for p in shows})
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


def annotations_in(folders: Sequence[Path], names: frozenset[str]) -> Annotations:
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
            if known and _no_head(path, known[0]):
                known = [key_of(stem_of(path))]  # it annotates nothing that is there
            found[known[0] if known else (keys[0] or key_of(stem_of(path))) or ""].append(path)
    return found


def _no_head(path: Path, frame: str | None) -> str | None:
    """The word by which the annotation of the frame of this key shows something else."""
    return no_head_in(key_of(stem_of(path)).replace(frame or "", "", 1))


def joined_annotations(*several: Mapping[str, Sequence[Path]]) -> Annotations:
    """The annotation pictures of several places together."""
    joined: Annotations = defaultdict(list)
    for by_key in several:
        for key, paths in by_key.items():
            joined[key] += paths
    return joined


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
            doubts |= _of_several(drawn, found)
        elif len(drawn) > 1 and not _same(drawn):
            message = f"{found[0]} has several annotations: {some([str(p) for p in drawn])}."
            cure = "Keep the right one and import again."
            doubts[found[0]] = annotation_doubt(message, cure, found[0], tuple(drawn))
        else:
            chosen[found[0]] = drawn[0]
    return chosen, doubts


def shared_annotations(annotated: Mapping[Path, Path]) -> dict[Path, Doubt]:
    """The doubt about each frame that has the same annotation as one of another folder."""
    frames_of: dict[Path, list[Path]] = defaultdict(list)
    for frame, annotation in annotated.items():
        frames_of[annotation].append(frame)
    doubts: dict[Path, Doubt] = {}
    for annotation, frames in frames_of.items():
        if len(frames) > 1:
            doubts |= _of_several([annotation], frames)
    return doubts


def _of_several(drawn: Sequence[Path], frames: Sequence[Path]) -> dict[Path, Doubt]:
    """The doubt about each of these frames, which of them the annotations belong to."""
    message = (
        f"{some([str(p) for p in drawn])} could annotate each of {some([str(p) for p in frames])}."
    )
    cure = "Give each frame a name of its own, and its mask the same one."
    return {frame: annotation_doubt(message, cure, frame, tuple(drawn)) for frame in frames}


def orphans(names: Iterable[str], annotations: Mapping[str, Sequence[Path]]) -> dict[Path, Doubt]:
    """The doubt about each annotation, by its frame's key, whose frame is not among ``names``."""
    known = set(names)
    missing = (path for base, p in sorted(annotations.items()) if base not in known for path in p)
    return {path: _orphan_doubt(path) for path in missing}


def not_taken(
    frames: Mapping[str, Path], annotations: Mapping[str, Sequence[Path]]
) -> dict[Path, Doubt]:
    """The doubt about each annotation that is named after one of these files of another format,
    which hold several frames or have an annotation already. Both are by the frame's key."""
    return {
        path: role_doubt(
            f"{path} is named after {frames[key]}, which holds several frames or has a "
            "segmentation.",
            "Keep the right one of two annotations, or export the frames of a clip as pictures.",
        )
        for key in sorted(frames.keys() & annotations.keys())
        for path in annotations[key]
    }


def _orphan_doubt(path: Path) -> Doubt:
    if word := no_head_in(stem_of(path)):
        return no_head_doubt(path, word)
    return role_doubt(
        f"{path} annotates a frame that is not there.",
        "Import its frame with it, and name it after that, such as NAME_mask.png.",
    )


def no_head_doubt(path: Path, word: str) -> Doubt:
    """The doubt about a picture that shows something else than a head, as a ``word`` in its name or
    that of its folder says."""
    return role_doubt(
        f"{path} seems to show something else than an outlined head, as {word!r} in its name says.",
        "If it marks the head of its frame, call it NAME_mask.png.",
    )


def shown_doubt(path: Path) -> Doubt:
    """The doubt about a picture that seems to show a frame with something drawn on it."""
    return role_doubt(
        f"{path} seems to show a frame with something drawn on it.",
        "If it is a frame, import it by itself.",
    )


def _same(paths: Sequence[Path]) -> bool:
    """Whether these files are copies of one."""
    try:
        return len({read_bounded(path, MAX_BYTES) for path in paths}) == 1
    except InputError:
        return False
