"""Library: the frames of the project, the state of each, and what is left to do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, groupby
from typing import cast

from PySide6.QtCore import (
    QItemSelection,
    QItemSelectionModel,
    QItemSelectionRange,
    QModelIndex,
    QPoint,
    Qt,
)
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.words import counted, listed
from fetalstudio.project.store.records import Frame
from fetalstudio.ui import icons, theme
from fetalstudio.ui.commands import SetEllipses
from fetalstudio.ui.common.allowing import allow
from fetalstudio.ui.common.empty import EmptyState
from fetalstudio.ui.library.amend_menu import AmendMenu
from fetalstudio.ui.library.amending import AmendFlow
from fetalstudio.ui.library.convention_line import ConventionLine
from fetalstudio.ui.library.filter_bar import FilterBar
from fetalstudio.ui.library.frame_grid import (
    FRAME,
    TO_DO,
    FrameGrid,
    FrameModel,
    State,
)
from fetalstudio.ui.library.importing import ImportFlow
from fetalstudio.ui.library.proposing import ProposeFlow
from fetalstudio.ui.session import Session


class LibraryPage(QWidget):
    """Thumbnails by state and cohort, import, proposals, and a button for the next frame to do."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.model = FrameModel(self.devicePixelRatioF(), self)
        self.grid = FrameGrid(self.model)
        self.filters = FilterBar()
        self.importing = ImportFlow(session, self)
        self.amending = AmendFlow(session, self)
        self.proposing = ProposeFlow(session, self)
        self._build()
        self._build_actions()
        self._connect()
        self.reload()

    def activated(self) -> None:
        """Give the keyboard to the grid, so that arrows and Enter work at once."""
        self.grid.setFocus()

    # -- building ---------------------------------------------------------------------------

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._build_head())
        layout.addWidget(self.filters)
        self.empty = EmptyState()
        self.empty.clicked.connect(self._empty_clicked)
        self.body = QStackedWidget()
        self.body.addWidget(self.grid)
        self.body.addWidget(self.empty)
        layout.addWidget(self.body, 1)
        self.grid.setContentsMargins(0, 0, 0, 0)
        self.grid.setViewportMargins(2 * theme.SPACE, 0, 0, 0)
        self.drop_hint = QLabel("Drop to import into this project", self)
        self.drop_hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.drop_hint.setStyleSheet(
            f"background: {theme.ACCENT_DIM}; color: {theme.TEXT_BRIGHT}; font-size: 19px;"
            f" border: 2px dashed {theme.ACCENT}; border-radius: {2 * theme.RADIUS}px;"
        )
        self.drop_hint.hide()

    def _build_head(self) -> QWidget:
        head = QWidget()
        row = QHBoxLayout(head)
        row.setContentsMargins(3 * theme.SPACE, 2 * theme.SPACE + 4, 3 * theme.SPACE, theme.SPACE)
        row.setSpacing(theme.SPACE)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(theme.style(QLabel("Library"), "title"))
        self.todo = theme.style(QLabel(), "dim")
        self.todo.setWordWrap(True)
        words.addWidget(self.todo)
        self.convention = ConventionLine(self.session, self.model)
        words.addWidget(self.convention)
        row.addLayout(words, 1)
        self.import_button = QPushButton(icons.icon("import", theme.TEXT), "Import")
        self.import_button.setToolTip(
            theme.tip("Import a folder of frames; you can also drop it on the window", "Ctrl+I")
        )
        self.propose_button = QPushButton(icons.icon("propose", theme.TEXT), "Propose for all")
        self.propose_button.setToolTip(
            theme.tip(
                "Let the segmenter propose an ellipse wherever no person has drawn one", "Ctrl+P"
            )
        )
        self.next_button = theme.style(
            QPushButton(icons.icon("next", "#0c1414"), "Annotate next"), "primary"
        )
        self.next_button.setToolTip(theme.tip("Open the next frame that needs you", "N"))
        self.amend_button = QPushButton("Amend")
        self.amend_button.setToolTip(
            theme.tip("Correct what is known of the selected frames, or remove them", "A")
        )
        for button in (
            self.import_button,
            self.amend_button,
            self.propose_button,
            self.next_button,
        ):
            row.addWidget(button, 0, Qt.AlignmentFlag.AlignVCenter)
        return head

    def _build_actions(self) -> None:
        self.menu = QMenu(self)
        self._action("Annotate", self.open_current, "Return", "Enter")
        self._action("Propose an ellipse", self.propose_selected, "P")
        self._action("Confirm as final", self.confirm_selected, "F")
        self._action("Remove the ellipse", self.remove_selected, "Del")
        self._action("Change the order", self.change_order, "O")
        self.menu.addSeparator()
        self.amend_menu = AmendMenu(self.amending, self.model, self.selected, self._cohort, self)
        self.grid.addActions(self.amend_menu.actions())
        self.menu.addMenu(self.amend_menu)
        again = self.menu.addAction("Read again without seeing ...")
        again.triggered.connect(lambda _checked: self._ask_reading())
        self.amend_button.setMenu(self.amend_menu)
        self.menu.addSeparator()
        self._action("Copy names", self.copy_names, "Ctrl+C")
        for text, slot, key in (
            ("Propose for all", self.propose_all, "Ctrl+P"),
            ("Propose for all again", lambda: self.propose_all(again=True), "Ctrl+Shift+P"),
            ("Measure how heads are drawn", self.convention.measure, "Ctrl+M"),
            ("Annotate the next frame to do", self.open_next, "N"),
            ("Amend frames or cohorts", self.amend_button.showMenu, "A"),
            ("Search by name or label", self.filters.focus_search, "Ctrl+F"),
        ):
            self._action(text, slot, key, listed=False)

    def _action(
        self,
        text: str,
        slot: Callable[[], object],
        *keys: str,
        listed: bool = True,
    ) -> None:
        action = QAction(text, self)
        action.setShortcuts([QKeySequence(key) for key in keys])
        action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        action.setAutoRepeat(False)  # a key that is held down acts once
        action.triggered.connect(lambda _checked: slot())
        # Single letters must reach the search field, so they are keys of the grid only.
        (self.grid if listed else self).addAction(action)
        if listed:
            self.menu.addAction(action)

    def _connect(self) -> None:
        self.import_button.clicked.connect(self.importing.ask_folder)
        self.propose_button.clicked.connect(lambda: self.propose_all())
        self.next_button.clicked.connect(self.open_next)
        self.filters.changed.connect(self._apply_filter)
        self.filters.order_chosen.connect(self.session.offer_least_certain_first)
        self.filters.search.returnPressed.connect(self.grid.setFocus)
        self.filters.search.left.connect(self.grid.setFocus)
        self.grid.doubleClicked.connect(lambda _index: self.open_current())
        self.grid.selectionModel().currentChanged.connect(self._current_changed)
        self.grid.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.grid.customContextMenuRequested.connect(self._show_menu)
        self.importing.imported.connect(self.filters.clear)
        self.proposing.changed.connect(self._show_counts)
        session = self.session
        session.project_changed.connect(self._project_changed)
        session.frames_changed.connect(self.reload)
        session.imports_changed.connect(self._show_counts)
        session.annotation_changed.connect(self._annotation_changed)
        session.frame_selected.connect(self._frame_selected)

    # -- what is shown ----------------------------------------------------------------------

    def reload(self) -> None:
        """Read the frames of the project again. Filters, selection and current frame stay."""
        project = self.session.project
        with self._selection_kept():
            self.model.load(project, self.session.frames())
            self.filters.show_order(self.session.least_certain_first)
            self.filters.set_cohorts(project.frames.cohorts() if project is not None else [])
            self._choose()
        self.convention.refresh()

    def _project_changed(self) -> None:
        # A frame's id is that of its pixels, so a copy of a project has the same ids.
        self.grid.clearSelection()
        self.filters.clear()
        self.reload()

    def _annotation_changed(self, frame_id: str) -> None:
        self.model.refresh(frame_id)
        self._show_counts()
        self.convention.refresh()

    def _apply_filter(self) -> None:
        with self._selection_kept():
            self._choose()
        if not self.grid.selectionModel().hasSelection():
            self.grid.scrollToTop()  # or only the last of the frames that match might be in sight

    def _choose(self) -> None:
        bar = self.filters
        if bar.cohort != self.model.cohort:
            self.convention.refresh()
        self.model.choose(bar.cohort, bar.state, bar.search.text())
        self._show_counts()

    @contextlib.contextmanager
    def _selection_kept(self) -> Iterator[None]:
        """Select again, after the block has changed the rows, what was selected and is shown."""
        selected = [frame.id for frame in self.selected()]
        yield
        self._frame_selected(self.session.frame_id or "")
        self._select(selected)

    def _show_counts(self) -> None:
        counts = self.model.counts()
        total = sum(counts.values())
        self.filters.show_counts(counts)
        if total or not self.model.frames:
            arriving = not total and self.session.importing
            self.todo.setText("Importing frames" if arriving else what_is_left(counts))
        else:
            self.todo.setText("No frame matches")
        self._show_what_can_be_done()
        self._show_body()

    def _show_what_can_be_done(self) -> None:
        """Enable the buttons at the top. They concern frames that a search hides as well."""
        every = self.model.counts_in(None)
        of_cohort = self.model.counts_in(self.model.cohort)
        if not sum(every.values()):
            allow(self.propose_button, "There are no frames yet.")
            allow(self.next_button, "There are no frames yet.")
            return
        undecided = of_cohort["none"] + of_cohort["proposed"]
        busy = "Proposals are being made." if self.proposing.busy else ""
        drawn = "" if undecided else "No frame is left to propose for."
        allow(self.propose_button, busy or drawn)
        done = sum(every.values()) == every["final"]
        allow(self.next_button, "All ellipses are final." if done else "")

    def _show_body(self) -> None:
        if self.model.rowCount():
            # The page was given the keyboard while there was no grid to take it.
            waiting = self.hasFocus() or self.empty.isAncestorOf(self.focusWidget() or self)
            self.body.setCurrentWidget(self.grid)
            if waiting:
                self.grid.setFocus()
            return
        if self.session.project is None:
            self.empty.say("No project is open", "Open or make one from the File menu.")
        elif self.model.frames:
            self.empty.say(
                "No frame matches", "Other frames are hidden by the filters.", "Show all"
            )
        elif self.session.importing:
            self.empty.say_importing()
        else:
            self.empty.say(
                "No frames yet",
                "Drop a folder of ultrasound frames here: pictures, DICOM, MetaImage, NRRD or "
                "NIfTI, with masks, tables or the annotation files of other programs.",
                "Import a folder",
            )
        self.body.setCurrentWidget(self.empty)

    def _empty_clicked(self) -> None:
        if self.model.frames:
            self.filters.clear()
        else:
            self.importing.ask_folder()

    # -- the current frame ------------------------------------------------------------------

    def selected(self) -> list[Frame]:
        """The selected frames, in the order of the grid."""
        # A list of ranges, which its type does not say.
        ranges = cast(Iterable[QItemSelectionRange], self.grid.selectionModel().selection())
        rows = sorted(row for part in ranges for row in range(part.top(), part.bottom() + 1))
        return [self.model.frame(row) for row in rows]

    def _cohort(self) -> str | None:
        """The cohort that alone is shown, or else that of the first selected frame."""
        selected = self.selected()
        return self.filters.cohort or (selected[0].cohort if selected else None)

    def _current_changed(self, current: QModelIndex, _previous: QModelIndex) -> None:
        # A filter moves the current row too, but only the person's choice counts.
        if current.isValid() and self.grid.hasFocus():
            self.session.select_frame(current.data(FRAME).id)

    def _frame_selected(self, frame_id: str) -> None:
        index = self.model.index_of(frame_id)
        if index.isValid() and index != self.grid.currentIndex():
            flag = QItemSelectionModel.SelectionFlag.ClearAndSelect
            self.grid.selectionModel().setCurrentIndex(index, flag)
            self.grid.scrollTo(index)

    def _select(self, frame_ids: Iterable[str]) -> None:
        """Select those of the frames that are shown. If none is, the selection stays as it is."""
        shown = (self.model.index_of(frame_id) for frame_id in frame_ids)
        rows = QItemSelection()
        # In runs, because a selection of thousands of single rows is slow.
        for _, run in groupby(
            enumerate(sorted(index.row() for index in shown if index.isValid())),
            lambda item: item[1] - item[0],
        ):
            run_of_rows = [row for _, row in run]
            rows.select(self.model.index(run_of_rows[0]), self.model.index(run_of_rows[-1]))
        if rows:
            flag = QItemSelectionModel.SelectionFlag.ClearAndSelect
            self.grid.selectionModel().select(rows, flag)

    def open_current(self) -> None:
        """Open the current frame in Annotate."""
        index = self.grid.currentIndex()
        if index.isValid():
            self.session.select_frame(index.data(FRAME).id)
            self.session.go("annotate")

    def open_next(self) -> None:
        """Open the next frame (after the current one, then from the start) that waits."""
        rows = self.model.rowCount()
        start = min(self.grid.currentIndex().row() + 1, rows)
        frames = (self.model.frame(row) for row in chain(range(start, rows), range(start)))
        # The frames that are left to do may all be hidden by the filters.
        for frame in chain(frames, self.model.frames):
            if self.model.state(frame) in TO_DO:
                self.session.select_frame(frame.id)
                self.session.go("annotate")
                return

    def _show_menu(self, at: QPoint) -> None:
        if self.grid.indexAt(at).isValid():
            self.menu.popup(self.grid.viewport().mapToGlobal(at))

    def _ask_reading(self) -> None:
        self.session.reading_asked.emit([frame.id for frame in self.selected()])

    def change_order(self) -> None:
        """Switch between least certain first and the order of import."""
        self.session.offer_least_certain_first(not self.session.least_certain_first)

    def copy_names(self) -> None:
        """Put the names of the selected frames on the clipboard, one a line."""
        QGuiApplication.clipboard().setText("\n".join(frame.name for frame in self.selected()))

    # -- annotations ------------------------------------------------------------------------

    def confirm_selected(self) -> None:
        """Make the selected proposals and drafts final, as one step of undo. Those whose centre
        lies outside the frame are left, which is said."""
        held = self.session.open.annotations.by_frame()
        todo: dict[str, Ellipse | None] = {}
        outside = []
        for frame in self.selected():
            drawn = held.get(frame.id)
            if drawn is None or drawn.ellipse is None or drawn.state == "final":
                continue
            if drawn.ellipse.is_centred_on((frame.width, frame.height)):
                todo[frame.id] = drawn.ellipse
            else:
                outside.append(frame.name)
        if todo:
            self.session.undo_stack.push(SetEllipses(self.session, todo, "final"))
        if outside:
            self.session.message.emit(
                f"Not confirmed, because the centre of the ellipse lies outside the frame: "
                f"{listed(outside, 5)}. Correct it in Annotate.",
                "warning",
            )
        elif not todo:
            self.session.message.emit(
                "None of the selected frames has an ellipse to confirm.", "info"
            )

    def remove_selected(self) -> None:
        """Remove the ellipses of the selected frames, as one step of undo."""
        todo = [frame.id for frame in self.selected() if self.model.state(frame) != "none"]
        if todo:
            removed = SetEllipses(self.session, dict.fromkeys(todo), "draft")
            self.session.undo_stack.push(removed)

    def propose_selected(self) -> None:
        """Let the segmenter propose ellipses for selected frames that no person has annotated."""
        open_states = {"none", "proposed"}
        todo = [frame.id for frame in self.selected() if self.model.state(frame) in open_states]
        if todo:
            self.proposing.propose(todo)
        else:
            text = "The selected frames are annotated; a proposal would not replace your ellipse."
            self.session.message.emit(text, "info")

    def propose_all(self, *, again: bool = False) -> None:
        """Let it propose ellipses for all frames that no person has annotated, in the shown cohort.

        ``again``: also where its proposal waits or was rejected.
        """
        if self.propose_button.isEnabled():
            self.proposing.propose_for_all(self.model.cohort, again=again)

    def show_drop_hint(self, shown: bool) -> None:
        """Show what a drop will do, over the whole page."""
        self.drop_hint.setGeometry(self.rect().adjusted(24, 24, -24, -24))
        self.drop_hint.setVisible(shown)
        self.drop_hint.raise_()


def what_is_left(counts: dict[State, int]) -> str:
    """One sentence: ``8 frames to draw, 3 proposals to check``."""
    parts = []
    if counts["none"]:
        parts.append(f"{counted(counts['none'], 'frame')} to draw")
    if counts["proposed"]:
        parts.append(f"{counted(counts['proposed'], 'proposal')} to check")
    if counts["draft"]:
        parts.append(f"{counted(counts['draft'], 'draft')} to confirm")
    if parts:
        return ", ".join(parts)
    return "All ellipses are final" if counts["final"] else "Nothing here yet"
