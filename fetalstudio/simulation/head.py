"""The head: its skull and what lies inside, as echogenicity on the polar grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from fetalstudio.core.biometry import Trimester
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.simulation.acoustics import Field, amplitude, smooth_noise
from fetalstudio.simulation.dropout import dropout
from fetalstudio.simulation.grid import Grid

_TEXELS = 256
_REACH = 1.1
"""The brain is drawn on a square of texels from -1.1 to 1.1 semi-axes."""
_SCALE = (_TEXELS - 1) / (2 * _REACH)


@dataclass(frozen=True, slots=True)
class HeadFrame:
    """The cells of the grid in the head's coordinates."""

    u: Field
    """Coordinate along the major axis, in semi-axes."""
    v: Field
    """Coordinate along the minor axis, in semi-axes."""
    distance: Field
    """Distance to the outline in px, negative inside; first order, and exact on the outline."""
    incidence: Field
    """|cos| of the angle between the beam and the outline's normal."""
    far_side: float
    """+1 or -1: the sign of ``v`` on the side of the head that lies deeper."""
    beam_along: float
    """|cos| of the angle between the beam at the head's centre and its major axis."""


def head_frame(grid: Grid, ellipse: Ellipse) -> HeadFrame:
    """The grid's cells in the head's own coordinates."""
    x, y = grid.places
    (ux, uy), (vx, vy) = ellipse.axes.astype(np.float32)
    dx, dy = x - np.float32(ellipse.cx), y - np.float32(ellipse.cy)
    u, v = (dx * ux + dy * uy) / np.float32(ellipse.a), (dx * vx + dy * vy) / np.float32(ellipse.b)
    rho = np.maximum(np.hypot(u, v), 1e-3)
    gu, gv = u / np.float32(ellipse.a), v / np.float32(ellipse.b)
    steep = np.maximum(np.hypot(gu, gv), 1e-9)
    beam_x, beam_y = grid.directions
    normal_x, normal_y = (gu * ux + gv * vx) / steep, (gu * uy + gv * vy) / steep
    incidence = np.abs(normal_x * beam_x + normal_y * beam_y)
    centre = np.array([ellipse.cx - grid.probe.apex_x, ellipse.cy - grid.probe.apex_y])
    centre /= max(float(np.linalg.norm(centre)), 1e-6)
    along, across = ellipse.axes @ centre
    return HeadFrame(
        u, v, (rho - 1) * rho / steep, incidence, 1.0 if across >= 0 else -1.0, abs(float(along))
    )


@dataclass(frozen=True, slots=True)
class Skull:
    """The bone, cell by cell."""

    bone: Field
    """Share of the cell that is bone, 0 to 1; bone extends inwards from the ellipse."""
    echo: Field
    """Amplitude of the echo, 0 to about 1; strong where the beam is perpendicular to the bone."""


def skull(
    rng: np.random.Generator, head: HeadFrame, kind: Trimester, mm_per_px: float, step: float
) -> Skull:
    """A wall of 1 to 3 mm whose outer edge is the ellipse; pulse and beam widen its echo.

    ``step`` is the grid step in px. A wall is never thinner than one and a half cells.
    """
    thin, thick = {"first": (0.8, 1.4), "second": (1.3, 2.2), "third": (2.0, 3.2)}[kind]
    width = max(float(rng.uniform(thin, thick)) / mm_per_px, 1.5 * step)
    near = np.abs(head.distance) < 4 * width
    distance, turn = head.distance[near], np.arctan2(head.v[near], head.u[near])
    inner = width * (1 + 0.2 * _round_noise(rng, turn, 10))
    # A bump that reaches half its height on the ellipse, which is where the eye sees the edge.
    offset, half = distance + np.float32(0.42 * width), np.float32(0.5 * width)
    inwards = half * np.clip(inner / width, 0.6, 1.6)
    ridge = np.exp(-np.square(offset / np.where(offset < 0, inwards, half)))
    wall = np.clip(0.5 - distance / step, 0, 1) * np.clip(0.5 + (distance + inner) / step, 0, 1)
    bone, echo = np.zeros_like(head.distance), np.zeros_like(head.distance)
    bone[near], echo[near] = wall, ridge * _brightness(rng, turn, head.incidence[near], kind)
    return Skull(bone, echo)


