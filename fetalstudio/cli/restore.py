"""Command ``restore``: list the backups of a project's database, and put one back."""

from __future__ import annotations

import argparse

from fetalstudio.cli.console import Console
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.words import counted
from fetalstudio.project.store.backups import Backup, all_backups, choose, restore


def options(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument(
        "--backup", type=int, metavar="N", help="put back backup N of the list, 1 for the newest"
    )


def run(options: argparse.Namespace, console: Console) -> None:
    """Without ``--backup`` list what there is; with it, put that backup back."""
    project = options.project.absolute()
    if options.backup is None:
        backups = all_backups(project)
        if not backups:
            raise InputError(f"{project} has no backups. Put back a copy of your own.")
        lines = [f"{n:3}  {b.title}, {_content(b)}" for n, b in enumerate(backups, 1)]
        found = [
            {"number": n, "path": b.path, "made_at": b.made_at.isoformat(), "note": b.note}
            for n, b in enumerate(backups, 1)
        ]
        console.result({"backups": found}, "\n".join(lines))
        return
    backup = choose(project, options.backup)
    aside = restore(project, backup)
    before = "" if aside is None else f" What it replaced is kept: {aside.path}."
    console.result(
        {"restored": backup.path, "replaced": None if aside is None else aside.path},
        f"Put back the backup of {backup.title}.{before}",
    )


def _content(backup: Backup) -> str:
    try:
        return counted(len(backup.frame_ids()), "frame")
    except UserError:
        return "damaged"
