"""Exporting a data set: what is asked, and what is said afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QWidget,
)

from fetalstudio.core.words import counted
from fetalstudio.engine.cohort_conventions import apart, kept_conventions
from fetalstudio.engine.jobs.export.request import ExportRequest, ExportResult
from fetalstudio.formats.exports import EXPORTS
from fetalstudio.ui import theme
from fetalstudio.ui.common.ask_dialog import AskDialog
from fetalstudio.ui.common.cohort_box import ALL_COHORTS
from fetalstudio.ui.session import Session
from fetalstudio.ui.settings import Settings

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


class ExportFlow(QObject):
    """Asks what is needed, starts the job ``export`` and reports its result."""

    def __init__(self, session: Session, window: QWidget) -> None:
        super().__init__(window)
        self.session, self._window = session, window

    def ask(self) -> None:
        """Ask what to export, and start the job."""
        project = self.session.project
        if project is None:
            self.session.message.emit("Open a project first: there is nothing to export.", "info")
            return
        cohorts, differing = project.frames.cohorts(), apart(kept_conventions(project))
        settings = self.session.settings
        dialog = ExportDialog(project.path, cohorts, settings, self._window, differing=differing)
        dialog.accepted.connect(lambda: self._start(dialog))
        dialog.open()

    def _start(self, dialog: ExportDialog) -> None:
        handle = self.session.submit(dialog.request())
        handle.on_finished(self._written)
        handle.on_cancelled(
            lambda _result: self.session.message.emit(
                "The export was cancelled. Nothing was written.", "info"
            )
        )

    def _written(self, result: ExportResult) -> None:
        frames, pairs = counted(result.frames, "frame"), counted(result.pairs, "synthetic pair")
        text = f"Exported {frames} and {pairs} to {result.out}."
        if result.copies_left_out:
            text += f" Copies of training frames left out: {result.copies_left_out}."
        if result.real_pixels_left_out:
            text += f" Pairs with pixels of a real frame left out: {result.real_pixels_left_out}."
        if result.problems:
            text += " " + " ".join(result.problems[:3])
            if len(result.problems) > 3:
                text += f" And {len(result.problems) - 3} more."
        self.session.message.emit(text, "warning" if result.problems else "info")


def _free_folder(path: Path) -> Path:
    """``path``, or the first of ``path-2``, ``path-3`` ... that does not exist."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free
