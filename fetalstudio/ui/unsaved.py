"""Ellipses that could not be stored in the project."""

from __future__ import annotations

from pathlib import Path

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.core.words import counted
from fetalstudio.project.project import Project


class UnsavedEllipses(dict[str, Ellipse | None]):
    """The ellipses that could not be stored, as on a full disk, by frame id. They are shown on
    their frames until they are stored."""

    def check_none(self) -> None:
        """Raise :class:`UserError` if there are any, because they would be lost."""
        if self:
            raise UserError(
                f"{counted(len(self), 'ellipse')} could not be saved. Make room on the disk and "
                "confirm them in Annotate, or save a copy of the project on another disk (File "
                "menu)."
            )

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
