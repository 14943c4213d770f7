"""Trains the compact synthesizer."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.engine.models.copy_index import copy_index, write_copy_index
from fetalstudio.engine.models.loading import ALIGNED, BUILT_IN, find_head
from fetalstudio.engine.models.seen import Seen
from fetalstudio.formats.model_card import (
    ModelCard,
    seen_subjects,
    write_seen_subjects,
)
from fetalstudio.formats.neighbours import read_neighbours
from fetalstudio.learning import until_stopped
from fetalstudio.studies.fidelity import fidelity
from fetalstudio.studies.log import say
from fetalstudio.studies.pretrain.detail import equalise
from fetalstudio.studies.pretrain.learnt_from import simulated_frames_of, training_data
from fetalstudio.studies.pretrain.running import run_of
from fetalstudio.synthesis.detail import Detail
from fetalstudio.synthesis.guidance import Guidance
from fetalstudio.synthesis.lift import Lift
from fetalstudio.synthesis.synthesizer import Synthesizer
from fetalstudio.synthesis.training import Teacher, TrainSettings, fit_lift, train


def build(data: Mapping[str, list[LabelledFrame]], options: argparse.Namespace) -> None:
    """Train and measure the synthesizer, and write its folder with the index of copies.

    A model that starts from another one keeps its detail stage, and counts what it saw.
    """
    simulated = simulated_frames_of(options)
    examples = [*(frame.loaded() for frame in data["train"]), *simulated]
    settings = TrainSettings(steps=options.steps, batch=options.batch, seed=options.seed)
    # An average over more than a tenth of the training would still contain its first weights.
    settings = replace(settings, ema=min(settings.ema, 1 - 10 / max(options.steps, 20)))
    if options.guidance is not None:
        guidance = Guidance(options.guidance, options.first_guidance)
        settings = replace(settings, guidance=guidance)
    if options.learning_rate is not None:
        settings = replace(settings, learning_rate=options.learning_rate)
    start = None if options.start is None else Synthesizer.load(options.start)
    taught = None if options.teacher is None else Synthesizer.load(options.teacher)
    with until_stopped() as stopped:
        pipeline = train(
            examples,
            settings,
            run_of(options, stopped),
            start=None if start is None else start.pipeline,
            teacher=None if taught is None else Teacher(taught.pipeline, taught.learnt_guidance),
        )
    architecture: dict[str, Any] = {"type": "compact", "widths": list(settings.widths)}
    learnt: dict[str, Any] = {
        **training_data(data["train"], asdict(settings), len(simulated), options.kind),
        "started_from": None if start is None else start.hash,
        "teacher": None if taught is None else taught.hash,
    }
    if start is not None:
        learnt["base"] = start.card.training_data
    finish: Lift | Detail | None = None
    if start is not None and isinstance(start.finish, Detail):
        finish = start.finish
        architecture["detail"] = start.card.architecture["detail"]
    elif data["train"]:  # only real frames show the grain of a scanner
        finish = fit_lift(pipeline, examples[: len(data["train"])])
    card = ModelCard(
        name=BUILT_IN,
        kind="synthesizer",
        architecture=architecture,
        preprocessing={"canvas": [384, 256], "resize": "letterbox, centred", ALIGNED: True},
        licence="Apache-2.0",
        training_data=learnt,
    )
    synthesizer = Synthesizer(pipeline, card, finish=finish, find_head=find_head)
    if isinstance(finish, Detail):
        frames = equalise(synthesizer, finish.net, examples[: len(data["train"])])
        learnt["detail"] = {**learnt["base"]["detail"], "equalised_on": frames}
    card = replace(card, training_data=learnt, metrics=fidelity(synthesizer, data["test"]))
    Synthesizer(pipeline, card, finish=finish).save(options.out)
    before = [folder for folder in (options.start, options.teacher) if folder is not None]
    seen = Seen().with_subjects_of(data["train"]).subjects.union(*map(seen_subjects, before))
    write_seen_subjects(options.out, seen)
    if data["train"]:
        indexed = [folder for folder in before if read_neighbours(folder) is not None]
        found = copy_index(data["train"], *indexed[:1])
        write_copy_index(found, options.out)
        say(f"a copy is above a similarity of {found.threshold:.3f}")
    say(str(card.metrics))
