"""The raw results of a trial: its settings, and a line for each run with every frame's figures.

Imports no torch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.formats.files import write_bytes
from fetalstudio.studies.kept import same_study
from fetalstudio.studies.pairs.plan import Design, Primary, Run

SETTINGS, RESULTS = "settings.json", "results.jsonl"
AUTO, BOX, PAPER_AUTO, PAPER_BOX = "auto native", "box native", "auto paper", "box paper"
WAYS = (AUTO, BOX, PAPER_AUTO, PAPER_BOX)
"""Prompt and protocol of a test."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A frame of the test."""

    id: str
    name: str
    subject: str
    group: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What all runs of a trial have in common; written before the first run."""

    design: Design
    primary: Primary
    project: Mapping[str, Any]
    """The frames: cohorts, numbers, and which of them are left out."""
    segmenter: Mapping[str, Any]
    """Architecture and training of the segmenters."""
    pairs: Mapping[str, Any]
    """How the pairs are made."""
    test: tuple[HeldOut, ...]

    @classmethod
    def read(cls, folder: Path) -> Settings:
        """Raises :class:`InputError` if the folder holds no trial."""
        path = folder / SETTINGS
        try:
            row = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise InputError(
                f"{folder} holds no trial ({error}). Name the folder in which one was run."
            ) from error
        row["primary"] = Primary(**row["primary"])
        return cls(**{**row, "test": tuple(HeldOut(**frame) for frame in row["test"])})

    def keep(self, folder: Path) -> None:
        """Write the settings before the first run.

        Raises :class:`InputError` if the folder has different ones: their results cannot be
        compared, and what was decided beforehand cannot change afterwards.
        """
        same_study(folder / SETTINGS, asdict(self))


@dataclass(frozen=True, slots=True)
class Figure:
    """How well the head of a frame was found."""

    dice: float
    hc_error_mm: float | None
    """HC of the found ellipse minus that of the person's; None without a pixel size."""
    found: Ellipse | None
    """None if there is no ellipse, and in the paper's protocol, which compares masks."""

    def row(self) -> list[Any]:
        """As it is stored."""
        hc = None if self.hc_error_mm is None else round(self.hc_error_mm, 3)
        found = None if self.found is None else [round(v, 2) for v in astuple(self.found)]
        return [round(self.dice, 5), hc, found]

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Figure:
        """From :meth:`row`."""
        dice, hc, found = row
        if found is None:
            return cls(dice, hc, None)
        cx, cy, a, b, angle = found
        # Rounded, an angle just below 180 degrees is 180.
        return cls(dice, hc, Ellipse(cx, cy, a, b, angle % 180))


@dataclass(frozen=True, slots=True)
class Result:
    """What a run found."""

    run: Run
    learnt: tuple[str, ...]
    """Ids of the real target and other frames whose annotation or pixels the training saw."""
    steps: int
    seconds: float
    cpu_seconds: float
    """Of the process; a resumed training counts from its last checkpoint only."""
    figures: Mapping[str, tuple[Figure | None, ...]]
    """By prompt and protocol, for the frames in the order of :attr:`Settings.test`; None for a
    frame that the run learnt from."""

    def row(self) -> dict[str, Any]:
        """As it is stored."""
        figures = {
            way: [figure and figure.row() for figure in found]
            for way, found in self.figures.items()
        }
        seconds = {"seconds": round(self.seconds, 1), "cpu_seconds": round(self.cpu_seconds, 1)}
        return {
            **asdict(self.run),
            "learnt": list(self.learnt),
            "steps": self.steps,
            **seconds,
            "figures": figures,
        }

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Result:
        """From :meth:`row`."""
        figures = {
            way: tuple(figure and Figure.of_row(figure) for figure in found)
            for way, found in row["figures"].items()
        }
        return cls(
            Run(row["arm"], row["real"], row["draw"], row["base"]),
            tuple(row["learnt"]),
            row["steps"],
            row["seconds"],
            row["cpu_seconds"],
            figures,
        )


class Results:
    """The lines of ``results.jsonl``.

    Raises :class:`InputError` for a damaged line.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RESULTS
        self.all: list[Result] = []
        text = self.path.read_text() if self.path.exists() else ""
        # A crash may have cut the last line short; its run is repeated.
        self._whole = text[: text.rfind("\n") + 1]
        self._cut = self._whole != text
        for number, line in enumerate(self._whole.splitlines(), 1):
            try:
                self.all.append(Result.of_row(json.loads(line)))
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                raise InputError(
                    f"{self.path}, line {number}, is damaged: {error}. Restore the file from a "
                    "copy, or delete the line to repeat its run."
                ) from error

    def has(self, run: Run) -> bool:
        """Whether this run is done."""
        return any(result.run == run for result in self.all)

    def add(self, result: Result) -> None:
        """Append a result. It is on the disk when this returns."""
        if self._cut:
            write_bytes(self.path, self._whole.encode())
            self._cut = False
        self.all.append(result)
        with self.path.open("a") as stream:
            stream.write(json.dumps(result.row()) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
