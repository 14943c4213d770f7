"""Ellipses that are not stored in the project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.core.words import counted
from fetalstudio.project.project import Project


class UnsavedEllipses(dict[str, Ellipse | None]):
    """The ellipses that could not be stored, as on a full disk, by frame id. They are shown on
    their frames until they are stored."""

    def __init__(self) -> None:
        super().__init__()
        self.in_reading: Callable[[], bool] = lambda: False
        """Whether a reading has an ellipse that is not stored yet."""

    def problems(self) -> list[tuple[str, str]]:
        """What is not saved, and how it can be saved."""
        found = []
        if self:
            found.append(
                (
                    f"{counted(len(self), 'ellipse')} could not be saved.",
                    "Make room on the disk and confirm them in Annotate, or save a copy of the "
                    "project on another disk (File menu).",
                )
            )
        if self.in_reading():
            found.append(
                (
                    "The ellipse of a reading is not saved.",
                    "Choose Continue reading (Readings menu) and press Enter to save it, or Del to "
                    "remove it.",
                )
            )
        return found

    def check_none(self) -> None:
        """Raise :class:`UserError` if there are any, because they would be lost."""
        if problems := self.problems():
            raise UserError(" ".join(part for problem in problems for part in problem))

    def pass_on(self, path: Path, author: str) -> None:
        """Store them as drafts in the project at ``path``, which may lack frames of them. Raises
        :class:`UserError`."""
        if not self:
            return
        with Project.open(path) as project:
            for frame in project.frames.all():
                if frame.id in self:
                    project.annotations.add(frame.id, self[frame.id], author=author, state="draft")
        self.clear()
