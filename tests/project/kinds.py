"""The types of this folder's fixtures that are functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Picture = Callable[..., NDArray[np.uint8]]
"""Makes the picture of a seed, (H, W) uint8."""
PicturesIn = Callable[[Path], set[str]]
"""Lists the names of the files in a project's ``frames``."""
Contents = Callable[[Path], dict[str, bytes]]
"""Reads every file below a folder."""
