// SQLite to SQLite with better-sqlite3, as one would write it who knows it.
//
// usage: node sqlite.mjs EVENTS MODELS BATCH

import Database from "better-sqlite3";
import { fold, ids, report } from "./fold.mjs";

const [eventsPath, modelsPath, batch] = process.argv.slice(2);
const start = performance.now();

function open(path) {
  const db = new Database(path);
  db.pragma("journal_mode = wal");
  db.pragma("synchronous = normal");
  db.pragma("wal_autocheckpoint = 10000");
  db.pragma("cache_size = -65536");
  return db;
}

const events = open(eventsPath);
const models = open(modelsPath);
models.exec(`
  CREATE TABLE account_summary__b1 (
    id TEXT PRIMARY KEY NOT NULL, balance INTEGER, last_activity TEXT,
    owner TEXT, transaction_count INTEGER);
  CREATE TABLE checkpoint (position INTEGER);
  INSERT INTO checkpoint VALUES (0)`);

const read = events.prepare(`
  SELECT position, type, data, recorded_at FROM events
  WHERE position > ? ORDER BY position LIMIT ?`).raw();
const load = models.prepare(`
  SELECT id, owner, balance, transaction_count
  FROM account_summary__b1 WHERE id = ?`);
const put = models.prepare(`
  INSERT INTO account_summary__b1 VALUES (?, ?, ?, ?, ?)
  ON CONFLICT (id) DO UPDATE SET balance = excluded.balance,
    last_activity = excluded.last_activity, owner = excluded.owner,
    transaction_count = excluded.transaction_count`);
const mark = models.prepare("UPDATE checkpoint SET position = ?");

// From microseconds, which a Date has not.
const timestamp = (us) =>
  new Date(Math.floor(us / 1000)).toISOString().slice(0, -1)
    + String(us % 1000).padStart(3, "0") + "Z";

function loaded(page) {
  const rows = new Map();
  for (const event of page)
    for (const id of ids(event))
      if (!rows.has(id)) rows.set(id, load.get(id));
  for (const [id, row] of rows) if (row === undefined) rows.delete(id);
  return rows;
}

const apply = models.transaction((page, position) => {
  const rows = loaded(page);
  fold(rows, page);
  for (const row of rows.values())
    put.run(row.id, row.balance, timestamp(row.last_activity), row.owner,
      row.transaction_count);
  mark.run(position);
});

let position = 0;
let total = 0;
for (;;) {
  const page = read.all(position, batch);
  if (page.length === 0) break;
  position = page[page.length - 1][0];
  total += page.length;
  apply.immediate(
    page.map(([, type, data, at]) => ({ type, data: JSON.parse(data), at })),
    position);
}
events.close();
models.close();
report(total, start);
