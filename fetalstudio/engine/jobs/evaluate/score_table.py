"""The scores of all frames as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.jobs.evaluate.request import FrameScore
from fetalstudio.formats.tables.table_files import write_table


def write_scores(path: Path, scores: Sequence[FrameScore]) -> None:
    """Write a CSV with a column for each field of :class:`FrameScore`, empty where it is None.

    Each label has a column, each ellipse five (``reference_cx``, ..., ``found_angle_deg``).

    Raises :class:`~fetalstudio.core.errors.UserError` where it cannot be written.
    """
    rows = [_row(score) for score in scores]
    write_table(path, list(dict.fromkeys(name for row in rows for name in row)), rows)


def _row(score: FrameScore) -> dict[str, Any]:
    row = {f.name: getattr(score, f.name) for f in fields(score)}
    labels, reference, found = (row.pop(name) for name in ("labels", "reference", "found"))
    return row | labels | _columns("reference", reference) | _columns("found", found)


def _columns(prefix: str, ellipse: Ellipse | None) -> dict[str, float | None]:
    return {
        f"{prefix}_{field.name}": None if ellipse is None else getattr(ellipse, field.name)
        for field in fields(Ellipse)
    }
