"""Where an ellipse belongs if a program turned its mask."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.formats.reading.placements import PLACEMENTS

HEAD = Ellipse(70.0, 62.0, 40.0, 27.0, 35.0)


def turned(mask: NDArray[np.uint8], place: str) -> NDArray[np.uint8]:
    """What the placement makes of the mask itself."""
    placement = PLACEMENTS[place]
    mask = mask.T if placement.transposed else mask
    mask = mask[:, ::-1] if placement.mirrored else mask
    return mask[::-1] if placement.flipped else mask


@pytest.mark.parametrize("place", PLACEMENTS)
def test_an_ellipse_lies_where_its_mask_does(place: str) -> None:
    size = (160, 160)
    found = PLACEMENTS[place].of(HEAD, size)
    assert found is not None
    assert np.array_equal(found.mask(size), turned(HEAD.mask(size), place))


def test_only_in_a_square_are_x_and_y_exchanged() -> None:
    placed = {name for name, place in PLACEMENTS.items() if place.of(HEAD, (200, 160))}
    assert placed == {"mirrored", "flipped", "turned-180"}


def test_a_quarter_turn_is_called_by_its_direction() -> None:
    mask = HEAD.mask((160, 160))
    assert np.array_equal(turned(mask, "turned-90"), np.rot90(mask, -1))
    assert np.array_equal(turned(mask, "turned-270"), np.rot90(mask))
