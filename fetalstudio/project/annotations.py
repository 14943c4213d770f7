"""The ellipses that people and segmenters drew on the frames; every revision is kept."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import get_args

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.project.frames import Frames, Logged
from fetalstudio.project.store.records import Annotation, AnnotationState
from fetalstudio.project.store.rows import (
    SOUND_LENGTH,
    SOUND_MOMENT,
    SOUND_SHARE,
    SOUND_TEXT,
    SOUND_WHOLE,
    ellipse_names,
    ellipse_of,
    frame_id_of,
    moment,
    optional,
    share,
    sound_word,
    suspicious,
    text,
    whole,
    word,
)
from fetalstudio.project.store.storage import Storage, ellipse_columns, now

_TABLES = ("annotations", "frames", "frame_revisions")
_STATES: tuple[AnnotationState, ...] = get_args(AnnotationState)

# Whether the frame is there is seen by the check of foreign keys.
DOUBTFUL_ANNOTATIONS = "SELECT * FROM annotations WHERE " + suspicious(
    {
        "revision": SOUND_WHOLE,
        "author": SOUND_TEXT,
        "state": sound_word(_STATES),
        "confidence": SOUND_SHARE,
        "created_at": SOUND_MOMENT,
        **{name: f"cx IS NULL OR {SOUND_LENGTH}" for name in ellipse_names()},
        "(a >= b AND b > 0 AND angle_deg >= 0 AND angle_deg < 180)": "cx IS NULL OR {0}",
    }
)
"""Selects the revisions that have to be read to know whether they are damaged."""


class Annotations:
    """The annotations of a project; the newest revision on a frame counts."""

    def __init__(self, storage: Storage, frames: Frames) -> None:
        self._storage, self._frames = storage, frames
        self._counted: tuple[Mapping[str, Annotation], Mapping[str, int]] | None = None

    def add(
        self,
        frame_id: str,
        ellipse: Ellipse | None,
        *,
        author: str,
        state: AnnotationState,
        confidence: float | None = None,
        amendment: Logged | None = None,
    ) -> Annotation:
        """Append a revision; ``None`` records that the ellipse was removed. ``amendment`` is the
        import that it comes with.

        Raises :class:`UserError` for a frame that is not held, or a synthetic one (its label is
        corrected by a review of its pair).
        """
        with self._storage.transaction():
            frame = self._frames.get(frame_id)
            if frame.kind != "real":
                raise UserError(f"{frame.name} is synthetic. Correct its ellipse in the review.")
            self._storage.database.insert(
                "annotations",
                frame_id=frame_id,
                revision=self._storage.next_revision("annotations", frame_id=frame_id),
                **ellipse_columns(ellipse),
                author=author,
                state=state,
                confidence=None if confidence is None else min(max(float(confidence), 0.0), 1.0),
                created_at=now(),
                amendment_id=amendment and amendment(),
            )
            return self.revisions(frame_id)[-1]

    def newest(self, frame_id: str) -> Annotation | None:
        """The newest revision (its ellipse may be None: removed); None if there never was one."""
        row = self._storage.database.one(
            "SELECT * FROM newest_annotations WHERE frame_id = ?", (frame_id,)
        )
        return self._storage.read_one("annotations", row, _annotation)

    def by_frame(self, cohort: str | None = None) -> dict[str, Annotation]:
        """The newest revision by frame id, of the real frames that have an ellipse."""
        newest = self._storage.by_frame(_TABLES, self._newest)
        if cohort is None:
            return dict(newest)
        frames = self._frames.all(cohort=cohort, kind=None)
        return {frame.id: newest[frame.id] for frame in frames if frame.id in newest}

    def states(self) -> Mapping[str, int]:
        """The number of real frames with an ellipse of each state."""
        newest = self._storage.by_frame(_TABLES, self._newest)
        if self._counted is None or self._counted[0] is not newest:
            self._counted = newest, Counter(map(attrgetter("state"), newest.values()))
        return self._counted[1]

    def taken_over(self) -> frozenset[str]:
        """The ids of the frames whose ellipse is a proposal of a segmenter that a person confirmed
        without a change."""
        same = " AND ".join(f"proposed.{name} = newest.{name}" for name in ellipse_names())
        rows = self._storage.database.query(
            "SELECT DISTINCT newest.frame_id FROM newest_annotations AS newest"
            " JOIN annotations AS proposed ON proposed.frame_id = newest.frame_id"
            f" WHERE newest.state != 'proposed' AND proposed.state = 'proposed' AND {same}"
        )
        return frozenset(str(row["frame_id"]) for row in rows)

    def take_over(self, other: Annotations) -> None:
        """Hold the numbers that ``other`` has counted, whose annotations are held too."""
        self._counted = other._counted

    def _newest(self, frame_id: str | None) -> dict[str, Annotation]:
        rows = self._storage.database.query(
            "SELECT * FROM newest_annotations WHERE cx IS NOT NULL"
            + ("" if frame_id is None else " AND frame_id = ?"),
            () if frame_id is None else (frame_id,),
        )
        frames = self._frames.by_id()
        return {
            frame.id: annotation
            for annotation in self._storage.read("annotations", rows, _annotation)
            if (frame := frames.get(annotation.frame_id)) is not None and frame.kind == "real"
        }

    def revisions(self, frame_id: str) -> list[Annotation]:
        """All annotations that the frame ever had, oldest first."""
        sql = "SELECT * FROM annotations WHERE frame_id = ? ORDER BY revision"
        rows = self._storage.database.query(sql, (frame_id,))
        return self._storage.read("annotations", rows, _annotation)

    def check(self, doubtful: Iterable[sqlite3.Row]) -> None:
        """Read the rows of :data:`DOUBTFUL_ANNOTATIONS`, so that the damaged ones are known."""
        self._storage.read("annotations", doubtful, _annotation)


def _annotation(row: sqlite3.Row) -> Annotation:
    return Annotation(
        frame_id=frame_id_of(row, "frame_id"),
        revision=whole(row, "revision"),
        ellipse=ellipse_of(row),
        author=text(row, "author"),
        state=word(row, "state", _STATES),
        confidence=optional(share, row, "confidence"),
        created_at=moment(row, "created_at"),
    )
