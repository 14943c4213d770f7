"""From a folder, or files dropped on the window, to frames in the project."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PySide6.QtCore import QMimeData, QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.words import counted, listed
from fetalstudio.engine.jobs.import_frames.request import ImportRequest
from fetalstudio.engine.jobs.sharpest.request import SharpestRequest
from fetalstudio.formats.dicom.source import recognise_file
from fetalstudio.formats.pictures.picture_files import is_picture
from fetalstudio.formats.privacy.redaction import Layout, remember
from fetalstudio.formats.privacy.screen_samples import ScreenSample
from fetalstudio.formats.tables.table_files import TABLE_SUFFIXES
from fetalstudio.project.importing.deidentifying import doubtful_texts
from fetalstudio.project.importing.importers import ImportReport
from fetalstudio.project.importing.options import ImportOptions
from fetalstudio.project.importing.plan import ImportPlan
from fetalstudio.ui.commands import ImportFrames
from fetalstudio.ui.common.text_dialog import TextDialog
from fetalstudio.ui.library.import_dialog import ImportDialog
from fetalstudio.ui.library.import_rows import below_source
from fetalstudio.ui.library.import_worker import ImportWorker
from fetalstudio.ui.library.redaction_dialog import RedactionDialog
from fetalstudio.ui.session import Session


class ImportFlow(QObject):
    """Shows what an import would do, starts the job ``import`` and reports its result."""

    imported = Signal()
    """Frames came into the project."""

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self.session = session
        self._window = parent
        # Once the window is shown.
        session.project_changed.connect(lambda: QTimer.singleShot(0, self, self._offer))
        self._import_from = Path.home()
        """Not among the settings: a folder may be called after a patient."""

    def ask_folder(self) -> None:
        """Ask for a folder, and import it."""
        if self.session.project is None:
            text = "Open or make a project first (File menu): frames are imported into it."
            self.session.message.emit(text, "info")
            return
        folder = QFileDialog.getExistingDirectory(
            self._window, "Import a folder of frames", str(self._import_from)
        )
        if folder:
            self._import_from = Path(folder).parent
            self.ask([Path(folder)])

    def _offer(self) -> None:
        """Where an import was interrupted, offer to go on with it. Its folder is not known: what it
        is called may say who a patient is."""
        project = self.session.project
        unfinished = [] if project is None else project.imports.unfinished()
        if unfinished:
            left = " and ".join(map(str, unfinished))
            box = self._question(
                "An import was interrupted",
                f"An import was interrupted after {left}.",
                "Nothing of it is in the project. What was read is kept for a week, redacted and "
                "without names. Choose the same folder again to go on from there.",
            )
            go_on = box.addButton("Choose the folder…", QMessageBox.ButtonRole.AcceptRole)
            go_on.clicked.connect(lambda _checked: self.ask_folder())
            self._add_later_and_discard(box, None)
            box.open()

    def ask(self, paths: list[Path]) -> None:
        """Plan the import of each folder (single files go together), ask what is in doubt, and
        import them."""
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
        chosen = _Source(source, tuple(only))
        worker = ImportWorker(project.path, chosen.prepared, chosen.dicom)
        dialog = ImportDialog(
            chosen.title,
            source,
            project.frames.cohorts(),
            worker,
            lambda clips: self.session.submit(SharpestRequest(clips)),
            self.session.settings,
            self._window,
        )
        dialog.accepted.connect(lambda: self._start(chosen, dialog))
        dialog.rejected.connect(lambda: _after(worker, chosen))
        dialog.finished.connect(lambda _result: self.ask(rest))
        dialog.open()

    def _start(self, source: _Source, dialog: ImportDialog) -> None:
        """Import what is planned. First, ask about each scanner layout in it that nobody has
        confirmed."""
        plan = dialog.plan
        if plan is None:  # the button is disabled without one
            return
        asked = [sample for sample in plan.screens if not (sample.confirmed or sample.whole)]
        # What is confirmed after the plan changes the pictures.
        seen = plan.pictures(unseen={sample.layout for sample in asked})
        request = ImportRequest(
            self.session.open.path,
            plan.source,
            options=ImportOptions(keep_names=dialog.keep_names.isChecked(), files=source.dicom),
            choices=dialog.decided,
            seen=seen,
            author=self.session.author,
        )
        self._confirm(asked, source, lambda: self._import(request, source, plan))

    def _confirm(
        self, asked: Sequence[ScreenSample], source: _Source, go: Callable[[], None]
    ) -> None:
        """Ask about each layout, one after another, then ``go``. Cancel imports nothing."""
        waiting = list(asked)
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
            number = len(asked) - len(waiting)
            dialog = RedactionDialog(sample, number, len(asked), self._window)
            dialog.accepted.connect(lambda: take(sample, dialog))
            dialog.rejected.connect(lambda: source.cleanup())
            dialog.open()

        def take(sample: ScreenSample, dialog: RedactionDialog) -> None:
            confirmed[sample.layout] = dialog.confirmed
            ask()

        ask()

    def _import(self, request: ImportRequest, source: _Source, plan: ImportPlan) -> None:
        if not self.session.is_open(request.project):
            return  # another project was opened meanwhile
        handle = self.session.import_frames(request)
        handle.on_finished(lambda result: self._came(request, source, plan, result))
        handle.on_cancelled(lambda _result: self._stopped(request, source, plan))
        if not plan.doubtful_labels:
            # The lambda keeps the copies of the files; Qt would hold a bound method only weakly.
            handle.ended.connect(lambda: source.cleanup())

    def _stopped(self, request: ImportRequest, source: _Source, plan: ImportPlan) -> None:
        """Offer to go on with an import that was stopped."""
        if not self.session.is_open(request.project):
            return
        if source.copied:  # the copies are gone, and with them what an import could go on with
            self.session.open.imports.discard(plan.source)
            return
        left = self.session.open.imports.staged(plan.source)
        if left is None:
            return
        box = self._question(
            "The import was stopped",
            f"The import was stopped after {left.unfinished}.",
            "Nothing of it is in the project. What was read is kept for a week, redacted and "
            f"without names: go on now, or import {source.title} again later.",
        )
        go_on = box.addButton("Go on", QMessageBox.ButtonRole.AcceptRole)
        go_on.clicked.connect(lambda _checked: self._import(request, source, plan))
        self._add_later_and_discard(box, plan.source)
        box.open()

    def _question(self, title: str, text: str, more: str) -> QMessageBox:
        box = QMessageBox(self._window)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(title)
        box.setText(text)
        box.setInformativeText(more)
        return box

    def _add_later_and_discard(self, box: QMessageBox, source: Path | None) -> None:
        """Offer to discard what was read of this source, or of all."""
        discard = box.addButton("Discard what was read", QMessageBox.ButtonRole.DestructiveRole)
        later = box.addButton("Later", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(later)
        discard.clicked.connect(lambda _checked: self.session.open.imports.discard(source))

    def _came(
        self, request: ImportRequest, source: _Source, plan: ImportPlan, result: ImportReport
    ) -> None:
        self.imported.emit()
        if result.amendment is not None and self.session.is_open(request.project):
            command = ImportFrames(self.session, _step(result), result.amendment, result.frames)
            self.session.undo_stack.push(command)
        level = "warning" if result.problems else "info"
        self.session.message.emit(import_summary(result, plan.source), level)
        known = set(plan.problems)
        if new := [problem for problem in result.problems if problem not in known]:
            heading = "These files have problems that were not seen before the import."
            TextDialog("Import", heading, "\n\n".join(new), self._window).open()
        if result.doubtful_labels:
            labels = tuple(result.doubtful_labels)
            again = replace(request, options=replace(request.options, keep_labels=labels))
            self._ask_labels(
                result.doubtful_labels,
                doubtful_texts(f.record.labels for f in plan.frames if f.frame_id is not None),
                lambda: self._import(again, source, replace(plan, doubtful_labels={})),
            )

    def _ask_labels(
        self,
        doubtful: Mapping[str, str],
        texts: Mapping[str, Collection[str]],
        again: Callable[[], None],
    ) -> None:
        """Ask whether labels that were left out are to be imported after all.

        The ``texts`` that are in doubt, by label, are shown here only: no message keeps them.
        """
        found = "; ".join(
            f"a value of {name!r} looks like {what}"
            # A table that was changed since the import was planned may have other values.
            + (f" ({listed(texts[name], 3)})" if name in texts else "")
            for name, what in doubtful.items()
        )
        names = " and ".join(map(repr, doubtful))
        one = len(doubtful) == 1
        box = self._question(
            "Labels were left out",
            f"The label {names} was left out." if one else f"The labels {names} were left out.",
            f"{found[0].upper()}{found[1:]}. Labels are written to reports and exports. Import "
            f"{'it if it says' if one else 'them if they say'} nothing about who a patient is.",
        )
        it = "it" if one else "them"
        add = box.addButton(f"Import {it}", QMessageBox.ButtonRole.AcceptRole)
        leave = box.addButton(f"Leave {it} out", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(leave)
        # The frames are there already; the import adds the labels.
        add.clicked.connect(lambda _checked: again())
        box.open()


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
    def dicom(self) -> tuple[Path, ...]:
        """The files, where they are DICOM: what is in them is never written to the disk, not even
        for a minute."""
        return self.files if self.files and recognise_file(self.files[0]) else ()

    @property
    def copied(self) -> bool:
        """Whether copies of the files are imported."""
        return bool(self.files) and not self.dicom

    @property
    def title(self) -> str:
        """What a person reads."""
        return (
            f"{len(self.files)} of the files in {self.folder}" if self.files else f"{self.folder}"
        )

    def prepared(self) -> Path:
        """The folder to import. Raises :class:`InputError` for a file that cannot be read."""
        if not self.copied:
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


def _step(result: ImportReport) -> str:
    """What the menu Edit says of an import, after Undo."""
    new = [counted(result.frames, "frame")] if result.frames else []
    new += [counted(result.pairs, "pair")] if result.pairs else []
    return f"import {' and '.join(new) or 'what frames lacked'}"


def import_summary(result: ImportReport, source: Path) -> str:
    """A sentence on what was imported from this folder and what was not."""
    text = f"{counted(result.frames, 'frame')} imported into {result.cohort}"
    text += f", {result.annotated} with an ellipse" if result.annotated else ""
    text += f"; {counted(result.pairs, 'pair')} to review" if result.pairs else ""
    text += f"; {result.duplicates} already in the project" if result.duplicates else ""
    if not result.problems:
        return text + "."
    such_as = ", such as" if len(result.problems) > 1 else ""
    said = below_source(result.problems[0], source)
    return f"{text}. {counted(len(result.problems), 'note')}{such_as}: {said}"
