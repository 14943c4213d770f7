"""A folder with everything that an import has to ask about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.formats.pictures.picture_files import write_png
from fetalstudio.formats.reading.frame_reading import FrameContent

SIZE = (96, 80)
HEAD = Ellipse(48.0, 36.0, 30.0, 22.0, 20.0)
MASK: NDArray[np.uint8] = HEAD.mask(SIZE) * np.uint8(255)


def texture(seed: int) -> NDArray[np.uint8]:
    """A different picture from every seed, (H, W)."""
    return np.random.default_rng(seed).integers(0, 256, (SIZE[1], SIZE[0]), dtype=np.uint8)


def doubtful_source(folder: Path) -> Path:
    """A frame in doubt for every question, and files of every role."""
    for number, name in enumerate(("sure", "several", "twice", "square", "sized")):
        write_png(folder / f"{name}.png", texture(number))
    write_png(folder / "again.png", texture(0))
    write_png(folder / "sure_overlay.png", texture(9))
    write_png(folder / "drawn.png", MASK)
    write_png(folder / "sure_mask.png", MASK)
    labels = Ellipse(48.0, 68.0, 20.0, 9.0, 0.0).mask(SIZE)
    labels[HEAD.mask(SIZE) > 0] = 2
    write_png(folder / "several_mask.png", labels)
    write_png(folder / "twice_mask.png", MASK)
    write_png(folder / "twice_seg.png", Ellipse(40.0, 40.0, 20.0, 15.0, 0.0).mask(SIZE) * 255)
    box = np.zeros_like(MASK)
    box[15:65, 15:80] = 255
    write_png(folder / "square_mask.png", box)
    write_png(folder / "sized_mask.png", MASK)
    (folder / "t.csv").write_text("filename,pixel size(mm),hc\nsized.png,0.2,99\n")
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "scan.webp").write_bytes(b"RIFF")
    (folder / "notes.txt").write_text("nothing")
    return folder


def said_of(content: FrameContent) -> tuple[str, ...]:
    """What an import without answers says about a frame."""
    return content.problems + tuple(doubt.report for doubt in content.doubts)
