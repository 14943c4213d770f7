"""The pairs of one setting of the study: from a synthesizer adapted on its real frames alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.heads import HeadDistribution
from fetalstudio.core.labelled import LabelledFrame, style_of
from fetalstudio.core.screening import PairFilter
from fetalstudio.engine.jobs.synthesize.ellipse_table import COLUMNS, read_ellipses
from fetalstudio.engine.models.loading import judge_model, load_segmenter
from fetalstudio.engine.quality import edge_score, pair_quality
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.images import read_image, write_png
from fetalstudio.synthesis.adapting import Halt, adapt, adapt_settings
from fetalstudio.synthesis.scene import Scene
from fetalstudio.synthesis.synthesizer import Synthesizer

FILTERS = ("edge", "judge", "none")
"""``edge``: a skull on half of the outline, which no model has to tell; ``judge``: the whole filter
of the review, whose segmenter was trained on real frames of the same training part."""
CHUNK = 4
TRIES = 2
"""Pictures for each pair that is wanted; where fewer pass, there are fewer pairs."""
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
    """Those that ``folder`` holds, or new ones, which are kept there.

    A copy of ``parent`` learns the frames and draws heads like theirs on their sectors; what passes
    the filter is kept. Interrupted, the adapting goes on where it was.
    """
    table = folder / _TABLE
    if not table.exists():
        checkpoint = folder / "adapting.pt"
        adapted = _adapted(parent, frames, checkpoint, settings, seed)
        _make(adapted, frames, folder, settings, seed)
        checkpoint.unlink(missing_ok=True)
    if len(table.read_text().splitlines()) < 2:
        return []
    rows = read_ellipses(table)
    return [LabelledFrame.of(read_image(folder / f"{row.name}.png"), row.ellipse) for row in rows]


def _adapted(
    parent: Synthesizer,
    frames: Sequence[LabelledFrame],
    checkpoint: Path,
    settings: PairSettings,
    seed: int,
) -> Synthesizer:
    if not settings.adapt_steps:
        return parent
    halts: list[Halt] = []

    def keep(halt: Halt) -> bool:
        halts.append(halt)
        return False

    # Without held-out frames to stop by: they would be further real frames.
    adapt(
        [frame.loaded() for frame in frames],
        adapt_settings(
            parent.pipeline,
            steps=settings.adapt_steps,
            batch=4,
            learning_rate=settings.adapt_rate,
            seed=seed,
            guidance=parent.card.training_data.get("settings", {}).get("guidance", 1.0),
        ),
        checkpoint,
        start=parent.pipeline,
        halts=[settings.adapt_steps],
        device=parent.pipeline.device,
        on_step=lambda step, loss: None,
        on_halt=keep,
    )
    # The fine grain is below what a segmenter's input shows: the parent's lift will do.
    return Synthesizer(halts[0].pipeline, parent.card, "unsaved", parent.lift)


def _make(
    synthesizer: Synthesizer,
    frames: Sequence[LabelledFrame],
    folder: Path,
    settings: PairSettings,
    seed: int,
) -> None:
    distribution, passes = HeadDistribution(frames), _passes(settings.filter)
    kept: list[Mapping[str, object]] = []
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
                write_png(folder / f"{name}.png", image)
                size = {"width": scene.size[0], "height": scene.size[1]}
                kept.append({"name": name, **asdict(scene.ellipse), **size})
        if len(kept) == settings.count:
            break
    write_bytes(folder / _TABLE, _csv(kept))


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


def _csv(rows: Sequence[Mapping[str, object]]) -> bytes:
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return table.getvalue().encode()
