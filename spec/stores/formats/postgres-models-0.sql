-- A model store from before stores said what format they have: a part of it.
CREATE SCHEMA lunette;
CREATE TABLE lunette.lunette_projections (
  name text COLLATE "C" PRIMARY KEY,
  version integer NOT NULL,
  position text COLLATE "C" NOT NULL,
  revision bigint NOT NULL,
  fence bigint NOT NULL,
  paused boolean NOT NULL DEFAULT false,
  identity text NOT NULL DEFAULT '',
  script_hash text NOT NULL DEFAULT '',
  script_count bigint NOT NULL DEFAULT 0,
  committed_at timestamptz,
  skipped_count bigint NOT NULL DEFAULT 0,
  schema text NOT NULL,
  source_state bytea);
CREATE TABLE lunette.lunette_heartbeats (
  projection text COLLATE "C" PRIMARY KEY,
  owner text NOT NULL,
  state text NOT NULL,
  waiting_for text NOT NULL,
  last_error text NOT NULL,
  events_per_second double precision NOT NULL,
  at timestamptz NOT NULL);
CREATE TABLE lunette.counter__v1 (
  "id" text COLLATE "C" PRIMARY KEY,
  "note" text COLLATE "C",
  "total" bigint);
CREATE VIEW lunette.counter AS SELECT "id", "note", "total"
  FROM lunette.counter__v1;
INSERT INTO lunette.counter__v1 VALUES ('a', 'two', 3);
INSERT INTO lunette.lunette_projections VALUES ('counter', 1,
  '00000000000002d80000000000000003', 2, 1, false, '5a7b8653/77135',
  'd49457fd1e379391bd37ee2b3cf4759c', 1, '2026-11-01 12:00:00+00', 0,
  E'field note text\nfield total integer\n', NULL);
