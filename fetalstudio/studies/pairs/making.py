"""The pairs of a draw: made once, filtered without a model, and kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.heads import HeadDistribution
from fetalstudio.core.labelled import LabelledFrame, style_of
from fetalstudio.core.screening import PairFilter
from fetalstudio.engine.quality import edge_score
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.pictures.picture_files import SYNTHETIC_NOTE, read_image, write_png
from fetalstudio.synthesis.scene import Scene
from fetalstudio.synthesis.simulated import SIMULATED
from fetalstudio.synthesis.synthesizer import Synthesizer, simulate_scenes

CHUNK = 4


@dataclass(frozen=True, slots=True)
class PairSettings:
    """How the pairs of a draw are made."""

    count: int = 300
    tries: int = 2
    """At most this many images are made for each pair. If too few pass, there are fewer pairs."""
    adapt_steps: int = 120
    adapt_batch: int = 4
    adapt_rate: float = 3e-4


def pairs_in(
    folder: Path,
    lenders: Sequence[LabelledFrame],
    settings: PairSettings,
    seed: int,
    load: Callable[[], Synthesizer] | None,
    *,
    grain: bool = True,
    skull: Callable[[Ellipse], Ellipse] = lambda ellipse: ellipse,
    stopped: Callable[[], bool] = lambda: False,
) -> list[LabelledFrame] | None:
    """The pairs in ``folder``; those that are missing are made. None if ``stopped`` first.

    Heads like those of the lenders are drawn on the lenders' sectors, with their grain unless
    ``grain`` is False. ``skull`` says where the skull of a pair with this ellipse is drawn. Images
    with a skull on at least half of the outline, which is found without a model, are kept. Every
    image that was made has a line in ``made.jsonl``. The synthesizer is loaded if images are
    missing; without one, the simulator makes them.
    """
    lines = folder / "made.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    made = _read(lines)
    most = settings.tries * settings.count
    # A chunk that was cut short is made again.
    made = made[: len(made) // CHUNK * CHUNK]
    kept = sum(ellipse is not None for ellipse in made)
    if kept < settings.count and len(made) < most:
        distribution, least = HeadDistribution(lenders), PairFilter().edge
        assert least is not None
        draw = simulate_scenes if load is None else load().generate
        style = SIMULATED if load is None else None
        while kept < settings.count and len(made) < most:
            if stopped():
                return None
            numbers = range(len(made), len(made) + CHUNK)
            labels, scenes = [], []
            for number in numbers:
                lender, ellipse = distribution.draw(number, seed)
                item = lenders[lender]
                own = style or style_of(ellipse, item.calibration)
                mm = None if item.calibration is None else item.calibration.mm_per_px_x
                labels.append(ellipse)
                head = skull(ellipse)
                scenes.append(Scene(head, item.size, own, item.image, grain=grain, mm_per_px=mm))
            images = draw(scenes, [seed * 1_000_003 + n for n in numbers])
            for number, label, scene, image in zip(numbers, labels, scenes, images, strict=True):
                passed = edge_score(image, scene.ellipse) >= least
                if passed:
                    write_png(folder / f"{number:04d}.png", image, SYNTHETIC_NOTE)
                made.append(label if passed else None)
                kept += passed
            text = "".join(f"{json.dumps(e and astuple(e))}\n" for e in made)
            write_bytes(lines, text.encode())
    chosen = [(n, e) for n, e in enumerate(made) if e is not None][: settings.count]
    return [LabelledFrame.of(read_image(folder / f"{n:04d}.png"), e) for n, e in chosen]


def _read(lines: Path) -> list[Ellipse | None]:
    if not lines.exists():
        return []
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    return [None if row is None else Ellipse(*row) for row in rows]
