"""Deleting removed frames for good, and forgetting patients."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Mapping, Sequence

from fetalstudio.core.errors import UserError
from fetalstudio.core.progress import NO_PROGRESS, Progress, followed
from fetalstudio.project.staging import remove_stagings
from fetalstudio.project.store.backups import (
    Backup,
    opening_backups,
    put_back,
    remove_backup,
    update_copies,
)
from fetalstudio.project.store.database import Database
from fetalstudio.project.store.schema import PURGED_TABLES
from fetalstudio.project.store.storage import Storage


def removed_frames(storage: Storage) -> list[str]:
    """The ids of the frames that were removed and wait to be deleted for good."""
    sql = "SELECT frame_id FROM newest_frame_revisions WHERE removed"
    return [row["frame_id"] for row in storage.database.query(sql)]


def purge(storage: Storage) -> int:
    """Delete for good what was removed: rows, pictures and caches, also in the backups.

    Returns the number of frames, synthetic ones included. The log of amendments stays; it names
    no frame. So do the copies that migrations made, the records of runs, and exports.
    Raises :class:`UserError` where rows are known to be damaged: what is left of the project
    may not be what was removed.
    """
    _check_undamaged(storage)
    removed = removed_frames(storage)
    if removed:
        # First, so that a purge that was interrupted is begun again by the next one.
        for backup in opening_backups(storage.path):
            _erase(backup, removed)
        with storage.transaction():
            still = set(removed_frames(storage))
            removed = [frame_id for frame_id in removed if frame_id in still]
            delete_rows(storage.database, removed)
    _delete_unheld(storage)
    return len(removed)


def forget(storage: Storage, subjects: Collection[str], progress: Progress = NO_PROGRESS) -> bool:
    """Delete every trace of removed frames and of these subjects, whose frames were all removed.

    Unlike :func:`purge` it also deletes copies that were made before an update of the format, the
    keys of the subjects that other frames had, and what deleted rows leave in the free space of the
    files. Runs and models keep hashes of frames and subjects, by which they know what is not new to
    them. Returns False where the log of the database could not be emptied because another process
    is reading it; it is emptied when that process ends. ``progress`` counts the files that are
    written. Raises as :func:`purge`.
    """
    _check_undamaged(storage)
    frame_ids = set(removed_frames(storage))
    current = _current_subjects(storage.database)
    backups = opening_backups(storage.path)
    for backup in followed(backups, progress, "deleting from backups"):
        _forget_in(backup, frame_ids, subjects, current)
    progress.advance(len(backups), len(backups) + 1, "deleting from the project")
    for path in update_copies(storage.path):
        # In another format, nothing can be deleted from it but all.
        path.unlink(missing_ok=True)
    with storage.transaction():
        delete_rows(storage.database, sorted(frame_ids.intersection(removed_frames(storage))))
        _replace_former(storage.database, subjects, current)
        storage.pictures.remove_abandoned()
        remove_stagings(storage.pictures.folder)
    _delete_unheld(storage)
    shutil.rmtree(storage.path / "cache", ignore_errors=True)
    return storage.database.scrub()


def _check_undamaged(storage: Storage) -> None:
    if storage.damage:
        raise UserError(
            f"{storage.database.path} is damaged, so nothing is deleted for good. "
            f"{put_back(storage.path)}"
        )


def _delete_unheld(storage: Storage) -> None:
    with storage.transaction():
        if not unheld_pictures(storage):
            return
    # Caches were computed from the pictures and reveal them; they are rebuilt when needed.
    shutil.rmtree(storage.path / "cache", ignore_errors=True)
    # Last, so that a purge that was interrupted is completed by the next one, which finds them;
    # and after the rows, which would still need their pictures had the transaction failed.
    with storage.transaction():
        for frame_id in unheld_pictures(storage):
            storage.pictures.remove(frame_id)


def unheld_pictures(storage: Storage) -> set[str]:
    """The ids of the pictures that belong to no frame, neither here nor in a backup that may be
    put back; a crash left them.

    Call in a transaction: outside, a picture may be on its way to its row.
    """
    rows = storage.database.query("SELECT id FROM frames")
    unheld = set(storage.pictures.ids()) - {row["id"] for row in rows}
    if not unheld:
        return unheld
    try:
        return unheld.difference(*(backup.frame_ids() for backup in opening_backups(storage.path)))
    except UserError:
        return set()  # what a damaged backup needs is not known


def delete_rows(database: Database, frame_ids: Sequence[str]) -> None:
    """Delete all rows of removed frames, and leave the pictures."""
    for frame_id in frame_ids:
        database.insert("purge", frame_id=frame_id)
    database.execute(
        """INSERT INTO purged_pairs (id)
        SELECT id FROM pairs WHERE frame_id IN (SELECT frame_id FROM purge)"""
    )
    for table, condition in PURGED_TABLES:
        database.execute(f"DELETE FROM {table} WHERE {condition.format(row=f'{table}.')}")
    # The key of a patient goes with the last frame.
    database.execute("DELETE FROM parts WHERE subject NOT IN (SELECT subject FROM frame_revisions)")
    database.execute("DELETE FROM purge")


def _current_subjects(database: Database) -> dict[str, str]:
    rows = database.query("SELECT frame_id, subject FROM newest_frame_revisions")
    return {row["frame_id"]: row["subject"] for row in rows}


def _replace_former(
    database: Database, subjects: Collection[str], current: Mapping[str, str]
) -> None:
    """Frames that were of these subjects before they were corrected have always been of the
    ``current`` one, which is given by frame id."""
    for subject in subjects:
        database.insert("forgotten", subject=subject)
    rows = database.query(
        """SELECT DISTINCT frame_id FROM frame_revisions
        WHERE subject IN (SELECT subject FROM forgotten)"""
    )
    now = {**_current_subjects(database), **current}
    for row in rows:
        database.execute(
            """UPDATE frame_revisions SET subject = ? WHERE frame_id = ?
            AND subject IN (SELECT subject FROM forgotten)""",
            (now[row["frame_id"]], row["frame_id"]),
        )
    database.execute("DELETE FROM parts WHERE subject NOT IN (SELECT subject FROM frame_revisions)")
    database.execute("DELETE FROM forgotten")


def _forget_in(
    backup: Backup,
    frame_ids: Collection[str],
    subjects: Collection[str],
    current: Mapping[str, str],
) -> None:
    """Delete all traces of these frames and subjects from a backup."""
    with contextlib.suppress(UserError, RuntimeError):
        with contextlib.closing(Database(backup.path)) as database:
            # Those that only the backup has are of the patient too.
            held = _current_subjects(database).items()
            frame_ids = {
                f
                for f, subject in held
                if f in frame_ids or (subject in subjects and f not in current)
            }
        _erase(backup, frame_ids)
        if backup.path.exists():
            with contextlib.closing(Database(backup.path)) as database:
                with database.transaction():
                    _replace_former(database, subjects, current)
                database.scrub()
        return
    remove_backup(backup)


def _erase(backup: Backup, frame_ids: Collection[str]) -> None:
    """Delete all rows of these frames from a backup. One that cannot be opened is deleted whole."""
    try:
        with contextlib.closing(Database(backup.path)) as database, database.transaction():
            sql = "SELECT frame_id FROM newest_frame_revisions WHERE frame_id = ?"
            held = [frame_id for frame_id in frame_ids if database.one(sql, (frame_id,))]
            for frame_id in held:  # only removed frames can be deleted
                database.execute(
                    """INSERT INTO frame_revisions (frame_id, revision, name, cohort, subject,
                        removed)
                    SELECT frame_id, revision + 1, name, cohort, subject, 1
                    FROM newest_frame_revisions WHERE frame_id = ? AND NOT removed""",
                    (frame_id,),
                )
            delete_rows(database, held)
        for path in backup.path.parent.glob(f"{backup.path.name}.version-*"):
            path.unlink()  # where it had a former format, opening it has left a copy in that
    except (UserError, RuntimeError):
        remove_backup(backup)
