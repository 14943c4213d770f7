"""The dialog of an import: what each file is taken for, and what a person has to decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QByteArray, QSize, Qt, QTimer
from PySide6.QtGui import QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QCompleter,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.sharpest.request import SharpestResult
from fetalstudio.formats.privacy.identifiers import looks_like
from fetalstudio.formats.privacy.redaction import Layout, remember
from fetalstudio.formats.reading.doubts import LEAVE_OUT, MIDDLE, SHARPEST, Question, chosen_frames
from fetalstudio.project.importing.choices import NO_CHOICES, Choices
from fetalstudio.project.importing.deidentifying import free_cohort
from fetalstudio.project.importing.plan import ImportPlan
from fetalstudio.ui import icons, theme
from fetalstudio.ui.common.elided_label import ElidedLabel
from fetalstudio.ui.common.job_bar import JobBar
from fetalstudio.ui.common.place_shortcuts import PlaceShortcuts
from fetalstudio.ui.common.screen import room_for
from fetalstudio.ui.job_runner import JobHandle
from fetalstudio.ui.library.clip_dialog import ClipDialog
from fetalstudio.ui.library.import_details import ImportDetails
from fetalstudio.ui.library.import_rows import Kind
from fetalstudio.ui.library.import_table import ImportModel, ImportTable
from fetalstudio.ui.library.import_worker import ImportWorker
from fetalstudio.ui.library.redaction_dialog import RedactionDialog
from fetalstudio.ui.settings import Settings

_FIRST_SIZE = (1320, 800)
_SAFE = (
    "Nothing in doubt is guessed: without an answer, a frame comes without an ellipse or with a "
    "proposal, and a picture that may be no frame is left out."
)


class ImportDialog(QDialog):
    """Plans the import of a source, and asks what is in doubt and for the cohort."""

    def __init__(
        self,
        title: str,
        folder: Path,
        cohorts: list[str],
        worker: ImportWorker,
        look: Callable[[tuple[Path, ...]], JobHandle[SharpestResult]],
        settings: Settings,
        parent: QWidget | None,
    ) -> None:
        """``title`` says where the files come from; the cohort is proposed after the ``folder``.
        ``worker`` plans, and is closed with the dialog. ``look`` starts the search for the sharpest
        frames of clips."""
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Import frames")
        self.setSizeGripEnabled(True)
        self._settings, self.worker = settings, worker
        self.plan: ImportPlan | None = None
        """The newest plan, None until there is one."""
        self.choices = NO_CHOICES
        self._undone: list[Choices] = []
        self._done: list[Choices] = []
        self._look = look
        self._looking: JobHandle[SharpestResult] | None = None
        self._confirmed = False
        """Whether a layout was confirmed since the newest plan was asked for."""
        self.model = ImportModel(self.devicePixelRatioF(), self)
        self.table = ImportTable(self.model)
        self.details = ImportDetails(self.model)
        self._build(title, folder, cohorts)
        self._connect()
        self._restore_size()
        self._follow()

    # -- building ---------------------------------------------------------------------------

    def _build(self, title: str, folder: Path, cohorts: list[str]) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(*[3 * theme.SPACE] * 4)
        layout.setSpacing(theme.SPACE + 4)
        layout.addLayout(self._build_head(title, folder, cohorts))
        layout.addLayout(self._build_filters())
        self.empty = theme.style(QLabel("Looking at the files"), "dim")
        self.empty.setTextFormat(Qt.TextFormat.PlainText)
        self.empty.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setMargin(6 * theme.SPACE)
        self.splitter = QSplitter(Qt.Orientation.Horizontal)
        self.splitter.setChildrenCollapsible(False)
        self.splitter.setHandleWidth(2 * theme.SPACE)
        self.splitter.addWidget(self.table)
        self.splitter.addWidget(self.details)
        self.splitter.setStretchFactor(0, 2)
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setSizes([_FIRST_SIZE[0] * 2 // 3, _FIRST_SIZE[0] // 3])
        self.body = QStackedWidget()
        self.body.addWidget(self.empty)
        self.body.addWidget(self.splitter)
        layout.addWidget(self.body, 1)
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        self.hint = theme.style(QLabel(_SAFE), "dim")
        self.hint.setWordWrap(True)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self.summary)
        words.addWidget(self.hint)
        layout.addLayout(words)
        foot = QHBoxLayout()
        foot.setSpacing(2 * theme.SPACE)
        self.bar = JobBar("Stop")
        foot.addWidget(self.bar, 1)
        foot.addStretch()
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.accept_button = theme.style(QPushButton("Import"), "primary")
        buttons.addButton(self.accept_button, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        buttons.button(QDialogButtonBox.StandardButton.Cancel).setAutoDefault(False)
        self.accept_button.setDefault(True)
        foot.addWidget(buttons)
        layout.addLayout(foot)
        self.field.setFocus()  # of a widget outside the dialog it would be lost

    def _build_head(self, title: str, folder: Path, cohorts: list[str]) -> QHBoxLayout:
        head = QHBoxLayout()
        head.setSpacing(theme.SPACE)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(theme.style(QLabel("Import frames"), "title"))
        source = ElidedLabel("dim", Qt.TextElideMode.ElideMiddle)
        source.setText(title)
        words.addWidget(source)
        head.addLayout(words, 1)
        self.keep_names = QCheckBox("Keep the names of the files")
        self.keep_names.setChecked(self._settings.get("library/keep_names", False))
        self.keep_names.setToolTip(
            "Otherwise the frames are called frame-00001 and so on. Names of files may name "
            "patients, and exports and reports would show them"
        )
        self.keep_names.toggled.connect(self._show_state)
        head.addWidget(self.keep_names)
        head.addSpacing(2 * theme.SPACE)
        head.addWidget(QLabel("Cohort"))
        self.field = QComboBox()
        self.field.setEditable(True)
        self.field.setMinimumWidth(240)
        self.field.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        name = folder.name or "frames"
        likeness = None if name in cohorts else looks_like(name)
        offered = [name] if likeness is None else [free_cohort(cohorts), name]
        if likeness is not None:
            question = QLabel(
                f"The name of the folder looks like {likeness}. Cohorts are named in reports, "
                f"exports and model cards: is {offered[0]} the better name?"
            )
            question.setWordWrap(True)
            words.addWidget(theme.style(question, "warning"))
        self.field.addItems([*offered, *(c for c in cohorts if c != name)])
        completer = self.field.completer()
        if completer is not None:  # completing inline takes the first Enter for itself
            completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        self.field.setToolTip(
            "The frames of one scanner or one hospital; models are evaluated by cohort"
        )
        self.field.setAccessibleName("Cohort")
        edit = self.field.lineEdit()
        if edit is not None:
            edit.selectAll()
        head.addWidget(self.field)
        return head

    def _build_filters(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE // 2)
        group = QButtonGroup(self)
        self.kinds: dict[Kind, QPushButton] = {}
        for number, kind in enumerate(Kind):
            button = theme.style(QPushButton(), "quiet")
            button.setCheckable(True)
            button.setAutoDefault(False)
            button.setShortcut(QKeySequence(f"Alt+{number}"))
            button.setToolTip(theme.tip(f"Show files: {kind.lower()}", f"Alt+{number}"))
            group.addButton(button)
            self.kinds[kind] = button
            row.addWidget(button)
        self.kinds[Kind.ALL].setChecked(True)
        group.buttonClicked.connect(lambda _button: self._choose())
        self.next_button = QPushButton("Next in doubt")
        self.next_button.setAutoDefault(False)
        self.next_button.setToolTip(theme.tip("Select the next file that is in doubt", "N"))
        self.next_button.clicked.connect(self.table.next_open)
        row.addWidget(self.next_button)
        row.addStretch()
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search")
        self.search.setClearButtonEnabled(True)
        self.search.setMaximumWidth(200)
        self.search.setToolTip(
            theme.tip("Show files with this text in their path or subject", "Ctrl+F")
        )
        glass = icons.icon("search", theme.TEXT_DIM)
        self.search.addAction(glass, QLineEdit.ActionPosition.LeadingPosition)
        self.search.textChanged.connect(self._choose)
        row.addWidget(self.search)
        return row

    def _connect(self) -> None:
        worker = self.worker
        worker.planned.connect(self._planned)
        worker.failed.connect(self._failed)
        worker.stopped.connect(self._stopped)
        self.field.currentTextChanged.connect(lambda _text: self._show_state())
        # One click changes both, and a click on a header all rows at once.
        self._details_timer = QTimer(self, singleShot=True, interval=0)
        self._details_timer.timeout.connect(self._show_details)
        self.model.modelReset.connect(self._details_timer.start)
        selection = self.table.selectionModel()
        selection.selectionChanged.connect(lambda *_: self._details_timer.start())
        selection.currentChanged.connect(lambda *_: self._details_timer.start())
        self.table.digit.connect(lambda n, alike: self.details.answer(n, alike=alike))
        self.table.entered.connect(self.details.focus)
        self.table.leave_out.connect(lambda: self.details.leave_out.click())
        self.details.answered.connect(self._answered)
        self.details.subject_entered.connect(self._subject_entered)
        self.details.left_out.connect(self._left_out)
        self.details.assigned.connect(self._assigned)
        self.details.screen_asked.connect(self._ask_screen)
        self.details.clip_asked.connect(self._ask_clip)
        for keys, slot in (
            (QKeySequence.StandardKey.Undo, self.undo),
            (QKeySequence.StandardKey.Redo, self.redo),
            (QKeySequence.StandardKey.Find, self._focus_search),
        ):
            QShortcut(QKeySequence(keys), self).activated.connect(slot)
        PlaceShortcuts(self)

    # -- the plan ---------------------------------------------------------------------------

    @property
    def cohort(self) -> str:
        """The name entered or chosen."""
        return self.field.currentText().strip()

    @property
    def decided(self) -> Choices:
        """What was chosen, with the cohort."""
        return replace(self.choices, cohort=self.cohort)

    def _planned(self, plan: ImportPlan) -> None:
        first = self.plan is None
        self.plan, self._confirmed = plan, False
        self._show_plan()
        if first:
            self.table.fit_columns()
            self.body.setCurrentWidget(self.splitter)
            nobody_enters_a_cohort = self.cohort == self.field.itemText(0)
            if self.model.counts()[Kind.DOUBTS] and nobody_enters_a_cohort:
                self.table.setFocus()

    def _show_plan(self) -> None:
        if self.plan is None:
            return
        self.model.show_plan(self.plan, self.choices)
        self._details_timer.start()
        self._show_state()

    def _show_details(self) -> None:
        if self.plan is not None:
            source = self.plan.source if self.plan.source.is_dir() else self.plan.source.parent
            confirmed = {sample.layout: sample.confirmed for sample in self.plan.screens}
            rows = self.table.selected()
            self.details.show_rows(rows, self.choices, str(source), confirmed)

    def _show_state(self) -> None:
        """The counts, and whether it can be imported."""
        counts = self.model.counts()
        for kind, button in self.kinds.items():
            # Qt keeps the shortcut only while the text stays: both are set together.
            keys = button.shortcut()
            button.setText(f"{kind}  {counts[kind]}")
            button.setShortcut(keys)
            button.setVisible(kind in (Kind.ALL, Kind.DOUBTS) or counts[kind] > 0)
        doubts = counts[Kind.DOUBTS]
        self.next_button.setVisible(doubts > 0)
        self.hint.setVisible(doubts > 0)
        plan = self.plan
        # To stop the first look is to cancel the import, for which there is a button already.
        self.bar.cancel_button.setVisible(plan is not None)
        self.accept_button.setText("Import the safe part" if doubts else "Import")
        current = plan is not None and plan.choices == self.choices and not self._confirmed
        some = plan is not None and any(frame.frame_id for frame in plan.frames)
        ready = current and some and self._looking is None
        self.accept_button.setEnabled(ready and bool(self.cohort))
        if plan is None:
            return
        found = plan.counts()
        text = found.summary()
        if found.frames > 1 and found.subjects == found.frames + found.duplicates:
            text = f"{text[:-1]}. Each frame counts as a patient of its own."
        renamed = plan.renamed(keep_names=self.keep_names.isChecked())
        if renamed is not None and plan.cohort == self.cohort:
            text = f"{text} {renamed}"
        self.summary.setText(text)

    def _failed(self, message: str, _details: str) -> None:
        self.plan = None
        self.empty.setText(message)
        theme.style(self.empty, "error")
        self.body.setCurrentWidget(self.empty)
        self._show_state()

    def _stopped(self) -> None:
        if self.plan is not None:
            self.choices = self.plan.choices
            self._show_plan()

    # -- choices ----------------------------------------------------------------------------

    def _answered(self, question: str, value: str, keys: list[str]) -> None:
        if (question, value) == (Question.FRAMES, SHARPEST):
            self._find_sharpest(keys)
        else:
            self._choose_also(Choices.of([(question, value, tuple(keys))]))

    def _find_sharpest(self, clips: list[str]) -> None:
        """Let the segmenter look for the best frame of each clip; it is then chosen by number."""
        known = {} if self.plan is None else self.plan.clips
        paths = {known[key].path: key for key in clips if key in known}
        looking = self._looking = self._look(tuple(paths))

        def found(result: SharpestResult) -> None:
            if self._looking is not looking:
                return
            chosen = [
                (Question.FRAMES, str(number), (paths[path],))
                for path, number in result.numbers.items()
            ]
            self._choose_also(Choices.of(chosen))
            if without := len(paths) - len(result.numbers):
                self.details.facts.setText(
                    f"No head was seen in {counted(without, 'clip')}. Choose frames by hand."
                )

        def ended() -> None:
            if self._looking is looking:
                self._looking = None
                self._details_timer.start()  # the answer that was clicked is not given yet
                self._show_state()

        looking.on_finished(found)
        looking.ended.connect(ended)
        self.bar.follow(looking)
        self._show_state()

    def _ask_clip(self, key: str) -> None:
        """Let a person choose the frames of a clip by hand."""
        plan = self.plan
        clip = None if plan is None else plan.clips.get(key)
        if plan is None or clip is None or clip.video is None:
            return
        given = self.choices.answers(key, key).get(Question.FRAMES, MIDDLE)
        chosen = chosen_frames(given, clip.video.count)
        dialog = ClipDialog(clip, plan.redactor, chosen, self)
        dialog.accepted.connect(lambda: self._answered(Question.FRAMES, dialog.choice, [key]))
        dialog.open()

    def _subject_entered(self, subject: str) -> None:
        # The frames of a clip are of one subject.
        frames = (row.frame for row in self.table.selected() if row.frame is not None)
        keys = tuple(dict.fromkeys(frame.clip or frame.key for frame in frames))
        if not subject:
            self._decide(self.choices.without(Question.SUBJECT, keys))
            return
        try:
            self._choose_also(Choices.of([(Question.SUBJECT, subject, keys)]))
        except InputError as error:
            self.details.facts.setText(str(error))

    def _left_out(self, left_out: bool) -> None:
        keys = tuple(row.key for row in self.table.selected() if row.frame is not None)
        if left_out:
            self._choose_also(Choices.of([(Question.ROLE, LEAVE_OUT, keys)]))
        else:
            self._decide(self.choices.without(Question.ROLE, keys))

    def _assigned(self, picture: str, frame: str) -> None:
        self._choose_also(Choices.of([(Question.ANNOTATION, picture, (frame,))]))

    def _ask_screen(self, layout: str) -> None:
        """Ask what may be stored of the screens of a layout, and plan again with it."""
        found = () if self.plan is None else self.plan.screens
        for sample in (sample for sample in found if sample.layout == layout):
            dialog = RedactionDialog(sample, 1, 1, self)
            dialog.accepted.connect(lambda d=dialog: self._screen_confirmed(layout, d.confirmed))
            dialog.open()

    def _screen_confirmed(self, layout: str, how: Layout) -> None:
        try:
            remember({layout: how})
        except UserError as error:
            self.details.facts.setText(str(error))
            return
        self._confirmed = True
        self._follow()

    def _choose_also(self, more: Choices) -> None:
        self._decide(self.choices.joined(more))

    def _decide(self, choices: Choices) -> None:
        if choices != self.choices:
            self._done.append(self.choices)
            self._undone.clear()
            self._use(choices)

    def undo(self) -> None:
        """Take the last choice back."""
        if self._done:
            self._undone.append(self.choices)
            self._use(self._done.pop())

    def redo(self) -> None:
        """Choose again what was taken back."""
        if self._undone:
            self._done.append(self.choices)
            self._use(self._undone.pop())

    def _use(self, choices: Choices) -> None:
        self.choices = choices
        self._show_plan()
        self._follow()

    def _follow(self) -> None:
        self.bar.follow(self.worker.plan(self.choices), queued="Looking at the files")
        self._show_state()

    # -- the rest ---------------------------------------------------------------------------

    def _choose(self) -> None:
        kind = next(kind for kind, button in self.kinds.items() if button.isChecked())
        self.model.choose(kind, self.search.text())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Return in a field enters what is in it; elsewhere it imports."""
        entering = self.focusWidget() in (self.search, self.details.subject)
        if not (entering and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)):
            super().keyPressEvent(event)

    def _focus_search(self) -> None:
        self.search.setFocus()
        self.search.selectAll()

    def _restore_size(self) -> None:
        width = self._settings.get("import/width", _FIRST_SIZE[0])
        height = self._settings.get("import/height", _FIRST_SIZE[1])
        self.resize(QSize(width, height).boundedTo(room_for(self)))
        state = self._settings.get("import/splitter", "")
        self.splitter.restoreState(QByteArray.fromBase64(state.encode()))

    def done(self, result: int) -> None:
        """Close, remember the size and end the worker."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
        self._settings.set("library/keep_names", self.keep_names.isChecked())
        self._settings.set("import/width", self.width())
        self._settings.set("import/height", self.height())
        state = bytes(self.splitter.saveState().toBase64().data()).decode()
        self._settings.set("import/splitter", state)
        self.worker.close()
        super().done(result)
