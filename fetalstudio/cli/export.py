"""Command ``export``."""

from __future__ import annotations

import argparse
from pathlib import Path

from fetalstudio.cli.console import Console
from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.export.request import ExportRequest
from fetalstudio.formats.exports import EXPORTS


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options other than the project."""
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--format", choices=list(EXPORTS), required=True)
    parser.add_argument("--cohort", metavar="NAME")
    parser.add_argument("--real-only", action="store_true", help="leave out the accepted pairs")
    parser.add_argument(
        "--include-copies",
        action="store_true",
        help="export also accepted pairs that are copies of training frames",
    )
    parser.add_argument(
        "--with-real-pixels",
        action="store_true",
        help="export also accepted pairs that show a part of a real frame",
    )


def run(options: argparse.Namespace, console: Console) -> None:
    """Write the files, with a warning before it for what the format cannot carry, and one after it
    for whatever was left out."""
    lost = EXPORTS[options.format].lost
    if lost:
        console.warn(lost)
    result = console.run(
        ExportRequest(
            options.project,
            options.out,
            options.format,
            options.cohort,
            synthetic=not options.real_only,
            copies=options.include_copies,
            real_pixels=options.with_real_pixels,
        ),
    )
    if result.copies_left_out:
        console.warn(
            f"Left out {counted(result.copies_left_out, 'accepted pair')} as copies of training "
            "frames; --include-copies writes them too."
        )
    if result.real_pixels_left_out:
        console.warn(
            f"Left out {counted(result.real_pixels_left_out, 'accepted pair')} with pixels of a "
            "real frame; --with-real-pixels writes them too."
        )
    for problem in result.problems:
        console.warn(problem)
    frames, pairs = counted(result.frames, "frame"), counted(result.pairs, "pair")
    console.result(result, f"Wrote {frames} and {pairs} to {result.out}.")
