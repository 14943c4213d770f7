"""Job ``experiment``: the same segmenter trained with and without synthetic pairs, and compared."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from fetalstudio.core.errors import InputError, check_ranges
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.progress import Stopped
from fetalstudio.core.training_settings import TrainingSettings
from fetalstudio.core.words import counted
from fetalstudio.engine.cohort_split import labelled, some_of
from fetalstudio.engine.comparisons import comparisons
from fetalstudio.engine.jobs.experiment.findings import Trained, result_of
from fetalstudio.engine.jobs.experiment.mixes import BEFORE, MIXES, added_by_control, steps_in
from fetalstudio.engine.jobs.experiment.request import ExperimentRequest, ExperimentResult
from fetalstudio.engine.jobs.experiment.resuming import own_settings, request_of
from fetalstudio.engine.jobs.experiment.training import dice_of, examples_of, train_to_the_end
from fetalstudio.engine.jobs.train.data import TrainingData, required_training_data
from fetalstudio.engine.models.loading import BUILT_IN, find_model, load_segmenter
from fetalstudio.engine.models.not_known import MAKERS, not_known, unknown_pairs
from fetalstudio.engine.models.seen import seen_by
from fetalstudio.engine.process.events import Checkpoint, Warned
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.engine.resumable import (
    ResumableRun,
    can_resume,
    newest_resumable,
    resumable_run,
)
from fetalstudio.formats.model_card import fingerprint
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Run
from fetalstudio.segmentation.embeddings import EmbeddingCache
from fetalstudio.segmentation.fine_tuning import FINE_TUNING
from fetalstudio.segmentation.segmenter import Segmenter


def run(request: ExperimentRequest, report: Report, cancelled: CancelCheck) -> ExperimentResult:
    """Train every mix with every seed, and say what the pairs were worth.

    Each finished training is kept in the run's history. A cancel stops the experiment within a
    step; the ``Cancelled`` event carries the result over the finished seeds, if there are any. The
    same request resumes the newest unfinished run of it.
    """
    _check(request)
    request = replace(request, settings=own_settings(request.settings))
    with Project.open(request.project) as project:
        model = find_model("segmenter", request.segmenter or BUILT_IN, project)
        request = replace(request, segmenter=model.name)
        drawn = [_draw(project, request, seed) for seed in range(request.seeds)]
        if known := len(seen_by(project, model).known(drawn[0].test)):
            report(
                Warned(
                    f"{counted(known, 'test frame')} of {len(drawn[0].test)} are of subjects that "
                    f"{model.name} saw before, so the trainings will seem to gain less than they "
                    "do."
                )
            )
        unknown = {pair: maker for one in drawn for pair, maker in one.unknown_makers.items()}
        for said in (*unknown_pairs(unknown.values()), *not_known(model)):
            report(Warned(said))
        sha256, data = fingerprint(model.folder), _summary(drawn)
        number = comparisons(project, data["subjects"])

        def same(run: Run) -> bool:
            stored = run.settings.get("segmenter_sha256"), dict(run.data)
            return stored == (sha256, data) and request_of(run, project) == request

        resume = newest_resumable(project, ExperimentRequest.job.name, same)
        if resume is None and (changed := _unlike_before(project, request)):
            report(Warned(changed))

        with resumable_run(
            project,
            ExperimentRequest.job.name,
            report,
            cancelled,
            name=None,
            stem=ExperimentRequest.job.name,
            settings={
                **asdict(request),
                "project": None,
                "segmenter_sha256": sha256,
                "comparison": number,
                MAKERS: dict(Counter(unknown.values())),
            },
            data=data,
            resume=resume,
        ) as held:
            experiment = _Experiment(held, request.settings, drawn, load_segmenter(model))
            try:
                experiment.run()
            except Stopped:
                so_far = result_of(project.runs.get(held.id))
                if so_far is not None:
                    held.finish(asdict(so_far), cancelled=True)
                raise Stopped(so_far) from None
            result = result_of(project.runs.get(held.id))
            assert result is not None  # every mix has been trained with every seed
            held.finish(asdict(result))
        return result


def _unlike_before(project: Project, request: ExperimentRequest) -> str | None:
    """What is said where the newest experiment was stopped, and what it compares has changed."""
    runs = (run for run in project.runs.all() if run.job == ExperimentRequest.job.name)
    newest = next(runs, None)
    if newest is None or not can_resume(project, newest):
        return None
    if request_of(newest, project) != request:
        return None
    return (
        f"The frames, the pairs or the segmenter have changed since {newest.name} was stopped, so "
        "the comparison begins again."
    )


def _draw(project: Project, request: ExperimentRequest, seed: int) -> TrainingData:
    """The training data of one seed. All seeds have the same validation and test part."""
    data = required_training_data(
        project,
        request.cohort,
        real=request.real,
        synthetic=request.synthetic,
        segmenter=request.segmenter,
        seed=seed,
    )
    if not data.pairs:
        accepted = project.counts()["accepted"]
        left_out = (
            f" Its {counted(accepted, 'accepted pair')} would teach what is held out, or are too "
            "similar to training frames."
            if accepted
            else ""
        )
        raise InputError(
            f"{project.path} has no accepted pair that can be trained on, so there is nothing to "
            f"compare.{left_out} Synthesise pairs and accept them in Review first."
        )
    return data


def _summary(drawn: Sequence[TrainingData]) -> dict[str, Any]:
    """The data for the run's record, in the types in which they are read back."""
    whole = {
        "test": [item.id for item in drawn[0].test],
        "subjects": [item.subject for item in drawn[0].test],
        "drawn": [
            {
                **{k: v for k, v in data.summary().items() if k in ("train", "pairs", "ellipses")},
                "more": [item.id for item in _more(data, seed)],
            }
            for seed, data in enumerate(drawn)
        ],
    }
    return dict(json.loads(json.dumps(whole)))


