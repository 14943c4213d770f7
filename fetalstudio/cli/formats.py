"""Command ``formats``."""

from __future__ import annotations

import argparse
from typing import Any

from rich.table import Table

from fetalstudio.cli.console import Console, plain
from fetalstudio.formats.exports import EXPORTS
from fetalstudio.formats.sources import FORMATS
from fetalstudio.formats.writing.carries import PROPERTIES, Carries


def options(parser: argparse.ArgumentParser) -> None:
    """It has no options of its own."""


def run(options: argparse.Namespace, console: Console) -> None:
    """List the formats by name, and what of a frame comes through each, in both directions."""
    table = Table("", "", "ellipse as", "carries", "in a file beside it", box=None, pad_edge=False)
    found: dict[str, dict[str, Any]] = {}
    for name in (*FORMATS, *(name for name in EXPORTS if name not in FORMATS)):
        read, written = FORMATS.get(name), EXPORTS.get(name)
        title = read.title if read else EXPORTS[name].title
        found[name] = {"title": title}
        table.add_row(f"[bold]{name}[/bold]", "", title)
        for direction, format in (("import", read), ("export", written)):
            found[name][direction] = None if format is None else plain(format.carries)
            if format is not None:
                table.add_row("", direction, *_cells(format.carries))
    console.rich.print(table)
    console.result({"formats": found}, "")


def _cells(carries: Carries) -> tuple[str, str, str]:
    """How the ellipse is held, what else is, and what is held in a table or ``provenance.json``."""
    held, beside = (
        ", ".join(name for name in PROPERTIES if getattr(carries, name) == how)
        for how in ("yes", "beside")
    )
    return ", ".join(carries.ellipse) or "-", held or "-", beside or "-"
