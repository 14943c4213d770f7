"""Batches: which pairs were asked for and which are made, so that a crash loses little work."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fetalstudio.core.errors import UserError
from fetalstudio.project.store.locks import Lock
from fetalstudio.project.store.records import Batch, BatchItem
from fetalstudio.project.store.rows import (
    calibration_of,
    drawn_ellipse,
    ellipse_of,
    file_name,
    frame_id_of,
    mapping,
    moment,
    optional,
    text,
    whole,
)
from fetalstudio.project.store.storage import Storage, ellipse_columns, now, to_json

_BATCHES = """SELECT batches.*,
        (SELECT count(*) FROM current_batch_items WHERE batch_id = id) AS wanted,
        (SELECT count(*) FROM current_batch_pairs WHERE batch_id = id) AS done
    FROM batches"""


class Batches:
    """The batches of a project.

    All that a batch is to make is written down before it makes anything. The process that works on
    it holds its lock file, which the system drops when the process dies. Items that take their
    sector from a frame that was removed are no longer part of their batch.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def start(self, settings: Mapping[str, Any], items: Sequence[BatchItem]) -> Batch:
        """Write down a new batch; ``items`` are numbered 0, 1, ... in their order."""
        with self._storage.transaction():
            batch_id = self._storage.database.insert(
                "batches", settings=to_json(settings), started_at=now()
            )
            for item in items:
                c = item.calibration
                self._storage.database.insert(
                    "batch_items",
                    batch_id=batch_id,
                    number=item.number,
                    name=item.name,
                    **ellipse_columns(item.ellipse),
                    width=item.size[0],
                    height=item.size[1],
                    source_frame=item.source_frame,
                    **ellipse_columns(item.replaces, "replaces_"),
                    mm_per_px_x=c and float(c.mm_per_px_x),
                    mm_per_px_y=c and float(c.mm_per_px_y),
                    seed=item.seed,
                    style=item.style,
                )
            return self.get(batch_id)

    def get(self, batch_id: int) -> Batch:
        """Raises :class:`UserError` if there is none of this id."""
        row = self._storage.database.one(f"{_BATCHES} WHERE id = ?", (batch_id,))
        batch = self._storage.read_one("batches", row, _batch)
        if batch is None:
            raise UserError(f"{self._storage.path} holds no batch {batch_id}. Make a new one.")
        return batch

    def seeds(self) -> set[int]:
        """The seeds of all batches. A seed that is not among them draws other heads."""
        rows = self._storage.database.query(_BATCHES)
        seeds = (b.settings.get("seed") for b in self._storage.read("batches", rows, _batch))
        return {seed for seed in seeds if isinstance(seed, int)}

    def unfinished(self) -> list[Batch]:
        """The batches that were stopped, failed or crashed and not dropped, the newest first.

        A batch that a process is busy with is not among them.
        """
        rows = self._storage.database.query(
            f"{_BATCHES} WHERE dropped_at IS NULL AND wanted > done ORDER BY id DESC"
        )
        batches = self._storage.read("batches", rows, _batch)
        return [batch for batch in batches if not self._busy(batch.id)]

    def items(self, batch_id: int) -> list[BatchItem]:
        """All that a batch is to make, in its order."""
        sql = "SELECT * FROM current_batch_items WHERE batch_id = ? ORDER BY number"
        rows = self._storage.database.query(sql, (batch_id,))
        return self._storage.read("batch_items", rows, _item)

    def made(self, batch_id: int) -> dict[int, int]:
        """The pairs that a batch made: item number to pair id, in its order."""
        sql = "SELECT number, pair_id FROM current_batch_pairs WHERE batch_id = ? ORDER BY number"
        rows = self._storage.database.query(sql, (batch_id,))
        return {row["number"]: row["pair_id"] for row in rows}

    def check(self) -> None:
        """Read every batch and item, so that the damaged ones are known."""
        query = self._storage.database.query
        self._storage.read("batches", query(_BATCHES), _batch)
        self._storage.read("batch_items", query("SELECT * FROM batch_items"), _item)

    def mark_made(self, batch_id: int, number: int, pair_id: int) -> None:
        """Record that an item is made. Call it in the transaction that adds the pair."""
        self._storage.database.insert(
            "batch_pairs", batch_id=batch_id, number=number, pair_id=pair_id
        )

    def drop(self, batch_id: int, *, dropped: bool = True) -> None:
        """Leave a batch unfinished: it is no longer offered. Its pairs stay. ``dropped=False``
        offers it again."""
        sql = "UPDATE batches SET dropped_at = ? WHERE id = ?"
        self._storage.database.execute(sql, (now() if dropped else None, batch_id))

    @contextlib.contextmanager
    def lock(self, batch_id: int) -> Iterator[None]:
        """Held while a process makes a batch. Raises :class:`UserError` where another does."""
        lock = self._lock(batch_id)
        # A process that only checks whether the lock is free holds it for a moment.
        otherwise = f"Batch {batch_id} is being made by another FetalStudio. Let it end."
        with lock.held(otherwise, wait_s=2.0):
            try:
                yield
            finally:
                batch = self.get(batch_id)
                if batch.done == batch.wanted:
                    lock.remove()

    def _busy(self, batch_id: int) -> bool:
        lock = self._lock(batch_id)
        free = lock.acquire()
        if free:
            lock.release()
        return not free

    def _lock(self, batch_id: int) -> Lock:
        return Lock(self._storage.path / f".batch-{batch_id}.lock")


def _batch(row: sqlite3.Row) -> Batch:
    return Batch(
        id=whole(row, "id"),
        settings=mapping(row, "settings"),
        wanted=row["wanted"],
        done=row["done"],
        started_at=moment(row, "started_at"),
        dropped_at=optional(moment, row, "dropped_at"),
    )


def _item(row: sqlite3.Row) -> BatchItem:
    return BatchItem(
        number=whole(row, "number"),
        # Pairs can also be written as files of these names.
        name=file_name(row, "name"),
        ellipse=drawn_ellipse(row),
        size=(whole(row, "width"), whole(row, "height")),
        source_frame=optional(frame_id_of, row, "source_frame"),
        calibration=calibration_of(row, "inherited"),
        seed=whole(row, "seed"),
        style=text(row, "style"),
        replaces=ellipse_of(row, "replaces_"),
    )
