"""The similarity of two frames around their heads, by which copies of real frames are detected.

Both heads are mapped to the same disc, so that place, size and shape of the ellipse do not count.
Slow changes of brightness are removed, the contrast is made equal everywhere, and the black outside
the sector is ignored. The rest is described by its low cosine frequencies. What all heads have in
common (the bright ring) is subtracted, and each frequency is divided by its spread over real
frames. The similarity is the correlation of two such descriptors. It is the largest over the
mirrorings that leave the ellipse unchanged and over small rotations, shifts and scales. See
``docs/evidence/copies.md`` for how it was chosen and how well it distinguishes a copy from another
patient's head.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.labelled import LabelledFrame

_PERCENTILE = 99.0
"""The threshold for copies, as a percentile of the similarities between each real frame and the
nearest one of another subject."""
_FEWEST_SUBJECTS = 50
"""With fewer subjects, a 99th percentile is not meaningful."""
ID_DIGITS = 16
"""The number of digits of a frame's id that are kept."""

_CELLS, _REACH, _SMOOTH, _FREQUENCIES = 64, 1.2, 8.0, 16
_KY, _KX = np.mgrid[:_FREQUENCIES, :_FREQUENCIES]
USED = (np.hypot(_KX, _KY) >= 2) & (np.hypot(_KX, _KY) < _FREQUENCIES)
"""The cosine frequencies that are used: one number of a descriptor each."""
_EVEN = ((_KX % 2 == 0) & (_KY % 2 == 0))[USED]
# A mirrored image has the same cosine coefficients, the odd ones with opposite sign.
_SIGNS = [(-1.0) ** (i * _KX + j * _KY) for i in (0, 1) for j in (0, 1)]
_MIRRORS = np.stack([signs[USED] for signs in _SIGNS]).astype(np.float32)
_GRID = ((np.arange(_CELLS) + 0.5) / _CELLS * 2 - 1) * _REACH
_U, _V = np.meshgrid(_GRID, _GRID)
_WINDOW = np.clip((1.12 - np.hypot(_U, _V)) / 0.12, 0, 1).astype(np.float32)
_SHIFTS = (
    *((0.0, 1.0, 0.0, 0.0), (-4.0, 1.0, 0.0, 0.0), (4.0, 1.0, 0.0, 0.0)),
    *((0.0, 0.96, 0.0, 0.0), (0.0, 1.04, 0.0, 0.0)),
    *((0.0, 1.0, -0.03, 0.0), (0.0, 1.0, 0.03, 0.0), (0.0, 1.0, 0.0, -0.03), (0.0, 1.0, 0.0, 0.03)),
)
"""Variants of the ellipse: rotation in degrees, scale, shift along a and b in units of each."""

_AROUND, _COMMON, _TEXTURED = 11, 0.95, 4.0
"""Side in px of what is compared at a place, the correlation from which on it is the same, and the
variance from which on it is texture, for :func:`real_share`."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Nearest:
    """The training frame that resembles an image most."""

    frame_id: str
    """The first 16 digits of the frame's id."""
    similarity: float
    """-1 to 1; 1 for the same head with the same contrast."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The copy index of a model: descriptors of its training frames, to detect copies of them.

    No image is kept. A frame is described by 210 rounded numbers, from which at most a blurred
    sketch of 16 cells across the head could be reconstructed.
    """

    ids: tuple[str, ...]
    descriptors: Floats
    """(n, d), each row of length 1."""
    mean: Floats
    """(d,): the mean of all heads."""
    scale: Floats
    """(d,): the spread of each frequency between heads."""
    threshold: float
    """An image with a larger similarity counts as a copy, see :func:`calibrated`."""

    def nearest(self, image: NDArray[np.uint8], ellipse: Ellipse) -> Nearest:
        """The training frame that resembles an (H, W) image around its ellipse most."""
        likeness = _likeness(self._described(variants(image, ellipse)), self.descriptors)
        best = int(likeness.argmax())
        return Nearest(self.ids[best], float(likeness[best]))

    def _described(self, raw: Floats) -> Floats:
        return _unit((raw - self.mean) / self.scale)


def neighbours_of(frames: Iterable[LabelledFrame], base: Neighbours | None = None) -> Neighbours:
    """The copy index of a model that was trained on these frames.

    A model that was adapted from another may copy the frames of that one too: give its copy index
    as ``base``. Its frames are kept as well, and so are its threshold and mean, because a handful
    of frames gives no percentile. Without a base the threshold is calibrated on the frames
    themselves. Raises :class:`InputError` if they are of fewer than 50 subjects.
    """
    items = [(f.id[:ID_DIGITS], f.subject, variants(f.image, f.ellipse)) for f in frames]
    if base is None:
        return calibrated(items)
    old = [i for i, name in enumerate(base.ids) if name not in {item[0] for item in items}]
    own = [base._described(item[2][:1]) for item in items]
    return Neighbours(
        tuple([*(base.ids[i] for i in old), *(item[0] for item in items)]),
        np.concatenate([base.descriptors[old], *own]),
        base.mean,
        base.scale,
        base.threshold,
    )


