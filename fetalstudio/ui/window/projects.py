"""Which project is open: opening, making, copying and putting back projects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QFileDialog, QMenu, QMessageBox, QWidget

from fetalstudio.core.errors import UserError
from fetalstudio.project.store.backups import Backup, all_backups
from fetalstudio.ui.common.ask_dialog import AskDialog
from fetalstudio.ui.session import Session, sample_project_path

_SAMPLE = Path("The sample project")
"""What a person reads in place of its path."""


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


class ProjectsFlow(QObject):
    """Asks for the folder of a project, opens it, and offers a way on where that fails."""

    def __init__(self, session: Session, window: QWidget) -> None:
        super().__init__(window)
        self.session, self._window = session, window
        self.recent_menu = QMenu("Open &recent", window)
        self.recent_menu.aboutToShow.connect(self._fill_recent)
        session.project_displaced.connect(self._offer_copy)

    def fill(self, menu: QMenu, add: Callable[..., QAction]) -> None:
        """Add the actions to the menu; ``add`` is the window's way to do so."""
        add(menu, "&New project ...", self.ask_new, QKeySequence.StandardKey.New)
        add(menu, "&Open project ...", self.ask_open, QKeySequence.StandardKey.Open)
        menu.addMenu(self.recent_menu)
        add(menu, "Open the &sample project", self.open_sample)
        add(menu, "Put back a &backup ...", self.ask_backup)
        add(menu, "Save a &copy ...", self.ask_copy)

    def open_first(self, path: Path | None) -> None:
        """Open ``path``, else the last project, else the sample project."""
        last = self.session.settings.last_project
        if path is None and last is not None and (last / "project.db").is_file():
            path = last
        if path is None or path == sample_project_path():
            # Its frames are imported again if that was interrupted.
            self.open_sample()
        else:
            self.open(path)

    def open(self, path: Path) -> bool:
        """Open a project; if that fails, say why and offer others."""
        return self._opened(path, lambda: self.session.open_project(path))

    def open_sample(self) -> bool:
        """Open the sample project, made on the first call."""
        return self._opened(_SAMPLE, self.session.open_sample_project)

    def _opened(self, path: Path, work: Callable[[], object]) -> bool:
        try:
            work()
        except UserError as error:
            self._offer_another(path, str(error))
            return False
        return True

    def _offer_another(self, path: Path, why: str) -> None:
        """Say why a project was not opened, and offer others."""
        box = QMessageBox(self._window)
        box.setIcon(QMessageBox.Icon.Warning)
        box.setWindowTitle("The project was not opened")
        box.setText(f"{path.name} was not opened.")
        box.setInformativeText(why)
        role = QMessageBox.ButtonRole.ActionRole
        offers: list[tuple[str, Callable[[], object]]] = [
            ("Open another ...", self.ask_open),
            ("New project ...", self.ask_new),
        ]
        if path != _SAMPLE:
            offers.append(("Sample project", self.open_sample))
        if all_backups(path):
            offers.insert(0, ("Put back a backup ...", lambda: self.ask_backup(path)))
        for text, slot in offers:
            box.addButton(text, role).clicked.connect(lambda _c, s=slot: QTimer.singleShot(0, s))
        box.setDefaultButton(box.addButton(QMessageBox.StandardButton.Close))
        box.open()

    def ask_open(self) -> None:
        """Let the person choose the folder of a project."""
        folder = QFileDialog.getExistingDirectory(self._window, "Open a project", self._beside())
        if folder:
            self.open(Path(folder))

    def ask_backup(self, path: Path | None = None) -> None:
        """Let the person choose a backup of the project at ``path``, by default the open one."""
        project = self.session.project
        if path is None and project is None:
            self.session.message.emit("Open the project first whose backup you need.", "info")
            return
        path = path or self.session.open.path
        backups = all_backups(path)
        if not backups:
            self.session.message.emit(f"{path.name} has no backups yet.", "info")
            return
        dialog = BackupDialog(path, backups, self._window)
        dialog.accepted.connect(
            lambda: self._opened(path, lambda: self.session.put_back(path, dialog.backup))
        )
        dialog.open()

    def ask_copy(self) -> None:
        """Let the person choose a folder for a copy of the open project, and open the copy."""
        if self.session.project is None:
            self.session.message.emit("Open a project first: there is nothing to copy.", "info")
            return
        name = QFileDialog.getSaveFileName(
            self._window, "Save a copy: name its folder", str(Path(self._beside()) / "copy")
        )[0]
        if name:
            self._opened(Path(name), lambda: self.session.save_copy(Path(name)))

    def _offer_copy(self) -> None:
        """Say that the folder of the open project is gone, and offer to save what is left."""
        project = self.session.open
        box = QMessageBox(self._window)
        box.setIcon(QMessageBox.Icon.Warning)
        box.setWindowTitle("The project is gone")
        box.setText(f"{project.path} was removed, moved or replaced.")
        box.setInformativeText(
            "What you did until now is still in memory, but nothing more can be saved. Save a copy "
            "elsewhere before you close the window."
        )
        save = box.addButton("Save a copy ...", QMessageBox.ButtonRole.AcceptRole)
        save.clicked.connect(lambda _checked: QTimer.singleShot(0, self.ask_copy))
        box.addButton(QMessageBox.StandardButton.Close)
        box.open()

    def ask_new(self) -> None:
        """Let the person choose a new or empty folder for a project."""
        name = QFileDialog.getSaveFileName(
            self._window, "New project: name its folder", str(Path(self._beside()) / "heads")
        )[0]
        if not name:
            return
        path = Path(name)
        if self._opened(path, lambda: self.session.new_project(path)):
            self.session.go("library")

    def _beside(self) -> str:
        """Where a file dialog opens: next to the last project of the person's own."""
        recent = self.session.settings.recent_projects
        own = next((path for path in recent if path != sample_project_path()), None)
        return str(Path.home() if own is None else own.parent)

    def _fill_recent(self) -> None:
        self.recent_menu.clear()
        project = self.session.project
        for path in self.session.settings.recent_projects:
            if project is not None and path == project.path:
                continue
            action = self.recent_menu.addAction(f"{path.name}    {path.parent}")
            action.triggered.connect(lambda _checked, p=path: self._open_recent(p))
        if self.recent_menu.isEmpty():
            self.recent_menu.addAction("No other project yet").setEnabled(False)

    def _open_recent(self, path: Path) -> None:
        if not self.open(path) and not path.exists():
            self.session.settings.forget_project(path)
