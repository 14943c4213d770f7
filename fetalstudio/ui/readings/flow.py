"""What the menu Readings does: asks for what is needed, and opens the views."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from fetalstudio.core.errors import UserError
from fetalstudio.core.words import counted
from fetalstudio.formats.readings_file import SUFFIX
from fetalstudio.project.reading_exchange import export_readings, plan_merge
from fetalstudio.project.store.records import ReadingSession
from fetalstudio.ui.readings.commands import MergeReadings
from fetalstudio.ui.readings.exchange_dialogs import ExportReadingsDialog, MergeDialog
from fetalstudio.ui.readings.history_dialog import HistoryDialog
from fetalstudio.ui.readings.start_dialog import StartDialog
from fetalstudio.ui.session import Session

_KIND = f"Readings (*{SUFFIX} *.json)"


class ReadingsFlow(QObject):
    """The actions of the menu."""

    def __init__(
        self,
        session: Session,
        window: QWidget,
        page: Callable[[str], QWidget],
        selected: Callable[[], list[str]],
    ) -> None:
        """``page`` gives the page of a view; ``selected`` the ids of the selected frames."""
        super().__init__(window)
        self.session, self._window, self._page, self._selected = session, window, page, selected

    def fill(self, menu: QMenu, add: Callable[..., QAction]) -> None:
        """Add the actions to the menu; ``add`` is the window's way to do so."""
        session = self.session
        add(
            menu,
            "Read again &without seeing ...",
            lambda: self.start(self._selected()),
            "Ctrl+R",
        )
        add(menu, "&Continue reading", self.resume, "Ctrl+Shift+R")
        menu.addSeparator()
        add(menu, "&Agreement", lambda: session.go("agreement"), "Ctrl+G")
        add(menu, "A&djudicate", lambda: session.go("adjudication"), "Ctrl+J")
        menu.addSeparator()
        add(menu, "&Export readings ...", self.export)
        add(menu, "&Merge readings ...", self.merge)
        menu.addSeparator()
        add(menu, "&History of the project ...", self.history, "Ctrl+H")

    def start(self, selected: Sequence[str] = ()) -> None:
        """Ask who reads which frames, and begin. ``selected`` are ids of frames."""
        frames = self.session.frames()
        if not frames:
            self._say("Import frames first: there is nothing to read.")
            return
        dialog = StartDialog(self.session, frames, selected, self._window)

        def accepted() -> None:
            self.session.settings.author = dialog.observer.text()
            try:
                reading = self.session.open.readings.start(
                    dialog.frame_ids(),
                    observer=self.session.author,
                    twice=dialog.share,
                    seed=dialog.seed,
                )
            except UserError as error:
                self.session.report(error)
                return
            self._begin(reading)

        dialog.accepted.connect(accepted)
        dialog.open()

    def resume(self) -> None:
        """Go on with the session that this person has not finished."""
        project = self.session.project
        reading = None if project is None else project.readings.unfinished(self.session.author)
        if reading is None:
            author = self.session.author
            self._say(f"{author} has no unfinished reading. Start one from the menu Readings.")
        else:
            self._begin(reading)

    def _begin(self, reading: ReadingSession) -> None:
        # Imported here, because the window can start without it.
        from fetalstudio.ui.readings.reading_page import ReadingPage

        page = self._page("reading")
        assert isinstance(page, ReadingPage)
        page.begin(reading)
        self.session.go("reading")

    def export(self) -> None:
        """Ask whose readings go into a file, and write it."""
        project = self.session.project
        readings = [] if project is None else project.readings.with_annotations()
        if not readings:
            self._say("There are no readings to export yet.")
            return
        dialog = ExportReadingsDialog(readings, self._window)
        dialog.accepted.connect(lambda: self._ask_file(dialog))
        dialog.open()

    def _ask_file(self, dialog: ExportReadingsDialog) -> None:
        chosen, names = dialog.observers(), dialog.renamed()
        start = self.session.open.path.parent / f"{names[chosen[0]]}{SUFFIX}"
        annotations = dialog.annotations.isChecked()
        name = QFileDialog.getSaveFileName(self._window, "Export readings", str(start), _KIND)[0]
        if name:
            self.write(Path(name), chosen, names, annotations=annotations)

    def write(
        self,
        path: Path,
        observers: Sequence[str],
        names: Mapping[str, str],
        *,
        annotations: bool = False,
    ) -> None:
        """Write the readings of these observers into a file."""
        try:
            count = export_readings(
                self.session.open, path, observers=observers, rename=names, annotations=annotations
            )
        except UserError as error:
            self.session.report(error)
            return
        self._say(f"Wrote {counted(count, 'reading')} into {path}.")

    def merge(self) -> None:
        """Ask for a colleague's file, and show what merging it would do."""
        if self.session.project is None:
            self._say("Open the project first into which you want to merge.")
            return
        start = str(self.session.open.path.parent)
        name = QFileDialog.getOpenFileName(self._window, "Merge readings", start, _KIND)[0]
        if name:
            self.ask_merge(Path(name))

    def ask_merge(self, path: Path) -> None:
        """Show what merging a file would do, and merge it if the person agrees."""
        project = self.session.open
        try:
            plan = plan_merge(project, path)
        except UserError as error:
            self.session.report(error)
            return
        dialog = MergeDialog(
            plan, lambda rename: plan_merge(project, path, rename=rename), self._window
        )

        def accepted() -> None:
            command = MergeReadings(
                self.session,
                dialog.plan,
                dialog.renamed(),
                keep_both=dialog.keep_both.isChecked(),
            )
            self.session.undo_stack.push(command)
            if command.done:
                self._say(f"{dialog.accept_button.text().replace('Merge', 'Merged')}.")
                self.session.go("agreement")

        dialog.accepted.connect(accepted)
        dialog.open()

    def history(self) -> None:
        """Show who did what."""
        if self.session.project is None:
            self._say("Open a project first: there is no history yet.")
            return
        HistoryDialog(self.session, self._window).open()

    def _say(self, text: str) -> None:
        self.session.message.emit(text, "info")
