"""Making the open project shareable: what changes, what a person decides about, and where to."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QCheckBox, QFileDialog, QLineEdit, QRadioButton, QWidget

from fetalstudio.core.errors import UserError
from fetalstudio.engine.jobs.shareable.request import ShareableRequest, ShareableResult
from fetalstudio.project.exporting.sharing import Sharing, plan_sharing
from fetalstudio.ui.common.ask_dialog import AskDialog
from fetalstudio.ui.session import Session


class ShareableDialog(AskDialog):
    """Lists the changes, and asks about cohorts, names, labels and the target."""

    def __init__(self, sharing: Sharing, parent: QWidget | None) -> None:
        super().__init__("Make this project shareable", "Write the copy", parent)
        self.explain(
            "Takes out of the project what may say who its patients are. The ellipses, pairs, "
            "models and reviews stay."
        )
        for sentence in sharing.sentences():
            self.explain(f"\N{BULLET} {sentence}")
        self._cohorts = {}
        for old, new in sharing.cohorts.items():
            self._cohorts[old] = QLineEdit(new)
            self.form.addRow(f"Cohort {old} becomes", self._cohorts[old])
            self._cohorts[old].textChanged.connect(self._update)
        self._names = QCheckBox("Keep the names of the frames")
        if sharing.names:
            self.form.addRow("", self._names)
        self._labels = {name: QCheckBox(f"Keep the label {name}") for name in sharing.labels}
        for box in self._labels.values():
            self.form.addRow("", box)
        self.copy = QRadioButton("Write it into a new folder; this project stays as it is")
        self.in_place = QRadioButton(
            "Change this project. What is left out is deleted; this cannot be undone"
        )
        self.copy.setChecked(True)
        self.copy.toggled.connect(self._update)
        self.form.addRow("Into", self.copy)
        self.form.addRow("", self.in_place)

    def request(self, project: Path, copy: Path | None) -> ShareableRequest:
        """The request for the job."""
        return ShareableRequest(
            project,
            copy,
            {old: field.text().strip() for old, field in self._cohorts.items()},
            self._names.isChecked(),
            tuple(name for name, box in self._labels.items() if box.isChecked()),
        )

    def _update(self) -> None:
        copy = self.copy.isChecked()
        self.accept_button.setText("Write the copy" if copy else "Change this project")
        self.accept_button.setEnabled(all(f.text().strip() for f in self._cohorts.values()))


class SharingFlow(QObject):
    """Asks what is needed, starts the job ``shareable`` and reports its result."""

    def __init__(self, session: Session, window: QWidget) -> None:
        super().__init__(window)
        self.session, self._window = session, window

    def ask(self) -> None:
        """Say what would change in the open project, and start the job if the person agrees."""
        session = self.session
        if session.project is None:
            session.message.emit("Open a project first: there is nothing to share.", "info")
            return
        if session.engine.running is not None:
            title = session.engine.running.job.title
            session.message.emit(f"{title} is still running. Let it end, or cancel it.", "warning")
            return
        try:
            dialog = ShareableDialog(plan_sharing(session.project), self._window)
        except UserError as error:
            session.report(error)
            return
        dialog.accepted.connect(lambda: self._start(dialog))
        dialog.open()

    def _start(self, dialog: ShareableDialog) -> None:
        path = self.session.open.path
        if dialog.copy.isChecked():
            name = QFileDialog.getSaveFileName(
                self._window, "Shareable copy: name its folder", str(path.parent / "shareable")
            )[0]
            if name:
                handle = self.session.submit(dialog.request(path, Path(name)))
                handle.on_finished(self._written)
            return
        # The job replaces the folder, which nobody may have open.
        self.session.close_project()
        self.session.project_changed.emit()
        handle = self.session.submit(dialog.request(path, None))
        handle.on_finished(self._written)
        handle.ended.connect(lambda: self._open_again(path))

    def _open_again(self, path: Path) -> None:
        try:
            self.session.open_project(path)
        except UserError as error:
            self.session.report(error)

    def _written(self, result: ShareableResult) -> None:
        self.session.message.emit(f"{result.path} can be shared.", "info")
