"""The heads of a batch before it is made: drawn a few at a time while the window goes on."""

from __future__ import annotations

import time
from collections.abc import Sequence

from PySide6.QtCore import QObject, QTimer, Signal

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.heads import HeadConstraints, HeadDistribution
from fetalstudio.core.labelled import LabelledFrame

SHOWN = 300
"""So many heads of a batch are drawn for the plots."""
_TICK_S = 0.01
"""For so long heads are drawn before the window has its turn."""

Drawn = tuple[LabelledFrame, Ellipse]


class HeadPreview(QObject):
    """The cohort's heads, what is wished, and the first heads of the batch that this gives."""

    changed = Signal()
    """The cohort, the wish, or why there is nothing to show."""
    drew = Signal()
    """All of :attr:`drawn` is there."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.own: HeadDistribution | None = None
        """The cohort as it is; None without annotated frames."""
        self.wish = HeadConstraints()
        self.distribution: HeadDistribution | None = None
        """None where the cohort has no annotated frame or cannot meet the wish."""
        self.error = ""
        """Why the batch cannot be made, for the person."""
        self.drawn: list[Drawn] = []
        self._count, self._seed = 0, 0
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._draw)

    @property
    def cohort(self) -> list[Drawn]:
        """The cohort's own heads."""
        return [] if self.own is None else [(head, head.ellipse) for head in self.own.heads]

    def show_cohort(self, sources: Sequence[LabelledFrame]) -> None:
        """Of this cohort from now on."""
        self.own = HeadDistribution(sources) if sources else None
        self._restart()

    def show_wish(self, wish: HeadConstraints) -> None:
        """With this wish from now on."""
        if wish != self.wish or self.error:
            self.wish = wish
            self._restart()

    def show_batch(self, count: int, seed: int) -> None:
        """The batch of that many pairs with that seed."""
        if (min(count, SHOWN), seed) != (self._count, self._seed):
            self._count, self._seed = min(count, SHOWN), seed
            self._restart()

    def refuse(self, error: InputError) -> None:
        """What was entered is no wish at all."""
        self._fail(error)

    def _restart(self) -> None:
        self.drawn, self.error, self.distribution = [], "", None
        if self.own is not None:
            try:
                self.distribution = HeadDistribution(self.own.heads, self.wish)
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


def in_words(wish: HeadConstraints) -> str:
    """What is wished, in a few words."""
    parts = []
    for text, wanted in (("HC {} mm", wish.hc_mm), ("HC {} px", wish.hc_px)):
        if wanted is not None:
            parts.append(text.format(f"{wanted[0]:.0f} to {wanted[1]:.0f}"))
    if wish.ratio is not None:
        parts.append(f"ratio {wish.ratio[0]:.2f} to {wish.ratio[1]:.2f}")
    if wish.angle is not None:
        parts.append(f"angle {wish.angle[0]:.0f}° to {wish.angle[1]:.0f}°")
    if wish.spread != 1:
        parts.append(f"spread {wish.spread:.1f}")
    if wish.shift != (0.0, 0.0):
        parts.append("shifted")
    if wish.balance == "trimester":
        parts.append("trimesters balanced")
    return ", ".join(parts)
