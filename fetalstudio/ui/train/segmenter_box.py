"""A box of segmenters to choose from; its data are their names."""

from __future__ import annotations

from PySide6.QtWidgets import QComboBox

from fetalstudio.core.errors import InputError
from fetalstudio.engine.models.catalogue import list_models
from fetalstudio.project.models import BUILT_IN
from fetalstudio.project.project import Project

_USED = "segmenter_in_use"
"""Property of a box: which one was in use when it was filled."""


def fill_segmenters(box: QComboBox, project: Project | None, *, follow: bool = False) -> None:
    """Offer ``compact``, the project's segmenters and those that the user added.

    At first the one in use is chosen. What is chosen stays so, but that with ``follow`` the one in
    use gives way to the one that is adopted after it.
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
        # One damaged card must not hide the project's own; `models verify` tells which it is.
        return [] if project is None else [m.name for m in project.models.all("segmenter")]
    # The built-in ones are compact and the one that only judges synthetic frames.
    return [m.name for m in found if m.kind == "segmenter" and m.origin != "built-in"]
