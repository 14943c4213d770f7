"""Job ``adapt``: adapt the synthesizer to a handful of a project's own frames."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.errors import InputError, check_ranges
from fetalstudio.core.progress import Stopped
from fetalstudio.core.similarity import Neighbours
from fetalstudio.engine.cohort_split import keep_parts
from fetalstudio.engine.jobs.adapt.choice import (
    AdaptingCountdown,
    Choice,
    HeldOutFigures,
    Measurement,
    pace_of,
)
from fetalstudio.engine.jobs.adapt.data import AdaptData, choose_adapt_data
from fetalstudio.engine.jobs.adapt.held_out import HeldOut
from fetalstudio.engine.jobs.adapt.request import AdaptRequest, AdaptResult
from fetalstudio.engine.jobs.sample.request import MAX_SEED
from fetalstudio.engine.models.copy_index import copy_index, write_copy_index
from fetalstudio.engine.models.loading import (
    ALIGNED,
    FoundModel,
    find_model,
    judge_model,
    load_segmenter,
    load_synthesizer,
)
from fetalstudio.engine.models.seen import Seen, seen_by
from fetalstudio.engine.process.events import Adapting, Checkpoint, Preview, Progress, Warned
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.resumable import (
    ResumableRun,
    cohort_now,
    newest_resumable,
    resumable_run,
)
from fetalstudio.formats.files import atomic_folder
from fetalstudio.formats.model_card import ModelCard, write_seen_subjects
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Run
from fetalstudio.synthesis.adapting import Halt, adapt, adapt_settings
from fetalstudio.synthesis.detail import Detail
from fetalstudio.synthesis.interface import SceneSynthesizer
from fetalstudio.synthesis.lift import Lift
from fetalstudio.synthesis.pipeline import CompactPipeline
from fetalstudio.synthesis.synthesizer import Synthesizer
from fetalstudio.synthesis.training import fit_lift

LIFT_FRAMES = 20
"""The fine grain is fitted to at most this many frames; each is rendered at every measurement."""
PROTOCOL = (
    "images on ellipses and sectors of subjects of the training part that were held out of the "
    "adapting, with fixed seeds. fidelity: mean Dice between the requested ellipse and that of "
    "the judge. grey, spectrum: distance of grey levels (of 255) and of radial power spectra (dB) "
    "to the real held-out frames. similarity: mean similarity of the images to their nearest "
    "training frame, those of the parent included; copies: images above the parent's threshold. "
    "The step was chosen by these same figures, which are therefore too good."
)


def run(request: AdaptRequest, report: Report, cancelled: CancelCheck) -> AdaptResult:
    """Train a copy of the synthesizer, measure it as it goes, and keep the best as a model.

    A cancel keeps the best model so far, and the ``Cancelled`` event carries the result, unless
    nothing has been measured. After a crash the same request resumes from the last checkpoint.
    """
    _check_settings(request)
    with Project.open(request.project) as project:
        model = find_model("synthesizer", request.synthesizer, project)
        if ModelCard.read(model.folder).architecture.get("type") != "compact":
            raise InputError(
                f"{model.name} is not a compact synthesizer, which alone can be adapted here. "
                "Choose compact, or one adapted from it."
            )
        keep_parts(project, request.cohort)
        data = choose_adapt_data(project, request.cohort, request.seed)
        for sentence in data.notes:
            report(Warned(sentence))
        # A parent that does not know its training frames is refused before a run is recorded.
        parent = _parent(project, model, data)
        settings = {
            **asdict(request),
            "project": None,
            "job": "adapt",
            "started_from": parent.synthesizer.card.name,
            "started_from_sha256": parent.synthesizer.hash,
        }

        def same(run: Run) -> bool:
            stored = {**run.settings, "cohort": cohort_now(project, run)}
            return stored == settings and dict(run.data) == data.summary()

        with resumable_run(
            project,
            "adapt",
            report,
            cancelled,
            name=request.name,
            stem=request.cohort or "adapted",
            settings=settings,
            data=data.summary(),
            resume=newest_resumable(project, "adapt", same),
        ) as held:
            adapting = _Adapting(held, request, data, parent)
            try:
                result, stopped = adapting.run()
            except Stopped:
                held.drop_state()
                raise
            held.finish(asdict(result), cancelled=stopped)
            held.drop_state()
    if stopped:
        raise Stopped(result)
    return result


@dataclass(frozen=True, slots=True)
class _Parent:
    """The synthesizer that is adapted, and the frames that the adapted one may show too much of."""

    synthesizer: Synthesizer
    seen: Seen
    """What influenced the parent."""
    neighbours: Neighbours
    """The copy index of the adapted model: the parent's training frames and its own."""


