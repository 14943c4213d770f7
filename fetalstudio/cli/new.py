"""Command ``new``."""

from __future__ import annotations

import argparse

from fetalstudio.cli.console import Console
from fetalstudio.project.project import Project


def options(parser: argparse.ArgumentParser) -> None:
    """The command takes nothing but the project."""


def run(options: argparse.Namespace, console: Console) -> None:
    """Make an empty project."""
    with Project.create(options.project) as project:
        console.result({"project": project.path}, f"Made the project {project.path}.")