def _brightness(rng: np.random.Generator, turn: Field, incidence: Field, kind: Trimester) -> Field:
    """Amplitude around the skull: |cos|^k of the angle of incidence, lower at thin places and
    sutures."""
    third, first = kind == "third", kind == "first"
    k = float(rng.uniform(2.0, 4.5) if third else rng.uniform(1.2, 3.0))
    floor = float(rng.uniform(0.01, 0.06) if third else rng.uniform(0.03, 0.14))
    bright_db = float(rng.normal(*{"first": (-11, 5), "second": (-5, 3), "third": (-6, 4)}[kind]))
    uneven = float(rng.uniform(4, 8) if first else rng.uniform(1.5, 4.5))
    value = amplitude(min(bright_db, 0) + uneven * _round_noise(rng, turn, 9))
    value *= floor + (1 - floor) * incidence ** np.float32(k)
    value *= dropout(rng, turn, incidence)
    for _ in range(int(rng.integers(0, 8 if first else 5))):
        at, wide = rng.uniform(-math.pi, math.pi), rng.uniform(0.02, 0.12)
        apart = ((turn - np.float32(at) + math.pi) % np.float32(2 * math.pi) - math.pi) / wide
        value *= 1 - np.float32(rng.uniform(0.4, 0.85)) * np.exp(-np.square(apart))
    return np.asarray(value, np.float32)


