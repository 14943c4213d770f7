"""From a folder, or files dropped on the window, to frames in the project."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from PySide6.QtCore import QMimeData, QObject, Qt, Signal
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from fetalstudio.core.errors import UserError
from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.find_screens.request import ScreensRequest, ScreensResult
from fetalstudio.engine.jobs.import_frames.request import ImportRequest, ImportResult
from fetalstudio.formats.dicom import recognise_file
from fetalstudio.formats.pictures import is_picture
from fetalstudio.formats.redaction import Layout, remember
from fetalstudio.formats.screen_samples import ScreenSample
from fetalstudio.formats.tables import TABLE_SUFFIXES
from fetalstudio.ui.common.text_dialog import TextDialog
from fetalstudio.ui.library.import_dialog import ImportDialog
from fetalstudio.ui.library.redaction_dialog import RedactionDialog
from fetalstudio.ui.session import Session


class ImportFlow(QObject):
    """Asks what is needed, starts the job ``import`` and reports its result."""

    imported = Signal()
    """Frames came into the project."""

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self.session = session
        self._window = parent
        self._import_from = Path.home()
        """Not among the settings: a folder may be called after a patient."""

    def ask_folder(self) -> None:
        """Ask for a folder, then for its cohort, and import it."""
        folder = QFileDialog.getExistingDirectory(
            self._window, "Import a folder of frames", str(self._import_from)
        )
        if folder:
            self._import_from = Path(folder).parent
            self.ask([Path(folder)])

    def ask(self, paths: list[Path]) -> None:
        """Ask for the cohort of each folder (single files go together) and import them."""
        project = self.session.project
        if not paths or project is None:
            return
        folders = [path for path in paths if path.is_dir()]
        files = [path for path in paths if not path.is_dir()]
        dicom = [path for path in files if recognise_file(path)]
        pictures = [path for path in files if path not in dicom]
        only = [] if folders else dicom or pictures
        source = folders[0] if folders else only[0].parent
        rest = [path for path in paths if path not in (source, *only)]
        settings = self.session.settings
        dialog = ImportDialog(
            source,
            len(only),
            project.frames.cohorts(),
            self._window,
            keep_names=settings.get("library/keep_names", False),
        )

        def accepted() -> None:
            keep = dialog.keep_names.isChecked()
            settings.set("library/keep_names", keep)
            self.start(source, only, dialog.cohort, keep_names=keep)

        dialog.accepted.connect(accepted)
        dialog.finished.connect(lambda _result: self.ask(rest))
        dialog.open()

    def start(
        self,
        source: Path,
        only: list[Path],
        cohort: str,
        *,
        keep_names: bool = False,
        keep_labels: tuple[str, ...] = (),
    ) -> None:
        """Import the folder ``source``, or ``only`` these files where there are any.

        First, ask about each scanner layout in it that nobody has confirmed.
        """
        again = partial(self.start, source, only, cohort, keep_names=keep_names)
        staged: tempfile.TemporaryDirectory[str] | None = None
        # What is in DICOM files is never written to the disk, not even for a minute.
        files = tuple(only) if only and recognise_file(only[0]) else ()
        if only and not files:
            staged = tempfile.TemporaryDirectory(prefix="fetalstudio-import-")
            source = Path(staged.name)
            try:
                for path in only:
                    shutil.copy2(path, source)
            except OSError as error:
                self.session.message.emit(
                    f"{path} cannot be read: {error.strerror}. Nothing was imported. Check that "
                    "the file is there and that you may read it, then try again.",
                    "error",
                )
                staged.cleanup()
                return
        request = ImportRequest(
            self.session.open.path,
            source,
            cohort=cohort,
            keep_names=keep_names,
            keep_labels=keep_labels,
            files=files,
        )
        looked = self.session.submit(ScreensRequest(source, files=files))
        looked.on_finished(
            lambda found: self._confirm(found, lambda: self._import(request, staged, again))
        )

    def _confirm(self, found: ScreensResult, go: Callable[[], None]) -> None:
        """Ask about each layout, one after another, then ``go``. Cancel imports nothing."""
        waiting = list(found.screens)
        confirmed: dict[str, Layout] = {}

        def ask() -> None:
            if not waiting:
                try:
                    if confirmed:
                        remember(confirmed)
                except UserError as error:
                    self.session.report(error)
                    return
                go()
                return
            sample = waiting.pop(0)
            number = len(found.screens) - len(waiting)
            dialog = RedactionDialog(sample, number, len(found.screens), self._window)
            dialog.accepted.connect(lambda: take(sample, dialog))
            dialog.open()

        def take(sample: ScreenSample, dialog: RedactionDialog) -> None:
            confirmed[sample.layout] = dialog.confirmed
            ask()

        ask()

    def _import(
        self,
        request: ImportRequest,
        staged: tempfile.TemporaryDirectory[str] | None,
        again: Callable[..., None],
    ) -> None:
        if not self.session.is_open(request.project):
            return  # another project was opened meanwhile
        handle = self.session.import_frames(request)
        handle.on_finished(lambda result: self._came(result, again))
        if staged is not None:
            # The lambda keeps the folder alive; Qt would hold a bound method only weakly.
            handle.ended.connect(lambda: staged.cleanup())

    def _came(self, result: ImportResult, again: Callable[..., None]) -> None:
        self.imported.emit()
        level = "warning" if result.problems else "info"
        self.session.message.emit(import_summary(result), level)
        if result.problems:
            heading = "These files have problems. All others were imported."
            TextDialog("Import", heading, "\n\n".join(result.problems), self._window).open()
        if result.doubtful_labels:
            self._ask_labels(result.doubtful_labels, again)

    def _ask_labels(self, doubtful: Mapping[str, str], again: Callable[..., None]) -> None:
        """Ask whether labels that were left out are to be imported after all."""
        box = QMessageBox(self._window)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Labels were left out")
        box.setText(f"The labels {' and '.join(map(repr, doubtful))} were left out.")
        found = "; ".join(f"one of {name!r} looks like {what}" for name, what in doubtful.items())
        box.setInformativeText(
            f"{found[0].upper()}{found[1:]}. Labels are written to reports and exports. Import "
            "them if they say nothing about who a patient is."
        )
        add = box.addButton("Import them", QMessageBox.ButtonRole.AcceptRole)
        leave = box.addButton("Leave them out", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(leave)
        # The frames are there already; the import adds the labels.
        add.clicked.connect(lambda _checked: again(keep_labels=tuple(doubtful)))
        box.open()


def dropped_paths(data: QMimeData) -> list[Path]:
    """The folders, the DICOM files and archives of them, the image files and the tables beside them
    in a drag."""
    paths = [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
    return [
        p
        for p in paths
        if p.is_dir()
        or (
            p.is_file()
            and (is_picture(p) or p.suffix.lower() in TABLE_SUFFIXES or recognise_file(p))
        )
    ]


def import_summary(result: ImportResult) -> str:
    """A sentence on what was imported and what was not."""
    text = f"{counted(result.frames, 'frame')} imported into {result.cohort}"
    text += f", {result.annotated} with an ellipse" if result.annotated else ""
    text += f"; {counted(result.pairs, 'pair')} to review" if result.pairs else ""
    text += f"; {result.duplicates} already in the project" if result.duplicates else ""
    text += f"; {counted(len(result.problems), 'file')} with problems" if result.problems else ""
    return text + "."
