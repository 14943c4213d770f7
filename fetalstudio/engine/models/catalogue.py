"""The models that are available, by their cards. Imports no torch, so the window may use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fetalstudio.core.errors import UserError
from fetalstudio.formats.model_card import CARD, Kind, ModelCard, Source
from fetalstudio.project.project import Project
from fetalstudio.resources import models_dir, user_data_dir

_ROLL_BACK: Mapping[Kind, str] = {
    "segmenter": "Train, Roll back; or fetalstudio models roll-back --project PROJECT "
    "--kind segmenter",
    "synthesizer": "fetalstudio models roll-back --project PROJECT --kind synthesizer",
}
"""How the last adoption of each kind is undone."""


Origin = Literal["built-in", "user", "project"]
"""Whose a model is: it came with the program, a user added it, or a project made it."""


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model's folder and its origin."""

    name: str
    kind: Kind
    folder: Path
    origin: Origin


def list_models(project: Project | None = None) -> list[FoundModel]:
    """All models that can be loaded by name: built-in, the user's, the project's."""
    found = list(models_in(models_dir(), "built-in"))
    found += models_in(user_data_dir() / "models", "user")
    if project is not None:
        for record in project.models.all():
            folder = project.path / record.path
            found.append(FoundModel(record.name, record.kind, folder, "project"))
    return found


def models_in(folder: Path, origin: Origin) -> Iterator[FoundModel]:
    """The models in this folder, sorted by the names of their folders; see :func:`unreadable`."""
    for path in _cards(folder):
        try:
            card = ModelCard.read(path.parent)
        except UserError:
            continue  # a damaged model must not hide the others
        yield FoundModel(card.name, card.kind, path.parent, origin)


def unreadable() -> list[str]:
    """What is wrong with each built-in or user model that cannot be listed."""
    said = []
    for folder in (models_dir(), user_data_dir() / "models"):
        for path in _cards(folder):
            try:
                ModelCard.read(path.parent)
            except UserError as error:
                said.append(str(error))
    return said


def outline_folder() -> Path:
    """The folder of the built-in second look."""
    return models_dir() / "outline-compact"


def missing_files(model: FoundModel) -> str | None:
    """What is missing of a model whose card or weights are gone, with the cure; None if nothing is.

    Whether the files are whole is for :func:`.verify.verify` to say, which reads them.
    """
    folder = model.folder
    if not (folder / CARD).is_file():
        gone = f"{folder / CARD} is missing"
    elif _has_weights(folder):
        return None
    else:
        gone = f"{folder} holds no weights"
    what = f"The {model.kind} {model.name} cannot be used: {gone}."
    if model.origin == "built-in":
        return f"{what} Install FetalStudio again."
    if model.origin == "user":
        return (
            f"{what} Delete what is left of the folder and add the model again: "
            f"fetalstudio models add PATH --name {model.name}."
        )
    return (
        f"{what} Put the folder back, choose another {model.kind} (--{model.kind} on the command "
        f"line), or go back to the one that was in use before ({_ROLL_BACK[model.kind]})."
    )


def _has_weights(folder: Path) -> bool:
    """Whether there are weights in the folder, or a note of where they are."""
    if any(folder.rglob("*.safetensors")) or Source.read(folder) is not None:
        return True
    return "weights" in ModelCard.read(folder).architecture


def _cards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/model.json"))
