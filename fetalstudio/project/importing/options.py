"""The options of an import: what holds for the source as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fetalstudio.formats.privacy.redaction import Policy
from fetalstudio.formats.reading.doubts import Question
from fetalstudio.formats.sources import AUTO
from fetalstudio.project.importing.choices import Choices


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How a source is read, and what of it is kept."""

    format: str = AUTO
    """Of the source: ``auto`` or a name in :data:`fetalstudio.formats.sources.FORMATS`."""
    frames: str | None = None
    """Which frames of a file with several are taken, as
    :attr:`~fetalstudio.formats.reading.doubts.Question.FRAMES` has it; by default the middle one of
    a clip, and all of other files."""
    head_label: str | None = None
    """How the head is called in annotation files of other programs."""
    redact: Policy = "auto"
    """How what a scanner shows around the sector and text in it are blacked out."""
    files: tuple[Path, ...] = ()
    """DICOM files and archives: these alone are read, of a folder."""
    keep_names: bool = False
    """Whether frames keep the names of their files; otherwise they get neutral ones. Those of HC18
    always keep theirs."""
    keep_labels: tuple[str, ...] = ()
    """Labels to import although a text of theirs may say who a patient is."""

    def joined(self, choices: Choices) -> Choices:
        """The choices, with these frames of every file that has several, where nothing else is
        chosen.

        Raises :class:`~fetalstudio.core.errors.InputError` for frames that cannot be chosen.
        """
        if self.frames is None:
            return choices
        return Choices.of([(Question.FRAMES, self.frames, ())]).joined(choices)


USUAL = ImportOptions()
