"""Command ``propose``."""

from __future__ import annotations

import argparse

from fetalstudio.cli.console import Console
from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.propose.request import SNAP, ProposeRequest


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options other than project, segmenter and cohort."""
    parser.add_argument(
        "--prompt",
        choices=["auto", "box"],
        help="box: prompt with the box of each frame's ellipse, such as another segmenter's "
        "proposal; auto: without a prompt; default what the segmenter is used with, a box found by "
        "compact where a SAM needs one",
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="also where a proposal of this segmenter is waiting or was rejected",
    )
    parser.add_argument(
        "--no-convention",
        dest="convention",
        action="store_false",
        help="do not draw as the cohort's annotators do, but as those from whom the segmenter "
        "learnt",
    )
    parser.add_argument(
        "--snap",
        action="store_true",
        default=SNAP,
        help="move the ellipses onto the skull by a second look along them, before they follow "
        "the cohort's annotators",
    )


def run(options: argparse.Namespace, console: Console) -> None:
    """Store a proposed ellipse for each frame in which the segmenter finds a head."""
    result = console.run(
        ProposeRequest(
            options.project,
            options.segmenter,
            options.cohort,
            prompt=options.prompt,
            again=options.again,
            convention=options.convention,
            snap=options.snap,
        ),
    )
    said = [f"Proposed {counted(len(result.proposals), 'ellipse')}, to be confirmed by a person."]
    if result.without:
        said.append(f"No head was found in {counted(len(result.without), 'frame')}.")
    if result.followed:
        said.append(result.followed)
    console.result(result, " ".join(said))
