"""The surroundings of the head: maternal layers, uterus, placenta, fluid and the fetal body."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from fetalstudio.core.biometry import Trimester
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.simulation.acoustics import Field, smooth_noise
from fetalstudio.simulation.body import early_body
from fetalstudio.simulation.grid import Grid
from fetalstudio.simulation.head import HeadFrame

TISSUE_DB = -33.0
FLUID_DB = -60.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything but the head, by cell."""

    level: Field
    """Level in dB relative to the brightest bone."""
    line: Field
    """Amplitude of smooth interfaces."""
    fluid: Field
    """Share of the cell that is fluid, 0 to 1. Sound passes fluid without loss."""


def surroundings(
    rng: np.random.Generator, grid: Grid, head: HeadFrame, ellipse: Ellipse, kind: Trimester
) -> Surroundings:
    """Layers of tissue under the probe, around a cavity with the head and, sometimes, fluid."""
    level = (
        TISSUE_DB - (4 if kind == "third" else 0) + float(rng.normal(0, 3.5)) + _texture(rng, grid)
    )
    level = level + _layers(rng, grid, ellipse)
    body = early_body(rng, grid, ellipse) if kind == "first" else None
    # In the first trimester the whole fetus lies in the cavity.
    held = (ellipse.cx, ellipse.cy)
    if body is not None:
        held = (ellipse.cx + body.middle[0]) / 2, (ellipse.cy + body.middle[1]) / 2
    depth = _outside_cavity(rng, grid, ellipse, held, kind)
    level += _wall(rng, grid, depth)
    px = np.float32(float(rng.uniform(2, 9)) * grid.grain / ellipse.a)
    fluid = 1 / (1 + np.exp(np.clip(depth / px, -30, 30)))
    if rng.random() < {"first": 0.04, "second": 0.35, "third": 0.5}[kind]:
        fluid *= 0
    bones = np.zeros(grid.shape, np.float32)
    if body is not None:
        fluid *= 1 - body.share
        # It is brighter or darker than the wall around it, not the sum of both.
        level += body.share * (TISSUE_DB - level) + body.level
        bones = body.line
    else:
        level += _body(rng, head, fluid)
    wet = FLUID_DB + float(rng.exponential(6)) + 3 * smooth_noise(rng, grid.shape, (4, 4))
    level += fluid * (wet - level)
    line = _interfaces(rng, grid, level) + _far_arcs(rng, grid, kind) * (1 - fluid) + bones
    return Surroundings(level.astype(np.float32), line.astype(np.float32), fluid.astype(np.float32))


