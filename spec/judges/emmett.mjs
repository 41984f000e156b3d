// Emmett's own package as the writer: its interface, its interface with a
// transaction held before the commit, and its function inside transactions of
// users.

import { randomUUID } from "node:crypto";
import { dumbo } from "@event-driven-io/dumbo";
import {
  appendToStream,
  getPostgreSQLEventStore,
} from "@event-driven-io/emmett-postgresql";
import pg from "pg";
import { main, say, sleep, userTransaction, writeFor } from "./kit.mjs";

const WORKERS = 12;
const STREAMS = 30;
const TYPES = ["Set", "Noted", "Ignored"];

class Undone extends Error {}

let count = 0;

function messages(r, stream) {
  return Array.from({ length: r.within(1, 3) }, () => ({
    type: r.pick(TYPES),
    data: { n: ++count, stream },
  }));
}

// Emmett's function, as its interface calls it, in somebody's transaction.
// Commands share the positions of their stream, and are no events.
async function appendInside(client, r, stream) {
  const list = messages(r, stream);
  const kinds = list.map(() => (r.chance(5) ? "C" : "E"));
  await client.query(
    `SELECT * FROM emt_append_to_stream($1::text[], $2::jsonb[], $3::jsonb[],
      $4::text[], $5::text[], $6::text[], $7, 'account', NULL, 'emt:default')`,
    [
      list.map(() => randomUUID()),
      list.map((message) => JSON.stringify(message.data)),
      list.map(() => "{}"),
      list.map(() => "1"),
      list.map((message, i) => (kinds[i] === "C" ? "Demand" : message.type)),
      kinds,
      stream,
    ],
  );
}

async function write(url, seed, seconds) {
  const store = getPostgreSQLEventStore(url);
  await store.schema.migrate();
  const pool = dumbo({ connectionString: url });
  const clients = [];
  for (let i = 1; i <= WORKERS; i++) {
    clients[i] = new pg.Client(url);
    await clients[i].connect();
    // Two of them may wait for each other's streams.
    await clients[i].query("SET deadlock_timeout = '100ms'");
  }

  const plain = async (stream, r) => {
    await store.appendToStream(stream, messages(r, stream));
    return "written";
  };
  const held = async (stream, r) => {
    const keep = r.chance(70);
    const beforeCommitHook = async () => {
      await sleep(r.within(0, 100));
      if (!keep) throw new Undone();
    };
    const result = await appendToStream(pool, stream, "account",
      messages(r, stream), { beforeCommitHook });
    return result.success ? "written" : "refused";
  };

  await writeFor(seconds, seed, WORKERS, async (r, worker) => {
    const stream = () => "account-" + r.within(1, STREAMS);
    await sleep(r.within(0, 20));
    const way = r.within(1, 10);
    if (way <= 5) return plain(stream(), r);
    if (way <= 7) return held(stream(), r);
    return userTransaction(clients[worker], r, 150, async () => {
      for (let i = r.within(1, 2); i > 0; i--)
        await appendInside(clients[worker], r, stream());
    });
  }, isRefusal);
}

// A version that somebody else was first with, a stream begun twice, a
// deadlock; and what this file itself throws.
function isRefusal(error) {
  return error instanceof Undone || error.cause instanceof Undone ||
    error.errorCode === 412 || ["23505", "40P01"].includes(error.code);
}

async function read(url) {
  const store = getPostgreSQLEventStore(url);
  for (let i = 1; i <= STREAMS; i++) {
    const stream = "account-" + i;
    const { events } = await store.readStream(stream);
    for (const event of events)
      say({
        stream,
        version: Number(event.metadata.streamPosition),
        type: event.type,
        n: event.data.n,
      });
  }
}

main({ write, read });
