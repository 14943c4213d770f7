"""Job ``experiment``: the same segmenter trained with and without synthetic pairs, and compared."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fetalstudio.core.errors import InputError, check_ranges
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.progress import Stopped
from fetalstudio.core.words import counted
from fetalstudio.engine.cohort_split import labelled
from fetalstudio.engine.jobs.evaluate.job import frames_seen
from fetalstudio.engine.jobs.experiment.arms import (
    VALIDATION_FRAMES,
    dice_of,
    evenly,
    examples_of,
    train_arm,
)
from fetalstudio.engine.jobs.experiment.request import (
    ARMS,
    BEFORE,
    ExperimentRequest,
    ExperimentResult,
    Trained,
    result_of,
    steps_in,
)
from fetalstudio.engine.jobs.train.data import TrainingData, select_training_data, with_duplicates
from fetalstudio.engine.models.loading import BUILT_IN, find_model, load_segmenter
from fetalstudio.engine.process.events import Checkpoint, Warned
from fetalstudio.engine.process.job import CancelCheck, Report, report_in_run
from fetalstudio.engine.process.progress import Steps
from fetalstudio.formats.model_card import fingerprint
from fetalstudio.project.project import Project
from fetalstudio.project.records import Run
from fetalstudio.segmentation.embeddings import EmbeddingCache
from fetalstudio.segmentation.fine_tuning import FINE_TUNING, FineTuneSettings
from fetalstudio.segmentation.segmenter import Segmenter


def run(request: ExperimentRequest, report: Report, cancelled: CancelCheck) -> ExperimentResult:
    """Train every arm with every seed, and say what the pairs were worth.

    Each training that is done is kept in the run's history. Cancelling stops within a step; the
    ``Cancelled`` event carries the result over the seeds that were done, if any. The same request
    goes on with the newest run of it that did not finish.
    """
    _check_settings(request)
    with Project.open(request.project) as project:
        model = find_model("segmenter", request.segmenter or BUILT_IN, project)
        drawn = [_draw(project, request, seed) for seed in range(request.seeds)]
        seen = frames_seen(project, model)
        known = sum(item.id[:16] in seen for item in drawn[0].test)
        if known:
            report(
                Warned(
                    f"{counted(known, 'test frame')} of {len(drawn[0].test)} were used to train "
                    f"{model.name}: what is added to it will seem to be worth less than it is."
                )
            )
        settings = {
            **asdict(request),
            "project": None,
            "job": ExperimentRequest.job.name,
            "segmenter": model.name,
            "segmenter_sha256": fingerprint(model.folder),
        }
        data = _summary(drawn)
        record = _unfinished(project, settings, data) or project.runs.start(
            _free_name(project), settings, data
        )
        report = report_in_run(report, project.path, record.id)
        experiment = _Experiment(
            project, request, record, drawn, load_segmenter(model), report, cancelled
        )
        try:
            experiment.run()
        except Stopped:
            result = _close(project, record.id, "cancelled")
            raise Stopped(result) from None
        except BaseException:
            project.runs.update(record.id, state="failed")
            raise
        result = _close(project, record.id, "finished")
        assert result is not None  # every arm of every seed is done
        return result


def _close(project: Project, run_id: int, state: Any) -> ExperimentResult | None:
    result = result_of(project.runs.get(run_id))
    verdict = None if result is None else asdict(result)
    project.runs.update(run_id, state=state, verdict=verdict)
    return result


def _draw(project: Project, request: ExperimentRequest, seed: int) -> TrainingData:
    """What one seed trains on; validation and test part are the same for all."""
    data = select_training_data(
        project, request.cohort, real=request.real, synthetic=request.synthetic, seed=seed
    )
    if not data.problems:
        data = with_duplicates(data, project)
    if data.problems:
        raise InputError(" ".join(data.problems))
    if not data.pairs:
        raise InputError(
            f"{project.path} has no accepted pairs to train on, so nothing can be compared. "
            "Synthesise some and accept them first."
        )
    return data


def _summary(drawn: Sequence[TrainingData]) -> dict[str, Any]:
    """For the run's record, as it will be read back."""
    whole = {
        "test": [item.id for item in drawn[0].test],
        "subjects": [item.subject for item in drawn[0].test],
        "validation": [item.id for item in drawn[0].validation],
        "drawn": [
            {k: v for k, v in data.summary().items() if k in ("train", "pairs", "ellipses")}
            for data in drawn
        ],
    }
    return dict(json.loads(json.dumps(whole)))


