"""Reading images: every format and depth comes out 8-bit grey, and what is broken is named."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.formats.pictures.picture_files import (
    MAX_SIDE,
    MIN_SIDE,
    encode_png,
    note_in,
    pages_in,
    read_image,
    read_samples,
    write_png,
)

GREY = np.random.default_rng(0).integers(0, 256, (48, 64), dtype=np.uint8)
GREY[0, :2] = 0, 255


def encoded(suffix: str, image: NDArray[Any], *options: int) -> bytes:
    done, data = cv2.imencode(suffix, image, options)
    assert done
    return bytes(data.tobytes())


def png(width: int, height: int, colour_type: int, bits: int, rows: bytes) -> bytes:
    """A PNG by hand, also one whose header says something else than its rows."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def png_rows(channels: NDArray[np.generic]) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in channels)


def saved(folder: Path, data: bytes, name: str = "frame.png") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


# -- what can be read -------------------------------------------------------------------------


def test_white_may_be_0_in_a_tiff_of_more_than_8_bits(tmp_path: Path) -> None:
    grey = np.arange(40 * 50, dtype=np.uint16).reshape(40, 50) * 30
    stored = Image.fromarray(np.invert(grey))
    stored.save(tmp_path / "white.tif", tiffinfo={PHOTOMETRIC_INTERPRETATION: 0})
    Image.fromarray(grey).save(tmp_path / "black.tif")
    white, black = tmp_path / "white.tif", tmp_path / "black.tif"
    np.testing.assert_array_equal(read_image(white), read_image(black))
    np.testing.assert_array_equal(read_samples(white)[0], grey)


def test_infinite_samples_are_the_darkest_and_the_brightest(tmp_path: Path) -> None:
    grey = np.linspace(-40, 0, 40 * 50, dtype=np.float32).reshape(40, 50)  # in dB
    grey[0, :2] = -np.inf, np.inf
    Image.fromarray(grey).save(tmp_path / "x.tif")
    found = read_image(tmp_path / "x.tif")
    assert found[0, :3].tolist() == [0, 255, 0] and found[20, 0] == pytest.approx(128, abs=1)
    Image.fromarray(np.full_like(grey, np.inf)).save(tmp_path / "x.tif")
    assert not read_image(tmp_path / "x.tif").any()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_lossless_formats_keep_every_pixel(tmp_path: Path, suffix: str) -> None:
    frame = read_image(saved(tmp_path, encoded(suffix, GREY), f"frame{suffix}"))
    np.testing.assert_array_equal(frame, GREY)
    assert frame.dtype == np.uint8
    assert frame.flags.c_contiguous


def test_a_jpeg_is_close(tmp_path: Path) -> None:
    smooth = cv2.GaussianBlur(GREY, (0, 0), 3)
    data = encoded(".jpg", smooth, cv2.IMWRITE_JPEG_QUALITY, 95)
    frame = read_image(saved(tmp_path, data, "frame.jpg"))
    assert float(np.abs(frame.astype(float) - smooth).max()) < 12


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_image(saved(tmp_path, encoded(".bmp", GREY))), GREY)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_an_offset_and_a_sign_do_no_harm(tmp_path: Path, dtype: type[np.generic]) -> None:
    offset = 32768 if dtype is np.uint16 else -1024
    deep = (GREY.astype(np.int32) * 4 + offset).astype(dtype)
    frame = read_image(saved(tmp_path, encoded(".tif", deep), "frame.tif"))
    np.testing.assert_array_equal(frame, GREY)


def test_a_pgm_is_read(tmp_path: Path) -> None:
    data = encoded(".pgm", GREY)
    np.testing.assert_array_equal(read_image(saved(tmp_path, data, "x.pgm")), GREY)
    deep = encoded(".pgm", GREY.astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_image(saved(tmp_path, deep, "x.pgm")), GREY)
    commented = data.replace(b"P5\n", b"P5\n# by a scanner\n")
    np.testing.assert_array_equal(read_image(saved(tmp_path, commented, "x.pgm")), GREY)
    assert "truncated" in refused(saved(tmp_path, data[:-1], "x.pgm"))
    halved = encoded(".pgm", GREY // 2).replace(b"\n255\n", b"\n127\n", 1)
    shown = read_image(saved(tmp_path, halved, "x.pgm"))
    np.testing.assert_allclose(shown, GREY, atol=2)


def test_a_big_tiff_is_read(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "x.tif", big_tiff=True)
    assert (tmp_path / "x.tif").read_bytes()[2] == 43
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif"), GREY)
    assert pages_in(tmp_path / "x.tif") == 1


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".pgm"])
def test_bytes_after_the_end_do_no_harm(tmp_path: Path, suffix: str) -> None:
    data = encoded(suffix, GREY)
    expected = read_image(saved(tmp_path, data))
    np.testing.assert_array_equal(read_image(saved(tmp_path, data + bytes(20_000))), expected)


