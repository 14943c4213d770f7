"""The functions that the package exports, built on the same jobs as the commands and the window.

A function that runs a job takes ``progress``, which is called with objects that have ``done`` and
``total`` steps, ``eta_s`` (seconds left, or None) and ``note`` (what is being done). A job's
warnings are issued with :func:`warnings.warn`. Ctrl-C stops the job after its current step and
raises KeyboardInterrupt; what was saved is kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.convention import NO_OFFSET, Offset
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import Stopped
from fetalstudio.core.training_settings import TrainingSettings
from fetalstudio.engine.jobs.evaluate.request import EvaluateRequest, EvaluateResult
from fetalstudio.engine.jobs.import_frames.request import ImportRequest
from fetalstudio.engine.jobs.pair_convention.request import PairConventionRequest
from fetalstudio.engine.jobs.sample.request import SampleRequest, SampleResult
from fetalstudio.engine.jobs.synthesize.request import SynthesizeRequest, SynthesizeResult
from fetalstudio.engine.jobs.train.request import TrainRequest, TrainResult
from fetalstudio.engine.models import loading
from fetalstudio.engine.process.events import Event, Progress, Warned
from fetalstudio.engine.process.job import Request
from fetalstudio.engine.process.local import run_job
from fetalstudio.engine.process.threads import settle_threads
from fetalstudio.formats.pictures.picture_files import check_size
from fetalstudio.formats.privacy.redaction import Policy
from fetalstudio.formats.reading.doubts import Question
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.importing.importers import ImportReport
from fetalstudio.project.importing.options import ImportOptions
from fetalstudio.project.project import Project

if TYPE_CHECKING:
    from fetalstudio.segmentation.segmenter import Prediction
    from fetalstudio.segmentation.segmenter import Segmenter as LoadedSegmenter

Result = TypeVar("Result")
OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Segmenter:
    """A segmenter that is loaded and ready; see :func:`load_segmenter`."""

    name: str
    _loaded: LoadedSegmenter = field(repr=False)

    def __call__(
        self,
        image: NDArray[np.uint8],
        *,
        box: tuple[float, float, float, float] | None = None,
        points: Sequence[tuple[float, float]] | None = None,
    ) -> Prediction:
        """Find the head on an image, (H, W) uint8.

        ``box`` (x0, y0, x1, y1) and ``points`` (x, y), in px of the image, tell the segmenter where
        the head is. Without them it finds the head by itself.

        Returns a dataclass with ``mask``, (H, W) uint8 of 0 and 1, ``ellipse`` in px, or None where
        there is no head, and ``confidence``, the IoU to expect from 0 to 1, or None where the
        segmenter's card withholds it.

        Raises :class:`InputError` for an image of another shape, type or size (32 to 8192 px a
        side), for a box or points that are none, and without a prompt where the segmenter needs
        one, as plain SAM does.
        """
        if image.ndim != 2 or image.dtype != np.uint8:
            raise InputError(
                f"The image has the shape {image.shape} and the type {image.dtype}. Give a grey "
                "image of the shape (height, width) and the type uint8."
            )
        check_size((image.shape[1], image.shape[0]), "The image")
        if box is not None and not _is_box(box):
            raise InputError(
                f"The box is {box}. Give (x0, y0, x1, y1) in px, with x0 < x1 and y0 < y1."
            )
        if points is not None and not _are_points(points):
            raise InputError(f"The points are {points}. Give at least one (x, y), in px.")
        return self._loaded.predict(image, box=box, points=points)


@dataclass(frozen=True, slots=True)
class Synthesizer:
    """A synthesizer that is loaded and ready; see :func:`load_synthesizer`."""

    name: str
    _project: Path | None = field(repr=False)

    def __call__(
        self,
        ellipse: Ellipse,
        *,
        size: tuple[int, int],
        seed: int = 0,
        style: str = "auto",
        calibration: Calibration | None = None,
        reference: NDArray[np.uint8] | None = None,
        cohort: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        progress: OnProgress | None = None,
    ) -> SampleResult:
        """Make an image of ``size`` (width, height) px whose head follows ``ellipse`` in px.

        The same ``seed`` gives the same image. ``style`` is ``first``, ``second`` or ``third`` (the
        trimester), ``any``, or ``simulated`` for the scanner simulator; ``auto`` chooses the
        trimester by the head circumference, for which it needs ``calibration``. The image takes
        its sector, brightness and grain from ``reference``, a real frame (H, W) uint8 of the same
        size.
        With ``cohort``, one of the project's, the skull lies where the cohort's annotators draw
        ``ellipse`` around it, as in a batch of pairs; this is measured on the first call. Without
        it, the skull lies on ``ellipse``.
        ``steps`` (1 to 100) and ``guidance`` (1 to 10) default to the model's own.

        Returns a dataclass with ``image``, (H, W) uint8, the ``ellipse`` that it shows, its
        ``quality`` figures and its ``provenance``.

        Raises :class:`InputError` for values out of range, for an ellipse off the image, and for a
        cohort that the project does not have.
        """
        request = SampleRequest(
            ellipse,
            size,
            calibration=calibration,
            style=style,
            reference=reference,
            project=self._project,
            cohort=cohort,
            convention=NO_OFFSET if cohort is None else self._drawn(cohort, progress),
            synthesizer=self.name,
            steps=steps,
            guidance=guidance,
            seed=seed,
            previews=False,
        )
        return _run(request, progress)

    def _drawn(self, cohort: str, progress: OnProgress | None) -> Offset:
        if self._project is None:
            raise InputError(
                f"The synthesizer was loaded without a project, so there is no cohort {cohort!r}. "
                "Give load_synthesizer the project, or leave the cohort out."
            )
        found = _run(PairConventionRequest(self._project, cohort), progress).convention
        return NO_OFFSET if found is None else found.offset


def load_segmenter(name: str | None = None, *, project: Project | None = None) -> Segmenter:
    """Load a segmenter by name: ``compact`` (built in), an added one, or one of ``project``.

    Without a name it is the one that the project has adopted, or ``compact``. ::

        segmenter = fs.load_segmenter("compact")
        prediction = segmenter(image)
        print(prediction.ellipse, prediction.confidence)

    Raises :class:`InputError`, with the names that exist, where there is no such segmenter.
    """
    settle_threads()  # before torch is imported
    model = loading.find_model("segmenter", name, project)
    return Segmenter(model.name, loading.load_segmenter(model))


def load_synthesizer(name: str | None = None, *, project: Project | None = None) -> Synthesizer:
    """Load a synthesizer by name: ``compact`` (built in), an added one, or one of ``project``.

    Without a name it is the one that the project has adopted, or ``compact``. ::

        synthesizer = fs.load_synthesizer("compact")
        result = synthesizer(fs.Ellipse(400, 270, 230, 175, 8), size=(800, 540), seed=1)
        print(result.image.shape, result.quality["dice"])

    Raises :class:`InputError`, with the names that exist, where there is no such synthesizer.
    """
    settle_threads()  # before torch is imported
    model = loading.find_model("synthesizer", name, project)
    loading.load_synthesizer(model)  # kept for the calls
    return Synthesizer(model.name, None if project is None else project.path)


def import_frames(
    project: Project,
    source: str | Path,
    *,
    cohort: str | None = None,
    mask_value: str | None = None,
    keep_names: bool = False,
    keep_labels: Sequence[str] = (),
    frames: str | None = None,
    redact: Policy = "auto",
    progress: OnProgress | None = None,
) -> ImportReport:
    """Bring the frames of a folder, with the annotations beside them, into the project.

    ``cohort`` defaults to the folder's name, and to a neutral one where that may be the name of a
    patient, a number or a date. ``keep_names`` lets the frames keep the names of their files, and
    ``keep_labels`` names columns to import although their texts look like such. ``mask_value`` says
    which value (``"2"``) or colour (``"#ff0000"``) marks the head in masks of several structures.
    ``frames`` says which frames of a DICOM clip are taken (``"first"``, ``"middle"``, ``"last"``,
    ``"all"``, ``"sharpest"``, ``"every 10"``, ``"1,5,9-12"``). ``redact`` says what is blacked out
    of a scanner's screen: by default what was confirmed in the window for its layout, or else all
    but the sector and the text in it; with ``"confirmed"`` other layouts are left out, with
    ``"text"`` only text is blacked out, with ``"none"`` nothing. All of the frames are imported or,
    after an error or Ctrl-C, none of them. ::

        imported = fs.import_frames(project, "frames", cohort="Scanner A")
        print(imported.frames, imported.annotated, imported.problems)

    Returns a dataclass with the numbers of ``frames``, of ``annotated`` frames and of
    ``duplicates``, and a message for each file that was left out in ``problems``.

    Raises :class:`InputError` for a folder that holds no frame.
    """
    head = [] if mask_value is None else [(Question.HEAD, mask_value, ())]
    request = ImportRequest(
        project.path,
        Path(source),
        choices=Choices.of(head, cohort=cohort),
        options=ImportOptions(
            frames=frames, redact=redact, keep_names=keep_names, keep_labels=tuple(keep_labels)
        ),
    )
    return _run(request, progress)


def synthesize(
    project: Project,
    synthesizer: Synthesizer | str | None = None,
    *,
    count: int,
    cohort: str | None = None,
    steps: int | None = None,
    seed: int = 0,
    progress: OnProgress | None = None,
) -> SynthesizeResult:
    """Make ``count`` pairs whose heads are like the annotated ones of the project or ``cohort``.

    The pairs are stored in the project, where they are pending until they are reviewed. The same
    ``seed`` gives the same pairs, which are not stored twice. ::

        made = fs.synthesize(project, count=40, seed=1)
        for pair_id in made.pair_ids:
            print(project.pairs.get(pair_id).quality["dice"])

    Returns a dataclass with ``pair_ids``, their ``mean_dice`` and ``seconds_per_pair``.

    Raises :class:`InputError` for values out of range, and where no frame is annotated.
    """
    request = SynthesizeRequest(
        project.path,
        count=count,
        cohort=cohort,
        synthesizer=_name(synthesizer),
        steps=steps,
        seed=seed,
    )
    return _run(request, progress)


def train(
    project: Project,
    segmenter: Segmenter | str | None = None,
    *,
    cohort: str | None = None,
    real: int | None = None,
    synthetic: int | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    settings: TrainingSettings | None = None,
    name: str | None = None,
    progress: OnProgress | None = None,
) -> TrainResult:
    """Fine-tune a segmenter on the annotated frames and the accepted pairs of the project.

    ``real`` and ``synthetic`` limit the numbers of frames and of pairs; by default all are used.
    The subjects are split into training, validation and test parts. ``settings`` are all options
    of the training, by default the recommended ones; ``epochs`` and ``seed`` replace its own. ::

        trained = fs.train(project, "compact", epochs=10, seed=1, name="mine")
        print(trained.verdict)
        segmenter = fs.load_segmenter(trained.model, project=project)

        slower = fs.TrainingSettings(learning_rate=1e-5, patience=10)
        fs.train(project, settings=slower, epochs=40)

    Returns a dataclass with the new ``model``'s name, or None where no epoch was better than the
    segmenter that it started from, ``dice_before`` and ``dice_after`` on the test part, the
    ``difference`` with its interval, and the ``verdict`` in a sentence.

    Raises :class:`InputError` for values out of range, and where there is too little to learn from.
    """
    chosen = settings or TrainingSettings()
    if epochs is not None:
        chosen = replace(chosen, epochs=epochs)
    if seed is not None:
        chosen = replace(chosen, seed=seed)
    request = TrainRequest(
        project.path,
        segmenter=_name(segmenter),
        cohort=cohort,
        real=real,
        synthetic=synthetic,
        settings=chosen,
        name=name,
    )
    return _run(request, progress)


def evaluate(
    project: Project,
    segmenter: Segmenter | str | None = None,
    *,
    cohort: str | None = None,
    held_out: bool = False,
    progress: OnProgress | None = None,
) -> EvaluateResult:
    """Measure a segmenter on the annotated frames of the project or of ``cohort``.

    ``held_out`` leaves out the subjects that the segmenter was trained on. ::

        scores = fs.evaluate(project, "compact")
        print(scores.n, scores.dice["mean"], scores.dice["ci95"], scores.hc_mae_mm)

    Returns a dataclass with the means over the ``n`` frames (``dice``, ``iou``, ``hd95_px``,
    ``hc_mae_mm`` and more), their 95 % intervals by subject, and the figures of each frame.

    Raises :class:`InputError` where no frame is annotated.
    """
    request = EvaluateRequest(
        project.path, segmenter=_name(segmenter), cohort=cohort, held_out=held_out
    )
    return _run(request, progress)


def _is_box(box: Sequence[float]) -> bool:
    corners = np.asarray(box, float)
    if corners.shape != (4,) or not np.isfinite(corners).all():
        return False
    x0, y0, x1, y1 = corners
    return bool(x0 < x1 and y0 < y1)


def _are_points(points: Sequence[Sequence[float]]) -> bool:
    if len(points) == 0 or any(len(point) != 2 for point in points):
        return False
    return bool(np.isfinite(np.asarray(points, float)).all())


def _name(model: Segmenter | Synthesizer | str | None) -> str | None:
    return model if model is None or isinstance(model, str) else model.name


def _run(request: Request[Result], progress: OnProgress | None) -> Result:
    """Run the job that the request asks for in this process."""

    def on_event(event: Event) -> None:
        if isinstance(event, Warned):
            warnings.warn(event.message, stacklevel=2)
        elif isinstance(event, Progress) and progress is not None:
            progress(event)

    try:
        return run_job(request, on_event)
    except Stopped as stopped:
        raise KeyboardInterrupt from stopped
