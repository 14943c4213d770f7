r"""Measures what each part of the compact synthesizer contributes, by changing one at a time.

    python -m fetalstudio.studies.ablation PROJECT OUT --variants base no-distance v-prediction \
        --steps 1500 --batch 16 --workers 2
    python -m fetalstudio.studies.ablation PROJECT OUT --variants base --sampling

Each variant is trained from random weights on the training part of the bundled split, with the same
seed. It then makes ``--seeds`` images of each head in the validation part. The folder OUT keeps a
checkpoint and the figures (``NAME.json``) of each variant, and ``ablation.md``, a table of all
figures in OUT. With ``--sampling``, images that are sampled in other ways are measured too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fetalstudio.core.augment import NONE, augment
from fetalstudio.core.errors import UserError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.sector import sector_mask, tissue_mask
from fetalstudio.core.spectrum import tissue_power
from fetalstudio.core.splits import Part
from fetalstudio.core.statistics import mean_interval
from fetalstudio.engine.cohort_split import (
    bundled_parts,
    labelled_frames,
    of_part,
    some_of,
)
from fetalstudio.engine.models.loading import judge_model, load_segmenter
from fetalstudio.engine.quality import pair_quality
from fetalstudio.formats.files import write_bytes
from fetalstudio.learning import TrainingRun, pick_device, until_stopped
from fetalstudio.project.project import Project
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.simulation import simulated_frames
from fetalstudio.synthesis.bands import FACTOR
from fetalstudio.synthesis.conditions import CANVAS, STYLES, Condition
from fetalstudio.synthesis.guidance import PLAIN
from fetalstudio.synthesis.pipeline import CompactPipeline, build_scheduler
from fetalstudio.synthesis.synthesizer import Synthesizer
from fetalstudio.synthesis.training import TrainSettings, train

GUIDANCE = 2.5
"""Guidance in sampling. No variant learns guidance, so that all are sampled in the same way."""
SIMULATED = 300
"""The number of simulated frames in the variants that learn from them."""


class _PlainBlocks(CompactPipeline):
    """Space to depth: a block is represented by its sixteen pixels instead of frequency bands."""

    @staticmethod
    def to_bands(image: Tensor) -> Tensor:
        return functional.pixel_unshuffle(image, FACTOR)

    @staticmethod
    def from_bands(bands: Tensor) -> Tensor:
        return functional.pixel_shuffle(bands, FACTOR)


class _VPrediction(CompactPipeline):
    """The denoiser's input has unit variance and its output is v = c noise - s clean, where
    c² + s² = 1."""

    def velocity(self, latents: Tensor, maps: Tensor, labels: Tensor, level: Tensor) -> Tensor:
        t = level.to(latents.device).reshape(-1, 1, 1, 1)
        radius = ((1 - t).square() + t.square()).sqrt()
        c, s = (1 - t) / radius, t / radius
        scaled = latents / radius
        v = super().velocity(scaled, maps, labels, level)
        return (s - c) * scaled + (c + s) * v


def _without(*channels: int) -> type[CompactPipeline]:
    """A pipeline without some of the maps of ``conditions.condition_maps``."""

    class Without(CompactPipeline):
        def velocity(self, latents: Tensor, maps: Tensor, labels: Tensor, level: Tensor) -> Tensor:
            kept = maps.clone()
            kept[:, list(channels)] = 0
            return super().velocity(latents, kept, labels, level)

    return Without


class _WithoutStyle(CompactPipeline):
    def velocity(self, latents: Tensor, maps: Tensor, labels: Tensor, level: Tensor) -> Tensor:
        anyone = torch.full_like(labels, STYLES.index("any"))
        return super().velocity(latents, maps, anyone, level)


@dataclass(frozen=True, slots=True)
class Variant:
    """How a variant differs from the base."""

    words: str
    pipeline: type[CompactPipeline] = CompactPipeline
    settings: Mapping[str, Any] = field(default_factory=dict)
    simulated: int = 0
    started: bool = False
    """Whether it starts from the model ``--start`` instead of random weights."""


VARIANTS: Mapping[str, Variant] = {
    "base": Variant("as the built-in model is built"),
    "plain-blocks": Variant("space to depth instead of frequency bands", _PlainBlocks),
    "narrow": Variant("widths 32, 64, 96, 128", settings={"widths": (32, 64, 96, 128)}),
    "broad": Variant("widths 64, 128, 192, 256", settings={"widths": (64, 128, 192, 256)}),
    "no-distance": Variant("no signed distances", _without(1, 2)),
    "no-coordinates": Variant("no coordinates along the axes", _without(3, 4)),
    "coverage-only": Variant("neither: only the covered share of each cell", _without(1, 2, 3, 4)),
    "no-sector": Variant("no map of the sector's edge", _without(5)),
    "no-style": Variant("no trimester", _WithoutStyle),
    "v-prediction": Variant("v-prediction instead of the velocity", _VPrediction),
    "low-levels": Variant(
        "noise levels centred on 0.5", settings={"level_mean": 0.0, "level_std": 1.0}
    ),
    "equal-bands": Variant("equal weights for all bands", settings={"band_weighting": 0.0}),
    "no-average": Variant("the last step's weights, no moving average", settings={"ema": 0.0}),
    "mild-only": Variant("no wide variation", settings={"wide": 0.0}),
    "as-they-are": Variant("no variation", settings={"wide": 0.0, "augmentation": NONE}),
    "simulated-too": Variant(f"{SIMULATED} simulated frames as well", simulated=SIMULATED),
    "simulated-first": Variant("from a model of simulated frames", started=True),
}


@dataclass(frozen=True, slots=True)
class Sampling:
    """How images are sampled."""

    steps: int = 8
    guidance: float = GUIDANCE
    interval: tuple[float, float] = (0.1, 0.95)
    shift: float = 2.0


SAMPLINGS: Mapping[str, Sampling] = {
    "4 steps": Sampling(steps=4),
    "20 steps": Sampling(steps=20),
    "no guidance": Sampling(guidance=1.0),
    "guidance 1.5": Sampling(guidance=1.5),
    "guidance 4": Sampling(guidance=4.0),
    "guidance at all levels": Sampling(interval=(0.0, 1.0)),
    "guidance at levels 0.3 to 0.8": Sampling(interval=(0.3, 0.8)),
    "shift 1": Sampling(shift=1.0),
    "shift 3": Sampling(shift=3.0),
}


@dataclass(frozen=True, slots=True)
class Target:
    """A held-out head on the model's canvas."""

    frame: LabelledFrame
    """The real frame, letterboxed onto the canvas of (384, 256) px."""
    condition: Condition

    @classmethod
    def of(cls, frame: LabelledFrame) -> Target:
        """The target of a frame of any size."""
        rng = np.random.default_rng(0)  # nothing is varied
        image, ellipse = augment(rng, NONE, frame.image, frame.ellipse, CANVAS)
        laid = LabelledFrame.of(image, ellipse, id=frame.id, subject=frame.subject)
        return cls(laid, Condition(ellipse, sector_mask(image), frame.style))


