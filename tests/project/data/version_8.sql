BEGIN TRANSACTION;
CREATE TABLE adjudications (
        frame_id TEXT NOT NULL,
        revision INTEGER NOT NULL,
        reading_id TEXT NOT NULL,
        PRIMARY KEY (frame_id, revision, reading_id),
        FOREIGN KEY (frame_id, revision) REFERENCES annotations (frame_id, revision)
    ) WITHOUT ROWID;
CREATE TABLE adoptions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL CHECK (kind IN ('synthesizer', 'segmenter')),
        name TEXT,
        previous INTEGER REFERENCES adoptions (id),
        created_at TEXT NOT NULL,
        FOREIGN KEY (kind, name) REFERENCES models (kind, name)
    );
INSERT INTO "adoptions" VALUES(1,'segmenter','c-1',NULL,'2026-11-29T12:14:43.261932+00:00');
CREATE TABLE amendments (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        author TEXT NOT NULL,
        description TEXT NOT NULL,
        undoes INTEGER REFERENCES amendments (id),
        created_at TEXT NOT NULL
    );
INSERT INTO "amendments" VALUES(1,'reader','set the subject of 1 frame',NULL,'2026-11-29T12:14:43.231848+00:00');
CREATE TABLE annotations (
        frame_id TEXT NOT NULL REFERENCES frames (id),
        revision INTEGER NOT NULL CHECK (revision > 0),
        cx REAL, cy REAL, a REAL, b REAL, angle_deg REAL,
        author TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('proposed', 'draft', 'final')),
        confidence REAL CHECK (confidence BETWEEN 0 AND 1),
        created_at TEXT NOT NULL, amendment_id INTEGER REFERENCES amendments (id),
        PRIMARY KEY (frame_id, revision),
        CHECK (coalesce(cx, cy, a, b, angle_deg) IS NULL OR
               (cx IS NOT NULL AND cy IS NOT NULL AND b > 0 AND a >= b AND angle_deg >= 0 AND angle_deg < 180))
    ) WITHOUT ROWID;
INSERT INTO "annotations" VALUES('9d08de10122387f188b960919e78bbfa496ed0c9279ad790d5797fdc8b0dcf97',1,48.0,40.0,30.0,22.0,20.0,'reader','final',NULL,'2026-11-29T12:14:43.217885+00:00',NULL);
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
CREATE TABLE calibrations (
        frame_id TEXT NOT NULL REFERENCES frames (id),
        revision INTEGER NOT NULL CHECK (revision > 0),
        mm_per_px_x REAL CHECK (mm_per_px_x > 0),
        mm_per_px_y REAL CHECK (mm_per_px_y > 0),
        source TEXT,
        created_at TEXT NOT NULL, amendment_id INTEGER REFERENCES amendments (id),
        PRIMARY KEY (frame_id, revision),
        CHECK ((mm_per_px_x IS NULL) = (mm_per_px_y IS NULL)),
        CHECK ((mm_per_px_x IS NULL) = (source IS NULL))
    ) WITHOUT ROWID;
INSERT INTO "calibrations" VALUES('9d08de10122387f188b960919e78bbfa496ed0c9279ad790d5797fdc8b0dcf97',1,0.25,0.25,'table','2026-11-29T12:14:43.190037+00:00',NULL);
CREATE TABLE frame_revisions (
        frame_id TEXT NOT NULL REFERENCES frames (id),
        revision INTEGER NOT NULL CHECK (revision > 0),
        amendment_id INTEGER REFERENCES amendments (id),
        name TEXT NOT NULL,
        cohort TEXT NOT NULL,
        subject TEXT NOT NULL,
        removed INTEGER NOT NULL DEFAULT 0 CHECK (removed IN (0, 1)),
        PRIMARY KEY (frame_id, revision)
    ) WITHOUT ROWID;
