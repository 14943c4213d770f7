"""MetaImage, NRRD and NIfTI files: one picture, or several of the same size, with their pixel size.

SimpleITK decodes NRRD and NIfTI, :mod:`fetalstudio.formats.pictures.metaimage` the other. What
would be opened and how much memory that takes is known before, from the header: such a file can
claim gigabytes, and name any other file as the one with its pixels.

A picture is turned as a radiological viewer shows it, by the directions of its axes (NIfTI's
affine, MetaImage's TransformMatrix, NRRD's space directions): from the patient's right to left, or
from front to back, along x; from front to back, or from head to foot, along y. A file that
SimpleITK wrote from a plain picture has these directions already.
"""

from __future__ import annotations

import gzip
import math
import re
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.errors import InputError, UserError, is_out_of_memory
from fetalstudio.core.geometry import Size
from fetalstudio.formats.files import check_regular, write_bytes
from fetalstudio.formats.pictures.metaimage import (
    META_SUFFIXES,
    damaged,
    read_meta_header,
    read_meta_pixels,
)
from fetalstudio.formats.pictures.nrrd import (
    NRRD_SUFFIXES,
    as_itk_reads,
    mm_in,
    nrrd_lines,
    other_spacing,
)
from fetalstudio.formats.pictures.recent_files import RECENT

if TYPE_CHECKING:
    import SimpleITK

VOLUME_SUFFIXES = frozenset({".mha", ".mhd", ".nrrd", ".nhdr", ".nii", ".nii.gz"})
"""File name endings (lower case) of these formats."""

_NO_DIRECTIONS = re.compile("orthonormal|number of domain axes")
"""What ITK says of directions that it does not read."""
_MAX_PAGES = 20_000
_NIFTI_TEXT = slice(148, 228)
"""Where NIfTI has a description, in bytes."""
_NOTE, _NIFTI_NOTE = "fetalstudio", "fetalstudio: "
_NIFTI_ROOM = 79 - len(_NIFTI_NOTE)
_SYNTHETIC = "synthetic"
"""What a note says that says nothing else, as ``SYNTHETIC_NOTE`` in ``pictures.py``."""
_FED = 1 << 20
"""Bytes that are unpacked at a time."""
_MOST_MORE = 16 << 20
"""Bytes behind the picture that are unpacked to reach the checksum."""
_KEYS = (
    *(_NOTE, "descrip", "bitpix", "datatype", "vox_offset", "sform_code"),
    *("srow_x", "srow_y", "srow_z", "pixdim[1]", "pixdim[2]", "pixdim[3]"),
)
_UNKNOWN = (1.0, 1.0)
"""What programs write that know no spacing."""
_SAME = 0.01
"""Relative difference up to which two spacings say the same."""
_NIFTI_COLOURS = frozenset({"128", "2304"})
"""Types of which one value is a whole colour."""


@dataclass(frozen=True, slots=True)
class Turn:
    """How stored pixels are turned for showing: first transposed, then flipped."""

    transposed: bool = False
    flipped_x: bool = False
    flipped_y: bool = False


@dataclass(frozen=True, slots=True)
class VolumeHeader:
    """What is known of a file before it is decoded."""

    path: Path
    size: Size
    """(width, height) in px of each picture, turned as it is shown."""
    pages: int
    """How many pictures are in it."""
    channels: int
    decoded_bytes: int
    """Memory that all its samples take."""
    stored_bytes: int | None
    """How long the file must be, unpacked, where SimpleITK does not check it."""
    spacing: tuple[float, float] | None
    """Width and height of a pixel in mm, as shown; None where the file does not state them."""
    other_spacing: tuple[float, float] | None
    """What another place of the header states instead: the affine of NIfTI, ``ElementSize`` of
    MetaImage, or ``spacings`` beside NRRD's directions. None where that says the same, or
    nothing."""
    turn: Turn
    note: str | None
    """What a file of ours says that it is."""


def volume_suffix(name: str) -> str | None:
    """The ending of a file's name in one of these formats, in lower case; None for any other."""
    lower = name.lower()
    return next((s for s in sorted(VOLUME_SUFFIXES) if lower.endswith(s)), None)


