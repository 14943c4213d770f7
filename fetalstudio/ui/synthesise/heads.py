"""Which heads a batch will show: a preview, drawn a few at a time so that the window stays live."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.heads import HeadConstraints, HeadDistribution
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.ui.settings import Settings

SHOWN = 300
"""The largest number of heads drawn for the plots."""
_TICK_S = 0.01
"""Heads are drawn for this long before the window handles its events."""

Drawn = tuple[LabelledFrame, Ellipse]


class HeadPreview(QObject):
    """The heads of the cohort, the constraints, and the first heads of the resulting batch."""

    changed = Signal()
    """The cohort, the constraints or the error changed."""
    drew = Signal()
    """:attr:`drawn` is complete."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.own: HeadDistribution | None = None
        """The distribution of the cohort; None without annotated frames."""
        self.constraints = HeadConstraints()
        self.distribution: HeadDistribution | None = None
        """The constrained distribution; None without annotated frames or if it is impossible."""
        self.error = ""
        """Why the batch cannot be made; else empty."""
        self.drawn: list[Drawn] = []
        self._count, self._seed = 0, 0
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._draw)

    @property
    def cohort(self) -> list[Drawn]:
        """The heads of the cohort."""
        return [] if self.own is None else [(head, head.ellipse) for head in self.own.heads]

    def show_cohort(self, sources: Sequence[LabelledFrame]) -> None:
        """Preview a batch of another cohort."""
        self.own = HeadDistribution(sources) if sources else None
        self._restart()

    def show_constraints(self, constraints: HeadConstraints) -> None:
        """Preview a batch under other constraints."""
        if constraints != self.constraints or self.error:
            self.constraints = constraints
            self._restart()

    def show_batch(self, count: int, seed: int) -> None:
        """Preview a batch of ``count`` pairs with this seed."""
        if (min(count, SHOWN), seed) != (self._count, self._seed):
            self._count, self._seed = min(count, SHOWN), seed
            self._restart()

    def refuse(self, error: InputError) -> None:
        """Show why the entered values are not valid constraints."""
        self._fail(error)

    def _restart(self) -> None:
        self.drawn, self.error, self.distribution = [], "", None
        if self.own is not None:
            try:
                self.distribution = HeadDistribution(self.own.heads, self.constraints)
            except InputError as error:
                self._fail(error)
                return
            self._timer.start()
        self.changed.emit()

    def _draw(self) -> None:
        if self.distribution is None or len(self.drawn) >= self._count:
            self._timer.stop()
            return
        try:
            until = time.monotonic() + _TICK_S
            while len(self.drawn) < self._count and time.monotonic() < until:
                lender, ellipse = self.distribution.draw(len(self.drawn), self._seed)
                self.drawn.append((self.distribution.heads[lender], ellipse))
        except InputError as error:
            self._fail(error)
            return
        if len(self.drawn) >= self._count:
            self._timer.stop()
            self.drew.emit()

    def _fail(self, error: InputError) -> None:
        self._timer.stop()
        self.drawn, self.distribution, self.error = [], None, str(error)
        self.changed.emit()


class RememberedConstraints:
    """The constraints last used for each project, in the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._key = settings, ""

    def of_project(self, project: Path) -> HeadConstraints:
        """Those of this project, which is from now on the one whose are kept."""
        # QSettings reads a slash as a group, and a path may contain any character.
        self._key = f"heads/{project.as_posix().encode().hex()}"
        try:
            kept = json.loads(self._settings.get(self._key, "{}"))
            ranges: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in kept.items()
            }
            return HeadConstraints(**ranges)
        except (ValueError, TypeError, InputError):
            return HeadConstraints()  # written by another version or by hand

    def keep(self, constraints: HeadConstraints) -> None:
        """Remember these for the project that was asked about last."""
        self._settings.set(self._key, json.dumps(asdict(constraints)))


def in_words(constraints: HeadConstraints) -> str:
    """The constraints in a few words; empty if there are none."""
    parts = []
    for text, wanted in (("HC {} mm", constraints.hc_mm), ("HC {} px", constraints.hc_px)):
        if wanted is not None:
            parts.append(text.format(f"{wanted[0]:.0f} to {wanted[1]:.0f}"))
    if constraints.ratio is not None:
        parts.append(f"ratio {constraints.ratio[0]:.2f} to {constraints.ratio[1]:.2f}")
    if constraints.angle is not None:
        parts.append(f"angle {constraints.angle[0]:.0f}° to {constraints.angle[1]:.0f}°")
    if constraints.spread != 1:
        parts.append(f"spread {constraints.spread:.1f}")
    if constraints.shift != (0.0, 0.0):
        parts.append("shifted")
    if constraints.balance == "trimester":
        parts.append("trimesters balanced")
    return ", ".join(parts)
