"""Command ``import``."""

from __future__ import annotations

import argparse
from pathlib import Path

from fetalstudio.cli.console import Console
from fetalstudio.engine.jobs.import_frames.request import ImportRequest
from fetalstudio.formats.sources import AUTO, FORMATS


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options other than the project."""
    parser.add_argument("source", type=Path, metavar="SOURCE")
    parser.add_argument("--format", choices=[AUTO, *FORMATS], default=AUTO)
    parser.add_argument("--cohort", metavar="NAME")


def run(options: argparse.Namespace, console: Console) -> None:
    """Import the source, with a warning for each file that was left out."""
    result = console.run(
        ImportRequest(options.project, options.source, options.format, options.cohort),
    )
    for problem in result.problems:
        console.warn(problem)
    console.result(
        result,
        f"Imported {result.frames} frames into cohort {result.cohort}, {result.annotated} of them "
        f"with an annotation. {result.duplicates} were already there. Warnings: "
        f"{len(result.problems)}.",
    )