def figures(
    pipeline: CompactPipeline,
    targets: Sequence[Target],
    judge: Segmenter,
    sampling: Sampling,
    seeds: int,
) -> Mapping[str, Any]:
    """The figures of a pipeline, measured on the canvas.

    These are the Dice between the ellipses that ``judge`` finds and the drawn ones, and the
    distance of the power spectrum to that of the real frames. The distance is the absolute value of
    the mean difference in log10 power, averaged over ten bands of spatial frequency, in decades.
    """
    pipeline.register_modules(scheduler=build_scheduler(sampling.shift))
    dice: list[float] = []
    decades = []
    for seed in range(seeds):
        images = pipeline(
            [target.condition for target in targets],
            [1000 * seed + i for i in range(len(targets))],
            num_inference_steps=sampling.steps,
            guidance_scale=sampling.guidance,
            guidance_interval=sampling.interval,
        )
        for image, target in zip(images, targets, strict=True):
            real = target.frame
            dice.append(pair_quality(judge, image, real.ellipse)["dice"])
            power = tissue_power([image, real.image], tissue_mask(real.image), 10)
            if power is not None:
                decades.append(np.log10(power[0] + 1e-6) - np.log10(power[1] + 1e-6))
    interval = mean_interval(dice, [target.frame.subject for target in targets] * seeds)
    return {
        "n": len(dice),
        "frames": len(targets),
        "subjects": len({target.frame.subject for target in targets}),
        "dice": interval.mean,
        "dice_ci95": [interval.low, interval.high],
        "dice_5th_percentile": float(np.percentile(dice, 5)),
        "at_least_0.95": float(np.mean(np.array(dice) >= 0.95)),
        "spectrum_decades": float(np.abs(np.mean(decades, axis=0)).mean()),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; see the module's docstring."""
    options = _parser().parse_args(arguments)
    start = None if options.start is None else Synthesizer.load(options.start).pipeline
    if start is None and any(VARIANTS[name].started for name in options.variants):
        raise SystemExit("simulated-first needs a model of simulated frames. Name it with --start.")
    try:
        with Project.open(options.project) as project:
            learnt, targets = examples_and_targets(project, options.frames)
    except UserError as error:
        raise SystemExit(str(error)) from error
    judge = load_segmenter(judge_model())
    with until_stopped() as stopped:
        for name in options.variants:
            pipeline = _trained(VARIANTS[name], learnt, start, options, name, stopped)
            if stopped[0]:
                return
            found = {"base": figures(pipeline, targets, judge, Sampling(), options.seeds)}
            if options.sampling:
                for words, sampling in SAMPLINGS.items():
                    found[words] = figures(pipeline, targets, judge, sampling, options.seeds)
            row = {"steps": options.steps, "batch": options.batch, "figures": found}
            write_bytes(options.out / f"{name}.json", json.dumps(row, indent=2).encode())
            write_bytes(options.out / "ablation.md", table(options.out).encode())
            print(name, json.dumps(found["base"]), flush=True)


HEADER = (
    "| | mean Dice | 95 % | 5th percentile | at least 0.95 | spectrum off by |",
    "| --- | --- | --- | --- | --- | --- |",
)


def table_row(words: str, found: Mapping[str, Any]) -> str:
    """A row of the table, from the result of :func:`figures`."""
    low, high = found["dice_ci95"]
    return (
        f"| {words} | {found['dice']:.4f} | {low:.4f} to {high:.4f} | "
        f"{found['dice_5th_percentile']:.3f} | {100 * found['at_least_0.95']:.1f} % | "
        f"{found['spectrum_decades']:.2f} |"
    )


def table(out: Path) -> str:
    """A Markdown table of all figures in the folder ``out``, in the order of :data:`VARIANTS`."""
    lines = [*HEADER]
    for name, variant in VARIANTS.items():
        if not (path := out / f"{name}.json").exists():
            continue
        for words, f in json.loads(path.read_text())["figures"].items():
            what = variant.words if words == "base" else f"{name}, {words}"
            lines.append(table_row(what, f))
    return "\n".join(lines) + "\n"


def examples_and_targets(
    project: Project, count: int | None = None
) -> tuple[list[LabelledFrame], list[Target]]:
    """At most ``count`` frames of the training part, and targets from as many of the validation
    part."""
    labelled = labelled_frames(project)
    parts = bundled_parts(labelled)

    def drawn(part: Part) -> Sequence[LabelledFrame]:
        return some_of(of_part(labelled, parts, part), count, np.random.default_rng(0))

    learnt = [frame.loaded() for frame in drawn("train")]
    return learnt, [Target.of(frame) for frame in drawn("validation")]


def _trained(
    variant: Variant,
    learnt: Sequence[LabelledFrame],
    start: CompactPipeline | None,
    options: argparse.Namespace,
    name: str,
    stopped: Sequence[bool],
) -> CompactPipeline:
    common: Mapping[str, Any] = {"steps": options.steps, "batch": options.batch, "guidance": PLAIN}
    simulated = simulated_frames(variant.simulated, 0, size=(480, 324))
    return train(
        [*learnt, *(frame.labelled() for frame in simulated)],
        replace(TrainSettings(), **{**common, **variant.settings}),
        TrainingRun(
            options.out / f"{name}.pt",
            stopped=lambda: stopped[0],
            device=pick_device(),
            workers=options.workers,
        ),
        start=start if variant.started else None,
        make=variant.pipeline,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("project", type=Path, metavar="PROJECT")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--variants", nargs="+", choices=[*VARIANTS], default=[*VARIANTS])
    parser.add_argument(
        "--start", type=Path, metavar="MODEL", help="model folder from which simulated-first starts"
    )
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--frames", type=int, help="frames of each part, at most")
    parser.add_argument("--seeds", type=int, default=4, help="images of each head")
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare frames")
    parser.add_argument(
        "--sampling", action="store_true", help="also measure other ways of sampling"
    )
    return parser


if __name__ == "__main__":
    main()
