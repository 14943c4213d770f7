"""A combo box of cohorts; its data are their names, empty for all cohorts."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import QComboBox

from fetalstudio.engine.cohort_split import labelled_cohorts
from fetalstudio.project.project import Project

ALL_COHORTS = "All cohorts"


def fill_cohorts(box: QComboBox, cohorts: Sequence[str], *, all_: str = ALL_COHORTS) -> None:
    """Offer these cohorts, and all of them together if there are several.

    The chosen cohort stays chosen if it is still offered; the box signals a change of it alone.
    """
    kept = box.currentData()
    blocker = QSignalBlocker(box)  # an empty box is no answer
    box.clear()
    if len(cohorts) > 1:
        box.addItem(all_, "")
    for cohort in cohorts:
        box.addItem(cohort, cohort)
    box.setCurrentIndex(max(0, box.findData(kept)))
    blocker.unblock()
    if box.currentData() != kept:
        box.currentIndexChanged.emit(box.currentIndex())


def annotated_cohorts(project: Project | None) -> list[str]:
    """The cohorts with an annotated frame; an unconfirmed proposal does not count."""
    return labelled_cohorts(project) if project is not None else []


def chosen_cohort(box: QComboBox) -> str | None:
    """The chosen cohort as jobs take it; None stands for all."""
    return str(box.currentData() or "") or None
