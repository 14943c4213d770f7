"""Makes the sample cohort that is drawn wider than the skull.

    python -m fetalstudio.studies.wide_sample PROJECT OUT

PROJECT holds HC18. Frames of examinations in the test part of the bundled split, none of which is
among the other sample frames, are halved in size, and their published ellipses are drawn so much
larger that they enclose the soft tissue, as some hospitals draw them. OUT becomes a data set in the
layout of Hugging Face, whose folders are the parts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import cv2
import numpy as np

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.splits import Part
from fetalstudio.engine.cohort_split import bundled_parts, labelled_frames, of_part
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.privacy.subjects import subject_of
from fetalstudio.project.project import Project
from fetalstudio.resources import samples_dir
from fetalstudio.studies.pairs.drawing import one_of_each

WIDER = 0.03
"""How much longer both axes are drawn than published."""
COUNTS: dict[Part, int] = {"train": 8, "validation": 4, "test": 20}
"""Annotated frames of each part, each of another examination."""
BARE = 4
"""Frames of the training part without an ellipse, so that something is left to annotate."""


def row_of(item: LabelledFrame, *, annotated: bool) -> dict[str, object]:
    """The line of a frame in ``metadata.jsonl``, for its picture of half the size."""
    row: dict[str, object] = {"file_name": f"{item.name}.png"}
    if item.calibration is not None:
        row["pixel_size_mm"] = round(2 * item.calibration.mm_per_px, 6)
    if annotated:
        e = item.ellipse
        # The centre of a pixel of half the size is between those of two of the original.
        cx, cy = ((value - 0.5) / 2 for value in (e.cx, e.cy))
        drawn = Ellipse(cx, cy, e.a * (1 + WIDER) / 2, e.b * (1 + WIDER) / 2, e.angle_deg)
        names = ("cx", "cy", "a", "b", "angle_deg")
        row |= {k: round(v, 3) for k, v in zip(names, astuple(drawn), strict=True)}
    return row


def make(items: Sequence[LabelledFrame], out: Path) -> None:
    """Write pictures and metadata, with ``items`` in the order of the parts."""
    left = iter(items)
    for part, count in COUNTS.items():
        bare = BARE if part == "train" else 0
        lines = []
        for number in range(count + bare):
            item = next(left)
            h, w = item.image.shape
            half = cv2.resize(item.image, (w // 2, h // 2), interpolation=cv2.INTER_AREA)
            png = cv2.imencode(".png", half, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]
            write_bytes(out / part / f"{item.name}.png", png.tobytes())
            lines.append(json.dumps(row_of(item, annotated=number < count)) + "\n")
        write_bytes(out / part / "metadata.jsonl", "".join(sorted(lines)).encode())


def main() -> None:
    """Entry point; see the module's docstring."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("project", type=Path, metavar="PROJECT")
    parser.add_argument("out", type=Path, metavar="OUT")
    options = parser.parse_args()
    taken = {subject_of(path.stem) for path in samples_dir().glob("*_*HC.png")}
    with Project.open(options.project) as project:
        items = labelled_frames(project, "HC18")
        free = [i for i in of_part(items, bundled_parts(items), "test") if i.subject not in taken]
        even = [item for item in free if not (item.size[0] % 2 or item.size[1] % 2)]
        count = BARE + sum(COUNTS.values())
        make(one_of_each(even, count, np.random.default_rng(0)), options.out)


if __name__ == "__main__":
    main()
