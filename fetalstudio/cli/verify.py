"""Command ``verify``."""

from __future__ import annotations

import argparse
from pathlib import Path

from fetalstudio.cli.console import Console, ProblemsFoundError, plain
from fetalstudio.core.words import counted
from fetalstudio.formats.manifest import check_manifest


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a data set that was exported")


def run(options: argparse.Namespace, console: Console) -> None:
    """Compare the files with the manifest; needs no project.

    Raises :class:`ProblemsFoundError` where they differ, so that the exit status is 1.
    """
    found = check_manifest(options.folder)
    kinds = {
        "missing": found.missing,
        "changed": found.changed,
        "added later": found.added,
        "synthetic, but no longer marked so": found.unmarked,
    }
    for kind, names in kinds.items():
        for name in names:
            console.say(f"{kind}: {name}")
    report = {"folder": options.folder, **plain(found)}
    if not found.whole:
        counts = ", ".join(f"{len(names)} {kind}" for kind, names in kinds.items() if names)
        raise ProblemsFoundError(
            f"{options.folder} is not what was exported: {counts}. Copy the data set again from "
            "where it came, or export it again.",
            report,
        )
    console.result(report, f"{options.folder} is whole: {counted(found.files, 'file')}.")
