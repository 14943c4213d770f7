"""Which measurement of an adaptation is the best, when to stop, and how long it will take."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields

from fetalstudio.core.convention import NO_OFFSET, Offset
from fetalstudio.core.words import counted

TOLERANCE = 0.01
"""The fidelity may fall by this much. With half a dozen images, a smaller change is noise."""
MARGIN = 0.01
"""The distances must fall by this share of those at the start, because rounding changes them."""


@dataclass(frozen=True, slots=True)
class HeldOutFigures:
    """Figures of one synthesizer. All synthesizers have the same ellipses, sectors and seeds."""

    fidelity: float
    """Mean Dice between the requested ellipses and those that the segmenter finds."""
    grey: float
    """Distance of the grey levels to the real held-out frames, in grey levels."""
    spectrum: float
    """Distance of the power spectra to the real held-out frames, in dB."""
    similarity: float
    """Mean similarity of an image to its nearest training frame, -1 to 1."""
    copies: int
    """Number of images whose similarity to a training frame is above the model's threshold."""
    offset: Offset = NO_OFFSET
    """From the skull that the judge finds to the ellipse that was asked for."""

    def plain(self) -> dict[str, float]:
        """The figures by name, without the offset."""
        values = asdict(self)
        del values["offset"]
        return values


@dataclass(frozen=True, slots=True)
class Measurement:
    """The figures after ``step`` steps, and whether they were the best so far."""

    step: int
    figures: HeldOutFigures
    best: bool

    def row(self) -> dict[str, float]:
        """The values as an entry of a run's history."""
        offset = {f"drawn_{k}": value for k, value in asdict(self.figures.offset).items()}
        return {"step": self.step, **self.figures.plain(), **offset, "best": float(self.best)}

    @classmethod
    def of_row(cls, row: Mapping[str, float]) -> Measurement:
        """The measurement of a :meth:`row`."""
        offset = Offset(*(row.get(f"drawn_{field.name}", 0.0) for field in fields(Offset)))
        figures = HeldOutFigures(
            row["fidelity"],
            row["grey"],
            row["spectrum"],
            row["similarity"],
            int(row["copies"]),
            offset,
        )
        return cls(int(row["step"]), figures, bool(row["best"]))


class Choice:
    """The measurements so far. The first one is that of the parent."""

    def __init__(self, measured: list[Measurement]) -> None:
        self.measured = measured

    @property
    def best(self) -> Measurement:
        """The last measurement that was better than all before it; if there is none, the first."""
        return next((m for m in reversed(self.measured) if m.best), self.measured[0])

    def better(self, figures: HeldOutFigures, fidelity_of_real: float) -> bool:
        """Whether a measurement is better than the best so far.

        The style must be nearer to that of the real frames, heads must be found as well as before,
        and there must be no more copies than at the start. Heads need not be found better than in
        the real held-out frames: a segmenter that has trouble with a scanner also has trouble with
        images like those of that scanner.
        """
        start = self.measured[0].figures
        lowest = min(start.fidelity, fidelity_of_real) - TOLERANCE
        faithful = figures.fidelity >= lowest and figures.copies <= start.copies
        return faithful and self._style(figures) < self._style(self.best.figures) - MARGIN

    def patient(self, patience: int) -> bool:
        """Whether fewer than ``patience`` measurements followed the best one."""
        return len(self.measured) - 1 - self.measured.index(self.best) < patience

    def _style(self, figures: HeldOutFigures) -> float:
        """The mean of both distances, each divided by its value at the start."""
        start = self.measured[0].figures
        grey = figures.grey / max(start.grey, 1e-6)
        return (grey + figures.spectrum / max(start.spectrum, 1e-6)) / 2

    def verdict(self, parent: str) -> str:
        """The verdict for a person, in one or two sentences."""
        before, after = self.measured[0].figures, self.best.figures
        if not self.best.step:
            return (
                "No measurement came nearer to your held-out frames while the heads were found as "
                f"well as before and nothing was copied. Keep {parent}."
            )
        copies = f"{counted(after.copies, 'image')}" if after.copies else "No image"
        return (
            f"Nearer to your held-out frames after {self.best.step} steps: grey levels "
            f"{before.grey:.1f} → {after.grey:.1f} away, spectrum {before.spectrum:.1f} → "
            f"{after.spectrum:.1f} dB. Dice between the drawn heads and those that the segmenter "
            f"finds: {before.fidelity:.3f} → {after.fidelity:.3f}. {copies} copied a training "
            "frame."
        )


def pace_of(history: Sequence[Mapping[str, float]]) -> float | None:
    """Seconds per step, measurements included, from a run's history; None if unknown."""
    rows = [row for row in history if "seconds" in row]
    if len(rows) < 2:
        return None
    seconds = rows[-1]["seconds"] - rows[0]["seconds"]
    steps = rows[-1]["step"] - rows[0]["step"]
    return seconds / steps if seconds > 0 and steps > 0 else None


class AdaptingCountdown:
    """Seconds left of an adaptation, from the pace of its steps and of its measurements."""

    def __init__(self, steps: int, measure_every: int, pace_before: float | None = None) -> None:
        """``pace_before`` (seconds per step) is the pace of a resumed run before it stopped."""
        self.total, self.measure_every, self.pace_before = steps, measure_every, pace_before
        self.steps, self.stepping = 0, 0.0
        self.measurements, self.spent_measuring = 0, 0.0
        self.last = time.monotonic()

    def stepped(self) -> None:
        """Call after each step of the training."""
        now = time.monotonic()
        # The first step after a halt also loads and saves. It counts, as it will after later halts.
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
