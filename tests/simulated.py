"""Labelled frames for tests, as many as they like, from the simulator."""

from __future__ import annotations

import numpy as np

from fetalstudio.core.biometry import Trimester
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Size
from fetalstudio.simulation import simulated_frames


def labelled(
    count: int, *, seed: int = 0, size: Size = (384, 256), trimester: Trimester | None = None
) -> list[tuple[np.ndarray, Ellipse]]:
    """``count`` pictures, (H, W) uint8, with the head's ellipse; some 50 ms each at this size."""
    frames = simulated_frames(count, seed, trimester_=trimester, size=size)
    return [(frame.image, frame.ellipse) for frame in frames]
