"""Command ``import``."""

from __future__ import annotations

import argparse
from pathlib import Path

from fetalstudio.cli.console import Console
from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.import_frames.request import ImportRequest
from fetalstudio.formats.redaction import POLICIES
from fetalstudio.formats.sources import AUTO, FORMATS
from fetalstudio.project.frames import SET_SUBJECT


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options other than the project."""
    parser.add_argument("source", type=Path, metavar="SOURCE")
    parser.add_argument("--format", choices=[AUTO, *FORMATS], default=AUTO)
    parser.add_argument(
        "--cohort",
        metavar="NAME",
        help="default: the folder's name, unless that may say who a patient is",
    )
    parser.add_argument(
        "--keep-names",
        action="store_true",
        help="let the frames keep the names of their files, which exports and reports then show; "
        "by default they are called frame-00001 and so on",
    )
    parser.add_argument(
        "--keep-labels",
        action="append",
        default=[],
        metavar="LABEL",
        help="import these labels, as in a column site, although they look like names, numbers or "
        "dates",
    )
    parser.add_argument(
        "--mask-value",
        metavar="N",
        help="which value (2) or colour ('#ff0000') marks the head in masks of several structures",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--frames",
        choices=["first", "middle", "last", "all"],
        help="which frames of a file with several (default: all; of a DICOM video the middle one, "
        "with a warning)",
    )
    which.add_argument(
        "--every", type=int, metavar="N", help="every Nth frame of a file with several"
    )
    parser.add_argument(
        "--redact",
        choices=POLICIES,
        default="auto",
        help="what is blacked out of a scanner's screen: auto (default: as confirmed in the window "
        "for its layout, else all but the sector, and the text in it), confirmed (leave out "
        "layouts that nobody confirmed), text (only text that is found), none",
    )
    parser.add_argument(
        "--head-label",
        metavar="NAME",
        help="how annotation files of other programs call the head",
    )


def run(options: argparse.Namespace, console: Console) -> None:
    """Import the source, with a warning for each file that was left out."""
    request = ImportRequest(
        options.project,
        options.source,
        options.format,
        options.cohort,
        options.mask_value,
        keep_names=options.keep_names,
        keep_labels=tuple(options.keep_labels),
        frames=options.frames if options.every is None else f"every {options.every}",
        redact=options.redact,
        head_label=options.head_label,
    )
    result = console.run(request)
    for problem in result.problems:
        console.warn(problem)
    for label, likeness in result.doubtful_labels.items():
        console.warn(
            f"The labels {label!r} were left out: one of them looks like {likeness}. "
            "If they say nothing about who a patient is, import again with --keep-labels "
            f"{label}."
        )
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
    warnings = len(result.problems) + len(result.doubtful_labels)
    console.result(result, f"{text} Warnings: {warnings}.")
