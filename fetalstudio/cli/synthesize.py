"""Command ``synthesize``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fetalstudio.cli.console import Console
from fetalstudio.core.errors import InputError
from fetalstudio.core.heads import HeadConstraints
from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.synthesize.request import SynthesizeRequest
from fetalstudio.formats.tables.ellipse_table import read_ellipses
from fetalstudio.project.project import Project

COUNT = 16
"""The number of pairs that are made if none is given."""

_HEADS = ("hc_mm", "hc_px", "ratio", "angle", "shift", "spread", "balance")
_OTHERS = (
    *("cohort", "synthesizer", "steps", "guidance", "style", "background", "convention"),
    *("sector", "seed", "out"),
)
_FLAGS = {"convention": "--no-convention"}


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options other than the project.

    An option that is not given is None, which is distinct from every default.
    """
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--count", type=int, metavar="N", help="make N pairs like those of the cohort"
    )
    which.add_argument(
        "--ellipses", type=Path, metavar="FILE.csv", help="make one pair for each row"
    )
    which.add_argument(
        "--resume",
        action="store_true",
        help="make the remaining pairs of the newest unfinished batch",
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
    parser.add_argument(
        "--no-convention",
        dest="convention",
        action="store_false",
        default=None,
        help="show the skull on the ellipse, wherever the cohort's annotators draw it",
    )
    parser.add_argument(
        "--sector",
        choices=["lent", "made"],
        help="with --ellipses: take the sector, brightness, grain and calibration of the frame "
        "whose head is nearest (the default), or leave them to the synthesizer",
    )
    parser.add_argument("--seed", type=int, metavar="S")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for files too; again with --resume"
    )
    heads = parser.add_argument_group(
        "heads",
        "With --count: how the heads differ from those of the cohort. Ranges are filled evenly.",
    )
    for option, text in (
        ("--hc-mm", "head circumference in mm, for calibrated frames"),
        ("--hc-px", "head circumference in px, for frames without a calibration"),
        ("--ratio", "minor over major axis, at most 1"),
        ("--angle", "angle of the major axis in degrees, for instance -20 20"),
    ):
        heads.add_argument(option, type=float, nargs=2, metavar=("LOW", "HIGH"), help=text)
    heads.add_argument(
        "--shift",
        type=float,
        nargs=2,
        metavar=("X", "Y"),
        help="move the heads to the right and down, by shares of the frame",
    )
    heads.add_argument(
        "--spread", type=float, metavar="F", help="1: as in the cohort; 0: all alike; at most 3"
    )
    heads.add_argument(
        "--balance",
        choices=["cohort", "trimester"],
        help="trimesters as in the cohort (the default), or equally many of each",
    )


def run(options: argparse.Namespace, console: Console) -> None:
    """Make the pairs, which then wait to be reviewed."""
    result = console.run(_request(options, console))
    made = counted(len(result.pair_ids), "pair")
    more = f" ({result.before} of them before)" if result.before else ""
    console.result(
        result,
        f"Made {made}{more}, {result.seconds_per_pair:.2f} s each; mean Dice "
        f"{result.mean_dice:.3f} between the ellipse and what the segmenter finds. "
        + (
            f"{result.again} of them existed already, made with the same seed. Give another --seed "
            "for new ones."
            if result.again
            else "They wait to be reviewed."
        )
        + f" {result.followed}".rstrip(),
    )


def _request(options: argparse.Namespace, console: Console) -> SynthesizeRequest:
    """The job's request, with a warning for each row of a table that is left out. Raises
    :class:`InputError` for options that contradict each other."""
    given = {name: getattr(options, name) for name in (*_HEADS, *_OTHERS)}
    given = {name: value for name, value in given.items() if value is not None}
    heads: dict[str, Any] = {
        name: tuple(given.pop(name)) if name not in ("spread", "balance") else given.pop(name)
        for name in _HEADS
        if name in given
    }
    if options.resume:
        out = given.pop("out", None)
        if given or heads:
            names = ", ".join(_FLAGS.get(n, "--" + n.replace("_", "-")) for n in (*given, *heads))
            raise InputError(f"A batch is resumed with its own settings. Leave out {names}.")
        batch = _newest_unfinished(options.project)
        return SynthesizeRequest(options.project, resume=batch, out=out)
    if options.ellipses is not None:
        if heads:
            raise InputError(
                "The heads are those of the table of --ellipses. Leave out the options for heads."
            )
        if given.get("background") == "frame" and given.get("sector") == "made":
            raise InputError(
                "Without a frame's sector there is no tissue of a frame to keep. Leave out "
                "--sector made or --background frame."
            )
        table = read_ellipses(options.ellipses)
        for fault in table.faults:
            console.warn(f"{fault} No pair is made for it.")
        return SynthesizeRequest(options.project, ellipses=table.ellipses, **given)
    if "sector" in given:
        raise InputError(
            "Pairs like those of the cohort lie on its sectors. Leave out --sector, or give a "
            "table with --ellipses."
        )
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
