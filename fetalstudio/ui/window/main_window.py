"""The window: the rail, the five places, the menus, the status bar and the notices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSize, Qt, QTimer
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
    QHBoxLayout,
    QMainWindow,
    QMenu,
    QMessageBox,
    QStackedWidget,
    QWidget,
)

from fetalstudio.core.words import counted
from fetalstudio.ui import icons, theme
from fetalstudio.ui.common.elided_label import ElidedLabel
from fetalstudio.ui.common.held_keys import HeldKeys
from fetalstudio.ui.common.place_shortcuts import PlaceShortcuts
from fetalstudio.ui.common.screen import room_for
from fetalstudio.ui.job_runner import JobHandle
from fetalstudio.ui.library.importing import dropped_paths
from fetalstudio.ui.library.page import LibraryPage
from fetalstudio.ui.readings.flow import ReadingsFlow
from fetalstudio.ui.session import PLACES, VIEWS, Session
from fetalstudio.ui.window.dialogs import AboutDialog, AuthorDialog
from fetalstudio.ui.window.exporting import ExportFlow
from fetalstudio.ui.window.notices import NoticeBoard
from fetalstudio.ui.window.projects import ProjectsFlow
from fetalstudio.ui.window.rail import PLACE_TITLES, Rail
from fetalstudio.ui.window.sharing import SharingFlow
from fetalstudio.ui.window.shortcut_sheet import ShortcutSheet, keys_of
from fetalstudio.ui.window.status_job import StatusJob

_PRELOAD_MS = 400
_FIRST_SIZE = QSize(1360, 860)
_MIN_SIZE = QSize(960, 600)
_PATH_WIDTH = 140
"""px that the path of the project has at least, beside a running job."""


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
        self.projects = ProjectsFlow(session, self)
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
        self.project_label = ElidedLabel("dim", Qt.TextElideMode.ElideMiddle)
        self.project_label.setMinimumWidth(_PATH_WIDTH)
        bar.addWidget(self.project_label, 1)
        self.status_job = StatusJob(self.session)
        bar.addPermanentWidget(self.status_job)

    def _build_menus(self) -> None:
        file = self.menuBar().addMenu("&File")
        self.projects.fill(file, self._add)
        self.sharing = SharingFlow(self.session, self)
        self._add(file, "&Make this project shareable ...", self.sharing.ask)
        file.addSeparator()
        self._add(file, "&Import frames ...", self.library.importing.ask_folder, "Ctrl+I")
        self.exporting = ExportFlow(self.session, self)
        self._add(file, "&Export a data set ...", self.exporting.ask, "Ctrl+E")
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
        action.setAutoRepeat(False)  # a key that is held down acts once
        action.triggered.connect(lambda _checked: slot())
        menu.addAction(action)
        return action

    def _build_keys(self) -> None:
        for number, place in enumerate(PLACES, 1):
            shortcut = QShortcut(QKeySequence(f"Ctrl+{number}"), self)
            shortcut.setWhatsThis(PLACE_TITLES[place][0])
            shortcut.activated.connect(lambda p=place: self.show_place(p))
        PlaceShortcuts(self)
        self.held_keys = HeldKeys(self)
        shut = QShortcut(QKeySequence("Ctrl+W"), self)
        shut.setWhatsThis("Close the newest notice")
        shut.setAutoRepeat(False)  # the others may not have been read yet
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
        for signal in (session.frames_changed, session.annotation_changed, session.pairs_changed):
            signal.connect(self._count_waiting)
        session.engine.job_ended.connect(self._count_waiting)

    # -- the project ------------------------------------------------------------------------

    def start(self, path: Path | None) -> None:
        """Open ``path``, else the last project, else the sample project.

        Then make the other pages one by one while the window is idle.
        """
        self._preloader.start()
        self.projects.open_first(path)

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
        may_leave = self._may_leave_unsaved() and (running is None or self._may_stop(running))
        if not may_leave:
            event.ignore()
            return
        self._preloader.stop()
        self.session.settings.geometry = self.saveGeometry()
        super().closeEvent(event)

    def _may_leave_unsaved(self) -> bool:
        """Whether no ellipse would be lost, or the person agrees."""
        problems = self.session.unsaved.problems()
        if not problems:
            return True
        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.Warning)
        box.setWindowTitle("Ellipses are not saved")
        box.setText(
            " ".join(said for said, _ in problems) + " If you leave, what is not saved is lost."
        )
        box.setInformativeText(" ".join(cure for _, cure in problems))
        leave = box.addButton("Leave without them", QMessageBox.ButtonRole.DestructiveRole)
        stay = box.addButton("Stay", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(stay)
        box.exec()
        return box.clickedButton() is leave

    def _may_stop(self, running: JobHandle[Any]) -> bool:
        """Whether the running job may be stopped: it stores nothing, or the person agrees."""
        waiting = len(self.session.engine.waiting)
        kept = running.kept or running.job.stopped
        if not kept and not waiting:
            return True
        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("A job is running")
        box.setText(f"{running.job.title} is still running{self.session.elsewhere(running)}.")
        dropped = f"{counted(waiting, 'waiting job')} will not be done." if waiting else ""
        said = ("If you leave, the job is stopped.", kept, dropped)
        box.setInformativeText(" ".join(part for part in said if part))
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
