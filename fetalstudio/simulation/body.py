"""The fetal body of the first trimester: trunk with its spine, limbs with their bones, and cord.

At 11 to 14 weeks the head is nearly half of the fetus, and the rest is in the frame with it.
Lengths are in semi-major axes of the head. The body hangs at one end of the head.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.simulation.acoustics import Field, smooth_noise
from fetalstudio.simulation.grid import Grid

Points = NDArray[np.float64]
"""(n, 2), or one point (2,)."""


@dataclass(frozen=True, slots=True)
class Body:
    """What the body is, by cell."""

    share: Field
    """Share of the cell that is body or cord, 0 to 1: there is no fluid in it."""
    level: Field
    """Level in dB relative to other tissue, where ``share`` is above 0."""
    line: Field
    """Amplitude of bones and of the cord's walls."""
    middle: tuple[float, float]
    """The middle of the trunk, px."""


def early_body(rng: np.random.Generator, grid: Grid, ellipse: Ellipse) -> Body:
    """A body at one end of the head. The head itself is drawn over it."""
    x, y = grid.places
    scale = np.float32(ellipse.a)
    px, py = (x - np.float32(ellipse.cx)) / scale, (y - np.float32(ellipse.cy)) / scale
    end = math.radians(ellipse.angle_deg) + (0.0 if rng.random() < 0.5 else math.pi)
    bent = float(rng.normal(0, 0.45))  # of the neck
    way = np.array([math.cos(end + bent), math.sin(end + bent)])
    aside = np.array([-way[1], way[0]]) * (1 if rng.random() < 0.5 else -1)
    neck = 0.95 * np.array([math.cos(end), math.sin(end)])
    length, half = float(rng.uniform(1.7, 2.4)), float(rng.uniform(0.55, 0.75))
    rough = np.float32(0.05) * smooth_noise(rng, grid.shape, (8, 8))
    edge = np.float32(max(0.03, 1.5 * grid.step / ellipse.a))

    share, line = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
    level = np.zeros(grid.shape, np.float32)
    # The curved trunk as a string of discs, broad in the middle.
    curve = float(rng.uniform(0.1, 0.5))
    along = np.linspace(0, 1, 9)
    middle = neck + length * along[:, None] * way + curve * (along**2)[:, None] * aside
    wide = half * np.sqrt(np.sin(np.pi * (0.12 + 0.8 * along)))
    trunk = _string(px, py, middle, wide)
    share = np.maximum(share, np.clip(0.5 - (trunk + rough) / edge, 0, 1))
    level += np.float32(rng.uniform(-4, 3)) * share
    # Vertebrae on the back, and fluid in stomach or bladder.
    back = middle - (0.62 * wide)[:, None] * aside
    line += _beads(rng, px, py, back, float(rng.uniform(0.05, 0.2)))
    organ = middle[int(rng.integers(3, 7))]
    near = np.hypot(px - organ[0], py - organ[1]) - np.float32(rng.uniform(0.08, 0.18))
    level -= np.float32(rng.uniform(8, 18)) * np.clip(0.5 - near / edge, 0, 1)
    for at in (0.2, 0.25, 0.9, 0.95):  # arms and legs, some of them outside the plane
        if rng.random() < 0.55:
            limb = _limb(rng, neck + length * at * way, half, aside, way)
            far = _string(px, py, limb, np.linspace(0.17, 0.09, len(limb)))
            flesh = np.clip(0.5 - (far + rough) / edge, 0, 1).astype(np.float32)
            share, level = np.maximum(share, flesh), level + np.float32(rng.uniform(-2, 3)) * flesh
            for part in (limb[:3], limb[4:]):  # bones end short of the joint
                bone = np.exp(-np.square(_string(px, py, part, np.zeros(len(part))) / edge))
                line += np.float32(rng.uniform(0.03, 0.12)) * bone
    if rng.random() < 0.7:
        cord, lumen = _cord(rng, px, py, middle[5] + half * aside, aside, edge)
        share = np.maximum(share, cord)
        level -= np.float32(rng.uniform(8, 16)) * lumen
        line += np.float32(rng.uniform(0.01, 0.05)) * cord * (1 - lumen)
    x0, y0 = (np.array([ellipse.cx, ellipse.cy]) + ellipse.a * middle[4]).tolist()
    return Body(share, level.astype(np.float32), line.astype(np.float32), (x0, y0))


