"""Trainings: what went in, how they went, and how they ended."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from fetalstudio.core.errors import UserError
from fetalstudio.core.words import quoted
from fetalstudio.project.store.locks import Lock
from fetalstudio.project.store.records import Run, RunState
from fetalstudio.project.store.rows import mapping, moment, optional, text, whole, word
from fetalstudio.project.store.storage import Storage, now, to_json

_STATES: tuple[RunState, ...] = get_args(RunState)


class Runs:
    """The runs of a project.

    The process of a run holds a lock file until the run ends, so that :meth:`fail_crashed`
    can tell a run that crashed from one that another process is busy with.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._locks: dict[int, Lock] = {}

    def start(self, name: str, settings: Mapping[str, Any], data: Mapping[str, Any]) -> Run:
        """A new run in state ``running``, until :meth:`update` gives it another."""
        with self._storage.transaction():
            run_id = self._storage.database.insert(
                "runs",
                name=name,
                state="running",
                settings=to_json(settings),
                data=to_json(data),
                started_at=now(),
            )
            lock = self._lock(run_id)
            lock.acquire()
            self._locks[run_id] = lock
            return self.get(run_id)

    def resume(self, run_id: int, *, name: str | None = None) -> Run | None:
        """Take up a run that did not finish, under a new ``name`` if one is given.

        None where a process is still busy with it, or has finished it in the meantime.
        """
        lock = self._lock(run_id)
        if run_id in self._locks or not lock.acquire():
            return None
        with self._storage.transaction():
            if self.get(run_id).state == "finished":
                lock.remove()
                return None
            if name is not None:
                sql = "UPDATE runs SET name = ? WHERE id = ?"
                self._storage.database.execute(sql, (name, run_id))
            self._locks[run_id] = lock
            return self.update(run_id, state="running")

    def update(
        self,
        run_id: int,
        *,
        state: RunState | None = None,
        history_entry: Mapping[str, Any] | None = None,
        verdict: Mapping[str, Any] | None = None,
    ) -> Run:
        """Add an epoch's figures, the verdict, or the state in which the run ended."""
        with self._storage.transaction():
            self.get(run_id)  # raises where there is none
            if history_entry is not None:
                entry = self._storage.next_revision("run_history", column="entry", run_id=run_id)
                figures = to_json(history_entry)
                self._storage.database.insert(
                    "run_history", run_id=run_id, entry=entry, figures=figures
                )
            if verdict is not None:
                sql = "UPDATE runs SET verdict = ? WHERE id = ?"
                self._storage.database.execute(sql, (to_json(verdict), run_id))
            if state is not None:
                sql = "UPDATE runs SET state = ?, ended_at = ? WHERE id = ?"
                ended_at = None if state == "running" else now()
                self._storage.database.execute(sql, (state, ended_at, run_id))
            run = self.get(run_id)
        if run.state != "running" and run_id in self._locks:
            self._locks.pop(run_id).remove()
        return run

    def get(self, run_id: int) -> Run:
        """Raises :class:`UserError` if there is none of this id."""
        row = self._storage.database.one("SELECT * FROM runs WHERE id = ?", (run_id,))
        sql = "SELECT * FROM run_history WHERE run_id = ? ORDER BY entry"
        history = self._history(self._storage.database.query(sql, (run_id,)))
        run = self._storage.read_one("runs", row, lambda row: _run(row, history))
        if run is None:
            raise UserError(
                f"{self._storage.path} holds no run {run_id}. Those that it holds are listed in "
                f"Train, and by fetalstudio runs {quoted(self._storage.path)}."
            )
        return run

    def all(self) -> list[Run]:
        """The newest first."""
        query = self._storage.database.query
        history = self._history(query("SELECT * FROM run_history ORDER BY run_id, entry"))
        rows = query("SELECT * FROM runs ORDER BY id DESC")
        return self._storage.read("runs", rows, lambda row: _run(row, history))

    def fail_crashed(self, *, cancelled: int | None = None) -> list[Run]:
        """Mark the runs as failed that say ``running`` but whose process is gone.

        The run with the id ``cancelled`` is marked as cancelled: its process was ended because it
        did not stop in time.
        """
        crashed = []
        for run in self.all():
            if run.state != "running" or run.id in self._locks:
                continue
            lock = self._lock(run.id)
            if lock.acquire():
                state: RunState = "cancelled" if run.id == cancelled else "failed"
                crashed.append(self.update(run.id, state=state))
                lock.remove()
        return crashed

    def _lock(self, run_id: int) -> Lock:
        return Lock(self._storage.path / f".run-{run_id}.lock")

    def _history(self, rows: Sequence[sqlite3.Row]) -> dict[int, list[dict[str, Any]]]:
        """The entries of each run, by its id."""
        entries = self._storage.read(
            "run_history", rows, lambda row: (whole(row, "run_id"), mapping(row, "figures"))
        )
        history: dict[int, list[dict[str, Any]]] = {}
        for run_id, figures in entries:
            history.setdefault(run_id, []).append(figures)
        return history

    def close(self) -> None:
        """Release the runs of this process; one that has not ended counts as crashed."""
        for lock in self._locks.values():
            lock.release()
        self._locks.clear()


def _run(row: sqlite3.Row, history: Mapping[int, Sequence[Mapping[str, Any]]]) -> Run:
    return Run(
        id=whole(row, "id"),
        name=text(row, "name"),
        state=word(row, "state", _STATES),
        settings=mapping(row, "settings"),
        data=mapping(row, "data"),
        history=_in_order(history.get(row["id"], ())),
        verdict=optional(mapping, row, "verdict"),
        started_at=moment(row, "started_at"),
        ended_at=optional(moment, row, "ended_at"),
    )


def _in_order(entries: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Entries by epoch or step; of one that a resumed run did again, the last.

    A run that was killed goes on from its last checkpoint, which may be older than its last entry.
    """
    for key in ("epoch", "step"):
        if entries and all(isinstance(entry.get(key), int) for entry in entries):
            last = {entry[key]: entry for entry in entries}
            return tuple(last[number] for number in sorted(last))
    return tuple(entries)