def test_the_end_of_a_thumbnail_is_not_that_of_its_jpeg(tmp_path: Path) -> None:
    thumbnail = b"\xff\xe3" + struct.pack(">H", 2 + 400) + b"\xff\xd9" * 200
    data = encoded(".jpg", GREY)
    whole = data[:2] + thumbnail + data[2:]
    np.testing.assert_array_equal(
        read_image(saved(tmp_path, whole, "x.jpg")), read_image(saved(tmp_path, data, "y.jpg"))
    )
    assert "truncated" in refused(saved(tmp_path, whole[:-300], "x.jpg"))


def test_pages_are_counted_without_thumbnails(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.roll(GREY, i)) for i in range(3)]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    assert pages_in(tmp_path / "x.tif") == 3
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif"), GREY)
    pages[1].encoderinfo = {"tiffinfo": {254: 1}}
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:2])
    assert pages_in(tmp_path / "x.tif") == 1
    pages[0].save(tmp_path / "x.png", save_all=True, append_images=pages[1:])
    assert pages_in(tmp_path / "x.png") == 3
    pages[0].save(tmp_path / "x.jpg", "MPO", save_all=True, append_images=pages[1:])
    assert pages_in(tmp_path / "x.jpg") == 3
    pages[0].save(tmp_path / "x.jpg", "JPEG")
    assert pages_in(tmp_path / "x.jpg") == 1


def test_the_numbers_of_a_coloured_palette_and_the_levels_of_a_grey_one(tmp_path: Path) -> None:
    numbers = np.zeros((40, 50), np.uint8)
    numbers[10:20, 10:20], numbers[30:35, 30:35] = 1, 2
    picture = Image.fromarray(numbers, "P")
    for colours, expected in (
        ([0, 0, 0, 255, 0, 0, 0, 255, 0], numbers),
        ([255] * 3 + [9] * 3 + [7] * 3, np.array([255, 9, 7], np.uint8)[numbers]),
    ):
        picture.putpalette(colours)
        picture.save(tmp_path / "x.png")
        samples, alpha = read_samples(tmp_path / "x.png")
        np.testing.assert_array_equal(samples, expected)
        assert alpha is None


