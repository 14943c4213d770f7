"""The worst frames of an evaluation with both ellipses."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QListView, QListWidget, QListWidgetItem, QWidget

from fetalstudio.core.errors import UserError
from fetalstudio.engine.jobs.evaluate.request import FrameScore
from fetalstudio.engine.pictures import FOUND, REFERENCE, overlay
from fetalstudio.ui.common.pixmaps import shrunk, to_pixmap
from fetalstudio.ui.common.plots import chip
from fetalstudio.ui.session import Session

SIZE = QSize(216, 146)
LEGEND = " ".join(
    chip("#{:02x}{:02x}{:02x}".format(*colour), whose)
    for colour, whose in ((REFERENCE, "annotation"), (FOUND, "segmenter"))
)
"""Whose ellipse has which colour, as rich text."""
_FRAME_ID = Qt.ItemDataRole.UserRole


class Gallery(QListWidget):
    """Images are made one by one, so that the window stays responsive."""

    chosen = Signal(str)
    """The id of the frame to open."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._waiting: list[tuple[QListWidgetItem, FrameScore]] = []
        self._painter = QTimer(self)
        self._painter.setInterval(0)
        self._painter.timeout.connect(self._paint_one)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setMovement(QListView.Movement.Static)
        self.setIconSize(SIZE)
        self.setGridSize(SIZE + QSize(16, 56))
        self.setMinimumHeight(self.gridSize().height() + 2)  # one row
        self.setWordWrap(True)
        self.setToolTip("Double-click to open the frame")
        self.setAccessibleName("Worst frames")
        self.itemActivated.connect(lambda item: self.chosen.emit(str(item.data(_FRAME_ID))))

    def show_scores(self, scores: Sequence[FrameScore]) -> None:
        """List these frames in this order; their images follow."""
        self.clear()
        self._waiting = []
        for score in scores:
            hc = "" if score.hc_error_mm is None else f", HC {score.hc_error_mm:+.1f} mm"
            item = QListWidgetItem(f"{score.name}\nDice {score.dice:.3f}{hc}")
            item.setData(_FRAME_ID, score.frame_id)
            item.setTextAlignment(Qt.AlignmentFlag.AlignHCenter)
            self.addItem(item)
            self._waiting.append((item, score))
        self._painter.start()

    def _paint_one(self) -> None:
        project = self._session.project
        if not self._waiting or project is None:
            self._painter.stop()
            self.doItemsLayout()  # items were laid out by what they were without a picture
            return
        item, score = self._waiting.pop(0)
        try:
            rgb = overlay(project.frames.pixels(score.frame_id), score.found, score.reference)
        except UserError as error:
            item.setToolTip(str(error))
            return
        item.setIcon(QIcon(to_pixmap(shrunk(rgb, SIZE.width(), SIZE.height()))))
