"""Asks who reads which frames, and how many of them twice."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from PySide6.QtWidgets import QLabel, QLineEdit, QWidget

from fetalstudio.core.words import counted, format_duration
from fetalstudio.project.readings import reading_order, sampled
from fetalstudio.project.store.records import Frame
from fetalstudio.ui import theme
from fetalstudio.ui.common.ask_dialog import AskDialog
from fetalstudio.ui.common.form import whole_number
from fetalstudio.ui.session import Session

_SECONDS = 20
"""How long a reading takes, roughly."""


class StartDialog(AskDialog):
    """A session to come: its observer, its frames and the share that is read twice."""

    def __init__(
        self, session: Session, frames: Sequence[Frame], selected: Sequence[str], parent: QWidget
    ) -> None:
        super().__init__("Read again without seeing", "Start", parent)
        self.explain(
            "You draw the ellipse of each frame without seeing former ellipses, proposals, names "
            "or measurements. A reading never changes an annotation. The frames come in a random "
            "order."
        )
        settings = session.settings
        self.seed = secrets.randbelow(2**31)
        self.observer = QLineEdit(session.author)
        self.observer.setToolTip(
            "Your name or initials: stored with each reading, and written into files of readings "
            "that you export"
        )
        self.form.addRow("You are", self.observer)
        self.scope = self.add_choice("Frames")
        if len(selected) > 1:
            self.scope.addItem(f"The {len(selected)} selected frames", list(selected))
        self.scope.addItem(f"All {counted(len(frames), 'frame')}", [f.id for f in frames])
        cohorts = sorted({frame.cohort for frame in frames})
        for cohort in cohorts if len(cohorts) > 1 else ():
            ids = [frame.id for frame in frames if frame.cohort == cohort]
            self.scope.addItem(f"{counted(len(ids), 'frame')} of {cohort}", ids)
        self.most = whole_number(settings, "readings/most", 0, 0, 100_000, lowest="all of them")
        self.most.setToolTip("A random sample of this many frames")
        self.form.addRow("At most", self.most)
        self.twice = whole_number(settings, "readings/twice", 10, 0, 100)
        self.twice.setSuffix(" %")
        self.twice.setToolTip(
            "These frames come a second time late in the session, to see how well you agree with "
            "yourself"
        )
        self.form.addRow("Read twice", self.twice)
        self.plan = theme.style(QLabel(), "dim")
        self.form.addRow("", self.plan)
        self.observer.textChanged.connect(self._update)
        self.scope.currentIndexChanged.connect(self._update)
        for field in (self.most, self.twice):
            field.valueChanged.connect(self._update)
        self._update()

    def frame_ids(self) -> list[str]:
        """The frames of the session."""
        return sampled(self.scope.currentData(), self.most.value() or None, seed=self.seed)

    @property
    def share(self) -> float:
        """The share of the frames that is read twice, 0 to 1."""
        return self.twice.value() / 100

    def _update(self) -> None:
        ids = self.frame_ids()
        count = len(reading_order(ids, twice=self.share, seed=self.seed))
        self.plan.setText(
            f"{counted(count, 'reading')}, about {format_duration(_SECONDS * count)}. You can "
            "pause, and go on another day."
        )
        self.accept_button.setEnabled(bool(self.observer.text().strip()))
