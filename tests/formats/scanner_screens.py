"""Scanner screens with text around and in the sector, generated for tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_WORDS = (
    *("DOE^JANE", "MRN 00445566", "12/03/1991", "GA 22w3d", "St. Mary Hospital", "14:32:07"),
    *("SMITH, ANNA", "ID: 8812-77", "Dr. Meyer", "OB 2/3", "MI 1.1 TIs 0.3", "HEAD CIRC"),
    *("HC 198.2 mm", "Fr 23 Hz", "Gn 54 %", "C1-5-D", "müller, eva", "Room 4B"),
)


@dataclass(frozen=True, slots=True)
class MadeScreen:
    """A screen and where its text stands: (left, top, right, bottom) in px of each line."""

    pixels: NDArray[np.uint8]
    lines: tuple[tuple[int, int, int, int], ...]


def fonts(size: int) -> list[ImageFont.FreeTypeFont | ImageFont.ImageFont]:
    """Pillow's own font and those of matplotlib, which are there wherever the tests run."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    names = ("DejaVuSansMono.ttf", "STIXGeneral.ttf", "DejaVuSans-Bold.ttf")
    return [ImageFont.load_default(size)] + [
        ImageFont.truetype(str(folder / name), size) for name in names
    ]


def screen(seed: int, tissue: NDArray[np.uint8], size: tuple[int, int] = (1024, 768)) -> MadeScreen:
    """Speckle in a fan, with lines of text beside it and two or more in it."""
    rng = np.random.default_rng(seed)
    width, height = size
    fan = np.zeros((height, width), np.uint8)
    top = (width // 2, -height // 8)
    cv2.ellipse(fan, top, (int(height * 0.98),) * 2, 90, -38, 38, 1, cv2.FILLED)
    cv2.ellipse(fan, top, (height // 4,) * 2, 90, -60, 60, 0, cv2.FILLED)
    shown = np.maximum(cv2.resize(tissue, size, interpolation=cv2.INTER_CUBIC), 3) * fan
    picture = Image.fromarray(shown)
    draw = ImageDraw.Draw(picture)
    choices = fonts(int(rng.choice([11, 13, 16, 20, 26])))
    lines: list[tuple[int, int, int, int]] = []
    places = [(8, 8), (width - 190, 8), (8, height - 60), (width - 190, height // 2)]
    places += [
        (int(width * rng.uniform(0.35, 0.55)), int(height * rng.uniform(0.3, 0.75)))
        for _ in range(3)
    ]
    for x, y in places:
        text = str(rng.choice(_WORDS))
        font = choices[int(rng.integers(len(choices)))]
        box = tuple(int(side) for side in draw.textbbox((x, y), text, font=font))
        if any(b[0] - 9 < box[2] and box[0] < b[2] + 9 and b[1] - 9 < box[3] and box[1] < b[3] + 9
               for b in lines):  # fmt: skip
            continue
        draw.text((x, y), text, fill=int(rng.integers(200, 256)), font=font)
        lines.append((box[0], box[1], box[2], box[3]))
    return MadeScreen(np.asarray(picture).copy(), tuple(lines))


def left_of_text(made: MadeScreen, redacted: NDArray[np.uint8]) -> list[float]:
    """Of each line, the share of its bright pixels that are still there."""
    shares = []
    for left, top, right, bottom in made.lines:
        before = made.pixels[top:bottom, left:right] >= 190
        after = redacted[top:bottom, left:right] >= 190
        shares.append(float((before & after).sum() / max(before.sum(), 1)))
    return shares
