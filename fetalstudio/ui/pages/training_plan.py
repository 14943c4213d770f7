"""What a training would be done on, and whether it can be done: counted before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fetalstudio.core.errors import BadInput
from fetalstudio.core.splits import Part
from fetalstudio.engine.data import Labelled, labelled_frames, of_part, split, usable_pairs
from fetalstudio.project.store import Project
from fetalstudio.ui.words import counted

PARTS: tuple[Part, ...] = ("train", "validation", "test")
MIN_SUBJECTS = 3
"""One for each part."""
FEW_TEST_SUBJECTS = 5


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
    real: int
    """Real frames that will be trained on."""
    synthetic: int
    """Pairs that will be trained on."""
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def plan_training(
    project: Project, cohort: str | None, *, real: int | None, synthetic: int | None
) -> Plan:
    """What ``TrainRequest`` with the same values takes, by the job's own rules."""
    try:
        labelled = labelled_frames(project, cohort)
    except BadInput as error:
        nothing = dict.fromkeys(PARTS, Share(0, 0))
        return Plan(nothing, 0, 0, 0, (str(error),), ())
    by_subject = split(labelled)
    parts = {part: _share(of_part(labelled, by_subject, part)) for part in PARTS}
    available = parts["train"].frames
    pairs = len(usable_pairs(project, by_subject))
    plan = Plan(
        parts,
        pairs,
        available if real is None else min(real, available),
        pairs if synthetic is None else min(synthetic, pairs),
        (),
        (),
    )
    return Plan(
        plan.parts,
        plan.pairs,
        plan.real,
        plan.synthetic,
        tuple(_problems(plan, len(by_subject), real, synthetic)),
        tuple(_warnings(plan, project, cohort, synthetic)),
    )


def _share(items: list[Labelled]) -> Share:
    return Share(len({item.frame.subject for item in items}), len(items))


def _problems(plan: Plan, subjects: int, real: int | None, synthetic: int | None) -> list[str]:
    said = []
    if subjects < MIN_SUBJECTS:
        said.append(
            f"Training, validation and test need a subject each, and the annotated frames are of "
            f"{counted(subjects, 'subject')}. Annotate frames of {MIN_SUBJECTS} or more."
        )
    if real is not None and real > plan.parts["train"].frames:
        available = counted(plan.parts["train"].frames, "real frame")
        said.append(f"{real} real frames are asked for; the training part has {available}.")
    if synthetic is not None and synthetic > plan.pairs:
        available = counted(plan.pairs, "accepted pair")
        said.append(f"{synthetic} pairs are asked for; there are {available} to use.")
    if not said and plan.real + plan.synthetic == 0:
        said.append("There is nothing to train on: ask for real frames, pairs or both.")
    return said


def _warnings(plan: Plan, project: Project, cohort: str | None, synthetic: int | None) -> list[str]:
    said = []
    proposed = sum(a.state == "proposed" for a in project.annotations(cohort).values())
    if proposed:
        said.append(f"{counted(proposed, 'proposal')} left out: no person has confirmed them.")
    if 0 < plan.parts["test"].subjects < FEW_TEST_SUBJECTS:
        tested = counted(plan.parts["test"].subjects, "subject")
        said.append(f"Only {tested} to test on: the verdict's interval will be wide.")
    copies = sum(pair.copy for pair in project.pairs(state="accepted"))
    if copies:
        said.append(
            f"{counted(copies, 'accepted pair')} left out: too much like a training frame of the "
            "synthesizer."
        )
    left_out = project.counts()["accepted"] - plan.pairs - copies
    if left_out:
        said.append(
            f"{counted(left_out, 'accepted pair')} left out: "
            "they took their sector from a frame of a held-out subject."
        )
    if plan.pairs == 0 and synthetic != 0:
        said.append("No accepted pairs: the training is on real frames alone.")
    return said
