"""Gives a synthetic image the brightness and contrast of a real frame.

A synthesizer draws as bright as the scanners, gains and compressions that it learnt are on average.
The lender shows how bright this image should be: as many dark and bright places as in its sector.
One curve changes the grey levels of the whole image, so nothing moves, and what is brighter stays
so.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float32]
"""(256,): the new grey level of each."""

_SHARES = np.array([0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97, 0.995])
"""Shares of the sector that are darker, at which the grey levels are compared. Beyond the last one
are strokes that are drawn on the frame."""
_SLOPES = (0.3, 3.0)
"""Limits of the contrast, relative to that of the image. More would show single grey levels."""
_SMOOTH = 4.0
"""Standard deviation in grey levels with which the curve's slope is smoothed."""


def tone_curve(
    image: NDArray[np.uint8], lender: NDArray[np.uint8], sector: NDArray[np.uint8]
) -> Levels:
    """The grey levels with which ``image`` is as bright as ``lender``, both (H, W) uint8.

    ``sector`` is the mask (H, W) of the px that count, at least one. Black stays black.
    """
    inside = sector > 0
    made, wanted = (_at_shares(pixels[inside]) for pixels in (image, lender))
    # Brighter places than those compared stay in proportion: a glint would stand out.
    brightest = min(255.0, 255.0 * wanted[-1] / max(made[-1], 1.0))
    known = np.concatenate([[0.0], made, [255.0]])
    # Equal levels in a row would leave open which of them counts.
    known += np.arange(len(known)) * 1e-3
    levels = np.interp(np.arange(256), known, [0.0, *wanted, max(brightest, wanted[-1])])
    slopes = np.clip(np.diff(levels, prepend=-levels[1]), *_SLOPES).astype(np.float32)
    slopes = cv2.GaussianBlur(slopes[None], (0, 0), _SMOOTH, borderType=cv2.BORDER_REPLICATE)[0]
    levels = np.cumsum(slopes) - slopes[0]
    return np.clip(levels, 0, 255).astype(np.float32)


def toned(image: NDArray[np.uint8], levels: Levels) -> NDArray[np.uint8]:
    """The image with other grey levels."""
    return cv2.LUT(image, np.round(levels).astype(np.uint8)).astype(np.uint8, copy=False)


def _at_shares(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The grey levels below which these shares of the px lie."""
    counted = np.cumsum(np.bincount(pixels, minlength=256)) / pixels.size
    return np.interp(_SHARES, counted + np.arange(256) * 1e-9, np.arange(256))