def _texture(rng: np.random.Generator, grid: Grid) -> Field:
    """Fibres along the probe's surface, and blobs."""
    rows, columns = grid.shape
    fine = (int(rows * grid.step / (9 * grid.grain)) + 2, max(columns // 16, 2))
    coarse = (int(rng.integers(4, 10)), int(rng.integers(3, 7)))
    fibres, blobs = float(rng.uniform(1.0, 3.5)), float(rng.uniform(2.0, 6.0))
    return fibres * smooth_noise(rng, grid.shape, fine) + blobs * smooth_noise(
        rng, grid.shape, coarse
    )


def _layers(rng: np.random.Generator, grid: Grid, ellipse: Ellipse) -> Field:
    """Skin, fat and muscle as bands at equal depth, up to the head's upper edge at most."""
    depth = (grid.depths - grid.probe.near) / np.float32(grid.grain)
    room = max(ellipse.box()[1] - grid.probe.apex_y - grid.probe.near, 20.0) / grid.grain
    thick = float(rng.uniform(0.3, 1.0)) * min(room, 160.0)
    knots = np.arange(0.0, thick + 60, float(rng.uniform(5, 18)))
    bands = rng.normal(0, float(rng.uniform(2, 7)), len(knots))
    wavy = depth[:, None] + 5 * smooth_noise(rng, grid.shape, (3, 4))
    faded = np.clip((thick - wavy) / 25 + 0.5, 0, 1)
    contact = 9 * np.exp(-np.maximum(depth, 0) / 9)[:, None]
    return (faded * np.interp(wavy, knots, bands) + contact).astype(np.float32)


def _outside_cavity(
    rng: np.random.Generator,
    grid: Grid,
    ellipse: Ellipse,
    held: tuple[float, float],
    kind: Trimester,
) -> Field:
    """Distance of each cell from the uterine cavity, in semi-axes of the head; negative inside.

    ``held`` is the middle of what lies in it, px.
    """
    x, y = grid.places
    wide, shift = {"first": (2.3, 0.2), "second": (1.3, 0.2), "third": (1.1, 0.12)}[kind]
    wide *= float(np.exp(rng.normal(0, 0.2)))
    flat = float(rng.uniform(0.45, 0.95)) if kind == "first" else float(rng.uniform(0.5, 0.8))
    # The head is more often at a wall of the cavity than in its middle.
    cx = held[0] + shift * ellipse.a * float(rng.normal(0, 1.5))
    cy = held[1] + shift * ellipse.a * float(rng.normal(-0.35, 0.7))
    # It is as long as the fetus in it.
    lying = math.atan2(held[1] - ellipse.cy, held[0] - ellipse.cx)
    turn = lying + math.radians(float(rng.normal(0, 12)))
    dx, dy = (x - cx) / ellipse.a, (y - cy) / ellipse.a
    along = (dx * math.cos(turn) + dy * math.sin(turn)) / wide
    across = (dy * math.cos(turn) - dx * math.sin(turn)) / (wide * max(flat, 0.62 / wide))
    rho = np.hypot(along, across)
    bumps = float(rng.uniform(0.05, 0.16)) * smooth_noise(rng, grid.shape, (2, 3))
    bumps += 0.025 * smooth_noise(rng, grid.shape, (8, 8))
    return ((rho - 1 + bumps) * wide * 0.8).astype(np.float32)


def _wall(rng: np.random.Generator, grid: Grid, depth: Field) -> Field:
    """Layers of muscle around the cavity, and the even, brighter placenta on one side."""
    # Layers that follow the cavity and fade with distance.
    knots = np.arange(-0.1, 1.6, float(rng.uniform(0.07, 0.25)))
    bands = np.interp(depth, knots, rng.normal(0, float(rng.uniform(2, 6)), len(knots)))
    muscle = float(rng.uniform(-4, 3)) * np.exp(-((depth / 0.16) ** 2))
    muscle += bands * np.exp(-np.maximum(depth, 0) / 0.6)
    sides = smooth_noise(rng, grid.shape, (1, 2))
    thick = float(rng.uniform(0.2, 0.7))
    placenta = np.clip((thick - depth) / 0.05, 0, 1) * np.clip(3 * sides - 1, 0, 1)
    return (muscle * (1 - placenta) + float(rng.uniform(0, 6)) * placenta).astype(np.float32)


def _body(rng: np.random.Generator, head: HeadFrame, fluid: Field) -> Field:
    """Neck, trunk or a limb at one end of the head, in place of fluid."""
    level = np.zeros_like(fluid)
    for _ in range(int(rng.integers(0, 3))):
        turn = float(rng.choice([0.0, math.pi])) + float(rng.normal(0, 0.7))
        away = 1.0 + float(rng.uniform(0.25, 0.6))
        half = float(rng.uniform(0.25, 0.55))
        u, v = head.u - away * math.cos(turn), head.v - away * math.sin(turn)
        rho = np.hypot(u / half, v / (half * float(rng.uniform(0.6, 1.2))))
        rho = rho + 0.12 * smooth_noise(rng, (fluid.shape[0], fluid.shape[1]), (8, 8))
        inside = np.clip((1 - rho) / 0.12, 0, 1)
        fluid *= 1 - inside
        level += inside * float(rng.uniform(-4, 5))
    return level.astype(np.float32)


def _interfaces(rng: np.random.Generator, grid: Grid, level: Field) -> Field:
    """Reflections of boundaries across the beam, where the level changes along it."""
    smooth = cv2.GaussianBlur(level, (0, 0), 1.2)
    rise = np.abs(np.diff(smooth, axis=0, prepend=smooth[:1])) * np.float32(grid.grain / grid.step)
    strength = float(np.exp(rng.uniform(math.log(0.01), math.log(0.15))))
    patchy = np.exp(0.7 * smooth_noise(rng, grid.shape, (5, 9)))
    return (strength * patchy * np.clip((rise - 1.2) / 5, 0, 1)).astype(np.float32)


def _far_arcs(rng: np.random.Generator, grid: Grid, kind: Trimester) -> Field:
    """Bright sheets of maternal tissue across the frame, near and far."""
    line = np.zeros(grid.shape, np.float32)
    low, high = float(grid.depths[0]), float(grid.depths[-1])
    for _ in range(int(rng.integers(0, 5 if kind != "third" else 3))):
        at = low + float(rng.choice([rng.uniform(0, 0.2), rng.uniform(0.7, 1)])) * (high - low)
        course = at + 0.025 * (high - low) * smooth_noise(rng, grid.shape, (1, 2))
        apart = (grid.depths[:, None] - course) / (float(rng.uniform(2, 6)) * grid.grain)
        shown = np.clip(0.5 * smooth_noise(rng, grid.shape, (1, 4)) + 0.4, 0, 1)
        line += float(rng.uniform(0.01, 0.07)) * shown * np.exp(-np.square(apart))
    return line
