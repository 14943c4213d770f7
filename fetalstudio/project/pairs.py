"""Synthetic pairs and the log of their reviews."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, get_args

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.formats.pictures.synthetic_notes import SyntheticNote
from fetalstudio.project.frames import REMOVE_FRAMES, Frames, Logged
from fetalstudio.project.staging import Staging
from fetalstudio.project.store.pixels import Pixels, picture_id
from fetalstudio.project.store.records import (
    SYNTHESIZER,
    SYNTHETIC_COHORT,
    Frame,
    Pair,
    ReviewState,
)
from fetalstudio.project.store.rows import (
    drawn_ellipse,
    ellipse_of,
    figures,
    frame_id_of,
    mapping,
    moment,
    text,
    whole,
    word,
)
from fetalstudio.project.store.schema import CURRENT_PAIRS
from fetalstudio.project.store.storage import Storage, ellipse_columns, now, to_json

_STATES: tuple[ReviewState, ...] = get_args(ReviewState)
_PAIRS = f"""SELECT pairs.*, coalesce(r.state, 'pending') AS state, r.reviewer,
        r.cx AS label_cx, r.cy AS label_cy, r.a AS label_a, r.b AS label_b,
        r.angle_deg AS label_angle_deg, r.created_at AS reviewed_at
    FROM {CURRENT_PAIRS} LEFT JOIN newest_reviews AS r ON r.pair_id = pairs.id"""


class SameAsRealError(UserError):
    """A picture that is said to be synthetic is, pixel by pixel, a real frame of the project."""


class Pairs:
    """The pairs of a project."""

    def __init__(self, storage: Storage, frames: Frames) -> None:
        self._storage, self._frames = storage, frames

    def add(
        self,
        pixels: Pixels,
        *,
        name: str,
        ellipse: Ellipse,
        cohort: str,
        calibration: Calibration | None,
        quality: Mapping[str, float],
        provenance: Mapping[str, Any],
        label: Ellipse | None = None,
    ) -> Pair:
        """Keep a synthetic picture with the ellipse that it was asked to show, to be reviewed.

        ``label`` is the ellipse that the picture shows, where the synthesizer knows that it differs
        from the requested one. It becomes the pair's ellipse, as a reviewer's correction would. The
        picture's file says how it was made.

        The same picture again (same seed, same ellipse) is the pair that is already there, with
        its review. Raises :class:`SameAsRealError`.
        """
        frame_id = picture_id(pixels)
        with self._storage.transaction():
            held = self._held(frame_id, name)
            if held is not None:
                return held
            note = SyntheticNote(label or ellipse, ellipse, False, calibration, quality, provenance)
            pair_id = self._next_id()
            self._frames.add(
                pixels,
                name=name,
                cohort=cohort,
                subject=_subject(pair_id),
                calibration=calibration,
                kind="synthetic",
                note=note.text(),
            )
            return self._insert(pair_id, frame_id, note, SYNTHESIZER)

    def add_staged(
        self,
        staging: Staging,
        frame_id: str,
        size: tuple[int, int],
        note: SyntheticNote,
        *,
        name: str,
        reviewer: str,
        amendment: Logged | None = None,
    ) -> tuple[Pair, bool]:
        """Like :meth:`add` for a pair from a file, whose picture of ``size`` was staged before.

        ``reviewer`` is who has moved the ellipse where the file says that a person did. Returns the
        pair, which is to be reviewed, and whether it is new.
        """
        with self._storage.transaction():
            held = self._held(frame_id, name)
            if held is not None:
                return held, False
            pair_id = self._next_id()
            self._frames.add_staged(
                staging,
                frame_id,
                size,
                name=name,
                cohort=SYNTHETIC_COHORT,
                subject=_subject(pair_id),
                calibration=note.calibration,
                kind="synthetic",
                amendment=amendment,
            )
            by = reviewer if note.corrected else SYNTHESIZER
            return self._insert(pair_id, frame_id, note, by), True

    def _held(self, frame_id: str, name: str) -> Pair | None:
        """The pair with this picture, if there is one; raises as :meth:`add`."""
        held = self._frames.find(frame_id)
        if held is None:
            return None
        if held.kind == "real":
            raise SameAsRealError(
                f"The synthetic picture {name} is the same as the real frame {held.name}. If "
                f"that frame is synthetic, remove it ({REMOVE_FRAMES})."
            )
        sql = "SELECT id FROM pairs WHERE frame_id = ?"
        return self.get(self._storage.database.query(sql, (frame_id,))[0]["id"])

    def _next_id(self) -> int:
        last = self._storage.database.query(
            "SELECT max(id) FROM (SELECT id FROM pairs UNION ALL SELECT id FROM purged_pairs)"
        )[0][0]
        return 1 + int(last or 0)

    def _insert(self, pair_id: int, frame_id: str, note: SyntheticNote, labelled_by: str) -> Pair:
        self._storage.database.insert(
            "pairs",
            id=pair_id,
            frame_id=frame_id,
            **ellipse_columns(note.requested),
            dice=_rank(note.quality),
            quality=to_json(note.quality),
            provenance=to_json(note.provenance),
            created_at=now(),
        )
        if note.ellipse == note.requested:
            return self.get(pair_id)
        return self.review(pair_id, "pending", reviewer=labelled_by, ellipse=note.ellipse)

    def get(self, pair_id: int) -> Pair:
        """Raises :class:`UserError` if the project does not hold it."""
        row = self._storage.database.one(f"{_PAIRS} WHERE pairs.id = ?", (pair_id,))
        frames = {} if row is None else {row["frame_id"]: self._frames.get(row["frame_id"])}
        pair = self._storage.read_one("pairs", row, lambda row: self._pair(row, frames))
        if pair is None:
            raise UserError(f"{self._storage.path} holds no pair {pair_id}. Synthesise it first.")
        return pair

    def all(self, *, state: ReviewState | None = None) -> list[Pair]:
        """All pairs, the worst first: by Dice, or by the outline's score where that is lower. Pairs
        without a Dice come first."""
        # A missing Dice is NULL, and so is NaN; NULL sorts first.
        rows = self._storage.database.query(
            f"{_PAIRS} WHERE ?1 IS NULL OR coalesce(r.state, 'pending') = ?1"
            " ORDER BY dice, pairs.id",
            (state,),
        )
        frames = {frame.id: frame for frame in self._frames.all(kind="synthetic")}
        pairs = self._storage.read("pairs", rows, lambda row: self._pair(row, frames))
        return [pair for pair in pairs if state in (None, pair.state)]

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

    def review(
        self,
        pair_id: int,
        state: ReviewState,
        *,
        reviewer: str,
        ellipse: Ellipse | None = None,
    ) -> Pair:
        """Append a review. ``ellipse`` corrects the label; without it the label stays as it is.

        To undo a review, give the state and the ellipse of before. Raises :class:`UserError` for
        a pair that is not held, such as one whose frame was removed.
        """
        with self._storage.transaction():
            held = self.get(pair_id)
            label = ellipse or held.ellipse
            self._storage.database.insert(
                "reviews",
                pair_id=pair_id,
                revision=self._storage.next_revision("reviews", pair_id=pair_id),
                state=state,
                **ellipse_columns(label),
                reviewer=reviewer,
                created_at=now(),
            )
            return self.get(pair_id)

    def _pair(self, row: sqlite3.Row, frames: Mapping[str, Frame]) -> Pair:
        requested = drawn_ellipse(row)
        # A damaged review costs the review: the pair waits again.
        reviews = [] if row["reviewer"] is None else self._storage.read("reviews", [row], _review)
        state, label, reviewer, reviewed_at = reviews[0] if reviews else _NO_REVIEW
        pair = Pair(
            id=whole(row, "id"),
            frame=frames[row["frame_id"]],
            ellipse=label or requested,
            requested=requested,
            state=state,
            quality=figures(row, "quality"),
            provenance=mapping(row, "provenance"),
            reviewer=reviewer,
            reviewed_at=reviewed_at,
            created_at=moment(row, "created_at"),
        )
        # Computed from the provenance: reading them now finds what is damaged in it.
        _ = pair.found, pair.copy
        return pair


_Review = tuple[ReviewState, Ellipse | None, str | None, datetime | None]
_NO_REVIEW: _Review = ("pending", None, None, None)


def _review(row: sqlite3.Row) -> _Review:
    return (
        word(row, "state", _STATES),
        ellipse_of(row, "label_"),
        text(row, "reviewer"),
        moment(row, "reviewed_at"),
    )


def _subject(pair_id: int) -> str:
    """No pair shares a subject with a patient."""
    return f"synthetic:{pair_id}"


def _rank(quality: Mapping[str, float]) -> float | None:
    """A pair's place in the queue: a doubtful label must be looked at, whatever its Dice."""
    dice = quality.get("dice")
    return None if dice is None else min(dice, quality.get("outline_score", dice))