def real_share(image: NDArray[np.uint8], lender: NDArray[np.uint8]) -> float | None:
    """The share of a picture's ultrasound that it has in common with its lender, 0 to 1.

    Both are (H, W). The whole frame is compared, place by place: a place counts as common if the
    grey levels around it, 11 x 11 px, correlate by more than 0.95. Brightness and contrast do not
    count. Places where neither picture has any texture do not count either. None if the sizes
    differ or there is no texture.
    """
    if image.shape != lender.shape:
        return None
    one, other = image.astype(np.float32), lender.astype(np.float32)
    mean, other_mean = _around(one), _around(other)
    variance = _around(one * one) - mean * mean
    other_variance = _around(other * other) - other_mean * other_mean
    covariance = _around(one * other) - mean * other_mean
    textured = np.maximum(variance, other_variance) > _TEXTURED
    if not textured.any():
        return None
    least = np.sqrt(np.maximum(variance, 1e-3) * np.maximum(other_variance, 1e-3))
    common = textured & (covariance > _COMMON * least)
    return float(common.sum() / textured.sum())


def _around(values: Floats) -> Floats:
    return np.asarray(cv2.boxFilter(values, -1, (_AROUND, _AROUND)), dtype=np.float32)


def calibrated(items: list[tuple[str, str, Floats]]) -> Neighbours:
    """A copy index with a threshold, from (id, subject, :func:`variants`) of each training frame.

    The threshold is the 99th percentile of the largest similarity of each frame to any frame of
    another subject. The nearest training frame of a synthetic frame is thus compared with the
    nearest frames of real frames. Raises :class:`InputError` for fewer than 50 subjects.
    """
    subjects = np.array([subject for _, subject, _ in items])
    if len(np.unique(subjects)) < _FEWEST_SUBJECTS:
        raise InputError(
            f"{len(np.unique(subjects))} subjects are too few to decide what counts as a copy: "
            f"{_FEWEST_SUBJECTS} are needed. Start from a model that has a copy index."
        )
    raw = np.stack([item[2][0] for item in items])
    # Averaged over frames and their mirror images, the odd frequencies are 0.
    mean = np.where(_EVEN, raw.mean(axis=0), 0).astype(np.float32)
    scale = (np.sqrt(((raw - mean) ** 2).mean(axis=0)) + 1e-6).astype(np.float32)
    descriptors = _unit((raw - mean) / scale)
    nearest = [
        _likeness(_unit((item[2] - mean) / scale), descriptors[subjects != subject]).max()
        for item, subject in zip(items, subjects, strict=True)
    ]
    threshold = float(np.percentile(nearest, _PERCENTILE))
    return Neighbours(tuple(item[0] for item in items), descriptors, mean, scale, threshold)


def variants(image: NDArray[np.uint8], ellipse: Ellipse) -> Floats:
    """(9, d): cosine frequencies of the head as drawn (row 0), and rotated, scaled or shifted."""
    h, w = image.shape
    cell = math.sqrt(ellipse.a * ellipse.b) * 2 * _REACH / _CELLS
    shrink = min(1.0, 1.2 / cell)
    size = max(8, round(w * shrink)), max(8, round(h * shrink))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    rows = []
    for turn, scale, du, dv in _SHIFTS:
        t = math.radians(ellipse.angle_deg + turn)
        u, v = ellipse.a * (_U * scale + du), ellipse.b * (_V * scale + dv)
        x = ellipse.cx + u * math.cos(t) - v * math.sin(t)
        y = ellipse.cy + u * math.sin(t) + v * math.cos(t)
        x, y = (x + 0.5) * size[0] / w - 0.5, (y + 0.5) * size[1] / h - 0.5
        x32, y32 = x.astype(np.float32), y.astype(np.float32)
        disc = np.asarray(cv2.remap(small, x32, y32, cv2.INTER_LINEAR, borderValue=0), np.float32)
        rows.append(cv2.dct(_evened(disc) * _WINDOW)[:_FREQUENCIES, :_FREQUENCIES][USED])
    return np.stack(rows).astype(np.float32)


def _evened(disc: Floats) -> Floats:
    """The disc without slow changes and with equal contrast; 0 where there is no ultrasound."""
    inside = (_blur(disc, 1.5) > 1.5).astype(np.float32)
    weight = _blur(inside, _SMOOTH) + 1e-3
    detail = (disc - _blur(disc * inside, _SMOOTH) / weight) * inside
    contrast = np.sqrt(_blur(detail * detail, _SMOOTH) / weight) + 4
    return np.asarray(detail / contrast, dtype=np.float32)


def _blur(values: Floats, sigma: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), dtype=np.float32)


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-9), dtype=np.float32)


def _likeness(described: Floats, others: Floats) -> Floats:
    """(n,): similarity of one head, (v, d), to n others, (n, d), by the best variant and mirror."""
    looks = (described[:, None] * _MIRRORS).reshape(-1, described.shape[1])
    return np.asarray((others @ looks.T).max(axis=1), dtype=np.float32)
