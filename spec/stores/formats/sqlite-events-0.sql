-- An event store from before stores said what format they have: sqlite3 .dump.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE events (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE DEFAULT (
    lower(hex(randomblob(4))) || '-' || lower(hex(randomblob(2)))
    || '-4' || substr(lower(hex(randomblob(2))), 2)
    || '-' || substr('89ab', 1 + (random() & 3), 1)
    || substr(lower(hex(randomblob(2))), 2)
    || '-' || lower(hex(randomblob(6)))),
  stream TEXT NOT NULL,
  version INTEGER NOT NULL,
  type TEXT NOT NULL,
  data TEXT NOT NULL CHECK (json_valid(data)),
  metadata TEXT CHECK (metadata IS NULL OR json_valid(metadata)),
  recorded_at INTEGER NOT NULL DEFAULT (
    CAST(strftime('%s', 'now') AS INTEGER) * 1000000
    + CAST(substr(strftime('%f', 'now'), 4) AS INTEGER) * 1000),
  UNIQUE (stream, version)
);
INSERT INTO events VALUES(1,'74f7e3e6-f776-46cb-bc9c-f61f2db77252','s',1,'Counted','{"id":"a","n":1,"note":"one"}',NULL,1795957440557947);
INSERT INTO events VALUES(2,'904c8365-87fd-4002-b58e-a60350de7fce','s',2,'Counted','{"id":"b","n":"much"}',NULL,1795957440557947);
INSERT INTO events VALUES(3,'9c97a055-74e8-4386-930d-490965d2826d','s',3,'Counted','{"id":"a","n":2,"note":"two"}',NULL,1795957440557947);
CREATE TABLE lunette_event_store (
  identity TEXT NOT NULL
);
INSERT INTO lunette_event_store VALUES('67597049-bf1e-43f5-a141-2753b95823df');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('events',3);
COMMIT;
