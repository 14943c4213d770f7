"""Correcting the subject and cohort of frames, removing frames, and renaming cohorts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QLabel, QLineEdit, QWidget

from fetalstudio.core.errors import UserError
from fetalstudio.core.words import counted
from fetalstudio.project.amendments import Amendments
from fetalstudio.project.records import Amendment, Frame
from fetalstudio.project.removal import removal_effect, sentences, subject_effect
from fetalstudio.ui.commands import AmendFrames
from fetalstudio.ui.common.ask_dialog import AskDialog
from fetalstudio.ui.session import Session

_NAMED = 4
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
        self.field.setEditable(True)
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
        subjects = sorted({frame.subject for frame in self.session.open.frames.all()})
        effect = subject_effect(self.session.open, _ids(frames))
        advice = " ".join([_SUBJECT_ADVICE, *effect])
        dialog = KeyDialog("subject", advice, frames, subjects, self._window)

        def amend() -> None:
            try:
                subject = self.session.open.patients.key(dialog.key)
            except UserError as error:
                self.session.report(error)
                return
            self._push(
                f"set the subject of {counted(len(frames), 'frame')}",
                lambda held, author: held.set_subject(_ids(frames), subject, author=author),
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
                lambda held, author: held.set_cohort(_ids(frames), cohort, author=author),
            )

        dialog.accepted.connect(amend)
        dialog.open()

    def remove(self, frames: Sequence[Frame]) -> None:
        """Say what is removed with the frames, and remove them if the person confirms."""
        if not self._some(frames):
            return
        try:
            effect = sentences(removal_effect(self.session.open, _ids(frames)))
        except UserError as error:
            self.session.report(error)
            return
        dialog = RemoveDialog(effect, self._window)
        dialog.accepted.connect(
            lambda: self._push(
                f"remove {counted(len(frames), 'frame')}",
                lambda held, author: held.remove(_ids(frames), author=author),
            )
        )
        dialog.open()

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
                lambda held, author: held.rename_cohort(old, new, author=author),
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
                lambda held, author: held.merge_cohorts([cohort], into, author=author),
            )

        dialog.accepted.connect(merge)
        dialog.open()

    def _push(self, text: str, amend: Callable[[Amendments, str], Amendment]) -> None:
        self.session.undo_stack.push(AmendFrames(self.session, text, amend))

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
