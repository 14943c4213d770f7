"""The tables of ``project.db`` and how an older file becomes one of today.

What a person did is only ever appended: a trigger refuses to change or delete such a row, so that
no bug of ours and no other program can lose an ellipse. "The newest counts" is a view.

To change the schema, append a migration to :data:`MIGRATIONS` and a fixture of the version before
to ``tests/project/data``; never edit a migration that was released.
"""

from __future__ import annotations

APPLICATION_ID = int.from_bytes(b"FtSt", "big")
"""Marks the SQLite file as ours (``PRAGMA application_id``)."""

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
APPEND_ONLY = (*_APPEND_ONLY_1, *_APPEND_ONLY_2, *_APPEND_ONLY_3)
"""Tables whose rows never change; of a run, only its state and verdict do, of a batch, whether it
was dropped."""


def _guards(table: str) -> tuple[str, ...]:
    return tuple(
        f"""CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table}
        BEGIN SELECT RAISE(ABORT, '{table} are only appended to'); END"""
        for verb in ("UPDATE", "DELETE")
    )


MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (*_TABLES, *_NEWEST, *(guard for table in _APPEND_ONLY_1 for guard in _guards(table))),
    (*_BATCH_TABLES, *(guard for table in _APPEND_ONLY_2 for guard in _guards(table))),
    (*_LABEL_TABLES, *(guard for table in _APPEND_ONLY_3 for guard in _guards(table))),
)
"""The statements that take a file from version i to i + 1 (``PRAGMA user_version``)."""
