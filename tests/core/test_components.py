"""The parts of a mask are those that OpenCV's own statistics give."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import pytest

from fetalstudio.core.components import areas, boxes, labelled


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("connectivity", [4, 8])
def test_parts_are_as_by_opencv(share: float, connectivity: Literal[4, 8]) -> None:
    mask = (np.random.default_rng(3).random((61, 87)) < share).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=connectivity)
    found = labelled(mask, connectivity)
    np.testing.assert_array_equal(found, labels)
    np.testing.assert_array_equal(areas(found), stats[:count, cv2.CC_STAT_AREA])
    left, top, width, height = stats[1:, :4].T
    expected = np.stack([left, top, left + width, top + height], axis=1)
    np.testing.assert_array_equal(boxes(found), expected)
