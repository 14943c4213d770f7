"""Simulates the frame of a scene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.biometry import Trimester
from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Size
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.simulation.acoustics import (
    Field,
    amplitude,
    compress,
    envelope,
    path_loss,
    smooth_noise,
)
from fetalstudio.simulation.clutter import draw_clutter
from fetalstudio.simulation.grid import Grid
from fetalstudio.simulation.haze import behind_wall, near_field
from fetalstudio.simulation.head import HeadFrame, Skull, brain, head_frame, skull
from fetalstudio.simulation.scene import SimulatedScene, random_scene
from fetalstudio.simulation.surroundings import FLUID_DB, TISSUE_DB, surroundings

VERSION = 2
"""Of what is simulated: equal scenes and seeds give equal pixels within a version. Version 2 takes
heads and scales from published biometry instead of HC18, and has bodies, dropout and near haze."""
_LOSS_DB_CM = 1.5
"""Loss in soft tissue at 3 MHz, one way: about 0.5 dB/cm/MHz."""
_PULSE_MM = {"first": (0.12, 0.21), "second": (0.17, 0.29), "third": (0.12, 0.22)}
"""Length of the pulse (sigma) in mm. Deep scans are smoothed less on the frame's own grid."""
_BRAIN_DB = {"first": (5, 3), "second": (9, 3), "third": (12, 3)}
"""Level of plain brain below other tissue, in dB: mean and standard deviation."""
_BONE_DB_CM = {"first": 3.0, "second": 5.0, "third": 7.0}


@dataclass(frozen=True, slots=True)
class SimulatedFrame:
    """A simulated frame and everything that is known about it."""

    image: NDArray[np.uint8]
    """(H, W) uint8, black outside the sector."""
    ellipse: Ellipse
    """The outer edge of the skull, px."""
    sector: NDArray[np.uint8]
    """(H, W) of 0 and 1: the scanned pixels, including those under blanked corners."""
    mm_per_px: float
    trimester: Trimester

    def labelled(self) -> LabelledFrame:
        """The frame with its ellipse, for training."""
        calibration = Calibration(self.mm_per_px, self.mm_per_px, "simulated")
        return LabelledFrame.of(self.image, self.ellipse, calibration=calibration)


