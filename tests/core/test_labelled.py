"""A frame with its ellipse: pixels when they are needed, and the style that it shows."""

import pickle

import numpy as np
import pytest

from fetalstudio.core.biometry import measure
from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.labelled import LabelledFrame, style_of
from tests.labelled import of_style

HEAD = Ellipse(40, 30, 20, 15, 10)
IMAGE = np.arange(60 * 80, dtype=np.uint8).reshape(60, 80)


def test_pixels_are_read_when_they_are_needed_and_held_once_loaded() -> None:
    reads: list[int] = []

    def read() -> np.ndarray:
        reads.append(1)
        return IMAGE

    frame = LabelledFrame(read, HEAD, (80, 60), "id", subject="s")
    assert (frame.size, frame.style, reads) == ((80, 60), "any", [])
    np.testing.assert_array_equal(frame.image, IMAGE)
    held = frame.loaded()
    assert held == frame and held.loaded() is held and len(reads) == 2
    np.testing.assert_array_equal(held.image, IMAGE)
    assert len(reads) == 2
    sent = pickle.loads(pickle.dumps(held))
    assert sent == frame
    np.testing.assert_array_equal(sent.image, IMAGE)


def test_equality_is_of_what_is_known_not_of_the_pixels() -> None:
    one = LabelledFrame.of(IMAGE, HEAD, id="a")
    assert one.size == (80, 60)
    assert one == LabelledFrame.of(IMAGE + 1, HEAD, id="a")
    assert one != LabelledFrame.of(IMAGE, HEAD, id="b")
    moved = one.redrawn(IMAGE[:, ::-1], Ellipse(39, 30, 20, 15, 170))
    assert moved != one and moved.id == "a"


def test_only_a_box_prompt_gives_the_answers_box() -> None:
    frame = LabelledFrame.of(IMAGE, HEAD)
    assert frame.prompt_box("box") == HEAD.box() and frame.prompt_box("auto") is None


@pytest.mark.parametrize("style", ["first", "second", "third", "any"])
def test_the_style_is_the_trimester_by_circumference(style: str) -> None:
    frame = of_style(IMAGE, HEAD, style)
    assert frame.style == style
    assert style_of(frame.ellipse, frame.calibration, "third") == "third"


def test_circumference_in_mm_counts_oblong_pixels() -> None:
    square = LabelledFrame.of(IMAGE, HEAD, calibration=Calibration(0.5, 0.5, "manual"))
    oblong = LabelledFrame.of(IMAGE, HEAD, calibration=Calibration(0.5, 0.7, "manual"))
    assert square.circumference(HEAD, "mm") == pytest.approx(0.5 * HEAD.perimeter)
    assert oblong.calibration is not None
    hc = measure(HEAD, oblong.calibration).hc_mm
    assert oblong.circumference(HEAD, "mm") == hc != square.circumference(HEAD, "mm")
    assert oblong.circumference(HEAD, "px") == HEAD.perimeter
