"""Command ``adapt-sd``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from fetalstudio.cli.console import Console
from fetalstudio.core.errors import InputError
from fetalstudio.core.words import quoted
from fetalstudio.engine.jobs.adapt_sd.request import AdaptStableDiffusionRequest


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options other than the project."""
    parser.add_argument("--base", required=True, metavar="NAME", help="name given by `models add`")
    parser.add_argument("--mode", choices=["paper", "conditioned"], default="paper")
    parser.add_argument(
        "--steps", type=int, metavar="K", help="default 6000, as in the paper's code"
    )
    parser.add_argument("--name", metavar="NAME")
    parser.add_argument("--cohort", metavar="NAME")
    parser.add_argument("--memory", choices=["auto", "large", "medium", "small"], default="auto")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SETTING=VALUE",
        help="depart from the paper's code, for instance placement=letterbox, flip=true, rank=16",
    )


def run(options: argparse.Namespace, console: Console) -> None:
    """Adapt Stable Diffusion, and say how to use the new model."""
    result = console.run(
        AdaptStableDiffusionRequest(
            options.project,
            base=options.base,
            mode=options.mode,
            steps=options.steps,
            name=options.name,
            cohort=options.cohort,
            memory=options.memory,
            options=_settings(options.set),
        ),
    )
    console.result(
        result,
        f"Adapted {options.base} to {result.frames} frames of {result.subjects} subjects in "
        f"{result.steps} steps (loss {result.loss_first:.4f} at the beginning, "
        f"{result.loss_last:.4f} at the end). Use it: fetalstudio synthesize "
        f"{quoted(options.project)} --synthesizer {result.model}.",
    )


def _settings(pairs: list[str]) -> Mapping[str, Any]:
    """The values of ``SETTING=VALUE``, each in the type of its setting."""
    import dataclasses

    from fetalstudio.synthesis.stable_diffusion.settings import LoraSettings

    defaults = dataclasses.asdict(LoraSettings())
    result: dict[str, Any] = {}
    for pair in pairs:
        name, given, text = pair.partition("=")
        if not given or name not in defaults or name in ("mode", "steps"):
            known = ", ".join(n for n in defaults if n not in ("mode", "steps"))
            raise InputError(
                f"--set {pair} names no setting and its value. Use SETTING=VALUE with one of these "
                f"settings: {known}."
            )
        kind = type(defaults[name])
        try:
            result[name] = _truth(text) if kind is bool else kind(text)
        except ValueError as error:
            raise InputError(
                f"--set {pair}: {text!r} is not a value of {name}. Give {_VALUES[kind]}."
            ) from error
    return result


_VALUES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "one of its words",
}
"""The values that a setting of each type can have."""


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"
