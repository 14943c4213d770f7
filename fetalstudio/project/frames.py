"""The frames of a project: pictures, scale, origin, and amendments.

Name, cohort and subject of a frame, and whether it was removed, are revisions: an amendment appends
one to each frame that it concerns, and undoing it appends the former values again. An import is an
amendment too: undoing it removes its frames, and takes back what it added to frames that were
there. A removed frame is invisible everywhere but is kept until :meth:`Frames.purge` deletes it for
good.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, get_args

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.names import checked_key
from fetalstudio.core.words import counted
from fetalstudio.project.backups import Backup, opening_backups, put_back, remove_backup
from fetalstudio.project.database import Database
from fetalstudio.project.parts import Parts
from fetalstudio.project.pixels import NOTES, Kind, Pixels, Staging, picture_id
from fetalstudio.project.records import Amendment, Frame, FrameRevision
from fetalstudio.project.rows import (
    DAMAGE,
    SOUND_TEXT,
    SOUND_WHOLE,
    calibration_of,
    frame_id_of,
    mapping,
    moment,
    optional,
    suspicious,
    text,
    whole,
    word,
)
from fetalstudio.project.schema import AMENDED_TABLES, CURRENT_PAIRS, PURGED_TABLES
from fetalstudio.project.storage import Storage, now

Logged = Callable[[], int]
"""Gives the number of the amendment that a change belongs to; it is logged with the first one."""

_KINDS: tuple[Kind, ...] = get_args(Kind)

SET_SUBJECT = "Library, Amend, Set subject; or fetalstudio frames PROJECT set-subject"
"""Where a person corrects the subject of frames, for messages that name that cure."""
REMOVE_FRAMES = "Library, Amend, Remove frames; or fetalstudio frames PROJECT remove"
"""Where a person removes frames, for messages that name that cure."""

_TABLES = ("frames", "frame_revisions", "calibrations", "labels")
"""What a frame is read from."""
_FRAMES = """SELECT frames.*, c.mm_per_px_x, c.mm_per_px_y, c.source
    FROM current_frames AS frames
    LEFT JOIN newest_calibrations AS c ON c.frame_id = frames.id"""

# A label with an empty value was taken away.
_LABELS = """SELECT frame_id, max(typeof(name) != 'text' OR typeof(value) != 'text') AS damaged,
        json_group_object(name, value) FILTER (WHERE typeof(value) = 'text' AND value != '')
            AS labels
    FROM newest_labels"""

_NOTHING: Mapping[str, Mapping[str, Any]] = {
    "calibrations": dict.fromkeys(("mm_per_px_x", "mm_per_px_y", "source")),
    "annotations": dict.fromkeys(("cx", "cy", "a", "b", "angle_deg", "confidence")),
    "labels": {"value": ""},
}
"""What a revision without a calibration, an ellipse or a label holds."""

# Whether the frame is there is seen by the check of foreign keys.
DOUBTFUL = "SELECT * FROM frame_revisions WHERE " + suspicious(
    {
        "revision": SOUND_WHOLE,
        **dict.fromkeys(("name", "cohort", "subject"), SOUND_TEXT),
        "removed": f"{SOUND_WHOLE} AND {{0}} IN (0, 1)",
        "amendment_id": "{0} IS NOT NULL OR NOT removed",
    }
)
"""Selects the revisions that have to be read to know whether they are damaged."""


_UNLABELLED: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class _Ordered:
    """All frames, and what is asked for again and again: the same by cohort and name."""

    frames: Mapping[str, Frame]
    by_kind: Mapping[Kind | None, list[Frame]]
    cohorts: list[str]
    """Of the real frames."""


class Frames:
    """The frames of a project, with their calibration and labels."""

    def __init__(self, storage: Storage, parts: Parts) -> None:
        self._storage = storage
        self._parts = parts
        self._ordered: _Ordered | None = None
        # Thousands of frames have the same ones, and share them.
        self._calibrations: dict[tuple[Any, ...], Calibration | None] = {}
        self._label_sets: dict[str, dict[str, str]] = {}

    def add(
        self,
        pixels: Pixels,
        *,
        name: str,
        cohort: str,
        subject: str,
        calibration: Calibration | None = None,
        kind: Kind = "real",
        note: str | None = None,
    ) -> tuple[Frame, bool]:
        """Keep a picture, (H, W) uint8, 32 to 8192 px a side.

        ``note`` is what its file says about it, by default its kind.

        Returns the frame and whether it is new: a picture that the project already holds stays as
        it is, under its own name, cohort and subject; one that was removed becomes a new frame. A
        name that is taken in the cohort gets a number (``name-2``).
        Raises :class:`InputError` for the size or an empty name, cohort or subject.
        """
        frame_id = picture_id(pixels)
        with self._storage.transaction():
            held = self.find(frame_id)
            if held is not None:
                if not self._storage.pictures.holds(frame_id):
                    self._storage.pictures.write(frame_id, pixels, NOTES[held.kind])
                return held, False
            self._storage.write_picture(frame_id, pixels, note or NOTES[kind])
            height, width = pixels.shape
            self._insert(frame_id, (width, height), name, cohort, subject, calibration, kind)
            return self.get(frame_id), True

    def staging(self) -> AbstractContextManager[Staging]:
        """A place for pictures on their way in; :meth:`add_staged` takes them from there."""
        sql = "SELECT 1 FROM frames WHERE id = ?"
        return self._storage.pictures.staging(
            lambda frame_id: self._storage.database.one(sql, (frame_id,)) is not None
        )

    def add_staged(
        self,
        staging: Staging,
        frame_id: str,
        size: tuple[int, int],
        *,
        name: str,
        cohort: str,
        subject: str,
        calibration: Calibration | None = None,
        kind: Kind = "real",
        amendment: Logged | None = None,
    ) -> tuple[Frame, bool]:
        """Like :meth:`add` for a picture of ``size`` (width, height) staged before. ``amendment``
        is the import that adds it."""
        with self._storage.transaction():
            held = self.find(frame_id)
            if held is not None:
                staging.place(frame_id)  # where the project's own file is missing or damaged
                return held, False
            self._storage.unsettled.append(frame_id)
            staging.place(frame_id)
            number = None if amendment is None else amendment()
            self._insert(frame_id, size, name, cohort, subject, calibration, kind, number)
            return self.get(frame_id), True

    def get(self, frame_id: str) -> Frame:
        """Raises :class:`UserError` if the project does not hold it."""
        found = self.find(frame_id)
        if found is None:
            raise UserError(f"{self._storage.path} holds no frame {frame_id}. Import it first.")
        return found

    def find_real(self, start: str) -> Frame | None:
        """The real frame whose id begins so (16 digits are enough), if the project holds it."""
        rows = self._storage.database.query(
            "SELECT id FROM current_frames WHERE kind = 'real' AND id >= ? AND id < ? LIMIT 2",
            (start, start + "g"),
        )
        return self.get(rows[0]["id"]) if len(rows) == 1 else None

    def all(
        self,
        *,
        cohort: str | None = None,
        kind: Kind | None = "real",
        annotated: bool | None = None,
    ) -> list[Frame]:
        """By cohort and name; ``annotated``: only those with (without) an ellipse, in any state."""
        frames = self._in_order().by_kind[kind]
        if cohort is not None:
            frames = [frame for frame in frames if frame.cohort == cohort]
        if annotated is not None:
            drawn = self._annotated()
            frames = [frame for frame in frames if (frame.id in drawn) == annotated]
        return list(frames)

    def by_id(self) -> Mapping[str, Frame]:
        """All frames, the synthetic ones too, by their id."""
        return self._storage.by_frame(_TABLES, self._everything)

    def _in_order(self) -> _Ordered:
        frames = self.by_id()
        if self._ordered is None or self._ordered.frames is not frames:
            in_order = sorted(frames.values(), key=attrgetter("name"))
            in_order.sort(key=attrgetter("cohort"))  # sorted twice: faster than by both at once
            by_kind: dict[Kind | None, list[Frame]] = {
                kind: [frame for frame in in_order if frame.kind == kind] for kind in _KINDS
            }
            cohorts = list(dict.fromkeys(frame.cohort for frame in by_kind["real"]))
            self._ordered = _Ordered(frames, {None: in_order, **by_kind}, cohorts)
        return self._ordered

    def _everything(self, frame_id: str | None) -> dict[str, Frame]:
        labels = self._labels(frame_id)
        where, values = ("", ()) if frame_id is None else ("WHERE frames.id = ?", (frame_id,))
        rows = self._storage.database.query(f"{_FRAMES} {where}", values)
        frames = self._storage.read("frames", rows, lambda row: self._frame(row, labels))
        return {frame.id: frame for frame in frames}

    def _annotated(self) -> set[str]:
        sql = "SELECT frame_id FROM newest_annotations WHERE cx IS NOT NULL"
        return {row["frame_id"] for row in self._storage.database.query(sql)}

    def cohorts(self) -> list[str]:
        """The names of the cohorts with real frames, sorted."""
        return list(self._in_order().cohorts)

    def pixels(self, frame_id: str) -> Pixels:
        """The picture, (H, W) uint8. Raises :class:`UserError` if its file is gone or changed."""
        return self._storage.pictures.read(frame_id)

    def path(self, frame_id: str) -> Path:
        """The picture's PNG file, to be read only."""
        return self._storage.pictures.path(frame_id)

    def set_calibration(
        self,
        frame_id: str,
        calibration: Calibration | None,
        *,
        amendment: Logged | None = None,
    ) -> None:
        """From now on the frame has this calibration, or none; earlier ones are kept."""
        with self._storage.transaction():
            self.get(frame_id)
            self._append_calibration(frame_id, calibration, amendment and amendment())

    def set_labels(
        self, frame_id: str, labels: Mapping[str, str], *, amendment: Logged | None = None
    ) -> None:
        """From now on the frame has these labels, beside those of other names.

        An empty value takes the label of that name away.
        """
        with self._storage.transaction():
            held = self.get(frame_id).labels
            for name, value in labels.items():
                if held.get(name, "") == value:
                    continue
                self._storage.database.insert(
                    "labels",
                    frame_id=frame_id,
                    name=name,
                    revision=self._storage.next_revision("labels", frame_id=frame_id, name=name),
                    value=value,
                    created_at=now(),
                    amendment_id=amendment and amendment(),
                )

    def find(self, frame_id: str) -> Frame | None:
        """The frame of this id, or None."""
        row = self._storage.database.one(f"{_FRAMES} WHERE frames.id = ?", (frame_id,))
        labels = {} if row is None else self._labels(frame_id)
        return self._storage.read_one("frames", row, lambda row: self._frame(row, labels))

    def _labels(self, frame_id: str | None) -> dict[str, dict[str, str]]:
        """The labels of each frame, or of one, by its id."""
        query = self._storage.database.query
        where, values = ("", ()) if frame_id is None else ("WHERE frame_id = ?", (frame_id,))
        try:
            # One row for each frame, which is faster than one for each label.
            rows = query(f"{_LABELS} {where} GROUP BY frame_id", values)
            return {row["frame_id"]: self._label_set(row) for row in rows}
        except DAMAGE:
            labels: dict[str, dict[str, str]] = {}
            rows = query(f"SELECT * FROM newest_labels {where}", values)
            for held, name, value in self._storage.read("labels", rows, _label):
                if value:
                    labels.setdefault(held, {})[name] = value
            return labels

    def _label_set(self, row: sqlite3.Row) -> dict[str, str]:
        if row["labels"] not in self._label_sets:
            self._label_sets[row["labels"]] = json.loads(text(row, "labels"))
        if row["damaged"]:
            raise ValueError("a label is damaged")
        return self._label_sets[row["labels"]]

    def _frame(self, row: sqlite3.Row, labels: Mapping[str, Mapping[str, str]]) -> Frame:
        return Frame(
            id=frame_id_of(row, "id"),
            name=text(row, "name"),
            width=whole(row, "width"),
            height=whole(row, "height"),
            kind=word(row, "kind", _KINDS),
            cohort=sys.intern(text(row, "cohort")),
            subject=text(row, "subject"),
            calibration=self._calibration(row),
            added_at=moment(row, "added_at"),
            labels=labels.get(row["id"], _UNLABELLED),
        )

    def _calibration(self, row: sqlite3.Row) -> Calibration | None:
        key = row["mm_per_px_x"], row["mm_per_px_y"], row["source"]
        if key not in self._calibrations:
            # A damaged calibration costs the calibration, not the frame.
            read = self._storage.read("calibrations", [row], _calibration)
            if not read:
                return None
            self._calibrations[key] = read[0]
        return self._calibrations[key]

    def _insert(
        self,
        frame_id: str,
        size: tuple[int, int],
        name: str,
        cohort: str,
        subject: str,
        calibration: Calibration | None,
        kind: Kind,
        amendment_id: int | None = None,
    ) -> None:
        if not name.strip():
            raise InputError("A frame needs a name; it is empty. Give one.")
        cohort, subject = checked_key("cohort", cohort), checked_key("subject", subject)
        if self._storage.database.one("SELECT 1 FROM frames WHERE id = ?", (frame_id,)):
            _delete(
                self._storage.database, [frame_id]
            )  # it was removed; nothing of it comes back with the picture
        self._storage.database.insert(
            "frames", id=frame_id, width=size[0], height=size[1], kind=kind, added_at=now()
        )
        free = self._free_name(name, cohort, frame_id)
        self._append_revision(FrameRevision(frame_id, free, cohort, subject, False), amendment_id)
        if calibration is not None:
            self._append_calibration(frame_id, calibration, amendment_id)

    def _append_calibration(
        self, frame_id: str, calibration: Calibration | None, amendment_id: int | None
    ) -> None:
        self._storage.database.insert(
            "calibrations",
            frame_id=frame_id,
            revision=self._storage.next_revision("calibrations", frame_id=frame_id),
            mm_per_px_x=calibration and float(calibration.mm_per_px_x),
            mm_per_px_y=calibration and float(calibration.mm_per_px_y),
            source=calibration and calibration.source,
            created_at=now(),
            amendment_id=amendment_id,
        )

    def _append_revision(self, revision: FrameRevision, amendment_id: int | None) -> None:
        self._storage.database.insert(
            "frame_revisions",
            frame_id=revision.frame_id,
            revision=self._storage.next_revision("frame_revisions", frame_id=revision.frame_id),
            amendment_id=amendment_id,
            name=revision.name,
            cohort=revision.cohort,
            subject=revision.subject,
            removed=int(revision.removed),
        )

    def neutral_names(self) -> Iterator[str]:
        """``frame-00001`` and so on, from the first number above all that a frame has or had."""
        rows = self._storage.database.query(
            "SELECT DISTINCT name FROM frame_revisions WHERE name GLOB 'frame-[0-9]*'"
        )
        numbers = (row["name"].partition("-")[2] for row in rows)
        last = max((int(n) for n in numbers if n.isdecimal() and len(n) < 10), default=0)
        return (f"frame-{number:05d}" for number in itertools.count(last + 1))

    def _free_name(self, name: str, cohort: str, frame_id: str) -> str:
        """``name``, with a number where another frame of the cohort has it."""
        free, number = name, 1
        sql = "SELECT 1 FROM current_frames WHERE cohort = ? AND name = ? AND id != ?"
        while self._storage.database.one(sql, (cohort, free, frame_id)):
            number += 1
            free = f"{name}-{number}"
        return free

    # -- amending ----------------------------------------------------------------------------

    def set_subject(self, frame_ids: Iterable[str], subject: str, *, author: str) -> Amendment:
        """From now on these real frames are of this subject.

        Raises :class:`InputError` for an empty subject, or where all have it already, and
        :class:`UserError` for a frame that the project does not hold.
        """
        subject = checked_key("subject", subject)
        with self._storage.transaction():
            former = self._amendable(frame_ids)
            revisions = [replace(r, subject=subject) for r in former]
            self._parts.inherit(subject, (r.subject for r in former))
            return self._amend(revisions, "set the subject of {frames}", author)

    def set_cohort(self, frame_ids: Iterable[str], cohort: str, *, author: str) -> Amendment:
        """From now on these real frames belong to this cohort, which may be a new one.

        A name that is taken there gets a number; see :attr:`Amendment.renamed`.
        Raises as :meth:`set_subject`.
        """
        cohort = checked_key("cohort", cohort)
        with self._storage.transaction():
            revisions = [replace(r, cohort=cohort) for r in self._amendable(frame_ids)]
            return self._amend(revisions, "moved {frames} into cohort " + cohort, author)

    def rename_cohort(self, old: str, new: str, *, author: str) -> Amendment:
        """Give a cohort another name.

        Raises :class:`InputError` for a cohort that is not there, or a name that another one has.
        """
        new = checked_key("cohort", new)
        with self._storage.transaction():
            frames = self._of_cohort(old)
            if new != old and new in self.cohorts():
                raise InputError(
                    f"There already is a cohort {new}. Merge {old} into it, or choose another name."
                )
            revisions = [replace(_revision(frame), cohort=new) for frame in frames]
            return self._amend(revisions, f"renamed cohort {old} to {new}", author)

    def merge_cohorts(self, names: Sequence[str], into: str, *, author: str) -> Amendment:
        """Move all frames of these cohorts into the cohort ``into``, which may be a new one.

        A name that is taken there gets a number; see :attr:`Amendment.renamed`.
        Raises :class:`InputError` for a cohort that is not there.
        """
        into = checked_key("cohort", into)
        with self._storage.transaction():
            frames = [frame for name in dict.fromkeys(names) for frame in self._of_cohort(name)]
            revisions = [replace(_revision(frame), cohort=into) for frame in frames]
            merged = ", ".join(name for name in dict.fromkeys(names) if name != into)
            return self._amend(revisions, f"merged cohort {merged} into {into}", author)

    def remove(self, frame_ids: Iterable[str], *, author: str) -> Amendment:
        """Remove real frames, with their annotations and the pairs that were made from them.

        They can be restored by :meth:`undo` until :meth:`purge` deletes them for good.
        :func:`fetalstudio.project.removal.removal_effect` says beforehand what will go.
        Raises :class:`UserError` for a frame that the project does not hold.
        """
        with self._storage.transaction():
            real = self._amendable(frame_ids)
            made = self.made_from([revision.frame_id for revision in real])
            synthetic = [_revision(self.get(frame_id)) for frame_id in made.values()]
            revisions = [replace(r, removed=True) for r in (*real, *synthetic)]
            pairs = f" and {counted(len(made), 'pair')} made from them" if made else ""
            text = f"removed {counted(len(real), 'frame')}{pairs}"
            return self._amend(revisions, text, author)

    def log_import(self, description: str, *, author: str) -> int:
        """Log an import, and return the number of the amendment, to which its frames belong."""
        return self._log(description, author, undoes=None)

    def undo(self, amendment_id: int | None = None, *, author: str) -> Amendment:
        """Take back an amendment, by default the newest that is neither undone nor an undo.

        Frames get back what they had before it; where a name was taken meanwhile, it gets a number.
        The frames of an import are removed with all that was made of them, and what it added to
        others is taken back where nobody has changed it since.
        Raises :class:`UserError` where there is nothing to undo, where a later amendment changed
        one of the frames again, and where the removed frames were purged or imported again.
        """
        with self._storage.transaction():
            amendment = self._to_undo(amendment_id)
            return self._take_back(self._last(amendment), f"undid: {amendment.description}", author)

    def redo(self, amendment_id: int, *, author: str) -> Amendment:
        """Take back the undo of an amendment.

        Raises :class:`UserError` where it is not undone, and as :meth:`undo`.
        """
        with self._storage.transaction():
            amendment = self._amendment(amendment_id)
            if not amendment.undone or amendment.undoes is not None:
                raise UserError(
                    f"{self._storage.path} has no amendment {amendment_id} that is undone. "
                    f"{self._see_log()}"
                )
            return self._take_back(
                self._last(amendment), f"did again: {amendment.description}", author
            )

    def _last(self, amendment: Amendment) -> Amendment:
        """The last undo or redo of an amendment, or itself."""
        while undo := self._amendments("undoes = ?", (amendment.id,)):
            amendment = undo[0]
        return amendment

    def _take_back(self, amendment: Amendment, description: str, author: str) -> Amendment:
        values = [row for table in AMENDED_TABLES for row in self._newest_of(table, amendment.id)]
        if not amendment.changes and not values:
            raise UserError(
                f"Amendment {amendment.id} ({amendment.description}) cannot be undone: its "
                "frames were deleted for good or imported again. Import what you miss, or "
                "undo another amendment."
            )
        new = self._log(description, author, undoes=amendment.id)
        self._append_changed(self._former(amendment), new)
        for table, row in values:
            self._append_former(table, row, new)
        return self._amendment(new)

    def _former(self, amendment: Amendment) -> list[FrameRevision]:
        """What the frames get that an amendment changed, when it is taken back."""
        if amendment.adds_frames:
            # Whatever was amended later, the frames go.
            held = [self._newest_revision(before.frame_id) for before, _ in amendment.changes]
            made = self.made_from([revision.frame_id for revision in held])
            synthetic = [self._newest_revision(frame_id) for frame_id in made.values()]
            gone = {revision.frame_id: revision for revision in (*held, *synthetic)}
            return [replace(revision, removed=True) for revision in gone.values()]
        for before, after in amendment.changes:
            current = self._newest_revision(before.frame_id)
            if replace(current, name=after.name) != after:
                raise UserError(
                    f"Amendment {amendment.id} ({amendment.description}) cannot be undone: "
                    f"{current.name} was amended again later. Undo the later amendment first. "
                    f"{self._see_log()}"
                )
        return [before for before, _ in amendment.changes]

    def _newest_of(self, table: str, amendment_id: int) -> list[tuple[str, sqlite3.Row]]:
        """The rows of an amendment that are the newest revisions of frames that it did not add."""
        rows = self._storage.database.query(
            f"""SELECT * FROM newest_{table} AS mine WHERE amendment_id = ? AND NOT EXISTS
                (SELECT 1 FROM frame_revisions AS r WHERE r.frame_id = mine.frame_id
                    AND r.revision = 1 AND r.amendment_id = mine.amendment_id)""",
            (amendment_id,),
        )
        return [(table, row) for row in rows]

    def _append_former(self, table: str, row: sqlite3.Row, amendment_id: int) -> None:
        """Append what a frame had before the amendment that this row belongs to."""
        keys = {"frame_id": row["frame_id"]}
        if table == "labels":
            keys["name"] = row["name"]
        where = " AND ".join(f"{key} = ?" for key in keys)
        before = self._storage.database.one(
            f"""SELECT * FROM {table} WHERE {where} AND amendment_id IS NOT ?
                ORDER BY revision DESC LIMIT 1""",
            (*keys.values(), row["amendment_id"]),
        )
        values = {**dict(row), **_NOTHING[table]} if before is None else dict(before)
        values |= {
            "revision": row["revision"] + 1,
            "created_at": now(),
            "amendment_id": amendment_id,
        }
        self._storage.database.insert(table, **values)

    def amendments(self) -> list[Amendment]:
        """The revision log, the newest first."""
        return self._amendments("id > 0", ())

    def _amendment(self, amendment_id: int) -> Amendment:
        found = self._amendments("id = ?", (amendment_id,))
        if not found:
            raise UserError(
                f"{self._storage.path} has no amendment {amendment_id}. {self._see_log()}"
            )
        return found[0]

    def _amendments(self, where: str, values: tuple[int, ...]) -> list[Amendment]:
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
            lambda row: (row["amendment_id"], _row_revision(row, "was_"), _row_revision(row)),
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

    def made_from(self, frame_ids: Iterable[str]) -> dict[int, str]:
        """The pairs that took their sector or tissue from these frames: pair id to frame id."""
        sources = set(frame_ids)
        rows = self._storage.database.query(
            f"""SELECT pairs.id, pairs.frame_id, pairs.provenance, batch_items.source_frame
            FROM {CURRENT_PAIRS}
            LEFT JOIN batch_pairs ON batch_pairs.pair_id = pairs.id
            LEFT JOIN batch_items USING (batch_id, number) ORDER BY pairs.id"""
        )

        def read(row: sqlite3.Row) -> tuple[int, str, tuple[Any, Any]]:
            known = mapping(row, "provenance").get("source_frame"), row["source_frame"]
            return whole(row, "id"), frame_id_of(row, "frame_id"), known

        return {
            pair_id: frame_id
            for pair_id, frame_id, known in self._storage.read("pairs", rows, read)
            if any(isinstance(one, str) and one in sources for one in known)
        }

    def purge(self) -> int:
        """Delete for good what was removed: rows, pictures and caches, also in the backup.

        Returns the number of frames, synthetic ones included. The log of amendments stays; it names
        no frame. So do the copies that migrations made, the records of runs, and exports.
        Raises :class:`UserError` where rows are known to be damaged: what is left of the project
        may not be what was removed.
        """
        if self._storage.damage:
            raise UserError(
                f"{self._storage.database.path} is damaged, so nothing is deleted for good. "
                f"{put_back(self._storage.path)}"
            )
        removed = self.removed()
        if removed:
            # First, so that a purge that was interrupted is begun again by the next one.
            for backup in opening_backups(self._storage.path):
                _erase(backup, removed)
            with self._storage.transaction():
                still = set(self.removed())
                removed = [frame_id for frame_id in removed if frame_id in still]
                _delete(self._storage.database, removed)
        with self._storage.transaction():
            if not self.unheld():
                return len(removed)
        # Caches were computed from the pictures and reveal them; they are rebuilt when needed.
        shutil.rmtree(self._storage.path / "cache", ignore_errors=True)
        # Last, so that a purge that was interrupted is completed by the next one, which finds them;
        # and after the rows, which would still need their pictures had the transaction failed.
        with self._storage.transaction():
            for frame_id in self.unheld():
                self._storage.pictures.remove(frame_id)
        return len(removed)

    def unheld(self) -> set[str]:
        """The ids of the pictures that belong to no frame, neither here nor in a backup that may be
        put back; a crash left them.

        Call in a transaction: outside, a picture may be on its way to its row.
        """
        rows = self._storage.database.query("SELECT id FROM frames")
        unheld = set(self._storage.pictures.ids()) - {row["id"] for row in rows}
        if not unheld:
            return unheld
        try:
            return unheld.difference(
                *(backup.frame_ids() for backup in opening_backups(self._storage.path))
            )
        except UserError:
            return set()  # what a damaged backup needs is not known

    def revisions(self) -> list[FrameRevision]:
        """All that the frames, the removed ones too, are and were called."""
        rows = self._storage.database.query("SELECT * FROM frame_revisions")
        return self._storage.read("frame_revisions", rows, _row_revision)

    def check(self, doubtful: Iterable[sqlite3.Row]) -> None:
        """Read the revisions that :data:`DOUBTFUL` selects, so that the damaged ones are known."""
        self._storage.read("frame_revisions", doubtful, _row_revision)

    def removed(self) -> list[str]:
        """The ids of the frames that were removed and wait to be deleted for good."""
        sql = "SELECT frame_id FROM newest_frame_revisions WHERE removed"
        return [row["frame_id"] for row in self._storage.database.query(sql)]

    def _amend(
        self,
        revisions: Sequence[FrameRevision],
        description: str,
        author: str,
    ) -> Amendment:
        changed = [r for r in revisions if r != self._newest_revision(r.frame_id)]
        if not changed:
            raise InputError("The frames are like that already. Nothing was changed.")
        description = description.replace("{frames}", counted(len(changed), "frame"))
        amendment_id = self._log(description, author, undoes=None)
        self._append_changed(changed, amendment_id)
        return self._amendment(amendment_id)

    def _log(self, description: str, author: str, *, undoes: int | None) -> int:
        return self._storage.database.insert(
            "amendments", author=author, description=description, undoes=undoes, created_at=now()
        )

    def _append_changed(self, revisions: Iterable[FrameRevision], amendment_id: int) -> None:
        """Append those of the revisions that differ from the newest of their frames."""
        for r in revisions:
            if r != self._newest_revision(r.frame_id):
                free = r.name if r.removed else self._free_name(r.name, r.cohort, r.frame_id)
                self._append_revision(replace(r, name=free), amendment_id)

    def _amendable(self, frame_ids: Iterable[str]) -> list[FrameRevision]:
        frames = [self.get(frame_id) for frame_id in dict.fromkeys(frame_ids)]
        if not frames:
            raise InputError("No frames were chosen. Choose at least one.")
        for frame in frames:
            if frame.kind != "real":
                raise UserError(f"{frame.name} is synthetic. Reject its pair in the review.")
        return [_revision(frame) for frame in frames]

    def _of_cohort(self, cohort: str) -> list[Frame]:
        frames = self.all(cohort=cohort)
        if not frames:
            known = ", ".join(self.cohorts()) or "none"
            raise InputError(f"There is no cohort {cohort}. The cohorts are: {known}.")
        return frames

    def _newest_revision(self, frame_id: str) -> FrameRevision:
        sql = "SELECT * FROM newest_frame_revisions WHERE frame_id = ?"
        row = self._storage.database.one(sql, (frame_id,))
        revision = self._storage.read_one("frame_revisions", row, _row_revision)
        if revision is None:
            raise UserError(f"{self._storage.path} holds no frame {frame_id}. Import it first.")
        return revision

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
                return self._amendment(number)
        which = "amendment to undo" if amendment_id is None else f"amendment {amendment_id}"
        raise UserError(f"{self._storage.path} has no {which}. {self._see_log()}")

    def _see_log(self) -> str:
        return f"See the log of amendments: fetalstudio frames {self._storage.path} log."


def _revision(frame: Frame) -> FrameRevision:
    return FrameRevision(frame.id, frame.name, frame.cohort, frame.subject, False)


def _row_revision(row: sqlite3.Row, prefix: str = "") -> FrameRevision:
    if row["removed"] and row["amendment_id"] is None:
        raise ValueError("removed, but by no amendment")
    return FrameRevision(
        frame_id=frame_id_of(row, "frame_id"),
        name=text(row, f"{prefix}name"),
        cohort=text(row, f"{prefix}cohort"),
        subject=text(row, f"{prefix}subject"),
        removed=word(row, f"{prefix}removed", (0, 1)) == 1,
    )


def _label(row: sqlite3.Row) -> tuple[str, str, str]:
    return text(row, "frame_id"), text(row, "name"), text(row, "value")


def _calibration(row: sqlite3.Row) -> Calibration | None:
    return None if row["source"] is None else calibration_of(row, text(row, "source"))


def _delete(database: Database, frame_ids: Sequence[str]) -> None:
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


def _erase(backup: Backup, frame_ids: Sequence[str]) -> None:
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
            _delete(database, held)
    except (UserError, RuntimeError):
        remove_backup(backup)
