"""Correcting what is known of frames, removing frames, and forgetting patients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TypeVar

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QCheckBox, QLabel, QLineEdit, QRadioButton, QWidget

from fetalstudio.core.errors import UserError
from fetalstudio.core.progress import Stopped
from fetalstudio.core.words import counted
from fetalstudio.engine.forgetting import (
    CANNOT_BE_UNDONE,
    ForgettingPlan,
    forget,
    plan_forgetting,
)
from fetalstudio.project.regrouping import Regrouper
from fetalstudio.project.removal import removal_effect, sentences, subject_effect
from fetalstudio.project.store.records import Frame
from fetalstudio.ui import theme
from fetalstudio.ui.commands import Amend, AmendFrames
from fetalstudio.ui.common.ask_dialog import AskDialog
from fetalstudio.ui.library.group_dialog import GroupDialog
from fetalstudio.ui.library.value_dialogs import CalibrationDialog, LabelDialog
from fetalstudio.ui.session import Session
from fetalstudio.ui.waiting import Task

Found = TypeVar("Found")

_NAMED = 4
_VALUES = 50
"""How many values of a label are offered."""
_NOT_FORGOTTEN = "Nothing was deleted."
_SUBJECT_ADVICE = (
    "All frames of a subject are in the same part of a split: training, validation or test. Choose "
    "a key of the list, or enter how the patient is called: only a key made from it is stored."
)
_COHORT_ADVICE = "A frame whose name is taken in the new cohort gets a number."


class KeyDialog(AskDialog):
    """Asks for the subject or the cohort of some frames: a known one or a new one."""

    def __init__(
        self, word: str, advice: str, frames: Sequence[Frame], keys: list[str], parent: QWidget
    ) -> None:
        """``word`` is ``subject`` or ``cohort``; ``keys`` are the known ones."""
        super().__init__(f"Set the {word}", f"Set {word}", parent)
        self.explain(f"{_said(frames)}. {advice}")
        self.field = self.add_choice(word.capitalize())
        self.make_editable(self.field)
        self.field.addItems(keys)
        self.field.setCurrentText(getattr(frames[0], word))
        edit = self.field.lineEdit()
        if edit is not None:
            edit.selectAll()
        self.field.setFocus()
        self.field.currentTextChanged.connect(
            lambda text: self.accept_button.setEnabled(bool(text.strip()))
        )

    @property
    def key(self) -> str:
        """What was entered or chosen."""
        return self.field.currentText().strip()


class RenameDialog(AskDialog):
    """The new name of a cohort."""

    def __init__(self, cohorts: list[str], chosen: str, parent: QWidget) -> None:
        super().__init__("Rename a cohort", "Rename", parent)
        self._cohorts = cohorts
        self.cohort_box = self.add_choice("Cohort")
        self.cohort_box.addItems(cohorts)
        self.cohort_box.setCurrentText(chosen)
        self.field = QLineEdit(chosen)
        self.field.selectAll()
        self.form.addRow("New name", self.field)
        self.hint = QLabel()
        self.hint.setTextFormat(Qt.TextFormat.PlainText)
        self.hint.setWordWrap(True)
        self.form.addRow("", self.hint)
        self.field.setFocus()
        self.field.textChanged.connect(self._check)
        self.cohort_box.currentTextChanged.connect(self.field.setText)
        self._check()

    def _check(self) -> None:
        taken = self.name in self._cohorts and self.name != self.cohort
        self.hint.setText(
            "Another cohort has this name. Merge them with Merge cohort into." if taken else ""
        )
        self.accept_button.setEnabled(bool(self.name) and self.name != self.cohort and not taken)

    @property
    def cohort(self) -> str:
        """The cohort to rename."""
        return self.cohort_box.currentText()

    @property
    def name(self) -> str:
        """Its new name."""
        return self.field.text().strip()


class MergeDialog(AskDialog):
    """Asks for a cohort and the one that takes its frames."""

    def __init__(self, cohorts: list[str], chosen: str, parent: QWidget) -> None:
        super().__init__("Merge cohorts", "Merge", parent)
        self.explain("All frames of the cohort move. A frame whose name is taken gets a number.")
        self.cohort_box = self.add_choice("Cohort")
        self.cohort_box.addItems(cohorts)
        self.cohort_box.setCurrentText(chosen)
        self.into_box = self.add_choice("Into")
        self.into_box.addItems(cohorts)
        self.into_box.setCurrentText(next(name for name in cohorts if name != chosen))
        for box in (self.cohort_box, self.into_box):
            box.currentTextChanged.connect(
                lambda _text: self.accept_button.setEnabled(self.cohort != self.into)
            )

    @property
    def cohort(self) -> str:
        """The cohort whose frames move."""
        return self.cohort_box.currentText()

    @property
    def into(self) -> str:
        """The cohort that takes its frames."""
        return self.into_box.currentText()


class RemoveDialog(AskDialog):
    """Lists what a removal removes, and asks for confirmation."""

    def __init__(self, effect: Sequence[str], parent: QWidget) -> None:
        super().__init__("Remove frames?", "Remove", parent)
        for sentence in effect:
            self.explain(sentence)
        self.explain(
            "You can undo this until the project is closed; the frames are then deleted for good. "
            "The files that they were imported from stay."
        )


class DecideDialog(AskDialog):
    """Names what a person should decide before frames become of other subjects."""

    def __init__(self, questions: Sequence[str], verb: str, parent: QWidget) -> None:
        super().__init__("Is this right?", verb, parent)
        for question in questions:
            self.explain(question)


class ForgetDialog(AskDialog):
    """Says what is deleted for good, and asks what becomes of the models that learned from it."""

    def __init__(self, plan: ForgettingPlan, parent: QWidget) -> None:
        patients = len(plan.subjects)
        whom = "this patient" if patients == 1 else f"these {patients} patients"
        super().__init__(f"Forget {whom}?", "Delete for good", parent)
        for sentence in plan.sentences():
            self.explain(sentence)
        self.remove_models = QRadioButton("Delete the models that learned from them")
        self.keep_models = QRadioButton("Keep these models, which go on knowing what they learned")
        self._asks = bool(plan.learned)
        if self._asks:
            self.form.addRow(self.remove_models)
            self.form.addRow(self.keep_models)
        self.remove_outside = QCheckBox("Delete the exports outside the project too")
        self.remove_outside.setToolTip(
            "Of each folder, the files that the export wrote. Other files in it stay"
        )
        if plan.outside:
            self.form.addRow(self.remove_outside)
        warning = theme.style(QLabel(CANNOT_BE_UNDONE), "warning")
        warning.setWordWrap(True)
        self.form.addRow(warning)
        self.understood = QCheckBox("Delete all of this; I know that it cannot be undone")
        self.form.addRow(self.understood)
        for button in (self.remove_models, self.keep_models, self.understood):
            button.toggled.connect(self._check)
        self._check()

    def _check(self) -> None:
        decided = self.remove_models.isChecked() or self.keep_models.isChecked()
        self.accept_button.setEnabled(self.understood.isChecked() and (decided or not self._asks))


class AmendFlow(QObject):
    """Asks for what an amendment needs, and makes each amendment a step of undo."""

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self.session = session
        self._window = parent

    def set_subject(self, frames: Sequence[Frame]) -> None:
        """Ask for the subject of the frames."""
        if not self._some(frames):
            return
        regrouper = self._regrouper()
        if regrouper is None:
            return
        subjects = sorted({frame.subject for frame in self.session.open.frames.all()})
        effect = subject_effect(self.session.open, _ids(frames))
        advice = " ".join([_SUBJECT_ADVICE, *effect])
        dialog = KeyDialog("subject", advice, frames, subjects, self._window)
        others = regrouper.same_video(_ids(frames))
        also = QCheckBox(f"Also for the {counted(len(others), 'other frame')} of the same video")
        if others:
            also.setChecked(True)
            dialog.form.addRow("", also)

        def amend() -> None:
            try:
                subject = self.session.open.patients.key(dialog.key)
            except UserError as error:
                self.session.report(error)
                return
            chosen = [*frames, *(others if also.isChecked() else [])]
            self._regroup(regrouper, dict.fromkeys(_ids(chosen), subject), "Set subject")

        dialog.accepted.connect(amend)
        dialog.open()

    def group(self, frames: Sequence[Frame]) -> None:
        """Ask for the pattern by which the names of the frames say their subjects."""
        regrouper = self._regrouper() if self._some(frames) else None
        if regrouper is None:
            return
        dialog = GroupDialog(regrouper, frames, self._window)
        dialog.accepted.connect(
            lambda: self._regroup(regrouper, dialog.grouping.subjects, "Group frames")
        )
        dialog.open()

    def _regrouper(self) -> Regrouper | None:
        try:
            return Regrouper(self.session.open)
        except UserError as error:
            self.session.report(error)
            return None

    def _regroup(self, regrouper: Regrouper, subjects: Mapping[str, str], verb: str) -> None:
        """Set the subjects, by frame id, after a person has decided what is to be decided."""

        def push() -> None:
            self._push(
                f"set the subject of {counted(len(subjects), 'frame')}",
                len(subjects),
                lambda held, /, **how: held.set_subjects(subjects, **how),
            )

        questions = regrouper.questions(subjects)
        if not questions:
            push()
            return
        dialog = DecideDialog(questions, verb, self._window)
        dialog.accepted.connect(push)
        dialog.open()

    def set_label(self, frames: Sequence[Frame]) -> None:
        """Ask for a label and its value."""
        if not self._some(frames):
            return
        known: dict[str, set[str]] = defaultdict(set)
        for frame in self.session.open.frames.all():
            for name, value in frame.labels.items():
                known[name].add(value)
        values = {name: sorted(held)[:_VALUES] for name, held in known.items()}
        dialog = LabelDialog(frames, values, _said(frames), self._window)

        def amend() -> None:
            name, value = dialog.name, dialog.value
            verb = "set" if value else "remove"
            self._push(
                f"{verb} the label {name} of {counted(len(frames), 'frame')}",
                len(frames),
                lambda held, /, **how: held.set_label(_ids(frames), name, value, **how),
            )

        dialog.accepted.connect(amend)
        dialog.open()

    def set_calibration(self, frames: Sequence[Frame]) -> None:
        """Ask for the pixel size of the frames."""
        if not self._some(frames):
            return
        dialog = CalibrationDialog(frames, _said(frames), self._window)

        def amend() -> None:
            chosen = dialog.chosen
            self._push(
                f"set the calibration of {counted(len(chosen), 'frame')}",
                len(chosen),
                lambda held, /, **how: held.set_calibrations(chosen, **how),
            )

        dialog.accepted.connect(amend)
        dialog.open()

    def set_cohort(self, frames: Sequence[Frame]) -> None:
        """Ask for the cohort of the frames."""
        if not self._some(frames):
            return
        cohorts = self.session.open.frames.cohorts()
        dialog = KeyDialog("cohort", _COHORT_ADVICE, frames, cohorts, self._window)

        def amend() -> None:
            cohort = dialog.key
            self._push(
                f"set the cohort of {counted(len(frames), 'frame')}",
                len(frames),
                lambda held, /, **how: held.set_cohort(_ids(frames), cohort, **how),
            )

        dialog.accepted.connect(amend)
        dialog.open()

    def remove(self, frames: Sequence[Frame]) -> None:
        """Say what is removed with the frames, and remove them if the person confirms."""
        if not self._some(frames):
            return
        ids = _ids(frames)
        effect = self._found(
            "Looking for what goes with the frames",
            len(ids),
            lambda project, progress: sentences(removal_effect(project, ids, progress)),
        )
        if effect is None:
            return
        dialog = RemoveDialog(effect, self._window)
        dialog.accepted.connect(
            lambda: self._push(
                f"remove {counted(len(frames), 'frame')}",
                len(frames),
                lambda held, /, **how: held.remove(_ids(frames), **how),
            )
        )
        dialog.open()

    def forget(self, frames: Sequence[Frame]) -> None:
        """Say what is deleted with the subjects of the frames, and delete it for good if the person
        confirms."""
        if not self._some(frames):
            return
        subjects = [frame.subject for frame in frames]
        plan = self._found(
            "Looking for all traces",
            self._count(),
            lambda project, progress: plan_forgetting(project, subjects, progress),
        )
        if plan is None:
            return
        dialog = ForgetDialog(plan, self._window)
        dialog.accepted.connect(
            lambda: self._forget(
                plan,
                remove_models=dialog.remove_models.isChecked(),
                remove_outside=dialog.remove_outside.isChecked(),
            )
        )
        dialog.open()

    def _forget(self, plan: ForgettingPlan, *, remove_models: bool, remove_outside: bool) -> None:
        session, author = self.session, self.session.author
        order = [frame.id for frame in session.frames()]
        try:
            session.check_idle()
            left = session.wait_for(
                f"Forget {counted(len(plan.subjects), 'patient')}",
                lambda project, progress: forget(
                    project,
                    plan,
                    author=author,
                    remove_models=remove_models,
                    remove_outside=remove_outside,
                    progress=progress,
                ),
                frames=self._count(),
            )
        except Stopped as stopped:
            session.models_changed.emit()
            session.message.emit(str(stopped.result or _NOT_FORGOTTEN), "warning")
            return
        except UserError as error:
            if session.open.frames.find(plan.frames[0].id) is None:
                session.forgotten(order)
            session.models_changed.emit()
            session.report(error)
            return
        session.forgotten(order)
        done = f"All traces of {counted(len(plan.frames), 'frame')} were deleted for good."
        session.message.emit(" ".join([done, *left]), "warning" if left else "info")

    def _found(self, title: str, frames: int, look: Task[Found]) -> Found | None:
        """What the project says; None, after a notice, where it cannot be known or the person
        cancels."""
        try:
            return self.session.wait_for(title, look, frames=frames)
        except Stopped:
            return None
        except UserError as error:
            self.session.report(error)
            return None

    def rename_cohort(self, chosen: str | None) -> None:
        """Ask for a cohort, by default ``chosen``, and its new name."""
        cohorts = self._cohorts(1)
        if cohorts is None:
            return
        dialog = RenameDialog(cohorts, chosen or cohorts[0], self._window)

        def rename() -> None:
            old, new = dialog.cohort, dialog.name
            self._push(
                f"rename cohort {old}",
                self._count(old),
                lambda held, /, **how: held.rename_cohort(old, new, **how),
            )

        dialog.accepted.connect(rename)
        dialog.open()

    def merge_cohorts(self, chosen: str | None) -> None:
        """Ask for a cohort, by default ``chosen``, and the one that takes its frames."""
        cohorts = self._cohorts(2)
        if cohorts is None:
            return
        dialog = MergeDialog(cohorts, chosen or cohorts[0], self._window)

        def merge() -> None:
            cohort, into = dialog.cohort, dialog.into
            self._push(
                f"merge cohort {cohort} into {into}",
                self._count(cohort),
                lambda held, /, **how: held.merge_cohorts([cohort], into, **how),
            )

        dialog.accepted.connect(merge)
        dialog.open()

    def _push(self, text: str, frames: int, amend: Amend) -> None:
        stack = self.session.undo_stack
        before = stack.index()
        stack.push(AmendFrames(self.session, text, frames, amend))
        if stack.index() > before:
            self.session.message.emit(f"Done: {text}. Ctrl+Z takes it back.", "info")

    def _count(self, cohort: str | None = None) -> int:
        """The number of frames of a cohort, or of all."""
        return len(self.session.open.frames.all(cohort=cohort))

    def _some(self, frames: Sequence[Frame]) -> bool:
        if not frames:
            self.session.message.emit("Select the frames to amend first.", "info")
        return bool(frames)

    def _cohorts(self, least: int) -> list[str] | None:
        project = self.session.project
        cohorts = project.frames.cohorts() if project is not None else []
        if len(cohorts) >= least:
            return cohorts
        text = "There is no cohort yet." if not cohorts else "There is only one cohort."
        self.session.message.emit(f"{text} Import frames into another one first.", "info")
        return None


def _ids(frames: Sequence[Frame]) -> list[str]:
    return [frame.id for frame in frames]


def _said(frames: Sequence[Frame]) -> str:
    names = ", ".join(frame.name for frame in frames[:_NAMED])
    more = f" and {len(frames) - _NAMED} more" if len(frames) > _NAMED else ""
    return f"{counted(len(frames), 'frame')}: {names}{more}"