def _parent(project: Project, model: FoundModel, data: AdaptData) -> _Parent:
    """Load the synthesizer that is to be adapted to ``data``.

    Raises :class:`InputError` for one that does not know its training frames.
    """
    neighbours = copy_index(data.train, model.folder)
    synthesizer = _unaligned(load_synthesizer(model))
    return _Parent(synthesizer, seen_by(project, model), neighbours)


class _Adapting:
    """One adaptation: what it has measured, recorded and saved so far."""

    def __init__(
        self, held: ResumableRun, request: AdaptRequest, data: AdaptData, parent: _Parent
    ) -> None:
        self.held, self.request, self.data = held, request, data
        self.parent, self.seen = parent.synthesizer, parent.seen
        self.neighbours = parent.neighbours
        self.progress = held.steps(None)
        self.measured = [Measurement.of_row(row) for row in held.history]
        self.choice = Choice(self.measured)
        self.losses: list[float] = []
        self.countdown = AdaptingCountdown(
            request.steps, request.measure_every, pace_of(held.history)
        )

    def run(self) -> tuple[AdaptResult, bool]:
        """The result, and whether the adaptation was stopped early."""
        done = self.measured[-1].step if self.measured else 0
        left = self.countdown.left(done)
        self.held.report(Progress(done, self.request.steps, left, "measuring the held-out frames"))
        judge = load_segmenter(judge_model())
        self.held_out = HeldOut(self.data.held_out, self.neighbours, judge)
        self.settings = adapt_settings(
            self.parent,
            steps=self.request.steps,
            batch=self.request.batch,
            learning_rate=self.request.learning_rate,
            seed=self.request.seed,
        )
        self.examples = [frame.loaded() for frame in self.data.train]
        every, steps = self.request.measure_every, self.request.steps
        try:
            self._measure_start()
            last = self.measured[-1].step
            if self.choice.patient(self.request.patience):
                adapt(
                    self.examples,
                    self.settings,
                    self.held.state_file,
                    start=self.parent.pipeline,
                    halts=[s for s in (*range(every, steps, every), steps) if s > last],
                    on_step=self._stepped,
                    on_halt=self._halted,
                )
        except Stopped:
            if len(self.measured) < 2:
                raise
        stopped = bool(self.held.cancelled())
        if len(self.measured) < 2:
            raise Stopped
        result = self._result()
        if self.held.has_model:
            self._card(result).write(self.held.folder)
        return result, stopped

    def _own_finish(self, pipeline: CompactPipeline) -> Lift | Detail | None:
        """A lift of these frames, or the parent's if they are too small to show fine detail.

        A detail stage follows the frame that lends its sector and needs no adapting.
        """
        if isinstance(self.parent.finish, Detail):
            return self.parent.finish
        some = self.examples[:: -(-len(self.examples) // LIFT_FRAMES)]
        try:
            return fit_lift(pipeline, some, progress=self.progress)
        except ValueError:
            return self.parent.finish

    def _measure_start(self) -> None:
        """Measure the parent, also in a resumed run: later images are compared with its own."""
        figures, self.before = self._measure(self.parent)
        if not self.measured:
            self._take(Measurement(0, figures, False), math.nan)
        self.held.report(Preview(self.held_out.sheet([("Before", self.before)]), "before"))

    def _stepped(self, step: int, loss: float) -> None:
        self.losses.append(loss)
        self.countdown.stepped()
        left = self.countdown.left(step)
        self.held.report(Progress(step, self.request.steps, left, "adapting"))
        self.progress.check()

    def _halted(self, halt: Halt) -> bool:
        """Measure, keep the model if it is the best so far, and return whether to continue."""
        name, step = self.held.name, halt.step
        card = replace(self.parent.card, name=name)
        synthesizer = Synthesizer(halt.pipeline, card, finish=self._own_finish(halt.pipeline))
        left = self.countdown.left(step)
        self.held.report(Progress(step, self.request.steps, left, "adapting, measuring"))
        figures, pictures = self._measure(synthesizer)
        best = self.choice.better(figures, self.held_out.fidelity_of_real)
        loss = sum(self.losses) / len(self.losses) if self.losses else math.nan
        self.losses.clear()
        if best:
            self._save(synthesizer, Measurement(step, figures, best))
        self._take(Measurement(step, figures, best), loss)
        rows = [("Before", self.before), (f"After {step} steps", pictures)]
        self.held.report(Preview(self.held_out.sheet(rows), f"step {step}"))
        return self.choice.patient(self.request.patience)

    def _measure(
        self, synthesizer: Synthesizer
    ) -> tuple[HeldOutFigures, Sequence[NDArray[np.uint8]]]:
        with self.countdown.measuring():
            return self.held_out.measure(synthesizer, self.progress)

    def _take(self, measured: Measurement, loss: float) -> None:
        self.measured.append(measured)
        f = measured.figures
        entry = measured.row()
        if not math.isnan(loss):
            entry["loss"] = loss
        self.held.record(entry)
        self.held.report(
            Adapting(
                measured.step,
                self.request.steps,
                loss,
                f.fidelity,
                f.grey,
                f.spectrum,
                f.copies,
                measured.best,
            )
        )

    # -- the best -----------------------------------------------------------------------------

    def _save(self, synthesizer: Synthesizer, measured: Measurement) -> None:
        card = self._base_card(_card_figures(measured.figures))
        saved = Synthesizer(synthesizer.pipeline, card, finish=synthesizer.finish)
        with atomic_folder(self.held.folder) as temporary:
            saved.save(temporary)
            write_copy_index(self.neighbours, temporary)
            used = (*self.data.train, *self.data.held_out)
            write_seen_subjects(temporary, self.seen.with_subjects_of(used).subjects)
        self.held.add_model(metrics={})
        self.held.report(Checkpoint(self.held.folder, f"step {measured.step}"))

    def _base_card(self, metrics: Mapping[str, Any]) -> ModelCard:
        base, data = self.parent.card, self.data
        return ModelCard(
            name=self.held.name,
            kind="synthesizer",
            architecture=base.architecture,
            preprocessing={k: v for k, v in base.preprocessing.items() if k != ALIGNED},
            licence=base.licence,
            training_data={
                "started_from": base.name,
                "started_from_sha256": self.parent.hash,
                "base": base.training_data,
                "cohorts": data.cohorts,
                "frames": len(data.train),
                "subjects": len({item.subject for item in data.train}),
                "held_out": "validation and test part of the project's split by subject, and some "
                "subjects of the training part, by which the step was chosen",
                "settings": asdict(self.settings),
            },
            metrics=metrics,
        )

    def _card(self, result: AdaptResult) -> ModelCard:
        seen = len(self.seen.known(self.data.held_out))
        figures = {**asdict(result), "held_out_frames_that_the_parent_saw": seen}
        best = _card_figures(self.choice.best.figures)
        return self._base_card({**figures, "convention": best["convention"], "protocol": PROTOCOL})

    def _result(self) -> AdaptResult:
        best, data = self.choice.best, self.data
        before, after = self.measured[0].figures, best.figures
        return AdaptResult(
            run_id=self.held.id,
            model=self.held.name if self.held.has_model else None,
            parent=self.parent.card.name,
            frames=len(data.train),
            subjects=len({item.subject for item in data.train}),
            samples=len(self.held_out.scenes),
            held_out_subjects=len({item.subject for item in data.held_out}),
            fidelity_real=self.held_out.fidelity_of_real,
            before=before.plain(),
            after=after.plain(),
            similarity_real=self.held_out.similarity_of_real,
            steps_run=self.measured[-1].step,
            best_step=best.step,
            verdict=self.choice.verdict(self.parent.card.name),
        )


def _unaligned(parent: SceneSynthesizer) -> Synthesizer:
    """The compact synthesizer as it draws by itself.

    The second look finds the skull as HC18's annotators outline it, so it would undo what adapting
    learns of how other annotators do.
    """
    assert isinstance(parent, Synthesizer)  # the card says so
    return Synthesizer(parent.pipeline, parent.card, parent.hash, parent.finish)


def _card_figures(figures: HeldOutFigures) -> dict[str, Any]:
    return {**figures.plain(), "convention": asdict(figures.offset)}


def _check_settings(request: AdaptRequest) -> None:
    check_ranges(
        {
            "steps": (request.steps, 1, 20_000),
            "batch": (request.batch, 1, 64),
            "measure_every": (request.measure_every, 1, 20_000),
            "patience": (request.patience, 1, 1000),
            "seed": (request.seed, 0, MAX_SEED),
            "learning_rate": (request.learning_rate, 1e-9, 0.1),
        }
    )
