"""The amendments of a project: what people corrected about its frames, and undoing it.

Name, cohort and subject of a frame, whether it was removed, its calibration and its labels are
revisions: an amendment appends one to each frame that it concerns, and undoing it appends the
former values again. An import is an amendment too: undoing it removes its frames, and takes back
what it added to frames that were there.
"""

from __future__ import annotations

import sqlite3
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.growth import AGE_LABEL, age_text, parse_age
from fetalstudio.core.names import checked_key, visible_key
from fetalstudio.core.progress import NO_PROGRESS, Progress, followed
from fetalstudio.core.words import counted, quoted
from fetalstudio.project.frames import Frames, read_revision
from fetalstudio.project.pairs import Pairs
from fetalstudio.project.parts import Parts
from fetalstudio.project.store.records import Amendment, Frame, FrameRevision
from fetalstudio.project.store.rows import ellipse_names, moment, optional, text, whole
from fetalstudio.project.store.schema import AMENDED_TABLES
from fetalstudio.project.store.storage import Storage, now

_NOTHING: Mapping[str, Mapping[str, Any]] = {
    "calibrations": dict.fromkeys(("mm_per_px_x", "mm_per_px_y", "source")),
    "annotations": dict.fromkeys((*ellipse_names(), "confidence")),
    "labels": {"value": ""},
    "readings": {"withdrawn": 1},
}
"""What a revision without a calibration, an ellipse or a label holds, and a reading taken back."""
_CHANGING = "changing frames"
_TOLD_APART: Mapping[str, str] = {"labels": "name", "readings": "id"}
"""The column by which several values of a frame differ, by table."""


