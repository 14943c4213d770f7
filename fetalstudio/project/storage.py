"""What the parts of a project share: the folder, its database, its pictures and transactions."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.project.database import Database
from fetalstudio.project.pixels import Kind, Pictures, Pixels


class Storage:
    """An open project folder: rows and picture files that change together or not at all."""

    def __init__(self, path: Path, database: Database) -> None:
        self.path = path
        """The project's folder, absolute."""
        self.database = database
        self.pictures = Pictures(path / "frames")
        self.unsettled: list[str] = []
        """Ids of the pictures that the running transaction has written."""
        self._failed = False

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block's changes, or none of them: rows and picture files alike.

        May be nested. Other processes can read meanwhile but not write, so keep it short. Raises
        :class:`UserError` where another process writes for longer than 5 s or the disk is full.
        """
        outermost = not self.database.in_transaction
        try:
            with self.database.transaction():
                yield
        except BaseException:
            self._failed = True
            raise
        finally:
            if outermost:
                self._settle()

    def write_picture(self, frame_id: str, pixels: Pixels, kind: Kind) -> None:
        """Write a picture that goes again if the running transaction fails."""
        self.unsettled.append(frame_id)
        self.pictures.write(frame_id, pixels, kind)

    def next_revision(self, table: str, key: str, value: str | int) -> int:
        """The number of the next row of ``table`` whose column ``key`` is ``value``, from 1 on."""
        row = self.database.one(f"SELECT max(revision) FROM {table} WHERE {key} = ?", (value,))
        return 1 + ((row and row[0]) or 0)

    def _settle(self) -> None:
        """After a failure, remove the pictures written for rows that did not come about."""
        written, failed = self.unsettled, self._failed
        self.unsettled, self._failed = [], False
        if not (failed and written):
            return
        # Files that cannot be removed now (a busy or broken disk) are removed by recover() later.
        with contextlib.suppress(Exception), self.database.transaction():
            for frame_id in written:
                if not self.database.one("SELECT 1 FROM frames WHERE id = ?", (frame_id,)):
                    self.pictures.remove(frame_id)


def now() -> str:
    """The current time, as the database stores it."""
    return datetime.now(UTC).isoformat()


def to_json(value: Mapping[str, Any]) -> str:
    """JSON for a column; numpy scalars and paths become plain, NaN and infinity stay."""
    return json.dumps(value, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"a project cannot keep a {type(value).__name__}: {value!r}")


def ellipse_columns(ellipse: Ellipse | None, prefix: str = "") -> dict[str, float | None]:
    """The five columns of an ellipse, all NULL where there is none."""
    names = ("cx", "cy", "a", "b", "angle_deg")
    return {
        f"{prefix}{name}": None if ellipse is None else float(getattr(ellipse, name))
        for name in names
    }


def ellipse_of(row: sqlite3.Row, prefix: str = "") -> Ellipse | None:
    """The ellipse in a row's columns, or None."""
    if row[f"{prefix}cx"] is None:
        return None
    return Ellipse(*(row[f"{prefix}{name}"] for name in ("cx", "cy", "a", "b", "angle_deg")))
