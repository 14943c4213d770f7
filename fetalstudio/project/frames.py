"""The frames of a project: pictures, calibration, labels, name, cohort and subject.

What can be amended about a frame, and whether it was removed, are revisions; see
:mod:`fetalstudio.project.amendments`. A removed frame is invisible everywhere but is kept until
:mod:`fetalstudio.project.purging` deletes it for good.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, get_args

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.names import checked_key
from fetalstudio.core.progress import NO_PROGRESS, Progress, followed
from fetalstudio.project.purging import delete_rows
from fetalstudio.project.staging import Staging
from fetalstudio.project.store.pixels import NOTES, Kind, Pixels, picture_id
from fetalstudio.project.store.records import Frame, FrameRevision
from fetalstudio.project.store.rows import (
    DAMAGE,
    SOUND_TEXT,
    SOUND_WHOLE,
    calibration_of,
    frame_id_of,
    moment,
    suspicious,
    text,
    whole,
    word,
)
from fetalstudio.project.store.storage import Storage, now

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

# Whether the frame is there is seen by the check of foreign keys.
DOUBTFUL_REVISIONS = "SELECT * FROM frame_revisions WHERE " + suspicious(
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

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
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
        video: str | None = None,
    ) -> tuple[Frame, bool]:
        """Keep a picture, (H, W) uint8, 32 to 8192 px a side.

        ``note`` is what its file says about it, by default its kind. ``video`` is the key of the
        video that it is a frame of; see :meth:`~fetalstudio.project.patients.Keys.video`.

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
            new = FrameRevision(frame_id, name, cohort, subject, removed=False)
            self._insert(new, (width, height), calibration, kind, video)
            return self.get(frame_id), True

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
        video: str | None = None,
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
            new = FrameRevision(frame_id, name, cohort, subject, removed=False)
            self._insert(new, size, calibration, kind, video, number)
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

    def take_over(self, other: Frames) -> None:
        """Hold the order of the frames that ``other`` has found, whose frames are held too."""
        self._ordered = other._ordered

    def _everything(self, frame_id: str | None) -> dict[str, Frame]:
        labels = self._labels(frame_id)
        where, values = ("", ()) if frame_id is None else ("WHERE frames.id = ?", (frame_id,))
        rows = self._storage.database.query(f"{_FRAMES} {where}", values)
        frames = self._storage.read("frames", rows, lambda row: self._frame(row, labels))
        return {frame.id: frame for frame in frames}

    def _annotated(self) -> set[str]:
        sql = "SELECT frame_id FROM newest_annotations WHERE cx IS NOT NULL"
        return {row["frame_id"] for row in self._storage.database.query(sql)}

    def videos(self) -> Mapping[str, str]:
        """The key of the video that each frame comes from, by its id; other frames are missing."""
        sql = """SELECT id, video FROM frames JOIN current_frames USING (id)
            WHERE video IS NOT NULL"""
        rows = self._storage.database.query(sql)
        return dict(
            self._storage.read(
                "frames", rows, lambda row: (frame_id_of(row, "id"), text(row, "video"))
            )
        )

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
        new: FrameRevision,
        size: tuple[int, int],
        calibration: Calibration | None,
        kind: Kind,
        video: str | None,
        amendment_id: int | None = None,
    ) -> None:
        """Append the rows of a new frame. Raises :class:`InputError` as :meth:`add`."""
        frame_id = new.frame_id
        if not new.name.strip():
            raise InputError("A frame needs a name; it is empty. Give one.")
        cohort = checked_key("cohort", new.cohort)
        subject = checked_key("subject", new.subject)
        if self._storage.database.one("SELECT 1 FROM frames WHERE id = ?", (frame_id,)):
            # It was removed; nothing of it comes back with the picture.
            delete_rows(self._storage.database, [frame_id])
        self._storage.database.insert(
            "frames",
            id=frame_id,
            width=size[0],
            height=size[1],
            kind=kind,
            added_at=now(),
            video=video,
        )
        free = self._free_name(new.name, cohort, frame_id)
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

    def revise(
        self,
        revisions: Sequence[FrameRevision],
        amendment_id: int,
        progress: Progress = NO_PROGRESS,
    ) -> None:
        """Append those of the revisions that differ from the newest of their frames.

        A name that is taken in the cohort gets a number. Call in a transaction. Raises
        :class:`Stopped` if ``progress`` does.
        """
        for r in followed(revisions, progress, "changing frames"):
            if r != self.revision(r.frame_id):
                free = r.name if r.removed else self._free_name(r.name, r.cohort, r.frame_id)
                self._append_revision(replace(r, name=free), amendment_id)

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

    def revision(self, frame_id: str) -> FrameRevision:
        """The newest revision of a frame, also of one that was removed.

        Raises :class:`UserError` if the project does not hold it.
        """
        sql = "SELECT * FROM newest_frame_revisions WHERE frame_id = ?"
        row = self._storage.database.one(sql, (frame_id,))
        revision = self._storage.read_one("frame_revisions", row, read_revision)
        if revision is None:
            raise UserError(f"{self._storage.path} holds no frame {frame_id}. Import it first.")
        return revision

    def revisions(self) -> list[FrameRevision]:
        """All that the frames, the removed ones too, are and were called."""
        rows = self._storage.database.query("SELECT * FROM frame_revisions")
        return self._storage.read("frame_revisions", rows, read_revision)

    def check(self, doubtful: Iterable[sqlite3.Row]) -> None:
        """Read the rows of :data:`DOUBTFUL_REVISIONS`, so that the damaged ones are known."""
        self._storage.read("frame_revisions", doubtful, read_revision)


def read_revision(row: sqlite3.Row, prefix: str = "") -> FrameRevision:
    """A row of revisions, the names of whose columns begin with ``prefix``."""
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
