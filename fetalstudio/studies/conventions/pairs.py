r"""Where the judge finds the skull in pairs that follow a cohort's convention, and in pairs that do
not, for docs/evidence/convention.md.

    python -m fetalstudio.studies.conventions.pairs PROJECT [--part validation] [--grown 0 2 4]

For each frame, the convention is measured on the frames of all other subjects (at most 30), and
one pair is made for its ellipse, with the frame's sector. ``--grown`` draws the ellipses so many
percent larger.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fetalstudio.core.convention import NO_OFFSET, Convention
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.engine.cohort_split import bundled_parts, labelled_frames, of_part, some_of
from fetalstudio.engine.followed_conventions import own_offset
from fetalstudio.engine.models.loading import (
    find_model,
    judge_model,
    load_segmenter,
    load_synthesizer,
)
from fetalstudio.project.project import Project
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.synthesis.interface import SceneSynthesizer
from fetalstudio.synthesis.scene import Scene

_MOST = 30


@dataclass(frozen=True, slots=True)
class Shown:
    """How ellipses are drawn around the skull that the judge finds in their images."""

    real: Convention | None
    plain: Convention | None
    """In pairs whose skull is on the ellipse."""
    followed: Convention | None
    """In pairs that follow the convention of the real frames."""


def shown(items: Sequence[LabelledFrame], synthesizer: SceneSynthesizer, judge: Segmenter) -> Shown:
    """Make both pairs of each frame's ellipse, and look at them and at the frames."""
    subjects = [item.subject for item in items]
    seen = [judge.predict(item.image).ellipse for item in items]
    pictures: dict[str, list[Ellipse | None]] = {"real": seen, "plain": [], "followed": []}
    for seed, item in enumerate(items):
        others = [k for k, subject in enumerate(subjects) if subject != item.subject][:_MOST]
        known = _convention([items[k] for k in others], [seen[k] for k in others])
        offset = NO_OFFSET if known is None else known.offset
        around = own_offset(synthesizer.card).apply(offset.remove(item.ellipse))
        for name, ellipse in (("plain", item.ellipse), ("followed", around)):
            scene = Scene(ellipse, item.size, item.style, item.image)
            image = synthesizer.generate([scene], [seed])[0]
            pictures[name].append(judge.predict(image).ellipse)
    return Shown(*(_convention(items, found) for found in pictures.values()))


def _convention(
    items: Sequence[LabelledFrame], found: Sequence[Ellipse | None]
) -> Convention | None:
    both = [(item, head) for item, head in zip(items, found, strict=True) if head is not None]
    pairs = [(item.ellipse, head) for item, head in both]
    return Convention.measure("the judge", pairs, [item.subject for item, _ in both])


def main() -> None:
    """Print how the ellipses of real frames and of both kinds of pairs are drawn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--part", choices=["validation", "test", "all"], default="all")
    parser.add_argument("--grown", type=float, nargs="+", default=[0.0], metavar="PERCENT")
    parser.add_argument("--frames", type=int, metavar="N", help="N frames drawn at random")
    parser.add_argument("--synthesizer", metavar="NAME")
    options = parser.parse_args()
    with Project.open(options.project) as project:
        items = labelled_frames(project)
        if options.part != "all":
            items = of_part(items, bundled_parts(items), options.part)
        items = list(some_of(items, options.frames, np.random.default_rng(0)))
        synthesizer = load_synthesizer(find_model("synthesizer", options.synthesizer, project))
        judge = load_segmenter(judge_model())
        for percent in options.grown:
            drawn = [grown(item, 1 + percent / 100) for item in items]
            found = shown(drawn, synthesizer, judge)
            print(f"grown by {percent:g} %, {len(drawn)} frames")
            for name in ("real", "plain", "followed"):
                convention = getattr(found, name)
                said = "not measured" if convention is None else convention.sentence
                print(f"  {name}: {said}", flush=True)


def grown(item: LabelledFrame, factor: float) -> LabelledFrame:
    """The frame with both axes of its ellipse multiplied by ``factor``."""
    e = item.ellipse
    return replace(item, ellipse=replace(e, a=e.a * factor, b=e.b * factor))


if __name__ == "__main__":
    main()
