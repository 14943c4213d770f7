"""Job ``train``: fine-tune the segmenter on real plus accepted synthetic pairs."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fetalstudio.core.errors import BadInput, check_ranges
from fetalstudio.core.metrics import bootstrap_ci
from fetalstudio.core.model_card import ModelCard, write_training_frames
from fetalstudio.core.splits import Part
from fetalstudio.engine.data import Labelled, labelled_frames, of_part, split, usable_pairs
from fetalstudio.engine.evaluation import FAILURE, score_frame, summarise
from fetalstudio.engine.events import Checkpoint, Epoch, Preview, Progress
from fetalstudio.engine.job import CancelCheck, JobCancelled, Report
from fetalstudio.engine.models import BUILT_IN, JUDGE, find_model, load_segmenter
from fetalstudio.engine.pictures import montage, overlay
from fetalstudio.engine.progress import Steps
from fetalstudio.engine.requests import MAX_SEED, EvaluateResult, TrainRequest, TrainResult
from fetalstudio.project.records import Pair, Run, RunState
from fetalstudio.project.store import Project
from fetalstudio.segmentation.fine_tuning import (
    EpochFigures,
    Example,
    FineTuneSettings,
    fine_tune,
)
from fetalstudio.segmentation.segmenter import Segmenter


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What is trained on what; no subject is in two parts, no synthetic frame outside training."""

    train: Sequence[Labelled]
    validation: Sequence[Labelled]
    test: Sequence[Labelled]
    pairs: Sequence[Pair]
    copies: int
    """Accepted pairs that were left out because they copy a training frame."""

    def summary(self) -> Mapping[str, Any]:
        """Frame and pair ids by part, for the run's record."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        ids = {name: [item.frame.id for item in items] for name, items in parts.items()}
        return {**ids, "pairs": [pair.id for pair in self.pairs]}


def run(request: TrainRequest, report: Report, cancelled: CancelCheck) -> TrainResult:
    """Train, keep the best epoch as a model of the project, and measure it on the test part.

    Cancelling keeps the best epoch so far; the ``Cancelled`` event then carries the result, unless
    no epoch had been finished.
    """
    _check_settings(request)
    with Project.open(request.project) as project:
        model = find_model("segmenter", request.segmenter, project)
        data = choose_data(project, request)
        name = _free_name(project, request)
        segmenter = load_segmenter(model)
        settings = {**asdict(request), "project": None, "started_from": model.name}
        record = project.start_run(name, settings, data.summary())
        training = _Training(project, request, record, data, segmenter, report, cancelled)
        try:
            result, stopped = training.run()
        except JobCancelled:
            project.update_run(record.id, state="cancelled")
            raise
        except BaseException:
            project.update_run(record.id, state="failed")
            raise
        state: RunState = "cancelled" if stopped else "finished"
        project.update_run(record.id, state=state, verdict=asdict(result))
    if stopped:
        raise JobCancelled(result)
    return result


def choose_data(project: Project, request: TrainRequest) -> TrainingData:
    """Split by subject and take as many frames and pairs as asked for.

    Raises :class:`BadInput` that says what is missing: fewer than three annotated subjects, or
    more frames or pairs asked for than there are.
    """
    labelled = labelled_frames(project, request.cohort)
    parts: Mapping[str, Part] = split(labelled)
    if len(parts) < 3:
        raise BadInput(
            f"Training needs annotated frames of at least three subjects (to learn from, to choose "
            f"the best epoch, to test); {project.path} has {len(parts)}. Annotate more frames."
        )
    train = of_part(labelled, parts, "train")
    pairs = usable_pairs(project, parts)
    copies = sum(pair.copy for pair in project.pairs(state="accepted"))
    rng = np.random.default_rng(request.seed)
    if request.real is not None:
        if request.real > len(train):
            raise BadInput(
                f"{request.real} real frames were asked for, but the training part holds "
                f"{len(train)} (the others are held out to validate and to test)."
            )
        train = [train[i] for i in sorted(rng.permutation(len(train))[: request.real])]
    if request.synthetic is not None:
        if request.synthetic > len(pairs):
            raise BadInput(
                f"{request.synthetic} synthetic pairs were asked for, but {len(pairs)} are "
                "accepted"
                + (f", besides {copies} copies of training frames. " if copies else ". ")
                + "Synthesise and accept more, or ask for fewer."
            )
        pairs = [pairs[i] for i in sorted(rng.permutation(len(pairs))[: request.synthetic])]
    if not train and not pairs:
        raise BadInput("There is nothing to learn from: ask for real frames, pairs or both.")
    validation, test = (of_part(labelled, parts, p) for p in ("validation", "test"))
    return TrainingData(train, validation, test, pairs, copies)


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
        self.saved = False
        self.started = time.monotonic()
        self.epochs_started = self.started

    def run(self) -> tuple[TrainResult, bool]:
        """The result, and whether it was cut short."""
        before = self._evaluate(self.segmenter, "measuring the model as it is")
        train = [self._example(item) for item in self.data.train]
        train += [Example(self.project.pixels(p.frame.id), p.ellipse) for p in self.data.pairs]
        self.validation = [self._example(item) for item in self.data.validation]
        request = self.request
        settings = FineTuneSettings(
            epochs=request.epochs,
            batch=request.batch,
            learning_rate=request.learning_rate,
            patience=request.patience,
            seed=request.seed,
        )
        steps = Steps(1, self.report, self.cancelled, "embedding the frames")

        def on_embedded(done: int, total: int) -> None:
            steps.total = total
            steps.advance(done)
            self.epochs_started = time.monotonic()

        tuned, figures = fine_tune(
            self.segmenter,
            train,
            self.validation,
            settings,
            on_embedded=on_embedded,
            on_epoch=self._epoch,
            cancelled=self.cancelled,
        )
        stopped = self.cancelled()
        if len(figures) < 2:
            raise JobCancelled
        # The person who cancels waits for no more than what the verdict needs: the test part.
        after = before if not self.saved else self._evaluate(tuned, "testing the best epoch", True)
        result = self._result(before, after, figures)
        if self.saved:
            self._card(result).write(self.folder)
        return result, stopped

    def _example(self, item: Labelled) -> Example:
        return Example(self.project.pixels(item.frame.id), item.ellipse)

    def _epoch(self, figures: EpochFigures, tuned: Segmenter) -> None:
        epochs = self.request.epochs
        entry = {k: v for k, v in asdict(figures).items() if not _nan(v)}
        entry["seconds"] = time.monotonic() - self.started
        self.project.update_run(self.record.id, history_entry=entry)
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
        if figures.epoch:
            per_epoch = (time.monotonic() - self.epochs_started) / figures.epoch
            left = per_epoch * (epochs - figures.epoch)
            self.report(Progress(figures.epoch, epochs, left, "fine-tuning"))
        if figures.best and figures.epoch:
            self._save(tuned, figures)
        shown = [
            overlay(e.image, tuned.predict(e.image).ellipse, e.ellipse) for e in self.validation[:4]
        ]
        self.report(Preview(montage(shown, columns=2), f"validation frames, epoch {figures.epoch}"))

    def _save(self, tuned: Segmenter, figures: EpochFigures) -> None:
        metrics = {"validation_dice": figures.validation_dice, "epoch": figures.epoch}
        tuned.save(self.folder, self._base_card(metrics))
        if not self.saved:
            write_training_frames(self.folder, [i.frame.id for i in self.data.train])
            path = self.folder.relative_to(self.project.path).as_posix()
            self.project.add_model(
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
            scores.append(score_frame(segmenter, item, self.project.pixels(item.frame.id)))
            steps.advance()
        return summarise(segmenter.card.name, scores)

    def _result(
        self, before: EvaluateResult, after: EvaluateResult, figures: Sequence[EpochFigures]
    ) -> TrainResult:
        change = [a.dice - b.dice for a, b in zip(after.frames, before.frames, strict=True)]
        subjects = [score.subject for score in before.frames]
        interval = bootstrap_ci(change, subjects)
        best = max(f.epoch for f in figures if f.best)
        return TrainResult(
            run_id=self.record.id,
            model=self.record.name if self.saved else None,
            dice_before=before.dice["mean"],
            dice_after=after.dice["mean"],
            difference=interval.mean,
            difference_ci95=(interval.low, interval.high),
            test_frames=len(change),
            test_subjects=len(set(subjects)),
            real=len(self.data.train),
            synthetic=len(self.data.pairs),
            epochs_run=figures[-1].epoch,
            best_epoch=best,
            verdict=verdict(before, after, interval.low, interval.high, self.saved),
            copies_left_out=self.data.copies,
        )

    def _base_card(self, metrics: Mapping[str, Any]) -> ModelCard:
        cohorts = sorted({item.frame.cohort for item in self.data.train})
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
        protocol = (
            "mean Dice of the prompt-free ellipse on subject-held-out frames at native resolution; "
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
    figures = (
        f"Dice {before.dice['mean']:.3f} before, {after.dice['mean']:.3f} after on {frames} "
        f"(difference {100 * low:+.2f} to {100 * high:+.2f} points, 95 % interval)"
    )
    if low > 0:
        return f"The new model is better: {figures}."
    if high < 0:
        return f"The new model is worse: {figures}. Keep the current one."
    if after.failures > before.failures:
        return (
            f"Keep the current model: {after.failures} of the test frames fail with the new one (a "
            f"Dice below {FAILURE}), {before.failures} with the current one. {figures}."
        )
    return f"No clear difference: {figures}. More annotated subjects would tell."


def _check_settings(request: TrainRequest) -> None:
    check_ranges(
        {
            "epochs": (request.epochs, 1, 1000),
            "batch": (request.batch, 1, 64),
            "seed": (request.seed, 0, MAX_SEED),
            "patience": (request.patience, 1, 1000),
            "real": (request.real or 0, 0, 10**6),
            "synthetic": (request.synthetic or 0, 0, 10**6),
        }
    )
    if not 0 < request.learning_rate <= 0.1:
        raise BadInput(f"The learning rate is {request.learning_rate}; 0.0001 is a good choice.")


def _free_name(project: Project, request: TrainRequest) -> str:
    taken = {m.name for m in project.models("segmenter")} | {BUILT_IN, JUDGE}
    if request.name is not None:
        if not request.name.strip() or request.name in taken:
            raise BadInput(f"The name {request.name!r} is empty or taken. Choose another one.")
        return request.name.strip()
    stem = request.cohort or "tuned"
    return next(n for i in range(1, 10**6) if (n := f"{stem}-{i}") not in taken)


def _nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
