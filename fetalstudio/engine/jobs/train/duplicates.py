"""Duplicates: the same image in two parts of a training. Imports no torch.

Whole images are compared here. ``core.similarity`` compares two *heads*, wherever they lie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.splits import Part

SAME = 0.96
"""Two images are duplicates when their descriptors correlate more than this. Among 793 HC18 frames
the correlation between different subjects is at most 0.878. Forty frames have at least 0.9999 with
themselves saved as JPEG, 0.999 at half the size, 0.997 with a gain of 1.3, and 0.966 with 5 px cut
off each side."""
_SIDE = 32


def descriptor(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """An image (H, W) as (1024,) float32 with mean 0 and norm 1; all 0 for an even image."""
    small = cv2.resize(image.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    small -= small.mean()
    norm = float(np.linalg.norm(small))
    return np.asarray(small.ravel() / norm if norm else small.ravel(), np.float32)


def across_parts(
    frames: Mapping[Part, Sequence[str]], descriptors: Mapping[str, NDArray[np.float32]]
) -> list[tuple[str, str]]:
    """The duplicates as pairs of frame ids from different parts.

    Frames without a descriptor are left out.
    """
    known = {part: [i for i in ids if i in descriptors] for part, ids in frames.items()}
    found = []
    parts = list(known)
    for k, one in enumerate(parts):
        for other in parts[k + 1 :]:
            if known[one] and known[other]:
                a, b = (np.stack([descriptors[i] for i in known[part]]) for part in (one, other))
                for i, j in np.argwhere(a @ b.T > SAME):
                    found.append((known[one][i], known[other][j]))
    return found
