"""What a command says to a person and to a script."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console as RichConsole

from fetalstudio.cli.console import Console


def test_json_is_read_on_any_console(capsys: pytest.CaptureFixture[str]) -> None:
    Console(as_json=True).result({"path": "/data/Kliniek-Łódź"}, "")
    told = capsys.readouterr().out
    assert told.isascii() and json.loads(told) == {"path": "/data/Kliniek-Łódź"}


def test_a_terminal_shows_how_much_of_a_large_file_is_read() -> None:
    console, shown = Console(as_json=False), io.StringIO()
    console.rich = RichConsole(file=shown, force_terminal=True, width=100)
    with console.reading("reading sam.pth") as progress:
        progress.advance(500_000, 1_000_000)
    assert "reading sam.pth" in shown.getvalue() and "0.5/1.0 MB" in shown.getvalue()