def simulate(scene: SimulatedScene, seed: int) -> SimulatedFrame:
    """Simulate the frame of a scene. The same scene and seed give the same pixels."""
    rng = np.random.default_rng([seed, 2])
    grid = Grid(scene.probe, scene.size, float(np.hypot(*scene.size) / np.hypot(800, 540)))
    sector = grid.sector
    if scene.sector is not None:
        sector = (scene.sector > 0).astype(np.uint8)
    received = _received(rng, grid, scene)
    grey = compress(
        received, range_db=float(rng.uniform(50, 60)), curve=float(rng.uniform(1.25, 1.75))
    )
    column, row = grid.cells()
    # Cubic, because linear interpolation would imprint the pattern of the cells on the speckle.
    laid = cv2.remap(grey, column, row, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    smooth: Any = cv2.GaussianBlur(laid, (0, 0), float(rng.uniform(0.6, 1.1)) * grid.grain)
    # The noise of a scanner keeps dark parts of the sector from being exactly black.
    grain = rng.standard_normal(smooth.shape, dtype=np.float32)
    smooth += float(rng.uniform(2, 6)) + np.float32(0.5) * grain
    image: NDArray[np.uint8] = np.where(sector > 0, np.clip(np.rint(smooth), 0, 255), 0).astype(
        np.uint8
    )
    draw_clutter(rng, image, scene.clutter)
    return SimulatedFrame(image, scene.ellipse, sector, scene.mm_per_px, scene.trimester)


def simulated_frames(
    count: int, seed: int, *, trimester_: Trimester | None = None, size: Size = (800, 540)
) -> Iterator[SimulatedFrame]:
    """``count`` frames of random scenes; frame ``i`` does not depend on ``count``."""
    for i in range(count):
        own = seed * 1_000_003 + i
        yield simulate(random_scene(own, trimester_=trimester_, size=size), own)


def _received(rng: np.random.Generator, grid: Grid, scene: SimulatedScene) -> Field:
    """The envelope behind the scanner's gain, (depths, beams)."""
    kind, mm = scene.trimester, scene.mm_per_px
    head = head_frame(grid, scene.ellipse)
    around = surroundings(rng, grid, head, scene.ellipse, kind)
    bone = skull(rng, head, kind, mm, grid.step)
    inside = np.clip(0.5 - head.distance / np.float32(grid.step), 0, 1) * (1 - bone.bone)
    content = brain(rng, head, kind)
    tissue = TISSUE_DB - float(rng.normal(*_BRAIN_DB[kind]))
    # Bone with a faint echo must not show as a dark rim, because scalp and dura cover it.
    outside = 1 - inside - 0.5 * bone.bone
    diffuse = outside * amplitude(around.level) + inside * amplitude(tissue + content.level)
    diffuse += 0.35 * bone.echo
    mirror = outside * around.line + inside * content.line + _walls(rng, grid, bone, mm)
    loss = _loss(rng, scene, head, bone, outside * around.fluid, grid.step * mm / 10)
    gain = amplitude(loss)
    diffuse, mirror = diffuse * gain, mirror * gain
    diffuse += behind_wall(rng, grid, inside, kind) + near_field(rng, grid, mm)
    diffuse += amplitude(FLUID_DB + float(rng.uniform(-4, 6)))
    # The pulse has a length in mm, the smoothing of the frame one in px.
    fine = float(np.hypot(0.9 * grid.grain, rng.uniform(*_PULSE_MM[kind]) / mm))
    spread = (grid.depths - grid.depths[0]) / (grid.depths[-1] - grid.depths[0])
    lateral = fine * (1.4 + 1.8 * spread) / (grid.depths * (grid.angles[1] - grid.angles[0]))
    return envelope(
        rng,
        diffuse.astype(np.float32),
        mirror.astype(np.float32),
        axial=fine / grid.step,
        lateral=np.clip(lateral, 0.5, 24).astype(np.float32),
        looks=int(rng.integers(2, 5)),
    )


def _walls(rng: np.random.Generator, grid: Grid, bone: Skull, mm: float) -> Field:
    """The specular echo of the skull and, in some frames, fainter reverberations below it."""
    if rng.random() > 0.35:
        return bone.echo
    rows = max(round(float(rng.uniform(5, 14)) / mm / grid.step), 3)
    walls = bone.echo.copy()
    # Only surfaces perpendicular to the beam reverberate.
    again = 0.04 * bone.echo * bone.echo * bone.echo
    for n in (1, 2, 3):
        if n * rows < len(walls):
            walls[n * rows :] += 0.6**n * again[: -n * rows]
    return walls


def _loss(
    rng: np.random.Generator,
    scene: SimulatedScene,
    head: HeadFrame,
    bone: Skull,
    fluid: Field,
    step_cm: float,
) -> Field:
    """Gain in dB of each cell: the time-gain compensation minus the loss on the way.

    Bone attenuates more at oblique incidence, which leaves shadows below the sides of the skull.
    Cells behind fluid are brighter, because the time-gain curve assumes tissue.
    """
    hard = _BONE_DB_CM[scene.trimester] * float(np.exp(rng.uniform(-1.2, 0.5)))
    steep = float(rng.uniform(1, 4) if scene.trimester != "third" else rng.uniform(3, 9))
    oblique = 1 + steep * (1 - head.incidence) ** 2
    lost = _LOSS_DB_CM * (1 - 0.9 * fluid) + hard * bone.bone * oblique
    shape = lost.shape
    total = path_loss(lost.astype(np.float32), step_cm)
    expected = path_loss(np.full((shape[0], 1), _LOSS_DB_CM, np.float32), step_cm)
    # A beam has a width, so no shadow has sharp sides.
    soft = float(rng.uniform(1.5, 7.0))
    gain = cv2.GaussianBlur(np.maximum(expected - total, -30), (0, 1), sigmaX=soft, sigmaY=1.0)
    gain += float(rng.uniform(1, 3)) * smooth_noise(rng, (shape[0], 1), (3, 0))
    gain += float(rng.uniform(-12, 3)) * np.linspace(0, 1, shape[0], dtype=np.float32)[:, None]
    gain += float(rng.uniform(0.5, 2.0)) * smooth_noise(rng, (1, shape[1]), (0, 9))
    # Poor contact at the ends of the probe.
    across = np.linspace(-1, 1, shape[1], dtype=np.float32)[None]
    for side in (-1, 1):
        if rng.random() < {"first": 0.3, "second": 0.4, "third": 0.75}[scene.trimester]:
            begin = float(rng.uniform(0.3, 0.8))
            gain -= float(rng.uniform(4, 16)) * np.clip((side * across - begin) / 0.3, 0, 1)
    return np.minimum(gain, 8).astype(np.float32)
