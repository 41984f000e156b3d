-- An event store of format 1, as Lunette 1.0.0 made it: sqlite3 .dump.
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
INSERT INTO events VALUES(1,'6aede5d9-0c50-4bfc-9da9-7e91024d143b','s',1,'Counted','{"id":"a","n":1,"note":"one"}',NULL,1795957440591431);
INSERT INTO events VALUES(2,'34e72354-7fef-4d1a-9e06-d5c89d8d1427','s',2,'Counted','{"id":"b","n":"much"}',NULL,1795957440591431);
INSERT INTO events VALUES(3,'3b0078ae-e947-43c7-b466-5c6c50f2bf56','s',3,'Counted','{"id":"a","n":2,"note":"two"}',NULL,1795957440591431);
CREATE TABLE lunette_event_store (
  identity TEXT NOT NULL,
  format INTEGER NOT NULL, -- of both tables
  made_by TEXT NOT NULL -- version of Lunette
);
INSERT INTO lunette_event_store VALUES('6898da04-e57b-4c3a-a74e-99e01426bf9c',1,'1.0.0');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('events',3);
COMMIT;
