"""Campaign ``damaged-database``: values and bytes of ``project.db`` are changed at random.

A damaged project must open without what is damaged, which it names, or be refused with a message.
It must never raise anything but :class:`UserError`, and the backup of before must stay.
"""

from __future__ import annotations

import contextlib
import random
import re
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.project.agreements import agreements
from fetalstudio.project.project import Project
from fetalstudio.project.removal import removal_effect
from fetalstudio.project.store.backups import DATABASE, all_backups
from fetalstudio.project.store.records import AnnotationState, BatchItem
from fetalstudio.studies.campaigns.campaign import Outcome
from fetalstudio.studies.campaigns.child import preload
from fetalstudio.studies.campaigns.damage import damage_bytes
from fetalstudio.studies.campaigns.damaged import DamagedInputs

_STATES: tuple[AnnotationState, ...] = ("proposed", "draft", "final")
_ELLIPSE = Ellipse(20.0, 20.0, 12.0, 9.0, 30.0)


class DamagedDatabase(DamagedInputs):
    """Damages the database of a small project, and uses the project."""

    def make(self, folder: Path) -> None:
        preload(("fetalstudio.studies.campaigns.damaged_database",))
        make_project(folder)

    def damage(self, folder: Path, chance: random.Random) -> str:
        path = folder / DATABASE
        damage = chance.choice((_damage_value, _damage_value, damage_bytes, _damage_definition))
        return damage(path, chance)

    def use(self, folder: Path) -> Outcome:
        (backup,) = all_backups(folder)
        before = backup.path.read_bytes()
        named: list[str] = []
        try:
            with Project.open(folder) as project:
                named = project.check()
                project.recover()
                use(project)
        except UserError as error:
            if not str(error).strip():
                return Outcome("failed", ("an empty message",))
            text = "refused with a message" if not named else "opened, rows named, a step refused"
        else:
            text = "opened, rows named" if named else "opened whole"
        found = []
        if not backup.path.is_file() or backup.path.read_bytes() != before:
            found.append("the backup changed")
        if named and len(all_backups(folder)) > 1:
            found.append("a backup was made of a damaged project")
        return Outcome(text, tuple(found))


def make_project(path: Path) -> Path:
    """A project that holds something of each kind, with a backup; returns its folder."""
    with Project.create(path) as project:
        frames = []
        for number in range(5):
            pixels = np.random.default_rng(number).integers(0, 256, (40, 40), dtype=np.uint8)
            frame, _ = project.frames.add(
                pixels,
                name=f"{number:03}_HC",
                cohort="clinic",
                subject=f"{number:03}",
                calibration=Calibration(0.2, 0.2, "table"),
            )
            project.frames.set_labels(frame.id, {"country": "EGY", "quality": "clear"})
            for state in _STATES[: number + 1]:
                project.annotations.add(
                    frame.id, _ELLIPSE, author="reader", state=state, confidence=0.5
                )
            frames.append(frame)
        session = project.readings.start([frame.id for frame in frames[:2]], observer="reader")
        made = [
            project.readings.add(session, number, _ELLIPSE, seconds=9.0)
            for number, _ in session.left
        ]
        project.readings.adjudicate(made[0].frame_id, _ELLIPSE, [made[0].id], author="reader")
        project.amendments.set_subject([frames[0].id], "mother", author="reader")
        project.parts.divide(frame.subject for frame in project.frames.all())
        items = [
            BatchItem(i, f"pair-{i}", _ELLIPSE, (40, 40), frames[1].id, None, i, "any")
            for i in range(3)
        ]
        batch = project.batches.start({"synthesizer": "compact", "seed": 1, "out": None}, items)
        for number in range(2):
            pixels = np.random.default_rng(9 + number).integers(0, 256, (40, 40), dtype=np.uint8)
            pair = project.pairs.add(
                pixels,
                name=f"pair-{number}",
                ellipse=_ELLIPSE,
                cohort="synthetic",
                calibration=None,
                quality={"dice": 0.9, "similarity": 0.2},
                provenance={
                    "source_frame": frames[1].id,
                    "copy_threshold": 0.9,
                    "found": [20.0, 20.0, 12.0, 9.0, 30.0],
                },
            )
            project.pairs.review(pair.id, "accepted", reviewer="reader")
            project.batches.mark_made(batch.id, number, pair.id)
        training = project.runs.start("clinic-1", {"job": "train"}, {"train": [frames[2].id]})
        for epoch in (1, 2):
            project.runs.update(training.id, history_entry={"epoch": epoch, "seconds": 1.0})
        project.runs.update(training.id, state="finished", verdict={"sentence": "better"})
        project.models.add("clinic-1", "segmenter", "models/1", run_id=training.id)
        project.models.adopt("segmenter", "clinic-1")
        project.recover()
    return path


