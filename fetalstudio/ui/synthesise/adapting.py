"""The dialog that adapts the synthesizer to the project's frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.core.errors import InputError
from fetalstudio.core.words import counted, format_duration
from fetalstudio.engine.jobs.adapt.choice import pace_of
from fetalstudio.engine.jobs.adapt.data import AdaptData, choose_adapt_data
from fetalstudio.engine.jobs.adapt.request import AdaptRequest, AdaptResult
from fetalstudio.engine.process.events import Adapting, Preview
from fetalstudio.engine.resumable import names_in_use
from fetalstudio.ui import theme
from fetalstudio.ui.commands import AdoptModel
from fetalstudio.ui.common.allowing import allow
from fetalstudio.ui.common.cohort_box import chosen_cohort, fill_cohorts
from fetalstudio.ui.common.form import (
    Section,
    combo,
    keyed,
    note,
    side_by_side,
    side_panel,
    whole_number,
)
from fetalstudio.ui.common.job_bar import JobBar
from fetalstudio.ui.common.model_name import ModelNameBox
from fetalstudio.ui.common.pixmaps import shrunk, to_pixmap
from fetalstudio.ui.common.screen import room_for
from fetalstudio.ui.job_runner import JobHandle
from fetalstudio.ui.session import Session
from fetalstudio.ui.synthesise.adapting_curves import AdaptingCurves


class AdaptingDialog(QDialog):
    """Data, settings, progress and outcome of an adaptation. Closing it does not stop the job."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._handle: JobHandle[AdaptResult] | None = None
        self._project: Path | None = None
        self._made: str | None = None
        self._parent = ""
        self._data_suffice = False
        self.setWindowTitle("Adapt to my frames")
        self.resize(QSize(1080, 720).boundedTo(room_for(self)))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(
            side_panel(316, self._data_section(), self._settings_section(), self._outcome_section())
        )
        row.addLayout(self._stage(), 1)
        for button in (self.start_button, self.use_button, self.keep_button):
            button.setAutoDefault(False)  # Return only enters a number or a name
        session.project_changed.connect(self._project_changed)
        session.models_changed.connect(self._show_outcome)
        for signal in (session.frames_changed, session.annotation_changed):
            signal.connect(lambda *_: self._data_changed())
        self._project_changed()

    # -- layout -------------------------------------------------------------------------------

    def _data_section(self) -> Section:
        self.cohort_box = combo()
        self.cohort_box.activated.connect(lambda _: self.refresh())
        self.data = QLabel()
        self.data.setWordWrap(True)
        self.checks = QLabel()
        self.checks.setWordWrap(True)
        section = Section("Learn from")
        section.row("Cohort", self.cohort_box, "The cohort whose annotated frames to learn from")
        section.add(self.data)
        section.add(self.checks)
        return section

    def _settings_section(self) -> Section:
        settings = self._session.settings
        self.name_box = ModelNameBox("cohort and number", self._names_in_use)
        self.name_box.textChanged.connect(lambda _: self._enable_start())
        self.steps_box = whole_number(settings, "adapt/steps", 500, 10, 20_000)
        self.steps_box.setSingleStep(50)
        self.seed_box = whole_number(settings, "adapt/seed", 0, 0, 999_999)
        for box in (self.steps_box, self.seed_box):
            box.valueChanged.connect(lambda _: self.refresh())
        self.start_button = theme.style(QPushButton("Start adapting"), "primary")
        self.start_button.setToolTip("Fit a copy of the current synthesizer to these frames")
        self.start_button.clicked.connect(self.start)
        self.estimate = note()
        section = Section("Settings")
        section.row("Name", self.name_box, "Name of the new synthesizer")
        section.add(self.name_box.message)
        section.row(
            "Steps",
            self.steps_box,
            "Upper limit; it stops early when nothing improves",
        )
        section.row("Seed", self.seed_box, "Sets the order of the frames and which are held out")
        section.add(keyed(self, self.start_button, "Ctrl+Return"))
        section.add(self.estimate)
        return section

    def _outcome_section(self) -> Section:
        self.verdict = QLabel()
        self.verdict.setWordWrap(True)
        self.use_button = QPushButton("Use it")
        self.use_button.setToolTip("Synthesise with the new model from now on; can be undone")
        self.use_button.clicked.connect(self.use)
        self.keep_button = QPushButton("Keep the current")
        self.keep_button.setToolTip("Continue with the current synthesizer")
        self.keep_button.clicked.connect(self.close)
        self.buttons = side_by_side(
            keyed(self, self.use_button, "Ctrl+U"), keyed(self, self.keep_button, "Ctrl+K")
        )
        section = Section("")
        section.add(self.verdict)
        section.add(self.buttons)
        return section

    def _stage(self) -> QVBoxLayout:
        self.title = theme.style(QLabel(), "heading")
        self.job_bar = JobBar("Stop, keep the best")
        self.curves = AdaptingCurves()
        self.curves.setFixedHeight(210)
        self.sheet = FittedImage(
            "A copy of the synthesizer learns what your frames look like. From time to time it "
            "makes images of held-out subjects: you see them change here, below the real frames."
        )
        stage = QVBoxLayout()
        stage.setContentsMargins(*[2 * theme.SPACE] * 4)
        stage.setSpacing(theme.SPACE)
        for widget in (self.title, self.job_bar, self.curves):
            stage.addWidget(widget)
        stage.addWidget(self.sheet, 1)
        return stage

    # -- the data ----------------------------------------------------------------------------

    def ask(self) -> None:
        """Update and show the dialog."""
        self.refresh()
        self.show()
        self.raise_()
        self.activateWindow()

    def _project_changed(self) -> None:
        self._made = None
        self.verdict.setText("")
        self.curves.clear()
        self.sheet.show_image(None)
        self._data_changed()
        self._show_outcome()

    def _data_changed(self) -> None:
        project = self._session.project
        fill_cohorts(self.cohort_box, project.frames.cohorts() if project is not None else [])
        if self.isVisible():
            self.refresh()

    def refresh(self) -> None:
        """Show the data, any problem with them, and how long the job will take."""
        self.title.setText(self._title())
        data: AdaptData | None = None
        problem, notes = "", tuple[str, ...]()
        try:
            data = choose_adapt_data(self._session.open, self._cohort(), self.seed_box.value())
            notes = data.notes
        except InputError as error:
            problem = str(error)
        self.data.setText("" if data is None else _described(data))
        self.data.setVisible(data is not None)
        self.checks.setText(problem or "\n".join(notes))
        theme.style(self.checks, "error" if problem else "warning")
        self.checks.setVisible(bool(self.checks.text()))
        self._data_suffice = data is not None
        self.name_box.check()
        self._enable_start()
        self.estimate.setText(self._estimate())
        self.curves.setVisible(self._handle is not None or bool(self.curves.steps))

    def _enable_start(self) -> None:
        problem = "" if self._data_suffice else "The frames do not suffice."
        running = "" if self._handle is None else "An adaptation is running."
        allow(self.start_button, running or problem or self.name_box.problem)

    def _names_in_use(self) -> set[str]:
        project = self._session.project
        return set() if project is None else names_in_use(project, "synthesizer")

    def _cohort(self) -> str | None:
        return chosen_cohort(self.cohort_box)

    def _parent_name(self) -> str:
        active = self._session.open.models.active("synthesizer")
        return active.name if active is not None else "compact"

    def _title(self) -> str:
        if self._handle is not None:
            where = "" if self._here or self._project is None else f", in {self._project.name}"
            return f"Adapting {self._parent}{where}"
        if self._made is not None:
            return f"{self._made}, adapted from {self._parent}"
        return f"Adapt a copy of {self._parent_name()}"

    def _estimate(self) -> str:
        """From the pace of the newest adaptation whose pace is known."""
        for run in self._session.open.runs.all():
            if run.job == "adapt" and (pace := pace_of(run.history)) is not None:
                left = format_duration(pace * self.steps_box.value())
                return f"About {left} for all steps, at the pace of {run.name}."
        return "The time left is shown after the first steps."

    # -- the job ------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the job ``adapt`` with the values in the dialog."""
        self.refresh()
        if not self.start_button.isEnabled():
            return
        request = AdaptRequest(
            self._session.open.path,
            cohort=self._cohort(),
            synthesizer=self._parent_name(),
            steps=self.steps_box.value(),
            name=self.name_box.name,
            seed=self.seed_box.value(),
        )
        handle = self._session.submit(request)
        self._handle, self._project, self._made = handle, request.project, None
        self._parent = self._parent_name()
        self.name_box.clear()  # the name is this adaptation's now
        self.curves.clear(request.steps)
        self.sheet.show_image(None)
        self.verdict.setText("The outcome will be shown here. You can keep working meanwhile.")
        self._show_outcome()
        self.job_bar.follow(handle)
        handle.adapting.connect(self._measured)
        handle.preview.connect(self._preview)
        handle.on_finished(self._show_result)
        handle.on_cancelled(self._show_result)
        handle.failed.connect(lambda failed: self._show_text(failed.message))
        handle.ended.connect(self._ended)
        self.refresh()

    @property
    def _here(self) -> bool:
        """Whether the project of the job is still open; the job continues in any case."""
        return self._session.is_open(self._project)

    def _measured(self, event: Adapting) -> None:
        if self._here:
            self.curves.add(event)

    def _preview(self, preview: Preview) -> None:
        if self._here:
            self.sheet.show_image(preview.image)

    def _show_result(self, result: AdaptResult | None) -> None:
        if not self._here:
            return
        if result is None:
            self._show_text(
                "Stopped before the first measurement, so there is no new synthesizer. Start again "
                "to make one."
            )
            return
        self._made = result.model
        self._show_text(f"{result.verdict}\n\n{_protocol(result)}")
        self._session.models_changed.emit()
        if not self.isVisible():
            self._session.message.emit(result.verdict, "info")

    def _show_text(self, text: str) -> None:
        if self._here:
            self.verdict.setText(text)

    def _ended(self) -> None:
        self._handle = None
        if self._session.project is not None:
            self.refresh()
        self._show_outcome()

    # -- the outcome --------------------------------------------------------------------------

    def _show_outcome(self) -> None:
        project = self._session.project
        active = project.models.active("synthesizer") if project is not None else None
        new = self._made is not None and (active is None or active.name != self._made)
        self.verdict.setVisible(bool(self.verdict.text()))
        self.buttons.setVisible(self._made is not None)
        self.use_button.setEnabled(new)
        theme.style(self.use_button, "primary" if new else "")
        theme.style(self.start_button, "" if new else "primary")
        self.use_button.setText("Use it" if new else "In use")
        self.keep_button.setEnabled(new)

    def use(self) -> None:
        """Adopt the new synthesizer."""
        if self._made is not None:
            adopt = AdoptModel(self._session, "synthesizer", self._made)
            self._session.undo_stack.push(adopt)
            self._session.message.emit(f"{self._made} makes the images from now on.", "info")


