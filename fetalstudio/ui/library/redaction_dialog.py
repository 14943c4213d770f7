"""The dialog in which a person confirms what is kept of the screens of a scanner layout."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton, QWidget

from fetalstudio.core.words import counted
from fetalstudio.formats.privacy.redaction import Keep, Layout
from fetalstudio.formats.privacy.screen_samples import ScreenSample
from fetalstudio.ui import theme
from fetalstudio.ui.common.ask_dialog import AskDialog
from fetalstudio.ui.common.place_shortcuts import PlaceShortcuts
from fetalstudio.ui.common.screen import room_for
from fetalstudio.ui.library.redaction_view import RedactionView

_KEEPS: dict[Keep, str] = {
    "sector": "The sector alone",
    "rectangle": "All in the rectangle, such as a ruler",
    "all": "Everything but the boxes",
}


class RedactionDialog(AskDialog):
    """Shows a frame of a layout with what is proposed to be blacked out.

    ``number`` of ``total`` layouts are asked about. Nothing of it is stored; :attr:`confirmed` is
    what the person chose.
    """

    def __init__(
        self, sample: ScreenSample, number: int, total: int, parent: QWidget | None
    ) -> None:
        super().__init__("What may be stored of these frames?", "Confirm", parent)
        height, width = sample.pixels.shape
        which = f"{sample.path.name}  ·  {width} x {height} px"
        if sample.frames:
            which += f"  ·  {counted(sample.frames, 'frame')} with this layout"
        if total > 1:
            which += f"  ·  layout {number} of {total}"
        self.explain(which)
        self.explain(
            "What is red is blacked out before a frame is stored. Check that no name, number or "
            "date is left. Drag on the picture to black out a box in every frame of this layout; "
            "text with a dotted line was found in this one. Your choice is remembered."
        )
        self.view = RedactionView(sample.pixels, sample.proposal, sample.text, self)
        self._layout.insertWidget(self._layout.count() - 2, self.view, 1)
        self.keep = self.add_choice("Keep")
        for value, label in _KEEPS.items():
            self.keep.addItem(label, value)
        self.keep.setToolTip(
            "The rectangle limits what is kept. Widen it to keep a ruler or a grey bar"
        )
        self.keep.setCurrentIndex(self.keep.findData(sample.proposal.keep))
        self.keep.currentIndexChanged.connect(lambda _: self.view.set_keep(self.keep.currentData()))
        self.find_text = QCheckBox("Find text in each frame and black it out")
        self.find_text.setChecked(sample.proposal.find_text)
        self.find_text.setToolTip(
            "Text can stand elsewhere in another frame. Without the tick, figures beside calipers "
            "are kept, and so is any text that is in no box"
        )
        self.find_text.toggled.connect(self.view.set_find_text)
        self._undo = theme.style(QPushButton("Undo"), "quiet")
        self._undo.setToolTip(theme.tip("Take the last change back", "Ctrl+Z"))
        self._remove = theme.style(QPushButton("Remove the box"), "quiet")
        self._remove.setToolTip(theme.tip("Keep what is in the box", "Delete"))
        for button in (self._undo, self._remove):
            button.setAutoDefault(False)
        self._undo.clicked.connect(self.view.undo)
        self._remove.clicked.connect(self.view.remove_chosen)
        QShortcut(QKeySequence(QKeySequence.StandardKey.Undo), self, self.view.undo)
        PlaceShortcuts(self)
        line = QHBoxLayout()
        line.addWidget(self.find_text, 1)
        line.addWidget(self._remove)
        line.addWidget(self._undo)
        self.form.addRow(QLabel(), line)
        self.resize(QSize(960, 860).boundedTo(room_for(self)))
        self.view.changed.connect(self._follow)
        self._follow()
        self.view.setFocus()

    @property
    def confirmed(self) -> Layout:
        """How frames of this layout are redacted."""
        return self.view.layout_shown

    def _follow(self) -> None:
        """Let the fields show what the view does, also after an undo."""
        layout = self.view.layout_shown
        for field in (self.keep, self.find_text):
            field.blockSignals(True)
        self.keep.setCurrentIndex(self.keep.findData(layout.keep))
        self.find_text.setChecked(layout.find_text)
        for field in (self.keep, self.find_text):
            field.blockSignals(False)
        self._undo.setEnabled(self.view.can_undo)
        self._remove.setEnabled(self.view.chosen is not None)