def read_volume_header(path: Path) -> VolumeHeader:
    """Read what a file says of itself, without its pixels.

    Raises :class:`InputError`, naming the file and the cure, for one that is missing, damaged,
    no picture, or that names a file outside its folder as the one with its pixels.
    """
    try:
        check_regular(path)
        said = _meta(path) if volume_suffix(path.name) in META_SUFFIXES else _itk(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check the path.") from error
    inner = [axis for axis, length in enumerate(said.size) if length > 1]
    if len(inner) > 3:
        raise InputError(
            f"{path} holds several volumes. Export each of them, or each of their frames, as a "
            "file of its own."
        )
    if len(inner) < 2 or said.channels not in (1, 3, 4):
        raise InputError(
            f"{path} holds no picture of grey levels or colours. Export it as one, or leave it out."
        )
    x, y = inner[:2]
    pages = said.size[inner[2]] if len(inner) == 3 else 1
    if pages > _MAX_PAGES:
        raise InputError(f"{path} holds {pages} pictures, more than {_MAX_PAGES}. Export fewer.")
    turn = _turn_of(said.directions[:, [x, y]])
    x, y = (y, x) if turn.transposed else (x, y)
    spacing, other = _sides(said.spacing, x, y), _sides(said.other_spacing, x, y)
    if spacing in (None, _UNKNOWN):
        spacing, other = other or spacing, None
    elif other is None or other == _UNKNOWN or np.allclose(spacing, other, rtol=_SAME):
        other = None
    return VolumeHeader(
        path,
        (said.size[x], said.size[y]),
        pages,
        said.channels,
        math.prod(said.size) * said.channels * said.sample_bytes,
        said.stored_bytes,
        spacing,
        other,
        turn,
        said.note,
    )


def _sides(spacing: Sequence[float] | None, x: int, y: int) -> tuple[float, float] | None:
    """Along two axes. NIfTI holds numbers of 32 bits: 0.2 comes as 0.20000000298."""
    return None if spacing is None else (float(f"{spacing[x]:.7g}"), float(f"{spacing[y]:.7g}"))


def read_volume(header: VolumeHeader, page: int | None = None) -> NDArray[Any]:
    """The samples of one picture, (H, W) or (H, W, 3 or 4) in the order blue, green, red, alpha.

    Without a ``page`` (from 0), the file is read as one picture: three of them are the planes of
    its colours, as some data sets have them, and of any other number the first counts.

    Raises :class:`InputError` for a file that is damaged.
    """
    pages, _ = RECENT.get(header.path, lambda: _decoded(header))
    if page is None and header.pages == 3 and pages.ndim == 3:
        samples = np.moveaxis(pages[::-1], 0, -1)
    else:
        samples = pages[page or 0]
        if samples.ndim == 3:
            samples = samples[..., [2, 1, 0, 3][: samples.shape[2]]]
    turn = header.turn
    if turn.transposed:
        samples = samples.swapaxes(0, 1)
    if turn.flipped_x:
        samples = samples[:, ::-1]
    if turn.flipped_y:
        samples = samples[::-1]
    # Always a copy: the memory of SimpleITK's image goes when another file is read.
    return np.array(samples, order="C")


def write_volume(
    path: Path,
    image: NDArray[np.uint8],
    spacing: tuple[float, float] | None,
    note: str,
) -> None:
    """Write an (H, W) uint8 image in the format of the path's ending, compressed, atomically.

    ``spacing`` is the width and height of a pixel in mm. ``note`` says what the image is, as in
    :func:`~fetalstudio.formats.pictures.picture_files.encode_png`. In NIfTI, there is no room for
    how a synthetic picture was made: it only says that it is one.

    Raises :class:`~fetalstudio.core.errors.UserError` where it cannot be written.
    """
    import SimpleITK

    made = SimpleITK.GetImageFromArray(np.ascontiguousarray(image))
    if spacing is not None:
        made.SetSpacing(spacing)
    made.SetMetaData(_NOTE, note)
    suffix = volume_suffix(path.name) or ""
    nifti = suffix in (".nii", ".nii.gz")
    # SimpleITK writes to files only, and under this name: nothing half-written may be left there.
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, f"x{'.nii' if nifti else suffix}")
        try:
            SimpleITK.WriteImage(made, str(place), useCompression=not nifti)
            data = bytearray(place.read_bytes())
        except (RuntimeError, OSError) as error:
            raise UserError(
                f"{path} could not be written: the folder for temporary files ({folder}) is full "
                "or not writable. Make room there, then try again."
            ) from error
    if nifti:
        short = note if len(note) <= _NIFTI_ROOM else _SYNTHETIC
        data[_NIFTI_TEXT] = (_NIFTI_NOTE + short).encode("ascii").ljust(80, b"\0")
    write_bytes(path, gzip.compress(data, 6, mtime=0) if suffix == ".nii.gz" else bytes(data))


