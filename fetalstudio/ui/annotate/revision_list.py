"""All revisions of the ellipse of a frame, newest first."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QDateTime, QEvent, QLocale, QSize, Qt, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QWidget

from fetalstudio.core.biometry import measure
from fetalstudio.core.calibration import Calibration
from fetalstudio.project.store.records import Annotation, author_in_words
from fetalstudio.ui import theme
from fetalstudio.ui.common.dots import DOT, dot_icon


class RevisionList(QListWidget):
    """Pointing at a revision shows it on the frame; a double click restores it."""

    pointed = Signal(object)
    """The :class:`Annotation` under the pointer, or None."""
    chosen = Signal(object)
    """The :class:`Annotation` to restore."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._revisions: list[Annotation] = []
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self.setMouseTracking(True)
        self.setIconSize(QSize(DOT, DOT))
        self.setWordWrap(True)  # names of authors may be long
        self.setMinimumHeight(96)
        self.setAccessibleName("Revisions")
        self.setToolTip("Point at a revision to see it; double-click to restore it")
        self.itemEntered.connect(lambda item: self.pointed.emit(self._revision(item)))
        self.itemDoubleClicked.connect(lambda item: self.chosen.emit(self._revision(item)))

    def show_revisions(
        self, revisions: Sequence[Annotation], calibration: Calibration | None
    ) -> None:
        """Show a frame's revisions, given oldest first."""
        self._revisions = list(reversed(revisions))
        self.clear()
        for revision in self._revisions:
            item = QListWidgetItem(_dot(revision), describe(revision, calibration))
            self.addItem(item)

    def leaveEvent(self, event: QEvent) -> None:
        self.pointed.emit(None)
        super().leaveEvent(event)

    def _revision(self, item: QListWidgetItem) -> Annotation:
        return self._revisions[self.row(item)]


def describe(revision: Annotation, calibration: Calibration | None) -> str:
    """Two lines: ``Draft, HC 177.2 mm`` and ``anna, 02/03/2026 14:05``."""
    if revision.ellipse is None:
        first = "Removed"
    elif calibration is None:
        first = f"{revision.state.capitalize()}, {revision.ellipse.perimeter:.0f} px"
    else:
        head = measure(revision.ellipse, calibration)
        first = f"{revision.state.capitalize()}, HC {head.hc_mm:.1f} mm"
    moment = QDateTime.fromSecsSinceEpoch(round(revision.created_at.timestamp()))
    when = QLocale().toString(moment, QLocale.FormatType.ShortFormat)
    return f"{first}\n{author_in_words(revision.author)}, {when}"


def _dot(revision: Annotation) -> QIcon:
    """A dot in the colour of the revision's state."""
    return dot_icon(theme.STATE_COLOURS["none" if revision.ellipse is None else revision.state])
