"""Readings: ellipses that observers draw on frames independently of each other.

A reading never changes the annotation of its frame. An adjudication does: it appends a revision,
whose author is the adjudicator, and which names the readings that it was made from.
"""

from __future__ import annotations

import hashlib
import random
import secrets
import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.names import MAX_LENGTH, visible_key
from fetalstudio.formats.readings_file import ReadingRecord
from fetalstudio.project.annotations import Annotations
from fetalstudio.project.frames import Frames, Logged
from fetalstudio.project.store.records import Annotation, AnnotationState, Reading, ReadingSession
from fetalstudio.project.store.rows import (
    ellipse_of,
    frame_id_of,
    moment,
    optional,
    text,
    whole,
    word,
)
from fetalstudio.project.store.storage import Storage, ellipse_columns, now

_CURRENT = """SELECT r.* FROM newest_readings AS r
    JOIN current_frames AS frames ON frames.id = r.frame_id WHERE NOT r.withdrawn"""


class Readings:
    """The readings of a project, and the sessions in which they are made."""

    def __init__(self, storage: Storage, frames: Frames, annotations: Annotations) -> None:
        self._storage, self._frames, self._annotations = storage, frames, annotations

    # -- sessions ----------------------------------------------------------------------------

    def start(
        self, frame_ids: Sequence[str], *, observer: str, twice: float = 0.0, seed: int = 0
    ) -> ReadingSession:
        """Begin a session on these frames, in an order that ``seed`` decides.

        ``twice`` is the share of the frames, 0 to 1, that are presented a second time. Raises
        :class:`InputError` for no frames and for an observer without a name, :class:`UserError` for
        a frame that the project does not hold or a synthetic one.
        """
        observer = checked_observer(observer)
        if not frame_ids:
            raise InputError("No frames were chosen to be read. Choose at least one.")
        with self._storage.transaction():
            for frame_id in frame_ids:
                frame = self._frames.get(frame_id)
                if frame.kind != "real":
                    raise UserError(f"{frame.name} is synthetic. Only real frames are read.")
            database = self._storage.database
            session_id = database.insert(
                "reading_sessions", observer=observer, seed=seed, started_at=now()
            )
            for number, frame_id in enumerate(reading_order(frame_ids, twice=twice, seed=seed)):
                database.insert(
                    "reading_items", session_id=session_id, number=number, frame_id=frame_id
                )
            return self.session(session_id)

    def sessions(self) -> list[ReadingSession]:
        """All sessions, the newest first."""
        return self._sessions(None)

    def session(self, session_id: int) -> ReadingSession:
        """Raises :class:`UserError` if there is none of this number."""
        found = self._sessions(session_id)
        if not found:
            raise UserError(f"{self._storage.path} has no reading session {session_id}.")
        return found[0]

    def unfinished(self, observer: str) -> ReadingSession | None:
        """The newest session of this observer that was not ended and has frames left."""
        own = (s for s in self.sessions() if s.observer == observer and s.ended_at is None)
        return next((session for session in own if session.left), None)

    def end(self, session_id: int, *, ended: bool = True) -> None:
        """End a session, or go on with one that was ended. Its readings stay."""
        sql = "UPDATE reading_sessions SET ended_at = ? WHERE id = ?"
        self._storage.database.execute(sql, (now() if ended else None, session_id))

    def _sessions(self, session_id: int | None) -> list[ReadingSession]:
        query, one = self._storage.database.query, (session_id,)
        rows = query(
            """SELECT i.*, r.id AS reading FROM reading_items AS i
            JOIN current_frames ON current_frames.id = i.frame_id
            LEFT JOIN newest_readings AS r ON r.session_id = i.session_id
                AND r.number = i.number AND r.frame_id = i.frame_id AND NOT r.withdrawn
            WHERE ?1 IS NULL OR i.session_id = ?1 ORDER BY i.session_id, i.number""",
            one,
        )
        items: dict[int, dict[int, tuple[str, bool]]] = {}
        for held, number, frame_id, done in self._storage.read(
            "reading_items",
            rows,
            lambda r: (
                whole(r, "session_id"),
                whole(r, "number"),
                frame_id_of(r, "frame_id"),
                r["reading"] is not None,
            ),
        ):
            items.setdefault(held, {})[number] = frame_id, done
        sql = "SELECT * FROM reading_sessions WHERE ?1 IS NULL OR id = ?1 ORDER BY id DESC"

        def read(row: sqlite3.Row) -> ReadingSession:
            held = items.get(row["id"], {})
            return ReadingSession(
                id=whole(row, "id"),
                observer=text(row, "observer"),
                seed=whole(row, "seed"),
                frame_ids=tuple(frame_id for frame_id, _ in held.values()),
                numbers=tuple(held),
                done=frozenset(number for number, (_, done) in held.items() if done),
                started_at=moment(row, "started_at"),
                ended_at=optional(moment, row, "ended_at"),
            )

        return self._storage.read("reading_sessions", query(sql, one), read)

    # -- readings ----------------------------------------------------------------------------

    def add(
        self, session: ReadingSession, number: int, ellipse: Ellipse | None, *, seconds: float
    ) -> Reading:
        """Store what the observer of a session drew on the frame in this place, without seeing.

        ``None`` records that the frame cannot be read. Raises :class:`UserError` where that place
        was read already or its frame was removed.
        """
        with self._storage.transaction():
            left = dict(self.session(session.id).left)
            if number not in left:
                raise UserError(
                    "This frame was read already, or removed from the project. Go on with the next."
                )
            frame_id = left[number]
            rounds = [
                r.round for r in self.all(frame_id) if r.observer == session.observer and r.round
            ]
            reading_id = secrets.token_hex(16)
            self._storage.database.insert(
                "readings",
                id=reading_id,
                revision=1,
                frame_id=frame_id,
                observer=session.observer,
                round=1 + max(rounds, default=0),
                blinded=1,
                **ellipse_columns(ellipse),
                seconds=max(float(seconds), 0.0),
                read_at=now(),
                session_id=session.id,
                number=number,
                withdrawn=0,
                created_at=now(),
            )
            return self.get(reading_id)

    def get(self, reading_id: str) -> Reading:
        """Raises :class:`UserError` for one that is not held, or was withdrawn."""
        row = self._storage.database.one(f"{_CURRENT} AND r.id = ?", (reading_id,))
        reading = self._storage.read_one("readings", row, _reading)
        if reading is None:
            raise UserError(f"{self._storage.path} holds no reading {reading_id}.")
        return reading

    def all(self, frame_id: str | None = None) -> list[Reading]:
        """The readings that were not withdrawn, of one frame or of all, by time."""
        sql = _CURRENT + ("" if frame_id is None else " AND r.frame_id = ?")
        rows = self._storage.database.query(
            f"{sql} ORDER BY r.read_at, r.id", () if frame_id is None else (frame_id,)
        )
        return self._storage.read("readings", rows, _reading)

    def with_annotations(self, frame_id: str | None = None) -> list[Reading]:
        """As :meth:`all`, and before them the annotations that count as readings.

        Of each frame, that is the newest revision that is no adjudication, if it is final: the
        ellipse of the person who did the usual work, who was not blinded. Its round is 0.
        """
        return [*self._annotation_readings(frame_id), *self.all(frame_id)]

    def _annotation_readings(self, frame_id: str | None) -> list[Reading]:
        project_id = self._storage.database.query("SELECT id FROM identity")[0]["id"]
        rows = self._storage.database.query(
            """SELECT n.* FROM annotations AS n
            JOIN current_frames AS frames ON frames.id = n.frame_id
            WHERE n.revision = (SELECT max(revision) FROM annotations AS own
                WHERE own.frame_id = n.frame_id AND NOT EXISTS (SELECT 1 FROM adjudications AS j
                    WHERE j.frame_id = own.frame_id AND j.revision = own.revision))
            AND n.state = 'final' AND n.cx IS NOT NULL"""
            + ("" if frame_id is None else " AND n.frame_id = ?"),
            () if frame_id is None else (frame_id,),
        )

        def read(row: sqlite3.Row) -> Reading:
            named = f"{project_id} {row['frame_id']} {row['revision']}"
            return Reading(
                id=hashlib.sha256(named.encode()).hexdigest()[:32],
                frame_id=frame_id_of(row, "frame_id"),
                observer=text(row, "author"),
                round=0,
                ellipse=ellipse_of(row),
                blinded=False,
                seconds=None,
                read_at=moment(row, "created_at"),
            )

        return self._storage.read("annotations", rows, read)

    def withdraw(self, reading_id: str, *, withdrawn: bool = True) -> None:
        """Take a reading back, or back again; its row stays. Raises :class:`UserError` for one that
        the project does not hold."""
        with self._storage.transaction():
            sql = "SELECT * FROM newest_readings WHERE id = ?"
            row = self._storage.database.one(sql, (reading_id,))
            if row is None:
                raise UserError(f"{self._storage.path} holds no reading {reading_id}.")
            values = dict(row) | {
                "revision": self._storage.next_revision("readings", id=reading_id),
                "withdrawn": int(withdrawn),
                "created_at": now(),
            }
            self._storage.database.insert("readings", **values)

    def store(self, record: ReadingRecord, *, observer: str, number: int, merge: Logged) -> None:
        """Store a reading of a file, as the ``number``-th of this observer; ``merge`` is the
        amendment that it comes with. One that was withdrawn here comes back."""
        with self._storage.transaction():
            self._storage.database.insert(
                "readings",
                id=record.id,
                revision=self._storage.next_revision("readings", id=record.id),
                frame_id=record.frame,
                observer=observer,
                round=number,
                blinded=int(record.blinded),
                **ellipse_columns(record.ellipse),
                seconds=record.seconds,
                read_at=record.read_at.isoformat(),
                withdrawn=0,
                created_at=now(),
                amendment_id=merge(),
            )

    # -- adjudication ------------------------------------------------------------------------

    def adjudicate(
        self,
        frame_id: str,
        ellipse: Ellipse,
        readings: Iterable[str],
        *,
        author: str,
        state: AnnotationState = "final",
    ) -> Annotation:
        """Decide on the annotation of a frame: appends a revision that was made from these readings
        (ids, also of annotations that count as readings).

        Raises :class:`UserError` as :meth:`Annotations.add` does, and :class:`InputError` without
        readings.
        """
        made_from = list(dict.fromkeys(readings))
        if not made_from:
            raise InputError("An adjudication needs the readings that it was made from.")
        with self._storage.transaction():
            annotation = self._annotations.add(frame_id, ellipse, author=author, state=state)
            for reading_id in made_from:
                self._storage.database.insert(
                    "adjudications",
                    frame_id=frame_id,
                    revision=annotation.revision,
                    reading_id=reading_id,
                )
            return annotation

    def adjudicated(self, frame_id: str | None = None) -> Mapping[tuple[str, int], tuple[str, ...]]:
        """By frame and revision of an annotation, of one frame or of all: the ids of the readings
        that it was made from."""
        found: dict[tuple[str, int], tuple[str, ...]] = {}
        rows = self._storage.database.query(
            "SELECT * FROM adjudications WHERE ?1 IS NULL OR frame_id = ?1", (frame_id,)
        )
        for frame, revision, reading_id in self._storage.read(
            "adjudications",
            rows,
            lambda r: (frame_id_of(r, "frame_id"), whole(r, "revision"), text(r, "reading_id")),
        ):
            found[frame, revision] = (*found.get((frame, revision), ()), reading_id)
        return found

    def check(self) -> None:
        """Read everything, so that damaged rows are known."""
        rows = self._storage.database.query("SELECT * FROM readings")
        self._storage.read("readings", rows, _reading)
        self.sessions()
        self.adjudicated()


