"""The pairs of one setting of the study: from a synthesizer adapted on its real frames alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.heads import HeadDistribution
from fetalstudio.core.labelled import LabelledFrame, style_of
from fetalstudio.core.screening import PairFilter
from fetalstudio.engine.models.loading import judge_model, load_segmenter
from fetalstudio.engine.quality import edge_score, pair_quality
from fetalstudio.formats.pictures.picture_files import SYNTHETIC_NOTE, read_image, write_png
from fetalstudio.formats.tables.ellipse_table import NamedEllipse, read_ellipses, write_ellipses
from fetalstudio.studies.adapting import adapted
from fetalstudio.synthesis.scene import Scene
from fetalstudio.synthesis.synthesizer import Synthesizer

FILTERS = ("edge", "judge", "none")
"""``edge`` requires a skull edge on half of the outline, which is found without a model. ``judge``
is the whole filter of the review, whose segmenter was trained on real frames of the same training
part. ``none`` keeps all pairs."""
CHUNK = 4
TRIES = 2
"""At most this many images are made for each pair. If too few pass, there are fewer pairs."""
_BATCH = 4
"""Frames of a step of the adapting."""
_TABLE = "pairs.csv"


@dataclass(frozen=True, slots=True)
class PairSettings:
    """How the pairs of every setting are made."""

    count: int
    adapt_steps: int
    adapt_rate: float
    filter: Literal["edge", "judge", "none"]


def pairs_for(
    parent: Synthesizer,
    frames: Sequence[LabelledFrame],
    folder: Path,
    settings: PairSettings,
    seed: int,
) -> list[LabelledFrame]:
    """The pairs in ``folder``, or new ones, which are kept there.

    A copy of ``parent`` is adapted to the frames, and makes images of similar heads on their
    sectors. The images that pass the filter are kept. An interrupted adapting is resumed.
    """
    table = folder / _TABLE
    if not table.exists():
        checkpoint = folder / "adapting.pt"
        synthesizer = parent
        if settings.adapt_steps:
            synthesizer = adapted(
                parent,
                frames,
                checkpoint,
                steps=settings.adapt_steps,
                batch=_BATCH,
                learning_rate=settings.adapt_rate,
                seed=seed,
            )
        _make(synthesizer, frames, folder, settings, seed)
        checkpoint.unlink(missing_ok=True)
    if len(table.read_text().splitlines()) < 2:
        return []
    rows = read_ellipses(table).ellipses
    return [LabelledFrame.of(read_image(folder / f"{row.name}.png"), row.ellipse) for row in rows]


def _make(
    synthesizer: Synthesizer,
    frames: Sequence[LabelledFrame],
    folder: Path,
    settings: PairSettings,
    seed: int,
) -> None:
    distribution, passes = HeadDistribution(frames), _passes(settings.filter)
    kept: list[NamedEllipse] = []
    for start in range(0, TRIES * settings.count, CHUNK):
        scenes, numbers = [], range(start, start + CHUNK)
        for number in numbers:
            lender, ellipse = distribution.draw(number, seed)
            item = frames[lender]
            style = style_of(ellipse, item.calibration)
            scenes.append(Scene(ellipse, item.size, style, item.image))
        images = synthesizer.generate(scenes, [seed * 1_000_003 + n for n in numbers])
        for number, scene, image in zip(numbers, scenes, images, strict=True):
            if len(kept) < settings.count and passes(image, scene.ellipse):
                name = f"{number:04d}"
                write_png(folder / f"{name}.png", image, SYNTHETIC_NOTE)
                kept.append(NamedEllipse(name, scene.ellipse, scene.size))
        if len(kept) == settings.count:
            break
    write_ellipses(folder / _TABLE, kept)


def _passes(name: str) -> Callable[[NDArray[np.uint8], Ellipse], bool]:
    standard = PairFilter()
    if name == "edge":
        assert standard.edge is not None
        least = standard.edge
        return lambda image, ellipse: edge_score(image, ellipse) >= least
    if name == "judge":
        judge = load_segmenter(judge_model())
        return lambda image, e: standard.verdict(pair_quality(judge, image, e), None).passed
    return lambda image, ellipse: True
