"""The tables of ``project.db`` and the migrations that bring older files up to date.

Rows that record a person's work are only appended: triggers refuse to change or delete them, so
that neither a bug in FetalStudio nor another program can lose an ellipse. The newest revision
counts, and views (``newest_...``, ``current_...``) select it. The exceptions are a purge, which
deletes all rows of a frame that was removed before, and of that frame alone, and forgetting a
patient, whose key is then no longer the former subject of any other frame.

To change the schema, append a migration to :data:`MIGRATIONS` and a fixture of the version before
to ``tests/project/data``; never edit a migration that was released.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

APPLICATION_ID = int.from_bytes(b"FtSt", "big")
"""Marks the SQLite file as ours (``PRAGMA application_id``)."""


def _guards(table: str) -> tuple[str, ...]:
    return tuple(_guard(table, verb) for verb in ("UPDATE", "DELETE"))


def _guard(table: str, verb: str, unless: str = "") -> str:
    when = f"WHEN NOT ({unless})" if unless else ""
    return f"""CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} {when}
        BEGIN SELECT RAISE(ABORT, '{table} are only appended to'); END"""


_ELLIPSE_CHECK = "b > 0 AND a >= b AND angle_deg >= 0 AND angle_deg < 180"

_TABLES = (
    """CREATE TABLE frames (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        width INTEGER NOT NULL CHECK (width > 0),
        height INTEGER NOT NULL CHECK (height > 0),
        kind TEXT NOT NULL CHECK (kind IN ('real', 'synthetic')),
        cohort TEXT NOT NULL,
        subject TEXT NOT NULL,
        added_at TEXT NOT NULL,
        UNIQUE (cohort, name)
    ) WITHOUT ROWID""",
    """CREATE TABLE calibrations (
        frame_id TEXT NOT NULL REFERENCES frames (id),
        revision INTEGER NOT NULL CHECK (revision > 0),
        mm_per_px_x REAL CHECK (mm_per_px_x > 0),
        mm_per_px_y REAL CHECK (mm_per_px_y > 0),
        source TEXT,
        created_at TEXT NOT NULL,
        PRIMARY KEY (frame_id, revision),
        CHECK ((mm_per_px_x IS NULL) = (mm_per_px_y IS NULL)),
        CHECK ((mm_per_px_x IS NULL) = (source IS NULL))
    ) WITHOUT ROWID""",
    f"""CREATE TABLE annotations (
        frame_id TEXT NOT NULL REFERENCES frames (id),
        revision INTEGER NOT NULL CHECK (revision > 0),
        cx REAL, cy REAL, a REAL, b REAL, angle_deg REAL,
        author TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('proposed', 'draft', 'final')),
        confidence REAL CHECK (confidence BETWEEN 0 AND 1),
        created_at TEXT NOT NULL,
        PRIMARY KEY (frame_id, revision),
        CHECK (coalesce(cx, cy, a, b, angle_deg) IS NULL OR
               (cx IS NOT NULL AND cy IS NOT NULL AND {_ELLIPSE_CHECK}))
    ) WITHOUT ROWID""",
    f"""CREATE TABLE pairs (
        id INTEGER PRIMARY KEY,
        frame_id TEXT NOT NULL UNIQUE REFERENCES frames (id),
        cx REAL NOT NULL, cy REAL NOT NULL, a REAL NOT NULL, b REAL NOT NULL,
        angle_deg REAL NOT NULL,
        dice REAL,
        quality TEXT NOT NULL,
        provenance TEXT NOT NULL,
        created_at TEXT NOT NULL,
        CHECK ({_ELLIPSE_CHECK})
    )""",
    f"""CREATE TABLE reviews (
        pair_id INTEGER NOT NULL REFERENCES pairs (id),
        revision INTEGER NOT NULL CHECK (revision > 0),
        state TEXT NOT NULL CHECK (state IN ('pending', 'accepted', 'rejected')),
        cx REAL NOT NULL, cy REAL NOT NULL, a REAL NOT NULL, b REAL NOT NULL,
        angle_deg REAL NOT NULL,
        reviewer TEXT NOT NULL,
        created_at TEXT NOT NULL,
        PRIMARY KEY (pair_id, revision),
        CHECK ({_ELLIPSE_CHECK})
    ) WITHOUT ROWID""",
    """CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('running', 'finished', 'cancelled', 'failed')),
        settings TEXT NOT NULL,
        data TEXT NOT NULL,
        verdict TEXT,
        started_at TEXT NOT NULL,
        ended_at TEXT
    )""",
    """CREATE TABLE run_history (
        run_id INTEGER NOT NULL REFERENCES runs (id),
        entry INTEGER NOT NULL CHECK (entry > 0),
        figures TEXT NOT NULL,
        PRIMARY KEY (run_id, entry)
    ) WITHOUT ROWID""",
    """CREATE TABLE models (
        kind TEXT NOT NULL CHECK (kind IN ('synthesizer', 'segmenter')),
        name TEXT NOT NULL,
        path TEXT NOT NULL,
        run_id INTEGER REFERENCES runs (id),
        metrics TEXT NOT NULL,
        created_at TEXT NOT NULL,
        PRIMARY KEY (kind, name)
    ) WITHOUT ROWID""",
    """CREATE TABLE adoptions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL CHECK (kind IN ('synthesizer', 'segmenter')),
        name TEXT,
        previous INTEGER REFERENCES adoptions (id),
        created_at TEXT NOT NULL,
        FOREIGN KEY (kind, name) REFERENCES models (kind, name)
    )""",
)

_NEWEST = (
    """CREATE VIEW newest_calibrations AS SELECT * FROM calibrations AS mine WHERE revision =
        (SELECT max(revision) FROM calibrations WHERE frame_id = mine.frame_id)""",
    """CREATE VIEW newest_annotations AS SELECT * FROM annotations AS mine WHERE revision =
        (SELECT max(revision) FROM annotations WHERE frame_id = mine.frame_id)""",
    """CREATE VIEW newest_reviews AS SELECT * FROM reviews AS mine WHERE revision =
        (SELECT max(revision) FROM reviews WHERE pair_id = mine.pair_id)""",
)

_BATCH_TABLES = (
    """CREATE TABLE batches (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        settings TEXT NOT NULL,
        started_at TEXT NOT NULL,
        dropped_at TEXT
    )""",
    f"""CREATE TABLE batch_items (
        batch_id INTEGER NOT NULL REFERENCES batches (id),
        number INTEGER NOT NULL CHECK (number >= 0),
        name TEXT NOT NULL,
        cx REAL NOT NULL, cy REAL NOT NULL, a REAL NOT NULL, b REAL NOT NULL,
        angle_deg REAL NOT NULL,
        width INTEGER NOT NULL CHECK (width > 0),
        height INTEGER NOT NULL CHECK (height > 0),
        source_frame TEXT REFERENCES frames (id),
        replaces_cx REAL, replaces_cy REAL, replaces_a REAL, replaces_b REAL,
        replaces_angle_deg REAL,
        mm_per_px_x REAL CHECK (mm_per_px_x > 0),
        mm_per_px_y REAL CHECK (mm_per_px_y > 0),
        seed INTEGER NOT NULL,
        style TEXT NOT NULL,
        PRIMARY KEY (batch_id, number),
        CHECK ((mm_per_px_x IS NULL) = (mm_per_px_y IS NULL)),
        CHECK ({_ELLIPSE_CHECK})
    ) WITHOUT ROWID""",
    """CREATE TABLE batch_pairs (
        batch_id INTEGER NOT NULL,
        number INTEGER NOT NULL,
        pair_id INTEGER NOT NULL REFERENCES pairs (id),
        PRIMARY KEY (batch_id, number),
        FOREIGN KEY (batch_id, number) REFERENCES batch_items (batch_id, number)
    ) WITHOUT ROWID""",
)

_LABEL_TABLES = (
    """CREATE TABLE labels (
        frame_id TEXT NOT NULL REFERENCES frames (id),
        name TEXT NOT NULL,
        revision INTEGER NOT NULL CHECK (revision > 0),
        value TEXT NOT NULL,
        created_at TEXT NOT NULL,
        PRIMARY KEY (frame_id, name, revision)
    ) WITHOUT ROWID""",
    """CREATE VIEW newest_labels AS SELECT * FROM labels AS mine WHERE revision =
        (SELECT max(revision) FROM labels WHERE frame_id = mine.frame_id AND name = mine.name)""",
)

_AMENDMENT_TABLES = (
    """CREATE TABLE amendments (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        author TEXT NOT NULL,
        description TEXT NOT NULL,
        undoes INTEGER REFERENCES amendments (id),
        created_at TEXT NOT NULL
    )""",
    """CREATE TABLE frame_revisions (
        frame_id TEXT NOT NULL REFERENCES frames (id),
        revision INTEGER NOT NULL CHECK (revision > 0),
        amendment_id INTEGER REFERENCES amendments (id),
        name TEXT NOT NULL,
        cohort TEXT NOT NULL,
        subject TEXT NOT NULL,
        removed INTEGER NOT NULL DEFAULT 0 CHECK (removed IN (0, 1)),
        PRIMARY KEY (frame_id, revision)
    ) WITHOUT ROWID""",
    """CREATE INDEX frame_revisions_by_name ON frame_revisions (cohort, name)""",
    """CREATE INDEX frame_revisions_by_amendment ON frame_revisions (amendment_id)""",
    """CREATE VIEW newest_frame_revisions AS SELECT * FROM frame_revisions AS mine WHERE revision =
        (SELECT max(revision) FROM frame_revisions WHERE frame_id = mine.frame_id)""",
    # Names are unique among the current frames of a cohort only, so that a name is free again
    # once its frame was renamed, moved or removed; hence the table without UNIQUE.
    """INSERT INTO frame_revisions (frame_id, revision, name, cohort, subject)
        SELECT id, 1, name, cohort, subject FROM frames""",
    """CREATE TABLE new_frames (
        id TEXT PRIMARY KEY,
        width INTEGER NOT NULL CHECK (width > 0),
        height INTEGER NOT NULL CHECK (height > 0),
        kind TEXT NOT NULL CHECK (kind IN ('real', 'synthetic')),
        added_at TEXT NOT NULL
    ) WITHOUT ROWID""",
    "INSERT INTO new_frames SELECT id, width, height, kind, added_at FROM frames",
    "DROP TABLE frames",
    "ALTER TABLE new_frames RENAME TO frames",
    """CREATE VIEW current_frames AS
        SELECT frames.id, r.name, frames.width, frames.height, frames.kind, r.cohort, r.subject,
            frames.added_at
        FROM frames JOIN newest_frame_revisions AS r ON r.frame_id = frames.id
        WHERE NOT r.removed""",
    """CREATE VIEW current_pairs AS SELECT pairs.* FROM pairs
        JOIN current_frames ON current_frames.id = pairs.frame_id""",
    """CREATE VIEW current_batch_items AS SELECT * FROM batch_items
        WHERE source_frame IS NULL OR source_frame IN (SELECT id FROM current_frames)""",
    """CREATE VIEW current_batch_pairs AS SELECT batch_pairs.* FROM batch_pairs
        JOIN current_batch_items USING (batch_id, number)
        JOIN current_pairs ON current_pairs.id = batch_pairs.pair_id""",
    # A number that a purged pair had is never given again: runs refer to pairs by number.
    "CREATE TABLE purged_pairs (id INTEGER PRIMARY KEY)",
    "CREATE TABLE purge (frame_id TEXT PRIMARY KEY) WITHOUT ROWID",
    """CREATE TRIGGER purge_removed_only BEFORE INSERT ON purge
        WHEN NOT EXISTS (SELECT 1 FROM newest_frame_revisions
            WHERE frame_id = NEW.frame_id AND removed)
        BEGIN SELECT RAISE(ABORT, 'only removed frames can be purged'); END""",
)

_PART_TABLES = (
    """CREATE TABLE parts (
        subject TEXT PRIMARY KEY,
        part TEXT NOT NULL CHECK (part IN ('train', 'validation', 'test')),
        created_at TEXT NOT NULL
    ) WITHOUT ROWID""",
    _guard("parts", "UPDATE"),
    _guard("parts", "DELETE", "OLD.subject NOT IN (SELECT subject FROM frame_revisions)"),
)

_IDENTITY_TABLE = (
    # Names the project outside of its folder; the check value recognises the secret kept there.
    "CREATE TABLE identity (id TEXT NOT NULL, secret_check TEXT)",
    "INSERT INTO identity (id) VALUES (lower(hex(randomblob(16))))",
)

_AMENDED_7 = ("calibrations", "annotations", "labels")
AMENDED_TABLES = (*_AMENDED_7, "readings")
"""Tables of revisions of which an import or a merge may add some to frames that are there."""
_AMENDED_VALUES = tuple(
    f"ALTER TABLE {table} ADD COLUMN amendment_id INTEGER REFERENCES amendments (id)"
    for table in _AMENDED_7
)

_READING_TABLES = (
    """CREATE TABLE reading_sessions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        observer TEXT NOT NULL,
        seed INTEGER NOT NULL,
        started_at TEXT NOT NULL,
        ended_at TEXT
    )""",
    """CREATE TABLE reading_items (
        session_id INTEGER NOT NULL REFERENCES reading_sessions (id),
        number INTEGER NOT NULL CHECK (number >= 0),
        frame_id TEXT NOT NULL REFERENCES frames (id),
        PRIMARY KEY (session_id, number)
    ) WITHOUT ROWID""",
    f"""CREATE TABLE readings (
        id TEXT NOT NULL,
        revision INTEGER NOT NULL CHECK (revision > 0),
        frame_id TEXT NOT NULL REFERENCES frames (id),
        observer TEXT NOT NULL,
        round INTEGER NOT NULL CHECK (round >= 0),
        blinded INTEGER NOT NULL CHECK (blinded IN (0, 1)),
        cx REAL, cy REAL, a REAL, b REAL, angle_deg REAL,
        seconds REAL CHECK (seconds >= 0),
        read_at TEXT NOT NULL,
        session_id INTEGER,
        number INTEGER,
        withdrawn INTEGER NOT NULL CHECK (withdrawn IN (0, 1)),
        created_at TEXT NOT NULL,
        amendment_id INTEGER REFERENCES amendments (id),
        PRIMARY KEY (id, revision),
        FOREIGN KEY (session_id, number) REFERENCES reading_items (session_id, number),
        CHECK ((session_id IS NULL) = (number IS NULL)),
        CHECK (coalesce(cx, cy, a, b, angle_deg) IS NULL OR
               (cx IS NOT NULL AND cy IS NOT NULL AND {_ELLIPSE_CHECK}))
    ) WITHOUT ROWID""",
    "CREATE INDEX readings_by_frame ON readings (frame_id)",
    "CREATE INDEX readings_by_amendment ON readings (amendment_id)",
    """CREATE VIEW newest_readings AS SELECT * FROM readings AS mine WHERE revision =
        (SELECT max(revision) FROM readings WHERE id = mine.id)""",
    # An id of a reading may be that of an annotation which counted as one, hence no reference.
    """CREATE TABLE adjudications (
        frame_id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        reading_id TEXT NOT NULL,
        PRIMARY KEY (frame_id, revision, reading_id),
        FOREIGN KEY (frame_id, revision) REFERENCES annotations (frame_id, revision)
    ) WITHOUT ROWID""",
)

_FORGETTING = (
    # Frames of one video have the same text; where a frame came from alone, there is none.
    "ALTER TABLE frames ADD COLUMN video TEXT",
    # What adopted, replaced or started from a model that was deleted stays known.
    """CREATE TABLE removed_models (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        removed_at TEXT NOT NULL,
        PRIMARY KEY (kind, name),
        FOREIGN KEY (kind, name) REFERENCES models (kind, name)
    ) WITHOUT ROWID""",
    *_guards("removed_models"),
    # Frames of other patients may have had the key of one who is forgotten.
    "CREATE TABLE forgotten (subject TEXT PRIMARY KEY) WITHOUT ROWID",
    "DROP TRIGGER frame_revisions_no_update",
    _guard("frame_revisions", "UPDATE", "OLD.subject IN (SELECT subject FROM forgotten)"),
)

_PURGED_READINGS = tuple(
    (table, "{row}frame_id IN (SELECT frame_id FROM purge)")
    for table in ("adjudications", "readings", "reading_items")
)
_PURGED_4: tuple[tuple[str, str], ...] = (
    (
        "batch_pairs",
        """EXISTS (SELECT 1 FROM pairs, purge WHERE pairs.id = {row}pair_id
            AND pairs.frame_id = purge.frame_id)
        OR EXISTS (SELECT 1 FROM batch_items AS item, purge WHERE item.batch_id = {row}batch_id
            AND item.number = {row}number AND item.source_frame = purge.frame_id)""",
    ),
    (
        "reviews",
        """EXISTS (SELECT 1 FROM pairs, purge WHERE pairs.id = {row}pair_id
            AND pairs.frame_id = purge.frame_id)""",
    ),
    ("pairs", "{row}frame_id IN (SELECT frame_id FROM purge)"),
    (
        "batch_items",
        """{row}source_frame IS NOT NULL
            AND {row}source_frame IN (SELECT frame_id FROM purge)""",
    ),
    ("annotations", "{row}frame_id IN (SELECT frame_id FROM purge)"),
    ("calibrations", "{row}frame_id IN (SELECT frame_id FROM purge)"),
    ("labels", "{row}frame_id IN (SELECT frame_id FROM purge)"),
    ("frame_revisions", "{row}frame_id IN (SELECT frame_id FROM purge)"),
    ("frames", "{row}id IN (SELECT frame_id FROM purge)"),
)
PURGED_TABLES: tuple[tuple[str, str], ...] = (*_PURGED_READINGS, *_PURGED_4)
"""The tables that hold rows of a frame, in the order in which a purge can delete them, and which
rows it deletes (``{row}`` stands before a column's name)."""

CURRENT_PAIRS = """(SELECT * FROM pairs WHERE EXISTS
    (SELECT 1 FROM current_frames WHERE current_frames.id = pairs.frame_id)) AS pairs"""
"""The rows of the view ``current_pairs``, for which SQLite goes through the pairs and not, as for
the view, through all frames."""

_APPEND_ONLY_1 = (
    "frames",
    "calibrations",
    "annotations",
    "pairs",
    "reviews",
    "run_history",
    "models",
    "adoptions",
)
_APPEND_ONLY_2 = ("batch_items", "batch_pairs")
_APPEND_ONLY_3 = ("labels",)
_APPEND_ONLY_4 = ("frame_revisions", "amendments", "purged_pairs")
_APPEND_ONLY_8 = ("reading_items", "readings", "adjudications")
_APPEND_ONLY_9 = ("removed_models",)
APPEND_ONLY = (
    *(*_APPEND_ONLY_1, *_APPEND_ONLY_2, *_APPEND_ONLY_3, *_APPEND_ONLY_4, *_APPEND_ONLY_8),
    *_APPEND_ONLY_9,
)
"""Tables whose rows never change; of a run, only its state and verdict do, of a batch, whether it
was dropped, and of a reading session, whether it was ended."""


def _purge_guards() -> Iterator[str]:
    """Let a purge, and nothing else, delete."""
    yield _guard("frames", "UPDATE")  # its triggers went with the table that was replaced
    yield _guard("frame_revisions", "UPDATE")
    for table, purged in _PURGED_4:
        if table not in ("frames", "frame_revisions"):
            yield f"DROP TRIGGER {table}_no_delete"
        yield _guard(table, "DELETE", unless=purged.format(row="OLD."))
    for table in ("amendments", "purged_pairs"):
        yield from _guards(table)


def _reading_guards() -> Iterator[str]:
    for table, purged in _PURGED_READINGS:
        yield _guard(table, "UPDATE")
        yield _guard(table, "DELETE", unless=purged.format(row="OLD."))


MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (*_TABLES, *_NEWEST, *(guard for table in _APPEND_ONLY_1 for guard in _guards(table))),
    (*_BATCH_TABLES, *(guard for table in _APPEND_ONLY_2 for guard in _guards(table))),
    (*_LABEL_TABLES, *(guard for table in _APPEND_ONLY_3 for guard in _guards(table))),
    (*_AMENDMENT_TABLES, *_purge_guards()),
    _PART_TABLES,
    _IDENTITY_TABLE,
    _AMENDED_VALUES,
    (*_READING_TABLES, *_reading_guards()),
    _FORGETTING,
)
"""The statements that take a file from version i to i + 1 (``PRAGMA user_version``)."""

DESCRIPTION = """SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"""
"""Selects what :func:`described` takes."""


def described(rows: Iterable[Any]) -> Mapping[tuple[str, str], str]:
    """The definitions that a file consists of, by type and name."""
    # A table that was renamed, as migrations do, has its new name in quotes.
    return {(kind, name): " ".join(str(sql).replace('"', "").split()) for kind, name, sql in rows}


@functools.lru_cache(maxsize=2)
def wanted(migrations: tuple[tuple[str, ...], ...]) -> Mapping[tuple[str, str], str]:
    """What a file that these migrations made consists of."""
    with contextlib.closing(sqlite3.connect(":memory:")) as model:
        for migration in migrations:
            for statement in migration:
                model.execute(statement)
        return described(model.execute(DESCRIPTION).fetchall())


def triggers(items: Iterable[tuple[str, str]]) -> set[str]:
    """The names of the triggers among described items."""
    return {name for kind, name in items if kind == "trigger"}
