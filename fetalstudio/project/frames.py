"""The frames of a project: pictures, and what is known of their scale and origin."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Literal

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.project.pixels import Pixels, Staging, picture_id
from fetalstudio.project.records import Frame
from fetalstudio.project.storage import Storage, now

Kind = Literal["real", "synthetic"]

_FRAMES = """SELECT frames.*, c.mm_per_px_x, c.mm_per_px_y, c.source,
        (SELECT json_group_object(name, value) FROM newest_labels WHERE frame_id = frames.id)
        AS labels
    FROM frames LEFT JOIN newest_calibrations AS c ON c.frame_id = frames.id"""


class Frames:
    """The frames of a project, with their calibration and labels."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def add(
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
        (``name-2``). Raises :class:`InputError` for the size or an empty name, cohort or subject.
        """
        frame_id = picture_id(pixels)
        with self._storage.transaction():
            held = self.find(frame_id)
            if held is not None:
                return held, False
            self._storage.write_picture(frame_id, pixels)
            height, width = pixels.shape
            self._insert(frame_id, (width, height), name, cohort, subject, calibration, kind)
            return self.get(frame_id), True

    def staging(self) -> AbstractContextManager[Staging]:
        """A place for pictures on their way in; :meth:`add_staged` takes them from there."""
        return self._storage.pictures.staging()

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
        """Like :meth:`add` for a picture of ``size`` (width, height) staged before."""
        with self._storage.transaction():
            held = self.find(frame_id)
            if held is not None:
                return held, False
            self._storage.unsettled.append(frame_id)
            staging.place(frame_id)
            self._insert(frame_id, size, name, cohort, subject, calibration, "real")
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
            "SELECT id FROM frames WHERE kind = 'real' AND id >= ? AND id < ? LIMIT 2",
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
        return [_frame(row) for row in self._storage.database.query(sql, values)]

    def cohorts(self) -> list[str]:
        """The names of the cohorts with real frames, sorted."""
        sql = "SELECT DISTINCT cohort FROM frames WHERE kind = 'real' ORDER BY cohort"
        return [row["cohort"] for row in self._storage.database.query(sql)]

    def pixels(self, frame_id: str) -> Pixels:
        """The picture, (H, W) uint8. Raises :class:`UserError` if its file is gone or changed."""
        return self._storage.pictures.read(frame_id)

    def path(self, frame_id: str) -> Path:
        """The picture's PNG file, to be read only."""
        return self._storage.pictures.path(frame_id)

    def set_calibration(self, frame_id: str, calibration: Calibration | None) -> None:
        """From now on the frame has this calibration, or none; earlier ones are kept."""
        with self._storage.transaction():
            self.get(frame_id)
            self._append_calibration(frame_id, calibration)

    def set_labels(self, frame_id: str, labels: Mapping[str, str]) -> None:
        """From now on the frame has these labels, beside those of other names."""
        with self._storage.transaction():
            held = self.get(frame_id).labels
            for name, value in labels.items():
                if held.get(name) == value:
                    continue
                row = self._storage.database.one(
                    "SELECT max(revision) FROM labels WHERE frame_id = ? AND name = ?",
                    (frame_id, name),
                )
                self._storage.database.insert(
                    "labels",
                    frame_id=frame_id,
                    name=name,
                    revision=1 + ((row and row[0]) or 0),
                    value=value,
                    created_at=now(),
                )

    def find(self, frame_id: str) -> Frame | None:
        """The frame of this id, or None."""
        row = self._storage.database.one(f"{_FRAMES} WHERE frames.id = ?", (frame_id,))
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
                raise InputError(f"A frame needs a {word}; it is empty. Give one.")
        self._storage.database.insert(
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
        self._storage.database.insert(
            "calibrations",
            frame_id=frame_id,
            revision=self._storage.next_revision("calibrations", "frame_id", frame_id),
            mm_per_px_x=calibration and float(calibration.mm_per_px_x),
            mm_per_px_y=calibration and float(calibration.mm_per_px_y),
            source=calibration and calibration.source,
            created_at=now(),
        )

    def _free_name(self, name: str, cohort: str) -> str:
        free, number = name, 1
        sql = "SELECT 1 FROM frames WHERE cohort = ? AND name = ?"
        while self._storage.database.one(sql, (cohort, free)):
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
