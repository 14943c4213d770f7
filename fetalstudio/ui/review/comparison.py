"""The frames related to a pair: the most similar training frame and the source frame."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QSizePolicy, QWidget

from fetalstudio.core.errors import UserError
from fetalstudio.core.screening import is_copy
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Frame, Pair
from fetalstudio.ui import theme
from fetalstudio.ui.common.elided_label import ElidedLabel
from fetalstudio.ui.common.form import note
from fetalstudio.ui.review.thumbnails import FrameThumbnail, ReadPixels

_WIDEST = 300


class Comparison(QWidget):
    """Two small frames in a row below the pair."""

    def __init__(self, pixels: ReadPixels, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pixels = pixels
        self.nearest, self.nearest_label = FrameThumbnail(), note()
        self.source = FrameThumbnail("No real frame was the source")
        self.source_label = note()
        row = QHBoxLayout(self)
        row.setContentsMargins(2 * theme.SPACE, theme.SPACE, 2 * theme.SPACE, theme.SPACE)
        # A grid, so that both columns are level, however many lines their labels take.
        columns = QGridLayout()
        columns.setHorizontalSpacing(2 * theme.SPACE)
        columns.setVerticalSpacing(theme.SPACE // 2)
        nearest = "Nearest training frame", "Training frame"
        _add_column(columns, 0, nearest, self.nearest, self.nearest_label)
        _add_column(columns, 1, ("Real frame",), self.source, self.source_label)
        row.addLayout(columns, 1)
        row.addStretch(0)

    def show_pair(self, project: Project | None, pair: Pair | None) -> None:
        """Show the frames related to the pair; nothing without one."""
        if project is None or pair is None:
            for thumbnail, label in (
                (self.nearest, self.nearest_label),
                (self.source, self.source_label),
            ):
                thumbnail.show_frame(None)
                label.setText("")
            return
        self._show_nearest(project, pair)
        self._show_source(project, pair)

    def _show_nearest(self, project: Project, pair: Pair) -> None:
        start, similarity = pair.provenance.get("nearest_frame"), pair.quality.get("similarity")
        threshold = pair.copy_threshold
        if not start or similarity is None or threshold is None:
            self.nearest.show_frame(None, otherwise="Not known")
            self.nearest_label.setText(
                "The training frames of the synthesizer are not known. Compare by eye."
            )
            return
        frame = project.frames.find_real(str(start))
        if frame is None:
            model = pair.provenance.get("synthesizer", "the synthesizer")
            text = f"Not shown: {model} learnt from a frame that this project does not have."
            self.nearest.show_frame(None, otherwise=text)
        else:
            self._show(self.nearest, project, frame)
        name = frame.name if frame is not None else f"Frame {str(start)[:8]}"
        if is_copy(pair.quality, threshold):
            text = f"{name}: similarity {similarity:.3f}, above {threshold:.3f}: a copy"
        else:
            text = f"{name}: similarity {similarity:.3f}; a copy is above {threshold:.3f}"
        self.nearest_label.setText(text)

    def _show_source(self, project: Project, pair: Pair) -> None:
        source = pair.provenance.get("source_frame")
        try:
            frame = project.frames.get(str(source)) if source else None
        except UserError:
            frame = None  # The source is not a frame of this project.
        if frame is None:
            self.source.show_frame(None)
            self.source_label.setText("")
            return
        self._show(self.source, project, frame)
        self.source_label.setText(
            f"{frame.name}, cohort {frame.cohort}: source of sector and grain"
        )

    def _show(self, thumbnail: FrameThumbnail, project: Project, frame: Frame) -> None:
        annotation = project.annotations.newest(frame.id)
        ellipse = annotation.ellipse if annotation is not None else None
        thumbnail.show_frame(self._pixels(frame.id), ellipse)


def _add_column(
    grid: QGridLayout,
    column: int,
    titles: tuple[str, ...],
    thumbnail: FrameThumbnail,
    label: QLabel,
) -> None:
    thumbnail.setMaximumWidth(_WIDEST)
    # The text does not affect the width, so that both frames have the same size.
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    label.setMinimumHeight(2 * label.fontMetrics().height() + 4)
    label.setAlignment(Qt.AlignmentFlag.AlignTop)
    heading = ElidedLabel("heading")
    heading.setText(*titles)
    for row, widget in enumerate((heading, thumbnail, label)):
        grid.addWidget(widget, row, column)
    grid.setRowStretch(1, 1)
    grid.setColumnStretch(column, 1)
