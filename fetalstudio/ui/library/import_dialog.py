"""The dialog that asks which cohort imported frames belong to."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

from fetalstudio.ui.common.ask_dialog import AskDialog


class ImportDialog(AskDialog):
    """Asks for the cohort of the frames in ``source``, or of ``files`` of its files."""

    def __init__(
        self, source: Path, files: int, cohorts: list[str], parent: QWidget | None
    ) -> None:
        super().__init__("Import frames", "Import", parent)
        self.explain(
            "Frames are copied into the project; the files are not changed. Annotations next to "
            "them (masks, rings, COCO, YOLO and others) are imported as final ellipses."
        )
        which = f"{files} of the files in {source}" if files else str(source)
        self.form.addRow("From", _plain_label(which))
        self.field = self.add_choice("Cohort")
        self.field.setEditable(True)
        name = source.name or "frames"
        self.field.addItems([name, *(c for c in cohorts if c != name)])
        self.field.setToolTip(
            "The frames of one scanner or one hospital; models are evaluated by cohort"
        )
        edit = self.field.lineEdit()
        if edit is not None:
            edit.selectAll()
        self.field.setFocus()
        self.field.currentTextChanged.connect(
            lambda text: self.accept_button.setEnabled(bool(text.strip()))
        )

    @property
    def cohort(self) -> str:
        """The name entered or chosen."""
        return self.field.currentText().strip()


def _plain_label(text: str) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    return label
