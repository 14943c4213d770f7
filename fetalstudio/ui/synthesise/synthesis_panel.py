"""The side of Synthesise: what holds for every picture, and below it one picture or many."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from fetalstudio.ui import theme
from fetalstudio.ui.common.form import side_panel
from fetalstudio.ui.settings import Settings
from fetalstudio.ui.synthesise.batch import BatchPanel

ONE, MANY = 0, 1
_WIDTH = 328
_KEPT = "synthesise/tab"
_SWITCH = "One picture, or many at once"


class SynthesisPanel(QWidget):
    """Two tabs, so that no main button is below the edge of a laptop's screen."""

    def __init__(
        self,
        settings: Settings,
        page: QWidget,
        shared: Sequence[QWidget],
        one: Sequence[QWidget],
        batch: BatchPanel,
    ) -> None:
        """``shared`` stays in sight above both tabs; the key works anywhere on ``page``."""
        super().__init__()
        self._settings, self._batch = settings, batch
        self.setFixedWidth(_WIDTH)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)
        self.tabs.tabBar().setExpanding(True)
        self.tabs.addTab(side_panel(_WIDTH, *one), "One picture")
        self._many = side_panel(_WIDTH, batch)
        self.tabs.addTab(self._many, "Many at once")
        self.tabs.setTabToolTip(ONE, theme.tip("One picture that follows the ellipse", "T"))
        self.tabs.setCurrentIndex(settings.get(_KEPT, ONE))
        self.tabs.currentChanged.connect(lambda index: settings.set(_KEPT, index))
        top = QVBoxLayout()
        top.setContentsMargins(2 * theme.SPACE, 2 * theme.SPACE, 2 * theme.SPACE, theme.SPACE)
        top.setSpacing(theme.SPACE)
        for part in shared:
            top.addWidget(part)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(top)
        column.addWidget(self.tabs, 1)

        switch = QShortcut(QKeySequence("T"), page)
        switch.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        switch.setWhatsThis(_SWITCH)
        switch.activated.connect(lambda: self.tabs.setCurrentIndex(1 - self.tabs.currentIndex()))
        batch.used.connect(lambda: self.tabs.setCurrentIndex(MANY))
        batch.offered.connect(self._tell_offer)
        # On a low screen the button that leads on would be out of sight.
        batch.done.connect(lambda: QTimer.singleShot(0, self._lead_on))
        self._tell_offer(False)

    def _tell_offer(self, unfinished: bool) -> None:
        """An unfinished batch is told on the tab, which may hide the offer."""
        self.tabs.setTabText(MANY, "Many at once  ●" if unfinished else "Many at once")
        why = "A batch is unfinished" if unfinished else "Pairs like those of a cohort"
        self.tabs.setTabToolTip(MANY, theme.tip(why, "T"))

    def _lead_on(self) -> None:
        if self._batch.review_button.isVisible():
            self._many.ensureWidgetVisible(self._batch.review_button)
