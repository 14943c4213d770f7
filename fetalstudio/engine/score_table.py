"""The figures of each frame as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from fetalstudio.core.files import write_bytes
from fetalstudio.engine.requests import FrameScore


def write_scores(path: Path, scores: Sequence[FrameScore]) -> None:
    """A CSV with a column for each field of :class:`FrameScore`; empty where it is not known.

    Raises :class:`~fetalstudio.core.errors.UserError` where it cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(FrameScore)])
    writer.writeheader()
    writer.writerows(asdict(score) for score in scores)
    write_bytes(path, text.getvalue().encode())
