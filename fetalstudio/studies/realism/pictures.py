"""Real frames, and the pictures that are made on their sectors and for their ellipses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.engine.pictures import montage
from fetalstudio.formats.pictures.picture_files import read_image, write_png
from fetalstudio.studies.log import say
from fetalstudio.studies.realism.two_samples import Shown
from fetalstudio.synthesis.scene import Scene
from fetalstudio.synthesis.synthesizer import Synthesizer

_BATCH = 4
"""Pictures that are made at once."""
_ROWS = 4
"""Frames on a sheet."""
_CROP = (240, 162)
"""(width, height) in px of what a sheet shows enlarged."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Real frames, each with the frame that was made for it."""

    items: Sequence[LabelledFrame]
    """With their pixels loaded."""
    made: Sequence[NDArray[np.uint8]]

    def shown(self) -> tuple[list[Shown], list[Shown]]:
        """The real and the made frames, for a two-sample test."""
        real = [
            Shown(item.image, item.ellipse, item.subject, group_of(item)) for item in self.items
        ]
        return real, [replace(s, image=m) for s, m in zip(real, self.made, strict=True)]


def pictures_of(synthesizer: Synthesizer, items: Sequence[LabelledFrame], cache: Path) -> Pictures:
    """The frames with their pictures. Those that ``cache`` holds are read, the others added."""
    items = [item.loaded() for item in items]
    paths = [cache / f"{seed:04d}_{item.id[:12]}.png" for seed, item in enumerate(items)]
    missing = [i for i, path in enumerate(paths) if not path.exists()]
    for start in range(0, len(missing), _BATCH):
        chosen = missing[start : start + _BATCH]
        scenes = [Scene(x.ellipse, x.size, x.style, x.image) for x in (items[i] for i in chosen)]
        for i, image in zip(chosen, synthesizer.generate(scenes, chosen), strict=True):
            write_png(paths[i], image)
        say(f"{start + len(chosen)} of {len(missing)} pictures")
    return Pictures(items, [read_image(path) for path in paths])


def cache_name(synthesizer: Synthesizer) -> str:
    """The folder of a cache for what a synthesizer draws: by its weights, and by whether drawn
    heads are moved onto their ellipses."""
    return synthesizer.hash[:12] + ("" if synthesizer.find_head is None else "-aligned")


def sheet(pictures: Pictures, group: str) -> NDArray[np.uint8]:
    """An RGB sheet with a row for each of the first frames of a group, none of them picked.

    A row shows the real frame and its picture, and of both what lies around the upper edge of the
    skull, 240 x 162 px, with each px drawn as four.
    """
    cells = []
    chosen = [i for i, item in enumerate(pictures.items) if group_of(item) == group][:_ROWS]
    for i in chosen:
        item, made = pictures.items[i], pictures.made[i]
        x0, y0, x1, _ = item.ellipse.box()
        left = int(np.clip((x0 + x1) / 2 - _CROP[0] / 2, 0, max(item.size[0] - _CROP[0], 0)))
        top = int(np.clip(y0 - _CROP[1] / 3, 0, max(item.size[1] - _CROP[1], 0)))
        at = np.s_[top : top + _CROP[1], left : left + _CROP[0]]
        near = [np.kron(image[at], np.ones((2, 2), np.uint8)) for image in (item.image, made)]
        cells += [item.image, made, *near]
    return montage(cells, columns=4, cell=(2 * _CROP[0], 2 * _CROP[1]))


def group_of(item: LabelledFrame) -> str:
    """The trimester, or the cohort where it is not known."""
    return item.cohort if item.style == "any" else item.style
