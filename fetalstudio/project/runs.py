"""Trainings, the models that came of them, and which model is in use."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from fetalstudio.core.errors import BadInput, UserError
from fetalstudio.project.base import Store, now, to_json
from fetalstudio.project.database import Database
from fetalstudio.project.locks import Lock
from fetalstudio.project.records import ModelRecord, Run, RunState

ModelKind = Literal["synthesizer", "segmenter"]

BUILT_IN = "compact"
"""The name of the built-in model of either kind."""


class RunStore(Store):
    """The runs and models of a project.

    The process of a run holds a lock file as long as the run goes on, so that :meth:`fail_crashed`
    can tell a run that crashed from one that another process is busy with.
    """

    def __init__(self, path: Path, database: Database) -> None:
        super().__init__(path, database)
        self._run_locks: dict[int, Lock] = {}

    # -- runs --------------------------------------------------------------------------------

    def start_run(self, name: str, settings: Mapping[str, Any], data: Mapping[str, Any]) -> Run:
        """A new run in state ``running``, until :meth:`update_run` gives it another."""
        with self.transaction():
            run_id = self._database.insert(
                "runs",
                name=name,
                state="running",
                settings=to_json(settings),
                data=to_json(data),
                started_at=now(),
            )
            lock = self._run_lock(run_id)
            lock.acquire()
            self._run_locks[run_id] = lock
            return self.run(run_id)

    def resume_run(self, run_id: int) -> Run | None:
        """Take up a run whose process is gone; None where one is still busy with it."""
        lock = self._run_lock(run_id)
        if run_id in self._run_locks or not lock.acquire():
            return None
        self._run_locks[run_id] = lock
        return self.update_run(run_id, state="running")

    def update_run(
        self,
        run_id: int,
        *,
        state: RunState | None = None,
        history_entry: Mapping[str, Any] | None = None,
        verdict: Mapping[str, Any] | None = None,
    ) -> Run:
        """Add an epoch's figures, the verdict, or the state in which the run ended."""
        with self.transaction():
            entry = 1 + len(self.run(run_id).history)
            if history_entry is not None:
                figures = to_json(history_entry)
                self._database.insert("run_history", run_id=run_id, entry=entry, figures=figures)
            if verdict is not None:
                sql = "UPDATE runs SET verdict = ? WHERE id = ?"
                self._database.execute(sql, (to_json(verdict), run_id))
            if state is not None:
                sql = "UPDATE runs SET state = ?, ended_at = ? WHERE id = ?"
                ended_at = None if state == "running" else now()
                self._database.execute(sql, (state, ended_at, run_id))
            run = self.run(run_id)
        if run.state != "running" and run_id in self._run_locks:
            self._run_locks.pop(run_id).remove()
        return run

    def run(self, run_id: int) -> Run:
        """Raises :class:`UserError` if there is none of this id."""
        row = self._database.one("SELECT * FROM runs WHERE id = ?", (run_id,))
        if row is None:
            raise UserError(f"{self.path} holds no run {run_id}. Look it up in the list of runs.")
        return self._run(row)

    def runs(self) -> list[Run]:
        """The newest first."""
        return [
            self._run(row) for row in self._database.query("SELECT * FROM runs ORDER BY id DESC")
        ]

    def fail_crashed(self) -> list[Run]:
        """Mark the runs as failed that say ``running`` but whose process is gone."""
        crashed = []
        for run in self.runs():
            if run.state != "running" or run.id in self._run_locks:
                continue
            lock = self._run_lock(run.id)
            if lock.acquire():
                crashed.append(self.update_run(run.id, state="failed"))
                lock.remove()
        return crashed

    def _run_lock(self, run_id: int) -> Lock:
        return Lock(self.path / f".run-{run_id}.lock")

    def _run(self, row: sqlite3.Row) -> Run:
        sql = "SELECT figures FROM run_history WHERE run_id = ? ORDER BY entry"
        history = self._database.query(sql, (row["id"],))
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

    # -- models ------------------------------------------------------------------------------

    def add_model(
        self,
        name: str,
        kind: ModelKind,
        path: str | PurePosixPath,
        *,
        run_id: int | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> ModelRecord:
        """Register the model folder ``path``, relative to the project's folder and inside it.

        Raises :class:`BadInput` for a name that is taken (``compact`` always is) or another path.
        """
        relative = PurePosixPath(path)
        if relative.is_absolute() or ".." in relative.parts:
            raise BadInput(f"The model folder {path} must lie inside the project. Move it there.")
        with self.transaction():
            if name == BUILT_IN or self._model(kind, name) is not None:
                raise BadInput(f"There already is a {kind} named {name}. Choose another name.")
            self._database.insert(
                "models",
                kind=kind,
                name=name,
                path=relative.as_posix(),
                run_id=run_id,
                metrics=to_json(metrics or {}),
                created_at=now(),
            )
            return self.model(kind, name)

    def model(self, kind: ModelKind, name: str) -> ModelRecord:
        """Raises :class:`BadInput`, with the names there are, if there is none of this name."""
        found = self._model(kind, name)
        if found is None:
            names = ", ".join([BUILT_IN, *(model.name for model in self.models(kind))])
            raise BadInput(f"{self.path} holds no {kind} named {name}. It has: {names}.")
        return found

    def models(self, kind: ModelKind | None = None) -> list[ModelRecord]:
        """The project's own models, the newest first."""
        rows = self._database.query(
            "SELECT * FROM models WHERE ?1 IS NULL OR kind = ?1 ORDER BY created_at DESC", (kind,)
        )
        return [self._record(row) for row in rows]

    def active_model(self, kind: ModelKind) -> ModelRecord | None:
        """The adopted model, or None where the built-in one is used."""
        adoption = self._adoption(kind)
        if adoption is None or adoption["name"] is None:
            return None
        return self.model(kind, adoption["name"])

    def adopt(self, kind: ModelKind, name: str | None) -> None:
        """Use this model from now on; ``None`` or ``compact`` is the built-in one."""
        with self.transaction():
            own = None if name in (None, BUILT_IN) else self.model(kind, str(name)).name
            before = self._adoption(kind)
            if own != (before["name"] if before else None):
                self._adopt(kind, own, before["id"] if before else None)

    def roll_back(self, kind: ModelKind) -> ModelRecord | None:
        """Undo the last adoption that is not undone; returns the model that is in use then.

        Raises :class:`UserError` where there is none to undo.
        """
        with self.transaction():
            current = self._adoption(kind)
            if current is None or (current["name"] is None and current["previous"] is None):
                raise UserError(f"The built-in {kind} is in use; there is nothing to go back to.")
            sql = "SELECT name, previous FROM adoptions WHERE id = ?"
            before = self._database.one(sql, (current["previous"],))
            name, previous = before or (None, None)
            self._adopt(kind, name, previous)
            return self.active_model(kind)

    def _adopt(self, kind: ModelKind, name: str | None, previous: int | None) -> None:
        self._database.insert(
            "adoptions", kind=kind, name=name, previous=previous, created_at=now()
        )

    def _adoption(self, kind: ModelKind) -> sqlite3.Row | None:
        sql = "SELECT * FROM adoptions WHERE kind = ? ORDER BY id DESC LIMIT 1"
        return self._database.one(sql, (kind,))

    def _model(self, kind: ModelKind, name: str) -> ModelRecord | None:
        sql = "SELECT * FROM models WHERE kind = ? AND name = ?"
        row = self._database.one(sql, (kind, name))
        return None if row is None else self._record(row)

    def _record(self, row: sqlite3.Row) -> ModelRecord:
        adoption = self._adoption(row["kind"])
        return ModelRecord(
            name=row["name"],
            kind=row["kind"],
            path=row["path"],
            run_id=row["run_id"],
            active=adoption is not None and adoption["name"] == row["name"],
            metrics=json.loads(row["metrics"]),
        )
