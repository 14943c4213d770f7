"""What the parts of a project share: the folder, its database, its pictures and transactions."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.project.store.backups import put_back
from fetalstudio.project.store.database import Database
from fetalstudio.project.store.pixels import Pictures, Pixels
from fetalstudio.project.store.rows import DAMAGE, ellipse_names

Record = TypeVar("Record")

log = logging.getLogger(__name__)

_MOST_REVISIONS = 2**62
_NAMED_BY: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "frames": ("frame", ("name", "id")),
    "calibrations": ("calibration of frame", ("name", "id")),
    "labels": ("label", ("name", "frame_id")),
    "frame_revisions": ("amendment of frame", ("name", "revision", "frame_id")),
    "amendments": ("amendment", ("id",)),
    "annotations": ("ellipse on frame", ("frame_id", "revision")),
    "pairs": ("pair", ("id",)),
    "reviews": ("review of pair", ("id",)),
    "batches": ("batch", ("id",)),
    "batch_items": ("item of batch", ("batch_id", "number")),
    "batch_pairs": ("pair of batch", ("batch_id", "number")),
    "runs": ("run", ("name", "id")),
    "run_history": ("history of run", ("run_id", "entry")),
    "models": ("model", ("name",)),
    "adoptions": ("adoption of model", ("name", "id")),
    "parts": ("part of subject", ("subject",)),
    "readings": ("reading of frame", ("frame_id", "id")),
    "reading_sessions": ("reading session", ("id",)),
    "reading_items": ("item of reading session", ("session_id", "number")),
    "adjudications": ("adjudication of frame", ("frame_id", "revision")),
}
"""By table: the word for a row, and the columns that name it."""


Version = tuple[int, int, int]
"""Which state of the database a connection is at."""


@dataclass(slots=True)
class _Held:
    """What was read for every frame, and up to which change."""

    changes: tuple[int, int]
    inserted: int
    records: dict[str, Any]


class Storage:
    """An open project folder: rows and picture files that change together or not at all."""

    def __init__(self, path: Path, database: Database) -> None:
        self.path = path
        """The project's folder, absolute."""
        self.database = database
        self.pictures = Pictures(path / "frames")
        self.unsettled: list[str] = []
        """Ids of the pictures that the running transaction has written."""
        self.damage: dict[tuple[str, ...], str] = {}
        """A sentence for each damaged row that was met, by its table and the columns that name it.
        Such a row is left out of what is read."""
        self._held: dict[tuple[str, ...], _Held] = {}
        self._failed = False

    def read(
        self, table: str, rows: Iterable[sqlite3.Row], make: Callable[[sqlite3.Row], Record]
    ) -> list[Record]:
        """What ``make`` reads from rows of ``table``. A damaged row is left out and named in
        :attr:`damage`."""
        records = []
        for row in rows:
            try:
                records.append(make(row))
            except DAMAGE as error:
                self._left_out(table, row, error)
        return records

    def by_frame(
        self, tables: tuple[str, ...], read: Callable[[str | None], dict[str, Record]]
    ) -> Mapping[str, Record]:
        """What ``read`` makes of ``tables`` for every frame, by its id.

        It is read once. Afterwards ``read`` is called with the id of each frame to which this
        connection has appended rows, and with None, for all frames, if anybody wrote otherwise.
        """
        database = self.database
        if database.in_transaction:
            return read(None)  # what is written may be taken back
        now = database.changes, database.other_changes
        inserted = database.inserted
        held = self._held.get(tables)
        new = None if held is None else database.inserts_since(held.inserted)
        if held is None or held.changes != now or new is None:
            with without_collections():
                held = self._held[tables] = _Held(now, inserted, read(None))
        else:
            held.inserted = inserted
            concerned = dict.fromkeys(frame_id for table, frame_id in new if table in tables)
            if concerned:
                # What was given out before must not change under the hands of its readers.
                held.records = dict(held.records)
            for frame_id in concerned:
                assert frame_id is not None
                held.records.pop(frame_id, None)
                held.records |= read(frame_id)
        records: Mapping[str, Record] = held.records
        return records

    def version(self) -> Version:
        """A value that is another one once anybody has written."""
        return self.database.changes, self.database.other_changes, self.database.inserted

    def take_over(self, other: Storage, version: Version) -> bool:
        """Hold what :meth:`by_frame` of ``other``, on another connection to the same file, has read
        since this one was at ``version``. Returns False where anybody has written since; nothing
        is then taken over."""
        if self.version() != version:
            return False
        changes, other_changes, inserted = version
        for tables, held in other._held.items():
            self._held[tables] = _Held((changes, other_changes), inserted, held.records)
        self.damage |= other.damage
        return True

    def query_apart(self, statements: Sequence[str]) -> list[list[sqlite3.Row]]:
        """All rows of each SELECT, on a connection of its own; for another thread.

        Raises :class:`UserError` as :class:`Database`.
        """
        with contextlib.closing(Database(self.database.path)) as database:
            return [database.query(sql) for sql in statements]

    def read_one(
        self, table: str, row: sqlite3.Row | None, make: Callable[[sqlite3.Row], Record]
    ) -> Record | None:
        """What ``make`` reads from a row, None without one.

        Raises :class:`UserError` for a damaged row.
        """
        if row is None:
            return None
        try:
            return make(row)
        except DAMAGE as error:
            raise UserError(self._left_out(table, row, error)) from error

    def note_damage(self, key: tuple[str, ...], sentence: str) -> str:
        """Remember what is damaged; the first time it is logged. Returns the sentence."""
        if key not in self.damage:
            self.damage[key] = sentence
            log.warning("%s", sentence)
        return sentence

    def _left_out(self, table: str, row: sqlite3.Row, error: Exception) -> str:
        noun, columns = _NAMED_BY[table]
        names = [_shown(row, column) for column in columns]
        return self.note_damage(
            (table, *names),
            f"{self.database.path}: the {noun} {', '.join(names)} is damaged and left out "
            f"({_why(error)}). {put_back(self.path)}",
        )

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

    def write_picture(self, frame_id: str, pixels: Pixels, note: str) -> None:
        """Write a picture that goes again if the running transaction fails."""
        self.unsettled.append(frame_id)
        self.pictures.write(frame_id, pixels, note)

    def next_revision(self, table: str, *, column: str = "revision", **keys: str | int) -> int:
        """The number of the next row of ``table`` with these ``keys``, from 1 on."""
        where = " AND ".join(f"{key} = ?" for key in keys)
        sql = f"SELECT max({column}) FROM {table} WHERE {where}"
        row = self.database.one(sql, tuple(keys.values()))
        last = 0 if row is None or row[0] is None else row[0]
        if not (isinstance(last, int) and 0 <= last < _MOST_REVISIONS):
            raise UserError(
                f"{self.database.path}: the numbers of the rows of {table} are damaged. "
                f"{put_back(self.path)}"
            )
        return 1 + last

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


@contextlib.contextmanager
def without_collections() -> Iterator[None]:
    """For a block that makes many objects, nearly all of which stay: looking for garbage among them
    again and again takes longer than making them. Nor is it looked for there later, until somebody
    calls ``gc.unfreeze()``: with 100,000 frames a search takes 0.3 s."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.freeze()
            gc.enable()


def remove_folder(folder: Path) -> None:
    """Delete a folder and all in it, if it is there. Raises :class:`UserError` that names it."""
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise UserError(
            f"{folder} could not be deleted: {error.strerror or error}. Close the programs that "
            "use it and try again."
        ) from error


def _shown(row: sqlite3.Row, column: str) -> str:
    try:
        shown = str(row[column])
    except LookupError:
        return f"without {column}"
    return shown.encode(errors="replace").decode()[:64]


def _why(error: Exception) -> str:
    return str(error).encode(errors="replace").decode()[:200] or type(error).__name__


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
    return {
        f"{prefix}{name}": None if ellipse is None else float(getattr(ellipse, name))
        for name in ellipse_names()
    }