def checked_observer(name: str) -> str:
    """The name of an observer without spaces around it and characters that cannot be seen.

    Raises :class:`InputError` for one that is empty or too long to be shown.
    """
    checked = visible_key(name)
    if not 0 < len(checked) <= MAX_LENGTH:
        raise InputError(
            f"An observer needs a name or initials of at most {MAX_LENGTH} characters. Enter one."
        )
    return checked


def sampled(frame_ids: Sequence[str], count: int | None, *, seed: int) -> list[str]:
    """A random choice of ``count`` frames, the same for the same seed; all for None."""
    frames = sorted(set(frame_ids))
    if count is None or count >= len(frames):
        return frames
    return sorted(random.Random(seed).sample(frames, count))


def reading_order(frame_ids: Sequence[str], *, twice: float, seed: int) -> list[str]:
    """The order in which a session presents frames: random, the same for the same seed.

    ``twice`` is the share of the frames that come again, at least one unless it is 0: the first
    time in the first two fifths of the session, the second time in the last two, so that they are
    not remembered.
    """
    if not 0 <= twice <= 1:
        raise InputError(f"The share of frames that are read twice is {twice}; it must be 0 to 1.")
    # By id first, so that the order in which they were chosen decides nothing.
    frames = sorted(set(frame_ids))
    chance = random.Random(seed)
    again = set(chance.sample(frames, max(round(twice * len(frames)), int(twice > 0))))
    places = [(chance.uniform(0, 0.4 if f in again else 1.0), f) for f in frames]
    places += [(chance.uniform(0.6, 1.0), f) for f in frames if f in again]
    return [frame_id for _, frame_id in sorted(places)]


def _reading(row: sqlite3.Row) -> Reading:
    seconds = optional(lambda r, column: float(r[column]), row, "seconds")
    if seconds is not None and not 0 <= seconds < float("inf"):
        raise ValueError("seconds is not a time span")
    return Reading(
        id=text(row, "id"),
        frame_id=frame_id_of(row, "frame_id"),
        observer=text(row, "observer"),
        round=whole(row, "round"),
        ellipse=ellipse_of(row),
        blinded=word(row, "blinded", (0, 1)) == 1,
        seconds=seconds,
        read_at=moment(row, "read_at"),
        session_id=optional(whole, row, "session_id"),
        number=optional(whole, row, "number"),
    )
