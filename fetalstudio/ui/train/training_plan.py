"""What a training would be done on, and whether it can be done: counted before it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.splits import Part
from fetalstudio.engine.jobs.train.cost import Cost, Work, cost, kind_of, pace_of
from fetalstudio.engine.jobs.train.data import TrainingData, select_training_data
from fetalstudio.engine.models.catalogue import list_models
from fetalstudio.formats.model_card import ModelCard
from fetalstudio.project.project import Project

PARTS: tuple[Part, ...] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Share:
    """Subjects and frames of one part."""

    subjects: int
    frames: int


@dataclass(frozen=True, slots=True)
class Plan:
    """``problems`` forbid the start, ``warnings`` do not; both are sentences for a person."""

    parts: Mapping[Part, Share]
    pairs: int
    """Accepted pairs that may be used."""
    data: TrainingData
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def plan_training(
    project: Project, cohort: str | None, *, real: int | None, synthetic: int | None, seed: int = 0
) -> Plan:
    """What ``TrainRequest`` with the same values takes, by the job's own rules."""
    data = select_training_data(project, cohort, real=real, synthetic=synthetic, seed=seed)
    parts: Mapping[Part, Share] = {
        "train": _share(data.available),
        "validation": _share(data.validation),
        "test": _share(data.test),
    }
    return Plan(parts, data.usable, data, data.problems, data.warnings)


def plan_cost(
    project: Project, data: TrainingData, segmenter: str, *, copies: int, epochs: int, lora: int
) -> Cost:
    """How long the training takes at most, and in how much memory."""
    kinds = [
        kind_of(ModelCard.read(model.folder).architecture)
        for model in list_models(project)
        if (model.kind, model.name) == ("segmenter", segmenter)
    ]
    work = Work(
        train=len(data.train) + len(data.pairs),
        validation=len(data.validation),
        test=len(data.test),
        copies=copies,
        epochs=epochs,
        lora=lora,
    )
    return cost(pace_of(project, kinds[0] if kinds else "compact", lora), work)


def _share(items: Sequence[LabelledFrame]) -> Share:
    return Share(len({item.subject for item in items}), len(items))
