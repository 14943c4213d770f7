"""Annotate: one frame, its ellipse and its measurements."""

from __future__ import annotations

from functools import partial

from PySide6.QtWidgets import (
    QHBoxLayout,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.core.growth import AGE_LABEL, age_of
from fetalstudio.project.store.records import Annotation, AnnotationState, Frame
from fetalstudio.ui import icons
from fetalstudio.ui.annotate.annotation_panel import AnnotationPanel, ellipse_style, scrolling
from fetalstudio.ui.annotate.bars import FrameBar, ViewBar
from fetalstudio.ui.annotate.calibration import CalibrationFlow
from fetalstudio.ui.annotate.proposing import ProposalFlow
from fetalstudio.ui.annotate.snapping import ELSEWHERE, SnapFlow
from fetalstudio.ui.canvas import CanvasActions, FrameCanvas, GreyWindow, Tool
from fetalstudio.ui.canvas.finished import finished_ellipse
from fetalstudio.ui.commands import SetEllipse, SetLabel
from fetalstudio.ui.common.empty import EmptyState
from fetalstudio.ui.common.form import page_action
from fetalstudio.ui.session import Session
from fetalstudio.ui.worklist import least_certain, next_to_do

_DRAW_HINT = "Drag the long axis, outer edge to outer edge, or press I"
_EDIT_HINT = "Drag a handle, or press arrows, - +, [ ], Q E"


class AnnotatePage(QWidget):
    """One frame of the project at a time.

    Every gesture on the canvas is one annotation revision and one step of undo. During a gesture
    only the measurements change; nothing is written.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._frames: list[Frame] = []
        self._frame: Frame | None = None
        self._annotation: Annotation | None = None
        self._unreadable = False
        self.canvas = FrameCanvas()
        self.panel = AnnotationPanel()
        self.canvas_actions = CanvasActions(self.canvas)
        self.view_bar = ViewBar(self.canvas, self.canvas_actions)
        self.empty = EmptyState()
        self.proposing = ProposalFlow(session, self.canvas, self.panel)
        self.snapping = SnapFlow(session, self)
        self.calibrating = CalibrationFlow(session, self.canvas, self.panel.calibration)
        self._build_actions()
        self._build()
        self._connect()
        width, level = session.settings.window_level
        self.canvas.set_window_level(GreyWindow(width, level))
        self.reload()

    def activated(self) -> None:
        """Give the keyboard to the canvas; called whenever the page is shown."""
        self.canvas.setFocus()

    # -- building ---------------------------------------------------------------------------

    def _build_actions(self) -> None:
        act = partial(page_action, self)
        self.previous_action = act(
            "Previous", "Previous frame", self.previous_frame, "PgUp", repeats=True
        )
        self.next_action = act("Next", "Next frame", self.next_frame, "PgDown", repeats=True)
        self.unfinished_action = act(
            "Next to do", "Next frame that is not final", self.next_unfinished, "N"
        )
        self.confirm_action = act(
            "Confirm",
            "Make the ellipse final and go to the next frame to do",
            self.confirm,
            "Return",
            "Enter",
        )
        self.propose_action = act(
            "Propose", "Let the segmenter propose an ellipse", self.propose, "P"
        )
        self.snap_action = act(
            "Snap", "Move the ellipse onto the outline of the skull near it", self.snap, "S"
        )
        self.least_certain_action = act(
            "Least certain",
            "Go to the least certain open proposal",
            self.least_certain,
            "L",
        )
        self.reject_action = act(
            "Reject", "Reject the proposal and go to the next one", self.reject_proposal, "R"
        )
        self.order_action = act(
            "Least certain first",
            "Switch between the order of import and least certain first",
            lambda: self.session.offer_least_certain_first(not self.session.least_certain_first),
            "O",
        )
        self.use_action = act("Use it", "Use the proposal", self.use_proposal, "U")
        self.ruler_action = act(
            "Calibrate",
            "Draw a line between two marks of the ruler in the frame",
            self.calibrating.toggle_ruler,
            "M",
        )
        self.age_action = act(
            "Gestational age",
            "Enter the gestational age that is known",
            self.panel.biometry.age.start,
            "G",
        )
        self.undo_action = act("Undo", "Undo (Ctrl+Z)", self._undo)
        self.redo_action = act("Redo", "Redo (Ctrl+Shift+Z)", self._redo)
        self.propose_action.setIcon(icons.icon("propose"))
        self.snap_action.setIcon(icons.icon("snap"))
        stack = self.session.undo_stack
        for action, changed, can in (
            (self.undo_action, stack.canUndoChanged, stack.canUndo()),
            (self.redo_action, stack.canRedoChanged, stack.canRedo()),
        ):
            changed.connect(action.setEnabled)
            action.setEnabled(can)

    def _build(self) -> None:
        work = QWidget()
        column = QVBoxLayout()
        column.setSpacing(0)
        self.bar = FrameBar(
            (self.previous_action, self.next_action),
            (
                self.canvas_actions.draw,
                self.canvas_actions.box,
                self.canvas_actions.place,
                self.canvas_actions.remove,
            ),
            (self.propose_action, self.snap_action),
            (self.undo_action, self.redo_action),
            spared=(
                (self.canvas_actions.place,),
                (self.undo_action, self.redo_action),
                (self.canvas_actions.remove,),
            ),
        )
        column.addWidget(self.bar)
        column.addWidget(self.canvas, 1)
        column.addWidget(self.view_bar)
        row = QHBoxLayout(work)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addLayout(column, 1)
        row.addWidget(scrolling(self.panel))
        self.body = QStackedWidget()
        self.body.addWidget(work)
        self.body.addWidget(self.empty)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.body)
        self.panel.confirm.setToolTip(self.confirm_action.toolTip())
        self.panel.calibration.button.setToolTip(self.ruler_action.toolTip())
        self.panel.use_button.setToolTip(self.use_action.toolTip())

    def _connect(self) -> None:
        session, canvas, panel = self.session, self.canvas, self.panel
        session.project_changed.connect(self._project_changed)
        session.frames_changed.connect(self.reload)
        session.imports_changed.connect(self._imports_changed)
        session.frame_selected.connect(self._show_frame)
        session.annotation_changed.connect(self._annotation_changed)
        canvas.ellipse_changing.connect(self._measure)
        canvas.ellipse_edited.connect(self._edited)
        canvas.window_changed.connect(self._keep_window)
        panel.confirm.clicked.connect(self.confirm)
        panel.snap.setChecked(session.settings.snap_proposals)
        panel.snap.toggled.connect(self._keep_snap)
        self.snapping.snapped.connect(self._snapped)
        panel.biometry.age.entered.connect(self._age_entered)
        panel.biometry.age.closed.connect(canvas.setFocus)
        panel.convention.setChecked(session.settings.follow_convention)
        panel.convention.toggled.connect(self._keep_convention)
        panel.use_button.clicked.connect(self.use_proposal)
        panel.dismiss_button.clicked.connect(lambda: self.proposing.show(None))
        panel.revisions.pointed.connect(self._point_at)
        panel.revisions.chosen.connect(self._restore)
        self.proposing.proposed.connect(self._proposed)
        self.proposing.asked_changed.connect(self._show_proposing)
        self.empty.clicked.connect(lambda: session.go("library"))

    # -- frames -----------------------------------------------------------------------------

    def reload(self) -> None:
        """Read the project's frames again, and show the selected one."""
        self.canvas.flush()
        self._frames = self.session.frames()
        wanted = self.session.frame_id
        if wanted is not None and any(frame.id == wanted for frame in self._frames):
            self._show_frame(wanted)
            return
        self._frame = None
        if self._frames:
            self.session.select_frame(self._frames[0].id)
        else:
            self._show_none()

    def _imports_changed(self) -> None:
        if not self._frames:
            self._show_none()

    def _show_none(self) -> None:
        if self.session.importing:
            self.empty.say_importing()
        else:
            text = "Import frames to annotate them here."
            self.empty.say("No frames yet", text, "Go to the Library")
        self.body.setCurrentWidget(self.empty)

    def _project_changed(self) -> None:
        self._frame = None  # The frame on the canvas belongs to another project.
        self.proposing.show(None)
        self.reload()

    def _show_frame(self, frame_id: str) -> None:
        """Show a frame. Pending key strokes on the previous frame become an edit of it first."""
        frame = next((f for f in self._frames if f.id == frame_id), None)
        if frame is None:
            return
        another = self._frame is None or frame_id != self._frame.id or self._unreadable
        if another:
            self.canvas.leave_gesture()
            self.panel.biometry.age.take_over()
        self._frame = frame
        self.panel.biometry.age.show_age(frame.labels.get(AGE_LABEL, ""))
        if another:
            self.proposing.show(None)
            try:
                pixels = self.session.open.frames.pixels(frame_id)
                self._unreadable = False
            except UserError as error:
                # Nothing of the previous frame may remain on screen.
                self._unreadable, self._annotation = True, None
                self.canvas.set_ellipse(None)
                self.canvas.set_image(None)
                self.empty.say(f"{frame.name} cannot be shown", str(error))
                self.body.setCurrentWidget(self.empty)
                return
            self.canvas.set_tool(Tool.EDIT)
            self.canvas.set_image(pixels)
            self.canvas.fit()
        self.body.setCurrentIndex(0)
        self._show_proposing()
        self.calibrating.set_frame(frame)
        self._refresh()

    def _index(self) -> int:
        if self._frame is None:
            return -1
        return next(at for at, frame in enumerate(self._frames) if frame.id == self._frame.id)

    def previous_frame(self) -> None:
        """Go one frame back in the list."""
        self._go_to(self._index() - 1)

    def next_frame(self) -> None:
        """Go one frame forward in the list."""
        self._go_to(self._index() + 1)

    def _go_to(self, index: int) -> None:
        if 0 <= index < len(self._frames):
            self.session.select_frame(self._frames[index].id)

    def next_unfinished(self) -> None:
        """Go to the next frame whose ellipse is not final; after the last frame comes the first."""
        self.canvas.flush()
        if self._frame is None:
            return
        annotations = self.session.open.annotations.by_frame()
        found = next_to_do(self._frames, annotations, self._frame.id)
        if found is not None:
            self.session.select_frame(found.id)
        elif self._annotation is not None and self._annotation.state == "final":
            self.session.message.emit("All frames are final.", "info")

    def least_certain(self) -> None:
        """Go to the least certain open proposal, whatever the order of the list."""
        self.canvas.flush()
        if self._frame is None:
            return
        found = least_certain(
            self._frames, self.session.open.annotations.by_frame(), self._frame.id
        )
        if found is not None:
            self.session.select_frame(found.id)
        else:
            self.session.message.emit("There is no other open proposal.", "info")

    # -- the ellipse ------------------------------------------------------------------------

    def _edited(self, ellipse: Ellipse | None) -> None:
        if self._frame is not None:
            self._save(self._frame, ellipse, "draft")

    def _save(self, frame: Frame, ellipse: Ellipse | None, state: AnnotationState) -> bool:
        """Save the ellipse. False if that failed: it is kept for the frame, marked as not saved."""
        self._push(frame.id, ellipse, state)
        held = self._annotation
        saved = held is not None and (held.ellipse, held.state) == (ellipse, state)
        if not saved:
            self.session.unsaved[frame.id] = ellipse
            self.panel.show_unsaved()
        return saved

    def _push(self, frame_id: str, ellipse: Ellipse | None, state: AnnotationState) -> None:
        self.session.undo_stack.push(SetEllipse(self.session, frame_id, ellipse, state))

    def _annotation_changed(self, frame_id: str) -> None:
        if self._frame is not None and frame_id == self._frame.id:
            self._refresh()
        else:
            self._show_position()

    def _refresh(self) -> None:
        """Show what the project holds for the frame. A drag in progress is not interrupted."""
        if self._frame is None or self._unreadable:
            return
        self.canvas.flush()
        project = self.session.open
        self._annotation = annotation = project.annotations.newest(self._frame.id)
        ellipse = annotation.ellipse if annotation is not None else None
        unsaved = self._frame.id in self.session.unsaved
        if unsaved:
            ellipse = self.session.unsaved[self._frame.id]
        self.canvas.set_ellipse(ellipse)
        self.canvas.set_style(ellipse_style(None if unsaved else annotation))
        self.view_bar.set_idle_hint(_DRAW_HINT if ellipse is None else _EDIT_HINT)
        self._measure(self.canvas.ellipse())
        self.panel.show_annotation(annotation)
        if unsaved:
            self.panel.show_unsaved()
        self.panel.revisions.show_revisions(
            project.annotations.revisions(self._frame.id), self._frame.calibration
        )
        self.proposing.set_frame(self._frame, ellipse)
        self._show_position()

    def _measure(self, ellipse: Ellipse | None) -> None:
        if self._frame is not None:
            spread = self.session.spreads.get((self._frame.id, ellipse)) if ellipse else None
            self.panel.biometry.show_ellipse(
                ellipse, self._frame.calibration, age_of(self._frame.labels), spread
            )
            self.canvas.set_spread(spread)

    def _age_entered(self, age: str) -> None:
        if self._frame is not None:
            text = "change gestational age"
            self.session.undo_stack.push(SetLabel(self.session, text, self._frame, AGE_LABEL, age))

    def _show_position(self) -> None:
        if self._frame is None:
            return
        index, count = self._index(), len(self._frames)
        left = count - self.session.open.counts()["final"]
        todo = f"{left} to do" if left else "all final"
        self.bar.name.setText(self._frame.name)
        order = ", least certain first" if self.session.least_certain_first else ""
        place = f"{index + 1} of {count}"
        self.bar.position.setText(
            f"{self._frame.cohort}, frame {place}, {todo}{order}",
            f"frame {place}, {todo}",
            f"{place}, {todo}",
            place,
        )
        self.previous_action.setEnabled(index > 0)
        self.next_action.setEnabled(index + 1 < count)

    def confirm(self) -> None:
        """Make the ellipse final and go to the next frame that is not."""
        if self._frame is None or self._unreadable:
            return
        advice = "Draw an ellipse first, or press P for a proposal."
        ellipse = finished_ellipse(self.canvas, self.session.message.emit, advice)
        if ellipse is None:
            return
        held = self._annotation
        done = held is not None and (held.ellipse, held.state) == (ellipse, "final")
        if done or self._save(self._frame, ellipse, "final"):
            self.next_unfinished()

    def _undo(self) -> None:
        self.canvas.flush()
        if self.canvas.cancel():
            return  # the unfinished line is the most recent action
        self.session.undo_stack.undo()

    def _redo(self) -> None:
        self.canvas.leave_gesture()
        self.session.undo_stack.redo()

    # -- revisions --------------------------------------------------------------------------

    def _point_at(self, revision: Annotation | None) -> None:
        shown = self.proposing.shown if revision is None else revision.ellipse
        self.canvas.set_ghost(shown)

    def _restore(self, revision: Annotation) -> None:
        self.canvas.leave_gesture()
        current = self._annotation.ellipse if self._annotation is not None else None
        if revision.ellipse != current:
            self._push(revision.frame_id, revision.ellipse, "draft")

    # -- proposals --------------------------------------------------------------------------

    def propose(self) -> None:
        """Ask the segmenter for an ellipse on this frame; if it is already at work, stop it."""
        self.canvas.leave_gesture()
        if self._frame is not None:
            self.proposing.toggle(self._frame.id)

    def _show_proposing(self) -> None:
        asked = self._frame is not None and self.proposing.asks_for(self._frame.id)
        self.propose_action.setText("Stop proposing" if asked else "Propose")
        # On the button, where the whole text would move the others.
        self.propose_action.setIconText("Stop" if asked else "Propose")

    def _proposed(self, frame_id: str, ellipse: Ellipse) -> None:
        """Show the proposal beside the ellipse that a person has drawn."""
        shown = self._frame is not None and self._frame.id == frame_id
        if shown and self._annotation is not None and self._annotation.state != "proposed":
            self.proposing.show(ellipse)

    def reject_proposal(self) -> None:
        """Remove the proposal and go to the next least certain one."""
        self.canvas.leave_gesture()
        held = self._annotation
        if self.proposing.shown is not None:
            self.proposing.show(None)
        elif self._frame is not None and held is not None and held.state == "proposed":
            if self._save(self._frame, None, "draft"):
                self.least_certain()
        else:
            self.session.message.emit("There is no proposal to reject on this frame.", "info")

    def use_proposal(self) -> None:
        """Replace the ellipse of the frame with the proposal, as a draft."""
        proposal = self.proposing.shown
        if proposal is not None and self._frame is not None and not self._unreadable:
            self.canvas.leave_gesture()
            self.proposing.show(None)
            self._push(self._frame.id, proposal, "draft")

    def snap(self) -> None:
        """Move the ellipse onto the outline of the skull near it, as one step of undo."""
        self.canvas.leave_gesture()
        if self._frame is None or self._unreadable:
            return
        ellipse = self.canvas.ellipse()
        if ellipse is None:
            self.session.message.emit(
                "Draw an ellipse first, roughly around the head, or press P for a proposal.",
                "warning",
            )
            return
        self.snapping.ask(self._frame.id, ellipse)

    def _snapped(self, frame_id: str, asked: Ellipse, ellipse: Ellipse, elsewhere: bool) -> None:
        """Take the ellipse, unless the person has gone on or changed it in the meantime."""
        shown = self._frame is not None and self._frame.id == frame_id
        if not shown or self.canvas.ellipse() != asked:
            return
        if ellipse != asked:
            self._push(frame_id, ellipse, "draft")
        if elsewhere:
            self.session.message.emit(ELSEWHERE, "warning")

    # -- the canvas -------------------------------------------------------------------------

    def _keep_window(self, window: GreyWindow) -> None:
        self.session.settings.window_level = (window.width, window.level)

    def _keep_convention(self, on: bool) -> None:
        self.session.settings.follow_convention = on

    def _keep_snap(self, on: bool) -> None:
        self.session.settings.snap_proposals = on
