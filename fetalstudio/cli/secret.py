"""Command ``secret``: move the secret of a project's patient keys to another computer."""

from __future__ import annotations

import argparse
from pathlib import Path

from fetalstudio.cli.console import Console
from fetalstudio.core.errors import InputError
from fetalstudio.project.project import Project

DESCRIPTION = (
    "The keys of a project's patients are made from a secret that is in your settings and not in "
    "the project. Export it to import frames into the project on another computer. Who has the "
    "secret can find out which patient a key stands for: never pass it on with the project."
)


def options(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    parser.description = DESCRIPTION
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("export", "write the secret into a new file, outside of the project"),
        ("import", "keep the secret that was exported on another computer"),
        ("renew", "begin a new secret where the former one is lost"),
    ):
        sub = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        # SUPPRESS, or the default here would replace a --json given before the action.
        sub.add_argument(
            "--json",
            action="store_true",
            default=argparse.SUPPRESS,
            help="one JSON object as the last line",
        )
        if name == "renew":
            sub.add_argument(
                "--yes",
                action="store_true",
                help="do it: from then on frames of a known patient get another key",
            )
        else:
            sub.add_argument("file", type=Path, metavar="FILE")


def run(options: argparse.Namespace, console: Console) -> None:
    """Do what ``action`` names."""
    with Project.open(options.project) as project:
        match options.action:
            case "export":
                project.patients.export_secret(options.file)
                text = f"Wrote the secret of {project.path} to {options.file}. Keep it safe."
            case "import":
                project.patients.import_secret(options.file)
                text = f"The secret of {project.path} is now on this computer."
            case _:
                if not options.yes:
                    raise InputError(
                        "Nothing was changed. With a new secret, frames that are imported from now "
                        "on get other keys than those of before, also where they show the same "
                        "patient. Repeat the command with --yes if the former secret is lost."
                    )
                project.patients.renew_secret()
                text = f"{project.path} has a new secret."
        console.result({"project": project.path, "action": options.action}, text)