def test_colours_and_transparency_are_apart(tmp_path: Path) -> None:
    rgba = np.dstack([GREY, GREY[::-1], GREY[:, ::-1], GREY.T.reshape(GREY.shape)])
    Image.fromarray(rgba).save(tmp_path / "x.png")
    samples, alpha = read_samples(tmp_path / "x.png")
    np.testing.assert_array_equal(samples, rgba[..., :3])
    np.testing.assert_array_equal(alpha, rgba[..., 3])


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_scaled_to_their_range(tmp_path: Path, bits: int, suffix: str) -> None:
    deep = (GREY.astype(np.uint32) * ((1 << bits) - 1) // 255).astype(np.uint16)
    frame = read_image(saved(tmp_path, encoded(suffix, deep), f"frame{suffix}"))
    assert int(np.abs(frame.astype(int) - GREY).max()) <= 1


def test_a_float_tiff_is_read(tmp_path: Path) -> None:
    data = encoded(".tif", GREY.astype(np.float32) / 255)
    frame = read_image(saved(tmp_path, data, "frame.tif"))
    np.testing.assert_array_equal(frame, GREY)


def test_a_frame_of_zeros_stays_black(tmp_path: Path) -> None:
    black = np.zeros((40, 40), np.uint16)
    assert not read_image(saved(tmp_path, encoded(".png", black))).any()


def test_grey_in_colour_channels_stays_the_same(tmp_path: Path) -> None:
    colour = np.repeat(GREY[..., None], 3, axis=2)
    np.testing.assert_array_equal(read_image(saved(tmp_path, encoded(".png", colour))), GREY)


def test_colour_becomes_luminance(tmp_path: Path) -> None:
    rgb = np.zeros((40, 40, 3), np.uint8)
    rgb[..., 0] = 200
    frame = read_image(saved(tmp_path, encode_png(rgb)))
    assert (frame == round(0.299 * 200)).all()


def test_colour_with_transparency_becomes_luminance(tmp_path: Path) -> None:
    rgba = np.full((48, 64, 4), (0, 200, 0, 3), np.uint8)
    frame = read_image(saved(tmp_path, png(64, 48, 6, 8, png_rows(rgba))))
    assert (frame == round(0.587 * 200)).all()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("colours", [1, 3])
def test_transparency_neither_shows_nor_dims(tmp_path: Path, bits: int, colours: int) -> None:
    """12-bit values under a full 16-bit alpha must be scaled by their own maximum."""
    kind = ">u1" if bits == 8 else ">u2"
    values = GREY.astype(kind) * (1 if bits == 8 else 16)
    alpha = np.full_like(values, 9 if bits == 8 else 65535)
    channels = np.stack([values] * colours + [alpha], axis=2).astype(kind)
    data = png(64, 48, 4 if colours == 1 else 6, bits, png_rows(channels))
    frame = read_image(saved(tmp_path, data))
    assert int(np.abs(frame.astype(int) - GREY).max()) <= 1


def test_one_bit_images_are_black_and_white(tmp_path: Path) -> None:
    bits = (GREY > 127).astype(np.uint8)
    data = png(64, 48, 0, 1, png_rows(np.packbits(bits, axis=1)))
    np.testing.assert_array_equal(read_image(saved(tmp_path, data)), bits * 255)


def test_text_after_the_end_of_a_png_does_no_harm(tmp_path: Path) -> None:
    data = encoded(".png", GREY) + b"exported by a scanner" * 10
    np.testing.assert_array_equal(read_image(saved(tmp_path, data)), GREY)


@pytest.mark.parametrize("colour", [False, True])
def test_a_written_png_reads_back(tmp_path: Path, colour: bool) -> None:
    image = np.repeat(GREY[..., None], 3, axis=2) if colour else GREY
    write_png(tmp_path / "new folder" / "frame.png", image)
    np.testing.assert_array_equal(read_image(tmp_path / "new folder" / "frame.png"), GREY)


@pytest.mark.parametrize(
    "image",
    [GREY.astype(np.float32), GREY > 9, np.zeros((40, 40, 4), np.uint8), np.zeros(40, np.uint8)],
    ids=["float", "bool", "four channels", "one dimension"],
)
def test_only_grey_and_rgb_bytes_are_written(image: NDArray[np.generic]) -> None:
    with pytest.raises(ValueError, match="PNG"):
        encode_png(image)  # type: ignore[arg-type]  # that is the point


# -- frames keep their ids -------------------------------------------------------------------

MODES = {
    "1": Image.fromarray(GREY).convert("1"),
    "L": Image.fromarray(GREY),
    "LA": Image.fromarray(np.dstack([GREY, GREY[::-1]])),
    "I;16": Image.fromarray(GREY.astype(np.uint16) * 13),
    "P": Image.fromarray(np.dstack([GREY, GREY[::-1], GREY[:, ::-1]])).quantize(200),
    "RGB": Image.fromarray(np.dstack([GREY, GREY[::-1], GREY[:, ::-1]])),
    "RGBA": Image.fromarray(np.dstack([GREY, GREY[::-1], GREY[:, ::-1], GREY])),
    "CMYK": Image.fromarray(np.dstack([GREY, GREY[::-1], GREY[:, ::-1], GREY]), "CMYK"),
    "F": Image.fromarray(GREY.astype(np.float32) / 255),
}
WRITTEN = [
    *((mode, ".png", {}) for mode in ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")),
    *((mode, ".jpg", {}) for mode in ("1", "L", "RGB", "CMYK")),
    *((mode, ".jpg", {"progressive": True}) for mode in ("L", "RGB")),
    *((mode, ".bmp", {}) for mode in ("1", "L", "P", "RGB", "RGBA")),
    *((mode, ".tif", {}) for mode in MODES),
    *((mode, ".tif", {"compression": "tiff_lzw"}) for mode in MODES),
    *((mode, ".tif", {"compression": "tiff_deflate"}) for mode in ("L", "RGB", "I;16")),
]


def pixels_by_opencv(path: Path) -> NDArray[np.uint8]:
    """What every version of FetalStudio made of a picture: a frame's id is a hash over it."""
    data = np.frombuffer(path.read_bytes(), np.uint8)
    image: Any = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    assert image is not None
    if image.ndim == 3:
        image = image[..., :3] if image.shape[2] >= 3 else image[..., 0]
    if image.dtype == np.bool_:
        image = image.astype(np.uint8) * 255
    elif image.dtype != np.uint8:
        values = image.astype(np.float32)
        image = (values / max(float(values.max()), 1.0) * 255 + 0.5).astype(np.uint8)
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image


@pytest.mark.parametrize(
    ("mode", "suffix", "options"), WRITTEN, ids=[f"{m}{s}-{o}" for m, s, o in WRITTEN]
)
def test_pictures_of_every_kind_decode_as_ever(
    tmp_path: Path, mode: str, suffix: str, options: dict[str, Any]
) -> None:
    path = tmp_path / f"x{suffix}"
    MODES[mode].save(path, **options)
    frame = read_image(path)
    assert frame.shape == GREY.shape
    np.testing.assert_array_equal(frame, pixels_by_opencv(path))


TURNED: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.T,
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].T,
    8: lambda image: np.rot90(image),
}


