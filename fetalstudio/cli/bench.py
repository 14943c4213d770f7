"""Command ``bench``."""

from __future__ import annotations

import argparse

from fetalstudio.cli.console import Console
from fetalstudio.core.errors import InputError
from fetalstudio.engine.process.threads import settle_threads


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--part", choices=["all", "synthesis", "segmentation"], default="all")
    parser.add_argument("--repeats", type=int, default=5, metavar="N")
    parser.add_argument("--without-paper", action="store_true", help="measure only our own models")


def run(options: argparse.Namespace, console: Console) -> None:
    """Measure, and print one figure per line."""
    settle_threads()  # as the jobs do, before torch is imported
    from fetalstudio.engine.bench.bench import bench

    if options.repeats < 1:
        raise InputError(f"--repeats is {options.repeats}. Give at least 1.")
    figures = bench(
        options.repeats, part=options.part, with_paper=not options.without_paper, say=console.say
    )
    lines = [f"{key:28} {value}" for key, value in figures.items()]
    console.result(figures, "\n".join(lines))
