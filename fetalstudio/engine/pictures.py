"""Images for previews and reports: overlays, montages and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import letterbox, warp

FOUND, REFERENCE = (255, 176, 64), (64, 200, 255)
"""RGB colours of the segmenter's ellipse and of the person's."""


def overlay(
    image: NDArray[np.uint8], found: Ellipse | None, reference: Ellipse | None
) -> NDArray[np.uint8]:
    """The frame (H, W) as RGB (H, W, 3) uint8 with both outlines."""
    rgb = np.repeat(image[..., None], 3, axis=2).copy()
    width = max(1, image.shape[1] // 400)
    for ellipse, colour in ((reference, REFERENCE), (found, FOUND)):
        if ellipse is not None:
            points = np.round(ellipse.contour(180) * 16).astype(np.int32)
            cv2.polylines(rgb, [points], True, colour, width, cv2.LINE_AA, shift=4)
    return rgb


def montage(
    images: Sequence[NDArray[np.uint8]], *, columns: int, cell: tuple[int, int] = (384, 256)
) -> NDArray[np.uint8]:
    """Images, (H, W) or (H, W, 3), in a grid of letterboxed cells; as RGB."""
    rows = -(-len(images) // columns)
    sheet = np.zeros((rows * cell[1], columns * cell[0], 3), np.uint8)
    for i, image in enumerate(images):
        rgb = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
        placed = warp(rgb, letterbox((rgb.shape[1], rgb.shape[0]), cell), cell)
        y, x = divmod(i, columns)
        sheet[y * cell[1] : (y + 1) * cell[1], x * cell[0] : (x + 1) * cell[0]] = placed
    return sheet


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of a plot."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


def curves(title: str, lines: Sequence[Curve]) -> NDArray[np.uint8]:
    """A plain line plot over the epochs, dark like the window, with the ends of both axes.

    RGB (320, 768, 3) uint8.
    """
    width, height = 768, 320
    left, right, top, bottom = 80, width - 24, 44, height - 36
    plot = np.full((height, width, 3), 24, np.uint8)
    cv2.rectangle(plot, (left, top), (right, bottom), (70, 70, 70), 1)
    _text(plot, title, (left, 28), (220, 220, 220))
    xs = [x for line in lines for x in line.x]
    ys = [y for line in lines for y in line.y]
    if not xs:
        return plot
    x0, x1, y0, y1 = min(xs), max(xs), min(ys), max(ys)
    for i, line in enumerate(lines):
        colour = (FOUND, REFERENCE)[i % 2]
        px = left + (np.array(line.x) - x0) / max(x1 - x0, 1e-12) * (right - left)
        py = bottom - (np.array(line.y) - y0) / max(y1 - y0, 1e-12) * (bottom - top)
        points = np.round(np.column_stack([px, py]) * 16).astype(np.int32)
        cv2.polylines(plot, [points], False, colour, 2, cv2.LINE_AA, shift=4)
        if len(lines) > 1:
            _text(plot, line.name, (right - 110, top + 22 * (i + 1)), colour)
    _text(plot, f"{y1:.4g}", (8, top + 8), (160, 160, 160))
    _text(plot, f"{y0:.4g}", (8, bottom), (160, 160, 160))
    _text(plot, f"{x0:g}", (left, height - 12), (160, 160, 160))
    _text(plot, f"epoch {x1:g}", (right - 67, height - 12), (160, 160, 160))
    return plot


def stack(parts: Sequence[tuple[str, NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """Stack RGB images vertically, each below its title."""
    width = max(picture.shape[1] for _, picture in parts)
    rows = []
    for title, picture in parts:
        band = np.full((40, width, 3), 16, np.uint8)
        _text(band, title, (12, 27), (235, 235, 235))
        rows += [band, np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)))]
    return np.concatenate(rows)


def _text(
    picture: NDArray[np.uint8], text: str, at: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