@pytest.mark.parametrize("compression", ["zstd", "lzma"])
def test_a_compression_that_is_not_read_is_named(tmp_path: Path, compression: str) -> None:
    Image.fromarray(GREY).save(tmp_path / "x.tif", compression=compression)
    names = {"zstd": "Zstandard", "lzma": "LZMA"}
    with pytest.raises(InputError, match=rf"x\.tif is compressed as {names[compression]}"):
        read_image(tmp_path / "x.tif")


@pytest.mark.parametrize(("kind", "called"), [("webp", "a WebP"), ("gif", "a GIF")])
def test_a_picture_of_another_kind_under_this_name_is_named(
    tmp_path: Path, kind: str, called: str
) -> None:
    Image.fromarray(GREY).save(tmp_path / "x", kind)
    (tmp_path / "x").rename(tmp_path / "x.jpg")
    with pytest.raises(InputError, match=rf"x\.jpg is not a PNG.* but {called} file\. Save it as"):
        read_image(tmp_path / "x.jpg")


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *((mode, ".png") for mode in ("1", "L", "I;16", "P", "RGB", "RGBA")),
        *((mode, ".jpg") for mode in ("L", "RGB")),
        *((mode, ".tif") for mode in ("1", "L", "I;16", "RGB", "F")),
    ],
)
def test_a_picture_is_turned_once_as_viewers_show_it(
    tmp_path: Path, mode: str, suffix: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    MODES[mode].save(tmp_path / f"x{suffix}", exif=exif)
    MODES[mode].save(tmp_path / f"y{suffix}")
    expected = TURNED[orientation](read_image(tmp_path / f"y{suffix}"))
    np.testing.assert_array_equal(read_image(tmp_path / f"x{suffix}"), expected)
    if mode == "L":
        samples, alpha = read_samples(tmp_path / f"x{suffix}")
        np.testing.assert_array_equal(samples, expected)
        assert alpha is None


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0II*\0\xff\xff", b"nonsense"])
def test_damaged_exif_data_turn_nothing(tmp_path: Path, exif: bytes) -> None:
    MODES["L"].save(tmp_path / "x.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), GREY)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiffs_that_pillow_has_no_mode_for_are_read(
    tmp_path: Path, dtype: type[np.generic], channels: int
) -> None:
    deep = np.repeat(GREY[..., None], channels, axis=2).astype(dtype)
    path = saved(tmp_path, encoded(".tif", deep), "x.tif")
    np.testing.assert_array_equal(read_image(path), pixels_by_opencv(path))


def test_the_sample_frames_keep_their_ids(samples: Path) -> None:
    digest = hashlib.sha256()
    for path in sorted(samples.glob("*.png")):
        frame = read_image(path)
        digest.update(f"{path.name} {frame.shape}".encode() + frame.tobytes())
    assert digest.hexdigest() == "eafb1232f95c27e0466c5aa51dbc452d44333765787bd053246292789e79be82"


# -- notes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", [False, True])
def test_a_note_survives_and_the_picture_is_the_same(tmp_path: Path, colour: bool) -> None:
    image = np.repeat(GREY[..., None], 3, axis=2) if colour else GREY
    path = tmp_path / "x.png"
    write_png(path, image, "größer ≥ 0")
    assert note_in(path) == "größer ≥ 0"
    np.testing.assert_array_equal(read_image(path), GREY)
    long = "x" * 300_000
    write_png(path, image, long)
    assert note_in(path) == long


def test_a_note_of_an_earlier_version_is_found(tmp_path: Path) -> None:
    """Versions before Pillow wrote the chunk by hand, right behind the header."""
    body = b"iTXtfetalstudio\0\0\0\0\0" + "größer".encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    data = encoded(".png", GREY)
    assert note_in(saved(tmp_path, data[:33] + chunk + data[33:])) == "größer"


@pytest.mark.parametrize(
    "data",
    [encode_png(GREY), encoded(".jpg", GREY), b"\x89PNG\r\n\x1a\n", b"", encode_png(GREY)[:40]],
    ids=["no note", "JPEG", "a signature", "nothing", "half a header"],
)
def test_other_files_have_no_note(tmp_path: Path, data: bytes) -> None:
    assert note_in(saved(tmp_path, data)) is None
    assert note_in(tmp_path / "nowhere.png") is None


# -- what cannot ------------------------------------------------------------------------------


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path / "nowhere.png")
    assert "cannot be read" in refused(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "frame.png")
    assert "is not a file" in refused(tmp_path / "frame.png")


