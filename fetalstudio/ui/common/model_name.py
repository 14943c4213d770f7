"""The field for the name of a new model, which reports a bad name at once."""

from __future__ import annotations

from collections.abc import Callable, Collection

from PySide6.QtWidgets import QLabel, QLineEdit

from fetalstudio.core.errors import InputError
from fetalstudio.core.names import checked_model_name
from fetalstudio.ui import theme


class ModelNameBox(QLineEdit):
    """A field whose emptiness stands for an automatic name. ``message`` shows what is wrong."""

    def __init__(self, placeholder: str, taken: Callable[[], Collection[str]]) -> None:
        """``taken`` gives the names that a new model cannot have."""
        super().__init__()
        self._taken = taken
        self.name: str | None = None
        """The name as it will be given to the model; None for an automatic one."""
        self.problem = ""
        """What is wrong with the name, for a person; empty where nothing is."""
        self.message = theme.style(QLabel(), "error")
        self.message.setWordWrap(True)
        self.message.hide()
        self.setPlaceholderText(placeholder)
        self.textChanged.connect(self.check)

    def check(self) -> None:
        """Check the name again: others may have been taken since it was entered."""
        self.name, self.problem = None, ""
        if self.text().strip():
            try:
                self.name = checked_model_name(self.text(), self._taken())
            except InputError as error:
                self.problem = str(error)
        self.message.setText(self.problem)
        self.message.setVisible(bool(self.problem))
