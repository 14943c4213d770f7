"""Trains the compact synthesizer."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict, replace

from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.engine.models.copy_index import copy_index, write_copy_index
from fetalstudio.engine.models.loading import ALIGNED, BUILT_IN, find_head
from fetalstudio.engine.models.seen import Seen
from fetalstudio.formats.model_card import (
    ModelCard,
    fingerprint,
    write_seen_subjects,
)
from fetalstudio.learning import Watch, pick_device, until_stopped
from fetalstudio.studies.fidelity import fidelity
from fetalstudio.studies.log import Log, say
from fetalstudio.studies.pretrain.learnt_from import simulated_frames_of, training_data
from fetalstudio.synthesis.synthesizer import Synthesizer
from fetalstudio.synthesis.training import TrainSettings, fit_lift, train


def build(data: Mapping[str, list[LabelledFrame]], options: argparse.Namespace) -> None:
    """Train and measure the synthesizer, and write its folder with the index of copies."""
    simulated = simulated_frames_of(options)
    examples = [*(frame.loaded() for frame in data["train"]), *simulated]
    settings = TrainSettings(steps=options.steps, batch=options.batch, seed=options.seed)
    # An average over more than a tenth of the training would still contain its first weights.
    settings = replace(settings, ema=min(settings.ema, 1 - 10 / max(options.steps, 20)))
    if options.guidance is not None:
        settings = replace(settings, guidance=options.guidance)
    if options.learning_rate is not None:
        settings = replace(settings, learning_rate=options.learning_rate)
    with until_stopped() as stopped:
        pipeline = train(
            examples,
            settings,
            options.checkpoint,
            start=None if options.start is None else Synthesizer.load(options.start).pipeline,
            teacher=None if options.teacher is None else Synthesizer.load(options.teacher).pipeline,
            device=pick_device(),
            workers=options.workers,
            watch=Watch(Log(), lambda: stopped[0]),
        )
    card = ModelCard(
        name=BUILT_IN,
        kind="synthesizer",
        architecture={"type": "compact", "widths": list(settings.widths)},
        preprocessing={"canvas": [384, 256], "resize": "letterbox, centred", ALIGNED: True},
        licence="Apache-2.0",
        training_data={
            **training_data(data["train"], asdict(settings), len(simulated), options.kind),
            "started_from": None if options.start is None else fingerprint(options.start),
            "teacher": None if options.teacher is None else fingerprint(options.teacher),
        },
    )
    # Only real frames show the grain of a scanner.
    lift = fit_lift(pipeline, examples[: len(data["train"])]) if data["train"] else None
    synthesizer = Synthesizer(pipeline, card, finish=lift, find_head=find_head)
    card = replace(card, metrics=fidelity(synthesizer, data["test"]))
    Synthesizer(pipeline, card, finish=lift).save(options.out)
    if data["train"]:
        found = copy_index(data["train"])
        write_copy_index(found, options.out)
        write_seen_subjects(options.out, Seen().with_subjects_of(data["train"]).subjects)
        say(f"a copy is above a similarity of {found.threshold:.3f}")
    say(str(card.metrics))
