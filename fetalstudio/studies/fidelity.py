r"""Measures whether heads are found where they were drawn, on the ellipses of held-out real heads.

    python -m fetalstudio.studies.fidelity PROJECT MODEL --part test --heads drawn small cut

Prints a JSON object of figures for each kind of heads. MODEL is a model's folder. The figures are
measured on the subjects of PROJECT that the bundled models never saw; with ``--part all``, which is
meant for frames of other hospitals, on all subjects. ``--steps``, ``--guidance``, ``--shift`` and
``--background`` change how the images are sampled.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine, Size, warp
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.sector import tissue_mask
from fetalstudio.core.similarity import Neighbours
from fetalstudio.core.spectrum import tissue_power
from fetalstudio.core.statistics import mean_interval, percentile_interval
from fetalstudio.engine.cohort_split import (
    bundled_parts,
    labelled_frames,
    of_part,
)
from fetalstudio.engine.followed_conventions import offset_of_synthesizer
from fetalstudio.engine.jobs.sample.request import Background
from fetalstudio.engine.models.loading import judge_model, load_compact, load_segmenter
from fetalstudio.engine.pictures import montage
from fetalstudio.engine.quality import agreement, pair_quality
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.neighbours import read_neighbours
from fetalstudio.project.project import Project
from fetalstudio.synthesis.pipeline import build_scheduler
from fetalstudio.synthesis.scene import Scene
from fetalstudio.synthesis.synthesizer import Synthesizer

PROTOCOL = (
    "Dice, at native resolution, between the ellipses of held-out real heads and those that the "
    "built-in segmenter (trained on real frames only) finds without a prompt in the images made of "
    "them; one image per ellipse, on the real frame's sector, with the ellipse's position as its "
    "seed; 95 % interval over subjects"
)


def _about(head: Ellipse, turn_deg: float, along: float, across: float | None = None) -> Affine:
    """Rotation and scaling about a head's centre.

    ``along`` and ``across`` are the factors of the major and the minor axis; ``across`` defaults to
    ``along``.
    """
    across = along if across is None else across
    return (
        Affine.translation(head.cx, head.cy)
        @ Affine.rotation(head.angle_deg + turn_deg)
        @ Affine.scaling(along, across)
        @ Affine.rotation(-head.angle_deg)
        @ Affine.translation(-head.cx, -head.cy)
    )


def _to_border(head: Ellipse, size: Size) -> Affine:
    """A shift to the nearer side, until about a quarter of the head lies beyond the border."""
    low, _, high, _ = head.box()
    reach, right = (high - low) / 2, size[0] - 1
    centre = reach - 0.5 * head.a if low < right - high else right + 0.5 * head.a - reach
    return Affine.translation(centre - head.cx, 0)


HEADS: Mapping[str, Callable[[Ellipse, Size], Affine]] = {
    "drawn": lambda head, _: Affine(),
    "small": lambda head, _: _about(head, 0, 0.5),
    "rotated": lambda head, _: _about(head, 90, 0.8),
    "elongated": lambda head, _: _about(head, 0, 1, min(0.62 * head.a / head.b, 1)),
    "cut": _to_border,
}
"""The real heads, and the transforms that make the hard cases of them."""
_WITH_SECTOR = ("cut",)
"""Kinds of heads whose sector moves with them, because no head is visible outside a sector."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the images are made; None stands for the model's default."""

    steps: int | None = None
    guidance: float | None = None
    background: Background = "made"


def fidelity(
    synthesizer: Synthesizer,
    items: Sequence[LabelledFrame],
    *,
    heads: str = "drawn",
    sampling: Sampling | None = None,
    neighbours: Neighbours | None = None,
) -> Mapping[str, Any]:
    """The figures of :data:`PROTOCOL` as plain values; ``heads`` names one of :data:`HEADS`.

    ``spectrum_decades`` says how much stronger the texture of the images is than that of the frames
    that lent the sector. It is the mean difference of the log10 radial power in the tissue, in ten
    bands from 0 to 0.5 cycles per px. ``spectrum_off_by`` is the mean absolute difference between
    an image and its own frame, over frames and bands. ``real_dice_...`` is the judge's Dice on the
    real frames, moved and scaled with their heads, which shows what the judge can find at all. With
    ``neighbours``, the figures also say how similar the images are to the model's training frames.
    """
    sampling = sampling or Sampling()
    judge = load_segmenter(judge_model())
    scores: list[float] = []
    heads_found: list[tuple[Ellipse, Ellipse | None]] = []
    real_scores: list[float] = []
    styles: list[str] = []
    similar: list[float] = []
    decades: list[NDArray[np.float64]] = []
    for seed, item in enumerate(items):
        scene, lender, moved_real = _scene(item, heads, sampling.background)
        image = synthesizer.generate(
            [scene], [seed], steps=sampling.steps, guidance=sampling.guidance
        )[0]
        found = judge.predict(image).ellipse
        scores.append(agreement(found, image, scene.ellipse)["dice"])
        heads_found.append((scene.ellipse, found))
        real_scores.append(pair_quality(judge, moved_real, scene.ellipse)["dice"])
        styles.append(scene.style)
        if (power := tissue_power([image, lender], tissue_mask(lender), 10)) is not None:
            decades.append(np.log10(power[0] + 1e-6) - np.log10(power[1] + 1e-6))
        if neighbours is not None:
            similar.append(neighbours.nearest(image, scene.ellipse).similarity)
    config = synthesizer.pipeline.config
    subjects = [item.subject for item in items]
    figures: dict[str, Any] = {
        "protocol": PROTOCOL,
        "heads": heads,
        "steps": sampling.steps or config.default_steps,
        "guidance": config.default_guidance if sampling.guidance is None else sampling.guidance,
        "background": sampling.background,
        "convention": asdict(offset_of_synthesizer(*zip(*heads_found, strict=True))),
        "n": len(scores),
        "subjects": len(set(subjects)),
        **_dice("dice", scores, styles, subjects),
        **_dice("real_dice", real_scores, styles, subjects),
        "spectrum_decades": np.round(np.mean(decades, axis=0), 3).tolist() if decades else None,
        "spectrum_off_by": float(np.abs(decades).mean()) if decades else None,
        "spectrum_frames": len(decades),
    }
    if neighbours is not None:
        figures["similarity_max"] = float(np.max(similar))
        figures["similarity_median"] = float(np.median(similar))
        figures["copies"] = int((np.array(similar) > neighbours.threshold).sum())
    return figures


