"""Review: the queue of synthetic pairs, worst first, for a person to accept or reject."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QStackedLayout,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.core.convention import Offset
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.core.screening import Verdict
from fetalstudio.core.words import counted, percent
from fetalstudio.project.store.records import Pair, ReviewState
from fetalstudio.ui import theme
from fetalstudio.ui.canvas import CanvasActions, FrameCanvas
from fetalstudio.ui.commands import ProjectCommand, ReviewPair, ReviewPairs
from fetalstudio.ui.common.allowing import allow
from fetalstudio.ui.common.elided_label import ElidedLabel
from fetalstudio.ui.common.empty import EmptyState
from fetalstudio.ui.common.form import (
    Section,
    keyed,
    leave_on_return,
    note,
    rule,
    side_panel,
)
from fetalstudio.ui.common.quality import QualityPanel
from fetalstudio.ui.review.comparison import Comparison
from fetalstudio.ui.review.correction import Correction
from fetalstudio.ui.review.decision_bar import DecisionBar
from fetalstudio.ui.review.pair_filter import PairFilterForm
from fetalstudio.ui.review.pair_list import PairList
from fetalstudio.ui.session import Session

FILTERS: tuple[ReviewState, ...] = ("pending", "accepted", "rejected")


class ReviewPage(QWidget):
    """One pair with its quality figures and related real frames; A accepts, R rejects."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._all: dict[int, Pair] = {}
        self._filter: ReviewState = "pending"
        self._shown: Pair | None = None
        self._refresher = QTimer(self)
        self._refresher.setSingleShot(True)
        self._refresher.timeout.connect(self.refresh)

        self.list = PairList(self._pixels)
        self.list.current_changed.connect(self._show)
        self.comparison = Comparison(self._pixels)
        self.canvas = FrameCanvas()
        self.canvas_actions = CanvasActions(self.canvas)
        self.canvas.ellipse_edited.connect(self._corrected)
        self.empty = EmptyState()
        self.empty.clicked.connect(lambda: session.go("synthesise"))
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self._work())
        self._stack.addWidget(self.empty)
        session.project_changed.connect(self._project_changed)
        # Many reviews at once (accept all, and its undo) cause one refresh.
        session.pairs_changed.connect(self._pairs_changed)
        self.refresh()

    # -- layout -------------------------------------------------------------------------------

    def _work(self) -> QWidget:
        work = QWidget()
        row = QHBoxLayout(work)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self._queue())
        row.addLayout(self._stage(), 1)
        row.addWidget(self._side())
        return work

    def _queue(self) -> QWidget:
        self._filter_group = QButtonGroup(self)
        self.filter_buttons: dict[ReviewState, QToolButton] = {}
        line = QHBoxLayout()
        line.setSpacing(2)
        for state in FILTERS:
            button = QToolButton()
            button.setCheckable(True)
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            button.setChecked(state == self._filter)
            button.setToolTip(f"Show the {state} pairs")
            button.clicked.connect(lambda _=False, s=state: self.show_state(s))
            self._filter_group.addButton(button)
            self.filter_buttons[state] = button
            line.addWidget(button)
        queue = QWidget()
        queue.setFixedWidth(268)
        column = QVBoxLayout(queue)
        column.setContentsMargins(theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE)
        column.addLayout(line)
        column.addWidget(self.list, 1)
        self.previous_button = theme.style(QPushButton("Previous"), "quiet")
        self.previous_button.setToolTip("Go to the previous pair without a decision")
        self.previous_button.clicked.connect(lambda: self.list.step(-1))
        self.next_button = theme.style(QPushButton("Next"), "quiet")
        self.next_button.setToolTip("Go to the next pair without a decision")
        self.next_button.clicked.connect(lambda: self.list.step(1))
        for move in (self.previous_button, self.next_button):
            move.setAutoRepeat(True)
        moves = QHBoxLayout()
        moves.addWidget(keyed(self, self.previous_button, "K"))
        moves.addWidget(keyed(self, self.next_button, "J"))
        column.addLayout(moves)
        return queue

    def _stage(self) -> QVBoxLayout:
        self.copy_badge = _badge("COPY", theme.ERROR)
        self.copy_badge.setToolTip(
            "More similar to a training frame of the synthesizer than any two patients are: "
            "left out of training and export, even if accepted"
        )
        self.real_badge = _badge("REAL PIXELS", theme.WARNING)
        self.caption = ElidedLabel()  # in a narrow window the buttons come first
        self.accept_button = theme.style(QPushButton("Accept (A)"), "primary")
        self.accept_button.setToolTip("The image shows this head: use the pair for training")
        self.accept_button.clicked.connect(lambda: self.decide("accepted"))
        self.reject_button = theme.style(QPushButton("Reject (R)"), "danger")
        self.reject_button.setToolTip("Do not use the pair")
        self.reject_button.clicked.connect(lambda: self.decide("rejected"))
        self.undo_button = QPushButton("Undo (U)")
        self.undo_button.setToolTip("Undo the last decision or correction")
        self.undo_button.clicked.connect(self.session.undo_stack.undo)
        self.session.undo_stack.canUndoChanged.connect(self.undo_button.setEnabled)
        self.session.undo_stack.undoTextChanged.connect(self._show_undo)
        self.undo_button.setEnabled(self.session.undo_stack.canUndo())
        buttons = (self.undo_button, "U"), (self.reject_button, "R"), (self.accept_button, "A")
        bar = DecisionBar(
            (self.copy_badge, self.real_badge),
            self.caption,
            [keyed(self, button, key) for button, key in buttons],
        )
        self.pair_view = QWidget()
        frames = QVBoxLayout(self.pair_view)
        frames.setContentsMargins(0, 0, 0, 0)
        frames.setSpacing(0)
        frames.addWidget(self.canvas, 1)
        frames.addWidget(self.comparison)
        self.none_left = EmptyState()
        self.none_left.clicked.connect(lambda: self.session.go(self._next_place()))
        stage = QVBoxLayout()
        stage.setSpacing(0)
        stage.addWidget(bar)
        stage.addWidget(self.pair_view, 1)
        stage.addWidget(self.none_left, 1)
        return stage

    def _side(self) -> QWidget:
        self.quality = QualityPanel("This pair was not measured. Judge it by eye.")
        self.correction = Correction(self)
        self.correction.wanted.connect(self._corrected)
        figures = Section("Quality")
        figures.add(self.quality)
        figures.add(self.correction)

        self.details = note()
        made = Section("Made with")
        made.add(self.details)
        divider = rule()
        self._of_the_pair = (self.pair_view, figures, made, divider)

        self.filter_form = PairFilterForm(self.session.settings, self)
        leave_on_return(self.filter_form, self.list)
        self.filter_form.changed.connect(self.refresh)
        self.filter_form.accept_button.clicked.connect(lambda: self.decide_all("accepted"))
        self.filter_form.reject_button.clicked.connect(lambda: self.decide_all("rejected"))
        return side_panel(284, figures, made, divider, self.filter_form)

    def _show_undo(self, what: str) -> None:
        # All places share one history: say which step is next.
        self.undo_button.setToolTip(theme.tip(f"Undo: {what}" if what else "Nothing to undo", "U"))

    # -- the queue ----------------------------------------------------------------------------

    def activated(self) -> None:
        """Give the keyboard to the list; called whenever the page is shown."""
        self.refresh()
        self.list.setFocus()

    def show_state(self, state: ReviewState) -> None:
        """Show only the pairs in this state."""
        self._filter = state
        self.filter_buttons[state].setChecked(True)
        self.refresh()

    def _project_changed(self) -> None:
        # Ids are unique within a project only: forget the pair before leave_gesture() corrects it.
        self._all, self._shown, self._filter = {}, None, "pending"
        self.canvas.leave_gesture()
        self.filter_buttons["pending"].setChecked(True)
        self.refresh()

    def _pairs_changed(self) -> None:
        # While another place is shown nothing needs to be read: activated() refreshes.
        if self.isVisible():
            self._refresher.start()

    def refresh(self, go_to: int | None = None) -> None:
        """Read the pairs again. ``go_to`` (an id) becomes the current pair.

        By default that is a pair changed elsewhere (by undo), else the same pair as before, else
        the one in its row.
        """
        self._refresher.stop()
        project = self.session.project
        before = self._all
        self._all = {pair.id: pair for pair in project.pairs.all()} if project is not None else {}
        listed = [pair for pair in self._all.values() if pair.state == self._filter]
        changed = [i for i, pair in self._all.items() if i in before and before[i] != pair]
        current = self.list.current()
        same = current.id if current is not None and current.id in before else None
        preferred = [go_to, *changed, same]
        row = self.list.currentIndex().row()
        self.list.show_pairs(listed, self.filter_form.filter(), preferred, row)
        self._count()

    def _count(self) -> None:
        counts = dict.fromkeys(FILTERS, 0)
        for pair in self._all.values():
            counts[pair.state] += 1
        for state, button in self.filter_buttons.items():
            button.setText(f"{state.capitalize()}\n{counts[state]}")
        self.filter_form.count(*(len(self._pending(passed=passed)) for passed in (True, False)))
        self._stack.setCurrentIndex(0 if self._all else 1)
        self.empty.say(
            "Nothing to review yet",
            "Synthetic pairs are reviewed here, worst first. Make them in Synthesise: one by one "
            "with Keep as pair, or many at once.",
            "Go to Synthesise",
        )

    # -- the current pair ---------------------------------------------------------------------

    def _show(self, pair: Pair | None) -> None:
        for button in (self.accept_button, self.reject_button):
            allow(button, "" if pair is not None else "No pair is shown.")
        for widget in self._of_the_pair:
            widget.setVisible(pair is not None)
        self.none_left.setVisible(pair is None)
        if pair is None:
            self._show_nothing()
            return
        if pair != self._shown:  # otherwise a drag in progress would be cancelled
            self._show_picture(pair)
        for button, state in ((self.accept_button, "accepted"), (self.reject_button, "rejected")):
            allow(button, f"The pair is {state} already." if pair.state == state else "")
        self.quality.show_quality(pair.quality, pair.provenance, self._verdict(pair))
        self.copy_badge.setVisible(pair.copy)
        self.real_badge.setVisible(bool(pair.contains_real_pixels))
        share = pair.quality.get("real_share")
        self.real_badge.setToolTip(
            f"{'A part' if share is None else percent(share)} of the ultrasound is that of the "
            "real frame: left out of exports unless asked for"
        )
        self.correction.show_pair(pair, self._verdict(pair))
        self.canvas.set_ghost(self.correction.dashed)
        self.details.setText(_details(pair))
        row, count = self.list.currentIndex().row() + 1, self.list.pairs.rowCount()
        place = f"{row} of {count}"
        self.caption.setText(
            f"{place}, {pair.state}: {pair.frame.name}",
            f"{place}, {pair.state}",
            place,
            f"{row}/{count}",
        )

    def _show_picture(self, pair: Pair) -> None:
        if self._shown is None or self._shown.frame.id != pair.frame.id:
            self.canvas.leave_gesture()
            self.canvas.set_image(self._pixels(pair.frame.id))
            self.canvas.set_calibration(pair.frame.calibration)
            self.comparison.show_pair(self.session.project, pair)
        self._shown = pair
        self.canvas.set_editable(True)
        self.canvas.set_ellipse(pair.ellipse)

    def _show_nothing(self) -> None:
        self._shown = None
        self.canvas.set_image(None)
        self.canvas.set_ellipse(None)
        self.canvas.set_ghost(None)
        self.canvas.set_editable(False)
        self.quality.show_quality({})
        self.comparison.show_pair(None, None)
        self.copy_badge.hide()
        self.real_badge.hide()
        self.details.setText("")
        self.caption.setText("")
        if self._filter != "pending":
            self.none_left.say(f"No pair is {self._filter}", "")
            return
        next_step = {
            "train": ("Train on the accepted pairs.", "Go to Train"),
            "synthesise": ("None was accepted. Make other pairs.", "Go to Synthesise"),
        }
        self.none_left.say("All pairs are reviewed", *next_step[self._next_place()])

    def _next_place(self) -> str:
        accepted = any(pair.state == "accepted" for pair in self._all.values())
        return "train" if accepted else "synthesise"

    def _pixels(self, frame_id: str) -> NDArray[np.uint8] | None:
        try:
            return self.session.open.frames.pixels(frame_id)
        except UserError as error:
            self.session.report(error)
            return None

    # -- decisions ----------------------------------------------------------------------------

    def decide(self, state: ReviewState) -> None:
        """Accept or reject the current pair and go to the next one in this state."""
        self.canvas.flush()
        pair = self.list.current()
        if pair is None or pair.state == state:
            return
        following = self._following(pair.id)
        self._push(ReviewPair(self.session, pair.id, state))
        self.refresh(following)
        if state == "accepted" and pair.copy:
            self.session.message.emit(
                "Accepted, but the pair is a copy of a training frame, which training and export "
                "leave out.",
                "warning",
            )

    def _following(self, pair_id: int) -> int | None:
        """The next pair in the list that keeps its state; after the last comes the first."""
        pairs, row = self.list.pairs, self.list.pairs.row_of(pair_id) or 0
        order = [*range(row + 1, pairs.rowCount()), *range(row)]
        return next((pairs.pair(i).id for i in order if pairs.pair(i).state == self._filter), None)

    def _corrected(self, ellipse: Ellipse | None) -> None:
        pair = self._shown
        if pair is None:
            return
        if ellipse is None:
            self.canvas.set_ellipse(pair.ellipse)
            self.session.message.emit(
                "A pair needs an ellipse. To discard the pair, reject it (R).", "info"
            )
        elif ellipse != pair.ellipse:
            self._push(ReviewPair(self.session, pair.id, pair.state, ellipse))
            self.refresh(pair.id)

    def _push(self, command: ProjectCommand) -> None:
        self.session.undo_stack.push(command)

    def _verdict(self, pair: Pair) -> Verdict:
        return self.filter_form.filter().verdict(pair.quality, pair.copy_threshold)

    def _pending(self, *, passed: bool) -> list[Pair]:
        """The pending pairs that the filter decides; corrected pairs are left to the person."""
        pending = (p for p in self._all.values() if p.state == "pending" and not p.corrected)
        return [pair for pair in pending if self._verdict(pair).passed == passed]

    def decide_all(self, state: ReviewState) -> None:
        """Accept every pending pair that passes the filter, or reject every one that fails it.

        That is one step of undo.
        """
        chosen = self._pending(passed=state == "accepted")
        if not chosen:
            return
        self._push(ReviewPairs(self.session, chosen, state))
        self.refresh()
        # The clicked button is now disabled; without a focus no key would work.
        self.list.setFocus()
        self.session.message.emit(
            f"{state.capitalize()} {counted(len(chosen), 'pair')}. Press U to undo.", "step"
        )


def _badge(text: str, colour: str) -> QLabel:
    badge = QLabel(text)
    badge.setStyleSheet(
        f"background: {colour}; color: {theme.CANVAS}; font-weight: 700; "
        "padding: 2px 8px; border-radius: 3px"
    )
    badge.hide()
    return badge


def _details(pair: Pair) -> str:
    """The provenance that is known, in a few words."""
    names = {
        "synthesizer": "",
        "style": "style ",
        "scale": "scale ",
        "seed": "seed ",
        "steps": "steps ",
        "guidance": "guidance ",
    }
    known = [
        f"{label}{pair.provenance[key]}"
        for key, label in names.items()
        if pair.provenance.get(key) is not None
    ]
    if isinstance(convention := pair.provenance.get("convention"), dict):
        drawn = Offset(convention.get("long", 0.0), convention.get("short", 0.0))
        known.append(f"{drawn.words}, as in its cohort")
    made = f"{pair.created_at.astimezone():%d %b %Y, %H:%M}"
    return ", ".join([*known, made])
