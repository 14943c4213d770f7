r"""Compares encoders for the compact segmenter by accuracy and speed.

    python -m fetalstudio.studies.encoders PROJECT OUT --encoders built-in narrow --steps 1200

Each encoder is trained from random weights on the training part of the bundled split, with the same
seed. It then finds the heads in the validation part without a prompt, in each frame and in varied
copies of it. The folder OUT keeps a checkpoint and the figures (``NAME.json``) of each encoder, and
``encoders.md``, a table of all figures in OUT. The time is that of one view on this machine, which
should do nothing else meanwhile.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.augment import augment
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.metrics import dice
from fetalstudio.core.statistics import mean_interval
from fetalstudio.engine.cohort_split import bundled_parts, labelled_frames, of_part, some_of
from fetalstudio.formats.files import write_bytes
from fetalstudio.learning import TrainingRun, pick_device, until_stopped
from fetalstudio.project.project import Project
from fetalstudio.segmentation.compact import CompactConfig
from fetalstudio.segmentation.pretraining import VARIED, PretrainSettings, pretrain
from fetalstudio.segmentation.segmenter import Segmenter, compact_card

_BUILT_IN = CompactConfig()
ENCODERS: Mapping[str, CompactConfig] = {
    "built-in": _BUILT_IN,
    "narrow": replace(_BUILT_IN, widths=(24, 48, 96, 192)),
    "broad": replace(_BUILT_IN, widths=(48, 96, 192, 384)),
    "no-attention": replace(_BUILT_IN, attention=0),
    "more-attention": replace(_BUILT_IN, attention=6),
    "small-input": replace(_BUILT_IN, image_size=256),
}
TIMED = 10
"""The number of frames over which the median time is taken."""


def figures(
    segmenter: Segmenter, frames: Sequence[LabelledFrame], copies: int
) -> Mapping[str, Any]:
    """Mean Dice at each frame's own size, with its interval by subject, and ms per frame."""
    rng = np.random.default_rng(0)
    scores: list[float] = []
    for frame in frames:
        image, ellipse = frame.image, frame.ellipse
        seen = [augment(rng, VARIED, image, ellipse, frame.size) for _ in range(copies)]
        scores += [_score(segmenter, *pair) for pair in [(image, ellipse), *seen]]
    subjects = [frame.subject for frame in frames]
    interval = mean_interval(scores, [subject for subject in subjects for _ in range(1 + copies)])
    return {
        "n": len(scores),
        "subjects": len(set(subjects)),
        "dice": interval.mean,
        "dice_ci95": [interval.low, interval.high],
        "below_0.9": float(np.mean(np.array(scores) < 0.9)),
        "ms": _milliseconds(segmenter, [frame.image for frame in frames[:TIMED]]),
        "parameters": sum(p.numel() for p in segmenter.sam.parameters()),
    }


def table(out: Path) -> str:
    """A Markdown table of all figures in the folder ``out``, in the order of :data:`ENCODERS`."""
    lines = [
        "| encoder | channels, attention blocks, input | parameters | ms per frame | mean Dice "
        "| 95 % | below 0.9 |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, config in ENCODERS.items():
        if not (path := out / f"{name}.json").exists():
            continue
        f = json.loads(path.read_text())["figures"]
        shape = f"{', '.join(map(str, config.widths))}; {config.attention}; {config.image_size} px"
        low, high = f["dice_ci95"]
        lines.append(
            f"| {name} | {shape} | {f['parameters'] / 1e6:.1f} M | {f['ms']:.0f} | "
            f"{f['dice']:.4f} | {low:.4f} to {high:.4f} | {100 * f['below_0.9']:.1f} % |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; see the module's docstring."""
    options = _parser().parse_args(arguments)
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    try:
        with Project.open(options.project) as project:
            learnt, frames = _read(project, options.frames)
    except UserError as error:
        raise SystemExit(str(error)) from error
    settings = PretrainSettings(steps=options.steps, batch=options.batch)
    with until_stopped() as stopped:
        for name in options.encoders:
            config = ENCODERS[name]
            sam = pretrain(
                learnt,
                settings,
                TrainingRun(
                    options.out / f"{name}.pt",
                    stopped=lambda: stopped[0],
                    device=pick_device(),
                    workers=options.workers,
                ),
                config=config,
            )
            if stopped[0]:
                return
            segmenter = Segmenter(sam, compact_card(name, config))
            found = figures(segmenter, frames, options.copies)
            row = {"steps": options.steps, "batch": options.batch, "figures": found}
            write_bytes(options.out / f"{name}.json", json.dumps(row, indent=2).encode())
            write_bytes(options.out / "encoders.md", table(options.out).encode())
            print(name, json.dumps(found), flush=True)


def _score(segmenter: Segmenter, image: NDArray[np.uint8], ellipse: Ellipse) -> float:
    height, width = image.shape
    return dice(segmenter.predict(image).head, ellipse.mask((width, height)))


def _milliseconds(segmenter: Segmenter, images: Sequence[NDArray[np.uint8]]) -> float:
    times = []
    for image in images:
        started = time.perf_counter()
        segmenter.predict(image)
        times.append(time.perf_counter() - started)
    return 1000 * float(np.median(times))


def _read(project: Project, count: int | None) -> tuple[list[LabelledFrame], list[LabelledFrame]]:
    labelled = labelled_frames(project)
    parts = bundled_parts(labelled)
    learnt, held = (
        some_of(of_part(labelled, parts, part), count, np.random.default_rng(0))
        for part in ("train", "validation")
    )
    return [frame.loaded() for frame in learnt], [frame.loaded() for frame in held]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("project", type=Path, metavar="PROJECT")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--encoders", nargs="+", choices=[*ENCODERS], default=[*ENCODERS])
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--copies", type=int, default=3, help="varied copies of each frame")
    parser.add_argument("--frames", type=int, help="frames of each part, at most")
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare frames")
    parser.add_argument("--threads", type=int, help="CPU threads; default all")
    return parser


if __name__ == "__main__":
    main()
