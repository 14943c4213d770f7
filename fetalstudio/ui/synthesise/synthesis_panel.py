"""The side panel of Synthesise: common settings, then one image or many."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from fetalstudio.ui import theme
from fetalstudio.ui.common.form import guard_from_wheel, side_panel
from fetalstudio.ui.settings import Settings
from fetalstudio.ui.synthesise.batch import BatchPanel

ONE, MANY = 0, 1
_WIDTH = 328
_KEPT = "synthesise/tab"
_SWITCH = "Switch between one image and many"


class SynthesisPanel(QWidget):
    """Two tabs, so that the main buttons are in view on a laptop screen."""

    def __init__(
        self,
        settings: Settings,
        page: QWidget,
        shared: Sequence[QWidget],
        one: Sequence[QWidget],
        batch: BatchPanel,
    ) -> None:
        """``shared`` stays above both tabs; the key works anywhere on ``page``."""
        super().__init__()
        self._settings, self._batch = settings, batch
        self.setFixedWidth(_WIDTH)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)
        self.tabs.tabBar().setExpanding(True)
        self.tabs.addTab(side_panel(_WIDTH, *one), "One image")
        self._many = side_panel(_WIDTH, batch)
        self.tabs.addTab(self._many, "Many at once")
        self.tabs.setTabToolTip(ONE, theme.tip("One image that follows the ellipse", "T"))
        self.tabs.setCurrentIndex(settings.get(_KEPT, ONE))
        self.tabs.currentChanged.connect(lambda index: settings.set(_KEPT, index))
        top = QVBoxLayout()
        top.setContentsMargins(2 * theme.SPACE, 2 * theme.SPACE, 2 * theme.SPACE, theme.SPACE)
        top.setSpacing(theme.SPACE)
        for part in shared:
            guard_from_wheel(part)
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
        batch.offered.connect(self._mark_offer)
        # On a small screen the next button would be out of view.
        batch.done.connect(lambda: QTimer.singleShot(0, self._show_review_button))
        self._mark_offer(False)

    def _mark_offer(self, unfinished: bool) -> None:
        """Mark an unfinished batch on its tab, as the offer itself may be hidden."""
        self.tabs.setTabText(MANY, "Many at once  ●" if unfinished else "Many at once")
        why = "A batch is unfinished" if unfinished else "Pairs that resemble a cohort"
        self.tabs.setTabToolTip(MANY, theme.tip(why, "T"))

    def _show_review_button(self) -> None:
        if self._batch.review_button.isVisible():
            self._many.ensureWidgetVisible(self._batch.review_button)
