"""Trainings: what went in, how they went, and how they ended."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fetalstudio.core.errors import UserError
from fetalstudio.project.locks import Lock
from fetalstudio.project.records import Run, RunState
from fetalstudio.project.storage import Storage, now, to_json


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
            entry = 1 + len(self.get(run_id).history)
            if history_entry is not None:
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
        if row is None:
            raise UserError(
                f"{self._storage.path} holds no run {run_id}. Look it up in the list of runs."
            )
        return self._run(row)

    def all(self) -> list[Run]:
        """The newest first."""
        return [
            self._run(row)
            for row in self._storage.database.query("SELECT * FROM runs ORDER BY id DESC")
        ]

    def fail_crashed(self) -> list[Run]:
        """Mark the runs as failed that say ``running`` but whose process is gone."""
        crashed = []
        for run in self.all():
            if run.state != "running" or run.id in self._locks:
                continue
            lock = self._lock(run.id)
            if lock.acquire():
                crashed.append(self.update(run.id, state="failed"))
                lock.remove()
        return crashed

    def _lock(self, run_id: int) -> Lock:
        return Lock(self._storage.path / f".run-{run_id}.lock")

    def _run(self, row: sqlite3.Row) -> Run:
        sql = "SELECT figures FROM run_history WHERE run_id = ? ORDER BY entry"
        history = self._storage.database.query(sql, (row["id"],))
        ended_at = row["ended_at"]
        return Run(
            id=row["id"],
            name=row["name"],
            state=row["state"],
            settings=json.loads(row["settings"]),
            data=json.loads(row["data"]),
            history=tuple(json.loads(entry["figures"]) for entry in history),
            verdict=None if row["verdict"] is None else json.loads(row["verdict"]),
            started_at=datetime.fromisoformat(row["started_at"]),
            ended_at=None if ended_at is None else datetime.fromisoformat(ended_at),
        )

    def close(self) -> None:
        """Release the runs of this process; one that has not ended counts as crashed."""
        for lock in self._locks.values():
            lock.release()
        self._locks.clear()
