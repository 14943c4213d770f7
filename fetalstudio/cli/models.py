"""Command ``models``: list, add, verify and export the models that are loaded by name."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from fetalstudio.cli.console import Console, ProblemsFoundError
from fetalstudio.core.errors import InputError
from fetalstudio.engine.models.catalogue import FoundModel, list_models, unreadable
from fetalstudio.engine.models.loading import find_model
from fetalstudio.project.project import Project

DESCRIPTION = (
    "list: the models that can be loaded by name. add PATH: a SAM or MedSAM checkpoint, or a "
    "Stable Diffusion 1.5, that lies on this machine. verify: whether their files are whole. "
    "export NAME OUT.pth: a fine-tuned SAM for other programs."
)


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = DESCRIPTION
    parser.add_argument(
        "action", choices=["list", "add", "verify", "export"], nargs="?", default="list"
    )
    parser.add_argument("what", nargs="?", metavar="PATH|NAME", help="what to add, or to export")
    parser.add_argument("out", type=Path, nargs="?", metavar="OUT", help="file to export to")
    parser.add_argument("--name", metavar="NAME", help="of the added model")
    parser.add_argument(
        "--profile",
        choices=["sam", "medsam"],
        help="how the added SAM's frames are prepared; MedSAM's weights look like vit_b's",
    )
    parser.add_argument(
        "--config", type=Path, metavar="DIR", help="Stable Diffusion: configurations"
    )
    parser.add_argument("--hugging-face", action="store_true", help="export transformers' names")
    parser.add_argument("--project", type=Path, metavar="PROJECT", help="with this project's own")


def run(options: argparse.Namespace, console: Console) -> None:
    """Do what ``action`` names."""
    actions: dict[str, Callable[[argparse.Namespace, Console], None]] = {
        "list": _list,
        "add": _add,
        "verify": _verify,
        "export": _export,
    }
    actions[options.action](options, console)


def _found(options: argparse.Namespace) -> list[FoundModel]:
    with nullcontext() if options.project is None else Project.open(options.project) as project:
        return list_models(project)


def _list(options: argparse.Namespace, console: Console) -> None:
    found = _found(options)
    for problem in unreadable():
        console.warn(problem)
    lines = [f"{m.kind:12} {m.name:24} {m.origin}" for m in found]
    console.result({"models": found}, "\n".join(lines))


def _add(options: argparse.Namespace, console: Console) -> None:
    from fetalstudio.engine.models.base_models import add_base_model
    from fetalstudio.engine.models.sam_models import add_sam, is_sam

    if options.what is None:
        raise InputError("Say which model: fetalstudio models add PATH [--name NAME].")
    path = Path(options.what)
    console.say("Reading the weights once, to know them again.")
    if is_sam(path):
        added = add_sam(path, options.name, options.profile)
        hint = (
            f"It needs a prompt until it is fine-tuned: fetalstudio evaluate PROJECT --segmenter "
            f"{added.name} --prompt box."
        )
    else:
        added = add_base_model(path, options.name, options.config)
        hint = (
            "It has never seen an ultrasound: adapt it with `fetalstudio adapt-sd PROJECT --base "
            f"{added.name}`."
        )
    console.result({"added": added}, f"Added {added.name}. {hint}")


def _verify(options: argparse.Namespace, console: Console) -> None:
    from fetalstudio.engine.models.verify import verify

    problems: list[dict[str, str | None]] = []
    for model in _found(options):
        problem = verify(model)
        console.say(f"{model.kind:12} {model.name:24} {problem or 'whole'}")
        if problem is not None:
            problems.append({"kind": model.kind, "name": model.name, "problem": problem})
    problems += [{"kind": None, "name": None, "problem": problem} for problem in unreadable()]
    report = {"problems": problems}
    if problems:
        raise ProblemsFoundError(" ".join(str(found["problem"]) for found in problems), report)
    console.result(report, "All models are whole.")


def _export(options: argparse.Namespace, console: Console) -> None:
    from fetalstudio.engine.models.sam_models import export_sam

    if options.what is None or options.out is None:
        raise InputError("Say which model and where to: fetalstudio models export NAME OUT.pth.")
    with nullcontext() if options.project is None else Project.open(options.project) as project:
        model = find_model("segmenter", options.what, project)
    if export_sam(model, options.out, hugging_face=options.hugging_face):
        console.warn(
            "Its learned tokens, by which it finds heads without a prompt, have no place there and "
            "were left out: give it a box."
        )
    console.result({"out": options.out}, f"Wrote {options.out}.")