class FittedImage(QLabel):
    """An image of any shape, as large as the layout allows; it requests no space itself."""

    def __init__(self, placeholder: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._image: NDArray[np.uint8] | None = None
        self._placeholder = placeholder
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setWordWrap(True)
        self.setProperty("role", "dim")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.setMinimumSize(QSize(160, 110))
        self.show_image(None)

    def show_image(self, image: NDArray[np.uint8] | None) -> None:
        """Show (H, W) or (H, W, 3) uint8, or the placeholder for None."""
        self._image = image
        if image is None:
            self.setText(self._placeholder)
        else:
            self.setPixmap(to_pixmap(shrunk(image, self.width(), self.height())))

    @property
    def shown(self) -> NDArray[np.uint8] | None:
        """The image at full size."""
        return self._image

    def resizeEvent(self, event: object) -> None:
        """Fit the image to the new size."""
        self.show_image(self._image)


def _described(data: AdaptData) -> str:
    cohorts = ", ".join(f"{n} of {cohort}" for cohort, n in data.cohorts.items())
    return (
        f"Learns from {counted(len(data.train), 'frame')} of "
        f"{counted(len({i.subject for i in data.train}), 'subject')} ({cohorts}). Holds out "
        f"{counted(len(data.held_out), 'frame')} of "
        f"{counted(len({i.subject for i in data.held_out}), 'other subject')} to decide when "
        "to stop. Subjects that validate or test a segmenter are not used."
    )


def _protocol(result: AdaptResult) -> str:
    return (
        f"Learnt from {counted(result.frames, 'frame')} of {counted(result.subjects, 'subject')}. "
        f"Measured on {result.samples} images with the ellipses of "
        f"{counted(result.held_out_subjects, 'held-out subject')}; in their real frames the heads "
        f"are found with a Dice of {result.fidelity_real:.3f}."
    )
