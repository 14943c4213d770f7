"""Which measurement of an adaptation is the best, when to stop, and how long it will take."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

TOLERANCE = 0.01
"""The fidelity may fall by this much: with half a dozen pictures, less cannot be told apart."""
MARGIN = 0.01
"""The distances must fall by this share of those at the start: rounding moves them a little."""


@dataclass(frozen=True, slots=True)
class HeldOutFigures:
    """What was measured of one synthesizer, with the same ellipses, sectors and seeds each time."""

    fidelity: float
    """Mean Dice between the ellipses asked for and what the segmenter finds."""
    grey: float
    """Distance of the grey levels to the real held-out frames, in grey levels."""
    spectrum: float
    """Distance of the power spectra to theirs, in dB."""
    similarity: float
    """Mean similarity of a picture to its nearest training frame, -1 to 1."""
    copies: int
    """Pictures more like a training frame than the model's threshold for copies allows."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures after ``step`` steps; ``best``: better than all before."""

    step: int
    figures: HeldOutFigures
    best: bool

    def row(self) -> dict[str, float]:
        """As an entry of a run's history."""
        return {"step": self.step, **asdict(self.figures), "best": float(self.best)}

    @classmethod
    def of_row(cls, row: Mapping[str, float]) -> Measured:
        """From :meth:`row`."""
        figures = HeldOutFigures(
            row["fidelity"], row["grey"], row["spectrum"], row["similarity"], int(row["copies"])
        )
        return cls(int(row["step"]), figures, bool(row["best"]))


class Choice:
    """The measurements so far, the first of them that of the start."""

    def __init__(self, measured: list[Measured]) -> None:
        self.measured = measured

    @property
    def best(self) -> Measured:
        """The last that was better than all before it; the start where none was."""
        return next((m for m in reversed(self.measured) if m.best), self.measured[0])

    def better(self, figures: HeldOutFigures, fidelity_of_real: float) -> bool:
        """Nearer in style than the best so far, heads as well found as before, nothing copied.

        Heads need not be found better than in the real held-out frames: where the segmenter has
        trouble with a scanner, it will have with pictures like that scanner's.
        """
        start = self.measured[0].figures
        lowest = min(start.fidelity, fidelity_of_real) - TOLERANCE
        faithful = figures.fidelity >= lowest and figures.copies <= start.copies
        return faithful and self._style(figures) < self._style(self.best.figures) - MARGIN

    def patient(self, patience: int) -> bool:
        """Whether fewer than ``patience`` measurements came after the best."""
        return len(self.measured) - 1 - self.measured.index(self.best) < patience

    def _style(self, figures: HeldOutFigures) -> float:
        """The mean of both distances, each as a share of that at the start."""
        start = self.measured[0].figures
        grey = figures.grey / max(start.grey, 1e-6)
        return (grey + figures.spectrum / max(start.spectrum, 1e-6)) / 2

    def verdict(self, parent: str) -> str:
        """One sentence for a person, or two."""
        before, after = self.measured[0].figures, self.best.figures
        if not self.best.step:
            return (
                "No measurement was nearer to your held-out frames with the heads as well found "
                f"and nothing copied: keep {parent}."
            )
        copies = f"{after.copies} resemble" if after.copies else "none resembles"
        return (
            f"Nearer to your held-out frames after {self.best.step} steps: grey levels "
            f"{before.grey:.1f} → {after.grey:.1f} away, spectrum {before.spectrum:.1f} → "
            f"{after.spectrum:.1f} dB. Heads are found where they are drawn with a Dice of "
            f"{before.fidelity:.3f} → {after.fidelity:.3f}; of the pictures {copies} a training "
            "frame too much."
        )


def pace_of(history: Sequence[Mapping[str, float]]) -> float | None:
    """Seconds for each step, the measurements included, from a run's history; None if unknown."""
    rows = [row for row in history if "seconds" in row]
    if len(rows) < 2:
        return None
    seconds = rows[-1]["seconds"] - rows[0]["seconds"]
    steps = rows[-1]["step"] - rows[0]["step"]
    return seconds / steps if seconds > 0 and steps > 0 else None


class AdaptingCountdown:
    """Seconds left of an adaptation, from the pace of its steps and of its measurements."""

    def __init__(self, steps: int, measure_every: int, pace_before: float | None = None) -> None:
        """``pace_before`` (seconds for each step) is that of a resumed run before it stopped."""
        self.total, self.measure_every, self.pace_before = steps, measure_every, pace_before
        self.steps, self.stepping = 0, 0.0
        self.measurements, self.spent_measuring = 0, 0.0
        self.last = time.monotonic()

    def stepped(self) -> None:
        """Call after each step of the training."""
        now = time.monotonic()
        # The first step after a halt also loads and saves: it counts, as the others will.
        self.steps, self.stepping, self.last = self.steps + 1, self.stepping + now - self.last, now

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Wrap each measurement in this context."""
        started = time.monotonic()
        yield
        self.last = time.monotonic()
        self.measurements += 1
        self.spent_measuring += self.last - started

    def left(self, step: int) -> float | None:
        """Seconds left after ``step`` steps; None while nothing is known about the pace."""
        remaining = self.total - step
        if not self.steps:
            return None if self.pace_before is None else remaining * self.pace_before
        halts = math.ceil(remaining / self.measure_every)
        per_halt = self.spent_measuring / max(self.measurements, 1)
        return remaining * self.stepping / self.steps + halts * per_halt
