"""What a training would use, whether it can start and what it would cost, counted beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fetalstudio.core.errors import InputError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.splits import Part
from fetalstudio.core.training_settings import PairCount, TrainingSettings
from fetalstudio.engine.jobs.train.cost import Cost, Work, cost, kind_of, pace_of
from fetalstudio.engine.jobs.train.data import TrainingData, select_training_data
from fetalstudio.engine.models.catalogue import list_models, missing_files
from fetalstudio.formats.model_card import ModelCard
from fetalstudio.project.project import Project

PARTS: tuple[Part, ...] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Share:
    """Subjects and frames of one part."""

    subjects: int
    frames: int


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """``problems`` forbid the start, ``warnings`` do not; both are sentences for a person."""

    parts: Mapping[Part, Share]
    pairs: int
    """Accepted pairs that may be used."""
    data: TrainingData
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def plan_training(
    project: Project,
    cohort: str | None,
    *,
    real: int | None,
    synthetic: PairCount,
    seed: int,
    segmenter: str | None = None,
) -> TrainingPlan:
    """What a ``TrainRequest`` with the same values uses, by the rules of the job itself.

    ``seed`` is that of the training's settings: it decides which frames and pairs are drawn.
    """
    data = select_training_data(
        project, cohort, real=real, synthetic=synthetic, segmenter=segmenter, seed=seed
    )
    parts: Mapping[Part, Share] = {
        "train": _share(data.available),
        "validation": _share(data.validation),
        "test": _share(data.test),
    }
    return TrainingPlan(parts, data.usable, data, data.problems, data.warnings)


def plan_cost(
    project: Project, data: TrainingData, segmenter: str, settings: TrainingSettings
) -> Cost:
    """How long the training takes if it runs for all epochs, and how much memory.

    Raises :class:`InputError` with the cure if files of the segmenter are missing.
    """
    kind = "compact"
    for model in list_models(project):
        if (model.kind, model.name) == ("segmenter", segmenter):
            if (missing := missing_files(model)) is not None:
                raise InputError(missing)
            kind = kind_of(ModelCard.read(model.folder).architecture)
    work = Work(len(data.train) + len(data.pairs), len(data.validation), len(data.test))
    pace = pace_of(project, kind, settings.lora)
    return cost(pace, work, settings)


def _share(items: Sequence[LabelledFrame]) -> Share:
    return Share(len({item.subject for item in items}), len(items))
