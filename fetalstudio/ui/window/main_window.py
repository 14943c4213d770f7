"""The window: the rail, the five places, the menus, the status bar and the notices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSize, QTimer
from PySide6.QtGui import (
    QAction,
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QKeySequence,
    QShortcut,
)
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QMenu,
    QMessageBox,
    QStackedWidget,
    QWidget,
)

from fetalstudio.core.errors import UserError
from fetalstudio.core.words import counted
from fetalstudio.engine.cohort_conventions import apart, kept_conventions
from fetalstudio.engine.jobs.export.request import ExportResult
from fetalstudio.engine.jobs.pair_convention.request import PairConventionRequest
from fetalstudio.engine.jobs.sample.request import SampleRequest
from fetalstudio.project.backups import all_backups
from fetalstudio.ui import icons, theme
from fetalstudio.ui.common.place_shortcuts import PlaceShortcuts
from fetalstudio.ui.common.screen import room_for
from fetalstudio.ui.job_runner import JobHandle
from fetalstudio.ui.library.importing import dropped_paths
from fetalstudio.ui.library.page import LibraryPage
from fetalstudio.ui.readings.flow import ReadingsFlow
from fetalstudio.ui.session import PLACES, VIEWS, Session, sample_project_path
from fetalstudio.ui.window.dialogs import AboutDialog, AuthorDialog, BackupDialog, ExportDialog
from fetalstudio.ui.window.notices import NoticeBoard
from fetalstudio.ui.window.rail import PLACE_TITLES, Rail
from fetalstudio.ui.window.sharing import SharingFlow
from fetalstudio.ui.window.shortcut_sheet import ShortcutSheet, keys_of
from fetalstudio.ui.window.status_job import StatusJob

_PRELOAD_MS = 400
_FIRST_SIZE = QSize(1360, 860)
_MIN_SIZE = QSize(960, 600)


class MainWindow(QMainWindow):
    """Shows a :class:`Session`. Pages other than the Library are made when first needed."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        session.window = self
        self.setWindowTitle("FetalStudio")
        self.setWindowIcon(icons.application_icon())
        self.setAcceptDrops(True)
        self.rail = Rail()
        self.stack = QStackedWidget()
        self.library = LibraryPage(session)
        self.pages: dict[str, QWidget] = {"library": self.library}
        self.stack.addWidget(self.library)
        central = QWidget()
        layout = QHBoxLayout(central)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.rail)
        layout.addWidget(self.stack, 1)
        self.setCentralWidget(central)
        self.notices = NoticeBoard(self.stack)
        # A page that comes to the front would cover the notices.
        self.stack.currentChanged.connect(lambda _: self.notices.raise_())
        self._build_status()
        self._build_menus()
        self._build_keys()
        self._connect()
        self._restore_geometry()
        self._project_changed()
        self.show_place("library")
        self._preloader = QTimer(self, interval=_PRELOAD_MS)
        self._preloader.timeout.connect(self._preload_page)

    # -- places -----------------------------------------------------------------------------

    def show_place(self, place: str) -> None:
        """Show one of the five places, or a view of the menu Readings, and give it the
        keyboard."""
        page = self.page(place)
        self.session.place = place
        self.rail.show_place("annotate" if place in VIEWS else place)
        self.stack.setCurrentWidget(page)
        activated: Callable[[], None] | None = getattr(page, "activated", None)
        if activated is not None:
            activated()
        if not page.isAncestorOf(self.focusWidget() or self):
            # Otherwise the keyboard would stay with a widget of the previous page.
            page.setFocus()

    def page(self, place: str) -> QWidget:
        """The page of a place or a view, made on the first call."""
        if place not in self.pages:
            self.pages[place] = _make_page(place, self.session)
            self.stack.addWidget(self.pages[place])
        return self.pages[place]

    def _preload_page(self) -> None:
        missing = [place for place in PLACES if place not in self.pages]
        if not missing:
            self._preloader.stop()
            return
        try:
            self.page(missing[0])
        except Exception:
            # The error is shown again when the place is opened; the timer must not repeat it.
            self._preloader.stop()
            raise

    # -- building ---------------------------------------------------------------------------

    def _build_status(self) -> None:
        bar = self.statusBar()
        bar.setSizeGripEnabled(False)
        bar.setContentsMargins(theme.SPACE, 0, 0, 0)
        bar.setFixedHeight(38)
        self.project_label = theme.style(QLabel(), "dim")
        bar.addWidget(self.project_label, 1)
        self.status_job = StatusJob(self.session.engine)
        bar.addPermanentWidget(self.status_job)

    def _build_menus(self) -> None:
        file = self.menuBar().addMenu("&File")
        self._add(file, "&New project ...", self.ask_new_project, QKeySequence.StandardKey.New)
        self._add(file, "&Open project ...", self.ask_open_project, QKeySequence.StandardKey.Open)
        self.recent_menu = QMenu("Open &recent", self)
        self.recent_menu.aboutToShow.connect(self._fill_recent)
        file.addMenu(self.recent_menu)
        self._add(file, "Open the &sample project", self.open_sample_project)
        self._add(file, "Put back a &backup ...", self.ask_backup)
        self._add(file, "Save a &copy ...", self.ask_copy)
        self.sharing = SharingFlow(self.session, self)
        self._add(file, "&Make this project shareable ...", self.sharing.ask)
        file.addSeparator()
        self._add(file, "&Import frames ...", self.library.importing.ask_folder, "Ctrl+I")
        self._add(file, "&Export a data set ...", self.ask_export, "Ctrl+E")
        file.addSeparator()
        self._add(file, "&Your name ...", self.ask_author)
        file.addSeparator()
        quit_action = self._add(file, "&Quit", self.close, "Ctrl+Q")
        quit_action.setMenuRole(QAction.MenuRole.QuitRole)
        self._build_edit_menu()
        self.readings = ReadingsFlow(
            self.session, self, self.page, lambda: [f.id for f in self.library.selected()]
        )
        self.readings.fill(self.menuBar().addMenu("&Readings"), self._add)
        help_menu = self.menuBar().addMenu("&Help")
        self._add(help_menu, "&Keys", self.show_keys, "?", "F1")
        about = self._add(help_menu, "&About FetalStudio", self.show_about)
        about.setMenuRole(QAction.MenuRole.AboutRole)

    def _build_edit_menu(self) -> None:
        edit = self.menuBar().addMenu("&Edit")
        stack = self.session.undo_stack
        for action, keys in (
            (stack.createUndoAction(self, "Undo"), ("Ctrl+Z",)),
            (stack.createRedoAction(self, "Redo"), ("Ctrl+Shift+Z", "Ctrl+Y")),
        ):
            action.setShortcuts([QKeySequence(key) for key in keys])
            edit.addAction(action)

    def _add(
        self,
        menu: QMenu,
        text: str,
        slot: Callable[[], object],
        *keys: str | QKeySequence.StandardKey,
    ) -> QAction:
        action = QAction(text, self)
        action.setShortcuts([QKeySequence(key) for key in keys])
        action.triggered.connect(lambda _checked: slot())
        menu.addAction(action)
        return action

    def _build_keys(self) -> None:
        for number, place in enumerate(PLACES, 1):
            shortcut = QShortcut(QKeySequence(f"Ctrl+{number}"), self)
            shortcut.setWhatsThis(PLACE_TITLES[place][0])
            shortcut.activated.connect(lambda p=place: self.show_place(p))
        PlaceShortcuts(self)
        shut = QShortcut(QKeySequence("Ctrl+W"), self)
        shut.setWhatsThis("Close the newest notice")
        shut.activated.connect(self.notices.close_newest)

    def _connect(self) -> None:
        session = self.session
        self.rail.place_requested.connect(self.show_place)
        self.rail.keys_button.clicked.connect(self.show_keys)
        session.place_requested.connect(self.show_place)
        session.reading_asked.connect(self.readings.start)
        session.message.connect(self.notices.add)
        session.failure.connect(lambda text, details: self.notices.add(text, "error", details))
        session.project_changed.connect(self._project_changed)
        session.project_displaced.connect(self._offer_copy)
        for signal in (session.frames_changed, session.annotation_changed, session.pairs_changed):
            signal.connect(self._count_waiting)
        session.engine.job_ended.connect(self._count_waiting)

    # -- projects ---------------------------------------------------------------------------

    def start(self, path: Path | None) -> None:
        """Open ``path``, else the last project, else the sample project.

        Then make the other pages one by one while the window is idle.
        """
        self._preloader.start()
        last = self.session.settings.last_project
        if path is None and last is not None and (last / "project.db").is_file():
            path = last
        if path is None or path == sample_project_path():
            # Its frames are imported again if that was interrupted.
            self.open_sample_project()
        else:
            self.open_project(path)

    def open_project(self, path: Path) -> bool:
        """Open a project; if that fails, say why and offer others."""
        return self._opened(path, lambda: self.session.open_project(path))

    def open_sample_project(self) -> bool:
        """Open the sample project, made on the first call."""
        return self._opened(Path("The sample project"), self.session.open_sample_project)

    def _opened(self, path: Path, work: Callable[[], object]) -> bool:
        try:
            work()
        except UserError as error:
            self._offer_another(path, str(error))
            return False
        return True

    def _offer_another(self, path: Path, why: str) -> None:
        """Say why a project was not opened, and offer others."""
        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.Warning)
        box.setWindowTitle("The project was not opened")
        box.setText(f"{path.name} was not opened.")
        box.setInformativeText(why)
        role = QMessageBox.ButtonRole.ActionRole
        offers: list[tuple[str, Callable[[], object]]] = [
            ("Open another ...", self.ask_open_project),
            ("New project ...", self.ask_new_project),
            ("Sample project", self.open_sample_project),
        ]
        if all_backups(path):
            offers.insert(0, ("Put back a backup ...", lambda: self.ask_backup(path)))
        for text, slot in offers:
            box.addButton(text, role).clicked.connect(lambda _c, s=slot: QTimer.singleShot(0, s))
        box.addButton(QMessageBox.StandardButton.Close)
        box.open()

    def ask_open_project(self) -> None:
        """Let the person choose the folder of a project."""
        folder = QFileDialog.getExistingDirectory(self, "Open a project", self._beside())
        if folder:
            self.open_project(Path(folder))

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
        dialog = BackupDialog(path, backups, self)
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
            self, "Save a copy: name its folder", str(Path(self._beside()) / "copy")
        )[0]
        if name:
            self._opened(Path(name), lambda: self.session.save_copy(Path(name)))

    def _offer_copy(self) -> None:
        """Say that the folder of the open project is gone, and offer to save what is left."""
        project = self.session.open
        box = QMessageBox(self)
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

    def ask_new_project(self) -> None:
        """Let the person choose a new or empty folder for a project."""
        name = QFileDialog.getSaveFileName(
            self, "New project: name its folder", str(Path(self._beside()) / "heads")
        )[0]
        if not name:
            return
        path = Path(name)
        if self._opened(path, lambda: self.session.new_project(path)):
            self.show_place("library")

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
        if not self.open_project(path) and not path.exists():
            self.session.settings.forget_project(path)

    def _project_changed(self) -> None:
        project = self.session.project
        name = project.path.name if project is not None else ""
        self.setWindowTitle(f"{name} — FetalStudio" if name else "FetalStudio")
        self.project_label.setText(str(project.path) if project is not None else "")
        self._count_waiting()

    def _count_waiting(self) -> None:
        project = self.session.project
        counts = project.counts() if project is not None else {}
        self.rail.buttons["annotate"].set_waiting(
            counts.get("none", 0) + counts.get("proposed", 0) + counts.get("draft", 0)
        )
        self.rail.buttons["review"].set_waiting(counts.get("pending", 0))

    # -- other actions ----------------------------------------------------------------------

    def ask_export(self) -> None:
        """Ask what to export, and start the job."""
        project = self.session.project
        if project is None:
            self.session.message.emit("Open a project first: there is nothing to export.", "info")
            return
        differing = apart(kept_conventions(project))
        cohorts, settings = project.frames.cohorts(), self.session.settings
        dialog = ExportDialog(project.path, cohorts, settings, self, differing=differing)
        dialog.accepted.connect(lambda: self._export(dialog))
        dialog.open()

    def _export(self, dialog: ExportDialog) -> None:
        handle = self.session.submit(dialog.request())
        handle.on_finished(self._exported)

    def _exported(self, result: ExportResult) -> None:
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

    def ask_author(self) -> None:
        """Ask for the name that annotations carry."""
        dialog = AuthorDialog(self.session.author, self)
        dialog.accepted.connect(
            lambda: setattr(self.session.settings, "author", dialog.field.text())
        )
        dialog.open()

    def show_keys(self) -> None:
        """Open the sheet of all keys: of the window, of the current place, then of the others."""
        pages = tuple(self.page(place) for place in PLACES + VIEWS)
        groups = {"Everywhere": keys_of(self, without=pages)}
        for place in sorted(PLACES, key=lambda place: place != self.session.place):
            groups[PLACE_TITLES[place][0]] = keys_of(self.page(place))
            for dialog in self.page(place).findChildren(QDialog):
                groups[dialog.windowTitle()] = keys_of(dialog)
        for view in VIEWS:
            groups[view.capitalize()] = keys_of(self.page(view))
        ShortcutSheet({title: keys for title, keys in groups.items() if keys}, self).open()

    def show_about(self) -> None:
        """Open the About window."""
        AboutDialog(self).open()

    # -- Qt ---------------------------------------------------------------------------------

    def focusNextPrevChild(self, next: bool) -> bool:
        """Move the keyboard along the widgets, as Tab does.

        Qt does so too when the widget with the keyboard is disabled or hidden, such as a button
        that can be used once. The keyboard then goes to the page and not, past its last widget, to
        the rail, where the keys of the page do nothing.
        """
        left, page = self.focusWidget(), self.stack.currentWidget()
        usable = left is None or (left.isEnabled() and left.isVisibleTo(self))
        if usable or page is None or not page.isAncestorOf(left):
            return super().focusNextPrevChild(next)
        page.setFocus()
        return True

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_paths(event.mimeData()) and self.session.project is not None:
            # The Library says what a drop will do, whatever place is on screen.
            self.show_place("library")
            self.library.show_drop_hint(True)
            event.acceptProposedAction()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.library.show_drop_hint(False)

    def dropEvent(self, event: QDropEvent) -> None:
        self.library.show_drop_hint(False)
        event.acceptProposedAction()
        self.library.importing.ask(dropped_paths(event.mimeData()))

    def closeEvent(self, event: QCloseEvent) -> None:
        running = self.session.engine.running
        if running is not None and not self._may_stop(running):
            event.ignore()
            return
        self._preloader.stop()
        self.session.settings.geometry = self.saveGeometry()
        super().closeEvent(event)

    def _may_stop(self, running: JobHandle[Any]) -> bool:
        """Whether the running job may be stopped: it stores nothing, or the person agrees."""
        if running.job.name in (SampleRequest.job.name, PairConventionRequest.job.name):
            return True
        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("A job is running")
        box.setText(f"{running.job.title} is still running.")
        box.setInformativeText("If you leave, the job is stopped. What it has saved is kept.")
        leave = box.addButton("Stop it and leave", QMessageBox.ButtonRole.AcceptRole)
        stay = box.addButton("Stay", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(stay)
        box.exec()
        return box.clickedButton() is leave

    def _restore_geometry(self) -> None:
        geometry = self.session.settings.geometry
        restored = geometry is not None and self.restoreGeometry(geometry)
        room = room_for(self)
        self.setMinimumSize(_MIN_SIZE.boundedTo(room))
        self.resize((self.size() if restored else _FIRST_SIZE).boundedTo(room))


def _make_page(place: str, session: Session) -> QWidget:
    """Make a page. Imported here, because pages import what the window can start without."""
    if place == "annotate":
        from fetalstudio.ui.annotate.page import AnnotatePage

        return AnnotatePage(session)
    if place == "synthesise":
        from fetalstudio.ui.synthesise.page import SynthesisePage

        return SynthesisePage(session)
    if place == "review":
        from fetalstudio.ui.review.page import ReviewPage

        return ReviewPage(session)
    if place == "train":
        from fetalstudio.ui.train.page import TrainPage

        return TrainPage(session)
    if place == "reading":
        from fetalstudio.ui.readings.reading_page import ReadingPage

        return ReadingPage(session)
    if place == "agreement":
        from fetalstudio.ui.readings.agreement_page import AgreementPage

        return AgreementPage(session)
    if place == "adjudication":
        from fetalstudio.ui.readings.adjudication_page import AdjudicationPage

        return AdjudicationPage(session)
    raise ValueError(f"there is no place {place!r}, only {', '.join(PLACES)}")
