"""Which synthesizer makes the pictures: the built-in one, or one of the project's own."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QPushButton, QWidget

from fetalstudio.core.errors import BadInput
from fetalstudio.core.model_card import ModelCard
from fetalstudio.project.runs import BUILT_IN
from fetalstudio.ui import theme
from fetalstudio.ui.session import Session
from fetalstudio.ui.widgets.form import Section, combo, note


class SynthesizerChoice(Section):
    """Choosing one adopts it, as a step of undo: all that synthesises uses it from then on."""

    changed = Signal()
    """Another synthesizer is in use."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__("Synthesizer", parent)
        self._session = session
        self._name = BUILT_IN
        self.box = combo()
        self.box.activated.connect(self._chosen)
        self.about = note()
        self.adapt_button = QPushButton("Adapt to my frames...")
        self.adapt_button.setToolTip("Fit the synthesizer to your own annotated frames")
        self.row("Model", self.box, theme.tip("What makes the pictures", "Y"))
        self.add(self.about)
        self.add(self.adapt_button)
        session.models_changed.connect(self.refresh)
        session.project_changed.connect(self.refresh)
        self.refresh()

    def take_next_by(self, page: QWidget) -> None:
        """Let a key on ``page`` take the next synthesizer."""
        shortcut = QShortcut(QKeySequence("Y"), page)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.setWhatsThis("Take the next synthesizer")
        shortcut.activated.connect(self.take_next)

    @property
    def name(self) -> str:
        """The synthesizer in use."""
        return self._name

    def refresh(self) -> None:
        """Read the project's synthesizers and which of them is in use."""
        project = self._session.project
        models = project.models("synthesizer") if project is not None else []
        active = project.active_model("synthesizer") if project is not None else None
        before, self._name = self._name, active.name if active is not None else BUILT_IN
        blocker = QSignalBlocker(self.box)
        self.box.clear()
        self.box.addItem(f"{BUILT_IN}  (built in)", BUILT_IN)
        for model in models:
            self.box.addItem(model.name, model.name)
        self.box.setCurrentIndex(self.box.findData(self._name))
        blocker.unblock()
        self.box.setEnabled(self.box.count() > 1)
        self.about.setText("" if active is None else self._about(active.path))
        self.about.setVisible(bool(self.about.text()))
        if before != self._name:
            self.changed.emit()

    def take_next(self) -> None:
        """The next one in the list, after the last the first."""
        if self.box.count() > 1:
            self._use(str(self.box.itemData((self.box.currentIndex() + 1) % self.box.count())))

    def _chosen(self, index: int) -> None:
        self._use(str(self.box.itemData(index)))

    def _use(self, name: str) -> None:
        if name != self._name:
            self._session.adopt(None if name == BUILT_IN else name, "synthesizer")
        self.refresh()

    def _about(self, path: str) -> str:
        try:
            learnt = ModelCard.read(self._session.open.path / path).training_data
        except BadInput as error:
            return str(error)
        if "cohorts" not in learnt or "started_from" not in learnt:
            return ""
        cohorts = ", ".join(learnt["cohorts"])
        return f"{learnt['started_from']}, adapted to {learnt['frames']} frames of {cohorts}"