def _limb(rng: np.random.Generator, at: Points, half: float, aside: Points, way: Points) -> Points:
    """Two straight parts with a joint between them."""
    turn = float(rng.uniform(-0.7, 0.7))
    first = math.cos(turn) * aside + math.sin(turn) * way
    joint = turn + float(rng.uniform(-1.6, 1.6))
    second = math.cos(joint) * aside + math.sin(joint) * way
    root = at + 0.8 * half * aside
    elbow = root + float(rng.uniform(0.4, 0.6)) * first
    steps = np.linspace(0, 1, 4)[:, None]
    tip = elbow + float(rng.uniform(0.35, 0.55)) * second
    return np.vstack([root + steps * (elbow - root), elbow + steps[1:] * (tip - elbow)])


def _cord(
    rng: np.random.Generator, px: Field, py: Field, root: Points, aside: Points, edge: np.float32
) -> tuple[Field, Field]:
    """The cord's share of each cell, and that of its two vessels, which wind around each other."""
    across = np.array([-aside[1], aside[0]])
    t = np.linspace(0, 1, 28)
    reach, loops = float(rng.uniform(0.6, 1.3)), float(rng.uniform(2, 6))
    sway = 0.25 * np.sin(t * rng.uniform(3, 7) + rng.uniform(0, 6))
    course = root + reach * t[:, None] * aside + sway[:, None] * across
    wide = float(rng.uniform(0.07, 0.12))
    cord = np.clip(0.5 - _string(px, py, course, np.full(len(t), wide)) / edge, 0, 1)
    lumen = np.zeros_like(px)
    for phase in (0.0, math.pi):
        wound = 0.5 * wide * np.sin(2 * math.pi * loops * t + phase)
        vessel = course + wound[:, None] * across
        inside = _string(px, py, vessel, np.full(len(t), 0.4 * wide))
        lumen = np.maximum(lumen, np.clip(0.5 - inside / edge, 0, 1))
    return cord.astype(np.float32), lumen.astype(np.float32)


def _string(px: Field, py: Field, points: Points, radii: Points) -> Field:
    """Distance of each cell to a string of discs, negative inside; the radius changes evenly."""
    found = np.full(px.shape, np.float32(1e3))
    for (x0, y0), (x1, y1), r0, r1 in zip(
        points[:-1], points[1:], radii[:-1], radii[1:], strict=True
    ):
        dx, dy = np.float32(x1 - x0), np.float32(y1 - y0)
        t = ((px - np.float32(x0)) * dx + (py - np.float32(y0)) * dy) / max(dx * dx + dy * dy, 1e-9)
        t = np.clip(t, 0, 1)
        away = np.hypot(px - np.float32(x0) - t * dx, py - np.float32(y0) - t * dy)
        np.minimum(found, away - np.float32(r0) - t * np.float32(r1 - r0), out=found)
    return found


def _beads(
    rng: np.random.Generator, px: Field, py: Field, points: Points, strength: float
) -> Field:
    """Bright dots, evenly spaced along a line."""
    steps = np.linspace(0, len(points) - 1, 20)
    x, y = (np.interp(steps, np.arange(len(points)), side) for side in points.T)
    line = np.zeros_like(px)
    for at_x, at_y in zip(x.tolist(), y.tolist(), strict=True):
        apart = np.square(px - np.float32(at_x)) + np.square(py - np.float32(at_y))
        line += np.float32(strength * rng.uniform(0.4, 1)) * np.exp(-apart / np.float32(0.035**2))
    return line
