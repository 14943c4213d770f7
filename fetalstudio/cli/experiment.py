"""Command ``experiment``."""

from __future__ import annotations

import argparse

from fetalstudio.cli.console import Console
from fetalstudio.engine.jobs.experiment.request import (
    ARMS,
    BEFORE,
    ExperimentRequest,
    ExperimentResult,
)


def options(parser: argparse.ArgumentParser) -> None:
    """What the command takes besides project, segmenter and cohort."""
    parser.add_argument("--real", type=int, metavar="N", help="so many real frames; default all")
    parser.add_argument("--synthetic", type=int, metavar="M", help="so many pairs; default all")
    parser.add_argument("--seeds", type=int, default=3, metavar="K", help="repeats")
    parser.add_argument("--epochs", type=int, default=20, metavar="E")


def run(options: argparse.Namespace, console: Console) -> None:
    """Train the arms and tell what the pairs are worth. The same command goes on with one that was
    stopped."""
    result = console.run(
        ExperimentRequest(
            options.project,
            segmenter=options.segmenter,
            cohort=options.cohort,
            real=options.real,
            synthetic=options.synthetic,
            seeds=options.seeds,
            epochs=options.epochs,
        ),
    )
    for line in table(result):
        console.say(line)
    console.result(result, result.sentence)


def table(result: ExperimentResult) -> list[str]:
    """A line an arm: Dice and what the pairs add to it, with 95 % intervals."""
    added = {c.against: c.difference for c in result.comparisons}
    lines = [f"{'':30} {'steps':>6}  Dice                    with pairs, points"]
    for arm in result.arms:
        name = f"{result.segmenter} as it came" if arm.arm == BEFORE else ARMS[arm.arm]
        mean = f"{arm.dice.mean:.4f} ({arm.dice.low:.4f} to {arm.dice.high:.4f})"
        gain = ""
        if (d := added.get(arm.arm)) is not None:
            gain = f"{100 * d.mean:+.2f} ({100 * d.low:+.2f} to {100 * d.high:+.2f})"
        lines.append(f"{name:30} {arm.steps:6}  {mean}  {gain}".rstrip())
    return lines
