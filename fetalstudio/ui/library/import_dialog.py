"""The dialog that asks which cohort imported frames belong to."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QCompleter, QLabel, QSizePolicy, QWidget

from fetalstudio.formats.identifiers import looks_like
from fetalstudio.project.deidentifying import free_cohort
from fetalstudio.ui.common.ask_dialog import AskDialog


class ImportDialog(AskDialog):
    """Asks for the cohort of the frames in ``source``, or of ``files`` of its files."""

    def __init__(
        self,
        source: Path,
        files: int,
        cohorts: list[str],
        parent: QWidget | None,
        *,
        keep_names: bool = False,
    ) -> None:
        super().__init__("Import frames", "Import", parent)
        self.explain(
            "Frames are copied into the project; the files are not changed. Annotations next to "
            "them (masks, rings, COCO, YOLO and others) are imported as final ellipses."
        )
        which = f"{files} of the files in {source}" if files else str(source)
        self.form.addRow("From", _plain_label(which))
        self.field = self.add_choice("Cohort")
        self.field.setEditable(True)
        name = source.name or "frames"
        likeness = None if name in cohorts else looks_like(name)
        offered = [name] if likeness is None else [free_cohort(cohorts), name]
        if likeness is not None:
            self.explain(
                f"The name of the folder looks like {likeness}. Cohorts are named in reports, "
                f"exports and model cards: is {offered[0]} the better name for this one?"
            )
        self.field.addItems([*offered, *(c for c in cohorts if c != name)])
        self.field.setToolTip(
            "The frames of one scanner or one hospital; models are evaluated by cohort"
        )
        completer = self.field.completer()
        if completer is not None:  # completing inline takes the first Enter for itself
            completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        edit = self.field.lineEdit()
        if edit is not None:
            edit.selectAll()
        self.keep_names = QCheckBox("Keep the names of the files")
        self.keep_names.setChecked(keep_names)
        self.keep_names.setToolTip(
            "Otherwise the frames are called frame-00001 and so on. Names of files may name "
            "patients, and exports and reports would show them"
        )
        self.form.addRow("", self.keep_names)
        self.field.setFocus()
        self.field.currentTextChanged.connect(
            lambda text: self.accept_button.setEnabled(bool(text.strip()))
        )

    @property
    def cohort(self) -> str:
        """The name entered or chosen."""
        return self.field.currentText().strip()


def _plain_label(text: str) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    # A form layout lets only some kinds of field grow; a narrow one would cut long paths.
    label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    return label
