"""Command ``shareable``: take out of a project what may say who its patients are."""

from __future__ import annotations

import argparse
from pathlib import Path

from fetalstudio.cli.console import Console
from fetalstudio.core.errors import InputError
from fetalstudio.engine.jobs.shareable.request import ShareableRequest
from fetalstudio.project.exporting.sharing import plan_sharing
from fetalstudio.project.project import Project

DESCRIPTION = (
    "Gives frames neutral names and subjects keys, renames cohorts that may name a patient, leaves "
    "out labels that may, and drops paths, backups, exports, caches and checkpoints. Without --yes "
    "and --copy it only lists what would change."
)


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options other than the project."""
    parser.description = DESCRIPTION
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--copy", type=Path, metavar="FOLDER", help="write it into a new folder; PROJECT stays"
    )
    what.add_argument(
        "--yes", action="store_true", help="change PROJECT itself, which cannot be undone"
    )
    parser.add_argument(
        "--cohort",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="the new name of a cohort; OLD=OLD keeps a name that is listed as doubtful",
    )
    parser.add_argument("--keep-names", action="store_true", help="keep the names of the frames")
    parser.add_argument(
        "--keep-labels",
        action="append",
        default=[],
        metavar="LABEL",
        help="keep a label although its texts look like names, numbers or dates",
    )


def run(options: argparse.Namespace, console: Console) -> None:
    """List the changes, or make them."""
    cohorts = dict(map(_renamed, options.cohort))
    request = ShareableRequest(
        options.project, options.copy, cohorts, options.keep_names, tuple(options.keep_labels)
    )
    if options.copy is None and not options.yes:
        with Project.open(options.project) as project:
            sharing = plan_sharing(
                project,
                cohorts=cohorts,
                keep_names=request.keep_names,
                keep_labels=request.keep_labels,
            )
        said = sharing.sentences()
        console.result(
            {"changes": said},
            "\n".join(said) + "\nNothing was changed. Repeat the command with --copy FOLDER to "
            "write a shareable copy, or with --yes to change the project itself. That cannot be "
            "undone, and what is left out is deleted.",
        )
        return
    result = console.run(request)
    console.result(result, "\n".join([*result.changes, f"{result.path} can be shared."]))


def _renamed(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not equals:
        raise InputError(f"--cohort {text} does not say the new name. Write OLD=NEW.")
    return old, new
