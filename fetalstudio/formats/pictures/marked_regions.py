"""Which regions of an annotation picture are marked, whatever their colours, noise and depth."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.components import labelled

_LABEL_NUMBERS = 8
"""With a maximum up to this, a mask's values are the numbers of structures, not grey levels."""
_EXACT_VALUES = 16
"""With more values than this, a picture has smoothed edges or the noise of a JPEG."""
_LARGE = 4096
"""Px a side: larger pictures are looked at in steps."""
_NOISE = 40
"""Grey levels, in each channel, by which such a picture's values vary."""
_FAINT = 8
"""Grey levels, in each channel, by which the few values of a JPEG of good quality vary."""
_THICK = 5
"""Px: a region that holds a square of this side is no edge between others."""
_FLAT, _SOFT = 0.25, 12
"""Share of a region whose pixels are like their neighbours, of which a soft edge has less; and px
that such an edge is wide."""
VISIBLE = 16
"""Px: fewer are specks."""
_CONTRAST = 64
"""Grey levels: a noisy or smoothed annotation has at least this range."""
_RAMP = 3
"""How many times the median number of pixels a level in the middle of the range may have in a soft
edge. In a blurred edge, from 0.1 to 0.9 of its height, it is at most 2.3; the level of a second
structure has far more."""
_INVERTED = 0.8
"""Share of the picture's border from which on what is marked is the background."""
_BORDER_PX = 8
"""Px: what is marked along all of the picture's border, but not farther in, is a line around it."""
_TEXTURE, _SMOOTH = 6, 0.6
"""Grey levels by which neighbours differ, and the share of pixels with less of what is not
background: of 44 ultrasounds it was 0.02 to 0.51, of blurred masks and JPEGs 0.75 to 0.98."""
_PEAKS_PX, _PEAKS_NEAR, _PEAKS_HIGH = 192, 5, 6
"""Px a side to which a picture is reduced to count its peaks, px in which a peak is the highest,
and grey levels by which it stands out."""
_FEW_PEAKS = 20
_PEAKS_OF_MAP, _PLAIN = 80, 0.25
"""200 ultrasounds had 160 to 790 peaks, and 60 or more when they were blurred by 4 px; masks that
were blurred or saved as a JPEG had 0 to 17, heat maps in colour 28 to 67. These also have a plain
background: a share of the picture."""

MASK_VALUE = re.compile(r"\d+|#[0-9a-f]{6}")
"""How a value of a mask is written: a number, or a colour as #rrggbb."""


class SeveralStructuresError(ValueError):
    """The picture shows more than one structure, and which is the head was not stated."""

    def __init__(self, values: Sequence[str]) -> None:
        super().__init__(f"it shows several structures, with the values {', '.join(values)}")
        self.values = tuple(values)


def head_region(
    samples: NDArray[Any], alpha: NDArray[Any] | None, value: str | None
) -> tuple[NDArray[np.bool_], str | None]:
    """Where the head is, (H, W), and the value that marks it, where that may be a number of
    structures. Takes and raises what
    :func:`~fetalstudio.formats.reading.outline_pictures.ellipse_in` does."""
    codes = _codes(samples)
    _check_transparency(codes, alpha)
    if _is_textured(samples):
        raise ValueError(
            "it is like an ultrasound, perhaps with something drawn on it, and is no mask"
        )
    found = _structures(samples, codes)
    names = [name for name, _ in found]
    single = names[0] if len(names) == 1 and samples.ndim == 2 else None
    if value is not None:
        chosen = [region for name, region in found if _is_value(name, value)]
        if not chosen:
            raise ValueError(
                f"it holds nothing of the value {value}, but {', '.join(names) or 'nothing at all'}"
            )
        shown = _with_inner(chosen[0], [region for _, region in found])
    elif len(found) > 1:
        raise SeveralStructuresError(names)
    else:
        shown = _marked(samples, codes)
        if found and (outlined := _outlined(codes, found[0][1])) is not None:
            shown = outlined
    return _without_border(shown), single


def structures_in(samples: NDArray[Any]) -> list[tuple[str, NDArray[np.bool_]]]:
    """The structures that an annotation picture shows: the value of each, and where it is, (H, W).

    ``samples`` are as for :func:`ellipse_in`.
    """
    return _structures(samples, _codes(samples))


