// PostgreSQL to PostgreSQL with pg, as one would write it who knows it: the
// next page is read while this one is folded and written, rows are loaded and
// written as arrays.
//
// usage: node postgres.mjs EVENTS-URL MODELS-URL BATCH

import pg from "pg";
import { fold, ids, report } from "./fold.mjs";

const [eventsUrl, modelsUrl, batch] = process.argv.slice(2);
const start = performance.now();
const BIGINT = 20;
pg.types.setTypeParser(BIGINT, Number);

async function connect(url) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client;
}

const events = await connect(eventsUrl);
const models = await connect(modelsUrl);
await models.query(`
  SET client_min_messages = warning;
  DROP SCHEMA IF EXISTS peer CASCADE;
  CREATE SCHEMA peer;
  CREATE TABLE peer.account_summary__b1 (
    id text COLLATE "C" PRIMARY KEY, balance bigint,
    last_activity timestamptz, owner text COLLATE "C",
    transaction_count bigint);
  CREATE TABLE peer.checkpoint (transaction_id xid8, position bigint);
  INSERT INTO peer.checkpoint VALUES ('0', 0)`);

const read = (after) => events.query({
  name: "read",
  text: `SELECT transaction_id, position, type, data, recorded_at::text AS at
    FROM lunette_events WHERE (transaction_id, position) > ($1::xid8, $2)
    AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY transaction_id, position LIMIT $3`,
  values: [after.transaction_id, after.position, batch],
});

async function loaded(page) {
  const { rows } = await models.query({
    name: "load",
    text: `SELECT id, owner, balance, transaction_count
      FROM peer.account_summary__b1 WHERE id = ANY($1)`,
    values: [[...new Set(page.flatMap(ids))]],
  });
  return new Map(rows.map((row) => [row.id, row]));
}

const columns = ["id", "balance", "last_activity", "owner",
  "transaction_count"];

async function write(rows, last) {
  // pg sends each when the one before is answered.
  await Promise.all([
    models.query("BEGIN"),
    models.query({
      name: "put",
      text: `INSERT INTO peer.account_summary__b1
        SELECT * FROM unnest($1::text[], $2::bigint[], $3::timestamptz[],
          $4::text[], $5::bigint[])
        ON CONFLICT (id) DO UPDATE SET balance = excluded.balance,
          last_activity = excluded.last_activity, owner = excluded.owner,
          transaction_count = excluded.transaction_count`,
      values: columns.map((column) => rows.map((row) => row[column])),
    }),
    models.query({
      name: "mark",
      text: "UPDATE peer.checkpoint SET transaction_id = $1, position = $2",
      values: [last.transaction_id, last.position],
    }),
    models.query("COMMIT"),
  ]);
}

let total = 0;
let next = read({ transaction_id: "0", position: 0 });
for (;;) {
  const { rows: page } = await next;
  if (page.length === 0) break;
  const last = page[page.length - 1];
  next = read(last);
  const rows = await loaded(page);
  fold(rows, page);
  await write([...rows.values()], last);
  total += page.length;
}
await events.end();
await models.end();
report(total, start);