# -- what the header says --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Said:
    """A header, of whichever format."""

    size: tuple[int, ...]
    channels: int
    sample_bytes: int
    spacing: tuple[float, ...] | None
    """In mm, along each axis."""
    other_spacing: tuple[float, ...] | None
    """The same, from another place of the header."""
    directions: NDArray[np.float64]
    """(patient's axes, axes): column k is the direction of axis k."""
    note: str | None
    stored_bytes: int | None = None


def _meta(path: Path) -> _Said:
    header = read_meta_header(path)
    return _Said(
        header.size,
        header.channels,
        header.dtype.itemsize,
        header.spacing,
        header.element_size,
        header.directions,
        header.texts.get(_NOTE),
    )


def _itk(path: Path) -> _Said:
    import SimpleITK

    lines = nrrd_lines(path) if _is_nrrd(path) else None
    try:
        with as_itk_reads(path, lines or {}, pixels=False) as place:
            reader = _reader(place)
            reader.ReadImageInformation()
        size, channels = reader.GetSize(), reader.GetNumberOfComponents()
        known = set(reader.GetMetaDataKeys())
        texts = {key: reader.GetMetaData(key) for key in _KEYS if key in known}
        directions = np.array(reader.GetDirection()).reshape(len(size), len(size))
        sample_bytes = _bytes_a_sample(SimpleITK.GetPixelIDValueAsString(reader.GetPixelID()))
        # SimpleITK gives mm for NIfTI's units; without one, everyone means mm.
        mm = 1.0 if lines is None else mm_in(lines)
        spacing = None if mm is None else tuple(step * mm for step in reader.GetSpacing())
        other = _of_affine(spacing, texts) if lines is None else other_spacing(lines, len(size))
        stored_bytes = _stored_bytes(texts, math.prod(size), channels)
    except Exception as error:  # SimpleITK raises RuntimeError; odd bytes in a text, others
        raise _failed(path, error) from error
    return _Said(
        size,
        channels,
        sample_bytes,
        spacing,
        other,
        directions,
        _note_of(texts),
        stored_bytes,
    )


def _is_nrrd(path: Path) -> bool:
    return volume_suffix(path.name) in NRRD_SUFFIXES


def _reader(path: Path) -> SimpleITK.ImageFileReader:
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if _is_nrrd(path) else "NiftiImageIO")
    reader.SetFileName(str(path))
    return reader


def _bytes_a_sample(kind: str) -> int:
    """Of SimpleITK's name of a pixel type. Raises ``ValueError`` for complex numbers and labels."""
    kinds = "signed integer|unsigned integer|float"
    found = re.fullmatch(rf"(?:vector of )?(\d+)-bit (?:{kinds})", kind)
    if found is None:
        raise ValueError(kind)
    return int(found[1]) // 8


def _turn_of(axes: NDArray[np.float64]) -> Turn:
    """How to turn a picture whose x and y run along these directions, (2 or 3, 2) towards the
    patient's left, back and head."""
    axes = axes[:3]
    strength = np.abs(axes)
    x = int(np.argmax(strength[:, 0]))
    y = int(np.argmax(np.where(np.arange(len(axes)) == x, -1.0, strength[:, 1])))
    roles = [(x, 0), (y, 1)] if x < y else [(y, 1), (x, 0)]
    # The head is up and the feet are down: there y runs against the axis.
    flips = [bool((-1 if role == 2 else 1) * axes[role, column] < 0) for role, column in roles]
    return Turn(x > y, *flips)