def is_annotation(pixels: NDArray[np.uint8], *, named_after: bool = False) -> bool:
    """Whether a picture, (H, W) grey, has the few grey levels and flat regions of an annotation.
    With ``named_after`` another picture, it may be a heat map too."""
    step = step_of(pixels)
    pixels = np.ascontiguousarray(pixels[::step, ::step])
    levels = np.bincount(pixels.ravel(), minlength=256)
    if np.sort(levels)[-_LABEL_NUMBERS:].sum() >= 0.998 * pixels.size:
        return True
    if int(np.ptp(pixels)) < _CONTRAST:
        return False
    # A JPEG or smoothed edges: nearly all lies near few levels, and next to its like.
    near = []
    for _ in range(3):
        top = int(levels.argmax())
        near.append(int(levels[max(top - 12, 0) : top + 13].sum()) / pixels.size)
        levels[max(top - 12, 0) : top + 13] = 0
    few = _PEAKS_OF_MAP if named_after else _FEW_PEAKS
    if near[0] >= _PLAIN and peaks_in(pixels) < few:
        return True
    if sum(near) < 0.97:
        return False
    spread = cv2.dilate(pixels, np.ones((3, 3), np.uint8)) - cv2.erode(
        pixels, np.ones((3, 3), np.uint8)
    )
    bright = pixels > max(int(pixels.max()) // 2, 1)
    return bool(bright.any()) and float((spread[bright] <= 24).mean()) > 0.6


def soft_edge(samples: NDArray[Any]) -> float:
    """The width in px over which the edge of what is marked rises from a tenth to nine tenths of
    its height, if it rises evenly, as in a map of probabilities; 0 for any other picture."""
    if samples.ndim > 2 or len(_values(samples)[0]) <= _EXACT_VALUES:
        return 0.0
    low, top = float(samples.min()), float(samples.max())
    grey = np.round((samples - low) * (255 / (top - low))).astype(np.uint8)
    levels = np.bincount(grey.ravel(), minlength=256)
    middle = np.convolve(levels[26:230], np.ones(9) / 9, "valid")
    if middle.max() > _RAMP * np.median(middle):
        return 0.0
    half = (grey > 127).astype(np.uint8)
    edge = half - cv2.erode(half, np.ones((3, 3), np.uint8))
    return float(levels[26:230].sum() / max(int(edge.sum()), 1))


def peaks_in(pixels: NDArray[np.uint8]) -> int:
    """How many bright spots a picture, (H, W) grey, shows: the speckle of an ultrasound makes
    many, a mask and a heat map have few."""
    scale = _PEAKS_PX / max(pixels.shape)
    width, height = (max(round(side * scale), 1) for side in pixels.shape[::-1])
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    near = np.ones((_PEAKS_NEAR, _PEAKS_NEAR), np.uint8)
    highest = cv2.dilate(small, near)
    peaks = (small == highest) & (highest - cv2.erode(small, near) >= _PEAKS_HIGH)
    return int(labelled(peaks.astype(np.uint8)).max())


def step_of(samples: NDArray[Any]) -> int:
    """Every how many-th pixel of a large picture is enough, and keeps the memory small."""
    return -(-max(samples.shape[:2]) // _LARGE)


def _codes(samples: NDArray[Any]) -> NDArray[Any]:
    """One number for each value or colour, (H, W)."""
    if samples.ndim == 2:
        return samples
    red, green, blue = (samples[..., c].astype(np.int64) for c in range(3))
    return (red << 16) | (green << 8) | blue


def _name(code: float, samples: NDArray[Any]) -> str:
    return f"{code:g}" if samples.ndim == 2 else f"#{int(code):06x}"


def _is_value(name: str, stated: str) -> bool:
    grey = f"#{int(name):02x}{int(name):02x}{int(name):02x}" if name.isdigit() else name
    return stated.lower() in (name, grey)


def _check_transparency(codes: NDArray[Any], alpha: NDArray[Any] | None) -> None:
    if codes.min() == codes.max():
        if alpha is not None and alpha.min() < alpha.max():
            raise ValueError("the shape is in its transparency alone, and transparency is not read")
        raise ValueError("it is empty: all pixels have one value")
    if alpha is not None and (codes[alpha == 0] > codes.min()).any():
        raise ValueError("a part of what is marked is transparent, and transparency is not read")


def _structures(samples: NDArray[Any], codes: NDArray[Any]) -> list[tuple[str, NDArray[np.bool_]]]:
    """The regions of one value each, by name; edges between them and specks are none."""
    values, counts = _values(codes)
    background = values[0]
    if exact := len(values) <= _EXACT_VALUES:
        regions = {float(v): codes == v for v in values if v != background}
    else:
        noisy = _noisy_regions(samples, values[np.argsort(-counts)], codes.size)
        regions = {v: r for v, r in noisy.items() if not _alike(v, background, samples)}
    square = np.ones((_THICK, _THICK), np.uint8)
    cores = {v: cv2.erode(r.astype(np.uint8), square) > 0 for v, r in regions.items()}
    thick = {v for v, core in cores.items() if core.any()}
    if not exact and thick:
        slopes = _slopes(samples, regions, cores)
        regions = {v: r for v, r in regions.items() if v not in slopes}
        thick -= slopes
    numbers = samples.ndim == 2 and values[-1] <= _LABEL_NUMBERS
    flat = [] if numbers else [background, *thick]
    found = []
    for value, region in sorted(regions.items()):
        if value not in thick:
            if region.sum() < VISIBLE or any(_close(value, v, samples) for v in flat):
                continue
            others = [r for v, r in regions.items() if v != value and (v in thick or v > value)]
            union = np.logical_or.reduce(others or [np.zeros_like(region)])
            beside = cv2.dilate(union.astype(np.uint8), square) > 0
            if beside[region].mean() > 0.5:
                continue
        found.append((_name(value, samples), region))
    if len(found) > 1 and soft_edge(samples) > 0:
        top = max(regions)
        return [(_name(top, samples), samples > (float(samples.min()) + top) / 2)]
    return found


def _noisy_regions(
    samples: NDArray[Any], values: NDArray[Any], pixels: int
) -> dict[float, NDArray[np.bool_]]:
    """The regions around the most frequent values, ``values`` being sorted by that."""
    regions: dict[float, NDArray[np.bool_]] = {}
    free = np.ones(samples.shape[:2], bool)
    for value in values[:256]:
        if len(regions) == _EXACT_VALUES or any(_alike(v, value, samples) for v in regions):
            continue
        away = samples.astype(np.int64) - _channels(value, samples)
        region = free & (np.abs(away).reshape(*samples.shape[:2], -1).max(axis=2) <= _NOISE)
        if region.sum() >= 1e-3 * pixels:
            regions[float(value)] = region
            free &= ~region
    return regions


def _channels(code: float, samples: NDArray[Any]) -> NDArray[np.int64]:
    whole = int(code)
    if samples.ndim == 2:
        return np.array(whole)
    return np.array([whole >> 16, whole >> 8 & 255, whole & 255])


def _slopes(
    samples: NDArray[Any],
    regions: Mapping[float, NDArray[np.bool_]],
    cores: Mapping[float, NDArray[np.bool_]],
) -> set[float]:
    """The values of the regions that are the soft edge of another one: they rise everywhere, and
    lie along it."""
    square = np.ones((3, 3), np.uint8)
    values = samples.astype(np.float32)
    spread = cv2.dilate(values, square) - cv2.erode(values, square)
    even = (spread if spread.ndim == 2 else spread.max(axis=2)) <= _TEXTURE
    level = {v for v, core in cores.items() if core.any() and even[core].mean() >= _FLAT}
    if not level:
        return set()
    others = np.logical_or.reduce([regions[v] for v in level]).astype(np.uint8)
    along = cv2.dilate(others, np.ones((2 * _SOFT + 1, 2 * _SOFT + 1), np.uint8)) > 0
    return {
        v
        for v, region in regions.items()
        if v not in level and even[region].mean() < _FLAT and along[region].mean() > 0.9
    }


def _close(code: float, other: float, samples: NDArray[Any]) -> bool:
    """Whether a value is the noise that a good JPEG leaves around another."""
    away = np.abs(_channels(code, samples) - _channels(other, samples))
    return bool(away.max() <= _FAINT)


def _alike(code: float, other: float, samples: NDArray[Any]) -> bool:
    away = np.abs(_channels(code, samples) - _channels(other, samples))
    return bool(away.max() <= _NOISE)


def _marked(samples: NDArray[Any], codes: NDArray[Any]) -> NDArray[np.bool_]:
    """What is marked where there is one structure: pixels brighter than half of the maximum, so
    that smoothed edges and the noise of a JPEG do not count."""
    grey = samples if samples.ndim == 2 else samples.max(axis=2)
    if len(_values(codes)[0]) == 2:
        return np.asarray(codes > codes.min())
    top = float(grey.max())
    numbers = top <= _LABEL_NUMBERS and bool((grey == np.round(grey)).all())
    return np.greater(grey, 0 if numbers else top / 2)


def _outlined(codes: NDArray[Any], region: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """A filled region to the middle of the line of another value that is drawn around it, where
    there is one."""
    values = _values(codes)[0]
    filled = region.astype(np.uint8)
    if len(values) != 3 or not cv2.erode(filled, np.ones((_THICK, _THICK), np.uint8)).any():
        return None
    marked = codes != values[0]
    inside = cv2.distanceTransform(1 - filled, cv2.DIST_L2, 5)
    outside = cv2.distanceTransform(marked.astype(np.uint8), cv2.DIST_L2, 5)
    return region | (marked & (inside <= outside))


def _is_textured(samples: NDArray[Any]) -> bool:
    """Whether what is not background has the grain of an ultrasound."""
    if samples.dtype != np.uint8:
        return False
    grey = samples if samples.ndim == 2 else samples.max(axis=2)
    levels = np.bincount(grey.ravel(), minlength=256)
    if np.count_nonzero(levels) <= _EXACT_VALUES:
        return False
    apart = np.abs(grey.astype(np.int16) - int(levels.argmax())) > _NOISE
    core = cv2.erode(apart.astype(np.uint8), np.ones((_THICK, _THICK), np.uint8)) > 0
    if core.mean() < 0.002 or peaks_in(grey) < _FEW_PEAKS:
        return False
    square = np.ones((3, 3), np.uint8)
    spread = cv2.dilate(grey, square) - cv2.erode(grey, square)
    return bool((spread[core] <= _TEXTURE).mean() < _SMOOTH)


def _with_inner(
    region: NDArray[np.bool_], structures: Sequence[NDArray[np.bool_]]
) -> NDArray[np.bool_]:
    """A structure with those that lie inside it: a skull is marked with the brain in it."""
    holes = (without_holes(region.astype(np.uint8)) > 0) & ~region
    marked = np.logical_or.reduce(structures)
    return region | holes if holes.any() and marked[holes].mean() > 0.5 else region


def _without_border(shown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What is shown, without a line along the picture's border. Raises ``ValueError`` where the
    background is what is marked."""
    if _along_border(shown, 0) <= _INVERTED:
        return shown
    inside = min(_BORDER_PX, min(shown.shape) // 4)
    parts = labelled(shown.astype(np.uint8))
    lines = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    rest = shown & ~np.isin(parts, lines)
    if _along_border(shown, inside) > _INVERTED or not rest.any():
        raise ValueError("it is inverted: the background is marked and the head is not")
    return rest


def _along_border(shown: NDArray[np.bool_], inside: int) -> float:
    """The share of a line that is marked, which runs around the picture so many px inside."""
    part = shown[inside : shown.shape[0] - inside, inside : shown.shape[1] - inside]
    return float(np.concatenate([part[0], part[-1], part[:, 0], part[:, -1]]).mean())


def _values(codes: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """The values that there are, in their order, and how many pixels have each."""
    if codes.dtype != np.uint8:
        return np.unique(codes, return_counts=True)
    counts = np.bincount(codes.ravel(), minlength=256)  # many times faster than sorting
    there = np.flatnonzero(counts)
    return there, counts[there]


def without_holes(region: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A region, (H, W) of 0 and 1, with its holes filled."""
    contours, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(np.zeros_like(region), contours, -1, 1, cv2.FILLED))
