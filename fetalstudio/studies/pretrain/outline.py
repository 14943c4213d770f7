"""Trains the outline, the second look."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.distributions import NORMAL_95
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.engine.jobs.evaluate.evaluation import score_frame
from fetalstudio.engine.models.loading import BUILT_IN, find_model, load_segmenter
from fetalstudio.engine.models.seen import Seen
from fetalstudio.formats.model_card import (
    write_seen_subjects,
    write_training_frames,
)
from fetalstudio.learning import until_stopped
from fetalstudio.project.project import Project
from fetalstudio.segmentation.outline import SecondLook, outline_card
from fetalstudio.segmentation.outline_training import OutlineSettings, pretrain_outline
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.studies.log import say
from fetalstudio.studies.pretrain.learnt_from import (
    real_and_pairs,
    simulated_frames_of,
    training_data,
)
from fetalstudio.studies.pretrain.measures import by_trimester, gain_of
from fetalstudio.studies.pretrain.running import run_of
from fetalstudio.studies.pretrain.segmenter import VIEWS

_UPPER = 1.645
"""Standard errors from an estimate to its upper limit at 95 %."""


def build(
    project: Project, data: Mapping[str, list[LabelledFrame]], options: argparse.Namespace
) -> None:
    """Train, calibrate and measure the outline, and write its folder."""
    learnt, pairs = real_and_pairs(project, data, options)
    simulated = simulated_frames_of(options)
    settings = OutlineSettings(steps=options.steps, batch=options.batch, seed=options.seed)
    if options.learning_rate is not None:
        settings = replace(settings, learning_rate=options.learning_rate)
    with until_stopped() as stopped:
        net = pretrain_outline(
            [frame.loaded() for frame in (*learnt, *pairs)],
            settings,
            run_of(options, stopped),
            simulated=simulated,
        )
    card = outline_card(
        BUILT_IN,
        net.config,
        training_data={
            **training_data(learnt, asdict(settings), len(simulated), options.kind),
            "synthetic_pairs": len(pairs),
        },
    )
    segmenter = load_segmenter(find_model("segmenter", BUILT_IN))
    # Rays near each other err together, so their own uncertainty is too small. A few frames tell
    # by how much only roughly: the upper limit of that is taken.
    errors = _size_errors(SecondLook(net, card), segmenter, data["validation"])
    factors = np.sqrt(np.mean(errors**2, axis=0)) * (1 + _UPPER / np.sqrt(2 * len(errors)))
    card = replace(card, preprocessing={"views": VIEWS, "calibration": factors.round(3).tolist()})
    outline = SecondLook(net, card)
    before = [score_frame(segmenter, item) for item in data["test"]]
    after = [score_frame(segmenter, item, outline=outline) for item in data["test"]]
    metrics = {
        "protocol": "ellipses of the compact segmenter on subject-held-out frames, without a "
        "prompt, before and after; native resolution; 95 % interval over subjects",
        "before": by_trimester(before),
        "after": by_trimester(after),
        "gain": gain_of(before, after),
        "spread": {
            "calibrated_on": len(data["validation"]),
            "within_95": dict(
                zip(
                    ("hc", "bpd", "ofd"),
                    np.mean(
                        abs(_size_errors(outline, segmenter, data["test"])) < NORMAL_95, axis=0
                    ).tolist(),
                    strict=True,
                )
            ),
        },
    }
    outline.save(options.out, replace(card, metrics=metrics))
    write_training_frames(options.out, [item.id for item in learnt])
    seen = Seen().with_subjects_of((*learnt, *data["validation"]))
    write_seen_subjects(options.out, seen.subjects)
    say(str(metrics))


def _size_errors(
    outline: SecondLook, segmenter: Segmenter, items: Sequence[LabelledFrame]
) -> NDArray[np.float64]:
    """Errors of HC, BPD and OFD as shares of the size, divided by their spread: (n, 3)."""
    errors = []
    for item in items:
        first = segmenter.predict(item.image).ellipse
        found = None if first is None else outline.snap(item.image, first)
        if found is None or found.ellipse is None:
            continue
        ellipse, true, spread = found.ellipse, item.ellipse, found.spread
        ratios = (ellipse.perimeter / true.perimeter, ellipse.b / true.b, ellipse.a / true.a)
        errors.append((np.array(ratios) - 1) / (spread.hc, spread.bpd, spread.ofd))
    return np.array(errors).reshape(-1, 3)
