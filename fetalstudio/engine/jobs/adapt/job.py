"""Job ``adapt``: fit the synthesizer to a handful of one's own frames."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.errors import InputError, check_ranges
from fetalstudio.core.progress import Stopped
from fetalstudio.core.similarity import Neighbours
from fetalstudio.engine.jobs.adapt.choice import Choice, Clock, HeldOutFigures, Measured
from fetalstudio.engine.jobs.adapt.data import AdaptData, choose_adapt_data
from fetalstudio.engine.jobs.adapt.held_out import HeldOut
from fetalstudio.engine.jobs.adapt.request import AdaptRequest, AdaptResult
from fetalstudio.engine.jobs.sample.request import MAX_SEED
from fetalstudio.engine.models.copy_index import write_copy_index
from fetalstudio.engine.models.loading import (
    BUILT_IN,
    FoundModel,
    find_model,
    judge_model,
    load_segmenter,
    load_synthesizer,
)
from fetalstudio.engine.process.events import Adapting, Checkpoint, Preview, Progress, Warned
from fetalstudio.engine.process.job import CancelCheck, Report, report_in_run
from fetalstudio.engine.process.progress import Steps
from fetalstudio.formats.files import atomic_folder
from fetalstudio.formats.model_card import ModelCard, training_frames, write_training_frames
from fetalstudio.formats.neighbours import write_neighbours
from fetalstudio.project.project import Project
from fetalstudio.project.records import Run
from fetalstudio.synthesis.adapting import Halt, adapt, adapt_settings
from fetalstudio.synthesis.lift import Lift
from fetalstudio.synthesis.pipeline import CompactPipeline
from fetalstudio.synthesis.synthesizer import Synthesizer
from fetalstudio.synthesis.training import fit_lift

LIFT_FRAMES = 20
"""At most: each is rendered anew at every measurement."""
PROTOCOL = (
    "pictures on ellipses and sectors of subjects held out of the adapting (validation part), "
    "fixed seeds. fidelity: mean Dice between the ellipse asked for and the judge's. "
    "grey, spectrum: distance of grey levels (of 255) and of radial power spectra (dB) to the real "
    "held-out frames. similarity: mean over the pictures to the nearest training frame, those of "
    "the parent included; copies: pictures above the parent's threshold for them. The step was "
    "chosen by these same figures, so they flatter it."
)


def run(request: AdaptRequest, report: Report, cancelled: CancelCheck) -> AdaptResult:
    """Train a copy of the synthesizer, measure it as it goes, and keep the best as a model.

    Cancelling keeps the best so far; the ``Cancelled`` event then carries the result, unless
    nothing had been measured. After a crash the same request goes on from the last checkpoint.
    """
    _check_settings(request)
    with Project.open(request.project) as project:
        model = find_model("synthesizer", request.synthesizer, project)
        if ModelCard.read(model.folder).architecture.get("type") != "compact":
            raise InputError(
                f"{model.name} is no compact synthesizer. Adapt one that is, or compact."
            )
        data = choose_adapt_data(project, request.cohort, request.seed)
        for sentence in data.notes:
            report(Warned(sentence))
        with tempfile.TemporaryDirectory() as folder:
            # A parent that does not know its frames is refused before anything is written down.
            neighbours = write_copy_index(data.train, Path(folder), model.folder)
        parent = load_synthesizer(model)
        assert isinstance(parent, Synthesizer)  # as the card's type said
        settings = {
            **asdict(request),
            "project": None,
            "job": "adapt",
            "started_from": parent.card.name,
            "started_from_sha256": parent.hash,
        }
        record = _interrupted(project, settings, data) or project.runs.start(
            _free_name(project, request), settings, data.summary()
        )
        report = report_in_run(report, project.path, record.id)
        adapting = _Adapting(
            project, request, record, data, parent, model, neighbours, report, cancelled
        )
        try:
            result, stopped = adapting.run()
        except Stopped:
            project.runs.update(record.id, state="cancelled")
            adapting.checkpoint.unlink(missing_ok=True)
            raise
        except BaseException:
            project.runs.update(record.id, state="failed")
            raise
        state: Any = "cancelled" if stopped else "finished"
        project.runs.update(record.id, state=state, verdict=asdict(result))
        adapting.checkpoint.unlink(missing_ok=True)
    if stopped:
        raise Stopped(result)
    return result


class _Adapting:
    def __init__(
        self,
        project: Project,
        request: AdaptRequest,
        record: Run,
        data: AdaptData,
        parent: Synthesizer,
        model: FoundModel,
        neighbours: Neighbours,
        report: Report,
        cancelled: CancelCheck,
    ) -> None:
        self.project, self.request, self.record, self.data = project, request, record, data
        self.parent, self.model, self.neighbours = parent, model, neighbours
        self.report, self.cancelled = report, cancelled
        self.progress = Steps(None, report, cancelled)
        self.folder = project.path / "models" / str(record.id)
        self.checkpoint = project.path / "models" / f".adapt-{record.id}.pt"
        self.saved = any(m.run_id == record.id for m in project.models.all("synthesizer"))
        self.measured = [Measured.of_row(row) for row in record.history]
        self.choice = Choice(self.measured)
        self.losses: list[float] = []
        self.clock = Clock(request.steps, request.measure_every)

    def run(self) -> tuple[AdaptResult, bool]:
        """The result, and whether it was cut short."""
        done = self.measured[-1].step if self.measured else 0
        self.report(Progress(done, self.request.steps, None, "looking at the held-out frames"))
        judge = load_segmenter(judge_model())
        self.held_out = HeldOut(self.data.held_out, self.neighbours, judge)
        guidance = self.parent.card.training_data.get("settings", {}).get("guidance", 1.0)
        self.settings = adapt_settings(
            self.parent.pipeline,
            steps=self.request.steps,
            batch=self.request.batch,
            learning_rate=self.request.learning_rate,
            seed=self.request.seed,
            guidance=guidance,
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
                    self.checkpoint,
                    start=self.parent.pipeline,
                    halts=[s for s in (*range(every, steps, every), steps) if s > last],
                    device=self.parent.pipeline.device,
                    on_step=self._stepped,
                    on_halt=self._halted,
                )
        except Stopped:
            if len(self.measured) < 2:
                raise
        stopped = self.cancelled()
        if len(self.measured) < 2:
            raise Stopped
        result = self._result()
        if self.saved:
            self._card(result).write(self.folder)
        return result, stopped

    def _own_lift(self, pipeline: CompactPipeline) -> Lift | None:
        """The fine grain of these frames; the parent's where they are too small to show any."""
        some = self.examples[:: -(-len(self.examples) // LIFT_FRAMES)]
        try:
            return fit_lift(pipeline, some, progress=self.progress)
        except ValueError:
            return self.parent.lift

    def _measure_start(self) -> None:
        """Also of a run that goes on: its pictures are what the later ones are compared with."""
        figures, self.before = self._measure(self.parent)
        if not self.measured:
            self._take(Measured(0, figures, False), math.nan)
        self.report(Preview(self.held_out.sheet([("Before", self.before)]), "before"))

    def _stepped(self, step: int, loss: float) -> None:
        self.losses.append(loss)
        self.clock.stepped()
        left = self.clock.left(step)
        self.report(Progress(step, self.request.steps, left, "adapting"))
        self.progress.check()

    def _halted(self, halt: Halt) -> bool:
        """Measure, keep the model if it is the best so far; whether to go on."""
        name, step = self.record.name, halt.step
        card = replace(self.parent.card, name=name)
        lift = self._own_lift(halt.pipeline)
        synthesizer = Synthesizer(halt.pipeline, card, "unsaved", lift)
        left = self.clock.left(step)
        self.report(Progress(step, self.request.steps, left, "adapting, measuring"))
        figures, pictures = self._measure(synthesizer)
        best = self.choice.better(figures, self.held_out.fidelity_of_real)
        loss = sum(self.losses) / len(self.losses) if self.losses else math.nan
        self.losses.clear()
        if best:
            self._save(synthesizer, Measured(step, figures, best))
        self._take(Measured(step, figures, best), loss)
        rows = [("Before", self.before), (f"After {step} steps", pictures)]
        self.report(Preview(self.held_out.sheet(rows), f"step {step}"))
        return self.choice.patient(self.request.patience)

    def _measure(
        self, synthesizer: Synthesizer
    ) -> tuple[HeldOutFigures, Sequence[NDArray[np.uint8]]]:
        with self.clock.measuring():
            return self.held_out.measure(synthesizer, self.progress)

    def _take(self, measured: Measured, loss: float) -> None:
        self.measured.append(measured)
        f = measured.figures
        entry = {**measured.row(), "seconds": self.clock.seconds}
        if not math.isnan(loss):
            entry["loss"] = loss
        self.project.runs.update(self.record.id, history_entry=entry)
        self.report(
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

    def _save(self, synthesizer: Synthesizer, measured: Measured) -> None:
        card = self._base_card(asdict(measured.figures))
        saved = Synthesizer(synthesizer.pipeline, card, "unsaved", synthesizer.lift)
        with atomic_folder(self.folder) as temporary:
            saved.save(temporary)
            write_neighbours(self.neighbours, temporary)
            write_training_frames(temporary, list(self.neighbours.ids))
        if not self.saved:
            path = self.folder.relative_to(self.project.path).as_posix()
            self.project.models.add(
                self.record.name, "synthesizer", path, run_id=self.record.id, metrics={}
            )
            self.saved = True
        self.report(Checkpoint(self.folder, f"step {measured.step}"))

    def _base_card(self, metrics: Mapping[str, Any]) -> ModelCard:
        base, data = self.parent.card, self.data
        return ModelCard(
            name=self.record.name,
            kind="synthesizer",
            architecture=base.architecture,
            preprocessing=base.preprocessing,
            licence=base.licence,
            training_data={
                "started_from": base.name,
                "started_from_sha256": self.parent.hash,
                "base": base.training_data,
                "cohorts": data.cohorts,
                "frames": len(data.train),
                "subjects": len({item.subject for item in data.train}),
                "held_out": "validation and test part of the project's split by subject",
                "settings": asdict(self.settings),
            },
            metrics=metrics,
        )

    def _card(self, result: AdaptResult) -> ModelCard:
        known = training_frames(self.model.folder)
        seen = sum(item.id[:16] in known for item in self.data.held_out)
        figures = {**asdict(result), "held_out_frames_that_the_parent_saw": seen}
        return self._base_card({**figures, "protocol": PROTOCOL})

    def _result(self) -> AdaptResult:
        best, data = self.choice.best, self.data
        before, after = self.measured[0].figures, best.figures
        return AdaptResult(
            run_id=self.record.id,
            model=self.record.name if self.saved else None,
            parent=self.parent.card.name,
            frames=len(data.train),
            subjects=len({item.subject for item in data.train}),
            samples=len(self.held_out.scenes),
            held_out_subjects=len({item.subject for item in data.held_out}),
            fidelity_real=self.held_out.fidelity_of_real,
            before=asdict(before),
            after=asdict(after),
            similarity_real=self.held_out.similarity_of_real,
            steps_run=self.measured[-1].step,
            best_step=best.step,
            verdict=self.choice.verdict(self.parent.card.name),
        )


def _interrupted(project: Project, settings: Mapping[str, Any], data: AdaptData) -> Run | None:
    """The newest run of the same settings and frames whose process is gone, taken up again."""
    for run in project.runs.all():
        checkpoint = project.path / "models" / f".adapt-{run.id}.pt"
        same = dict(run.settings) == settings and dict(run.data) == data.summary()
        if run.state in ("running", "failed") and same and checkpoint.exists():
            return project.runs.resume(run.id)
    return None


def _check_settings(request: AdaptRequest) -> None:
    check_ranges(
        {
            "steps": (request.steps, 1, 20_000),
            "batch": (request.batch, 1, 64),
            "measure_every": (request.measure_every, 1, 20_000),
            "patience": (request.patience, 1, 1000),
            "seed": (request.seed, 0, MAX_SEED),
        }
    )
    if not 0 < request.learning_rate <= 0.1:
        raise InputError(f"The learning rate is {request.learning_rate}; 0.0001 is a good choice.")


def _free_name(project: Project, request: AdaptRequest) -> str:
    taken = {m.name for m in project.models.all("synthesizer")} | {BUILT_IN}
    # One that is under way has no model yet.
    taken |= {r.name for r in project.runs.all() if r.job == "adapt" and r.state == "running"}
    if request.name is not None:
        if not request.name.strip() or request.name.strip() in taken:
            raise InputError(f"The name {request.name!r} is empty or taken. Choose another one.")
        return request.name.strip()
    stem = request.cohort or "adapted"
    return next(n for i in range(1, 10**6) if (n := f"{stem}-{i}") not in taken)
