"""The lift gives frames back the fine detail that the canvas lost, as far as statistics can."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from fetalstudio.core.geometry import letterbox, warp
from fetalstudio.core.spectrum import radial_power
from fetalstudio.formats.pictures.picture_files import read_image
from fetalstudio.resources import samples_dir
from fetalstudio.synthesis.conditions import CANVAS
from fetalstudio.synthesis.lift import DOUBLE, Lift, fit_to

FITTED = ("136_HC", "150_HC", "436_HC", "713_HC")


def _frames(*names: str) -> list[NDArray[np.uint8]]:
    return [read_image(samples_dir() / f"{name}.png") for name in names]


@pytest.fixture(scope="module")
def lift() -> Lift:
    frames = _frames(*FITTED)
    return Lift.fit(frames, [_canvas(frame) for frame in frames])


def _canvas(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return warp(frame, letterbox((frame.shape[1], frame.shape[0]), CANVAS), CANVAS)


def _fine_power(picture: NDArray[np.uint8]) -> float:
    """Mean log power between 0.15 and 0.3 cycles a pixel in the middle of the picture."""
    window = picture[170:370, 300:500].astype(float)
    taper = np.outer(np.hanning(200), np.hanning(200))
    power = np.abs(np.fft.fft2((window - window.mean()) * taper)) ** 2
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(200), np.fft.fftfreq(200)))
    return float(np.log10(power[(radius > 0.15) & (radius < 0.3)] + 1).mean())


def test_fine_detail_comes_near_that_of_real_frames(lift: Lift) -> None:
    for frame in _frames("209_HC", "731_HC"):
        size = (frame.shape[1], frame.shape[0])
        canvas = _canvas(frame)
        real = _fine_power(frame)
        cubic = _fine_power(fit_to(canvas.astype(np.float32), size))
        lifted = _fine_power(lift.apply(canvas, size, 0))
        assert abs(lifted - real) < 0.5 * abs(cubic - real)


def test_the_finest_detail_is_as_strong_as_in_the_frames(lift: Lift) -> None:
    """By ring of frequency, above an eighth of a cycle per px, on the mean of the frames."""

    def power(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
        window = picture[170:370, 300:500].astype(float)
        taper = np.outer(np.hanning(200), np.hanning(200))
        return np.log10(radial_power((window - window.mean()) * taper, 8)[2:])

    def excess(lift: Lift) -> float:
        each = []
        for frame in _frames(*FITTED):
            size = (frame.shape[1], frame.shape[0])
            each.append(power(lift.apply(_canvas(frame), size, 0)) - power(frame))
        return float(np.abs(np.mean(each, axis=0)).max())

    assert excess(lift) < 0.35
    stronger = replace(lift, spread=lift.spread + np.array([2, 0, 0], np.float32))
    assert excess(stronger) > 0.5


def test_a_lift_that_was_written_without_a_blur_has_none(lift: Lift, tmp_path: Path) -> None:
    older = {"enlargement": lift.enlargement, "spread": lift.spread, "grain": lift.grain}
    save_file(older, tmp_path / "lift.safetensors")
    read = Lift.read(tmp_path)
    assert read is not None
    np.testing.assert_array_equal(read.blur, [0, 1, 0])


def test_the_picture_keeps_its_place_and_its_greys(lift: Lift) -> None:
    (frame,) = _frames("209_HC")
    lifted = lift.apply(_canvas(frame), (frame.shape[1], frame.shape[0]), 0)
    smooth = [cv2.GaussianBlur(p.astype(np.float32), (0, 0), 6) for p in (frame, lifted)]
    assert np.abs(smooth[0] - smooth[1]).mean() < 1.0
    (x, y), _ = cv2.phaseCorrelate(*smooth)
    assert np.hypot(x, y) < 0.2


def test_a_seed_is_a_grain_and_black_has_none(lift: Lift) -> None:
    canvas = np.zeros((CANVAS[1], CANVAS[0]), np.uint8)
    canvas[:, 200:] = 80
    one, same, other = (lift.apply(canvas, (800, 540), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other)[:, 420:].mean() > 0.3
    assert not one[:, :380].any()


def test_seams_between_the_models_cells_are_closed() -> None:
    rng = np.random.default_rng(0)

    def seamed(canvas: NDArray[np.uint8]) -> NDArray[np.uint8]:
        offsets = rng.normal(0, 4, (CANVAS[1] // 4, CANVAS[0] // 4)).repeat(4, 0).repeat(4, 1)
        return np.clip(canvas + offsets, 0, 255).astype(np.uint8)

    def seams(picture: NDArray[np.uint8]) -> float:
        steps = np.abs(np.diff(picture.astype(float), axis=1))[:, :-1]
        return float(steps[:, 7::8].mean() / steps[:, 3::8].mean())

    frames = _frames(*FITTED)
    lift = Lift.fit(frames, [seamed(_canvas(frame)) for frame in frames])
    (frame,) = _frames("209_HC")
    canvas = seamed(_canvas(frame))
    double = canvas.repeat(2, 0).repeat(2, 1)
    before, after = seams(double), seams(lift.apply(canvas, DOUBLE, 0))
    assert after - 1 < 0.5 * (before - 1)


def test_what_is_written_reads_the_same(lift: Lift, tmp_path: Path) -> None:
    assert Lift.read(tmp_path) is None
    lift.write(tmp_path)
    read = Lift.read(tmp_path)
    assert read is not None
    canvas = _canvas(_frames("209_HC")[0])
    np.testing.assert_array_equal(
        read.apply(canvas, (800, 540), 3), lift.apply(canvas, (800, 540), 3)
    )


def test_frames_without_fine_detail_are_refused() -> None:
    with pytest.raises(ValueError, match="large enough"):
        Lift.fit([np.full((200, 300), 90, np.uint8)], [np.full(CANVAS[::-1], 90, np.uint8)])
    black = np.zeros((540, 800), np.uint8)
    with pytest.raises(ValueError, match="tissue"):
        Lift.fit([black], [np.zeros(CANVAS[::-1], np.uint8)])
