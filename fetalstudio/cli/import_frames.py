"""Command ``import``."""

from __future__ import annotations

import argparse
from pathlib import Path

from fetalstudio.cli.console import Console
from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.import_frames.request import ImportRequest
from fetalstudio.formats.sources import AUTO, FORMATS
from fetalstudio.project.frames import SET_SUBJECT
from fetalstudio.project.import_plan import Choices


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options other than the project."""
    parser.add_argument("source", type=Path, metavar="SOURCE")
    parser.add_argument("--format", choices=[AUTO, *FORMATS], default=AUTO)
    parser.add_argument("--cohort", metavar="NAME")
    parser.add_argument(
        "--mask-value",
        metavar="N",
        help="which value (2) or colour ('#ff0000') marks the head in masks of several structures",
    )


def run(options: argparse.Namespace, console: Console) -> None:
    """Import the source, with a warning for each file that was left out."""
    head = [] if options.mask_value is None else [("head", options.mask_value, ())]
    choices = Choices.of(head, cohort=options.cohort)
    request = ImportRequest(options.project, options.source, choices, options.format)
    result = console.run(request)
    for problem in result.problems:
        console.warn(problem)
    read = result.frames + result.duplicates
    text = (
        f"Imported {counted(result.frames, 'frame')} into cohort {result.cohort}, "
        f"{result.annotated} of them with an annotation. {result.duplicates} were already there. "
        f"{counted(read, 'frame')} of {counted(result.subjects, 'subject')}."
    )
    if result.pairs:
        text += f" {counted(result.pairs, 'synthetic pair')} came, to be reviewed."
    if read == result.subjects > 1:
        text += (
            " Each frame counts as a patient of its own. If some show the same patient, state the "
            f"subject ({SET_SUBJECT})."
        )
    console.result(result, f"{text} Warnings: {len(result.problems)}.")
