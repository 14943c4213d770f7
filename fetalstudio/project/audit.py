"""Who drew, changed, accepted and rejected what, and when: read from what the project records.

Nothing is written for it. Rows of a project are only appended, so that its history is in them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.formats.tables.table_files import write_table
from fetalstudio.project.amendments import Amendments
from fetalstudio.project.readings import Readings
from fetalstudio.project.store.records import SYNTHESIZER, FrameRevision, author_in_words
from fetalstudio.project.store.rows import ellipse_of, frame_id_of, moment, text, whole
from fetalstudio.project.store.storage import Storage

NOT_RECORDED = ""
"""The author of what the project keeps no author of: a calibration or a label that was set in the
window for a frame."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that was done."""

    at: datetime
    author: str
    """A person, a segmenter, or :data:`NOT_RECORDED`."""
    action: str
    """What was done, in the past tense: ``drew the ellipse``."""
    frame_id: str | None
    """None for what concerns several frames, such as an import."""
    frame: str
    """The name of the frame, or empty."""
    pair_id: int | None = None
    """Of a synthetic pair."""

    @property
    def who(self) -> str:
        """The author as a person reads it."""
        return "not recorded" if self.author == NOT_RECORDED else author_in_words(self.author)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """An annotation revision, as far as the next one is compared with it."""

    frame_id: str
    ellipse: Ellipse | None
    state: str
    author: str


class Audit:
    """The history of a project."""

    def __init__(self, storage: Storage, amendments: Amendments, readings: Readings) -> None:
        self._storage, self._log, self._readings = storage, amendments, readings

    def log(
        self,
        *,
        frame_id: str | None = None,
        author: str | None = None,
        since: datetime | None = None,
    ) -> list[AuditEntry]:
        """All that was done, the oldest first; also to frames that were removed, until they are
        deleted for good.

        ``frame_id``, ``author`` (as stored, or in words) and ``since`` (with a time zone) choose
        among it.
        """
        entries = [*self._annotations(), *self._reviews(), *self._read(), *self._values()]
        entries += self._amendments()
        names = {
            row["frame_id"]: str(row["name"])
            for row in self._query("SELECT frame_id, name FROM newest_frame_revisions")
        }
        chosen = [
            AuditEntry(
                e.at, e.author, e.action, e.frame_id, names.get(e.frame_id or "", ""), e.pair_id
            )
            for e in entries
            if frame_id in (None, e.frame_id)
            and author in (None, e.author, e.who)
            and (since is None or e.at >= since)
        ]
        return sorted(chosen, key=lambda entry: entry.at)

    def _query(self, sql: str) -> list[sqlite3.Row]:
        return self._storage.database.query(sql)

    def _annotations(self) -> Iterator[AuditEntry]:
        observers = {r.id: r.observer for r in self._readings.with_annotations()}
        adjudicated = self._readings.adjudicated()
        rows = self._query("SELECT * FROM annotations ORDER BY frame_id, revision")
        former: list[_Drawn] = []

        def read(row: sqlite3.Row) -> AuditEntry:
            now = _Drawn(
                frame_id_of(row, "frame_id"),
                ellipse_of(row),
                text(row, "state"),
                text(row, "author"),
            )
            if former and former[-1].frame_id != now.frame_id:
                former.clear()
            before = former[-1] if former else None
            made_from = adjudicated.get((now.frame_id, whole(row, "revision")))
            if made_from:
                people = sorted({observers.get(one, "another observer") for one in made_from})
                action = f"adjudicated the readings of {', '.join(people)}"
            elif row["amendment_id"] is not None:
                action = "imported the ellipse"
                if now.ellipse is None or before is not None:
                    action = "took back what an import drew"
            elif before is not None and before.ellipse != now.ellipse and now in former:
                action = "went back to an earlier ellipse"  # undo, or a revision taken up again
            else:
                action = _drawn(before, now)
            former.append(now)
            return AuditEntry(moment(row, "created_at"), now.author, action, now.frame_id, "")

        yield from self._storage.read("annotations", rows, read)

    def _reviews(self) -> Iterator[AuditEntry]:
        rows = self._query(
            """SELECT reviews.*, reviews.pair_id AS id, pairs.frame_id, pairs.cx AS asked_cx,
                pairs.cy AS asked_cy, pairs.a AS asked_a, pairs.b AS asked_b,
                pairs.angle_deg AS asked_angle_deg
            FROM reviews JOIN pairs ON pairs.id = reviews.pair_id ORDER BY pair_id, revision"""
        )
        last: dict[int, tuple[str, Ellipse | None]] = {}
        verbs = {"accepted": "accepted", "rejected": "rejected", "pending": "reopened"}

        def read(row: sqlite3.Row) -> AuditEntry:
            pair_id, state, ellipse = whole(row, "pair_id"), text(row, "state"), ellipse_of(row)
            before, drawn = last.get(pair_id, ("pending", ellipse_of(row, "asked_")))
            last[pair_id] = state, ellipse
            author = text(row, "reviewer")
            done = []
            if ellipse != drawn:
                found = author == SYNTHESIZER
                done.append(f"{'found' if found else 'corrected'} the ellipse of the pair")
            if state != before or not done:
                done.append(f"{verbs[state]} the pair")
            at, frame_id = moment(row, "created_at"), frame_id_of(row, "frame_id")
            return AuditEntry(at, author, " and ".join(done), frame_id, "", pair_id)

        yield from self._storage.read("reviews", rows, read)

    def _read(self) -> Iterator[AuditEntry]:
        rows = self._query("SELECT * FROM readings ORDER BY id, revision")

        def read(row: sqlite3.Row) -> AuditEntry:
            how = "without seeing" if row["blinded"] else "in the usual work"
            which = f"reading {whole(row, 'round')}" if row["round"] else "an annotation"
            merged = row["amendment_id"] is not None
            at = moment(row, "created_at")
            if row["withdrawn"]:
                action = f"took {which} back"
            elif whole(row, "revision") > 1:
                action = f"took {which} up again"
            else:
                did = "could not read the frame" if ellipse_of(row) is None else "read the frame"
                action = f"{did} {how} ({which}{', merged from a file' if merged else ''})"
                at = moment(row, "read_at")
            return AuditEntry(at, text(row, "observer"), action, frame_id_of(row, "frame_id"), "")

        yield from self._storage.read("readings", rows, read)

    def _values(self) -> Iterator[AuditEntry]:
        """Calibrations and labels, except those that a frame was imported with."""
        sql = """SELECT mine.*, mine.frame_id AS id, coalesce(a.author, '') AS author {}
            FROM {} AS mine LEFT JOIN amendments AS a ON a.id = mine.amendment_id
            WHERE NOT EXISTS (SELECT 1 FROM frame_revisions AS r WHERE r.frame_id = mine.frame_id
                AND r.revision = 1 AND r.amendment_id = mine.amendment_id)"""

        def calibrated(row: sqlite3.Row) -> AuditEntry:
            action = "took the calibration away" if row["source"] is None else "calibrated"
            return changed(row, action)

        def labelled(row: sqlite3.Row) -> AuditEntry:
            return changed(
                row, f"{'set' if row['value'] else 'took away'} the label {text(row, 'name')}"
            )

        def changed(row: sqlite3.Row, action: str) -> AuditEntry:
            at, author = moment(row, "created_at"), text(row, "author")
            return AuditEntry(at, author, action, frame_id_of(row, "frame_id"), "")

        rows = self._query(sql.format(", '' AS name", "calibrations"))
        yield from self._storage.read("calibrations", rows, calibrated)
        yield from self._storage.read("labels", self._query(sql.format("", "labels")), labelled)

    def _amendments(self) -> Iterator[AuditEntry]:
        for amendment in self._log.all():
            at, author = amendment.created_at, amendment.author
            yield AuditEntry(at, author, amendment.description, None, "")
            if amendment.adds_frames and amendment.undoes is None:
                continue  # the hundreds of frames of an import need no line each
            for before, after in amendment.changes:
                yield AuditEntry(at, author, _amended(before, after), after.frame_id, "")


