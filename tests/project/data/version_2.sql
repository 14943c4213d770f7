BEGIN TRANSACTION;
CREATE TABLE adoptions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL CHECK (kind IN ('synthesizer', 'segmenter')),
        name TEXT,
        previous INTEGER REFERENCES adoptions (id),
        created_at TEXT NOT NULL,
        FOREIGN KEY (kind, name) REFERENCES models (kind, name)
    );
CREATE TABLE annotations (
        frame_id TEXT NOT NULL REFERENCES frames (id),
        revision INTEGER NOT NULL CHECK (revision > 0),
        cx REAL, cy REAL, a REAL, b REAL, angle_deg REAL,
        author TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('proposed', 'draft', 'final')),
        confidence REAL CHECK (confidence BETWEEN 0 AND 1),
        created_at TEXT NOT NULL,
        PRIMARY KEY (frame_id, revision),
        CHECK (coalesce(cx, cy, a, b, angle_deg) IS NULL OR
               (cx IS NOT NULL AND cy IS NOT NULL AND b > 0 AND a >= b AND angle_deg >= 0 AND angle_deg < 180))
    ) WITHOUT ROWID;
INSERT INTO "annotations" VALUES('ac7095011e375487407c303b9ee255b1b83a69251a14b5958a2b715ebf27fc46',1,48.0,40.0,30.0,22.0,20.0,'reader','final',NULL,'2026-11-26T18:10:07.449372+00:00');
CREATE TABLE batch_items (
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
        CHECK (b > 0 AND a >= b AND angle_deg >= 0 AND angle_deg < 180)
    ) WITHOUT ROWID;
INSERT INTO "batch_items" VALUES(1,0,'s',48.0,40.0,30.0,22.0,20.0,96,80,'ac7095011e375487407c303b9ee255b1b83a69251a14b5958a2b715ebf27fc46',NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,'any');
CREATE TABLE batch_pairs (
        batch_id INTEGER NOT NULL,
        number INTEGER NOT NULL,
        pair_id INTEGER NOT NULL REFERENCES pairs (id),
        PRIMARY KEY (batch_id, number),
        FOREIGN KEY (batch_id, number) REFERENCES batch_items (batch_id, number)
    ) WITHOUT ROWID;
CREATE TABLE batches (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        settings TEXT NOT NULL,
        started_at TEXT NOT NULL,
        dropped_at TEXT
    );
INSERT INTO "batches" VALUES(1,'{"synthesizer": "compact"}','2026-11-26T18:10:07.457280+00:00',NULL);
CREATE TABLE calibrations (
        frame_id TEXT NOT NULL REFERENCES frames (id),
        revision INTEGER NOT NULL CHECK (revision > 0),
        mm_per_px_x REAL CHECK (mm_per_px_x > 0),
        mm_per_px_y REAL CHECK (mm_per_px_y > 0),
        source TEXT,
        created_at TEXT NOT NULL,
        PRIMARY KEY (frame_id, revision),
        CHECK ((mm_per_px_x IS NULL) = (mm_per_px_y IS NULL)),
        CHECK ((mm_per_px_x IS NULL) = (source IS NULL))
    ) WITHOUT ROWID;
INSERT INTO "calibrations" VALUES('ac7095011e375487407c303b9ee255b1b83a69251a14b5958a2b715ebf27fc46',1,0.2,0.25,'table','2026-11-26T18:10:07.445635+00:00');
CREATE TABLE frames (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        width INTEGER NOT NULL CHECK (width > 0),
        height INTEGER NOT NULL CHECK (height > 0),
        kind TEXT NOT NULL CHECK (kind IN ('real', 'synthetic')),
        cohort TEXT NOT NULL,
        subject TEXT NOT NULL,
        added_at TEXT NOT NULL,
        UNIQUE (cohort, name)
    ) WITHOUT ROWID;
INSERT INTO "frames" VALUES('ac7095011e375487407c303b9ee255b1b83a69251a14b5958a2b715ebf27fc46','001_HC',96,80,'real','c','001','2026-11-26T18:10:07.445494+00:00');
CREATE TABLE models (
        kind TEXT NOT NULL CHECK (kind IN ('synthesizer', 'segmenter')),
        name TEXT NOT NULL,
        path TEXT NOT NULL,
        run_id INTEGER REFERENCES runs (id),
        metrics TEXT NOT NULL,
        created_at TEXT NOT NULL,
        PRIMARY KEY (kind, name)
    ) WITHOUT ROWID;
CREATE TABLE pairs (
        id INTEGER PRIMARY KEY,
        frame_id TEXT NOT NULL UNIQUE REFERENCES frames (id),
        cx REAL NOT NULL, cy REAL NOT NULL, a REAL NOT NULL, b REAL NOT NULL,
        angle_deg REAL NOT NULL,
        dice REAL,
        quality TEXT NOT NULL,
        provenance TEXT NOT NULL,
        created_at TEXT NOT NULL,
        CHECK (b > 0 AND a >= b AND angle_deg >= 0 AND angle_deg < 180)
    );
