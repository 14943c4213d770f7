r"""Measures how far synthetic frames can be told from real ones.

    python -m fetalstudio.studies.realism PROJECT MODEL --cache DIR --out realism.json

One frame is made for each real one that the bundled models never learnt from (``--part held``), on
its sector and for its ellipse, with its position as the seed. Then the two sets are compared:

- by a small network that learns to tell them apart, from 96 px patches, from the 16 patches of a
  frame, and from whole heads at 96 px (see :mod:`.two_samples`);
- by spectra, radial and along and across the beams, and by speckle statistics at three depths;
- by the distance of their features in the segmenter's encoder;
- by copies: the most similar training frame, and what is shared with the frame's lender.

Two halves of the real frames, by subject, are compared in the same way (``real``): what a
measurement gives where there is nothing to tell. Pictures and finished parts are kept in
``--cache`` (a folder for each model's weights), so a study that is interrupted goes on. ``--card``
also writes the figures into the model's card.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import cv2
import torch

from fetalstudio.engine.cohort_split import bundled_parts, labelled_frames, of_part
from fetalstudio.engine.models.loading import load_compact
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.model_card import ModelCard
from fetalstudio.project.project import Project
from fetalstudio.studies.realism.measures import measured
from fetalstudio.studies.realism.pictures import cache_name, group_of, pictures_of, sheet
from fetalstudio.studies.realism.two_samples import Kind, TestSettings


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("project", type=Path, metavar="PROJECT")
    parser.add_argument("model", type=Path, metavar="MODEL", help="its folder")
    parser.add_argument(
        "--cache", type=Path, required=True, metavar="DIR", help="one of its own for each PROJECT"
    )
    parser.add_argument(
        "--part", choices=["held", "all"], default="held", help="all: frames of other hospitals"
    )
    parser.add_argument("--tests", nargs="*", choices=get_args(Kind), default=get_args(Kind))
    parser.add_argument(
        "--steps", type=int, default=TestSettings().steps, help="of a network; the protocol has 800"
    )
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, metavar="FILE")
    parser.add_argument(
        "--sheets", type=Path, metavar="DIR", help="write sheets of pictures by group instead"
    )
    parser.add_argument("--card", action="store_true", help="write the figures into MODEL's card")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    synthesizer = load_compact(options.model)
    with Project.open(options.project) as project:
        items = labelled_frames(project)
        if options.part == "held":
            parts = bundled_parts(items)
            items = [*of_part(items, parts, "validation"), *of_part(items, parts, "test")]
        cache = options.cache / cache_name(synthesizer)
        pictures = pictures_of(synthesizer, items, cache)
    if options.sheets is not None:
        for group in sorted({group_of(item) for item in items}):
            image = sheet(pictures, group)[..., ::-1]
            jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
            write_bytes(options.sheets / f"{group}.jpg", jpeg.tobytes())
        return
    figures = measured(
        pictures,
        options.model,
        cache,
        tests=options.tests,
        settings=TestSettings(steps=options.steps),
        name=options.part,
    )
    text = json.dumps(figures, indent=2)
    if options.out is not None:
        write_bytes(options.out, text.encode())
    if options.card:
        card = ModelCard.read(options.model)
        replace(card, metrics={**card.metrics, "realism": figures}).write(options.model)
    print(text)


if __name__ == "__main__":
    main()