def use(project: Project) -> None:
    """Do what a window and the jobs do with a project. Each step alone may be refused."""
    frames = project.frames.all(kind=None)
    steps: list[Callable[[], object]] = [
        project.counts,
        project.frames.cohorts,
        project.amendments.all,
        project.annotations.by_frame,
        project.pairs.all,
        project.batches.seeds,
        project.batches.unfinished,
        project.runs.all,
        project.models.all,
        project.readings.with_annotations,
        project.readings.sessions,
        project.readings.adjudicated,
        project.audit.log,
        lambda: agreements(project),
        lambda: project.models.active("segmenter"),
        lambda: project.models.active("synthesizer"),
        lambda: project.pairs.review(1, "rejected", reviewer="me"),
        lambda: project.runs.update(1, history_entry={"epoch": 3}),
        lambda: project.batches.items(1),
        lambda: project.amendments.undo(author="me"),
        lambda: project.models.roll_back("segmenter"),
    ]
    for frame in frames:
        if frame.kind == "real":
            steps += _steps_on(project, frame.id)
    if frames:
        steps.append(lambda: project.amendments.remove([frames[0].id], author="me"))
    with project.transaction():  # which makes one write of many, to save time
        for step in steps:
            with contextlib.suppress(UserError), project.transaction():
                step()


def _steps_on(project: Project, frame_id: str) -> list[Callable[[], object]]:
    return [
        lambda: project.annotations.revisions(frame_id),
        lambda: project.frames.pixels(frame_id),
        lambda: removal_effect(project, [frame_id]),
        lambda: project.annotations.add(frame_id, _ELLIPSE, author="me", state="draft"),
        lambda: project.frames.set_labels(frame_id, {"quality": "cut"}),
    ]


_VALUES: tuple[Callable[[random.Random, Any], Any], ...] = (
    lambda chance, value: None,
    lambda chance, value: "",
    lambda chance, value: "[" * 100_000,
    lambda chance, value: "../../precious",
    lambda chance, value: b"\xff\xfe\x00",
    lambda chance, value: chance.choice((0, -1, 2**62, float("inf"), -float("inf"))),
    lambda chance, value: chance.random() * 10 ** chance.randrange(-300, 300),
    lambda chance, value: '{"a": [1], "source_frame": {}, "found": 3, "copy_threshold": "x"}',
    lambda chance, value: _flipped(chance, str(value).encode()),
    lambda chance, value: _changed(chance, str(value)),
    lambda chance, value: _changed(chance, str(value)),
)


def _flipped(chance: random.Random, data: bytes) -> bytes:
    if not data:
        return b"\x80"
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def _changed(chance: random.Random, text: str) -> str:
    """``text`` with one character replaced, or cut short."""
    if not text:
        return "x"
    at = chance.randrange(len(text))
    return chance.choice((text[:at], text[:at] + chance.choice('q0{}[]",:-é') + text[at + 1 :]))


def _damage_value(path: Path, chance: random.Random) -> str:
    """Replace one value, behind the triggers and checks; returns what was done."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        triggers = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        tables = [row[0] for row in connection.execute(_TABLES)]
        table = chance.choice(tables)
        columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
        column = chance.choice(columns)[1]
        keys = [c[1] for c in columns if c[5]] or [c[1] for c in columns]
        row = chance.choice(connection.execute(f"SELECT * FROM {table}").fetchall())
        held: Mapping[str, Any] = dict(zip([c[1] for c in columns], row, strict=True))
        value = chance.choice(_VALUES)(chance, held[column])
        where = " AND ".join(f"{key} IS ?" for key in keys)
        with contextlib.suppress(sqlite3.Error):  # NOT NULL, UNIQUE, a number for an id
            connection.execute(
                f"UPDATE {table} SET {column} = CAST(? AS {_kind(value)}) WHERE {where}",
                (value, *(held[key] for key in keys)),
            )
        for _, sql in triggers:
            connection.execute(sql)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return f"{table}.{column} = {str(value)[:40]!r}"


def _damage_definition(path: Path, chance: random.Random) -> str:
    """Change a character in the definition of a table, an index, a view or a trigger."""
    data = path.read_bytes()
    found = chance.choice([*re.finditer(rb"CREATE [A-Z]+ [ -~\n]+", data)])
    changed = _changed(chance, found[0].decode()).encode()[: len(found[0])].ljust(len(found[0]))
    path.write_bytes(data[: found.start()] + changed + data[found.end() :])
    return f"{found[0][:40]!r} is {changed[:40]!r}"


_TABLES = """SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
    AND name NOT IN ('purge', 'purged_pairs') ORDER BY name"""


def _kind(value: object) -> str:
    """Half of the bytes stand for damaged text, which SQLite itself does not check."""
    if isinstance(value, bytes):
        return "TEXT" if sum(value) % 2 else "BLOB"
    return {str: "TEXT", int: "INTEGER", float: "REAL"}.get(type(value), "BLOB")