@pytest.mark.parametrize("data", [b"no image at all\n", b"GIF89a" + bytes(200)])
def test_what_is_no_image_is_refused_whatever_its_name(tmp_path: Path, data: bytes) -> None:
    assert "is not a PNG, JPEG, TIFF, BMP or PGM" in refused(saved(tmp_path, data))


@pytest.mark.parametrize(
    ("data", "called"),
    [
        (imagecodecs.jpeg8_encode(np.zeros((40, 50), np.uint16), 90, bitspersample=12),
         "JPEG of 12 bits"),
        (imagecodecs.jpegls_encode(np.zeros((40, 50), np.uint8)), "JPEG-LS"),
    ],
)  # fmt: skip
def test_a_jpeg_that_is_not_read_is_called_what_it_is(
    tmp_path: Path, data: bytes, called: str
) -> None:
    path = saved(tmp_path, bytes(data), "frame.jpg")
    said = f"{path} is compressed as {called}, which is not read. Save it as PNG."
    assert refused(path) == said


def test_files_that_never_arrived_are_called_what_they_are(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n"
    path = saved(tmp_path, pointer)
    assert refused(path) == (
        f"{path} is not the picture, but a pointer of Git LFS to it. Fetch it by git lfs pull."
    )
    assert refused(saved(tmp_path, b"")) == f"{path} is empty. Copy it again."


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    data = encoded(suffix, GREY)
    message = refused(saved(tmp_path, data[: int(share * len(data))], f"frame{suffix}"))
    assert "truncated" in message or "damaged" in message
    assert "Copy" in message


def test_a_png_with_a_flipped_byte_is_refused(tmp_path: Path) -> None:
    data = bytearray(encoded(".png", GREY))
    data[len(data) // 2] ^= 0xFF
    assert "damaged" in refused(saved(tmp_path, bytes(data)))


@pytest.mark.parametrize("name", ["tiff_lzw", "tiff_deflate", "tiff_adobe_deflate"])
@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_what_the_decoder_of_a_tiff_reports_is_believed(
    tmp_path: Path, name: str, mode: str
) -> None:
    smooth = cv2.GaussianBlur(np.kron(GREY, np.ones((4, 4), np.uint8)), (0, 0), 3)
    deep = {"L": smooth, "RGB": np.dstack([smooth] * 3), "I;16": smooth.astype(np.uint16) * 200}
    path = tmp_path / "x.tif"
    Image.fromarray(deep[mode]).save(path, compression=name)
    whole, expected = path.read_bytes(), read_image(path)
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(150):
        data = bytearray(whole)
        data[rng.integers(200, len(data) - 400)] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        try:
            wrong += not np.array_equal(read_image(path), expected)
        except InputError as error:
            assert "damaged" in str(error)
    # LZW has no checksum: most flips give other pixels that are as valid.
    assert wrong == 0 if "deflate" in name else wrong < 150


def test_a_damaged_length_in_a_png_takes_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytearray(encode_png(GREY, "a note"))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("the decoder was called"))
    place = 8
    while place < len(data) - 12:
        (length,) = struct.unpack(">I", data[place : place + 4])
        changed = bytearray(data)
        changed[place] = 0xF0
        message = refused(saved(tmp_path, bytes(changed)))
        assert "truncated" in message or "damaged" in message
        place += length + 12


@pytest.mark.slow
def test_no_picture_takes_a_gigabyte(tmp_path: Path) -> None:
    """The largest pictures that are read, and those that must be refused, each in a process."""
    side = MAX_SIDE
    cases: dict[str, NDArray[Any]] = {
        "colour.jpg": np.zeros((side, side, 3), np.uint8),
        "deep.png": np.zeros((side // 2, side, 4), np.uint16),
        "float.tif": np.zeros((side // 2, side // 2, 3), np.float32),
    }
    script = """
import sys
from pathlib import Path
from fetalstudio.formats.pictures.picture_files import read_image
read_image(Path(sys.argv[1]))
# The peak of this program alone: getrusage counts that of the process which started it, too.
(peak,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024)
"""
    if sys.platform != "linux":
        pytest.skip("other systems count the memory of a process otherwise")
    for name, image in cases.items():
        cv2.imwrite(str(tmp_path / name), image)
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / name)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert int(done.stdout) < 1000, name
        (tmp_path / name).unlink()
    cv2.imwrite(str(tmp_path / "x.png"), np.zeros((side, side, 4), np.uint16))
    assert "takes 512 MiB when it is decoded" in refused(tmp_path / "x.png")


def jpeg_bomb() -> bytes:
    data = bytearray(encoded(".jpg", GREY))
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", 60000, 60000)
    return bytes(data)


def tiff_bomb(order: str) -> bytes:
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    entries = struct.pack(f"{order}HHII", 256, 4, 1, 60000)
    short = struct.pack(f"{order}HHIHH", 257, 3, 1, 60000, 0)
    return header + struct.pack(f"{order}H", 2) + entries + short + bytes(64)


def bmp_bomb() -> bytes:
    data = bytearray(encoded(".bmp", GREY))
    data[18:26] = struct.pack("<ii", 60000, -60000)
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [png(60000, 60000, 0, 8, b"\0"), jpeg_bomb(), tiff_bomb("<"), tiff_bomb(">"), bmp_bomb()],
    ids=["png", "jpeg", "tiff little-endian", "tiff big-endian", "bmp top-down"],
)
def test_a_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("the decoder was called"))
    assert "60000x60000" in refused(saved(tmp_path, data))


def test_a_huge_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, encoded(".png", GREY))
    with path.open("rb+") as stream:
        stream.truncate(300 * 2**20)  # sparse
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("the file was read"))
    assert "larger than 256 MiB" in refused(path)


