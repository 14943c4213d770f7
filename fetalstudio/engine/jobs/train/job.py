"""Job ``train``: fine-tune the segmenter on real plus accepted synthetic pairs."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from fetalstudio.core.errors import InputError, check_ranges
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.metrics import bootstrap_ci
from fetalstudio.core.progress import Stopped
from fetalstudio.engine.cohort_split import labelled
from fetalstudio.engine.jobs.evaluate.evaluation import FAILURE, score_frame, summarise
from fetalstudio.engine.jobs.evaluate.job import frames_seen
from fetalstudio.engine.jobs.evaluate.request import EvaluateResult
from fetalstudio.engine.jobs.propose.request import Prompt
from fetalstudio.engine.jobs.sample.request import MAX_SEED
from fetalstudio.engine.jobs.train.cost import Clock, Work, cost, kind_of, pace_of
from fetalstudio.engine.jobs.train.data import (
    FEW_TEST_SUBJECTS,
    TrainingData,
    select_training_data,
    with_duplicates,
)
from fetalstudio.engine.jobs.train.request import RECIPES, TrainRequest, TrainResult
from fetalstudio.engine.jobs.train.resuming import state_file
from fetalstudio.engine.models.loading import (
    BUILT_IN,
    JUDGE,
    FoundModel,
    find_model,
    load_segmenter,
)
from fetalstudio.engine.pictures import montage, overlay
from fetalstudio.engine.process.events import Checkpoint, Epoch, Preview, Progress, Warned
from fetalstudio.engine.process.job import CancelCheck, Report, report_in_run
from fetalstudio.engine.process.progress import Steps
from fetalstudio.formats.model_card import ModelCard, fingerprint, write_training_frames
from fetalstudio.learning import describe
from fetalstudio.project.project import Project
from fetalstudio.project.records import Run, RunState
from fetalstudio.segmentation.embeddings import EmbeddingCache
from fetalstudio.segmentation.examples import EMBEDDING
from fetalstudio.segmentation.fine_tuning import EpochFigures, FineTuneSettings, fine_tune
from fetalstudio.segmentation.segmenter import Prediction, Segmenter


def run(request: TrainRequest, report: Report, cancelled: CancelCheck) -> TrainResult:
    """Train, keep the best epoch as a model of the project, and measure it on the test part.

    Cancelling keeps the best epoch so far; the ``Cancelled`` event then carries the result, unless
    no epoch had been finished.
    """
    with Project.open(request.project) as project:
        before = None if request.resume is None else _unfinished(project, request.resume)
        if before is not None:
            request = _request_of(before, request.project)
        _check_settings(request)
        model = find_model("segmenter", request.segmenter, project)
        data = choose_data(project, request)
        known = frames_seen(project, model)
        if seen := sum(item.id[:16] in known for item in data.test):
            report(
                Warned(
                    f"{seen} of the {len(data.test)} test frames were used to train {model.name}: "
                    "on new patients its Dice is lower than the one before will say."
                )
            )
        segmenter = load_segmenter(model)
        if before is None:
            name = _free_name(project, request)
            kind = kind_of(segmenter.card.architecture)
            origin = {"project": None, "started_from": model.name, "kind": kind}
            origin["started_from_sha256"] = fingerprint(model.folder)
            settings = {**asdict(request), **origin}
            record = project.runs.start(name, settings, data.summary())
        else:
            record = _taken_up(project, before, data, model)
        report = report_in_run(report, project.path, record.id)
        training = _Training(project, request, record, data, segmenter, report, cancelled)
        try:
            result, stopped = training.run()
        except Stopped:
            project.runs.update(record.id, state="cancelled")
            raise
        except BaseException:
            project.runs.update(record.id, state="failed")
            raise
        state: RunState = "cancelled" if stopped else "finished"
        project.runs.update(record.id, state=state, verdict=asdict(result))
    if stopped:
        raise Stopped(result)
    return result


def _unfinished(project: Project, run_id: int) -> Run:
    record = project.runs.get(run_id)
    if not state_file(project, run_id).exists():
        raise InputError(
            f"{record.name} cannot go on: it is finished, or it ended before its first epoch was "
            "done. Start a new training."
        )
    return record


def _request_of(record: Run, project: Path) -> TrainRequest:
    """What was asked for when the run began; the model that it started from by its name."""
    known = {field.name for field in fields(TrainRequest)}
    settings = {k: v for k, v in record.settings.items() if k in known}
    started_from = record.settings["started_from"]
    return TrainRequest(**{**settings, "project": project, "segmenter": started_from})


def _taken_up(project: Project, record: Run, data: TrainingData, model: FoundModel) -> Run:
    if record.settings.get("started_from_sha256") not in (None, fingerprint(model.folder)):
        raise InputError(
            f"{record.name} cannot go on: the model that it started from, {model.name}, "
            "has changed since. Put the former one back, or start a new training."
        )
    if json.loads(json.dumps(data.summary())) != record.data:
        raise InputError(
            f"{record.name} cannot go on: frames, ellipses' states or pairs have changed since, "
            "and it would learn from others than it began with. Start a new training."
        )
    taken = project.runs.resume(record.id)
    if taken is None:
        raise InputError(f"{record.name} is being trained by another process. Wait for it.")
    return taken


def choose_data(project: Project, request: TrainRequest) -> TrainingData:
    """Split by subject and take as many frames and pairs as asked for.

    Raises :class:`InputError` that says what is missing or amiss, see ``engine.training_data``.
    """
    data = select_training_data(
        project, request.cohort, real=request.real, synthetic=request.synthetic, seed=request.seed
    )
    if not data.problems:
        data = with_duplicates(data, project)
    if data.problems:
        raise InputError(" ".join(data.problems))
    return data


class _Training:
    def __init__(
        self,
        project: Project,
        request: TrainRequest,
        record: Run,
        data: TrainingData,
        segmenter: Segmenter,
        report: Report,
        cancelled: CancelCheck,
    ) -> None:
        self.project, self.request, self.record, self.data = project, request, record, data
        self.segmenter, self.report, self.cancelled = segmenter, report, cancelled
        self.folder = project.path / "models" / str(record.id)
        self.saved_epoch = 0
        self.saved = any(m.run_id == record.id for m in project.models.all("segmenter"))
        # A run that goes on adds to the time that it took before.
        self.started = time.monotonic() - max((row["seconds"] for row in record.history), default=0)
        self.where = describe(segmenter.device)
        work = Work(
            train=len(data.train) + len(data.pairs),
            validation=len(data.validation),
            test=len(data.test),
            copies=request.copies,
            epochs=request.epochs,
            lora=request.lora,
        )
        pace = pace_of(project, kind_of(segmenter.card.architecture), request.lora)
        self.clock = Clock(cost(pace, work).epochs_s)
        self.prompt: Prompt = "box" if segmenter.needs_prompt else "auto"

    def run(self) -> tuple[TrainResult, bool]:
        """The result, and whether it was cut short."""
        before = self._evaluate(self.segmenter, "measuring the model as it is")
        train = [frame.loaded() for frame in self.data.train]
        train += [labelled(self.project, p.frame, p.ellipse).loaded() for p in self.data.pairs]
        self.validation = [frame.loaded() for frame in self.data.validation]
        request = self.request
        settings = FineTuneSettings(
            epochs=request.epochs,
            batch=request.batch,
            learning_rate=request.learning_rate,
            patience=request.patience,
            seed=request.seed,
            copies=request.copies,
            recipe=request.recipe,
            lora=request.lora,
        )
        state = state_file(self.project, self.record.id)
        tuned, figures = fine_tune(
            self.segmenter,
            train,
            self.validation,
            settings,
            cache=EmbeddingCache(self.project.path / "cache" / "embeddings"),
            state=state,
            progress=self,
            on_epoch=self._epoch,
        )
        stopped = self.cancelled()
        if len(figures) < 2:
            raise Stopped
        self._catch_up(tuned, figures)
        # The person who cancels waits for no more than what the verdict needs: the test part.
        after = before if not self.saved else self._evaluate(tuned, "testing the best epoch", True)
        result = self._result(before, after, figures)
        if self.saved:
            self._card(result).write(self.folder)
        if not stopped:
            state.unlink(missing_ok=True)
        return result, stopped

    def advance(self, done: int, total: int, note: str = "") -> None:
        """This training is the `Progress` of its fine-tuning, with its own estimate of the time."""
        embedding = note == EMBEDDING
        left = self.clock.embedded(done, total) if embedding else self.clock.stepped(done, total)
        self.report(Progress(done, total, left, f"{note} on {self.where}"))
        self.check()

    def check(self) -> None:
        """Raise :class:`Stopped` if the job was asked to stop."""
        if self.cancelled():
            raise Stopped

    def _catch_up(self, tuned: Segmenter, figures: Sequence[EpochFigures]) -> None:
        """What a crash left out after an epoch whose state it had saved."""
        told = {row["epoch"] for row in self.project.runs.get(self.record.id).history}
        for row in figures:
            if row.epoch not in told:
                self._remember(row)
        best = max((row for row in figures if row.best), key=lambda row: row.epoch)
        if best.epoch > self.saved_epoch:
            self._save(tuned, best)

    def _remember(self, figures: EpochFigures) -> None:
        entry = {k: v for k, v in asdict(figures).items() if not _nan(v)}
        entry["seconds"] = time.monotonic() - self.started
        self.project.runs.update(self.record.id, history_entry=entry)

    def _epoch(self, figures: EpochFigures, tuned: Segmenter) -> None:
        epochs = self.request.epochs
        self._remember(figures)
        self.report(
            Epoch(
                figures.epoch,
                epochs,
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
        self.report(Preview(montage(shown, columns=2), f"validation frames, epoch {figures.epoch}"))

    def _predict(self, tuned: Segmenter, example: LabelledFrame) -> Prediction:
        box = example.ellipse.box() if tuned.needs_prompt else None
        return tuned.predict(example.image, box=box)

    def _save(self, tuned: Segmenter, figures: EpochFigures) -> None:
        metrics = {"validation_dice": figures.validation_dice, "epoch": figures.epoch}
        tuned.save(self.folder, self._base_card(metrics))
        self.saved_epoch = figures.epoch
        if not self.saved:
            write_training_frames(self.folder, [i.id for i in self.data.train])
            path = self.folder.relative_to(self.project.path).as_posix()
            self.project.models.add(
                self.record.name, "segmenter", path, run_id=self.record.id, metrics=metrics
            )
            self.saved = True
        self.report(
            Checkpoint(self.folder, f"epoch {figures.epoch}: Dice {figures.validation_dice:.4f}")
        )

    def _evaluate(self, segmenter: Segmenter, note: str, finish: bool = False) -> EvaluateResult:
        never = (lambda: False) if finish else self.cancelled
        steps = Steps(len(self.data.test), self.report, never, note)
        scores = []
        for item in self.data.test:
            scores.append(score_frame(segmenter, item, prompt=self.prompt))
            steps.advance()
        return summarise(segmenter.card.name, scores)

    def _result(
        self, before: EvaluateResult, after: EvaluateResult, figures: Sequence[EpochFigures]
    ) -> TrainResult:
        change = [a.dice - b.dice for a, b in zip(after.frames, before.frames, strict=True)]
        subjects = [score.subject for score in before.frames]
        interval = bootstrap_ci(change, subjects)
        # Of a handful of subjects the bootstrap's interval is far too narrow, of one it is a point.
        few = len(set(subjects)) < FEW_TEST_SUBJECTS
        low, high = (math.nan, math.nan) if few else (interval.low, interval.high)
        best = max(f.epoch for f in figures if f.best)
        return TrainResult(
            run_id=self.record.id,
            model=self.record.name if self.saved else None,
            dice_before=before.dice["mean"],
            dice_after=after.dice["mean"],
            difference=interval.mean,
            difference_ci95=(low, high),
            test_frames=len(change),
            test_subjects=len(set(subjects)),
            real=len(self.data.train),
            synthetic=len(self.data.pairs),
            epochs_run=figures[-1].epoch,
            best_epoch=best,
            verdict=verdict(before, after, low, high, self.saved),
            copies_left_out=self.data.copies,
            device=self.where,
        )

    def _base_card(self, metrics: Mapping[str, Any]) -> ModelCard:
        cohorts = sorted({item.cohort for item in self.data.train})
        base = self.segmenter.card
        return ModelCard(
            name=self.record.name,
            kind="segmenter",
            architecture=base.architecture,
            preprocessing=base.preprocessing,
            licence=base.licence,
            training_data={
                "started_from": base.name,
                "base": base.training_data,
                "cohorts": cohorts,
                "real_frames": len(self.data.train),
                "synthetic_pairs": len(self.data.pairs),
            },
            metrics=metrics,
        )

    def _card(self, result: TrainResult) -> ModelCard:
        prompt = "prompt-free ellipse" if self.prompt == "auto" else "ellipse prompted by a box"
        protocol = (
            f"mean Dice of the {prompt} on subject-held-out frames at native resolution; "
            "95 % interval of the paired difference by bootstrap over subjects"
        )
        return self._base_card({**asdict(result), "protocol": protocol})


def verdict(
    before: EvaluateResult, after: EvaluateResult, low: float, high: float, improved: bool
) -> str:
    """One sentence for a person; careful where the interval contains no change at all."""
    frames = f"{before.n} test frames of {len({s.subject for s in before.frames})} subjects"
    if not improved:
        return (
            f"No epoch was better than the model it started from (Dice {before.dice['mean']:.3f} "
            f"on {frames}): keep that one."
        )
    figures = f"Dice {before.dice['mean']:.3f} before, {after.dice['mean']:.3f} after on {frames}"
    told = not math.isnan(low)
    if told:
        figures += f" (difference {100 * low:+.2f} to {100 * high:+.2f} points, 95 % interval)"
    if low > 0:
        return f"The new model is better: {figures}."
    if high < 0:
        return f"The new model is worse: {figures}. Keep the current one."
    if after.failures > before.failures:
        return (
            f"Keep the current model: {after.failures} of the test frames fail with the new one (a "
            f"Dice below {FAILURE}), {before.failures} with the current one. {figures}."
        )
    if not told:
        return f"Too few test subjects to tell: {figures}. Annotate frames of more subjects."
    return f"No clear difference: {figures}. More annotated subjects would tell."


def _check_settings(request: TrainRequest) -> None:
    check_ranges(
        {
            "epochs": (request.epochs, 1, 1000),
            "batch": (request.batch, 1, 64),
            "seed": (request.seed, 0, MAX_SEED),
            "patience": (request.patience, 1, 1000),
            "copies": (request.copies, 1, 16),
            "lora": (request.lora, 0, 64),
            "real": (request.real or 0, 0, 10**6),
            "synthetic": (request.synthetic or 0, 0, 10**6),
        }
    )
    if request.recipe not in RECIPES:
        raise InputError(f"There is no recipe {request.recipe!r}; there are: {', '.join(RECIPES)}.")
    if not 0 < request.learning_rate <= 0.1:
        raise InputError(f"The learning rate is {request.learning_rate}; 0.0001 is a good choice.")


def _free_name(project: Project, request: TrainRequest) -> str:
    taken = {m.name for m in project.models.all("segmenter")} | {BUILT_IN, JUDGE}
    if request.name is not None:
        if not request.name.strip() or request.name in taken:
            raise InputError(f"The name {request.name!r} is empty or taken. Choose another one.")
        return request.name.strip()
    stem = request.cohort or "tuned"
    return next(n for i in range(1, 10**6) if (n := f"{stem}-{i}") not in taken)


def _nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
