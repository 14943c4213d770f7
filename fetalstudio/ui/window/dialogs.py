"""The dialogs of the annotator's name and About."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.ui import icons, theme
from fetalstudio.ui.common.ask_dialog import AskDialog
from fetalstudio.version import __version__


class AuthorDialog(AskDialog):
    """Asks for the name that new annotations and reviews carry."""

    def __init__(self, author: str, parent: QWidget | None) -> None:
        super().__init__("Your name", "Use this name", parent)
        self.explain(
            "Your name or initials. Each annotation, review and reading is stored with it; exports "
            "of data sets do not hold it."
        )
        self.field = QLineEdit(author)
        self.field.selectAll()
        self.form.addRow("Name", self.field)
        self.field.textChanged.connect(
            lambda text: self.accept_button.setEnabled(bool(text.strip()))
        )


class AboutDialog(QDialog):
    """What the program is, and what it must not be used for."""

    def __init__(self, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setWindowTitle("About FetalStudio")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        row = QHBoxLayout()
        row.setSpacing(3 * theme.SPACE)
        mark = QLabel()
        mark.setPixmap(icons.application_pixmap(88, self.devicePixelRatioF()))
        row.addWidget(mark, 0, Qt.AlignmentFlag.AlignTop)
        text = QLabel(
            f"<p style='font-size:19px; font-weight:600; color:{theme.TEXT_BRIGHT}'>FetalStudio "
            f"<span style='font-size:13px; font-weight:400; color:{theme.TEXT_DIM}'>"
            f"{__version__}</span></p>"
            "<p>Annotate fetal head ultrasound, synthesise matching pairs, and fine-tune a "
            "segmenter on both. It works offline; nothing leaves this machine.</p>"
            f"<p style='color:{theme.WARNING}'><b>For research and annotation only. Not a medical "
            "device: never use it for diagnosis or treatment decisions.</b></p>"
            f"<p style='color:{theme.TEXT_DIM}'>Based on “Diffusion Model-based Data Augmentation "
            "Method for Fetal Head Ultrasound Segmentation”, arXiv 2506.23664. The sample frames "
            "are from the HC18 data set (van den Heuvel and others, 2018, CC BY 4.0).<br>"
            "FetalStudio is free software under the Apache License 2.0.</p>"
        )
        text.setWordWrap(True)
        text.setFixedWidth(420)
        row.addWidget(text, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(*[3 * theme.SPACE] * 4)
        layout.setSpacing(2 * theme.SPACE)
        layout.addLayout(row)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout.addWidget(buttons)
