"""Job ``train``: fine-tune a segmenter on real frames and accepted pairs."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from fetalstudio.core.errors import InputError, check_ranges
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.progress import Stopped
from fetalstudio.core.prompts import in_words
from fetalstudio.core.training_settings import RECOMMENDED, settings_of
from fetalstudio.engine.cohort_conventions import kept_conventions
from fetalstudio.engine.cohort_split import labelled, labelled_cohorts
from fetalstudio.engine.comparisons import comparisons
from fetalstudio.engine.jobs.evaluate.evaluation import score_frame, summarise
from fetalstudio.engine.jobs.evaluate.request import EvaluateResult
from fetalstudio.engine.jobs.train.cost import TrainingCountdown, Work, cost, kind_of, pace_of
from fetalstudio.engine.jobs.train.data import TrainingData, required_training_data
from fetalstudio.engine.jobs.train.request import TrainRequest, TrainResult
from fetalstudio.engine.jobs.train.verdict import compare, how_to_use
from fetalstudio.engine.measured_conventions import measure_conventions
from fetalstudio.engine.models.loading import FoundModel, find_model, load_segmenter
from fetalstudio.engine.models.not_known import MAKERS
from fetalstudio.engine.models.seen import Seen, seen_by
from fetalstudio.engine.pictures import montage, overlay
from fetalstudio.engine.process.events import Checkpoint, Epoch, Preview, Progress, Warned
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.resumable import (
    ResumableRun,
    can_resume,
    check_new_name,
    cohort_now,
    resumable_run,
)
from fetalstudio.formats.model_card import (
    ModelCard,
    fingerprint,
    write_seen_subjects,
    write_training_frames,
)
from fetalstudio.learning import describe
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Run
from fetalstudio.segmentation.embeddings import EmbeddingCache
from fetalstudio.segmentation.epochs import EpochFigures
from fetalstudio.segmentation.examples import EMBEDDING
from fetalstudio.segmentation.fine_tuning import fine_tune, prepared
from fetalstudio.segmentation.segmenter import Prediction, Segmenter


def run(request: TrainRequest, report: Report, cancelled: CancelCheck) -> TrainResult:
    """Train, keep the best epoch as a model of the project, and measure it on the test part.

    Cancelling keeps the best epoch so far; the ``Cancelled`` event then carries the result, unless
    no epoch had been finished or the job was asked to stop now, without the test.
    """
    with Project.open(request.project) as project:
        resumed = None if request.resume is None else _unfinished(project, request.resume)
        if resumed is not None:
            request = _request_of(resumed, project)
        else:
            check_new_name(project, "train", request.name)
        request.settings.check()
        model = find_model("segmenter", request.segmenter, project)
        if request.cohort is None and len(cohorts := labelled_cohorts(project)) > 1:
            measure_conventions(project, cohorts, report, cancelled)  # for the data's warnings
        data = choose_data(project, request)
        for said in data.warnings:
            report(Warned(said))
        if resumed is not None:
            _check_unchanged(resumed, data, model)
        if request.synthetic == RECOMMENDED:  # a later recommendation must not stop a resuming
            request = replace(request, synthetic=len(data.pairs))
        segmenter = load_segmenter(model)
        _check_prompt(request, segmenter)
        settings = {
            **asdict(request),
            "project": None,
            "started_from": model.name,
            "started_from_sha256": fingerprint(model.folder),
            "kind": kind_of(segmenter.card.architecture),
            MAKERS: dict(Counter(data.unknown_makers.values())),
        }
        with resumable_run(
            project,
            "train",
            report,
            cancelled,
            name=request.name,
            stem=request.cohort or "tuned",
            settings=settings,
            data=data.summary(),
            resume=resumed,
        ) as held:
            training = _Training(held, request, data, segmenter, seen_by(project, model))
            result, stopped = training.run()
            held.finish(asdict(result), cancelled=stopped)
    if stopped:
        raise Stopped(result)
    return result


def _unfinished(project: Project, run_id: int) -> Run:
    project.runs.fail_crashed()
    record = project.runs.get(run_id)
    if record.state == "running":
        raise InputError(f"Another process is training {record.name}. Wait until it ends.")
    if not can_resume(project, record):
        raise InputError(
            f"{record.name} cannot be resumed: it is finished, or it ended before its first epoch "
            "was complete. Start a new training."
        )
    return record


def _request_of(record: Run, project: Project) -> TrainRequest:
    """The request with which the run began, with the name of the model that it started from.

    The cohort has its present name, so that a training survives that its cohort is renamed.
    """
    cohort = cohort_now(project, record)
    if cohort is not None and cohort not in project.frames.cohorts():
        raise InputError(
            f"{record.name} cannot be resumed: there is no cohort {cohort!r} any more, and its "
            "frames are not all in another one. Start a new training."
        )
    known = {field.name for field in fields(TrainRequest)}
    stored = {k: v for k, v in record.settings.items() if k in known}
    origin = {"project": project.path, "segmenter": record.settings["started_from"]}
    settings = settings_of(record.settings)
    return TrainRequest(**{**stored, **origin, "cohort": cohort, "settings": settings})


def _check_prompt(request: TrainRequest, segmenter: Segmenter) -> None:
    boxes_only = request.settings.recipe == "paper" and segmenter.needs_prompt
    if request.prompt == "auto" and boxes_only:
        raise InputError(
            f"{segmenter.card.name} needs a box as a prompt, and the recipe 'paper' shows it "
            "nothing else. Choose the prompt box, or the recipe 'recommended'."
        )


def _check_unchanged(record: Run, data: TrainingData, model: FoundModel) -> None:
    if record.settings.get("started_from_sha256") not in (None, fingerprint(model.folder)):
        raise InputError(
            f"{record.name} cannot be resumed: the model that it started from, {model.name}, "
            "has changed since. Start a new training."
        )
    if json.loads(json.dumps(data.summary())) != record.data:
        raise InputError(
            f"{record.name} cannot be resumed: frames, ellipses or pairs have changed since, so "
            "the training would continue with other data than it began with. Start a new training."
        )


def choose_data(project: Project, request: TrainRequest) -> TrainingData:
    """Split by subject, and draw the requested numbers of frames and pairs.

    Raises :class:`InputError` that says what is missing or wrong; see :mod:`.data`.
    """
    pairs = 0 if request.synthetic == RECOMMENDED else request.synthetic
    asked = {"real": request.real or 0, "synthetic": pairs or 0}
    check_ranges({name: (count, 0, 10**6) for name, count in asked.items()})
    return required_training_data(
        project,
        request.cohort,
        real=request.real,
        synthetic=request.synthetic,
        segmenter=request.segmenter,
        seed=request.settings.seed,
    )


class _Training:
    """One training: what it has measured, recorded and saved so far. It is the ``Progress`` of its
    fine-tuning."""

    def __init__(
        self,
        held: ResumableRun,
        request: TrainRequest,
        data: TrainingData,
        segmenter: Segmenter,
        seen: Seen,
    ) -> None:
        """``seen`` is what influenced the ``segmenter`` before."""
        project = held.project
        self.project, self.held = project, held
        # Read now: after hours of training, another process may have removed and purged a frame.
        self.data = replace(data, test=[frame.loaded() for frame in data.test])
        self.settings = request.settings
        self.segmenter, self.seen = segmenter, seen
        self.saved_epoch = 0
        self.recorded = {row["epoch"] for row in held.history}
        cohorts = {item.cohort for item in data.train}
        self.drawn = {
            cohort: found.sentence
            for cohort, found in kept_conventions(project).items()
            if cohort in cohorts
        }
        self.where = describe(segmenter.device)
        work = Work(len(data.train) + len(data.pairs), len(data.validation), len(data.test))
        pace = pace_of(project, kind_of(segmenter.card.architecture), self.settings.lora)
        epochs_s = cost(pace, work, self.settings).epochs_s
        self.countdown = TrainingCountdown(epochs_s if pace.of else None)
        # The model that epochs are compared with: a SAM that shall do without its box has to be
        # compared without it, too.
        self.start = prepared(segmenter, self.settings, request.prompt)
        self.asked = request.prompt

    def run(self) -> tuple[TrainResult, bool]:
        """The result, and whether the training was stopped early."""
        before = self._evaluate(self.start, "measuring the model as it is")
        train = [frame.loaded() for frame in self.data.train]
        train += [labelled(self.project, p.frame, p.ellipse).loaded() for p in self.data.pairs]
        self.validation = [frame.loaded() for frame in self.data.validation]
        tuned, figures = fine_tune(
            self.segmenter,
            train,
            self.validation,
            self.settings,
            cache=EmbeddingCache(self.project.path / "cache" / "embeddings"),
            prompt=self.asked,
            state=self.held.state_file,
            progress=self,
            on_epoch=self._epoch,
        )
        stopped = bool(self.held.cancelled())
        if len(figures) < 2:
            raise Stopped
        self._catch_up(tuned, figures)
        # After a cancel, only the test part is measured, which the verdict needs.
        after = (
            before
            if not self.held.has_model
            else self._evaluate(tuned, "testing the best epoch", True)
        )
        result = self._result(before, after, figures, tuned)
        if self.held.has_model:
            self._card(result, tuned).write(self.held.folder)
        return result, stopped

    def advance(self, done: int, total: int, note: str = "") -> None:
        """Report the progress of the fine-tuning, with this training's estimate of the time."""
        embedding = note == EMBEDDING
        estimate = self.countdown.embedded if embedding else self.countdown.stepped
        left = estimate(done, total)
        self.held.report(Progress(done, total, left, f"{note} on {self.where}"))
        self.check()

    def check(self) -> None:
        """Raise :class:`Stopped` if the job was asked to stop."""
        if self.held.cancelled():
            raise Stopped

    def _catch_up(self, tuned: Segmenter, figures: Sequence[EpochFigures]) -> None:
        """Record and save what is missing of an epoch after which the training crashed."""
        for row in figures:
            if row.epoch not in self.recorded:
                self._record(row)
        best = max((row for row in figures if row.best), key=lambda row: row.epoch)
        if best.epoch > self.saved_epoch:
            self._save(tuned, best)

    def _record(self, figures: EpochFigures) -> None:
        self.held.record({k: v for k, v in asdict(figures).items() if not _nan(v)})
        self.recorded.add(figures.epoch)

    def _epoch(self, figures: EpochFigures, tuned: Segmenter) -> None:
        self._record(figures)
        self.held.report(
            Epoch(
                figures.epoch,
                self.settings.epochs,
                figures.train_loss,
                figures.validation_loss,
                figures.validation_dice,
                figures.best,
            )
        )
        if figures.best and figures.epoch:
            self._save(tuned, figures)
        shown = [
            overlay(e.image, self._predict(tuned, e).ellipse, e.ellipse)
            for e in self.validation[:4]
        ]
        caption = f"validation frames, epoch {figures.epoch}"
        self.held.report(Preview(montage(shown, columns=2), caption, stays=True))

    def _predict(self, tuned: Segmenter, example: LabelledFrame) -> Prediction:
        return tuned.predict(example.image, box=example.prompt_box(tuned.prompt))

    def _save(self, tuned: Segmenter, figures: EpochFigures) -> None:
        metrics = {"validation_dice": figures.validation_dice, "epoch": figures.epoch}
        # Calibrated when the training ends; until then, nothing is known about it.
        preprocessing = {**tuned.card.preprocessing, "confidence": None}
        tuned.save(self.held.folder, self._base_card(metrics, preprocessing))
        self.saved_epoch = figures.epoch
        if not self.held.has_model:
            write_training_frames(self.held.folder, [i.id for i in self.data.train])
            seen = self.seen.with_subjects_of((*self.data.train, *self.data.validation))
            write_seen_subjects(self.held.folder, seen.subjects)
            self.held.add_model(metrics)
        self.held.report(
            Checkpoint(
                self.held.folder, f"epoch {figures.epoch}: Dice {figures.validation_dice:.4f}"
            )
        )

    def _evaluate(self, segmenter: Segmenter, note: str, finish: bool = False) -> EvaluateResult:
        steps = self.held.steps(len(self.data.test), note, finishing=finish)
        steps.check()  # one frame may take a large model longer than there is time to stop
        scores = []
        for item in self.data.test:
            scores.append(score_frame(segmenter, item, prompt=self.start.prompt))
            steps.advance()
        return summarise(segmenter.card.name, scores)

    def _result(
        self,
        before: EvaluateResult,
        after: EvaluateResult,
        figures: Sequence[EpochFigures],
        tuned: Segmenter,
    ) -> TrainResult:
        subjects = [score.subject for score in before.frames]
        number = comparisons(self.project, subjects)
        verdict = compare(
            [score.dice for score in before.frames],
            [score.dice for score in after.frames],
            subjects,
            improved=self.held.has_model,
            comparison=number,
        )
        best = max(f.epoch for f in figures if f.best)
        return TrainResult(
            run_id=self.held.id,
            model=self.held.name if self.held.has_model else None,
            dice_before=before.dice["mean"],
            dice_after=after.dice["mean"],
            difference=verdict.difference.mean,
            difference_ci95=(verdict.difference.low, verdict.difference.high),
            test_frames=len(subjects),
            test_subjects=len(set(subjects)),
            real=len(self.data.train),
            synthetic=len(self.data.pairs),
            epochs_run=figures[-1].epoch,
            best_epoch=best,
            verdict=verdict.sentence,
            answer=verdict.answer,
            failures=verdict.failures,
            prompt=self.start.prompt,
            used_with=tuned.prompt,
            confidence_known=tuned.confidence is not None,
            comparison=number,
            copies_left_out=self.data.copies,
            device=self.where,
        )

    def _base_card(self, metrics: Mapping[str, Any], preprocessing: Mapping[str, Any]) -> ModelCard:
        cohorts = sorted({item.cohort for item in self.data.train})
        base = self.segmenter.card
        return ModelCard(
            name=self.held.name,
            kind="segmenter",
            architecture=base.architecture,
            preprocessing=preprocessing,
            licence=base.licence,
            training_data={
                "started_from": base.name,
                "base": base.training_data,
                "cohorts": cohorts,
                # What it draws like, where that was measured.
                "drawn": self.drawn,
                "real_frames": len(self.data.train),
                "synthetic_pairs": len(self.data.pairs),
                MAKERS: dict(Counter(self.data.unknown_makers.values())),
            },
            metrics=metrics,
        )

    def _card(self, result: TrainResult, tuned: Segmenter) -> ModelCard:
        protocol = (
            f"mean Dice of the ellipse, found {in_words(result.prompt)}, on subject-held-out "
            "frames at native resolution; 95 % interval of the paired difference over subjects"
        )
        figures = {**asdict(result), "protocol": protocol, "use": how_to_use(asdict(result))}
        return self._base_card(figures, tuned.card.preprocessing)


def _nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
