"""The filters of the library: by state (with counts), by cohort and by name."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QButtonGroup, QComboBox, QHBoxLayout, QLineEdit, QPushButton, QWidget

from fetalstudio.ui import icons, theme
from fetalstudio.ui.common.cohort_box import ALL_COHORTS
from fetalstudio.ui.common.form import guard_from_wheel
from fetalstudio.ui.library.frame_grid import STATE_TITLES, STATES, State


class SearchField(QLineEdit):
    """Esc clears the text; in an empty field, it leaves the field."""

    left = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() != Qt.Key.Key_Escape:
            super().keyPressEvent(event)
        elif self.text():
            self.clear()
        else:
            self.left.emit()


class FilterBar(QWidget):
    """The filters; ``state`` and ``cohort`` are None where all are shown."""

    changed = Signal()
    order_chosen = Signal(bool)
    """Whether the least certain proposals come first."""

    def __init__(self) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(3 * theme.SPACE - 14, theme.SPACE, 3 * theme.SPACE, 2 * theme.SPACE)
        row.setSpacing(theme.SPACE // 2)
        # Narrower than other buttons, so that all fit into a window 900 px wide.
        self.setStyleSheet("QPushButton { padding-left: 7px; padding-right: 7px; }")
        self._group = QButtonGroup(self)
        self.state_buttons: dict[State | None, QPushButton] = {}
        states: tuple[State | None, ...] = (None, *STATES)
        for number, state in enumerate(states):
            button = self._state_button(state, f"Alt+{number}")
            self._group.addButton(button)
            self.state_buttons[state] = button
            row.addWidget(button)
        self.state_buttons[None].setChecked(True)
        row.addStretch()
        self.order_box = QComboBox()
        self.order_box.addItem("As imported", False)
        self.order_box.addItem("Least certain first", True)
        self.order_box.setToolTip(
            theme.tip("The order in which frames are shown and offered to you", "O")
        )
        room = self.order_box.fontMetrics().horizontalAdvance(self.order_box.itemText(0))
        self.order_box.setMinimumWidth(room + 44)  # with its padding and arrow
        self.order_box.setAccessibleName("Order")
        self.order_box.activated.connect(
            lambda _row: self.order_chosen.emit(self.order_box.currentData())
        )
        row.addWidget(self.order_box)
        row.addSpacing(theme.SPACE)
        self.cohort_box = QComboBox()
        self.cohort_box.addItem(ALL_COHORTS, None)
        self.cohort_box.setMinimumWidth(112)
        self.cohort_box.setToolTip("Show the frames of one cohort")
        self.cohort_box.setAccessibleName("Cohort")
        row.addWidget(self.cohort_box)
        row.addSpacing(theme.SPACE)
        self.search = SearchField()
        self.search.setPlaceholderText("Search")
        self.search.setClearButtonEnabled(True)
        self.search.setMinimumWidth(84)
        self.search.setMaximumWidth(220)
        self.search.setToolTip(
            theme.tip(
                "Show frames with this text in their name or labels, such as country EGY", "Ctrl+F"
            )
        )
        glass = icons.icon("search", theme.TEXT_DIM)
        self.search.addAction(glass, QLineEdit.ActionPosition.LeadingPosition)
        row.addWidget(self.search)
        guard_from_wheel(self)
        self._group.buttonClicked.connect(self.changed)
        self.cohort_box.currentIndexChanged.connect(self.changed)
        self.search.textChanged.connect(self.changed)

    @staticmethod
    def _state_button(state: State | None, keys: str) -> QPushButton:
        button = theme.style(QPushButton(), "quiet")
        button.setCheckable(True)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        if state is not None:
            button.setIcon(icons.dot(theme.STATE_COLOURS[state], filled=state != "none"))
        what = STATE_TITLES[state].lower() if state else "all"
        button.setShortcut(QKeySequence(keys))
        button.setToolTip(theme.tip(f"Show frames: {what}", keys))
        return button

    @property
    def state(self) -> State | None:
        """The chosen state."""
        return next(s for s, button in self.state_buttons.items() if button.isChecked())

    @property
    def cohort(self) -> str | None:
        """The chosen cohort."""
        return self.cohort_box.currentData()

    def set_cohorts(self, names: list[str]) -> None:
        """Offer these cohorts. The chosen one stays chosen if it is among them."""
        chosen = self.cohort
        with QSignalBlocker(self.cohort_box):
            self.cohort_box.clear()
            self.cohort_box.addItem(ALL_COHORTS, None)
            for name in names:
                self.cohort_box.addItem(name, name)
            self.cohort_box.setCurrentIndex(max(self.cohort_box.findData(chosen), 0))

    def show_order(self, least_certain_first: bool) -> None:
        """Show which order is chosen."""
        self.order_box.setCurrentIndex(int(least_certain_first))

    def show_counts(self, counts: Mapping[State, int]) -> None:
        """Show the number of frames in each state."""
        for state, button in self.state_buttons.items():
            number = sum(counts.values()) if state is None else counts[state]
            # Qt keeps the shortcut only while the text stays: both are set together.
            keys = button.shortcut()
            button.setText(f"{'All' if state is None else STATE_TITLES[state]}  {number}")
            button.setShortcut(keys)

    def clear(self) -> None:
        """Show all frames."""
        with QSignalBlocker(self):
            self.cohort_box.setCurrentIndex(0)
            self.state_buttons[None].setChecked(True)
            self.search.clear()
        self.changed.emit()

    def focus_search(self) -> None:
        """Let the person type a name."""
        self.search.setFocus()
        self.search.selectAll()