def _round_noise(rng: np.random.Generator, turn: Field, waves: int) -> Field:
    """Smooth noise around the outline, unit variance: a Fourier series without a seam."""
    knots = np.linspace(-math.pi, math.pi, 361)
    values = np.zeros_like(knots)
    for n in range(1, waves + 1):
        values += rng.normal() * np.cos(n * knots + rng.uniform(0, 2 * math.pi))
    return np.interp(turn, knots, values * math.sqrt(2 / waves)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Brain:
    """The content of the skull, as texels or as cells."""

    level: Field
    """Level in dB relative to plain brain tissue."""
    line: Field
    """Amplitude of membranes that reflect like mirrors, 0 to about 1."""


def brain(rng: np.random.Generator, head: HeadFrame, kind: Trimester) -> Brain:
    """The brain on the grid: drawn in the head's coordinates, slightly distorted, and sampled."""
    drawing = _Drawing(rng, head.beam_along, 3.0 if kind == "first" else 1.8)
    if kind == "first":
        _early(rng, drawing)
    else:
        _late(rng, drawing, kind)
    texels = drawing.bent()
    front = 1.0 if rng.random() < 0.5 else -1.0
    x = ((head.u * np.float32(front) + _REACH) * _SCALE).astype(np.float32)
    y = ((head.v * np.float32(head.far_side) + _REACH) * _SCALE).astype(np.float32)
    level, line = (
        np.asarray(cv2.remap(part, x, y, cv2.INTER_LINEAR), np.float32)
        for part in (texels.level, texels.line)
    )
    return Brain(level, line)


class _Drawing:
    """Organs painted over each other. The front is at +u, the deeper side at +v."""

    def __init__(self, rng: np.random.Generator, beam_along: float, disorder: float) -> None:
        self.rng, self.disorder = rng, disorder
        self.level: Any = np.zeros((_TEXELS, _TEXELS), np.float32)
        self.line: Any = np.zeros((_TEXELS, _TEXELS), np.float32)
        self.beam = np.array([beam_along, math.sqrt(1 - beam_along**2)])

    def organ(
        self, at: tuple[float, float], half: tuple[float, float], turn: float, db: float
    ) -> None:
        """A filled ellipse of a level in dB."""
        cv2.ellipse(self.level, _texel(at), _length(half), turn, 0, 360, db, cv2.FILLED)

    def ring(
        self, at: tuple[float, float], half: tuple[float, float], turn: float, strength: float
    ) -> None:
        """The wall of an organ, as a membrane."""
        t = np.radians(np.arange(0, 361, 15))
        c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        x, y = half[0] * np.cos(t), half[1] * np.sin(t)
        points = np.column_stack([at[0] + c * x - s * y, at[1] + s * x + c * y])
        self.membrane(points, strength)

    def membrane(self, points: Any, strength: float, thick: int = 2) -> None:
        """A line, brightest where it lies across the beam."""
        points = np.asarray(points, float)
        steps = np.diff(points, axis=0)
        along = steps @ self.beam / np.maximum(np.hypot(*steps.T), 1e-9)
        values = strength * (0.12 + 0.88 * (1 - along**2) ** 2)
        values *= self.rng.uniform(0.55, 1.1, len(steps))
        corners = np.rint((points + _REACH) * _SCALE).astype(int).tolist()
        for value, (p, q) in zip(values.tolist(), pairwise(corners), strict=True):
            cv2.line(self.line, p, q, value, thick)

    def glow(self, reach: float, db: float) -> None:
        """Brighter towards the middle, where the beam is perpendicular to the skull."""
        x = (np.arange(_TEXELS, dtype=np.float32) / (_TEXELS - 1) - 0.5) * (2 * _REACH / reach)
        self.level += np.float32(db) * np.exp(-np.square(x)[None] - np.square(x)[:, None])

    def strokes(self, count: int, reach: float, strength: float) -> None:
        """Short bright folds, most of them along the midline's direction."""
        for _ in range(count):
            radius, turn = reach * math.sqrt(self.rng.random()), self.rng.uniform(0, 2 * math.pi)
            at = np.array([radius * math.cos(turn), radius * math.sin(turn)])
            angle, half = self.rng.normal(0, 0.5), self.rng.uniform(0.02, 0.07)
            step = half * np.array([math.cos(angle), math.sin(angle)])
            bow = np.array([0.0, self.rng.normal(0, 0.02)])
            self.membrane([at - step, at + bow, at + step], strength * self.rng.uniform(0.3, 1), 1)

    def bent(self) -> Brain:
        """A value with a little random variation, so that no two brains are the same."""
        grid = np.arange(_TEXELS, dtype=np.float32)
        shape = (_TEXELS, _TEXELS)
        bend = float(self.rng.uniform(1, 2)) * self.disorder
        x = grid[None] + bend * smooth_noise(self.rng, shape, (5, 5))
        y = grid[:, None] + bend * smooth_noise(self.rng, shape, (5, 5))
        level: Any = cv2.GaussianBlur(cv2.remap(self.level, x, y, cv2.INTER_LINEAR), (0, 0), 1.6)
        line: Any = cv2.GaussianBlur(cv2.remap(self.line, x, y, cv2.INTER_LINEAR), (0, 0), 1.1)
        level += float(self.rng.uniform(1, 3)) * smooth_noise(self.rng, shape, (14, 10))
        level += float(self.rng.uniform(1.5, 3.5)) * smooth_noise(self.rng, shape, (45, 26))
        line *= np.clip(0.6 + 0.5 * smooth_noise(self.rng, shape, (36, 36)), 0.05, 1.4)
        return Brain(np.asarray(level, np.float32), np.asarray(line, np.float32))


def _early(rng: np.random.Generator, draw: _Drawing) -> None:
    """First trimester: thin mantle, large ventricles, each filled by a bright choroid plexus."""
    fluid, bright = float(rng.uniform(-18, -4)), float(rng.uniform(3, 12))
    draw.organ((0, 0), (0.86, 0.84), 0, float(rng.uniform(-4, 3)))
    for side in (-1, 1):
        tilt = side * float(rng.uniform(-6, 14))
        x, y = float(rng.uniform(-0.12, 0.08)), side * float(rng.uniform(0.38, 0.46))
        half = (float(rng.uniform(0.45, 0.66)), float(rng.uniform(0.24, 0.36)))
        draw.organ((x, y), half, tilt, fluid)
        # The plexus as a string of lobes.
        for at in np.linspace(-0.6, float(rng.uniform(0.1, 0.6)), int(rng.integers(2, 5))):
            lobe = (x + at * half[0], y + float(rng.normal(0, 0.05)))
            size = half[1] * float(rng.uniform(0.35, 0.85))
            stretched = (size * float(rng.uniform(1.0, 1.8)), size)
            draw.organ(lobe, stretched, tilt + float(rng.normal(0, 25)), bright)
    for _ in range(int(rng.integers(0, 5))):
        at, turn = 0.7 * math.sqrt(rng.random()), rng.uniform(0, 2 * math.pi)
        size = float(rng.uniform(0.06, 0.2))
        level = float(rng.choice([fluid, bright]))
        spot = (at * math.cos(turn), at * math.sin(turn))
        draw.organ(
            spot, (size, size * float(rng.uniform(0.5, 1))), float(rng.uniform(0, 180)), level
        )
    _falx(rng, draw, gap=None, strength=float(rng.uniform(0.05, 0.25)))
    draw.strokes(int(rng.integers(3, 20)), 0.8, 0.10)


def _late(rng: np.random.Generator, draw: _Drawing, kind: Trimester) -> None:
    """Second and third trimester: midline with the cavum's gap, thalami, ventricle, plexus."""
    third = kind == "third"
    strength = float(np.exp(rng.uniform(math.log(0.08), math.log(0.5))))
    # Fluid around the brain: wide in the second trimester, filled with folds in the third.
    draw.organ((0, 0), (1.1, 1.1), 0, float(rng.uniform(-12, -3)))
    draw.organ((0, 0), (0.86, 0.8) if not third else (0.93, 0.9), 0, 0.0)
    at, half = float(rng.uniform(-0.12, 0.05)), float(rng.uniform(0.13, 0.19))
    for side in (-1, 1):
        draw.organ((at, side * half), (1.2 * half, half * 0.9), 0, float(rng.uniform(-7, -2)))
        _insula(rng, draw, side, strength * (0.9 if side > 0 else 0.35))
        _ventricle(rng, draw, side, strength, third)
    if not third and rng.random() < 0.15:
        _cerebellum(rng, draw, strength)
    gap = (float(rng.uniform(0.2, 0.32)), float(rng.uniform(0.42, 0.56)))
    _falx(rng, draw, gap=gap if rng.random() < 0.8 else None, strength=strength)
    draw.strokes(int(rng.integers(6, 26)), 0.8, 0.4 * strength)
    if third:
        draw.strokes(int(rng.integers(40, 200)), 0.45, 0.8 * strength)
        draw.strokes(int(rng.integers(20, 120)), 0.85, 0.4 * strength)
        draw.glow(0.6, float(rng.uniform(0, 8)))


def _ventricle(
    rng: np.random.Generator, draw: _Drawing, side: int, strength: float, third: bool
) -> None:
    """The atrium, dark between two walls, with the bright plexus in it; hazy on the near side."""
    near = 1.0 if side > 0 else 0.45
    centre = (float(rng.uniform(-0.55, -0.32)), side * float(rng.uniform(0.33, 0.45)))
    half = (float(rng.uniform(0.24, 0.36)), float(rng.uniform(0.1, 0.17)))
    turn = side * float(rng.uniform(-28, 2))
    draw.organ(centre, half, turn, near * float(rng.uniform(-18, -6)))
    draw.ring(centre, half, turn, 0.5 * near * strength)
    bright = float(rng.uniform(2, 8) if third else rng.uniform(9, 19))
    plexus = (centre[0] + float(rng.uniform(-0.04, 0.14)), centre[1] + float(rng.normal(0, 0.02)))
    draw.organ(
        plexus,
        (half[0] * float(rng.uniform(0.4, 0.7)), half[1] * float(rng.uniform(0.55, 0.95))),
        turn + float(rng.normal(0, 8)),
        near * bright,
    )
    horn = side * float(rng.uniform(0.12, 0.2))
    draw.organ((0.45, 1.4 * horn), (0.12, 0.05), side * 25, near * float(rng.uniform(-9, -3)))
    draw.membrane([(0.33, horn), (0.45, 1.2 * horn), (0.56, 1.7 * horn)], 0.7 * near * strength)


def _insula(rng: np.random.Generator, draw: _Drawing, side: int, strength: float) -> None:
    u = np.linspace(float(rng.uniform(-0.3, -0.1)), float(rng.uniform(0.2, 0.4)), 7)
    v = side * (float(rng.uniform(0.56, 0.68)) + 0.03 * np.sin(9 * u))
    draw.membrane(np.column_stack([u, v]), 0.6 * strength)


def _cerebellum(rng: np.random.Generator, draw: _Drawing, strength: float) -> None:
    for side in (-1, 1):
        centre = (float(rng.uniform(-0.68, -0.6)), side * 0.2)
        draw.organ(centre, (0.15, 0.2), 0, float(rng.uniform(-4, 3)))
        draw.ring(centre, (0.15, 0.2), 0, 0.5 * strength)


def _falx(
    rng: np.random.Generator,
    draw: _Drawing,
    *,
    gap: tuple[float, float] | None,
    strength: float,
) -> None:
    """The midline echo, broken here and there; where the cavum lies two short lines bound it."""
    u = np.linspace(-0.86, 0.9, 30)
    v = float(rng.normal(0, 0.015)) + 0.012 * np.sin(u * rng.uniform(2, 6) + rng.uniform(0, 6))
    shown = np.ones(len(u), bool)
    for _ in range(int(rng.integers(1, 5))):
        at, half = rng.uniform(-0.8, 0.8), rng.uniform(0.03, 0.14)
        shown &= np.abs(u - at) > half
    if gap is not None:
        shown &= (u < gap[0]) | (u > gap[1])
        wide = float(rng.uniform(0.045, 0.075))
        middle = (sum(gap) / 2, 0.0)
        draw.organ(middle, ((gap[1] - gap[0]) / 2, wide), 0, float(rng.uniform(-14, -6)))
        for side in (-1, 1):
            draw.membrane([(gap[0], side * wide), (gap[1], side * wide)], 1.6 * strength, 3)
    for i in range(len(u) - 1):
        if shown[i] and shown[i + 1]:
            draw.membrane([(u[i], v[i]), (u[i + 1], v[i + 1])], strength * rng.uniform(0.4, 1.2))


def _texel(at: tuple[float, float]) -> tuple[int, int]:
    return round((at[0] + _REACH) * _SCALE), round((at[1] + _REACH) * _SCALE)


def _length(half: tuple[float, float]) -> tuple[int, int]:
    return max(round(half[0] * _SCALE), 1), max(round(half[1] * _SCALE), 1)
