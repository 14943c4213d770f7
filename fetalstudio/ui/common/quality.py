"""The quality figures of a pair, with their thresholds and an explanation of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from fetalstudio.core.screening import Check, PairFilter, Verdict
from fetalstudio.core.words import percent
from fetalstudio.ui import theme

Level = Literal["good", "unusual", "poor", "unknown"]

COLOURS: Mapping[Level, str] = {
    "good": theme.GOOD,
    "unusual": theme.WARNING,
    "poor": theme.ERROR,
    "unknown": theme.TEXT_DIM,
}
SIGNS: Mapping[Level, str] = {"good": "✓", "unusual": "!", "poor": "✗", "unknown": "-"}
"""Signs that are shown with the colours, for people who cannot distinguish the colours."""

_WORDS = {
    "dice": "How well a segmenter trained on real frames only finds the head inside the ellipse",
    "hc_difference": "Head circumference found by the segmenter, compared with that of the ellipse",
    "edge": "Share of the ellipse with a skull edge under it; needs no model",
    "similarity": "Similarity to the nearest training frame of the synthesizer. Above the "
    "threshold it exceeds that of any two patients, and the image counts as a copy",
    "outline_score": "Confidence of the ellipse found in the outline that the synthesizer drew",
    "hd95_px": "95th percentile of the distance between the two outlines",
    "speckle_difference": "Smoothness of the speckle inside the head, compared with the cohort's",
    "spectrum_db": "Distance of the sharpness, by spatial frequency, from the cohort's",
    "grey_difference": "Distance of the grey levels inside the head from the cohort's",
}
_COHORT = (
    ("speckle_difference", "Speckle", partial(percent, signed=True), percent),
    ("spectrum_db", "Spectrum", "{:.1f} dB".format, "{:.1f}".format),
    ("grey_difference", "Grey levels", "{:.0f}".format, "{:.0f}".format),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One figure: its name, value and limit as text, an explanation, and how good it is."""

    name: str
    value: str
    limit: str
    words: str
    note: str
    """Shown below the figure if something is wrong; else empty."""
    level: Level


def verdict_level(verdict: Verdict) -> Level:
    """The colour of a pair in lists."""
    return "good" if verdict.passed else "poor"


def readings(
    quality: Mapping[str, float], provenance: Mapping[str, Any], verdict: Verdict
) -> tuple[Reading, ...]:
    """The figures in ``quality`` (see ``Pair.quality``), those of the filter first."""
    if not quality:
        return ()
    found = [_screened(check) for check in verdict.checks]
    if (gap := quality.get("hd95_px")) is not None:
        found.append(Reading("HD95", f"{gap:.1f} px", "", _WORDS["hd95_px"], "", "unknown"))
    limits = provenance.get("cohort_limits") or {}
    for key, name, form, limit_form in _COHORT:
        if (value := quality.get(key)) is not None:
            found.append(_of_cohort(key, name, form(value), value, limits, limit_form))
    return tuple(found)


def _screened(check: Check) -> Reading:
    level: Level = "unknown"
    if check.passed is not None:
        level = "good" if check.passed else "poor"
    elif check.slack < 0:
        level = "poor"
    limit = check.limit.replace("at least", "≥").replace("at most", "≤")
    return Reading(check.name, check.value, limit, _WORDS[check.figure], check.reason, level)


def _of_cohort(
    key: str,
    name: str,
    text: str,
    value: float,
    limits: Mapping[str, Any],
    limit_form: Callable[[float], str],
) -> Reading:
    limit = limits.get(key)
    words = f"{_WORDS[key]} real frames; 95 % of those are within the limit"
    if limit is None:
        return Reading(name, text, "", words, "", "unknown")
    # As for the filter, what reads as the limit is within it.
    usual = abs(value) <= limit or limit_form(abs(value)) == limit_form(limit)
    note = "" if usual else "unusual for the cohort"
    sign = "±" if key == "speckle_difference" else "≤"
    shown = f"{sign} {limit_form(limit)}"
    return Reading(name, text, shown, words, note, "good" if usual else "unusual")


class QualityPanel(QWidget):
    """The figures as rows: a coloured sign, the name, the value and the limit.

    A note below a figure says what is wrong. ``compact`` shows only the figures of the filter.
    """

    def __init__(
        self, placeholder: str = "", *, compact: bool = False, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._placeholder, self._compact = placeholder, compact
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(theme.SPACE)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(1, 1)
        self.show_quality({})

    def show_quality(
        self,
        quality: Mapping[str, float],
        provenance: Mapping[str, Any] | None = None,
        verdict: Verdict | None = None,
    ) -> None:
        """Show these figures, or the placeholder if there are none.

        ``verdict`` defaults to that of the default filter.
        """
        while (item := self._grid.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.hide()  # It is deleted later and would show behind the new ones until then.
                old.deleteLater()
        provenance = provenance or {}
        verdict = verdict or PairFilter().verdict(quality, provenance.get("copy_threshold"))
        rows = readings(quality, provenance, verdict)
        if not rows:
            self._grid.addWidget(_muted(self._placeholder), 0, 0, 1, 4)
        for reading in rows[: len(verdict.checks)] if self._compact else rows:
            self._add(reading)

    def _add(self, reading: Reading) -> None:
        row = self._grid.rowCount()
        sign, name = QLabel(f"<b>{SIGNS[reading.level]}</b>"), QLabel(reading.name)
        value, limit = QLabel(f"<b>{reading.value}</b>"), _muted(reading.limit)
        sign.setStyleSheet(f"color: {COLOURS[reading.level]}")
        sign.setAlignment(Qt.AlignmentFlag.AlignCenter)
        if reading.level in ("poor", "unusual"):
            value.setStyleSheet(f"color: {COLOURS[reading.level]}")
        limit.setWordWrap(False)
        for column, label in enumerate((sign, name, value, limit)):
            label.setToolTip(reading.words)
            self._grid.addWidget(label, row, column)
        value.setAlignment(Qt.AlignmentFlag.AlignRight)
        if reading.note:
            self._grid.addWidget(_muted(reading.note), row + 1, 1, 1, 3)

    def text(self) -> str:
        """Everything shown, one line per label (for tests and screen readers)."""
        items = (self._grid.itemAt(i) for i in range(self._grid.count()))
        labels = (item.widget() for item in items if item is not None)
        return "\n".join(label.text() for label in labels if isinstance(label, QLabel))


def _muted(text: str) -> QLabel:
    label = QLabel(text)
    label.setWordWrap(True)
    label.setProperty("role", "dim")
    return label
