"""Command ``experiment``."""

from __future__ import annotations

import argparse
import math

from fetalstudio.cli.console import Console
from fetalstudio.cli.train import add_training_settings, chosen_settings
from fetalstudio.core.statistics import FEW_REPEATS
from fetalstudio.engine.jobs.experiment.request import ExperimentRequest, ExperimentResult
from fetalstudio.engine.jobs.experiment.wording import name_of


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``experiment`` besides project, segmenter and cohort."""
    parser.add_argument(
        "--real", type=int, metavar="N", help="number of real frames, at most; default all"
    )
    parser.add_argument(
        "--synthetic", type=int, metavar="M", help="number of accepted pairs, at most; default all"
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=FEW_REPEATS,
        metavar="K",
        help="number of repeats; fewer than five claim nothing",
    )
    add_training_settings(parser, without=("copies", "patience", "seed"))


def run(options: argparse.Namespace, console: Console) -> None:
    """Train on each mix and print what the pairs are worth.

    After a cancel the same command resumes the experiment.
    """
    result = console.run(
        ExperimentRequest(
            options.project,
            segmenter=options.segmenter,
            cohort=options.cohort,
            real=options.real,
            synthetic=options.synthetic,
            seeds=options.seeds,
            settings=chosen_settings(options),
        ),
    )
    for line in table(result):
        console.say(line)
    console.say(result.evidence)
    console.result(result, result.sentence)


def table(result: ExperimentResult) -> list[str]:
    """A line for each mix: its Dice and what the pairs add to it, with 95 % intervals."""
    added = {c.against: c.difference for c in result.comparisons}
    lines = [f"{'':30} {'steps':>6}  Dice                    with pairs, points"]
    for trained in result.mixes:
        name = name_of(trained.mix, result)
        mean = f"{trained.dice.mean:.4f} ({trained.dice.low:.4f} to {trained.dice.high:.4f})"
        gain = ""
        if (d := added.get(trained.mix)) is not None:
            gain = f"{100 * d.mean:+.2f}"
            if not math.isnan(d.low):
                gain += f" ({100 * d.low:+.2f} to {100 * d.high:+.2f})"
        lines.append(f"{name:30} {trained.steps:6}  {mean}  {gain}".rstrip())
    return lines
