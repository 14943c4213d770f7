"""Command ``models``: list, add, adopt, verify and export the models that are loaded by name."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from fetalstudio.cli.console import Console, ProblemsFoundError
from fetalstudio.cli.outputs import output_file
from fetalstudio.core.errors import InputError
from fetalstudio.core.words import counted
from fetalstudio.engine.models.catalogue import FoundModel, list_models, unreadable
from fetalstudio.engine.models.loading import find_model
from fetalstudio.formats.model_card import ModelCard, seen_subjects
from fetalstudio.project.models import BUILT_IN, ModelKind
from fetalstudio.project.project import Project

DESCRIPTION = (
    "list: list the models that can be loaded by name. add PATH: add a SAM or MedSAM checkpoint, "
    "or a Stable Diffusion 1.5, that is on this machine. adopt NAME: use a model of the project "
    "from now on. roll-back: go back to the model that was in use before. verify: check that the "
    "models' files are complete. export NAME OUT.pth: write a fine-tuned SAM for other programs."
)


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = DESCRIPTION
    parser.add_argument(
        "action",
        choices=["list", "add", "adopt", "roll-back", "verify", "export"],
        nargs="?",
        default="list",
    )
    parser.add_argument(
        "what", nargs="?", metavar="PATH|NAME", help="model to add, adopt or export"
    )
    parser.add_argument("out", type=output_file, nargs="?", metavar="OUT", help="file to export to")
    parser.add_argument("--name", metavar="NAME", help="name of the added model")
    parser.add_argument(
        "--kind",
        choices=["segmenter", "synthesizer"],
        help="kind of the model to adopt or to roll back",
    )
    parser.add_argument(
        "--profile",
        choices=["sam", "medsam"],
        help="how frames are prepared for the added SAM; MedSAM's weights look like those of vit_b",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="DIR",
        help="folder of configurations for a Stable Diffusion .safetensors file",
    )
    parser.add_argument(
        "--hugging-face", action="store_true", help="export with transformers' key names"
    )
    parser.add_argument(
        "--project", type=Path, metavar="PROJECT", help="project whose models count too"
    )


def run(options: argparse.Namespace, console: Console) -> None:
    """Do what ``action`` names."""
    actions: dict[str, Callable[[argparse.Namespace, Console], None]] = {
        "list": _list,
        "add": _add,
        "adopt": _adopt,
        "roll-back": _roll_back,
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
        raise InputError(
            "No model was named. Name its file or folder: fetalstudio models add PATH "
            "[--name NAME]."
        )
    path = Path(options.what)
    console.say("Reading the weights once, so that changes to them are noticed later.")
    unknown: list[str] = []
    if is_sam(path):
        with console.reading(f"reading {path.name}") as progress:
            added = add_sam(path, options.name, options.profile, progress, unknown.append)
        for sentence in unknown:
            console.warn(sentence)
        if known := len(seen_subjects(added.folder)):
            console.say(
                f"The card beside {path.name} names {counted(known, 'subject')} that it saw. They "
                "are not new to it."
            )
        if left_out := ModelCard.read(added.folder).training_data["left_out"]:
            console.say(f"Left out: {left_out}.")
        hint = (
            "It is prompted with a box, which compact finds, until a training has made it better "
            "without."
        )
    else:
        with console.reading(f"reading {path.name}") as progress:
            added = add_base_model(path, options.name, options.config, progress)
        hint = (
            "It has never seen an ultrasound: adapt it with `fetalstudio adapt-sd PROJECT --base "
            f"{added.name}`."
        )
    console.result({"added": added}, f"Added {added.name}. {hint}")


def _adopt(options: argparse.Namespace, console: Console) -> None:
    project_path, kind = _of_project(options)
    if options.what is None:
        raise InputError(f"No model was named. Name the {kind}: fetalstudio models adopt NAME.")
    with Project.open(project_path) as project:
        project.models.adopt(kind, options.what)
    console.result(
        {"kind": kind, "name": options.what}, f"{options.what} is the {kind} in use from now on."
    )


def _roll_back(options: argparse.Namespace, console: Console) -> None:
    project_path, kind = _of_project(options)
    with Project.open(project_path) as project:
        active = project.models.roll_back(kind)
    name = BUILT_IN if active is None else active.name
    console.result({"kind": kind, "name": name}, f"{name} is the {kind} in use again.")


def _of_project(options: argparse.Namespace) -> tuple[Path, ModelKind]:
    """The project and the kind, without which no model can be adopted."""
    if options.project is None or options.kind is None:
        raise InputError(
            f"models {options.action} needs a project and a kind. Name them with --project PROJECT "
            "--kind segmenter or --kind synthesizer."
        )
    return options.project, options.kind


def _verify(options: argparse.Namespace, console: Console) -> None:
    from fetalstudio.engine.models.verify import verify

    problems: list[dict[str, str | None]] = []
    for model in _found(options):
        problem = verify(model)
        console.say(f"{model.kind:12} {model.name:24} {problem or 'complete'}")
        if problem is not None:
            problems.append({"kind": model.kind, "name": model.name, "problem": problem})
    problems += [{"kind": None, "name": None, "problem": problem} for problem in unreadable()]
    report = {"problems": problems}
    if problems:
        raise ProblemsFoundError(" ".join(str(found["problem"]) for found in problems), report)
    console.result(report, "All models are complete.")


def _export(options: argparse.Namespace, console: Console) -> None:
    from fetalstudio.engine.models.sam_models import export_sam

    if options.what is None or options.out is None:
        raise InputError(
            "The model or the file to write is missing. Name both: fetalstudio models export NAME "
            "OUT.pth."
        )
    with nullcontext() if options.project is None else Project.open(options.project) as project:
        model = find_model("segmenter", options.what, project)
        left_out = export_sam(
            model, options.out, hugging_face=options.hugging_face, project=project
        )
    for sentence in left_out:
        console.warn(sentence)
    console.result(
        {"out": options.out},
        f"Wrote {options.out}, and its card beside it as {options.out.name}.json.",
    )