def _of_affine(
    spacing: Sequence[float] | None, texts: Mapping[str, str]
) -> tuple[float, ...] | None:
    """The spacing that NIfTI's affine (``sform``) states, in mm; None where it has none. It has the
    unit of the ``pixdim`` from which the ``spacing`` is."""
    if spacing is None or int(texts.get("sform_code", "0")) <= 0:
        return None
    affine = np.array([texts[f"srow_{axis}"].split()[:3] for axis in "xyz"], dtype=np.float64)
    stated = np.array([float(texts[f"pixdim[{k}]"]) for k in range(1, 4)])
    sides = np.linalg.norm(affine, axis=0)
    if not (np.isfinite(sides) & (sides > 0) & (stated > 0)).all():
        return None
    return tuple((np.array(spacing[:3]) * (sides / stated)[: len(spacing)]).tolist())


def _note_of(texts: Mapping[str, str]) -> str | None:
    if _NOTE in texts:
        return texts[_NOTE]
    description = texts.get("descrip", "")
    return description[len(_NIFTI_NOTE) :] if description.startswith(_NIFTI_NOTE) else None


def _stored_bytes(texts: Mapping[str, str], pixels: int, channels: int) -> int | None:
    """How long a NIfTI file must be; None for other formats."""
    if "bitpix" not in texts:
        return None
    values = pixels if texts["datatype"] in _NIFTI_COLOURS else pixels * channels
    return int(float(texts["vox_offset"])) + values * (int(texts["bitpix"]) // 8)


def _failed(path: Path, error: Exception) -> Exception:
    if _NO_DIRECTIONS.search(str(error)):
        return InputError(
            f"{path} states directions of its axes that are not at right angles, or of another "
            "number of axes. Export it without directions, as PNG."
        )
    known = isinstance(error, InputError) or is_out_of_memory(error)
    return error if known else damaged(path)


# -- pixels ----------------------------------------------------------------------------------


def _decoded(header: VolumeHeader) -> tuple[NDArray[Any], object]:
    """All pictures as they are stored, (pages, H, W) or (pages, H, W, channels), and what owns
    their memory, which SimpleITK's arrays do not keep alive."""
    owner: object = None
    if volume_suffix(header.path.name) in META_SUFFIXES:
        stored = read_meta_pixels(header.path, read_meta_header(header.path))
    else:
        stored, owner = _decoded_by_itk(header)
    if stored.nbytes != header.decoded_bytes:
        raise InputError(f"{header.path} has changed while it was read. Try again.")
    width, height = header.size[::-1] if header.turn.transposed else header.size
    colours = (header.channels,) if header.channels > 1 else ()
    return stored.reshape(header.pages, height, width, *colours), owner


def _decoded_by_itk(header: VolumeHeader) -> tuple[NDArray[Any], object]:
    import SimpleITK

    _check_whole(header)
    try:
        lines = nrrd_lines(header.path) if _is_nrrd(header.path) else {}
        with as_itk_reads(header.path, lines, pixels=True) as place:
            image = _reader(place).Execute()
        stored: NDArray[Any] = SimpleITK.GetArrayViewFromImage(image)
    except Exception as error:
        raise _failed(header.path, error) from error
    return stored, image


def _check_whole(header: VolumeHeader) -> None:
    """Read a NIfTI file once: SimpleITK takes what is missing at its end for zeros, and does not
    compare the checksum of a packed one."""
    if header.stored_bytes is None:
        return
    left = header.stored_bytes
    packed = header.path.name.lower().endswith(".gz")
    try:
        with gzip.open(header.path) if packed else header.path.open("rb") as stream:
            while left > -_MOST_MORE and (read := len(stream.read(_FED))):
                left -= read
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(header.path) from error
    if left > 0:
        raise InputError(
            f"{header.path} is truncated: the end of the picture is missing. Copy it again."
        )
