"""Trains the compact segmenter or the judge."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.engine.jobs.evaluate.evaluation import score_frame, summarise
from fetalstudio.engine.models.loading import BUILT_IN, JUDGE
from fetalstudio.engine.models.seen import Seen
from fetalstudio.formats.model_card import (
    write_seen_subjects,
    write_training_frames,
)
from fetalstudio.learning import until_stopped
from fetalstudio.project.project import Project
from fetalstudio.segmentation.compact import CompactConfig
from fetalstudio.segmentation.confidence import Confidence
from fetalstudio.segmentation.pretraining import PretrainSettings, pretrain
from fetalstudio.segmentation.sam import Sam
from fetalstudio.segmentation.segmenter import Segmenter, compact_card
from fetalstudio.studies.calibration import (
    Level,
    as_plain,
    at_level,
    bias_of,
    calibrated_level,
    figures_with_error,
    shares_of,
)
from fetalstudio.studies.log import say
from fetalstudio.studies.pretrain.learnt_from import (
    real_and_pairs,
    simulated_frames_of,
    training_data,
)
from fetalstudio.studies.pretrain.measures import figures_of
from fetalstudio.studies.pretrain.running import run_of
from fetalstudio.studies.reliability import estimates, reliability

VIEWS = 2
"""Views of a frame over which the compact segmenter averages: the frame and its mirror image."""
BOX_SHARE = 0.3
"""See ``box_prompt.drawn_to_box``. On validation frames, this value gains with boxes whose sides
are off by up to 5 %, and loses nothing with boxes that are off by 10 %."""


def build(
    project: Project, data: Mapping[str, list[LabelledFrame]], options: argparse.Namespace
) -> None:
    """Train, calibrate and measure the segmenter, or the judge, and write its folder."""
    learnt, pairs = real_and_pairs(project, data, options)
    simulated = simulated_frames_of(options)
    examples = [*(frame.loaded() for frame in (*learnt, *pairs)), *simulated]
    settings = PretrainSettings(steps=options.steps, batch=options.batch, seed=options.seed)
    if options.learning_rate is not None:
        settings = replace(settings, learning_rate=options.learning_rate)
    with until_stopped() as stopped:
        sam = pretrain(
            examples,
            settings,
            run_of(options, stopped),
        )
    judge = options.kind == "judge"
    name = JUDGE if judge else BUILT_IN
    # The judge is asked about thousands of pairs, and never with a box.
    plain = {"views": 1} if judge else {"views": VIEWS, "box_share": BOX_SHARE}
    everyone = [item for part in data.values() for item in part]
    preprocessing, level = _calibrated(sam, data["validation"], shares_of(everyone), plain)
    segmenter = Segmenter(sam, compact_card(name, CompactConfig(), preprocessing=preprocessing))
    scores = [score_frame(segmenter, item) for item in data["test"]]
    boxed = [score_frame(segmenter, item, prompt="box") for item in data["test"]]
    metrics = {
        "protocol": "subject-held-out frames, native resolution, ellipse against ellipse; 95 % "
        "interval over subjects",
        "subjects": len({item.subject for item in data["test"]}),
        "auto": figures_of(summarise(name, scores)),
        "box": figures_of(summarise(name, boxed)),
        "auto_with_the_error_of_the_calibration": as_plain(
            figures_with_error(
                lambda item, at: score_frame(at_level(segmenter, at), item), data["test"], level
            ),
            level,
        ),
        "confidence": reliability(estimates(segmenter, data["test"])),
    }
    card = compact_card(
        name,
        CompactConfig(),
        training_data={
            **training_data(learnt, asdict(settings), len(simulated), options.kind),
            "synthetic_pairs": len(pairs),
        },
        preprocessing=preprocessing,
        metrics=metrics,
    )
    segmenter.save(options.out, card)
    write_training_frames(options.out, [item.id for item in learnt])
    # The validation frames calibrate the model.
    seen = Seen().with_subjects_of((*learnt, *data["validation"]))
    write_seen_subjects(options.out, seen.subjects)
    say(str(metrics))


def _calibrated(
    sam: Sam,
    items: Sequence[LabelledFrame],
    shares: Mapping[str, float],
    more: Mapping[str, Any],
) -> tuple[Mapping[str, Any], Level]:
    """The card's ``preprocessing``: ``more``, and values fitted to frames that no training saw.

    These are the level at which the outline has the right mean length, with ``shares`` of the
    trimesters, and the confidence curve.
    """
    plain = {**compact_card(BUILT_IN, CompactConfig()).preprocessing, **more}

    segmenter = Segmenter(sam, compact_card(BUILT_IN, CompactConfig(), preprocessing=plain))
    level = calibrated_level(lambda item, at: bias_of(segmenter, item, at), items, shares)
    level = replace(level, value=round(level.value, 3))
    values = {**plain, "level": level.value}
    held = estimates(at_level(segmenter, level.value), items)
    try:
        curve = Confidence.fit(held.expected, held.actual)
    except ValueError as error:
        # Happens if a training was stopped early. Its weights may be wanted all the same.
        say(f"the confidence is not calibrated: {error}")
        return values, level
    return {**values, "confidence": asdict(curve)}, level
