"""Combo boxes of segmenters, whose data are their names, and of what they are prompted with."""

from __future__ import annotations

from typing import cast

from PySide6.QtWidgets import QComboBox

from fetalstudio.core.errors import InputError
from fetalstudio.core.prompts import Prompt
from fetalstudio.engine.models.catalogue import list_models
from fetalstudio.project.models import BUILT_IN
from fetalstudio.project.project import Project

_USED = "segmenter_in_use"
"""Property of a box: the segmenter that was in use when it was filled."""


PROMPTS = {"own": "The model's own", "auto": "None", "box": "Box"}


def chosen_prompt(box: QComboBox) -> Prompt | None:
    """The choice in a box of :data:`PROMPTS`; None for what the model is used with."""
    chosen = box.currentData()
    return None if chosen == "own" else cast(Prompt, chosen)


def fill_segmenters(box: QComboBox, project: Project | None, *, follow: bool = False) -> None:
    """Offer the built-in segmenter, those of the project and those that the user added.

    At first the one in use is chosen; later the choice is kept. With ``follow``, a choice of the
    one in use moves to the newly adopted one.
    """
    active = project.models.active("segmenter") if project is not None else None
    used = active.name if active is not None else BUILT_IN
    chosen = box.currentData()
    if chosen is None or (follow and chosen == box.property(_USED)):
        chosen = used
    box.setProperty(_USED, used)
    box.clear()
    for name in (BUILT_IN, *_others(project)):
        box.addItem(f"{name} (in use)" if name == used else name, name)
    box.setCurrentIndex(max(0, box.findData(chosen)))


def _others(project: Project | None) -> list[str]:
    try:
        found = list_models(project)
    except InputError:
        # A damaged card must not hide the project's own; `models verify` names it.
        return [] if project is None else [m.name for m in project.models.all("segmenter")]
    # The built-in ones are compact, and one that only measures synthetic frames.
    return [m.name for m in found if m.kind == "segmenter" and m.origin != "built-in"]
