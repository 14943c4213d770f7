"""The dialogs that the menus open: export, the annotator's name, About."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.engine.jobs.export.request import ExportRequest
from fetalstudio.formats.exports import EXPORTS
from fetalstudio.project.backups import Backup
from fetalstudio.ui import icons, theme
from fetalstudio.ui.common.ask_dialog import AskDialog
from fetalstudio.ui.common.cohort_box import ALL_COHORTS
from fetalstudio.ui.settings import Settings
from fetalstudio.version import __version__

_FORMAT_KEY = "export/format"


class ExportDialog(AskDialog):
    """Asks what to export, in which format, and where."""

    def __init__(
        self,
        project: Path,
        cohorts: list[str],
        settings: Settings,
        parent: QWidget | None,
        *,
        differing: Sequence[str] = (),
    ) -> None:
        """``settings`` remember the format; ``differing``: sentences on cohorts that are drawn
        differently."""
        super().__init__("Export a data set", "Export", parent)
        self._project = project
        self.explain(
            "Writes the frames and their ellipses into a new folder, in a format that other "
            "programs read. Synthetic frames are marked as such in their name, in their file and "
            "in provenance.json."
        )
        self.format = self.add_choice("Format")
        for key, format in EXPORTS.items():
            self.format.addItem(format.title, key)
        used = self.format.findData(settings.get(_FORMAT_KEY, ""))
        self.format.setCurrentIndex(max(0, used))
        self.accepted.connect(lambda: settings.set(_FORMAT_KEY, self.format.currentData()))
        self.format.currentIndexChanged.connect(self._suggest_folder)
        self.lost = theme.style(QLabel(), "dim")
        self.lost.setWordWrap(True)
        self.lost.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self.form.addRow("", self.lost)
        self.cohort = self.add_choice("Cohort")
        self.cohort.addItem(ALL_COHORTS, None)
        for name in cohorts:
            self.cohort.addItem(name, name)
        self.differing = theme.style(QLabel("\n".join(differing)), "warning")
        self.differing.setWordWrap(True)
        self.differing.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self.differing.setVisible(bool(differing))
        self.form.addRow("", self.differing)
        self.cohort.currentIndexChanged.connect(
            lambda row: self.differing.setVisible(bool(differing) and row == 0)
        )
        self.synthetic = QCheckBox("Include the accepted synthetic pairs")
        self.synthetic.setChecked(True)
        self.form.addRow("", self.synthetic)
        self.real_pixels = QCheckBox("Also those with pixels of a real frame")
        self.real_pixels.setToolTip(
            "Pairs around whose head the tissue of a real frame was kept show a patient's image"
        )
        self.synthetic.toggled.connect(self.real_pixels.setEnabled)
        self.form.addRow("", self.real_pixels)
        self.format.currentIndexChanged.connect(self._show_format)
        self._show_format()
        self._suggested = _free_folder(project / "exports" / self.format.currentData())
        self.folder = QLineEdit(str(self._suggested))
        self.folder.setToolTip("A new or empty folder")
        self.folder.textChanged.connect(
            lambda text: self.accept_button.setEnabled(bool(text.strip()))
        )
        choose = QPushButton("Choose")
        choose.clicked.connect(self._choose)
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE)
        row.addWidget(self.folder)
        row.addWidget(choose)
        self.form.addRow("Into", row)

    def request(self) -> ExportRequest:
        """The request for the job."""
        return ExportRequest(
            self._project,
            Path(self.folder.text()).expanduser(),
            self.format.currentData(),
            cohort=self.cohort.currentData(),
            synthetic=self.synthetic.isChecked(),
            real_pixels=self.real_pixels.isChecked(),
        )

    def _show_format(self) -> None:
        """What the format cannot carry, before it is too late."""
        format = EXPORTS[self.format.currentData()]
        self.lost.setText(format.lost)
        self.synthetic.setEnabled(format.pairs)
        self.real_pixels.setEnabled(format.pairs and self.synthetic.isChecked())

    def _suggest_folder(self) -> None:
        """Name the suggested folder after the format; one that a person typed stays."""
        if self.folder.text() == str(self._suggested):
            self._suggest_in(self._suggested.parent)

    def _choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Export into", self.folder.text())
        if folder:
            self._suggest_in(Path(folder))

    def _suggest_in(self, folder: Path) -> None:
        self._suggested = _free_folder(folder / self.format.currentData())
        self.folder.setText(str(self._suggested))


class BackupDialog(AskDialog):
    """Which backup of a project's database is put back."""

    def __init__(self, project: Path, backups: Sequence[Backup], parent: QWidget | None) -> None:
        super().__init__("Put back a backup", "Put back", parent)
        self.explain(
            f"The database of {project.name} becomes what it was when the backup was made. What "
            "it holds now is kept among the backups, so that this can be undone."
        )
        self._backups = tuple(backups)
        self.box = self.add_choice("Backup")
        self.box.addItems([backup.title for backup in backups])

    @property
    def backup(self) -> Backup:
        """The chosen backup."""
        return self._backups[self.box.currentIndex()]


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


def _free_folder(path: Path) -> Path:
    """``path``, or the first of ``path-2``, ``path-3`` ... that does not exist."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free
