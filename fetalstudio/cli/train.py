"""Command ``train``."""

from __future__ import annotations

import argparse
from typing import Any

from fetalstudio.cli.console import Console
from fetalstudio.core.errors import InputError
from fetalstudio.engine.jobs.train.request import RECIPES, TrainRequest
from fetalstudio.engine.jobs.train.resuming import can_go_on
from fetalstudio.project.project import Project


def options(parser: argparse.ArgumentParser) -> None:
    """What the command takes besides project, segmenter and cohort."""
    parser.add_argument(
        "--preset",
        choices=[*RECIPES],
        default="recommended",
        help="optimizer, prompts and the defaults of the options below; paper: as its code",
    )
    parser.add_argument("--real", type=int, metavar="N")
    parser.add_argument("--synthetic", type=int, metavar="M")
    parser.add_argument("--epochs", type=int, metavar="E")
    parser.add_argument("--batch", type=int, metavar="B")
    parser.add_argument("--learning-rate", type=float, metavar="R")
    parser.add_argument("--patience", type=int, metavar="E", help="epochs without a better Dice")
    parser.add_argument("--copies", type=int, metavar="K", help="of each frame, all but one varied")
    parser.add_argument(
        "--lora",
        type=int,
        nargs="?",
        const=4,
        default=0,
        metavar="RANK",
        help="tune the encoder too, by low-rank changes (rank 4); for a computer with a GPU",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--name", metavar="NAME")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the newest training that did not finish, by its own settings",
    )
    parser.add_argument("--adopt", action="store_true", help="use the new model from now on")


def run(options: argparse.Namespace, console: Console) -> None:
    """Train, adopt where asked to, tell the verdict."""
    result = console.run(_request(options))
    if options.adopt and result.model is not None:
        with Project.open(options.project) as project:
            project.models.adopt("segmenter", result.model)
    if result.copies_left_out:
        console.warn(
            f"Left out {result.copies_left_out} accepted pairs that are copies of training frames."
        )
    console.result(result, result.verdict)


def _request(options: argparse.Namespace) -> TrainRequest:
    if options.resume:
        fixed = (*RECIPES[options.preset], "segmenter", "cohort", "real", "synthetic", "name")
        given_too = [name for name in fixed if getattr(options, name) is not None]
        if given_too:
            names = ", ".join("--" + name.replace("_", "-") for name in given_too)
            raise InputError(f"A training goes on by its own settings: leave out {names}.")
        return TrainRequest(options.project, resume=_newest_unfinished(options))
    given: dict[str, Any] = {k: getattr(options, k) for k in RECIPES[options.preset]}
    chosen = {k: v for k, v in given.items() if v is not None}
    return TrainRequest(
        options.project,
        segmenter=options.segmenter,
        cohort=options.cohort,
        real=options.real,
        synthetic=options.synthetic,
        recipe=options.preset,
        lora=options.lora,
        seed=options.seed,
        name=options.name,
        **{**RECIPES[options.preset], **chosen},
    )


def _newest_unfinished(options: argparse.Namespace) -> int:
    with Project.open(options.project) as project:
        project.runs.fail_crashed()
        for run in project.runs.all():
            if can_go_on(project, run):
                return run.id
    raise InputError(
        f"{options.project} has no training that could go on. Start one without --resume."
    )