def write_audit_log(path: Path, entries: Iterable[AuditEntry]) -> None:
    """Write entries as CSV, for a person to read. Raises :class:`UserError` where that is not
    possible."""
    columns = ("time", "author", "action", "frame", "frame_id", "pair")
    rows = ((e.at.isoformat(), e.who, e.action, e.frame, e.frame_id, e.pair_id) for e in entries)
    write_table(path, columns, (dict(zip(columns, row, strict=True)) for row in rows))


def _drawn(before: _Drawn | None, now: _Drawn) -> str:
    was = None if before is None else before.ellipse
    proposed = before is not None and before.state == "proposed" and was is not None
    if now.ellipse is None:
        return "rejected the proposal" if proposed else "removed the ellipse"
    if now.state == "proposed":
        return "proposed an ellipse"
    final = " as final" if now.state == "final" else ""
    if before is None or was is None:
        return f"drew the ellipse{final}"
    if was != now.ellipse:
        return f"changed the {'proposal' if proposed else 'ellipse'}{final}"
    if proposed:
        return f"accepted the proposal of {author_in_words(before.author)}"
    return "confirmed the ellipse" if final else "reopened the ellipse"


def _amended(before: FrameRevision, after: FrameRevision) -> str:
    changes = (
        ("name", before.name, after.name),
        ("cohort", before.cohort, after.cohort),
        ("subject", before.subject, after.subject),
    )
    said = [f"{word} {old} -> {new}" for word, old, new in changes if old != new]
    if before.removed != after.removed:
        said.append("removed" if after.removed else "restored")
    return ", ".join(said)
