"""The backups of ``project.db``: which are kept, and how one is put back.

    backups/<time>.db            a copy of a project that was read whole when a window opened it
    backups/<time>-replaced.db   what a backup was put in the place of
    project.db.version-<n>       a copy from before an update of the format

Earlier versions kept one copy, ``project.db.backup``.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.words import quoted
from fetalstudio.formats.files import atomic_path
from fetalstudio.project.store.locks import Lock

DATABASE = "project.db"
FOLDER = "backups"
OPENINGS = 3
"""The newest backups are kept whatever their day."""
DAYS = 5
"""Of this many days on which there were backups, the last backup of the day is kept."""

_TIME = "%Y%m%dT%H%M%S.%fZ"
_REPLACED = "-replaced"


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy of a project's database."""

    path: Path
    made_at: datetime
    note: str = ""
    """Why it was made, where that was not the opening of the project."""

    @property
    def title(self) -> str:
        """When it was made, in local time, and why."""
        text = f"{self.made_at.astimezone():%Y-%m-%d %H:%M:%S}"
        return f"{text} ({self.note})" if self.note else text

    def frame_ids(self) -> set[str]:
        """The ids of the frames in it. Raises :class:`UserError` where it is damaged."""
        try:
            with contextlib.closing(_read_only(self.path)) as connection:
                check = connection.execute("PRAGMA quick_check(1)").fetchone()
                rows = connection.execute("SELECT id FROM frames").fetchall()
        except sqlite3.Error as error:
            raise UserError(f"{self.path} is damaged. Choose another backup.") from error
        if check != ("ok",):
            raise UserError(f"{self.path} is damaged. Choose another backup.")
        return {str(row[0]) for row in rows}


def all_backups(project: Path) -> list[Backup]:
    """The backups of the project in this folder, the newest first."""
    found = [
        *(_backup(path) for path in (project / FOLDER).glob("*.db")),
        *(
            Backup(path, _modified(path), "before an update of the format")
            for path in project.glob(f"{DATABASE}.version-*")
        ),
    ]
    if (former := project / f"{DATABASE}.backup").is_file():
        found.append(Backup(former, _modified(former)))
    return sorted(found, key=lambda backup: (backup.made_at, backup.path.name), reverse=True)


def opening_backups(project: Path) -> list[Backup]:
    """The backups of the project, without those that were made before an update of the format."""
    return [b for b in all_backups(project) if not b.path.name.startswith(f"{DATABASE}.version-")]


def write_backup(project: Path, copy: Callable[[Path], None]) -> None:
    """Add a backup, which ``copy`` writes, and remove those that are no longer kept."""
    former = project / f"{DATABASE}.backup"
    if former.is_file():
        (project / FOLDER).mkdir(exist_ok=True)
        former.replace(_place(project, _modified(former)))
    copy(_place(project, datetime.now(UTC)))
    for backup in _superfluous(opening_backups(project)):
        remove_backup(backup)


def update_copies(project: Path) -> list[Path]:
    """The copies that were made of the database, and of its backups, before an update of the
    format."""
    name = f"{DATABASE}.version-*"
    return sorted([*project.glob(name), *(project / FOLDER).glob("*.db.version-*")])


def remove_backup(backup: Backup) -> None:
    """Delete a backup and the log beside it."""
    for path in (backup.path, _log(backup.path)):
        path.unlink(missing_ok=True)


def restore(project: Path, backup: Backup) -> Backup | None:
    """Put a backup in the place of ``project.db``.

    What it replaces is set aside among the backups and returned, so that this can be undone.
    Raises :class:`UserError` where a window has the project open or the backup is damaged, and the
    project is then as it was.
    """
    backup.frame_ids()
    database = project / DATABASE
    otherwise = f"{project} is open in a window. Close that window first."
    with Lock(project / ".lock").held(otherwise), atomic_path(database) as temporary:
        shutil.copyfile(backup.path, temporary)
        # A log belongs to the file that it is beside, and would be applied to the restored one.
        if _log(backup.path).is_file():
            _merge_log(backup.path, temporary)
        aside = _set_aside(project) if database.exists() else None
        for path in (_log(database), database.with_name(f"{DATABASE}-shm")):
            path.unlink(missing_ok=True)
    return aside


def put_back(project: Path) -> str:
    """The cure for a lost or damaged database file, for a message."""
    if not all_backups(project):
        return "Put back a copy of this file from your own backup."
    return (
        "Put back a backup: choose one in the window (File, Put back a backup), or run "
        f"fetalstudio restore {quoted(project)}."
    )


def choose(project: Path, number: int) -> Backup:
    """The backup of this number in the list, 1 for the newest. Raises :class:`InputError`."""
    backups = all_backups(project)
    if not 1 <= number <= len(backups):
        there = f"1 to {len(backups)}" if backups else "none"
        raise InputError(f"{project} has no backup {number}; there are: {there}.")
    return backups[number - 1]


def _set_aside(project: Path) -> Backup:
    path = _place(project, datetime.now(UTC), _REPLACED)
    path.parent.mkdir(exist_ok=True)
    shutil.copyfile(project / DATABASE, path)
    if _log(project / DATABASE).is_file():
        shutil.copyfile(_log(project / DATABASE), _log(path))
    return _backup(path)


def _merge_log(backup: Path, copy: Path) -> None:
    shutil.copyfile(_log(backup), _log(copy))
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _read_only(path: Path) -> sqlite3.Connection:
    # Without a log there is nothing to share, and SQLite need not write beside the file.
    mode = "mode=ro" if _log(path).is_file() else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)
    connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    return connection


def _superfluous(backups: Sequence[Backup]) -> list[Backup]:
    """Those of the backups, newest first, that need not be kept."""
    replaced = [backup for backup in backups if backup.note]
    made = [backup for backup in backups if not backup.note]
    last_of_day = {backup.made_at.astimezone().date(): backup for backup in reversed(made)}
    days = [last_of_day[day] for day in sorted(last_of_day, reverse=True)[:DAYS]]
    kept = [*made[:OPENINGS], *days, *replaced[:OPENINGS]]
    return [backup for backup in backups if backup not in kept]


def _backup(path: Path) -> Backup:
    stem = path.name.removesuffix(".db")
    note = "what a backup was put in the place of" if stem.endswith(_REPLACED) else ""
    try:
        made_at = datetime.strptime(stem.removesuffix(_REPLACED), _TIME).replace(tzinfo=UTC)
    except ValueError:
        made_at = _modified(path)  # a copy that a person put here
    return Backup(path, made_at, note)


def _place(project: Path, made_at: datetime, suffix: str = "") -> Path:
    return project / FOLDER / f"{made_at.astimezone(UTC).strftime(_TIME)}{suffix}.db"


def _modified(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")
