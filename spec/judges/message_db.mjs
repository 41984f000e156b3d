// message-db's own functions, called as its clients call them, each in a
// transaction of its own or inside a transaction of a user.

import { randomUUID } from "node:crypto";
import pg from "pg";
import { main, say, sleep, userTransaction, writeFor } from "./kit.mjs";

const WORKERS = 12;
const CATEGORIES = ["account", "order", "parcel"];
const STREAMS = 10; // in each category
const TYPES = ["Set", "Noted", "Ignored"];

let count = 0;

async function connect(url) {
  const client = new pg.Client(url);
  await client.connect();
  await client.query("SET search_path = message_store, public");
  await client.query("SET deadlock_timeout = '100ms'");
  return client;
}

// Now and then a version is expected, and it is the wrong one.
async function writeMessage(client, r) {
  const stream = r.pick(CATEGORIES) + "-" + r.within(1, STREAMS);
  await client.query("SELECT write_message($1, $2, $3, $4, NULL, $5)", [
    randomUUID(),
    stream,
    r.pick(TYPES),
    JSON.stringify({ n: ++count, stream }),
    r.chance(5) ? r.within(0, 50) : null,
  ]);
}

async function write(url, seed, seconds) {
  const clients = [];
  for (let i = 1; i <= WORKERS; i++) clients[i] = await connect(url);
  await writeFor(seconds, seed, WORKERS, async (r, worker) => {
    const client = clients[worker];
    await sleep(r.within(0, 20));
    if (r.chance(60)) {
      await writeMessage(client, r);
      return "written";
    }
    return userTransaction(client, r, 60, async () => {
      for (let i = r.within(1, 3); i > 0; i--) await writeMessage(client, r);
    });
  }, isRefusal);
}

function isRefusal(error) {
  return error.code === "40P01" ||
    error.message.includes("Wrong expected version");
}

async function read(url) {
  const client = await connect(url);
  for (const category of CATEGORIES)
    for (let i = 1; i <= STREAMS; i++) {
      const stream = category + "-" + i;
      const { rows } = await client.query(
        "SELECT * FROM get_stream_messages($1, 0, 1000000)", [stream]);
      for (const row of rows)
        say({
          stream,
          version: Number(row.position),
          type: row.type,
          n: JSON.parse(row.data).n,
        });
    }
}

main({ write, read });
