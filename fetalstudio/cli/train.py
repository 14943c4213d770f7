"""Command ``train``, and the options of all commands that train a segmenter."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import asdict, replace

from fetalstudio.cli.console import Console
from fetalstudio.core.errors import InputError
from fetalstudio.core.names import checked_model_name
from fetalstudio.core.training_settings import OPTIONS, PRESETS, RECOMMENDED, TrainingSettings
from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.train.data import select_training_data
from fetalstudio.engine.jobs.train.request import TrainRequest
from fetalstudio.engine.jobs.train.verdict import how_to_use
from fetalstudio.engine.resumable import newest_resumable
from fetalstudio.project.project import Project

_ALL = "all"
_DATA = ("segmenter", "cohort", "real", "synthetic", "prompt", "name")


def add_training_settings(
    parser: argparse.ArgumentParser, *, without: Collection[str] = ()
) -> None:
    """Add ``--preset``, and an option for each training setting that is not in ``without``."""
    parser.add_argument(
        "--preset",
        choices=[*PRESETS],
        help="recommended (default) or as in the paper's code; sets the optimizer, the prompts and "
        "the defaults of the training options",
    )
    for name, option in OPTIONS.items():
        if name in without:
            continue
        default = getattr(TrainingSettings(), name)
        bounds = f"{option.low:g} to {option.high:g}" + (f" {option.unit}" if option.unit else "")
        flag, kind, metavar = _flag(name), type(default), "N" if isinstance(default, int) else "X"
        text = f"{option.help}; {bounds}, default {default:g}"
        if option.ticked is None:
            parser.add_argument(flag, type=kind, metavar=metavar, help=text)
        else:
            text += f", {option.ticked:g} if no number is given"
            alone = kind(option.ticked)
            parser.add_argument(flag, type=kind, nargs="?", const=alone, metavar=metavar, help=text)


def chosen_settings(options: argparse.Namespace) -> TrainingSettings:
    """The preset, with the settings that were given.

    Raises :class:`InputError` for one that is out of its bounds, before anything is loaded.
    """
    preset = PRESETS[options.preset or "recommended"]
    given = {name: getattr(options, name) for name in _given(options, OPTIONS)}
    settings = replace(preset, **given)
    settings.check()
    return settings


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``train`` besides project, segmenter and cohort."""
    parser.add_argument(
        "--real", type=int, metavar="N", help="number of real frames, at most; default all"
    )
    parser.add_argument(
        "--synthetic",
        type=_pairs,
        metavar="M",
        help="number of accepted pairs, at most, or all, or recommended (default): as many as the "
        "evidence on pairs speaks for, which the command says before it trains",
    )
    parser.add_argument(
        "--prompt",
        choices=["auto", "box"],
        help="what the new model is meant to be used with, and is validated and tested with: "
        "nothing (auto) or a box; default that of the segmenter, and without the box of a SAM "
        "where it has become better so",
    )
    add_training_settings(parser)
    parser.add_argument("--name", metavar="NAME", help="name of the new model")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="resume the newest unfinished training, with its own settings",
    )
    parser.add_argument("--adopt", action="store_true", help="use the new model from now on")


def run(options: argparse.Namespace, console: Console) -> None:
    """Train, adopt the model if asked to, and print the verdict."""
    if options.lora == 0:
        console.say("--lora 0: the encoder stays as it is; only what follows it is trained.")
    request = _request(options)
    if request.resume is None and (advice := _advice(request)):
        console.say(advice)
    result = console.run(request)
    if options.adopt and result.model is not None:
        with Project.open(options.project) as project:
            project.models.adopt("segmenter", result.model)
    if result.copies_left_out:
        left_out = counted(result.copies_left_out, "accepted pair")
        console.warn(f"Left out {left_out} as copies of training frames.")
    console.result(result, f"{result.verdict} {how_to_use(asdict(result))}")


def _advice(request: TrainRequest) -> str:
    """What to expect of pairs in this training; empty without annotated frames."""
    with Project.open(request.project) as project:
        data = select_training_data(
            project,
            request.cohort,
            real=request.real,
            synthetic=request.synthetic,
            segmenter=request.segmenter,
            seed=request.settings.seed,
        )
    return "" if data.advice is None else data.advice.text


def _request(options: argparse.Namespace) -> TrainRequest:
    if options.resume:
        if given := _given(options, ("preset", *OPTIONS, *_DATA)):
            raise InputError(
                "A training is resumed with its own settings. Leave out "
                f"{', '.join(map(_flag, given))}."
            )
        return TrainRequest(options.project, resume=_newest_unfinished(options))
    if options.name is not None:
        checked_model_name(options.name)  # before torch is imported
    data = {name: getattr(options, name) for name in _DATA}
    pairs = data.pop("synthetic")
    return TrainRequest(
        options.project,
        settings=chosen_settings(options),
        synthetic=RECOMMENDED if pairs is None else None if pairs == _ALL else pairs,
        **data,
    )


def _pairs(text: str) -> int | str:
    if text in (_ALL, RECOMMENDED):
        return text
    try:
        return int(text)
    except ValueError:
        said = f"{text!r} is neither a number nor {_ALL!r} nor {RECOMMENDED!r}"
        raise argparse.ArgumentTypeError(said) from None


def _given(options: argparse.Namespace, names: Collection[str]) -> list[str]:
    """The names among ``names`` of the options that were given on the command line."""
    return [name for name in names if getattr(options, name, None) is not None]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _newest_unfinished(options: argparse.Namespace) -> int:
    with Project.open(options.project) as project:
        run = newest_resumable(project, "train")
    if run is None:
        raise InputError(
            f"{options.project} has no training that can be resumed. Start one without --resume."
        )
    return run.id