@pytest.mark.parametrize(
    "size", [(1, 1), (MIN_SIDE - 1, 80), (80, MIN_SIDE - 1), (MAX_SIDE + 1, 40)]
)
def test_a_size_that_is_no_frame_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    data = encoded(".png", np.zeros(size[::-1], np.uint8))
    assert f"{size[0]}x{size[1]}" in refused(saved(tmp_path, data))


def test_the_smallest_frame_is_taken(tmp_path: Path) -> None:
    data = encoded(".png", np.zeros((MIN_SIDE, MIN_SIDE), np.uint8))
    assert read_image(saved(tmp_path, data)).shape == (MIN_SIDE, MIN_SIDE)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    st.sampled_from([".png", ".jpg", ".tif", ".bmp"]),
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=6),
    st.floats(0, 1),
)
def test_damage_is_read_or_refused_but_never_crashes(
    tmp_path_factory: pytest.TempPathFactory,
    suffix: str,
    changes: list[tuple[float, int]],
    share: float,
) -> None:
    data = bytearray(encoded(suffix, GREY))
    for position, value in changes:
        # Mostly in the header, where a byte does the most.
        data[int(position**3 * len(data))] = value
    path = saved(tmp_path_factory.getbasetemp(), bytes(data[: int(share * 3 * len(data))]), "x")
    try:
        frame = read_image(path)
    except InputError as error:
        assert str(path) in str(error)
    else:
        assert frame.dtype == np.uint8
        assert frame.ndim == 2


def test_a_frame_that_cannot_be_written_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"frame\.png could not be written"):
        write_png(tmp_path / "file" / "frame.png", GREY)
