"""The style ``simulated``: frames by the scanner simulator instead of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.sector import seen_sector
from fetalstudio.formats.pictures.synthetic_notes import SIMULATOR
from fetalstudio.simulation import VERSION, scene_for, simulate
from fetalstudio.synthesis.scene import Scene

SIMULATED = "simulated"
"""A style in addition to ``conditions.STYLES``, which the network does not know."""


def simulated_images(
    scenes: Sequence[Scene],
    seeds: Sequence[int],
    on_step: Callable[[int, int, Callable[[], NDArray[np.uint8]]], None] | None,
) -> list[NDArray[np.uint8]]:
    """The images of :meth:`Synthesizer.generate`. Each image is one step for ``on_step``."""
    images: list[NDArray[np.uint8]] = []
    for scene, seed in zip(scenes, seeds, strict=True):
        sector = None if scene.reference is None else seen_sector(scene.reference)
        whole = scene_for(scene.ellipse, scene.size, seed, mm_per_px=scene.mm_per_px, sector=sector)
        images.append(simulate(whole, seed).image)
        if on_step is not None:
            on_step(len(images), len(scenes), lambda: images[0])
    return images


def simulated_provenance(seed: int) -> Mapping[str, Any]:
    """The values with which the same image can be made again, without any model."""
    return {
        "synthesizer": SIMULATOR,
        "simulator_version": VERSION,
        "seed": seed,
        "style": SIMULATED,
    }


def scale_of(style: str, calibration: Calibration | None) -> Mapping[str, str]:
    """The entry ``scale`` of the provenance: ``calibrated``, or ``guessed`` by the simulator from
    the size of the head in the frame. Empty for other styles: the network takes no scale."""
    if style != SIMULATED:
        return {}
    return {"scale": "guessed" if calibration is None else "calibrated"}
