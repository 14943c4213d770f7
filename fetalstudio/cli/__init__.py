"""The command line: the window's jobs, headless. ``main`` is the program's entry point."""

from __future__ import annotations

import sys

from fetalstudio.engine.process.signals import handling, ignore_at_the_end, interrupt

try:
    with handling(interrupt):  # loading takes a second or two
        from fetalstudio.cli.main import main
except KeyboardInterrupt:
    ignore_at_the_end()
    if "--json" in sys.argv:
        print('{"cancelled": true, "result": null}')
    raise SystemExit("Cancelled; what was saved is kept.") from None

__all__ = ["main"]
