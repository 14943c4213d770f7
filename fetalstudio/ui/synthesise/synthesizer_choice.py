"""The choice of the synthesizer: the built-in one, or one of the project."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QPushButton, QWidget

from fetalstudio.core.errors import InputError
from fetalstudio.formats.model_card import ModelCard
from fetalstudio.project.models import BUILT_IN
from fetalstudio.ui import theme
from fetalstudio.ui.commands import AdoptModel
from fetalstudio.ui.common.form import Section, combo, keyed, note
from fetalstudio.ui.session import Session
from fetalstudio.ui.synthesise.adapting import AdaptingDialog


class SynthesizerChoice(Section):
    """Choosing a synthesizer adopts it for everything, as a step of undo."""

    changed = Signal()
    """Another synthesizer is in use."""

    def __init__(self, session: Session, page: QWidget) -> None:
        """The keys work anywhere on ``page``."""
        super().__init__("", page)
        self._session, self._page = session, page
        self.dialog: AdaptingDialog | None = None
        self._name = BUILT_IN
        self.box = combo()
        self.box.activated.connect(self._chosen)
        self.about = note()
        self.adapt_button = QPushButton("Adapt to my frames ...")
        self.adapt_button.setToolTip("Adapt the synthesizer to your own annotated frames")
        self.adapt_button.clicked.connect(self.adapt)
        self.row(
            "Synthesizer",
            self.box,
            theme.tip("The model that makes the images; adapting adds one", "Y"),
        )
        self.add(self.about)
        self.add(keyed(page, self.adapt_button, "M"))
        next_key = QShortcut(QKeySequence("Y"), page)
        next_key.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        next_key.setWhatsThis("Use the next synthesizer")
        next_key.activated.connect(self.take_next)
        session.models_changed.connect(self.refresh)
        session.project_changed.connect(self.refresh)
        self.refresh()

    @property
    def name(self) -> str:
        """The synthesizer in use."""
        return self._name

    def refresh(self) -> None:
        """Read the synthesizers of the project and which one is in use."""
        project = self._session.project
        models = project.models.all("synthesizer") if project is not None else []
        active = project.models.active("synthesizer") if project is not None else None
        before, self._name = self._name, active.name if active is not None else BUILT_IN
        blocker = QSignalBlocker(self.box)
        self.box.clear()
        self.box.addItem(f"{BUILT_IN}  (built in)", BUILT_IN)
        for model in models:
            self.box.addItem(model.name, model.name)
        self.box.setCurrentIndex(self.box.findData(self._name))
        blocker.unblock()
        self.about.setText("" if active is None else self._about(active.path))
        self.about.setVisible(bool(self.about.text()))
        if before != self._name:
            self.changed.emit()

    def adapt(self) -> None:
        """Open the dialog that adapts the synthesizer to the project's frames."""
        # Made on first use, as its plots take a moment.
        self.dialog = self.dialog or AdaptingDialog(self._session, self._page)
        self.dialog.ask()

    def take_next(self) -> None:
        """Use the next synthesizer in the list; after the last comes the first."""
        if self.box.count() > 1:
            self._use(str(self.box.itemData((self.box.currentIndex() + 1) % self.box.count())))

    def _chosen(self, index: int) -> None:
        self._use(str(self.box.itemData(index)))

    def _use(self, name: str) -> None:
        if name != self._name:
            own = None if name == BUILT_IN else name
            self._session.undo_stack.push(AdoptModel(self._session, "synthesizer", own))
        self.refresh()

    def _about(self, path: str) -> str:
        try:
            learnt = ModelCard.read(self._session.open.path / path).training_data
        except InputError as error:
            return str(error)
        if "cohorts" not in learnt or "started_from" not in learnt:
            return ""
        cohorts = ", ".join(learnt["cohorts"])
        # Early cards of Stable Diffusion use another name.
        frames = learnt.get("frames", learnt.get("real_frames"))
        return f"{learnt['started_from']}, adapted to {frames} frames of {cohorts}"
