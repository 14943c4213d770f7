"""The base of every dialog that asks for input."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.ui import theme
from fetalstudio.ui.common.breaking_label import BreakingLabel


class AskDialog(QDialog):
    """A form whose main button carries a verb; Enter accepts, Esc cancels."""

    def __init__(self, title: str, verb: str, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        self.setMinimumWidth(520)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(*[3 * theme.SPACE] * 4)
        self._layout.setSpacing(2 * theme.SPACE)
        self._layout.addWidget(theme.style(QLabel(title), "title"))
        self.form = QFormLayout()
        self.form.setHorizontalSpacing(2 * theme.SPACE)
        self.form.setVerticalSpacing(theme.SPACE + 4)
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        self._layout.addLayout(self.form)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.accept_button = theme.style(QPushButton(verb), "primary")
        buttons.addButton(self.accept_button, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        self._layout.addWidget(buttons)
        cancel = buttons.button(QDialogButtonBox.StandardButton.Cancel)
        cancel.setAutoDefault(False)
        self.accept_button.setDefault(True)

    def explain(self, text: str) -> None:
        """Add a muted paragraph above the form."""
        label = theme.style(BreakingLabel(text), "dim")
        self._layout.insertWidget(self._layout.count() - 2, label)

    def make_editable(self, box: QComboBox) -> None:
        """Let any text be entered in a box; Enter in it accepts, as in other fields."""
        box.setEditable(True)
        box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        edit = box.lineEdit()
        if edit is not None:
            edit.returnPressed.connect(self.accept_button.click)

    def add_choice(self, label: str) -> QComboBox:
        """Add a row with a combo box as wide as the form, and return the box."""
        box = QComboBox()
        # A form layout lets only some kinds of field grow.
        box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.form.addRow(label, box)
        return box
