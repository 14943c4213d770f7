"""From a folder, or files dropped on the window, to frames in the project."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QMimeData, QObject, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from fetalstudio.core.errors import InputError
from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.import_frames.request import ImportRequest
from fetalstudio.formats.pictures import SUFFIXES
from fetalstudio.formats.tables import TABLE_SUFFIXES
from fetalstudio.project.import_plan import ImportPlan
from fetalstudio.project.importers import ImportReport
from fetalstudio.ui.commands import ImportFrames
from fetalstudio.ui.common.text_dialog import TextDialog
from fetalstudio.ui.library.import_dialog import ImportDialog
from fetalstudio.ui.library.import_worker import ImportWorker
from fetalstudio.ui.session import Session


class ImportFlow(QObject):
    """Shows what an import would do, starts the job ``import`` and reports its result."""

    imported = Signal()
    """Frames came into the project."""

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self.session = session
        self._window = parent

    def ask_folder(self) -> None:
        """Ask for a folder, and import it."""
        last = self.session.settings.get("library/import_from", str(Path.home()))
        folder = QFileDialog.getExistingDirectory(self._window, "Import a folder of frames", last)
        if folder:
            self.session.settings.set("library/import_from", str(Path(folder).parent))
            self.ask([Path(folder)])

    def ask(self, paths: list[Path]) -> None:
        """Plan the import of each folder (single files go together), ask what is in doubt, and
        import them."""
        project = self.session.project
        if not paths or project is None:
            return
        folders = [path for path in paths if path.is_dir()]
        files = [path for path in paths if not path.is_dir()]
        rest = [*folders[1:], *files] if folders else []
        source = _Source(folders[0]) if folders else _Source(files[0].parent, tuple(files))
        worker = ImportWorker(project.path, source.prepared)
        dialog = ImportDialog(
            source.title,
            source.folder.name or "frames",
            project.frames.cohorts(),
            worker,
            self.session.settings,
            self._window,
        )
        dialog.accepted.connect(lambda: self._start(source, dialog))
        dialog.rejected.connect(lambda: _after(worker, source))
        dialog.finished.connect(lambda _result: self.ask(rest))
        dialog.open()

    def _start(self, source: _Source, dialog: ImportDialog) -> None:
        plan = dialog.plan
        if plan is None:  # the button is disabled without one
            return
        request = ImportRequest(
            self.session.open.path,
            plan.source,
            dialog.decided,
            seen=plan.pictures,
            author=self.session.author,
        )
        handle = self.session.import_frames(request)
        handle.on_finished(lambda result: self._came(request, plan, result))
        # The lambda keeps the copies of the files; Qt would hold a bound method only weakly.
        handle.ended.connect(lambda: source.cleanup())

    def _came(self, request: ImportRequest, plan: ImportPlan, result: ImportReport) -> None:
        self.imported.emit()
        if result.amendment is not None and self.session.is_open(request.project):
            command = ImportFrames(self.session, _step(result), result.amendment)
            self.session.undo_stack.push(command)
        level = "warning" if result.problems else "info"
        self.session.message.emit(import_summary(result), level)
        known = set(plan.problems)
        if new := [problem for problem in result.problems if problem not in known]:
            heading = "These files have problems that were not seen before the import."
            TextDialog("Import", heading, "\n\n".join(new), self._window).open()


def _after(worker: ImportWorker, source: _Source) -> None:
    """Remove the copies of the files once the worker no longer reads them."""
    if worker.isRunning():
        worker.finished.connect(lambda: source.cleanup())
    else:
        source.cleanup()


@dataclass(slots=True)
class _Source:
    """A folder, or some files of it, of which copies are imported."""

    folder: Path
    files: tuple[Path, ...] = ()
    _copies: tempfile.TemporaryDirectory[str] | None = field(default=None, init=False)

    @property
    def title(self) -> str:
        """What a person reads."""
        return (
            f"{len(self.files)} of the files in {self.folder}" if self.files else f"{self.folder}"
        )

    def prepared(self) -> Path:
        """The folder to import. Raises :class:`InputError` for a file that cannot be read."""
        if not self.files:
            return self.folder
        self._copies = tempfile.TemporaryDirectory(prefix="fetalstudio-import-")
        for path in self.files:
            try:
                shutil.copy2(path, self._copies.name)
            except OSError as error:
                raise InputError(
                    f"{path} cannot be read: {error.strerror}. Nothing was imported. Check that "
                    "the file is there and that you may read it, then try again."
                ) from error
        return Path(self._copies.name)

    def cleanup(self) -> None:
        """Remove the copies."""
        if self._copies is not None:
            self._copies.cleanup()
            self._copies = None


def dropped_paths(data: QMimeData) -> list[Path]:
    """The folders, the image files and the tables beside them in a drag."""
    paths = [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
    wanted = SUFFIXES | TABLE_SUFFIXES
    return [p for p in paths if p.is_dir() or (p.is_file() and p.suffix.lower() in wanted)]


def _step(result: ImportReport) -> str:
    """What the menu Edit says of an import, after Undo."""
    new = [counted(result.frames, "frame")] if result.frames else []
    new += [counted(result.pairs, "pair")] if result.pairs else []
    return f"import {' and '.join(new) or 'what frames lacked'}"


def import_summary(result: ImportReport) -> str:
    """A sentence on what was imported and what was not."""
    text = f"{counted(result.frames, 'frame')} imported into {result.cohort}"
    text += f", {result.annotated} with an ellipse" if result.annotated else ""
    text += f"; {counted(result.pairs, 'pair')} to review" if result.pairs else ""
    text += f"; {result.duplicates} already in the project" if result.duplicates else ""
    text += f"; {counted(len(result.problems), 'file')} with problems" if result.problems else ""
    return text + "."
