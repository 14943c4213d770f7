"""Frames, their calibration, and the annotations on them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Literal

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import BadInput, UserError
from fetalstudio.project.base import Store, ellipse_columns, ellipse_of, now
from fetalstudio.project.pixels import Pixels, Staging, picture_id
from fetalstudio.project.records import Annotation, AnnotationState, Frame

Kind = Literal["real", "synthetic"]

_FRAMES = """SELECT frames.*, c.mm_per_px_x, c.mm_per_px_y, c.source,
        (SELECT json_group_object(name, value) FROM newest_labels WHERE frame_id = frames.id)
        AS labels
    FROM frames LEFT JOIN newest_calibrations AS c ON c.frame_id = frames.id"""


class FrameStore(Store):
    """The frames of a project."""

    # -- frames ------------------------------------------------------------------------------

    def add_frame(
        self,
        pixels: Pixels,
        *,
        name: str,
        cohort: str,
        subject: str,
        calibration: Calibration | None = None,
        kind: Kind = "real",
    ) -> tuple[Frame, bool]:
        """Keep a picture, (H, W) uint8, 32 to 8192 px a side.

        Returns the frame and whether it is new: a picture that the project already holds stays as
        it is, under its first name and cohort. A name that is taken in the cohort gets a number
        (``name-2``). Raises :class:`BadInput` for the size or an empty name, cohort or subject.
        """
        frame_id = picture_id(pixels)
        with self.transaction():
            held = self._find(frame_id)
            if held is not None:
                return held, False
            self._write_picture(frame_id, pixels)
            height, width = pixels.shape
            self._insert(frame_id, (width, height), name, cohort, subject, calibration, kind)
            return self.frame(frame_id), True

    def staging(self) -> AbstractContextManager[Staging]:
        """A place for pictures on their way in; :meth:`add_staged` takes them from there."""
        return self._pictures.staging()

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
    ) -> tuple[Frame, bool]:
        """Like :meth:`add_frame` for a picture of ``size`` (width, height) staged before."""
        with self.transaction():
            held = self._find(frame_id)
            if held is not None:
                return held, False
            self._unsettled.append(frame_id)
            staging.place(frame_id)
            self._insert(frame_id, size, name, cohort, subject, calibration, "real")
            return self.frame(frame_id), True

    def frame(self, frame_id: str) -> Frame:
        """Raises :class:`UserError` if the project does not hold it."""
        found = self._find(frame_id)
        if found is None:
            raise UserError(f"{self.path} holds no frame {frame_id}. Import it first.")
        return found

    def real_frame(self, start: str) -> Frame | None:
        """The real frame whose id begins so (16 digits are enough), if the project holds it."""
        rows = self._database.query(
            "SELECT id FROM frames WHERE kind = 'real' AND id >= ? AND id < ? LIMIT 2",
            (start, start + "g"),
        )
        return self.frame(rows[0]["id"]) if len(rows) == 1 else None

    def frames(
        self,
        *,
        cohort: str | None = None,
        kind: Kind | None = "real",
        annotated: bool | None = None,
    ) -> list[Frame]:
        """By cohort and name; ``annotated``: only those with (without) an ellipse, in any state."""
        clauses, values = ["1"], []
        if cohort is not None:
            clauses.append("cohort = ?")
            values.append(cohort)
        if kind is not None:
            clauses.append("kind = ?")
            values.append(kind)
        if annotated is not None:
            negate = "" if annotated else "NOT"
            clauses.append(
                f"{negate} EXISTS (SELECT 1 FROM newest_annotations AS n"
                " WHERE n.frame_id = frames.id AND n.cx IS NOT NULL)"
            )
        sql = f"{_FRAMES} WHERE {' AND '.join(clauses)} ORDER BY cohort, name"
        return [_frame(row) for row in self._database.query(sql, values)]

    def cohorts(self) -> list[str]:
        """The names of the cohorts with real frames, sorted."""
        sql = "SELECT DISTINCT cohort FROM frames WHERE kind = 'real' ORDER BY cohort"
        return [row["cohort"] for row in self._database.query(sql)]

    def pixels(self, frame_id: str) -> Pixels:
        """The picture, (H, W) uint8. Raises :class:`UserError` if its file is gone or changed."""
        return self._pictures.read(frame_id)

    def frame_path(self, frame_id: str) -> Path:
        """The picture's PNG file, to be read only."""
        return self._pictures.path(frame_id)

    def set_calibration(self, frame_id: str, calibration: Calibration | None) -> None:
        """From now on the frame has this calibration, or none; earlier ones are kept."""
        with self.transaction():
            self.frame(frame_id)
            self._append_calibration(frame_id, calibration)

    def set_labels(self, frame_id: str, labels: Mapping[str, str]) -> None:
        """From now on the frame has these labels, beside those of other names."""
        with self.transaction():
            held = self.frame(frame_id).labels
            for name, value in labels.items():
                if held.get(name) == value:
                    continue
                row = self._database.one(
                    "SELECT max(revision) FROM labels WHERE frame_id = ? AND name = ?",
                    (frame_id, name),
                )
                self._database.insert(
                    "labels",
                    frame_id=frame_id,
                    name=name,
                    revision=1 + ((row and row[0]) or 0),
                    value=value,
                    created_at=now(),
                )

    # -- annotations -------------------------------------------------------------------------

    def annotate(
        self,
        frame_id: str,
        ellipse: Ellipse | None,
        *,
        author: str,
        state: AnnotationState,
        confidence: float | None = None,
    ) -> Annotation:
        """Append a revision; ``None`` records that the ellipse was removed.

        Raises :class:`UserError` for a frame that is not held, or a synthetic one (its label is
        corrected by a review of its pair).
        """
        with self.transaction():
            frame = self.frame(frame_id)
            if frame.kind != "real":
                raise UserError(f"{frame.name} is synthetic. Correct its ellipse in the review.")
            self._database.insert(
                "annotations",
                frame_id=frame_id,
                revision=self._next_revision("annotations", "frame_id", frame_id),
                **ellipse_columns(ellipse),
                author=author,
                state=state,
                confidence=None if confidence is None else min(max(float(confidence), 0.0), 1.0),
                created_at=now(),
            )
            return self.revisions(frame_id)[-1]

    def annotation(self, frame_id: str) -> Annotation | None:
        """The newest revision (its ellipse may be None: removed); None if there never was one."""
        row = self._database.one("SELECT * FROM newest_annotations WHERE frame_id = ?", (frame_id,))
        return None if row is None else _annotation(row)

    def annotations(self, cohort: str | None = None) -> dict[str, Annotation]:
        """The newest revision by frame id, of the frames that have an ellipse."""
        rows = self._database.query(
            """SELECT n.* FROM newest_annotations AS n JOIN frames ON frames.id = n.frame_id
            WHERE n.cx IS NOT NULL AND (?1 IS NULL OR frames.cohort = ?1)""",
            (cohort,),
        )
        return {row["frame_id"]: _annotation(row) for row in rows}

    def revisions(self, frame_id: str) -> list[Annotation]:
        """All annotations that the frame ever had, oldest first."""
        sql = "SELECT * FROM annotations WHERE frame_id = ? ORDER BY revision"
        return [_annotation(row) for row in self._database.query(sql, (frame_id,))]

    # -- shared with the pairs ---------------------------------------------------------------

    def _find(self, frame_id: str) -> Frame | None:
        row = self._database.one(f"{_FRAMES} WHERE frames.id = ?", (frame_id,))
        return None if row is None else _frame(row)

    def _insert(
        self,
        frame_id: str,
        size: tuple[int, int],
        name: str,
        cohort: str,
        subject: str,
        calibration: Calibration | None,
        kind: Kind,
    ) -> None:
        for word, text in (("name", name), ("cohort", cohort), ("subject", subject)):
            if not text.strip():
                raise BadInput(f"A frame needs a {word}; it is empty. Give one.")
        self._database.insert(
            "frames",
            id=frame_id,
            name=self._free_name(name, cohort),
            width=size[0],
            height=size[1],
            kind=kind,
            cohort=cohort,
            subject=subject,
            added_at=now(),
        )
        if calibration is not None:
            self._append_calibration(frame_id, calibration)

    def _append_calibration(self, frame_id: str, calibration: Calibration | None) -> None:
        self._database.insert(
            "calibrations",
            frame_id=frame_id,
            revision=self._next_revision("calibrations", "frame_id", frame_id),
            mm_per_px_x=calibration and float(calibration.mm_per_px_x),
            mm_per_px_y=calibration and float(calibration.mm_per_px_y),
            source=calibration and calibration.source,
            created_at=now(),
        )

    def _next_revision(self, table: str, key: str, value: str | int) -> int:
        row = self._database.one(f"SELECT max(revision) FROM {table} WHERE {key} = ?", (value,))
        return 1 + ((row and row[0]) or 0)

    def _free_name(self, name: str, cohort: str) -> str:
        free, number = name, 1
        sql = "SELECT 1 FROM frames WHERE cohort = ? AND name = ?"
        while self._database.one(sql, (cohort, free)):
            number += 1
            free = f"{name}-{number}"
        return free


def _frame(row: sqlite3.Row) -> Frame:
    calibration = None
    if row["source"] is not None:
        calibration = Calibration(row["mm_per_px_x"], row["mm_per_px_y"], row["source"])
    return Frame(
        id=row["id"],
        name=row["name"],
        width=row["width"],
        height=row["height"],
        kind=row["kind"],
        cohort=row["cohort"],
        subject=row["subject"],
        calibration=calibration,
        added_at=datetime.fromisoformat(row["added_at"]),
        labels=json.loads(row["labels"]),
    )


def _annotation(row: sqlite3.Row) -> Annotation:
    return Annotation(
        frame_id=row["frame_id"],
        revision=row["revision"],
        ellipse=ellipse_of(row),
        author=row["author"],
        state=row["state"],
        confidence=row["confidence"],
        created_at=datetime.fromisoformat(row["created_at"]),
    )