class Amendments:
    """Amends the frames of a project, and keeps the log of it.

    Each amendment is one transaction: where ``progress`` raises :class:`Stopped`, nothing is
    changed.
    """

    def __init__(self, storage: Storage, parts: Parts, frames: Frames, pairs: Pairs) -> None:
        self._storage, self._parts = storage, parts
        self._frames, self._pairs = frames, pairs

    def set_subject(
        self,
        frame_ids: Iterable[str],
        subject: str,
        *,
        author: str,
        progress: Progress = NO_PROGRESS,
    ) -> Amendment:
        """From now on these real frames are of this subject.

        Raises :class:`InputError` for an empty subject, or where all have it already, and
        :class:`UserError` for a frame that the project does not hold.
        """
        subjects = dict.fromkeys(frame_ids, subject)
        return self.set_subjects(subjects, author=author, progress=progress)

    def set_subjects(
        self, subjects: Mapping[str, str], *, author: str, progress: Progress = NO_PROGRESS
    ) -> Amendment:
        """From now on each of these real frames is of its subject; ``subjects`` are by frame id.

        A subject that was never used gets the part of those that the frames were of; see
        :func:`~fetalstudio.project.parts.joined_part`. Raises as :meth:`set_subject`.
        """
        checked = {f: checked_key("subject", subject) for f, subject in subjects.items()}
        with self._storage.transaction():
            former: dict[str, list[str]] = {}
            revisions = []
            for revision in self._amendable(checked, progress):
                subject = checked[revision.frame_id]
                former.setdefault(subject, []).append(revision.subject)
                revisions.append(replace(revision, subject=subject))
            for subject, before in former.items():
                self._parts.inherit(subject, before)
            return self._amend(revisions, "set the subject of {frames}", author, progress)

    def set_cohort(
        self,
        frame_ids: Iterable[str],
        cohort: str,
        *,
        author: str,
        progress: Progress = NO_PROGRESS,
    ) -> Amendment:
        """From now on these real frames belong to this cohort, which may be a new one.

        A name that is taken there gets a number; see :attr:`Amendment.renamed`.
        Raises as :meth:`set_subject`.
        """
        cohort = checked_key("cohort", cohort)
        with self._storage.transaction():
            revisions = [replace(r, cohort=cohort) for r in self._amendable(frame_ids, progress)]
            return self._amend(revisions, "moved {frames} into cohort " + cohort, author, progress)

    def rename_cohort(
        self, old: str, new: str, *, author: str, progress: Progress = NO_PROGRESS
    ) -> Amendment:
        """Give a cohort another name.

        Raises :class:`InputError` for a cohort that is not there, or a name that another one has.
        """
        new = checked_key("cohort", new)
        with self._storage.transaction():
            frames = self._of_cohort(old)
            if new != old and new in self._frames.cohorts():
                raise InputError(
                    f"There already is a cohort {new}. Merge {old} into it, or choose another name."
                )
            revisions = [replace(_revision(frame), cohort=new) for frame in frames]
            return self._amend(revisions, f"renamed cohort {old} to {new}", author, progress)

    def merge_cohorts(
        self, names: Sequence[str], into: str, *, author: str, progress: Progress = NO_PROGRESS
    ) -> Amendment:
        """Move all frames of these cohorts into the cohort ``into``, which may be a new one.

        A name that is taken there gets a number; see :attr:`Amendment.renamed`.
        Raises :class:`InputError` for a cohort that is not there.
        """
        into = checked_key("cohort", into)
        with self._storage.transaction():
            frames = [frame for name in dict.fromkeys(names) for frame in self._of_cohort(name)]
            revisions = [replace(_revision(frame), cohort=into) for frame in frames]
            merged = ", ".join(name for name in dict.fromkeys(names) if name != into)
            return self._amend(revisions, f"merged cohort {merged} into {into}", author, progress)

    def remove(
        self, frame_ids: Iterable[str], *, author: str, progress: Progress = NO_PROGRESS
    ) -> Amendment:
        """Remove real frames, with their annotations and the pairs that were made from them.

        They can be restored by :meth:`undo` until :meth:`purge` deletes them for good.
        :func:`fetalstudio.project.removal.removal_effect` says beforehand what will go.
        Raises :class:`UserError` for a frame that the project does not hold.
        """
        with self._storage.transaction():
            real = self._amendable(frame_ids, progress)
            made = self._pairs.made_from([revision.frame_id for revision in real])
            synthetic = [_revision(self._frames.get(frame_id)) for frame_id in made.values()]
            revisions = [replace(r, removed=True) for r in (*real, *synthetic)]
            pairs = f" and {counted(len(made), 'pair')} made from them" if made else ""
            text = f"removed {counted(len(real), 'frame')}{pairs}"
            return self._amend(revisions, text, author, progress)

    def remove_pair(self, pair_id: int, *, author: str) -> Amendment:
        """Take back that a pair was kept. It can be restored by :meth:`undo` until :meth:`purge`
        deletes it for good.

        Raises :class:`UserError` for a pair that the project does not hold.
        """
        with self._storage.transaction():
            frame = self._pairs.get(pair_id).frame
            removed = replace(_revision(frame), removed=True)
            text = f"removed the pair {frame.name}, which had been kept"
            return self._amend([removed], text, author, NO_PROGRESS)

    def set_calibrations(
        self,
        calibrations: Mapping[str, Calibration | None],
        *,
        author: str,
        progress: Progress = NO_PROGRESS,
    ) -> Amendment:
        """From now on each of these real frames has its calibration, or none; by frame id.

        Raises as :meth:`set_subject`.
        """
        with self._storage.transaction():
            held = [self._frames.get(r.frame_id) for r in self._amendable(calibrations, progress)]
            changed = [frame for frame in held if frame.calibration != calibrations[frame.id]]
            _check_changed(changed)
            verb = "set" if any(calibrations[frame.id] for frame in changed) else "removed"
            number = self._log(
                f"{verb} the calibration of {counted(len(changed), 'frame')}", author, undoes=None
            )
            for frame in followed(changed, progress, _CHANGING):
                self._frames.set_calibration(
                    frame.id, calibrations[frame.id], amendment=lambda: number
                )
            return self.get(number)

    def set_label(
        self,
        frame_ids: Iterable[str],
        name: str,
        value: str,
        *,
        author: str,
        progress: Progress = NO_PROGRESS,
    ) -> Amendment:
        """From now on these real frames have this label; an empty value takes it away.

        Raises :class:`InputError` for an age that is none, and as :meth:`set_subject`.
        """
        name = checked_key("label", name)
        value = _checked_value(name, value)
        with self._storage.transaction():
            held = [self._frames.get(r.frame_id) for r in self._amendable(frame_ids, progress)]
            changed = [frame for frame in held if frame.labels.get(name, "") != value]
            _check_changed(changed)
            verb = "set" if value else "removed"
            number = self._log(
                f"{verb} the label {name} of {counted(len(changed), 'frame')}", author, undoes=None
            )
            for frame in followed(changed, progress, _CHANGING):
                self._frames.set_labels(frame.id, {name: value}, amendment=lambda: number)
            return self.get(number)

    def log_import(self, description: str, *, author: str) -> int:
        """Log an import, and return the number of the amendment, to which its frames belong."""
        return self._log(description, author, undoes=None)

    def undo(
        self,
        amendment_id: int | None = None,
        *,
        author: str,
        progress: Progress = NO_PROGRESS,
    ) -> Amendment:
        """Take back an amendment, by default the newest that is neither undone nor an undo.

        Frames get back what they had before it; where a name was taken meanwhile, it gets a number.
        The frames of an import are removed with all that was made of them, and what it added to
        others is taken back where nobody has changed it since.
        Raises :class:`UserError` where there is nothing to undo, where a later amendment changed
        one of the frames again, and where the removed frames were purged or imported again.
        """
        with self._storage.transaction():
            amendment = self._to_undo(amendment_id)
            text = f"undid: {amendment.description}"
            return self._take_back(self._last(amendment), text, author, progress)

    def redo(
        self, amendment_id: int, *, author: str, progress: Progress = NO_PROGRESS
    ) -> Amendment:
        """Take back the undo of an amendment.

        Raises :class:`UserError` where it is not undone, and as :meth:`undo`.
        """
        with self._storage.transaction():
            amendment = self.get(amendment_id)
            if not amendment.undone or amendment.undoes is not None:
                raise UserError(
                    f"{self._storage.path} has no amendment {amendment_id} that is undone. "
                    f"{self._see_log()}"
                )
            text = f"did again: {amendment.description}"
            return self._take_back(self._last(amendment), text, author, progress)

    def _last(self, amendment: Amendment) -> Amendment:
        """The last undo or redo of an amendment, or itself."""
        while undo := self._select("undoes = ?", (amendment.id,)):
            amendment = undo[0]
        return amendment

    def _take_back(
        self, amendment: Amendment, description: str, author: str, progress: Progress
    ) -> Amendment:
        progress.check()
        values = [
            row for table in AMENDED_TABLES for row in self._unchanged_since(table, amendment.id)
        ]
        if not amendment.changes and not values:
            raise UserError(
                f"Amendment {amendment.id} ({amendment.description}) cannot be undone: its "
                "frames were deleted for good or imported again, or what it set was changed "
                "since. Import what you miss, or undo another amendment."
            )
        new = self._log(description, author, undoes=amendment.id)
        self._frames.revise(self._former(amendment), new, progress)
        for table, row in followed(values, progress, _CHANGING):
            self._append_former(table, row, new)
        return self.get(new)

    def _former(self, amendment: Amendment) -> list[FrameRevision]:
        """What the frames get that an amendment changed, when it is taken back."""
        if amendment.adds_frames:
            # Whatever was amended later, the frames go.
            held = [self._frames.revision(before.frame_id) for before, _ in amendment.changes]
            made = self._pairs.made_from([revision.frame_id for revision in held])
            synthetic = [self._frames.revision(frame_id) for frame_id in made.values()]
            gone = {revision.frame_id: revision for revision in (*held, *synthetic)}
            return [replace(revision, removed=True) for revision in gone.values()]
        for before, after in amendment.changes:
            current = self._frames.revision(before.frame_id)
            if replace(current, name=after.name) != after:
                raise UserError(
                    f"Amendment {amendment.id} ({amendment.description}) cannot be undone: "
                    f"{current.name} was amended again later. Undo the later amendment first. "
                    f"{self._see_log()}"
                )
        return [before for before, _ in amendment.changes]

    def _unchanged_since(self, table: str, amendment_id: int) -> list[tuple[str, sqlite3.Row]]:
        """The rows of an amendment, on frames that it did not add, whose values still hold: nobody
        has set others since, or what was set has been taken back."""
        rows = self._storage.database.query(
            f"""SELECT * FROM {table} AS mine WHERE amendment_id = ? AND NOT EXISTS
                (SELECT 1 FROM frame_revisions AS r WHERE r.frame_id = mine.frame_id
                    AND r.revision = 1 AND r.amendment_id = mine.amendment_id)""",
            (amendment_id,),
        )
        return [(table, row) for row in rows if _values(self._newest(table, row)) == _values(row)]

    def _newest(self, table: str, row: sqlite3.Row) -> sqlite3.Row:
        """The newest row about the same as this one."""
        where, keys = _keys(table, row)
        found = self._storage.database.one(
            f"SELECT * FROM newest_{table} WHERE {where}", tuple(keys)
        )
        assert found is not None  # at least the row itself
        return found

    def _append_former(self, table: str, row: sqlite3.Row, amendment_id: int) -> None:
        """Append what a frame had before the amendment that this row belongs to."""
        where, keys = _keys(table, row)
        before = self._storage.database.one(
            f"""SELECT * FROM {table} WHERE {where} AND revision < ? AND amendment_id IS NOT ?
                ORDER BY revision DESC LIMIT 1""",
            (*keys, row["revision"], row["amendment_id"]),
        )
        values = {**dict(row), **_NOTHING[table]} if before is None else dict(before)
        values |= {
            "revision": self._newest(table, row)["revision"] + 1,
            "created_at": now(),
            "amendment_id": amendment_id,
        }
        self._storage.database.insert(table, **values)

    def all(self) -> list[Amendment]:
        """The revision log, the newest first."""
        return self._select("id > 0", ())

    def get(self, amendment_id: int) -> Amendment:
        """Raises :class:`UserError` if the log has none of this number."""
        found = self._select("id = ?", (amendment_id,))
        if not found:
            raise UserError(
                f"{self._storage.path} has no amendment {amendment_id}. {self._see_log()}"
            )
        return found[0]

    def _select(self, where: str, values: tuple[int, ...]) -> list[Amendment]:
        # What an amendment added has no revision before.
        chosen = f"SELECT id FROM amendments WHERE {where}"
        rows = self._storage.database.query(
            f"""SELECT r.*, coalesce(was.name, r.name) AS was_name,
                coalesce(was.cohort, r.cohort) AS was_cohort,
                coalesce(was.subject, r.subject) AS was_subject,
                coalesce(was.removed, 1) AS was_removed
            FROM frame_revisions AS r LEFT JOIN frame_revisions AS was
            ON was.frame_id = r.frame_id AND was.revision = r.revision - 1
            WHERE r.amendment_id IN ({chosen})
                AND (was.revision IS NOT NULL OR r.revision = 1) ORDER BY r.cohort, r.name""",
            values,
        )
        revisions = self._storage.read(
            "frame_revisions",
            rows,
            lambda row: (row["amendment_id"], read_revision(row, "was_"), read_revision(row)),
        )
        changes: dict[int, list[tuple[FrameRevision, FrameRevision]]] = {}
        for amendment_id, before, after in revisions:
            changes.setdefault(amendment_id, []).append((before, after))
        undone = self._undone()
        rows = self._storage.database.query(
            f"SELECT * FROM amendments WHERE id IN ({chosen}) ORDER BY id DESC", values
        )
        return self._storage.read(
            "amendments",
            rows,
            lambda row: Amendment(
                id=whole(row, "id"),
                author=text(row, "author"),
                description=text(row, "description"),
                changes=tuple(changes.get(row["id"], ())),
                undoes=optional(whole, row, "undoes"),
                undone=row["id"] in undone,
                created_at=moment(row, "created_at"),
            ),
        )

    def _undone(self) -> set[int]:
        """The numbers of the amendments that were taken back."""
        undone: set[int] = set()
        sql = "SELECT id, undoes FROM amendments WHERE undoes IS NOT NULL ORDER BY id DESC"
        for row in self._storage.database.query(sql):
            if row["id"] not in undone:  # an undo that was undone itself takes nothing back
                undone.add(row["undoes"])
        return undone

    def _amend(
        self,
        revisions: Sequence[FrameRevision],
        description: str,
        author: str,
        progress: Progress,
    ) -> Amendment:
        changed = [r for r in revisions if r != self._frames.revision(r.frame_id)]
        _check_changed(changed)
        description = description.replace("{frames}", counted(len(changed), "frame"))
        amendment_id = self._log(description, author, undoes=None)
        self._frames.revise(changed, amendment_id, progress)
        return self.get(amendment_id)

    def _log(self, description: str, author: str, *, undoes: int | None) -> int:
        return self._storage.database.insert(
            "amendments", author=author, description=description, undoes=undoes, created_at=now()
        )

    def _amendable(self, frame_ids: Iterable[str], progress: Progress) -> list[FrameRevision]:
        ids = list(dict.fromkeys(frame_ids))
        frames = [self._frames.get(i) for i in followed(ids, progress, "reading frames")]
        if not frames:
            raise InputError("No frames were chosen. Choose at least one.")
        for frame in frames:
            if frame.kind != "real":
                raise UserError(f"{frame.name} is synthetic. Reject its pair in the review.")
        return [_revision(frame) for frame in frames]

    def _of_cohort(self, cohort: str) -> list[Frame]:
        frames = self._frames.all(cohort=cohort)
        if not frames:
            known = ", ".join(self._frames.cohorts()) or "none"
            raise InputError(f"There is no cohort {cohort}. The cohorts are: {known}.")
        return frames

    def _to_undo(self, amendment_id: int | None) -> Amendment:
        undone = self._undone()
        for row in self._storage.database.query("SELECT * FROM amendments ORDER BY id DESC"):
            number = row["id"]
            open_ = number not in undone and row["undoes"] is None
            if number == amendment_id and not open_:
                raise UserError(
                    f"Amendment {number} was undone already, or is an undo. {self._see_log()}"
                )
            if open_ and amendment_id in (None, number):
                return self.get(number)
        which = "amendment to undo" if amendment_id is None else f"amendment {amendment_id}"
        raise UserError(f"{self._storage.path} has no {which}. {self._see_log()}")

    def _see_log(self) -> str:
        return f"See the log of amendments: fetalstudio frames {quoted(self._storage.path)} log."


def _keys(table: str, row: sqlite3.Row) -> tuple[str, list[str]]:
    """What a row is about, as a condition and its values."""
    columns = ["frame_id", *([_TOLD_APART[table]] if table in _TOLD_APART else [])]
    return " AND ".join(f"{column} = ?" for column in columns), [row[c] for c in columns]


def _values(row: sqlite3.Row) -> dict[str, Any]:
    """What a row says, without when it was said."""
    said = ("revision", "created_at", "amendment_id")
    return {column: value for column, value in dict(row).items() if column not in said}


def _check_changed(changed: Sequence[object]) -> None:
    if not changed:
        raise InputError("The frames are like that already. Nothing was changed.")


def _checked_value(name: str, value: str) -> str:
    visible = visible_key(value)
    if visible != unicodedata.normalize("NFC", value).strip():
        raise InputError(
            f"The value of the label {name} has characters that cannot be seen, such as a line "
            "break. Leave them out."
        )
    value = visible
    if name != AGE_LABEL or not value:
        return value
    try:
        return age_text(parse_age(value))
    except ValueError as error:
        raise InputError(f"{error}.") from error


def _revision(frame: Frame) -> FrameRevision:
    return FrameRevision(frame.id, frame.name, frame.cohort, frame.subject, False)
