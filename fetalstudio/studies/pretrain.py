r"""Trains the bundled models from a project of annotated frames, and measures them.

    python -m fetalstudio.studies.pretrain segmenter PROJECT --steps 1800 \
        --checkpoint FILE --out DIR
    python -m fetalstudio.studies.pretrain synthesizer PROJECT --steps 2600 \
        --checkpoint FILE --out DIR
    python -m fetalstudio.studies.pretrain detail PROJECT --start MODEL --steps 8000 --batch 16 \
        --checkpoint FILE --out DIR
    python -m fetalstudio.studies.pretrain judge PROJECT --steps 3000 --simulated 150 \
        --checkpoint FILE --out DIR
    python -m fetalstudio.studies.pretrain outline PROJECT --steps 4300 --batch 32 \
        --simulated 300 --checkpoint FILE --out DIR

The detail stage belongs to a synthesizer: it learns what a real frame shows at its own size where
the canvases of that synthesizer show too little. DIR is a copy of MODEL with the detail stage
instead of the lift. The outline is the second look, which moves any ellipse onto the skull. The
judge is a segmenter
that learns from a quarter of the training subjects, which are left out when a synthesizer is
trained. So it knows no head that a synthetic frame may repeat.

A training that is interrupted (Ctrl-C, SIGTERM) saves its state and writes the model that it has
reached. The same command with the same checkpoint resumes it. It runs on a CPU or a GPU.

``--simulated N`` adds N simulated frames to the real ones. Each frame, simulated or real, is drawn
equally often. Train a synthesizer on simulated frames first, and then on real frames alone in a
second call with ``--start``; otherwise some of its images look simulated.

``segmenter --accepted-pairs also`` adds the project's accepted pairs to its real frames. ``only``
trains on the pairs alone, which shows what synthetic data are worth by themselves. All models are
measured on the same held-out real frames. ``--frames N`` draws N frames (or pairs) at random with
the seed; with 0, only simulated frames are left.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fetalstudio.core.biometry import NORMAL_95
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.statistics import mean_interval
from fetalstudio.engine.cohort_split import (
    bundled_parts,
    labelled,
    labelled_frames,
    of_part,
    some_of,
    without_judges,
)
from fetalstudio.engine.jobs.evaluate.evaluation import score_frame, summarise
from fetalstudio.engine.jobs.evaluate.request import EvaluateResult, FrameScore
from fetalstudio.engine.models.copy_index import write_copy_index
from fetalstudio.engine.models.loading import BUILT_IN, JUDGE, find_model, load_segmenter
from fetalstudio.engine.models.seen import Seen
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.model_card import (
    ModelCard,
    fingerprint,
    write_seen_subjects,
    write_training_frames,
)
from fetalstudio.learning import Watch, pick_device, until_stopped
from fetalstudio.project.project import Project
from fetalstudio.segmentation.compact import CompactConfig
from fetalstudio.segmentation.confidence import Confidence
from fetalstudio.segmentation.outline import SecondLook, outline_card
from fetalstudio.segmentation.outline_training import OutlineSettings, pretrain_outline
from fetalstudio.segmentation.pretraining import PretrainSettings, pretrain
from fetalstudio.segmentation.sam import Sam
from fetalstudio.segmentation.segmenter import Segmenter, compact_card
from fetalstudio.simulation import VERSION, simulated_frames
from fetalstudio.studies.calibration import (
    Level,
    as_plain,
    at_level,
    bias_of,
    calibrated_level,
    figures_with_error,
    shares_of,
)
from fetalstudio.studies.fidelity import fidelity
from fetalstudio.studies.reliability import estimates, reliability
from fetalstudio.synthesis.detail import Detail
from fetalstudio.synthesis.detail_training import (
    SIZES,
    DetailSettings,
    Material,
    canvases_of,
    material_of,
    train_detail,
)
from fetalstudio.synthesis.lift import FILE as LIFT
from fetalstudio.synthesis.synthesizer import Synthesizer
from fetalstudio.synthesis.training import TrainSettings, fit_lift, train

VIEWS = 2
"""Views of a frame over which the compact segmenter averages: the frame and its mirror image."""
BOX_SHARE = 0.3
"""See ``box_prompt.drawn_to_box``. On validation frames, this value gains with boxes whose sides
are off by up to 5 %, and loses nothing with boxes that are off by 10 %."""
_UPPER = 1.645
"""Standard errors from an estimate to its upper limit at 95 %."""
SIMULATION_SEED = 0
SIMULATED_SIZE = (480, 324)
"""px; more than the input of either model, and small enough to keep thousands in memory."""
_PARTS = {
    "segmenter": "",
    "outline": "",
    "detail": "; and a quarter of the others, from which the judge learns",
    "synthesizer": "; and a quarter of the others, from which the judge learns",
    "judge": "; and three quarters of the others, from which synthesizers learn",
}
"""What each kind of model does not learn from besides, for its card."""
SUBJECTS_ARE = "examinations of HC18; a woman may recur"
"""What a subject of the cards is: HC18's file names tell examinations apart, not women."""
CREDIT = (
    "HC18: T.L.A. van den Heuvel, D. de Bruijn, C.L. de Korte, B. van Ginneken, Automated "
    "measurement of fetal head circumference using 2D ultrasound images, Zenodo 1327317, CC BY 4.0"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kind", choices=["segmenter", "synthesizer", "detail", "outline", "judge"])
    parser.add_argument("project", type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument(
        "--learning-rate", type=float, help="peak learning rate; default that of the kind"
    )
    parser.add_argument("--threads", type=int, help="CPU threads; default all cores")
    parser.add_argument(
        "--workers", type=int, default=0, help="processes that prepare frames; for a GPU 2 to 6"
    )
    parser.add_argument(
        "--start",
        type=Path,
        help="model folder to start from (synthesizer) or to complete (detail)",
    )
    parser.add_argument(
        "--teacher", type=Path, help="model folder whose guided output is learnt (synthesizer only)"
    )
    parser.add_argument(
        "--guidance", type=float, help="guidance that the synthesizer learns to follow; 1 for none"
    )
    parser.add_argument(
        "--simulated", type=int, default=0, metavar="N", help="number of simulated frames to add"
    )
    parser.add_argument(
        "--accepted-pairs",
        choices=["also", "only"],
        help="train on accepted pairs in addition to or instead of real frames",
    )
    parser.add_argument("--frames", type=int, metavar="N", help="train on N frames drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="seed of this draw and of the training")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    options = parser.parse_args(arguments)
    if not 0 <= options.simulated <= 20_000:
        parser.error("--simulated is outside 0 to 20000 frames; more do not fit into memory")
    if options.kind == "detail" and options.start is None:
        parser.error("--start: name the synthesizer that the detail stage is for")
    if options.kind == "judge" and options.accepted_pairs:
        parser.error("--accepted-pairs: the judge of synthetic frames learns from none of them")
    if options.threads:
        torch.set_num_threads(options.threads)
    with Project.open(options.project) as project:
        frames = labelled_frames(project)
        parts = bundled_parts(frames)
        data = {part: of_part(frames, parts, part) for part in ("train", "validation", "test")}
        others, judges = without_judges(data["train"])
        learnt = {"synthesizer": others, "detail": others, "judge": judges}.get(
            options.kind, data["train"]
        )
        data["train"] = _some_of(learnt, options)
        _say(f"{ {part: len(items) for part, items in data.items()} } frames, by subject")
        if options.kind == "synthesizer":
            _synthesizer(data, options)
        elif options.kind == "detail":
            _detail(data, options)
        elif options.kind == "outline":
            _outline(project, data, options)
        else:
            _segmenter(project, data, options)


def _some_of(items: list[LabelledFrame], options: argparse.Namespace) -> list[LabelledFrame]:
    return list(some_of(items, options.frames, np.random.default_rng(options.seed)))


def _real_and_pairs(
    project: Project, data: Mapping[str, list[LabelledFrame]], options: argparse.Namespace
) -> tuple[list[LabelledFrame], list[LabelledFrame]]:
    """The real frames and the accepted pairs to learn from."""
    learnt: list[LabelledFrame] = [] if options.accepted_pairs == "only" else data["train"]
    pairs: list[LabelledFrame] = []
    if options.accepted_pairs:
        accepted = sorted(project.pairs.all(state="accepted"), key=lambda p: p.id)
        pairs = _some_of(
            [labelled(project, pair.frame, pair.ellipse) for pair in accepted], options
        )
        _say(f"{len(learnt)} real frames and {len(pairs)} accepted pairs")
    return learnt, pairs


def _segmenter(
    project: Project, data: Mapping[str, list[LabelledFrame]], options: argparse.Namespace
) -> None:
    learnt, pairs = _real_and_pairs(project, data, options)
    examples = [frame.loaded() for frame in (*learnt, *pairs)]
    simulated = list(simulated_frames(options.simulated, SIMULATION_SEED, size=SIMULATED_SIZE))
    examples += [frame.labelled() for frame in simulated]
    settings = PretrainSettings(steps=options.steps, batch=options.batch, seed=options.seed)
    if options.learning_rate is not None:
        settings = replace(settings, learning_rate=options.learning_rate)
    with until_stopped() as stopped:
        sam = pretrain(
            examples,
            settings,
            options.checkpoint,
            device=pick_device(),
            workers=options.workers,
            watch=Watch(_Log(), lambda: stopped[0]),
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
        "auto": _figures(summarise(name, scores)),
        "box": _figures(summarise(name, boxed)),
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
            **_training_data(learnt, asdict(settings), len(simulated), _PARTS[options.kind]),
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
    _say(str(metrics))


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
        _say(f"the confidence is not calibrated: {error}")
        return values, level
    return {**values, "confidence": asdict(curve)}, level


def _synthesizer(data: Mapping[str, list[LabelledFrame]], options: argparse.Namespace) -> None:
    examples = [frame.loaded() for frame in data["train"]]
    simulated = list(simulated_frames(options.simulated, SIMULATION_SEED, size=SIMULATED_SIZE))
    examples += [frame.labelled() for frame in simulated]
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
            watch=Watch(_Log(), lambda: stopped[0]),
        )
    card = ModelCard(
        name=BUILT_IN,
        kind="synthesizer",
        architecture={"type": "compact", "widths": list(settings.widths)},
        preprocessing={"canvas": [384, 256], "resize": "letterbox, centred"},
        licence="Apache-2.0",
        training_data={
            **_training_data(data["train"], asdict(settings), len(simulated), _PARTS[options.kind]),
            "started_from": None if options.start is None else fingerprint(options.start),
            "teacher": None if options.teacher is None else fingerprint(options.teacher),
        },
    )
    # Only real frames show the grain of a scanner.
    lift = fit_lift(pipeline, examples[: len(data["train"])]) if data["train"] else None
    synthesizer = Synthesizer(pipeline, card, "unsaved", lift)
    card = replace(card, metrics=fidelity(synthesizer, data["test"]))
    Synthesizer(pipeline, card, "unsaved", lift).save(options.out)
    if data["train"]:
        found = write_copy_index(data["train"], options.out)
        write_seen_subjects(options.out, Seen().with_subjects_of(data["train"]).subjects)
        _say(f"a copy is above a similarity of {found.threshold:.3f}")
    _say(str(card.metrics))


def _detail(data: Mapping[str, list[LabelledFrame]], options: argparse.Namespace) -> None:
    parent = Synthesizer.load(options.start)
    settings = DetailSettings(steps=options.steps, batch=options.batch, seed=options.seed)
    if options.learning_rate is not None:
        settings = replace(settings, learning_rate=options.learning_rate)
    kept = options.checkpoint.with_suffix(".canvases") / parent.hash[:12]
    examples = [frame.loaded() for frame in data["train"]]
    with until_stopped() as stopped:
        # Canvases take longer than the rest of the preparation, so they are kept.
        material: list[Material] = []
        for seed, example in enumerate(examples):
            if stopped[0]:
                return
            path = kept / f"{example.id}.npy"
            if not path.exists():
                stream = io.BytesIO()
                np.save(stream, canvases_of(parent.pipeline, [example], [seed])[0])
                write_bytes(path, stream.getvalue())
            material += material_of(example, np.load(path))
            if (seed + 1) % 50 == 0:
                _say(f"{seed + 1} of {len(examples)} frames prepared")
        net = train_detail(
            material,
            settings,
            options.checkpoint,
            device=pick_device(),
            watch=Watch(_Log(), lambda: stopped[0]),
        )
    detail = {
        **_training_data(data["train"], asdict(settings), 0, _PARTS["detail"]),
        "sizes": list(SIZES),
        "canvases_of": parent.hash,
    }
    card = replace(
        parent.card,
        architecture={**parent.card.architecture, "detail": {"width": settings.width}},
        training_data={**parent.card.training_data, "detail": detail},
    )
    shutil.copytree(options.start, options.out, dirs_exist_ok=True)
    (options.out / LIFT).unlink(missing_ok=True)
    synthesizer = Synthesizer(parent.pipeline, card, "unsaved", Detail(net))
    synthesizer.save(options.out)
    card = replace(card, metrics=fidelity(synthesizer, data["test"]))
    card.write(options.out)
    _say(str(card.metrics))


def _outline(
    project: Project, data: Mapping[str, list[LabelledFrame]], options: argparse.Namespace
) -> None:
    learnt, pairs = _real_and_pairs(project, data, options)
    simulated = list(simulated_frames(options.simulated, SIMULATION_SEED, size=SIMULATED_SIZE))
    settings = OutlineSettings(steps=options.steps, batch=options.batch, seed=options.seed)
    if options.learning_rate is not None:
        settings = replace(settings, learning_rate=options.learning_rate)
    with until_stopped() as stopped:
        net = pretrain_outline(
            [frame.loaded() for frame in (*learnt, *pairs)],
            settings,
            options.checkpoint,
            simulated=[frame.labelled() for frame in simulated],
            device=pick_device(),
            workers=options.workers,
            watch=Watch(_Log(), lambda: stopped[0]),
        )
    card = outline_card(
        BUILT_IN,
        net.config,
        training_data={
            **_training_data(learnt, asdict(settings), len(simulated), _PARTS[options.kind]),
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
        "before": _by_trimester(before),
        "after": _by_trimester(after),
        "gain": _gain(before, after),
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
    _say(str(metrics))


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


def _by_trimester(scores: Sequence[FrameScore]) -> Mapping[str, Any]:
    result = summarise(BUILT_IN, scores)
    return {**_figures(result), **{name: _figures(part) for name, part in result.groups.items()}}


def _gain(before: Sequence[FrameScore], after: Sequence[FrameScore]) -> Mapping[str, Any]:
    """The mean change of the Dice and of the HC error in mm, each with its interval."""
    subjects = [score.subject for score in before]
    dices = [b.dice - a.dice for a, b in zip(before, after, strict=True)]
    errors = [
        abs(b.hc_error_mm) - abs(a.hc_error_mm)
        for a, b in zip(before, after, strict=True)
        if a.hc_error_mm is not None and b.hc_error_mm is not None
    ]
    gains = {"dice": mean_interval(dices, subjects)}
    if len(errors) == len(dices):
        gains["hc_error_mm"] = mean_interval(errors, subjects)
    return {
        name: {"mean": gain.mean, "ci95": [gain.low, gain.high]} for name, gain in gains.items()
    }


class _Log:
    """Prints a line every 50 steps."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.started = time.monotonic()

    def __call__(self, step: int, loss: float) -> None:
        self.losses.append(loss)
        if len(self.losses) == 50:
            elapsed = time.monotonic() - self.started
            _say(f"step {step} loss {np.mean(self.losses):.4f} after {elapsed:.0f} s")
            self.losses.clear()


_KEPT = (
    *("n", "subjects", "dice", "iou", "hd95_px", "assd_px", "hd95_mm", "assd_mm"),
    *("hc_mae_mm", "hc_bias_mm", "hc_limits_mm", "failures", "failure_ci95", "ci95"),
)


def _figures(result: EvaluateResult) -> Mapping[str, Any]:
    return {name: getattr(result, name) for name in _KEPT}


def _training_data(
    items: Sequence[LabelledFrame], settings: Mapping[str, Any], simulated: int, part: str
) -> Mapping[str, Any]:
    drawn = {
        "frames": simulated,
        "seed": SIMULATION_SEED,
        "size": list(SIMULATED_SIZE),
        "version": VERSION,
    }
    cohorts = Counter(item.cohort for item in items)
    return {
        "cohorts": dict(cohorts),
        "frames": len(items),
        "subjects": len({item.subject for item in items}),
        "subjects_are": SUBJECTS_ARE,
        "held_out": f"20 % of the subjects to test, 5 % to validate, never seen in training{part}",
        "credit": CREDIT,
        "settings": dict(settings),
        "simulated": drawn if simulated else {"frames": 0},
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
