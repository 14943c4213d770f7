"""Command ``open``."""

from __future__ import annotations

import argparse

from fetalstudio.cli.console import Console


def options(parser: argparse.ArgumentParser) -> None:
    """The command takes nothing but the project."""


def run(options: argparse.Namespace, console: Console) -> None:
    """Show the project in the window, and exit with the window's status."""
    from fetalstudio.ui.app import run as open_window

    raise SystemExit(open_window(options.project))