def _scene(
    item: LabelledFrame, heads: str, background: Background
) -> tuple[Scene, NDArray[np.uint8], NDArray[np.uint8]]:
    """The scene, the frame that lends its sector, and the real frame moved like its head."""
    real, size = item.image, item.size
    moved = HEADS[heads](item.ellipse, size)
    ellipse, moved_real = item.ellipse.transformed(moved), warp(real, moved, size)
    lender, own = (moved_real, ellipse) if heads in _WITH_SECTOR else (real, item.ellipse)
    scene = Scene(ellipse, size, item.style, lender, own if background == "frame" else None)
    return scene, lender, moved_real


def _dice(
    name: str, scores: Sequence[float], styles: Sequence[str], subjects: Sequence[str]
) -> Mapping[str, Any]:
    interval, lowest = mean_interval(scores, subjects), percentile_interval(scores, subjects, 5)
    return {
        f"{name}_mean": interval.mean,
        f"{name}_ci95": [interval.low, interval.high],
        f"{name}_5th_percentile": lowest.mean,
        f"{name}_5th_percentile_ci95": [lowest.low, lowest.high],
        f"{name}_min": float(np.min(scores)),
        f"{name}_by_trimester": {
            style: float(np.mean([d for d, s in zip(scores, styles, strict=True) if s == style]))
            for style in sorted(set(styles))
        },
    }


def contact_sheet(synthesizer: Synthesizer, items: Sequence[LabelledFrame]) -> NDArray[np.uint8]:
    """An RGB sheet with a row for each frame.

    A row shows the real frame, the image made for its ellipse, and the same in the surroundings of
    the frame. The seeds are the positions of the frames, so that no image is hand-picked.
    """
    pictures = []
    for seed, item in enumerate(items):
        real = item.image
        scenes = [
            Scene(item.ellipse, item.size, item.style, real, own) for own in (None, item.ellipse)
        ]
        pictures += [real, *synthesizer.generate(scenes, [seed, seed])]
    return montage(pictures, columns=3, cell=(480, 324))


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("project", type=Path, metavar="PROJECT")
    parser.add_argument("model", type=Path, metavar="MODEL", help="its folder")
    parser.add_argument("--part", choices=["validation", "test", "all"], default="test")
    parser.add_argument("--heads", nargs="+", choices=[*HEADS], default=["drawn"])
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument(
        "--shift", type=float, help="shift of the noise levels; default the model's"
    )
    parser.add_argument("--background", choices=["made", "frame"], default="made")
    parser.add_argument(
        "--sheets", type=Path, metavar="DIR", help="write sheets of images by trimester instead"
    )
    options = parser.parse_args(arguments)
    synthesizer = load_compact(options.model)
    if options.shift is not None:
        synthesizer.pipeline.register_modules(scheduler=build_scheduler(options.shift))
    with Project.open(options.project) as project:
        labelled = labelled_frames(project)
        if options.sheets is not None:
            _write_sheets(synthesizer, labelled, options.sheets)
            return
        items = labelled
        if options.part != "all":
            items = of_part(labelled, bundled_parts(labelled), options.part)
        for heads in options.heads:
            figures = fidelity(
                synthesizer,
                items,
                heads=heads,
                sampling=Sampling(options.steps, options.guidance, options.background),
                neighbours=read_neighbours(options.model),
            )
            print(json.dumps({**figures, "shift": options.shift}, indent=2), flush=True)


def _write_sheets(
    synthesizer: Synthesizer, labelled: Sequence[LabelledFrame], folder: Path
) -> None:
    """Sheets of the first four annotated frames of each trimester. The project should hold frames
    that the model has not seen."""
    for style in ("first", "second", "third"):
        items = [item for item in labelled if item.style == style][:4]
        if items:
            sheet = contact_sheet(synthesizer, items)
            jpeg = cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
            write_bytes(folder / f"{style}.jpg", jpeg.tobytes())


if __name__ == "__main__":
    main()
