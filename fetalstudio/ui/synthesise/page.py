"""Synthesise: an ellipse on a canvas, and an ultrasound that follows it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import (
    QHBoxLayout,
    QListView,
    QPushButton,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.core.biometry import measure
from fetalstudio.core.convention import NO_OFFSET
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.core.geometry import Size
from fetalstudio.engine.jobs.sample.request import SampleRequest, SampleResult
from fetalstudio.engine.process.events import Preview
from fetalstudio.project.store.records import Frame
from fetalstudio.ui import theme
from fetalstudio.ui.common.allowing import allow
from fetalstudio.ui.common.empty import EmptyState
from fetalstudio.ui.common.filmstrip import Filmstrip
from fetalstudio.ui.common.form import (
    Section,
    combo,
    keyed,
    leave_on_return,
    note,
    side_by_side,
)
from fetalstudio.ui.common.job_bar import JobBar
from fetalstudio.ui.common.quality import QualityPanel
from fetalstudio.ui.job_runner import JobHandle
from fetalstudio.ui.session import Session
from fetalstudio.ui.synthesise.batch import BatchPanel
from fetalstudio.ui.synthesise.commands import KeepPair, MoveHead
from fetalstudio.ui.synthesise.frame_choices import FrameChoices
from fetalstudio.ui.synthesise.pair_convention import PairConventions
from fetalstudio.ui.synthesise.pair_view import PairView
from fetalstudio.ui.synthesise.sampler import Sample, Sampler
from fetalstudio.ui.synthesise.synthesis_controls import Look, SynthesisControls
from fetalstudio.ui.synthesise.synthesis_panel import SynthesisPanel
from fetalstudio.ui.synthesise.synthesizer_choice import SynthesizerChoice


def typical_ellipse(size: Size) -> Ellipse:
    """A typical head on a frame of (width, height) px."""
    a = min(0.30 * size[0], 0.40 * size[1])
    return Ellipse.of(size[0] / 2, size[1] / 2, a, 0.78 * a, 0.0)


class SynthesisePage(QWidget):
    """One image at a time on the canvas, or a batch like a cohort of the project."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._frame: Frame | None = None
        self._reference: NDArray[np.uint8] | None = None
        self._ellipse: Ellipse | None = None  # as on screen, even during a drag
        self._settled: Ellipse | None = None  # after the last finished edit
        self._sample: Sample | None = None
        self.sampler = Sampler(session)
        self.sampler.began.connect(self._began)
        self.sampler.preview.connect(self._previewed)
        self.sampler.sampled.connect(self._sampled)
        self.sampler.stopped.connect(self._stopped)
        self.conventions = PairConventions(session)
        self.conventions.changed.connect(self._conventions_changed)

        self.view = PairView()
        self.canvas = self.view.canvas
        self.canvas.set_editable(True)
        self.canvas.ellipse_changing.connect(self._dragging)
        self.canvas.ellipse_edited.connect(self._edited)
        self.view.tapped.connect(self.synthesise)
        self.filmstrip = Filmstrip()
        self.controls = SynthesisControls(session.settings)
        self.controls.changed.connect(self._changed)
        self.synthesizer = SynthesizerChoice(session, self)
        self.synthesizer.changed.connect(self._changed)
        self.batch = BatchPanel(session, self.filmstrip, self.look)
        self.batch.give_keys(self)
        self.controls.changed.connect(self.batch.look_changed)
        self.empty = EmptyState()
        self.empty.clicked.connect(lambda: session.go("library"))
        self._lay_out()

        session.project_changed.connect(self._project_changed)
        session.frames_changed.connect(self._frames_changed)
        session.imports_changed.connect(self._say_empty)
        session.frame_selected.connect(self.select_frame)
        session.annotation_changed.connect(self._annotation_changed)
        self._project_changed()

    def _lay_out(self) -> None:
        stage = QVBoxLayout()
        stage.setSpacing(0)
        stage.addWidget(self.view, 1)
        stage.addWidget(self.filmstrip)
        work = QWidget()
        row = QHBoxLayout(work)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addLayout(stage, 1)
        self.panel = SynthesisPanel(
            self.session.settings,
            self,
            (self.synthesizer, self.controls),
            (self._head_section(), self._actions()),
            self.batch,
        )
        row.addWidget(self.panel)
        leave_on_return(self.panel, self.canvas)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(work)
        self._stack.addWidget(self.empty)

    def _head_section(self) -> Section:
        self.frame_box, self._choices = combo(), FrameChoices()
        items = QListView()
        items.setUniformItemSizes(True)  # otherwise each of all frames is measured
        self.frame_box.setView(items)
        self.frame_box.setModel(self._choices)
        self.frame_box.activated.connect(
            lambda _: self.session.select_frame(str(self.frame_box.currentData()))
        )
        self.size_label = note()
        self.reset_button = QPushButton("Reset ellipse")
        self.reset_button.setToolTip("Return to the ellipse of the frame, or to a typical head")
        self.reset_button.clicked.connect(self.reset_ellipse)
        head = Section("")
        head.row(
            "Frame",
            self.frame_box,
            "The real frame that provides the first ellipse, the sector, grain and calibration",
        )
        head.add(self.size_label)
        head.add(side_by_side(self.controls.follow_box, keyed(self, self.reset_button, "O")))
        return head

    def _actions(self) -> Section:
        self.make_button = theme.style(QPushButton("Synthesise"), "primary")
        self.make_button.setToolTip("Make the ultrasound of this ellipse")
        self.make_button.clicked.connect(self.synthesise)
        self.variation_button = QPushButton("New variation")
        self.variation_button.setToolTip("Another image of the same ellipse, with the next seed")
        self.variation_button.clicked.connect(self.new_variation)
        self.job_bar = JobBar()
        self.quality = QualityPanel(
            "Each image is measured: does its head match the ellipse?", compact=True
        )
        self.keep_button = QPushButton("Keep as pair")
        self.keep_button.setToolTip("Store image and ellipse in the project for review")
        self.keep_button.clicked.connect(self.keep)
        section = Section("")
        section.add(
            side_by_side(
                keyed(self, self.make_button, "G"), keyed(self, self.variation_button, "N")
            )
        )
        section.add(self.job_bar)
        section.add(self.quality)
        section.add(keyed(self, self.keep_button, "K"))
        return section

    def activated(self) -> None:
        """Give the keyboard to the canvas and warm up the engine; called when the page is shown."""
        self.session.engine.warm_up(SampleRequest)
        self._update()
        self.canvas.setFocus()

    # -- the frame ----------------------------------------------------------------------------

    def _project_changed(self) -> None:
        self.sampler.abandon()
        self._frame = None
        self.batch.reset()
        self._frames_changed()

    def _frames_changed(self) -> None:
        project = self.session.project
        frames = project.frames.all() if project is not None else []
        self._choices.offer(frames)
        self._stack.setCurrentIndex(0 if frames else 1)
        self._say_empty()
        self.batch.refresh()
        self._calibrate()
        shown = self._frame.id if self._frame is not None else self.session.frame_id
        if self._choices.place(shown) < 0:
            shown = frames[0].id if frames else None
        if shown is not None:
            self.select_frame(shown)
            self.frame_box.setCurrentIndex(self._choices.place(shown))
        elif self._frame is not None:
            self._frame = self._reference = self._ellipse = None
            self._forget_sample()

    def _say_empty(self) -> None:
        if self.session.importing:
            self.empty.say_importing()
            return
        self.empty.say(
            "No frames yet",
            "Import real frames first. A synthetic frame takes its size, sector, grain and "
            "calibration from a real one, and starts from its ellipse.",
            "Go to the Library",
        )

    def _calibrate(self) -> None:
        """Follow a new calibration of the frame on screen."""
        if self._frame is None:
            return
        shown = self.session.open.frames.by_id().get(self._frame.id)
        if shown is None or shown == self._frame:
            return
        self._frame = shown
        self.canvas.set_calibration(shown.calibration)
        if self._ellipse is not None:
            self._measure(self._ellipse)
        self._update()

    def select_frame(self, frame_id: str) -> bool:
        """Show this frame. False if it is not in the list or cannot be read."""
        index = self._choices.place(frame_id)
        if index < 0 or (self._frame is not None and self._frame.id == frame_id):
            return index >= 0
        try:
            frame = self.session.open.frames.get(frame_id)
            pixels = self.session.open.frames.pixels(frame_id)
        except UserError as error:
            self.session.report(error)
            return False
        self.canvas.leave_gesture()
        self.frame_box.setCurrentIndex(index)
        self.sampler.abandon()
        self._frame, self._reference = frame, pixels
        self.view.set_real(pixels)
        self.canvas.set_calibration(frame.calibration)
        self._forget_sample()
        self._place(self._start_ellipse(frame))
        return True

    def _annotation_changed(self, frame_id: str) -> None:
        # Until an image is made, the ellipse on screen is that of the frame.
        if self._frame is None or frame_id != self._frame.id:
            return
        if self._sample is None:
            self._place(self._start_ellipse(self._frame))
        if self.isVisible():  # otherwise it is updated when it is shown
            self._update()

    def _own_ellipse(self) -> Ellipse | None:
        """The ellipse of the frame, if it has one."""
        if self._frame is None:
            return None
        annotation = self.session.open.annotations.newest(self._frame.id)
        return annotation.ellipse if annotation is not None else None

    def _start_ellipse(self, frame: Frame) -> Ellipse:
        return self._own_ellipse() or typical_ellipse(frame.size)

    # -- the ellipse --------------------------------------------------------------------------

    def reset_ellipse(self) -> None:
        """Return to the ellipse of the frame, as a step of undo."""
        if self._frame is not None:
            self._edited(self._start_ellipse(self._frame))

    def place_ellipse(self, ellipse: Ellipse) -> None:
        """Show this ellipse, and let the image follow it."""
        self._place(ellipse)
        self._follow(resting=True)

    def _place(self, ellipse: Ellipse) -> None:
        self._ellipse = self._settled = ellipse
        self.canvas.set_ellipse(ellipse)
        self._measure(ellipse)
        self._update()

    def _measure(self, ellipse: Ellipse) -> None:
        calibration = self._frame.calibration if self._frame is not None else None
        if calibration is None:
            self.size_label.setText("Not calibrated: size in mm unknown")
            return
        size = measure(ellipse, calibration)
        self.size_label.setText(
            f"HC {size.hc_mm:.0f} mm · BPD {size.bpd_mm:.0f} mm · OFD {size.ofd_mm:.0f} mm"
        )

    def _dragging(self, ellipse: Ellipse) -> None:
        self._ellipse = ellipse
        self._measure(ellipse)
        # After Esc, or a click that moves nothing, no edit follows.
        self._follow(resting=ellipse == self._settled)

    def _follow(self, *, resting: bool) -> None:
        if self.controls.follow_box.isChecked():
            self.sampler.follow(self.request(), resting=resting)
        self._update()

    def _edited(self, ellipse: Ellipse | None) -> None:
        if self._frame is None or self._settled is None:
            return
        if ellipse is None:
            self._place(self._settled)
            self.session.message.emit(
                "The ultrasound is made around the ellipse, so it stays. Press O to take it from "
                "the frame again.",
                "info",
            )
        elif ellipse != self._settled:
            self.session.undo_stack.push(
                MoveHead(self._show_head, self._frame.id, self._settled, ellipse)
            )

    def _show_head(self, frame_id: str, ellipse: Ellipse) -> None:
        self.session.select_frame(frame_id)
        if self.select_frame(frame_id):
            self.place_ellipse(ellipse)

    # -- the image ----------------------------------------------------------------------------

    def look(self) -> Look:
        """The settings of the images, and the synthesizer in use."""
        return replace(self.controls.look(), synthesizer=self.synthesizer.name)

    def request(self) -> SampleRequest:
        """The request of the canvas and the fields. Raises ``ValueError`` without a frame."""
        if self._frame is None or self._ellipse is None:
            raise ValueError("there is no ellipse to synthesise")
        look, cohort = self.look(), self._frame.cohort
        return SampleRequest(
            ellipse=self._ellipse,
            size=self._frame.size,
            calibration=self._frame.calibration,
            style=look.style,
            reference=self._reference,
            replaces=self._own_ellipse() if look.background == "frame" else None,
            project=self.session.open.path,
            cohort=cohort,
            convention=self.conventions.offset(cohort) if look.convention else NO_OFFSET,
            synthesizer=look.synthesizer,
            steps=look.steps,
            guidance=look.guidance,
            seed=look.seed,
        )

    @property
    def stale(self) -> bool:
        """Whether the image belongs to another request than the current one."""
        if self._sample is None or self._frame is None:
            return False
        return not self._sample.answers(self.request())

    def synthesise(self) -> None:
        """Make the image at full quality."""
        if self._frame is not None:
            self.sampler.full(self.request())

    def new_variation(self) -> None:
        """Make an image with the next seed."""
        if self._frame is not None:
            blocker = QSignalBlocker(self.controls)
            self.controls.next_seed()
            blocker.unblock()
            self.synthesise()

    def _changed(self) -> None:
        if self._sample is not None:
            self._follow(resting=True)
        else:  # a change of settings does not make a first image
            self._update()

    def _began(self, handle: JobHandle[SampleResult]) -> None:
        self.conventions.pause()
        self.job_bar.follow(handle)
        self._update()

    def _previewed(self, event: Preview) -> None:
        self.view.set_synthetic(event.image)

    def _sampled(self, sample: Sample) -> None:
        self._sample = sample
        self.view.set_synthetic(sample.result.image)
        if not sample.draft:
            self.quality.show_quality(sample.result.quality, sample.result.provenance)
            self.batch.set_pace(sample.result.seconds)
            if self._frame is not None and not self._drawing_known():
                self.conventions.measure(self._frame.cohort)
            self._follow_convention()
        self._update()

    def _stopped(self) -> None:
        # The preview of a cancelled image is removed.
        self.view.set_synthetic(None if self._sample is None else self._sample.result.image)
        self._update()

    def _drawing_known(self) -> bool:
        """Whether it is known where the skull of a pair has to be."""
        if self._frame is None or not self.controls.convention_box.isChecked():
            return True
        return self.conventions.is_known(self._frame.cohort)

    def _conventions_changed(self) -> None:
        if self.isVisible():  # otherwise it is updated when it is shown
            self._follow_convention()
            self._update()

    def _follow_convention(self) -> None:
        """Let the image follow a convention that has become known."""
        sample = self._sample
        if sample is None or sample.draft or self.sampler.busy or not self._drawing_known():
            return
        if sample.request.convention != self.request().convention:
            self._follow(resting=True)

    def _forget_sample(self) -> None:
        self._sample = None
        self.quality.show_quality({})
        self._update()

    def _update(self) -> None:
        """Update the caption and the buttons."""
        sample, stale = self._sample, self.stale
        self.controls.warn(has_ellipse=self._frame is None or self._own_ellipse() is not None)
        if sample is None and self.sampler.busy:
            self.view.say("Making the ultrasound of the ellipse.", "Making the ultrasound.")
        elif sample is None:
            name = self._frame.name if self._frame is not None else ""
            press = "Press G to make the ultrasound"
            self.view.say(f"{name}: real frame. {press} of the ellipse.", f"{press}.")
        elif stale and not self.sampler.busy:
            self.view.say(*sample.outdated_captions(self._ellipse), role="warning")
        elif stale or sample.draft:
            follows = "Draft. The full image follows"
            self.view.say(f"{follows} when the ellipse rests.", f"{follows}.")
        elif not self._drawing_known():
            measuring = self.conventions.measuring
            self.view.say(*sample.unknown_captions(measuring=measuring), role="warning")
        else:
            self.view.say(*sample.captions())
        allow(self.keep_button, self._why_not_kept())

    def _why_not_kept(self) -> str:
        """Why the image cannot be kept as a pair; empty where it can."""
        if self._sample is None:
            return "There is no image of the ellipse yet: press G."
        if self._sample.kept:
            return "It is kept already. Another variation (N) or ellipse makes another pair."
        if self.stale or self._sample.draft:
            return "The full image of this ellipse is not made yet."
        return "" if self._drawing_known() else "How the cohort is drawn is not known yet."

    def keep(self) -> None:
        """Store the image with its ellipse as a pair for review."""
        if self._frame is None or self._sample is None or not self._drawing_known():
            return
        if self._sample.kept_in(self.session.open):
            self._tell_kept(self._sample, kept=True)
            self.session.message.emit("This image is kept as a pair already.", "info")
            return
        self.session.undo_stack.push(
            KeepPair(self.session, self._sample, self._frame, self._tell_kept)
        )

    def _tell_kept(self, sample: Sample, kept: bool) -> None:
        """Let the button say whether an image is kept, if it is still the one on the canvas."""
        if self._sample is not None and self._sample.result is sample.result:
            self._sample = replace(self._sample, kept=kept)
            self._update()
