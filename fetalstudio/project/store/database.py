"""The connection to ``project.db``: transactions, and SQLite errors as advice to the user."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fetalstudio.core.errors import UserError
from fetalstudio.formats.files import atomic_path
from fetalstudio.project.store import schema
from fetalstudio.project.store.backups import put_back

BUSY_SECONDS = 5.0
"""How long a write waits for that of another process."""

_CHECKED = 1000
"""Problems of a file that are looked at."""
_KEPT_INSERTS = 1000
"""Rows appended by this connection of which is known to which frame they belong."""
_NO_TEXT = "Could not decode to UTF-8"
"""How sqlite3 begins its message about a text that is none."""
_MAGIC = b"SQLite format 3\0"
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_UNWRITABLE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

# POSIX drops all locks that a process has on a file when the process closes any handle of it. If we
# read the header with a separate handle while a connection is open, the connection would lose its
# locks, and the next process to close the database would delete the log that is still in use.
_connections: Counter[Path] = Counter()
_opening = threading.Lock()


class DisplacedError(UserError):
    """The project's folder no longer holds the file that is open: nothing more is written."""


class Database:
    """One connection to an existing file, used from the thread that opened it.

    It writes ahead (WAL), so that reading never waits for another process that writes. Where the
    file system has no shared memory (some network drives) SQLite's default journal is used: the
    same guarantees, but a reader may wait for a writer.

    Raises :class:`UserError` where the file is damaged, not ours, newer or not writable.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.resolve()
        with _opening:
            if not _connections[self._file]:
                self._check_header()
            with self._advice():
                self._connection = sqlite3.connect(
                    f"{path.absolute().as_uri()}?mode=rw",
                    uri=True,
                    timeout=BUSY_SECONDS,
                    isolation_level=None,
                )
            _connections[self._file] += 1
            self._open = True
        self._identity = _identity(path)
        self._inserts: deque[tuple[str, str | None]] = deque(maxlen=_KEPT_INSERTS)
        self._inserted = 0
        self._checked = False
        try:
            self._connection.row_factory = sqlite3.Row
            self._prepare()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; a transaction in progress is rolled back. May be called twice."""
        self._connection.close()
        with _opening:
            _connections[self._file] -= self._open
            self._open = False

    # -- statements --------------------------------------------------------------------------

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows of a SELECT."""
        with self._advice():
            try:
                return self._connection.execute(sql, values).fetchall()
            except sqlite3.OperationalError as error:
                if not str(error).startswith(_NO_TEXT):
                    raise
                # A damaged text costs its row, not the whole query; see `rows.text`.
                self._connection.text_factory = _decoded
                return self._connection.execute(sql, values).fetchall()

    def one(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Row | None:
        """The first row of a SELECT, or None."""
        rows = self.query(sql, values)
        return rows[0] if rows else None

    def insert(self, table: str, **values: Any) -> int:
        """Append a row; returns its row id (0 for tables without)."""
        marks = ", ".join("?" * len(values))
        sql = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"
        with self._advice():
            row_id = self._connection.execute(sql, tuple(values.values())).lastrowid or 0
        self._inserts.append((table, values.get("id" if table == "frames" else "frame_id")))
        self._inserted += 1
        return row_id

    def execute(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Any other statement."""
        with self._advice():
            self._connection.execute(sql, values)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction of ours is open."""
        return self._open and self._connection.in_transaction

    @property
    def displaced(self) -> bool:
        """Whether the file was removed, moved or replaced since it was opened.

        What was written until then can still be read by this connection, and by no other.
        """
        return _identity(self.path) != self._identity

    @property
    def changes(self) -> int:
        """A number that is another one once any other connection has written."""
        return self._pragma("data_version")

    @property
    def inserted(self) -> int:
        """The number of rows that :meth:`insert` has appended."""
        return self._inserted

    @property
    def other_changes(self) -> int:
        """The number of rows that this connection has written in any other way."""
        return self._connection.total_changes - self._inserted

    def inserts_since(self, inserted: int) -> list[tuple[str, str | None]] | None:
        """What was appended since :attr:`inserted` had this value: each row's table and frame.

        None where that is too long ago.
        """
        number = self._inserted - inserted
        if number > len(self._inserts):
            return None
        return list(itertools.islice(self._inserts, len(self._inserts) - number, None))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what the block writes, or nothing. May be nested; an inner one fails alone.

        The outermost takes the write lock at once, waiting up to :data:`BUSY_SECONDS`. Raises
        :class:`DisplacedError` where the file is no longer the one in the folder.
        """
        nested = self.in_transaction
        if not nested and self.displaced:
            raise DisplacedError(
                f"{self.path} was removed, moved or replaced while it was open. Nothing of this "
                "step was saved. What was saved before is still in memory: save a copy of the "
                "project elsewhere (File, Save a copy) before you close the window."
            )
        self.execute("SAVEPOINT inner_step" if nested else "BEGIN IMMEDIATE")
        try:
            yield
            self.execute("RELEASE inner_step" if nested else "COMMIT")
        except BaseException:
            # A full disk may have made SQLite roll back by itself already.
            if self.in_transaction:
                if nested:
                    self.execute("ROLLBACK TO inner_step")
                self.execute("RELEASE inner_step" if nested else "ROLLBACK")
            raise

    def backup(self, target: Path) -> None:
        """Write a consistent copy to ``target``, atomically."""
        with (
            self._advice(),
            atomic_path(target) as temporary,
            contextlib.closing(sqlite3.connect(temporary)) as copy,
        ):
            self._connection.backup(copy)

    def scrub(self) -> bool:
        """Write the file again without its free pages, and empty the log beside it, so that nothing
        of deleted rows is left in either.

        Returns False where another process is reading: the log is then emptied when the last one
        closes the file. Not to be called in a transaction.
        """
        self.execute("VACUUM")
        row = self.one("PRAGMA wal_checkpoint(TRUNCATE)")
        return row is None or row[0] == 0

    # -- opening -----------------------------------------------------------------------------

    def _check_header(self) -> None:
        """Look at the bytes first: a newer or foreign file is refused without touching it."""
        try:
            with self.path.open("rb") as stream:
                header = stream.read(100)
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be read: {error.strerror}. Check the folder's permissions."
            ) from error
        if not header:
            return  # just made; what was never written into has version 0
        if len(header) < 100 or not header.startswith(_MAGIC):
            raise self._damaged()
        self._check_version(int.from_bytes(header[60:64], "big"))

    def _check_version(self, version: int) -> None:
        latest = len(schema.MIGRATIONS)
        if version > latest:
            raise UserError(
                f"{self.path.parent} was made by a newer FetalStudio (project version {version}; "
                f"this one reads up to {latest}). Nothing was changed. Update FetalStudio."
            )

    def _prepare(self) -> None:
        self.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
        # Nothing in the file can call more than SQLite's harmless functions.
        self.execute("PRAGMA trusted_schema = OFF")
        self.execute("PRAGMA secure_delete = ON")  # what is purged leaves no trace in the file
        # Without it "INSERT OR REPLACE" would delete rows behind the triggers that forbid it.
        self.execute("PRAGMA recursive_triggers = ON")
        version = self._pragma("user_version")
        self._check_version(version)
        if version and self._pragma("application_id") != schema.APPLICATION_ID:
            raise UserError(f"{self.path} belongs to another program. Choose a project's folder.")
        self._check_structure()
        # Some network drives cannot write ahead; the default journal is as safe.
        with contextlib.suppress(sqlite3.OperationalError):
            self._connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if version < len(schema.MIGRATIONS):
            # Without foreign keys, or a table that others refer to could not be replaced; what
            # they demand is checked at the end of the migration.
            self._migrate(version)
        self._check_schema(len(schema.MIGRATIONS))
        self.execute("PRAGMA foreign_keys = ON")

    def _migrate(self, version: int) -> None:
        if version:
            self.backup(self.path.with_name(f"{self.path.name}.version-{version}"))
        with self.transaction():
            # Another process may have done it while we waited for the lock.
            version = self._pragma("user_version")
            self._check_schema(version)
            for i in range(version, len(schema.MIGRATIONS)):
                for statement in schema.MIGRATIONS[i]:
                    self.execute(statement)
                self.execute(f"PRAGMA user_version = {i + 1}")
            self.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            broken = self.one("PRAGMA foreign_key_check")
            if broken is not None:
                raise self._damaged()

    def _check_structure(self) -> None:
        """Refuse a damaged file. A single bad value is no reason: reading its row finds it."""
        self.execute("PRAGMA ignore_check_constraints = ON")
        found = [row[0] for row in self.query(f"PRAGMA quick_check({_CHECKED})")]
        self.execute("PRAGMA ignore_check_constraints = OFF")
        if found != ["ok"] and not all(" value in " in message for message in found):
            raise self._damaged()

    def _check_schema(self, version: int) -> None:
        """Refuse a file that does not consist of the tables, indexes, views and triggers of its
        version."""
        wanted = schema.wanted(schema.MIGRATIONS[:version])
        held = schema.described(self.query(schema.DESCRIPTION))
        if not wanted.items() <= held.items() or schema.triggers(held) - schema.triggers(wanted):
            raise self._damaged()
        self._checked = True

    def _pragma(self, name: str) -> int:
        row = self.one(f"PRAGMA {name}")
        return int(row[0]) if row else 0

    # -- errors ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _advice(self) -> Iterator[None]:
        """Raise what a person can act on in place of ``sqlite3.Error``."""
        try:
            yield
        except UnicodeDecodeError as error:
            # SQLite's own message quotes bytes of the file that are no text.
            raise self._damaged() from error
        except sqlite3.Error as error:
            # The low byte is the kind of error; what is above it only refines it.
            kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if not self._open:
                raise UserError(
                    f"{self.path.parent} was closed. Open the project again."
                ) from error
            if "same thread" in str(error):
                raise UserError(
                    f"{self.path.parent} was opened in another thread. Open the project again in "
                    "this one."
                ) from error
            if kind in _FULL:
                raise UserError(
                    f"{self.path} could not be written ({error}). Nothing of this step was saved. "
                    "Make room on the disk, check that it is connected, and try again."
                ) from error
            if kind in _UNWRITABLE:
                raise UserError(
                    f"{self.path} cannot be written ({error}). "
                    "Copy the project to a folder where you may write and open it there."
                ) from error
            if kind in _BUSY:
                raise UserError(
                    f"{self.path} is being written by another FetalStudio. Nothing was saved. "
                    "Try again when its work has ended."
                ) from error
            # What a row of ours refers to was looked up before: it is the file that lacks it.
            lost = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
            # Our statements make sense. Until they are checked, the file's definitions may not.
            senseless = kind == sqlite3.SQLITE_ERROR and not self._checked
            if kind in _DAMAGED or lost or senseless:
                raise self._damaged() from error
            raise RuntimeError(f"{self.path}: {error}") from error

    def _damaged(self) -> UserError:
        return UserError(
            f"{self.path} is damaged. The frames beside it are untouched. "
            f"{put_back(self.path.parent)}"
        )


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