def _more(data: TrainingData, seed: int) -> Sequence[LabelledFrame]:
    """The real frames that the positive control adds, drawn from those that were not drawn."""
    drawn = {item.id for item in data.train}
    spare = [item for item in data.available if item.id not in drawn]
    chosen = some_of(spare, len(data.pairs), np.random.default_rng(seed))
    return added_by_control(chosen, len(data.train), len(data.pairs))


class _Experiment:
    """One experiment: the trainings that are done, and those that are missing."""

    def __init__(
        self,
        held: ResumableRun,
        settings: TrainingSettings,
        drawn: Sequence[TrainingData],
        base: Segmenter,
    ) -> None:
        self.held, self.settings, self.drawn, self.base = held, settings, drawn, base
        self.cache = EmbeddingCache(held.project.path / "cache" / "embeddings")
        trained = map(Trained.of_row, held.history)
        self.done = {(row.mix, row.seed): row.steps for row in trained}
        each = [self._steps(mix, data) for mix in MIXES for data in drawn]
        self.steps = held.steps(sum(each), "embedding the frames", done=sum(self.done.values()))

    def run(self) -> None:
        """Run the trainings that are missing, all mixes of one seed before the next seed."""
        self.test = _loaded(self.drawn[0].test)
        if (BEFORE, 0) not in self.done:
            scores = dice_of(self.base, self.test, self.cache, self.steps)
            self._keep(Trained(BEFORE, 0, scores, 0, 0.0))
        for seed, data in enumerate(self.drawn):
            real, more = _loaded(data.train), _loaded(_more(data, seed))
            pairs = [labelled(self.held.project, p.frame, p.ellipse).loaded() for p in data.pairs]
            for mix in MIXES:
                if (mix, seed) not in self.done:
                    examples = examples_of(mix, real, pairs, more)
                    self._train(mix, seed, examples, self._steps(mix, data))

    def _train(self, mix: str, seed: int, examples: Sequence[LabelledFrame], steps: int) -> None:
        started = time.monotonic()
        note = f"{MIXES[mix].lower()}, repeat {seed + 1} of {len(self.drawn)}"
        settings = replace(self.settings, seed=seed)
        tuned = train_to_the_end(
            self.base, examples, settings, self.cache, _OneTraining(self.steps, note)
        )
        self.steps.check()
        scores = dice_of(tuned, self.test, self.cache, self.steps)
        seconds = time.monotonic() - started
        self._keep(Trained(mix, seed, scores, steps, seconds))

    def _keep(self, trained: Trained) -> None:
        self.held.record(asdict(trained))
        place = self.held.project.path
        self.held.report(Checkpoint(place, f"{trained.mix}, seed {trained.seed}"))

    def _steps(self, mix: str, data: TrainingData) -> int:
        counts = len(data.train), len(data.pairs)
        return steps_in(mix, *counts, epochs=self.settings.epochs, batch=self.settings.batch)


class _OneTraining:
    """The `Progress` of one training on a mix as a part of the whole job's ``steps``."""

    def __init__(self, steps: Steps, note: str) -> None:
        self._steps, self._note = steps, note
        self._before = steps.done

    def advance(self, done: int, total: int, note: str = "") -> None:
        """Count the optimiser's steps. While frames are embedded, only check for a cancel."""
        if note == FINE_TUNING:
            self._steps.advance(self._before + done, note=self._note)
        self.check()

    def check(self) -> None:
        """See the whole job's ``steps``."""
        self._steps.check()


def _loaded(frames: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    return [frame.loaded() for frame in frames]


def _check(request: ExperimentRequest) -> None:
    request.settings.check()
    check_ranges(
        {
            "seeds": (request.seeds, 1, 20),
            "real": (1 if request.real is None else request.real, 1, 10**6),
            "synthetic": (1 if request.synthetic is None else request.synthetic, 1, 10**6),
        }
    )
