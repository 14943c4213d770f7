"""The models that are available, by their cards. Imports no torch, so the window may use it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fetalstudio.core.errors import UserError
from fetalstudio.formats.model_card import Kind, ModelCard
from fetalstudio.project.project import Project
from fetalstudio.resources import models_dir, user_data_dir


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model's folder and its origin."""

    name: str
    kind: Kind
    folder: Path
    origin: str
    """``built-in``, ``user`` or ``project``."""


def list_models(project: Project | None = None) -> list[FoundModel]:
    """All models that can be loaded by name: built-in, the user's, the project's."""
    found = list(models_in(models_dir(), "built-in"))
    found += models_in(user_data_dir() / "models", "user")
    if project is not None:
        for record in project.models.all():
            folder = project.path / record.path
            found.append(FoundModel(record.name, record.kind, folder, "project"))
    return found


def models_in(folder: Path, origin: str) -> Iterator[FoundModel]:
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


def _cards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/model.json"))
