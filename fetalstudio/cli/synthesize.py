"""Command ``synthesize``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fetalstudio.cli.console import Console
from fetalstudio.core.errors import InputError
from fetalstudio.core.heads import HeadConstraints
from fetalstudio.engine.jobs.synthesize.request import SynthesizeRequest
from fetalstudio.formats.ellipse_table import read_ellipses
from fetalstudio.project.project import Project

COUNT = 16
"""How many pairs are made where no number is given."""

_HEADS = ("hc_mm", "hc_px", "ratio", "angle", "shift", "spread", "balance")
_OTHERS = ("cohort", "synthesizer", "steps", "guidance", "style", "background", "seed", "out")


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options other than the project.

    An option that is not given is None, which is distinct from every default.
    """
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--count", type=int, metavar="N", help="pairs like the project's own")
    which.add_argument("--ellipses", type=Path, metavar="FILE.csv", help="one pair a row")
    which.add_argument(
        "--resume", action="store_true", help="make the rest of the newest unfinished batch"
    )
    parser.add_argument("--cohort", metavar="NAME")
    parser.add_argument("--synthesizer", metavar="NAME")
    parser.add_argument("--steps", type=int, metavar="K")
    parser.add_argument("--guidance", type=float, metavar="W")
    parser.add_argument("--style", choices=["auto", "first", "second", "third", "any", "simulated"])
    parser.add_argument(
        "--background",
        choices=["made", "frame"],
        help="make the tissue around the head too, or keep that of the real frame",
    )
    parser.add_argument("--seed", type=int, metavar="S")
    parser.add_argument("--out", type=Path, metavar="DIR")
    heads = parser.add_argument_group(
        "heads", "with --count: how they differ from the cohort's; ranges are filled evenly"
    )
    for option, text in (
        ("--hc-mm", "head circumference where frames are calibrated"),
        ("--hc-px", "head circumference where they are not"),
        ("--ratio", "minor over major axis, at most 1"),
        ("--angle", "of the major axis in degrees, for instance -20 20"),
    ):
        heads.add_argument(option, type=float, nargs=2, metavar=("LOW", "HIGH"), help=text)
    heads.add_argument(
        "--shift",
        type=float,
        nargs=2,
        metavar=("X", "Y"),
        help="to the right and down, as a share of the frame",
    )
    heads.add_argument(
        "--spread", type=float, metavar="F", help="1: as the cohort; 0: all alike; at most 3"
    )
    heads.add_argument(
        "--balance",
        choices=["cohort", "trimester"],
        help="as many of each trimester as the cohort has (the default), or equally many",
    )


def run(options: argparse.Namespace, console: Console) -> None:
    """Make the pairs, which then wait to be reviewed."""
    result = console.run(_request(options))
    more = f" ({result.before} of them before)" if result.before else ""
    console.result(
        result,
        f"Made {len(result.pair_ids)} pairs{more}, {result.seconds_per_pair:.2f} s each; mean Dice "
        f"{result.mean_dice:.3f} between the ellipse and what the segmenter finds. "
        + (
            f"{result.again} of them were there already, asked for with the same seed: give "
            "another --seed for new ones."
            if result.again
            else "They wait to be reviewed."
        ),
    )


def _request(options: argparse.Namespace) -> SynthesizeRequest:
    """The job's request. Raises :class:`InputError` for options that contradict each other."""
    given = {name: getattr(options, name) for name in (*_HEADS, *_OTHERS)}
    given = {name: value for name, value in given.items() if value is not None}
    heads: dict[str, Any] = {
        name: tuple(given.pop(name)) if name not in ("spread", "balance") else given.pop(name)
        for name in _HEADS
        if name in given
    }
    if options.resume:
        if given or heads:
            names = ", ".join("--" + n.replace("_", "-") for n in (*given, *heads))
            raise InputError(f"A batch goes on by its own settings: leave out {names}.")
        return SynthesizeRequest(options.project, resume=_newest_unfinished(options.project))
    if options.ellipses is not None:
        if heads:
            raise InputError(
                "The table of --ellipses says what the heads are like: give no ranges."
            )
        if given.get("background") == "frame":
            raise InputError(
                "The ellipses of a table lie on no frame whose tissue could be kept. Ask for them "
                "without --background frame."
            )
        ellipses = read_ellipses(options.ellipses)
        return SynthesizeRequest(options.project, ellipses=ellipses, **given)
    count = COUNT if options.count is None else options.count
    return SynthesizeRequest(
        options.project,
        count=count,
        constraints=HeadConstraints(**heads) if heads else None,
        **given,
    )


def _newest_unfinished(path: Path) -> int:
    with Project.open(path) as project:
        batches = project.batches.unfinished()
    if not batches:
        raise InputError(f"{path} has no unfinished batch. Make one with --count.")
    return batches[0].id
