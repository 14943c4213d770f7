"""How like two frames are around their heads: what finds a synthetic frame that copies a real one.

Both heads are laid on the same disc, so that place, size and shape of the ellipse do not count.
Slow changes of brightness go, the contrast becomes the same everywhere, and the black outside of
the sector says nothing. What is left is described by its low cosine frequencies, each less what
all heads have in common (the bright ring) and in units of its spread over real frames. The
similarity is the correlation of two such descriptions, the largest over the mirrors that an
ellipse leaves open and over small turns, shifts and scales; see ``docs/evidence/copies.md`` for
how it was chosen and how well it tells a copy from another patient's head.
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

PERCENTILE = 99.0
"""Of the similarities between each real frame and the nearest one of another subject: the limit."""
FEWEST_SUBJECTS = 50
"""From fewer subjects a 99th percentile cannot be read."""
ID_DIGITS = 16
"""Kept of a frame's id."""

_CELLS, _REACH, _SMOOTH, _FREQUENCIES = 64, 1.2, 8.0, 16
_KY, _KX = np.mgrid[:_FREQUENCIES, :_FREQUENCIES]
USED = (np.hypot(_KX, _KY) >= 2) & (np.hypot(_KX, _KY) < _FREQUENCIES)
"""Of the cosine frequencies: a descriptor has as many numbers."""
_EVEN = ((_KX % 2 == 0) & (_KY % 2 == 0))[USED]
# A mirrored picture has the same cosine coefficients, the odd ones with the other sign.
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
"""Tried around the ellipse: turn in degrees, scale, shift along a and along b in their units."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Nearest:
    """The training frame most like a picture."""

    frame_id: str
    """The first 16 digits of the frame's id."""
    similarity: float
    """-1 to 1; 1 for the same head with the same contrast."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What a model remembers of its training frames, so that its pictures can be held to them.

    No picture is kept: 210 rounded numbers a frame, of which no more than a blurred sketch of
    16 cells across the head could be made.
    """

    ids: tuple[str, ...]
    descriptors: Floats
    """(n, d), each row of length 1."""
    mean: Floats
    """(d,) what heads have in common, and ``scale`` (d,) how each frequency varies between them."""
    scale: Floats
    threshold: float
    """Above this a picture counts as a copy: see :func:`calibrated`."""

    def nearest(self, image: NDArray[np.uint8], ellipse: Ellipse) -> Nearest:
        """The training frame most like the (H, W) picture around its ellipse."""
        likeness = _likeness(self._described(variants(image, ellipse)), self.descriptors)
        best = int(likeness.argmax())
        return Nearest(self.ids[best], float(likeness[best]))

    def _described(self, raw: Floats) -> Floats:
        return _unit((raw - self.mean) / self.scale)


def neighbours_of(frames: Iterable[LabelledFrame], base: Neighbours | None = None) -> Neighbours:
    """What a model that was trained on these frames remembers of them.

    A model that went on from another one may repeat that one's frames too: give its neighbours as
    ``base``. They are remembered as well, and their threshold and common look hold, as a handful
    of frames gives no percentile. Without a base the threshold is calibrated on the frames
    themselves; raises :class:`InputError` where they are of fewer than 50 subjects.
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


def calibrated(items: list[tuple[str, str, Floats]]) -> Neighbours:
    """Neighbours with the threshold by (id, subject, :func:`variants`) of each training frame.

    For every frame the largest similarity to any frame of another subject is taken; the 99th
    percentile of these is the threshold. A synthetic frame's nearest of all training frames is
    thus compared with real frames' nearest of as many. Raises :class:`InputError` for fewer than
    50 subjects.
    """
    subjects = np.array([subject for _, subject, _ in items])
    if len(np.unique(subjects)) < FEWEST_SUBJECTS:
        raise InputError(
            f"What counts as a copy cannot be told from {len(np.unique(subjects))} subjects: "
            f"{FEWEST_SUBJECTS} are needed. Go on from a model that knows its training frames."
        )
    raw = np.stack([item[2][0] for item in items])
    # Over frames and their mirrors the odd frequencies have no mean.
    mean = np.where(_EVEN, raw.mean(axis=0), 0).astype(np.float32)
    scale = (np.sqrt(((raw - mean) ** 2).mean(axis=0)) + 1e-6).astype(np.float32)
    descriptors = _unit((raw - mean) / scale)
    nearest = [
        _likeness(_unit((item[2] - mean) / scale), descriptors[subjects != subject]).max()
        for item, subject in zip(items, subjects, strict=True)
    ]
    threshold = float(np.percentile(nearest, PERCENTILE))
    return Neighbours(tuple(item[0] for item in items), descriptors, mean, scale, threshold)


def variants(image: NDArray[np.uint8], ellipse: Ellipse) -> Floats:
    """The cosine frequencies of the head as drawn (row 0) and a little turned, scaled, shifted."""
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
    """Without slow changes, with the same contrast everywhere; 0 where there is no ultrasound."""
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
    """(n,) for (v, d) variants of one head against (n, d): the best variant and mirror of each."""
    looks = (described[:, None] * _MIRRORS).reshape(-1, described.shape[1])
    return np.asarray((others @ looks.T).max(axis=1), dtype=np.float32)