CREATE TABLE reviews (
        pair_id INTEGER NOT NULL REFERENCES pairs (id),
        revision INTEGER NOT NULL CHECK (revision > 0),
        state TEXT NOT NULL CHECK (state IN ('pending', 'accepted', 'rejected')),
        cx REAL NOT NULL, cy REAL NOT NULL, a REAL NOT NULL, b REAL NOT NULL,
        angle_deg REAL NOT NULL,
        reviewer TEXT NOT NULL,
        created_at TEXT NOT NULL,
        PRIMARY KEY (pair_id, revision),
        CHECK (b > 0 AND a >= b AND angle_deg >= 0 AND angle_deg < 180)
    ) WITHOUT ROWID;
CREATE TABLE run_history (
        run_id INTEGER NOT NULL REFERENCES runs (id),
        entry INTEGER NOT NULL CHECK (entry > 0),
        figures TEXT NOT NULL,
        PRIMARY KEY (run_id, entry)
    ) WITHOUT ROWID;
CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('running', 'finished', 'cancelled', 'failed')),
        settings TEXT NOT NULL,
        data TEXT NOT NULL,
        verdict TEXT,
        started_at TEXT NOT NULL,
        ended_at TEXT
    );
CREATE VIEW newest_calibrations AS SELECT * FROM calibrations AS mine WHERE revision =
        (SELECT max(revision) FROM calibrations WHERE frame_id = mine.frame_id);
CREATE VIEW newest_annotations AS SELECT * FROM annotations AS mine WHERE revision =
        (SELECT max(revision) FROM annotations WHERE frame_id = mine.frame_id);
CREATE VIEW newest_reviews AS SELECT * FROM reviews AS mine WHERE revision =
        (SELECT max(revision) FROM reviews WHERE pair_id = mine.pair_id);
CREATE TRIGGER frames_no_update BEFORE UPDATE ON frames
        BEGIN SELECT RAISE(ABORT, 'frames are only appended to'); END;
CREATE TRIGGER frames_no_delete BEFORE DELETE ON frames
        BEGIN SELECT RAISE(ABORT, 'frames are only appended to'); END;
CREATE TRIGGER calibrations_no_update BEFORE UPDATE ON calibrations
        BEGIN SELECT RAISE(ABORT, 'calibrations are only appended to'); END;
CREATE TRIGGER calibrations_no_delete BEFORE DELETE ON calibrations
        BEGIN SELECT RAISE(ABORT, 'calibrations are only appended to'); END;
CREATE TRIGGER annotations_no_update BEFORE UPDATE ON annotations
        BEGIN SELECT RAISE(ABORT, 'annotations are only appended to'); END;
CREATE TRIGGER annotations_no_delete BEFORE DELETE ON annotations
        BEGIN SELECT RAISE(ABORT, 'annotations are only appended to'); END;
CREATE TRIGGER pairs_no_update BEFORE UPDATE ON pairs
        BEGIN SELECT RAISE(ABORT, 'pairs are only appended to'); END;
CREATE TRIGGER pairs_no_delete BEFORE DELETE ON pairs
        BEGIN SELECT RAISE(ABORT, 'pairs are only appended to'); END;
CREATE TRIGGER reviews_no_update BEFORE UPDATE ON reviews
        BEGIN SELECT RAISE(ABORT, 'reviews are only appended to'); END;
CREATE TRIGGER reviews_no_delete BEFORE DELETE ON reviews
        BEGIN SELECT RAISE(ABORT, 'reviews are only appended to'); END;
CREATE TRIGGER run_history_no_update BEFORE UPDATE ON run_history
        BEGIN SELECT RAISE(ABORT, 'run_history are only appended to'); END;
CREATE TRIGGER run_history_no_delete BEFORE DELETE ON run_history
        BEGIN SELECT RAISE(ABORT, 'run_history are only appended to'); END;
CREATE TRIGGER models_no_update BEFORE UPDATE ON models
        BEGIN SELECT RAISE(ABORT, 'models are only appended to'); END;
CREATE TRIGGER models_no_delete BEFORE DELETE ON models
        BEGIN SELECT RAISE(ABORT, 'models are only appended to'); END;
CREATE TRIGGER adoptions_no_update BEFORE UPDATE ON adoptions
        BEGIN SELECT RAISE(ABORT, 'adoptions are only appended to'); END;
CREATE TRIGGER adoptions_no_delete BEFORE DELETE ON adoptions
        BEGIN SELECT RAISE(ABORT, 'adoptions are only appended to'); END;
CREATE TRIGGER batch_items_no_update BEFORE UPDATE ON batch_items
        BEGIN SELECT RAISE(ABORT, 'batch_items are only appended to'); END;
CREATE TRIGGER batch_items_no_delete BEFORE DELETE ON batch_items
        BEGIN SELECT RAISE(ABORT, 'batch_items are only appended to'); END;
CREATE TRIGGER batch_pairs_no_update BEFORE UPDATE ON batch_pairs
        BEGIN SELECT RAISE(ABORT, 'batch_pairs are only appended to'); END;
CREATE TRIGGER batch_pairs_no_delete BEFORE DELETE ON batch_pairs
        BEGIN SELECT RAISE(ABORT, 'batch_pairs are only appended to'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('batches',1);
COMMIT;
PRAGMA user_version = 2;
PRAGMA application_id = 1182028660;
