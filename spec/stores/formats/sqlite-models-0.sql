-- A model store from before stores said what format they have: sqlite3 .dump.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE lunette_projections (
  name TEXT PRIMARY KEY NOT NULL,
  version INTEGER NOT NULL,
  position TEXT NOT NULL,
  revision INTEGER NOT NULL,
  paused INTEGER NOT NULL DEFAULT 0,
  identity TEXT NOT NULL DEFAULT '',
  script_hash TEXT NOT NULL DEFAULT '',
  script_count INTEGER NOT NULL DEFAULT 0,
  committed_at INTEGER NOT NULL DEFAULT 0,
  skipped_count INTEGER NOT NULL DEFAULT 0,
  schema TEXT NOT NULL,
  source_state BLOB);
INSERT INTO lunette_projections VALUES('counter',1,'00000000000000000000000000000003',2,0,'67597049-bf1e-43f5-a141-2753b95823df','bfc20885623cbe523db63ae34aa6f783',1,1795957440572608,0,replace('field note text\nfield total integer\nindex total\n','\n',char(10)),X'39633937613035352d373465382d343338362d393330642d343930393635643238323664');
CREATE TABLE lunette_owners (
  projection TEXT PRIMARY KEY NOT NULL,
  fence INTEGER NOT NULL,
  owner TEXT NOT NULL,
  acquired_at INTEGER NOT NULL);
INSERT INTO lunette_owners VALUES('counter',1,'process 7 on host',1795957440571948);
CREATE TABLE lunette_parked (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  projection TEXT NOT NULL,
  model_id TEXT,
  error TEXT NOT NULL,
  at INTEGER NOT NULL,
  position TEXT NOT NULL,
  event_id TEXT NOT NULL,
  stream TEXT NOT NULL,
  version INTEGER NOT NULL,
  type TEXT NOT NULL,
  recorded_at INTEGER NOT NULL,
  data TEXT NOT NULL,
  metadata TEXT);
INSERT INTO lunette_parked VALUES(1,'counter','b','counter: event 2 (Counted on s): projections/counter.lua:11: attempt to perform arithmetic on a string value (field ''n'')',1795957440572406,'00000000000000000000000000000002','904c8365-87fd-4002-b58e-a60350de7fce','s',2,'Counted',1795957440557947,'{"id":"b","n":"much"}',NULL);
CREATE TABLE lunette_skipped (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  projection TEXT NOT NULL,
  model_id TEXT,
  error TEXT NOT NULL,
  at INTEGER NOT NULL,
  position TEXT NOT NULL,
  event_id TEXT NOT NULL,
  stream TEXT NOT NULL,
  version INTEGER NOT NULL,
  type TEXT NOT NULL,
  recorded_at INTEGER NOT NULL,
  data TEXT NOT NULL,
  metadata TEXT);
CREATE TABLE lunette_requests (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  projection TEXT NOT NULL,
  kind TEXT NOT NULL,
  argument TEXT NOT NULL,
  posted_at INTEGER NOT NULL,
  finished_at INTEGER,
  outcome TEXT,
  message TEXT);
CREATE TABLE lunette_heartbeats (
  projection TEXT PRIMARY KEY NOT NULL,
  owner TEXT NOT NULL,
  state TEXT NOT NULL,
  waiting_for TEXT NOT NULL,
  last_error TEXT NOT NULL,
  events_per_second REAL NOT NULL,
  at INTEGER NOT NULL);
INSERT INTO lunette_heartbeats VALUES('counter','','stopped','','counter: event 2 (Counted on s): projections/counter.lua:11: attempt to perform arithmetic on a string value (field ''n'')',0.0,1795957440574260);
CREATE TABLE IF NOT EXISTS "counter__v1" ("id" TEXT PRIMARY KEY NOT NULL, "note" TEXT, "total" INTEGER) WITHOUT ROWID;
INSERT INTO counter__v1 VALUES('a','two',3);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('lunette_parked',1);
CREATE INDEX lunette_parked_by_model ON lunette_parked (projection, model_id, number);
CREATE INDEX lunette_skipped_by_projection ON lunette_skipped (projection, number);
CREATE INDEX lunette_requests_waiting ON lunette_requests (projection, number) WHERE finished_at IS NULL;
CREATE VIEW "counter" AS SELECT "id", "note", "total" FROM "counter__v1";
CREATE INDEX "counter__v1__total" ON "counter__v1" ("total");
COMMIT;
