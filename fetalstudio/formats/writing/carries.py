"""What a format can carry of a frame, and how that is said before something is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outline = Literal["exact", "polygon", "mask", "ring", "box"]
"""How a format holds an ellipse: its numbers, points on it, the pixels inside it, a drawn line, or
the upright box around it."""

Held = Literal["yes", "beside", "no"]
"""``beside``: in another file, such as a table or ``provenance.json``, which programs that know the
format alone do not read."""

PROPERTIES = ("calibration", "subject", "part", "labels", "provenance")
"""What :class:`Carries` says of a frame besides its ellipse."""


@dataclass(frozen=True, slots=True)
class Carries:
    """What of a frame comes through a format, in one direction."""

    ellipse: tuple[Outline, ...] = ()
    """Each of the ways in which the format holds it."""
    calibration: Held = "no"
    subject: Held = "no"
    part: Held = "no"
    labels: Held = "no"
    provenance: Held = "no"
    """Where the frame comes from, and how a synthetic one was made."""

    def lost(self, title: str) -> str:
        """What an export in this format changes or leaves out; empty where that is nothing.

        ``title`` is the name of the format for people, such as "COCO".
        """
        said = []
        if not self.ellipse:
            said.append(f"{title} stores no ellipses.")
        elif "exact" not in self.ellipse:
            said.append(f"{title} stores each ellipse as a {' or '.join(self.ellipse)}.")
        beside = [name for name in PROPERTIES if getattr(self, name) == "beside"]
        absent = [name for name in PROPERTIES if getattr(self, name) == "no"]
        if beside:
            said.append(f"In a separate file, which only FetalStudio reads: {', '.join(beside)}.")
        if absent:
            said.append(f"Left out: {', '.join(absent)}.")
        return " ".join(said)
