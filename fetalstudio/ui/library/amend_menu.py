"""The menu of what can be corrected of frames and cohorts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QWidget

from fetalstudio.project.store.records import Frame
from fetalstudio.ui.library.amending import AmendFlow
from fetalstudio.ui.library.frame_grid import FrameModel

Need = Literal["selection", "a cohort", "two cohorts"]
"""What an amendment is made of, without which its action is disabled."""


class AmendMenu(QMenu):
    """The amendments of an :class:`AmendFlow`, each with its key.

    While the menu is shown, only what can be done is enabled. Otherwise all actions are, because
    the key of a disabled action would do nothing, without a word of what is missing.
    """

    def __init__(
        self,
        amending: AmendFlow,
        model: FrameModel,
        selected: Callable[[], list[Frame]],
        cohort: Callable[[], str | None],
        parent: QWidget,
    ) -> None:
        """``selected`` gives the selected frames, in the order of the grid, and ``cohort`` the one
        to offer for a change."""
        super().__init__("Amend", parent)
        self._model = model
        self._selected = selected
        self._needs: dict[QAction, Need] = {}
        self._add("Set subject ...", "Shift+S", "selection", self._of(amending.set_subject))
        self._add(
            "Group frames by subject ...",
            "Shift+G",
            "a cohort",
            lambda: amending.group(self._to_group()),
        )
        self._add("Set cohort ...", "Shift+C", "selection", self._of(amending.set_cohort))
        self._add("Set label ...", "Shift+L", "selection", self._of(amending.set_label))
        self._add("Set calibration ...", "Shift+K", "selection", self._of(amending.set_calibration))
        self.addSeparator()
        self._add("Remove frames ...", "Shift+Del", "selection", self._of(amending.remove))
        self._add(
            "Forget this patient ...", "Ctrl+Shift+Del", "selection", self._of(amending.forget)
        )
        self.addSeparator()
        self._add(
            "Rename cohort ...", "Shift+R", "a cohort", lambda: amending.rename_cohort(cohort())
        )
        self._add(
            "Merge cohort into ...",
            "Shift+M",
            "two cohorts",
            lambda: amending.merge_cohorts(cohort()),
        )
        self.aboutToShow.connect(self._enable_possible)
        self.aboutToHide.connect(self._enable_all)

    def _of(self, slot: Callable[[list[Frame]], None]) -> Callable[[], None]:
        return lambda: slot(self._selected())

    def _add(self, text: str, key: str, need: Need, slot: Callable[[], None]) -> None:
        action = self.addAction(text)
        action.setShortcut(QKeySequence(key))
        action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        action.setAutoRepeat(False)  # a key that is held down acts once
        action.triggered.connect(lambda _checked: slot())
        self._needs[action] = need

    def _to_group(self) -> list[Frame]:
        """The selected frames; all that are shown where fewer than two are selected."""
        selected = self._selected()
        return selected if len(selected) > 1 else self._model.shown()

    def _enable_possible(self) -> None:
        cohorts = len({frame.cohort for frame in self._model.frames})
        possible = {
            "selection": bool(self._selected()),
            "a cohort": cohorts > 0,
            "two cohorts": cohorts > 1,
        }
        for action, need in self._needs.items():
            action.setEnabled(possible[need])

    def _enable_all(self) -> None:
        for action in self._needs:
            action.setEnabled(True)
