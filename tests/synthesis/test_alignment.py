"""A drawn head that is off is moved onto its ellipse, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.synthesis.alignment import aligned

SIZE = (400, 300)
ASKED = Ellipse(190, 150, 90, 70, 30)


def drawing(head: Ellipse) -> NDArray[np.float32]:
    """A head with a bright rim on a grey ramp."""
    ramp = np.tile(np.linspace(20, 60, SIZE[0], dtype=np.float32), (SIZE[1], 1))
    outline = np.round(head.contour(720) * 16).astype(np.int32)
    return np.asarray(cv2.polylines(ramp, [outline], True, 220.0, 3, cv2.LINE_AA, 4))


def on_rim(image: NDArray[np.float32], head: Ellipse) -> float:
    x, y = head.contour(360).astype(np.float32).T[:, :, None]
    return float(cv2.remap(image, x, y, cv2.INTER_LINEAR).mean())


@pytest.mark.parametrize(
    "off",
    [
        replace(ASKED, cx=194, cy=147),
        replace(ASKED, a=94, b=68),
        replace(ASKED, a=86, b=67.5),
    ],
)
def test_the_rim_comes_to_lie_on_the_ellipse_and_what_is_far_stays(off: Ellipse) -> None:
    before = drawing(off)
    after = aligned(before, ASKED, off)
    assert on_rim(after, ASKED) > 190 > on_rim(before, ASKED)
    distance = np.hypot(*np.meshgrid(np.arange(400) - 190, np.arange(300) - 150))
    far = distance > 1.6 * ASKED.a + 8
    assert far.sum() > 5000 and (after[far] == before[far]).all()
    # Nothing is torn: the ramp between head and surroundings stays a ramp.
    ring = (distance > 1.2 * ASKED.a) & ~far
    assert np.abs(after - before)[ring].max() < 3


def test_a_round_head_is_not_turned_though_its_axes_are() -> None:
    round_, other = Ellipse(190, 150, 80, 78, 0), Ellipse(190, 150, 79, 78.5, 120)
    before = drawing(other)
    cv2.circle(before, (240, 150), 4, 220.0, cv2.FILLED)
    after = aligned(before, round_, other)
    spots = [np.argwhere(image[120:180, 150:255] > 150).mean(axis=0) for image in (before, after)]
    assert spots[1] == pytest.approx(spots[0], abs=1)


def test_what_is_not_found_or_is_something_else_moves_nothing() -> None:
    image = drawing(ASKED)
    assert aligned(image, ASKED, None) is image
    assert aligned(image, ASKED, replace(ASKED, cx=230)) is image


def test_the_edge_of_the_sector_is_not_bent() -> None:
    off = replace(ASKED, cx=195)
    sector = np.zeros(SIZE[::-1], np.uint8)
    sector[:, :285] = 1
    image = drawing(off) * sector
    after = aligned(image, ASKED, off, sector)
    assert on_rim(after, replace(ASKED, cx=190)) > on_rim(image, ASKED)
    # What is not scanned is black, and must not be drawn in.
    assert after[:, :284].min() > 15 > aligned(image, ASKED, off)[:, :284].min()


def test_a_head_at_the_border_of_the_frame_is_moved_without_black() -> None:
    head = replace(ASKED, cx=20)
    image = drawing(replace(head, cx=17))
    after = aligned(image, head, replace(head, cx=17))
    assert after.min() > 15
