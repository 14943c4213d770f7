"""The models that a project holds, and which of them is in use."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, get_args

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.formats.files import is_inside
from fetalstudio.project.store.records import ModelRecord
from fetalstudio.project.store.rows import mapping, optional, path_inside, text, whole, word
from fetalstudio.project.store.storage import Storage, now, remove_folder, to_json

ModelKind = Literal["synthesizer", "segmenter"]

BUILT_IN = "compact"
"""The name of the built-in model of either kind."""


_MODELS = "SELECT * FROM models WHERE (kind, name) NOT IN (SELECT kind, name FROM removed_models)"


@dataclass(frozen=True, slots=True)
class _Adoption:
    id: int | None
    name: str | None
    """None is the built-in model."""
    previous: int | None


_NONE = _Adoption(None, None, None)


class Models:
    """The models of a project, and the log of which one was adopted when."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def add(
        self,
        name: str,
        kind: ModelKind,
        path: str | PurePosixPath,
        *,
        run_id: int | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> ModelRecord:
        """Register the model folder ``path``, relative to the project's folder and inside it.

        Raises :class:`InputError` for a name that is taken (``compact`` always is) or another path.
        """
        relative = PurePosixPath(path)
        if not is_inside(relative):
            raise InputError(f"The model folder {path} must lie inside the project. Move it there.")
        with self._storage.transaction():
            sql = "SELECT 1 FROM models WHERE kind = ? AND name = ?"
            if name == BUILT_IN or self._storage.database.one(sql, (kind, name)):
                raise InputError(f"There already is a {kind} named {name}. Choose another name.")
            self._storage.database.insert(
                "models",
                kind=kind,
                name=name,
                path=relative.as_posix(),
                run_id=run_id,
                metrics=to_json(metrics or {}),
                created_at=now(),
            )
            return self.get(kind, name)

    def get(self, kind: ModelKind, name: str) -> ModelRecord:
        """Raises :class:`InputError`, with the names there are, if there is none of this name."""
        found = self._find(kind, name)
        if found is None:
            names = ", ".join([BUILT_IN, *(model.name for model in self.all(kind))])
            raise InputError(f"{self._storage.path} holds no {kind} named {name}. It has: {names}.")
        return found

    def all(self, kind: ModelKind | None = None) -> list[ModelRecord]:
        """The project's own models, the newest first."""
        rows = self._storage.database.query(
            f"{_MODELS} AND (?1 IS NULL OR kind = ?1) ORDER BY created_at DESC", (kind,)
        )
        adopted = {one: self._adoption(one).name for one in get_args(ModelKind)}
        return self._storage.read("models", rows, lambda row: _record(row, adopted))

    def removed(self, kind: str | None = None) -> set[str]:
        """The names of the models that were removed, which are not given again."""
        rows = self._storage.database.query(
            "SELECT name FROM removed_models WHERE ?1 IS NULL OR kind = ?1", (kind,)
        )
        return set(self._storage.read("models", rows, lambda row: text(row, "name")))

    def remove(self, kind: ModelKind, name: str) -> None:
        """Delete a model's folder for good. Where it is in use, the built-in one is used instead.

        Its name is not given again: pairs and runs refer to it. Raises :class:`InputError` as
        :meth:`get`, and :class:`UserError` where the folder cannot be deleted.
        """
        with self._storage.transaction():
            record = self.get(kind, name)
            if record.active:
                self.adopt(kind, None)
            self._storage.database.insert("removed_models", kind=kind, name=name, removed_at=now())
            remove_folder(self._storage.path / record.path)

    def active(self, kind: ModelKind) -> ModelRecord | None:
        """The adopted model, or None where the built-in one is used."""
        adopted = self._adoption(kind).name
        return None if adopted is None else self._find(kind, adopted)

    def adopt(self, kind: ModelKind, name: str | None) -> None:
        """Use this model from now on; ``None`` or ``compact`` is the built-in one."""
        with self._storage.transaction():
            own = None if name in (None, BUILT_IN) else self.get(kind, str(name)).name
            before = self._adoption(kind)
            if own != before.name:
                self._adopt(kind, own, before.id)

    def roll_back(self, kind: ModelKind) -> ModelRecord | None:
        """Undo the last adoption that is not undone; returns the model that is in use afterwards.

        Raises :class:`UserError` where there is none to undo.
        """
        with self._storage.transaction():
            current = self._adoption(kind)
            if current.name is None and current.previous is None:
                raise UserError(f"The built-in {kind} is in use; there is nothing to go back to.")
            sql = "SELECT * FROM adoptions WHERE id = ?"
            rows = self._storage.database.query(sql, (current.previous,))
            before = next(iter(self._storage.read("adoptions", rows, _adoption)), _NONE)
            self._adopt(kind, before.name, before.previous)
            return self.active(kind)

    def _adopt(self, kind: ModelKind, name: str | None, previous: int | None) -> None:
        self._storage.database.insert(
            "adoptions", kind=kind, name=name, previous=previous, created_at=now()
        )

    def _adoption(self, kind: ModelKind) -> _Adoption:
        """The last one; a damaged one counts for nothing."""
        sql = "SELECT * FROM adoptions WHERE kind = ? ORDER BY id DESC LIMIT 1"
        rows = self._storage.database.query(sql, (kind,))
        return next(iter(self._storage.read("adoptions", rows, _adoption)), _NONE)

    def _find(self, kind: ModelKind, name: str) -> ModelRecord | None:
        sql = f"{_MODELS} AND kind = ? AND name = ?"
        row = self._storage.database.one(sql, (kind, name))
        adopted = {kind: self._adoption(kind).name}
        return self._storage.read_one("models", row, lambda row: _record(row, adopted))


def _adoption(row: sqlite3.Row) -> _Adoption:
    return _Adoption(
        whole(row, "id"), optional(text, row, "name"), optional(whole, row, "previous")
    )


def _record(row: sqlite3.Row, adopted: Mapping[ModelKind, str | None]) -> ModelRecord:
    kind = word(row, "kind", tuple(adopted))
    name = text(row, "name")
    return ModelRecord(
        name=name,
        kind=kind,
        path=path_inside(row, "path"),
        run_id=optional(whole, row, "run_id"),
        active=adopted[kind] == name,
        metrics=mapping(row, "metrics"),
    )
