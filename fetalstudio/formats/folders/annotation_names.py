"""What the names of pictures and folders say: which picture annotates which frame.

``x_mask.png``, ``mask_x.png``, ``x_reader1_seg (2).png`` and ``x.png`` in a folder ``masks``
annotate ``x.png``, ``x_image.png`` or ``img_x.png``. Names are compared by
:func:`~fetalstudio.formats.tables.frame_tables.key_of`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path

from fetalstudio.formats.folders.annotation_words import MASK_WORDS, words_of
from fetalstudio.formats.pictures.picture_files import is_picture, stem_of
from fetalstudio.formats.tables.names import key_of

IMAGE_FOLDERS = frozenset(
    {"image", "images", "img", "imgs", "frames", "training_set", "test_set"}
    | {"bild", "bilder", "imagen", "imagenes", "im\u00e1genes", "imagem", "imagens", "immagini"}
    | {"imagestr", "imagests", "jpegimages", "image_png", "images_png", "image_mha", "images_mha"}
    | {"input", "inputs"}
)
"""Names (lower case) of folders that say nothing about what is in them."""
INPUTS = frozenset(
    {"source", "src", "data", "raw", "original", "originals", "orig"}
    | {"us", "usg", "ultrasound", "ultrasounds", "bmode", "scan", "scans"}
)
"""What other folders of images are called (lower case), though patients, sites or countries may be
called so, too."""
TARGETS = {
    "y": frozenset({"x"}),
    **dict.fromkeys(
        ("target", "targets", "output", "outputs", "ann", "anns"), INPUTS | IMAGE_FOLDERS
    ),
}
"""What folders of annotations are called (lower case) that only a folder of images beside them
shows to be such, by what that is called."""

_SUFFIX = re.compile(rf"(.+)[-_ .](?:{MASK_WORDS})(?:[-_ .]?\d+)?", re.IGNORECASE | re.DOTALL)
_PREFIX = re.compile(rf"(?:{MASK_WORDS})(?:[-_ .](.+)|(\d+))", re.IGNORECASE | re.DOTALL)
_AMONG = re.compile(rf"(?:.*[-_ .(])?(?:{MASK_WORDS})(?:[-_ .)(\d].*)?", re.IGNORECASE | re.DOTALL)
"""Such a word among others, as in ``reader1_mask (2)``."""
_NUMBER_AFTER = re.compile(r".*[-_ .](\d+)", re.DOTALL)
_ALONE = re.compile(rf"(?:{MASK_WORDS})[-_ .]?\d*", re.IGNORECASE)
_DRAWN_ON = (
    "overlays?|contours?|outlines?|predictions?|pred|previews?|visuali[sz]ations?|with[-_ ]?masks?"
)
_SHOWS = re.compile(rf"(?:(.+)[-_ .])?(?:{_DRAWN_ON})(?:[-_ .]?\d+)?", re.IGNORECASE)
"""Pictures of a frame with something drawn on it."""
_FRAME_WORDS = "image|img|im|frame|us|ultrasound|original|orig|raw|input|scan"
_FRAME_ALONE = re.compile(rf"(?:{_FRAME_WORDS})[-_ .]?\d*", re.IGNORECASE)
_FRAME_NAMED = re.compile(
    rf"(?:{_FRAME_WORDS})(?:[-_ .](.+)|(\d+))|(.+)[-_ .](?:{_FRAME_WORDS})",
    re.IGNORECASE | re.DOTALL,
)
"""``img_07``, ``img07`` and ``07_image``, of which ``mask_07``, ``mask07`` or ``07_mask`` is the
mask."""
_NNUNET_CHANNEL = re.compile(r"(.+)_\d{4}")
_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")


def names_of(frames: Iterable[Path]) -> frozenset[str]:
    """The keys by which annotations may call the frames."""
    return frozenset(key for path in frames for key in keys_of(stem_of(path)))


def base_of(path: Path) -> str | None:
    """The key of the frame that this file says it annotates."""
    match = _SUFFIX.fullmatch(stem_of(path))
    if match is None:
        return None
    named = Path(match[1])  # x.png_mask.png is a mask of x.png
    return key_of(stem_of(named) if is_picture(named) else match[1])


def prefixed_base(path: Path) -> str | None:
    """The same, where the word comes first: ``mask_x``, ``mask07``."""
    match = _PREFIX.fullmatch(stem_of(path))
    return key_of(match[1] or match[2]) if match else None


def is_word_alone(path: Path) -> bool:
    """Whether a file is called ``mask.png`` or ``gt2.png``, without the name of a frame."""
    return _ALONE.fullmatch(stem_of(path)) is not None


def is_frame_word_alone(path: Path) -> bool:
    """Whether a file is called ``image.png`` or the like."""
    return _FRAME_ALONE.fullmatch(stem_of(path)) is not None


def shows_a_frame(name: str) -> bool:
    """Whether a file or folder says that it shows frames with something drawn on them."""
    return _SHOWS.fullmatch(name) is not None


def shown_frame(path: Path) -> str | None:
    """The key of the frame that this picture seems to show with something drawn on it."""
    match = _SHOWS.fullmatch(stem_of(path))
    return key_of(match[1]) if match and match[1] else None


def is_mask_folder(path: Path) -> bool:
    """Whether the folder's name says that it holds annotations: ``labelsTr``, ``Masks_png``."""
    words = words_of(path.name)
    joined = "".join(words)
    says = any(
        re.fullmatch(rf"(?:\w*(?:masks?|labels|annotations|annot))|{MASK_WORDS}", w) for w in words
    )
    says = says or "groundtruth" in joined
    return says and not {"with", "without", "no"} & set(words) and path.is_dir()


def keys_of(stem: str) -> tuple[str, ...]:
    """How annotations may call a frame of this name, the most exact first."""
    named = _FRAME_NAMED.fullmatch(stem)
    without = key_of(named[1] or named[2] or named[3]) if named else None
    return tuple(filter(None, (key_of(stem), without_channel(stem), without)))


def frame_in(path: Path, names: Collection[str]) -> str | None:
    """The key of the frame whose name an annotation's begins with, as in ``x_reader1_mask``."""
    stem = key_of(stem_of(path))
    ends = [i for i, c in enumerate(stem) if c in "-_ .(" and _AMONG.fullmatch(stem[i + 1 :])]
    return next((base for i in reversed(ends) if (base := stem[:i].rstrip()) in names), None)


def numbered_alike(base: str | None, path: Path, names: Collection[str]) -> str | None:
    """The key of a frame whose name has the number at the end of an annotation's too: ``a_mask_2``
    may annotate ``a_2`` as well as ``a``."""
    number = _NUMBER_AFTER.fullmatch(stem_of(path))
    others = [f"{base}{c}{number[1]}" for c in "-_ ."] if number else []
    return next((other for other in others if other in names), None)


def by_plain_numbers(names: Iterable[str]) -> dict[str, str]:
    """The keys by :func:`plain_numbers`, without those that differ in zeros alone."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        found[plain_numbers(name)].append(name)
    return {plain: alike[0] for plain, alike in found.items() if len(alike) == 1}


def plain_numbers(key: str) -> str:
    """A key without the zeros before its numbers: ``007`` may be the mask of ``7``."""
    return _ZEROS.sub("", key)


def without_channel(stem: str) -> str | None:
    """``HC_010`` of nnU-Net's ``HC_010_0000``."""
    channel = _NNUNET_CHANNEL.fullmatch(stem)
    return key_of(channel[1]) if channel else None