class _Experiment:
    def __init__(
        self,
        project: Project,
        request: ExperimentRequest,
        record: Run,
        drawn: Sequence[TrainingData],
        base: Segmenter,
        report: Report,
        cancelled: CancelCheck,
    ) -> None:
        self.project, self.request, self.record, self.drawn = project, request, record, drawn
        self.base, self.report = base, report
        self.cache = EmbeddingCache(project.path / "cache" / "embeddings")
        self.done = {(row["arm"], row["seed"]): row["steps"] for row in record.history}
        each = [self._steps(arm, data) for arm in ARMS for data in drawn]
        self.steps = Steps(
            sum(each), report, cancelled, "looking at the frames", done=sum(self.done.values())
        )

    def run(self) -> None:
        """What is not done yet, a seed with all its arms after the other."""
        self.test = _loaded(self.drawn[0].test)
        self.validation = evenly(_loaded(self.drawn[0].validation), VALIDATION_FRAMES)
        if (BEFORE, 0) not in self.done:
            scores = dice_of(self.base, self.test, self.cache, self.steps)
            self._keep(Trained(BEFORE, 0, scores, 0, 0, 0.0))
        for seed, data in enumerate(self.drawn):
            real = _loaded(data.train)
            pairs = [labelled(self.project, p.frame, p.ellipse).loaded() for p in data.pairs]
            for arm in ARMS:
                if (arm, seed) not in self.done:
                    examples = examples_of(arm, real, pairs)
                    self._train(arm, seed, examples, self._steps(arm, data))

    def _train(self, arm: str, seed: int, examples: Sequence[LabelledFrame], steps: int) -> None:
        started = time.monotonic()
        note = f"{ARMS[arm].lower()}, repeat {seed + 1} of {len(self.drawn)}: step"
        settings = FineTuneSettings(
            epochs=self.request.epochs,
            batch=self.request.batch,
            learning_rate=self.request.learning_rate,
            seed=seed,
        )
        tuned, figures = train_arm(
            self.base,
            examples,
            self.validation,
            settings,
            self.cache,
            progress=_OneTraining(self.steps, note),
        )
        self.steps.check()
        scores = dice_of(tuned, self.test, self.cache, self.steps)
        best = max(row.epoch for row in figures if row.best)
        seconds = time.monotonic() - started
        self._keep(Trained(arm, seed, scores, steps, best, seconds))

    def _keep(self, trained: Trained) -> None:
        self.project.runs.update(self.record.id, history_entry=asdict(trained))
        self.report(Checkpoint(self.project.path, f"{trained.arm}, seed {trained.seed}"))

    def _steps(self, arm: str, data: TrainingData) -> int:
        request = self.request
        return steps_in(
            arm, len(data.train), len(data.pairs), epochs=request.epochs, batch=request.batch
        )


class _OneTraining:
    """The `Progress` of one training of an arm as a part of the whole job's ``steps``."""

    def __init__(self, steps: Steps, note: str) -> None:
        self._steps, self._note = steps, note
        self._before = steps.done

    def advance(self, done: int, total: int, note: str = "") -> None:
        """Count the steps of the optimiser; embedding the frames is only checked."""
        if note == FINE_TUNING:
            self._steps.advance(self._before + done, note=self._note)
        self.check()

    def check(self) -> None:
        """As the whole job's."""
        self._steps.check()


def _loaded(frames: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    return [frame.loaded() for frame in frames]


def _unfinished(
    project: Project, settings: Mapping[str, Any], data: Mapping[str, Any]
) -> Run | None:
    """The newest run of the same settings and data that did not finish, taken up again."""
    for record in project.runs.all():
        same = dict(record.settings) == settings and dict(record.data) == data
        if record.job == ExperimentRequest.job.name and record.state != "finished" and same:
            return project.runs.resume(record.id)
    return None


def _check_settings(request: ExperimentRequest) -> None:
    check_ranges(
        {
            "seeds": (request.seeds, 1, 20),
            "epochs": (request.epochs, 1, 1000),
            "batch": (request.batch, 1, 64),
            "real": (1 if request.real is None else request.real, 1, 10**6),
            "synthetic": (1 if request.synthetic is None else request.synthetic, 1, 10**6),
        }
    )
    if not 0 < request.learning_rate <= 0.1:
        raise InputError(f"The learning rate is {request.learning_rate}; 0.0001 is a good choice.")


def _free_name(project: Project) -> str:
    taken = {run.name for run in project.runs.all()}
    return next(n for i in range(1, 10**6) if (n := f"experiment-{i}") not in taken)
