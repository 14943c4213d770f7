"""Command ``adapt``."""

from __future__ import annotations

import argparse

from fetalstudio.cli.console import Console
from fetalstudio.engine.jobs.adapt.request import AdaptRequest
from fetalstudio.project.project import Project


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options other than the project."""
    parser.add_argument("--cohort", metavar="NAME")
    parser.add_argument("--steps", type=int, default=500, metavar="K")
    parser.add_argument("--name", metavar="NAME", help="name of the new model")
    parser.add_argument("--synthesizer", metavar="NAME", help="synthesizer to start from")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--adopt", action="store_true", help="use the new model from now on")


def run(options: argparse.Namespace, console: Console) -> None:
    """Adapt the synthesizer, adopt the new one if asked to, and report the verdict."""
    result = console.run(
        AdaptRequest(
            options.project,
            cohort=options.cohort,
            synthesizer=options.synthesizer,
            steps=options.steps,
            name=options.name,
            seed=options.seed,
        ),
    )
    if options.adopt and result.model is not None:
        with Project.open(options.project) as project:
            project.models.adopt("synthesizer", result.model)
    console.result(result, result.verdict)
