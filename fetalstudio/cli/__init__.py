"""The command line: the window's jobs, headless. ``main`` is the program's entry point."""

from __future__ import annotations

from fetalstudio.cli.main import main

__all__ = ["main"]
