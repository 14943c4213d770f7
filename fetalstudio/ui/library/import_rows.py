"""The rows of an import's plan: what a person reads of each file of the source."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.formats.reading.doubts import Answers, Doubt
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.importing.plan import TEXT_KEPT, ImportPlan, PlannedFrame, open_doubts
from fetalstudio.project.importing.roles import PlannedFile


class Kind(StrEnum):
    """What the rows can be filtered by."""

    ALL = "All"
    DOUBTS = "In doubt"
    NOTES = "With a note"
    LEFT_OUT = "Left out"
    FILES = "Other files"


@dataclass(frozen=True, slots=True)
class Row:
    """A file of the source: a frame, or what may be one, or any other file."""

    key: str
    """Its path below the source, ``/`` between the parts; unique."""
    frame: PlannedFrame | None = None
    file: PlannedFile | None = None
    open: tuple[Doubt, ...] = ()
    """The doubts that are not answered."""

    def answers(self, choices: Choices) -> Answers:
        """The answers that hold for it."""
        return choices.answers(self.key, self.frame.clip if self.frame is not None else None)

    @property
    def name(self) -> str:
        """Without the folder."""
        return self.key.rpartition("/")[2]

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """All doubts, answered or not."""
        return self.frame.doubts if self.frame is not None else ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What cannot be used or looks wrong."""
        if self.frame is not None:
            unclear = self.frame.unclear
            said = ((f"It is left out. {unclear}",) if unclear else ()) + (
                (f"{TEXT_KEPT} To black it out, confirm what may be stored of it.",)
                if self.frame.text_kept
                else ()
            )
            return self.frame.notes + said
        return (self.file.note,) if self.file is not None and self.file.note else ()

    @property
    def taken_for(self) -> str:
        """What a person reads."""
        if self.frame is not None:
            return self.frame.taken_for
        return str(self.file.role) if self.file is not None else ""

    @property
    def ellipse(self) -> Ellipse | None:
        """That of a frame, in px."""
        return self.frame.ellipse if self.frame is not None else None

    @property
    def ellipse_state(self) -> str:
        """The state that its ellipse would have; ``none`` without one."""
        if self.frame is None or self.frame.ellipse is None:
            return "none"
        return "final" if self.frame.certain else "proposed"

    def is_of(self, kind: Kind) -> bool:
        """Whether a filter shows it."""
        match kind:
            case Kind.DOUBTS:
                return bool(self.doubts)
            case Kind.NOTES:
                return bool(self.notes)
            case Kind.LEFT_OUT:
                return self.frame is not None and self.frame.frame_id is None
            case Kind.FILES:
                return self.file is not None
        return True


def rows_of(plan: ImportPlan, choices: Choices) -> list[Row]:
    """A row for every file of a plan; ``choices`` may be newer than the plan's."""
    root = plan.source if plan.source.is_dir() else plan.source.parent
    rows = [Row(f.key, frame=f, open=open_doubts(f, choices)) for f in plan.frames]
    rows += [Row(_below(f.path, root), file=f) for f in plan.files]
    return rows


def picture_key(row: Row) -> str:
    """By what the picture of a row is known: the overlays go when a doubt is answered, and what is
    blacked out changes when a screen's layout is confirmed."""
    pixels = "" if row.frame is None else row.frame.frame_id or ""
    return "\n".join((row.key, pixels, *(doubt.question for doubt in row.open)))


def _below(path: Path, root: Path) -> str:
    inside = path.relative_to(root) if path.is_relative_to(root) else path
    return inside.as_posix().encode("utf-8", "replace").decode()


def below_source(message: str, source: Path | str) -> str:
    """A message with paths as they are below the folder that is imported."""
    return message.replace(f"{source}/", "").replace(f"{source}\\", "")
