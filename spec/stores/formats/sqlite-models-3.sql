-- A model store of format 3, as Lunette 1.0.0 made it: sqlite3 .dump.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE lunette_store (
  format INTEGER NOT NULL, -- of the tables lunette_*
  made_by TEXT NOT NULL -- version of Lunette
);
INSERT INTO lunette_store VALUES(3,'1.0.0');
CREATE TABLE lunette_projections (
  name TEXT PRIMARY KEY NOT NULL,
  live_build INTEGER, -- what the view of this name shows
  last_build INTEGER NOT NULL, -- numbers are not given again
  paused INTEGER NOT NULL DEFAULT 0,
  revision INTEGER NOT NULL
);
INSERT INTO lunette_projections VALUES('counter',1,1,0,1);
CREATE TABLE lunette_builds (
  projection TEXT NOT NULL,
  build INTEGER NOT NULL, -- its models: PROJECTION__bBUILD
  version INTEGER NOT NULL, -- as the script says
  state TEXT NOT NULL,
  reason TEXT NOT NULL DEFAULT '', -- why it is in that state
  made_at INTEGER NOT NULL, -- microseconds since 1970 UTC
  target TEXT,
  kept_until INTEGER,
  bundle_hash TEXT NOT NULL DEFAULT '', -- in lunette_scripts
  schema TEXT NOT NULL,
  PRIMARY KEY (projection, build)
);
INSERT INTO lunette_builds VALUES('counter',1,1,'live','',1795957782087077,NULL,NULL,'10619b73c7527223b74c06af399130ec',replace('field note text\nfield total integer\nindex total\n','\n',char(10)));
CREATE TABLE lunette_checkpoints (
  projection TEXT NOT NULL,
  build INTEGER NOT NULL,
  shard INTEGER NOT NULL,
  position TEXT NOT NULL, -- everything up to here is applied
  revision INTEGER NOT NULL,
  identity TEXT NOT NULL DEFAULT '', -- of the event store
  bundle_hash TEXT NOT NULL DEFAULT '',
  committed_at INTEGER NOT NULL DEFAULT 0,
  skipped_count INTEGER NOT NULL DEFAULT 0,
  source_state BLOB,
  rows_revision INTEGER NOT NULL DEFAULT 0, -- last to touch models
  PRIMARY KEY (projection, build, shard)
) WITHOUT ROWID;
INSERT INTO lunette_checkpoints VALUES('counter',1,0,'00000000000000000000000000000003',2,'0c117b9c-25cd-4e30-b819-dea9ba75d8f3','10619b73c7527223b74c06af399130ec',1795957782093760,0,X'4130336335663335362d633466372d343463642d616130642d393735663262353232656635',2);
CREATE TABLE lunette_scripts (
  projection TEXT NOT NULL,
  build INTEGER NOT NULL,
  hash TEXT NOT NULL,
  bundle TEXT NOT NULL, -- all that a text of the script loaded
  first_position TEXT NOT NULL, -- of its first commit
  first_at INTEGER NOT NULL,
  PRIMARY KEY (projection, build, hash)
);
INSERT INTO lunette_scripts VALUES('counter',1,'10619b73c7527223b74c06af399130ec','{"format":1,"script":"return {\n  name = \"counter\",\n  version = 1,\n  on_error = \"park\", indexes = { \"total\" },\n  fields = { total = \"integer\", note = \"text\" },\n  extract_model_id = function(event)\n    return event.data.id\n  end,\n  apply_to_model = function(model, event)\n    model = model or { total = 0 }\n    model.total = model.total + event.data.n\n    model.note = event.data.note\n    return model\n  end,\n}\n"}','00000000000000000000000000000003',1795957782093717);
CREATE TABLE lunette_owners (
  projection TEXT NOT NULL,
  build INTEGER NOT NULL,
  shard INTEGER NOT NULL,
  fence INTEGER NOT NULL,
  owner TEXT NOT NULL, -- the last one; it may be gone
  acquired_at INTEGER NOT NULL,
  PRIMARY KEY (projection, build, shard)
) WITHOUT ROWID;
INSERT INTO lunette_owners VALUES('counter',1,0,1,'process 7 on host',1795957782082894);
CREATE TABLE lunette_parked (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  projection TEXT NOT NULL,
  build INTEGER NOT NULL,
  shard INTEGER NOT NULL,
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
  metadata TEXT,
  tenant TEXT
);
INSERT INTO lunette_parked VALUES(1,'counter',1,0,'b','counter: event 2 (Counted on s): projections/counter.lua:11: attempt to perform arithmetic on a string value (field ''n'')',1795957782093434,'00000000000000000000000000000002','41f55612-0367-4c54-b894-458b02101a9d','s',2,'Counted',1795957781991436,'{"id":"b","n":"much"}',NULL,NULL);
CREATE TABLE lunette_skipped (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  projection TEXT NOT NULL,
  build INTEGER NOT NULL,
  shard INTEGER NOT NULL,
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
  metadata TEXT,
  tenant TEXT
);
CREATE TABLE lunette_requests (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  projection TEXT NOT NULL,
  build INTEGER NOT NULL,
  shard INTEGER NOT NULL,
  kind TEXT NOT NULL,
  argument TEXT NOT NULL,
  posted_at INTEGER NOT NULL,
  finished_at INTEGER, -- null: it waits
  outcome TEXT,
  message TEXT
);
CREATE TABLE lunette_heartbeats (
  projection TEXT NOT NULL,
  build INTEGER NOT NULL,
  shard INTEGER NOT NULL,
  owner TEXT NOT NULL,
  state TEXT NOT NULL,
  waiting_for TEXT NOT NULL,
  last_error TEXT NOT NULL,
  events_per_second REAL NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (projection, build, shard)
);
INSERT INTO lunette_heartbeats VALUES('counter',1,0,'','stopped','','counter: event 2 (Counted on s): projections/counter.lua:11: attempt to perform arithmetic on a string value (field ''n'')',0.0,1795957782095292);
CREATE TABLE IF NOT EXISTS "counter__b1" ("id" TEXT PRIMARY KEY NOT NULL, "note" TEXT, "total" INTEGER) WITHOUT ROWID;
INSERT INTO counter__b1 VALUES('a','two',3);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('lunette_parked',1);
CREATE INDEX lunette_parked_by_model ON lunette_parked (projection, build, shard, model_id, number);
CREATE INDEX lunette_skipped_by_shard ON lunette_skipped (projection, build, shard, number);
CREATE INDEX lunette_requests_waiting ON lunette_requests (projection, build, shard, number) WHERE finished_at IS NULL;
CREATE INDEX "counter__b1__total" ON "counter__b1" ("total");
CREATE VIEW "counter" AS SELECT "id", "note", "total" FROM "counter__b1";
CREATE VIEW "counter__v1" AS SELECT "id", "note", "total" FROM "counter__b1";
COMMIT;