INSERT INTO "frame_revisions" VALUES('9d08de10122387f188b960919e78bbfa496ed0c9279ad790d5797fdc8b0dcf97',1,NULL,'001_HC','c','001',0);
INSERT INTO "frame_revisions" VALUES('aca6846e2843e5c489c524d650c473974eb7bc2a6a42c3e50ea0991baeae62dd',1,NULL,'002_HC','c','002',0);
INSERT INTO "frame_revisions" VALUES('aca6846e2843e5c489c524d650c473974eb7bc2a6a42c3e50ea0991baeae62dd',2,1,'002_HC','c','003',0);
CREATE TABLE "frames" (
        id TEXT PRIMARY KEY,
        width INTEGER NOT NULL CHECK (width > 0),
        height INTEGER NOT NULL CHECK (height > 0),
        kind TEXT NOT NULL CHECK (kind IN ('real', 'synthetic')),
        added_at TEXT NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "frames" VALUES('9d08de10122387f188b960919e78bbfa496ed0c9279ad790d5797fdc8b0dcf97',96,80,'real','2026-11-29T12:14:43.189744+00:00');
INSERT INTO "frames" VALUES('aca6846e2843e5c489c524d650c473974eb7bc2a6a42c3e50ea0991baeae62dd',96,80,'real','2026-11-29T12:14:43.213701+00:00');
CREATE TABLE identity (id TEXT NOT NULL, secret_check TEXT);
INSERT INTO "identity" VALUES('1a195e6e67b4901a62bd3e9cbb99e762',NULL);
CREATE TABLE labels (
        frame_id TEXT NOT NULL REFERENCES frames (id),
        name TEXT NOT NULL,
        revision INTEGER NOT NULL CHECK (revision > 0),
        value TEXT NOT NULL,
        created_at TEXT NOT NULL, amendment_id INTEGER REFERENCES amendments (id),
        PRIMARY KEY (frame_id, name, revision)
    ) WITHOUT ROWID;
INSERT INTO "labels" VALUES('9d08de10122387f188b960919e78bbfa496ed0c9279ad790d5797fdc8b0dcf97','quality',1,'clear','2026-11-29T12:14:43.225891+00:00',NULL);
CREATE TABLE models (
        kind TEXT NOT NULL CHECK (kind IN ('synthesizer', 'segmenter')),
        name TEXT NOT NULL,
        path TEXT NOT NULL,
        run_id INTEGER REFERENCES runs (id),
        metrics TEXT NOT NULL,
        created_at TEXT NOT NULL,
        PRIMARY KEY (kind, name)
    ) WITHOUT ROWID;
INSERT INTO "models" VALUES('segmenter','c-1','models/1',1,'{}','2026-11-29T12:14:43.250034+00:00');
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
CREATE TABLE parts (
        subject TEXT PRIMARY KEY,
        part TEXT NOT NULL CHECK (part IN ('train', 'validation', 'test')),
        created_at TEXT NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "parts" VALUES('001','test','2026-11-29T12:14:43.233767+00:00');
INSERT INTO "parts" VALUES('003','train','2026-11-29T12:14:43.233851+00:00');
CREATE TABLE purge (frame_id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE purged_pairs (id INTEGER PRIMARY KEY);
CREATE TABLE reading_items (
        session_id INTEGER NOT NULL REFERENCES reading_sessions (id),
        number INTEGER NOT NULL CHECK (number >= 0),
        frame_id TEXT NOT NULL REFERENCES frames (id),
        PRIMARY KEY (session_id, number)
    ) WITHOUT ROWID;
CREATE TABLE reading_sessions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        observer TEXT NOT NULL,
        seed INTEGER NOT NULL,
        started_at TEXT NOT NULL,
        ended_at TEXT
    );
CREATE TABLE readings (
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
               (cx IS NOT NULL AND cy IS NOT NULL AND b > 0 AND a >= b AND angle_deg >= 0 AND angle_deg < 180))
    ) WITHOUT ROWID;
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
INSERT INTO "runs" VALUES(1,'c-1','finished','{"job": "train"}','{"train": ["9d08de10122387f188b960919e78bbfa496ed0c9279ad790d5797fdc8b0dcf97"]}',NULL,'2026-11-29T12:14:43.237934+00:00','2026-11-29T12:14:43.245776+00:00');
CREATE VIEW newest_calibrations AS SELECT * FROM calibrations AS mine WHERE revision =
        (SELECT max(revision) FROM calibrations WHERE frame_id = mine.frame_id);
CREATE VIEW newest_annotations AS SELECT * FROM annotations AS mine WHERE revision =
        (SELECT max(revision) FROM annotations WHERE frame_id = mine.frame_id);
CREATE VIEW newest_reviews AS SELECT * FROM reviews AS mine WHERE revision =
        (SELECT max(revision) FROM reviews WHERE pair_id = mine.pair_id);
CREATE TRIGGER calibrations_no_update BEFORE UPDATE ON calibrations 
        BEGIN SELECT RAISE(ABORT, 'calibrations are only appended to'); END;
CREATE TRIGGER annotations_no_update BEFORE UPDATE ON annotations 
        BEGIN SELECT RAISE(ABORT, 'annotations are only appended to'); END;
CREATE TRIGGER pairs_no_update BEFORE UPDATE ON pairs 
        BEGIN SELECT RAISE(ABORT, 'pairs are only appended to'); END;
CREATE TRIGGER reviews_no_update BEFORE UPDATE ON reviews 
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
CREATE TRIGGER batch_pairs_no_update BEFORE UPDATE ON batch_pairs 
        BEGIN SELECT RAISE(ABORT, 'batch_pairs are only appended to'); END;
CREATE VIEW newest_labels AS SELECT * FROM labels AS mine WHERE revision =
        (SELECT max(revision) FROM labels WHERE frame_id = mine.frame_id AND name = mine.name);
CREATE TRIGGER labels_no_update BEFORE UPDATE ON labels 
        BEGIN SELECT RAISE(ABORT, 'labels are only appended to'); END;
CREATE INDEX frame_revisions_by_name ON frame_revisions (cohort, name);
CREATE INDEX frame_revisions_by_amendment ON frame_revisions (amendment_id);
CREATE VIEW newest_frame_revisions AS SELECT * FROM frame_revisions AS mine WHERE revision =
        (SELECT max(revision) FROM frame_revisions WHERE frame_id = mine.frame_id);
CREATE VIEW current_frames AS
        SELECT frames.id, r.name, frames.width, frames.height, frames.kind, r.cohort, r.subject,
            frames.added_at
        FROM frames JOIN newest_frame_revisions AS r ON r.frame_id = frames.id
        WHERE NOT r.removed;
CREATE VIEW current_pairs AS SELECT pairs.* FROM pairs
        JOIN current_frames ON current_frames.id = pairs.frame_id;
CREATE VIEW current_batch_items AS SELECT * FROM batch_items
        WHERE source_frame IS NULL OR source_frame IN (SELECT id FROM current_frames);
CREATE VIEW current_batch_pairs AS SELECT batch_pairs.* FROM batch_pairs
        JOIN current_batch_items USING (batch_id, number)
        JOIN current_pairs ON current_pairs.id = batch_pairs.pair_id;
CREATE TRIGGER purge_removed_only BEFORE INSERT ON purge
        WHEN NOT EXISTS (SELECT 1 FROM newest_frame_revisions
            WHERE frame_id = NEW.frame_id AND removed)
        BEGIN SELECT RAISE(ABORT, 'only removed frames can be purged'); END;
CREATE TRIGGER frames_no_update BEFORE UPDATE ON frames 
        BEGIN SELECT RAISE(ABORT, 'frames are only appended to'); END;
CREATE TRIGGER frame_revisions_no_update BEFORE UPDATE ON frame_revisions 
        BEGIN SELECT RAISE(ABORT, 'frame_revisions are only appended to'); END;
CREATE TRIGGER batch_pairs_no_delete BEFORE DELETE ON batch_pairs WHEN NOT (EXISTS (SELECT 1 FROM pairs, purge WHERE pairs.id = OLD.pair_id
            AND pairs.frame_id = purge.frame_id)
        OR EXISTS (SELECT 1 FROM batch_items AS item, purge WHERE item.batch_id = OLD.batch_id
            AND item.number = OLD.number AND item.source_frame = purge.frame_id))
        BEGIN SELECT RAISE(ABORT, 'batch_pairs are only appended to'); END;
CREATE TRIGGER reviews_no_delete BEFORE DELETE ON reviews WHEN NOT (EXISTS (SELECT 1 FROM pairs, purge WHERE pairs.id = OLD.pair_id
            AND pairs.frame_id = purge.frame_id))
        BEGIN SELECT RAISE(ABORT, 'reviews are only appended to'); END;
CREATE TRIGGER pairs_no_delete BEFORE DELETE ON pairs WHEN NOT (OLD.frame_id IN (SELECT frame_id FROM purge))
        BEGIN SELECT RAISE(ABORT, 'pairs are only appended to'); END;
CREATE TRIGGER batch_items_no_delete BEFORE DELETE ON batch_items WHEN NOT (OLD.source_frame IS NOT NULL
            AND OLD.source_frame IN (SELECT frame_id FROM purge))
        BEGIN SELECT RAISE(ABORT, 'batch_items are only appended to'); END;
CREATE TRIGGER annotations_no_delete BEFORE DELETE ON annotations WHEN NOT (OLD.frame_id IN (SELECT frame_id FROM purge))
        BEGIN SELECT RAISE(ABORT, 'annotations are only appended to'); END;
CREATE TRIGGER calibrations_no_delete BEFORE DELETE ON calibrations WHEN NOT (OLD.frame_id IN (SELECT frame_id FROM purge))
        BEGIN SELECT RAISE(ABORT, 'calibrations are only appended to'); END;
CREATE TRIGGER labels_no_delete BEFORE DELETE ON labels WHEN NOT (OLD.frame_id IN (SELECT frame_id FROM purge))
        BEGIN SELECT RAISE(ABORT, 'labels are only appended to'); END;
CREATE TRIGGER frame_revisions_no_delete BEFORE DELETE ON frame_revisions WHEN NOT (OLD.frame_id IN (SELECT frame_id FROM purge))
        BEGIN SELECT RAISE(ABORT, 'frame_revisions are only appended to'); END;
CREATE TRIGGER frames_no_delete BEFORE DELETE ON frames WHEN NOT (OLD.id IN (SELECT frame_id FROM purge))
        BEGIN SELECT RAISE(ABORT, 'frames are only appended to'); END;
CREATE TRIGGER amendments_no_update BEFORE UPDATE ON amendments 
        BEGIN SELECT RAISE(ABORT, 'amendments are only appended to'); END;
CREATE TRIGGER amendments_no_delete BEFORE DELETE ON amendments 
        BEGIN SELECT RAISE(ABORT, 'amendments are only appended to'); END;
CREATE TRIGGER purged_pairs_no_update BEFORE UPDATE ON purged_pairs 
        BEGIN SELECT RAISE(ABORT, 'purged_pairs are only appended to'); END;
CREATE TRIGGER purged_pairs_no_delete BEFORE DELETE ON purged_pairs 
        BEGIN SELECT RAISE(ABORT, 'purged_pairs are only appended to'); END;
CREATE TRIGGER parts_no_update BEFORE UPDATE ON parts 
        BEGIN SELECT RAISE(ABORT, 'parts are only appended to'); END;
CREATE TRIGGER parts_no_delete BEFORE DELETE ON parts WHEN NOT (OLD.subject NOT IN (SELECT subject FROM frame_revisions))
        BEGIN SELECT RAISE(ABORT, 'parts are only appended to'); END;
CREATE INDEX readings_by_frame ON readings (frame_id);
CREATE INDEX readings_by_amendment ON readings (amendment_id);
CREATE VIEW newest_readings AS SELECT * FROM readings AS mine WHERE revision =
        (SELECT max(revision) FROM readings WHERE id = mine.id);
CREATE TRIGGER adjudications_no_update BEFORE UPDATE ON adjudications 
        BEGIN SELECT RAISE(ABORT, 'adjudications are only appended to'); END;
CREATE TRIGGER adjudications_no_delete BEFORE DELETE ON adjudications WHEN NOT (OLD.frame_id IN (SELECT frame_id FROM purge))
        BEGIN SELECT RAISE(ABORT, 'adjudications are only appended to'); END;
CREATE TRIGGER readings_no_update BEFORE UPDATE ON readings 
        BEGIN SELECT RAISE(ABORT, 'readings are only appended to'); END;
CREATE TRIGGER readings_no_delete BEFORE DELETE ON readings WHEN NOT (OLD.frame_id IN (SELECT frame_id FROM purge))
        BEGIN SELECT RAISE(ABORT, 'readings are only appended to'); END;
CREATE TRIGGER reading_items_no_update BEFORE UPDATE ON reading_items 
        BEGIN SELECT RAISE(ABORT, 'reading_items are only appended to'); END;
CREATE TRIGGER reading_items_no_delete BEFORE DELETE ON reading_items WHEN NOT (OLD.frame_id IN (SELECT frame_id FROM purge))
        BEGIN SELECT RAISE(ABORT, 'reading_items are only appended to'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('amendments',1);
INSERT INTO "sqlite_sequence" VALUES('runs',1);
INSERT INTO "sqlite_sequence" VALUES('adoptions',1);
COMMIT;
PRAGMA user_version = 8;
PRAGMA application_id = 1182028660;
